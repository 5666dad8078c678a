//! The example on each error's page: the first text that a snapshot shows for its code, so that it is one the program prints.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::run::root;

const MARKER: &str = "<!-- example -->";

/// Every error page with its example; a page without the marker has no place for one.
pub fn pages() -> Result<BTreeMap<PathBuf, String>> {
    let examples = found(&root().join("crates"))?;
    let mut pages = BTreeMap::new();
    for row in super::error_codes()? {
        let path = root().join(format!("docs/errors/{}.md", row.id));
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let Some((before, _)) = text.split_once(MARKER) else { continue };
        let before = before.trim_end().trim_end_matches("\n## Example").trim_end();
        let page = match examples.get(&row.id) {
            Some(example) => {
                format!("{before}\n\n## Example\n\n{MARKER}\n```text\n{}\n```\n", example.trim_end())
            }
            None => format!("{before}\n\n{MARKER}\n"),
        };
        pages.insert(path, page);
    }
    Ok(pages)
}

/// Code to text, from all snapshots in the order of their paths.
fn found(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = Vec::new();
    snapshots(folder, &mut files)?;
    files.sort();
    let mut examples = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some((code, _)) = line.split_once(" × ") else { continue };
            let is_code = code.len() == 6 && code.starts_with("TM");
            if !is_code {
                continue;
            }
            let mut example = line.to_owned();
            while let Some(more) = lines.next_if(|more| more.starts_with("  ")) {
                example += "\n";
                example += more;
            }
            examples.entry(code.to_owned()).or_insert(example);
        }
    }
    Ok(examples)
}

fn snapshots(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            snapshots(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "snap") {
            files.push(path);
        }
    }
    Ok(())
}
