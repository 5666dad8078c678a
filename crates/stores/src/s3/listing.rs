//! Listings in key order: prefix, delimiter, where to go on, and a bound; folders that cannot matter are not read.

use std::{fs, io, path::Path, time::SystemTime};

use crate::s3::{disk::has_file, keys};

/// What ListObjects asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) prefix: String,
    pub(crate) delimiter: String,
    /// Only what comes after it; a common prefix that equals it is left out too.
    pub(crate) after: String,
    pub(crate) count_max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Object {
        key: String,
        bytes: u64,
        modified: SystemTime,
    },
    /// Everything that goes on from here up to the delimiter, as one.
    Prefix(String),
}

#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    /// There is more after the last item.
    pub(crate) is_truncated: bool,
}

impl Item {
    pub(crate) fn name(&self) -> &str {
        match self {
            Item::Object { key, .. } => key,
            Item::Prefix(prefix) => prefix,
        }
    }
}

/// Reads a bucket's folder; a file or folder that goes away meanwhile is as if it had never been.
pub(crate) fn list(bucket: &Path, query: &Query) -> io::Result<Page> {
    let mut page = Page::default();
    if query.count_max > 0 {
        walk(bucket, "", query, &mut page)?;
    }
    Ok(page)
}

struct Child {
    /// The key so far; a folder's ends in `/`.
    key: String,
    name: std::ffi::OsString,
    is_folder: bool,
}

/// Adds what lies in `folder`, whose keys start with `start`; ends early when the page is full.
fn walk(folder: &Path, start: &str, query: &Query, page: &mut Page) -> io::Result<()> {
    for child in children(folder, start)? {
        if page.is_truncated {
            return Ok(());
        }
        let Child { key, name, is_folder } = child;
        if is_folder {
            let may_match = key.starts_with(&query.prefix) || query.prefix.starts_with(&key);
            let is_over = key < query.after && !query.after.starts_with(&key);
            if !may_match || is_over {
                continue;
            }
            let path = folder.join(name);
            match common_prefix(&key, query) {
                Some(prefix) => {
                    if is_new(&prefix, query, page) && has_file(&path).unwrap_or(false) {
                        push(Item::Prefix(prefix), query, page);
                    }
                }
                None => match walk(&path, &key, query, page) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    walked => walked?,
                },
            }
        } else if key.starts_with(&query.prefix) && key > query.after {
            match common_prefix(&key, query) {
                Some(prefix) if is_new(&prefix, query, page) => push(Item::Prefix(prefix), query, page),
                Some(_) => {}
                None => {
                    let Ok(metadata) = fs::metadata(folder.join(name)) else { continue };
                    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    push(Item::Object { key, bytes: metadata.len(), modified }, query, page);
                }
            }
        }
    }
    Ok(())
}

/// What is in a folder, in the order of the keys.
fn children(folder: &Path, start: &str) -> io::Result<Vec<Child>> {
    let mut children = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(text) = name.to_str() else { continue };
        let is_folder = entry.file_type()?.is_dir();
        let slash = if is_folder { "/" } else { "" };
        children.push(Child { key: format!("{start}{}{slash}", keys::part_of(text)), name, is_folder });
    }
    children.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(children)
}

fn common_prefix(key: &str, query: &Query) -> Option<String> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(&query.prefix)?;
    let end = rest.find(&query.delimiter)? + query.delimiter.len();
    Some(key[..query.prefix.len() + end].to_owned())
}

fn is_new(prefix: &str, query: &Query, page: &Page) -> bool {
    prefix > query.after.as_str() && page.items.last().is_none_or(|last| last.name() != prefix)
}

fn push(item: Item, query: &Query, page: &mut Page) {
    if page.items.len() == query.count_max {
        page.is_truncated = true;
    } else {
        page.items.push(item);
    }
}

#[cfg(test)]
mod tests;
