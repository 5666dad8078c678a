//! The named points at which a test may kill the product, as its sources have them: none can be forgotten.

use std::{collections::BTreeSet, fs, path::Path};

/// Every `crash_point("…")` of the crates that ship.
pub fn crash_points() -> BTreeSet<String> {
    let mut points = BTreeSet::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for entry in fs::read_dir(crates).expect("the crates are there").flatten() {
        if entry.file_name() != "testkit" {
            walk(&entry.path().join("src"), &mut points);
        }
    }
    points
}

fn walk(folder: &Path, points: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, points);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let named = text.split("crash_point(\"").skip(1).filter_map(|rest| rest.split('"').next());
            points.extend(named.map(str::to_owned));
        }
    }
}
