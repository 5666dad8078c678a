//! Pages against code: each error code has its page and is shown by a test; what ARCHITECTURE.md names exists.

use std::{collections::BTreeSet, fs};

use super::{assert_none, files, rust_files};
use crate::{docs::error_codes, run::root};

#[test]
fn every_error_code_has_its_page_and_every_page_its_code() {
    let mut broken = Vec::new();
    let codes = error_codes().unwrap();
    for row in &codes {
        let page = fs::read_to_string(root().join(format!("docs/errors/{}.md", row.id))).unwrap_or_default();
        if !page.starts_with(&format!("# {}: ", row.id)) {
            broken.push(format!("docs/errors/{id}.md must begin with `# {id}: title`", id = row.id));
        }
    }
    let known: BTreeSet<String> = codes.into_iter().map(|row| format!("docs/errors/{}.md", row.id)).collect();
    let pages = files(&["docs/errors"], ".md").into_iter().map(|file| file.path);
    let pages = pages.filter(|path| !path.ends_with("README.md") && !known.contains(path));
    broken.extend(pages.map(|path| format!("{path}: no such code")));
    assert_none("error pages", &broken);
}

#[test]
fn every_error_code_is_shown_by_a_test() {
    let mut shown = String::new();
    for file in files(&["crates"], ".snap") {
        shown += &file.text;
    }
    for file in rust_files() {
        // A page of code says `code::TM0412`; a snapshot says `TM0412 ×` or has it in a text.
        shown += &file.text.replace("code::TM", "code::");
    }
    let list = "crates/base/src/problem.rs";
    let own = fs::read_to_string(root().join(list)).unwrap();
    let shown = shown.replace(&own, "");
    let codes = error_codes().unwrap();
    let broken: Vec<String> =
        codes.into_iter().map(|row| row.id).filter(|id| !shown.contains(id.as_str())).collect();
    assert_none("codes that no test shows", &broken);
}

#[test]
fn what_the_pages_name_exists() {
    let mut broken = Vec::new();
    for page in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let tops = ["crates/", "xtask/", "docs/", "benches/", "examples/", ".ci/", "changelog.d/"];
            let is_path =
                tops.iter().any(|top| word.starts_with(top)) && !word.contains([' ', '*', '<', '{', '…']);
            if is_path && !root().join(word).exists() {
                broken.push(format!("{page}: {word}"));
            }
        }
    }
    assert_none("paths that do not exist", &broken);
}
