//! `topics.json`: which topics there are, with id, partition count and settings.
//!
//! It is written whole beside the old one, synced, and renamed over it, so that a crash leaves the one or the other.
//! Its form is `{"version":1,"topics":[{"name","id","partitions","configs"}]}`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::errors::Error;

const VERSION: u32 = 1;
const FILE_NAME: &str = "topics.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub name: String,
    pub id: Uuid,
    pub partitions: i32,
    pub configs: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    topics: Vec<Entry>,
}

/// The catalog as it is on the disk.
pub struct Catalog {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

impl Catalog {
    pub fn read(data_dir: &Path) -> Result<Catalog, Error> {
        let path = data_dir.join(FILE_NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Catalog { path, entries: BTreeMap::new() });
            }
            Err(source) => return Err(Error::Disk { action: "read", path, source }),
        };
        let unreadable = |reason: String| Error::Unreadable { path: path.clone(), reason };
        let stored: Stored = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if stored.version != VERSION {
            return Err(unreadable(format!(
                "its version is {}, this broker knows {VERSION}",
                stored.version
            )));
        }
        let entries = stored.topics.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        Ok(Catalog { path, entries })
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub fn put(&mut self, entry: Entry) -> Result<(), Error> {
        let name = entry.name.clone();
        let before = self.entries.insert(name.clone(), entry);
        self.write().inspect_err(|_| {
            match before {
                Some(before) => self.entries.insert(name, before),
                None => self.entries.remove(&name),
            };
        })
    }

    pub fn remove(&mut self, name: &str) -> Result<(), Error> {
        let before = self.entries.remove(name);
        self.write().inspect_err(|_| {
            if let Some(before) = before {
                self.entries.insert(name.to_owned(), before);
            }
        })
    }

    fn write(&self) -> Result<(), Error> {
        let stored = Stored { version: VERSION, topics: self.entries.values().cloned().collect() };
        let text = serde_json::to_vec(&stored).expect("names and numbers always make JSON");
        replace(&self.path, &text).map_err(|source| Error::Disk {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }
}

/// Puts a file in another's place: the whole new one or the whole old one, whenever it crashes.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with_mode(path, content, 0o666)
}

/// The same for what only its owner may read.
pub fn replace_private(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with_mode(path, content, 0o600)
}

fn replace_with_mode(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    base::crash_point("broker.replace.before_rename");
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, partitions: i32) -> Entry {
        let configs = BTreeMap::from([("retention.ms".to_owned(), "1000".to_owned())]);
        Entry { name: name.to_owned(), id: Uuid::from_u128(7), partitions, configs }
    }

    #[test]
    fn what_was_put_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut catalog = Catalog::read(folder.path()).unwrap();
        catalog.put(entry("a", 1)).unwrap();
        catalog.put(entry("b", 2)).unwrap();
        catalog.put(entry("a", 3)).unwrap();
        catalog.remove("b").unwrap();
        let again = Catalog::read(folder.path()).unwrap();
        assert_eq!(again.entries().cloned().collect::<Vec<_>>(), [entry("a", 3)]);
    }

    /// The first form that was ever written: every later broker must read it.
    #[test]
    fn version_1_stays_readable() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"version":1,"topics":[{"name":"a","id":"00000000-0000-0000-0000-000000000007","partitions":3,"configs":{"retention.ms":"1000"}}]}"#;
        fs::write(folder.path().join(FILE_NAME), text).unwrap();
        let catalog = Catalog::read(folder.path()).unwrap();
        assert_eq!(catalog.entries().cloned().collect::<Vec<_>>(), [entry("a", 3)]);
    }

    #[test]
    fn a_cut_file_is_an_error_not_an_empty_catalog() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), b"{\"version\":1,\"top").unwrap();
        assert!(matches!(Catalog::read(folder.path()), Err(Error::Unreadable { .. })));
    }
}
