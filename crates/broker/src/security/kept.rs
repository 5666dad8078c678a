//! Files of the data folder that are kept as one JSON document each: written whole, synced, renamed, and readable by their
//! owner alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{errors::Error, topics::catalog::replace_private};

/// A document's file.
#[derive(Debug, Clone)]
pub struct Kept {
    path: PathBuf,
}

impl Kept {
    pub fn at(data_dir: &Path, name: &str) -> Kept {
        Kept { path: data_dir.join(name) }
    }

    /// What is kept; `None`: nothing was ever.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Disk { action: "read", path: self.path.clone(), source }),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| self.unreadable(error.to_string()))
    }

    pub fn unreadable(&self, reason: String) -> Error {
        Error::Unreadable { path: self.path.clone(), reason }
    }

    /// Durable when it returns: the whole new document, or the whole old one, whenever it crashes.
    pub fn write<T: Serialize>(&self, document: &T) -> Result<(), Error> {
        let disk = |source| Error::Disk { action: "write", path: self.path.clone(), source };
        let text = serde_json::to_vec(document).map_err(|error| disk(error.into()))?;
        replace_private(&self.path, &text).map_err(disk)
    }
}
