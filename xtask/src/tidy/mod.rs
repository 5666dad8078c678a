//! Tests of the tree itself (after tigerbeetle's `tidy.zig`): they read the sources, not the program.
//!
//! What a rule cannot have today stands in `ratchet.toml` with its number, which may only fall.

mod files;
mod floors;
mod pages;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::run::root;

/// A file of ours, with its path from the workspace's folder.
struct File {
    path: String,
    text: String,
}

/// Every file below these folders whose name ends so.
fn files(folders: &[&str], ending: &str) -> Vec<File> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), ending, &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path: PathBuf = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                walk(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let short = path.strip_prefix(root()).expect("it lies below the root");
            found.push(File { path: short.to_string_lossy().into_owned(), text });
        }
    }
}

fn rust_files() -> Vec<File> {
    files(&["crates", "xtask", "benches", "fuzz"], ".rs")
}

#[track_caller]
fn assert_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}
