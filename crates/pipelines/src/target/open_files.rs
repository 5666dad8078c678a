//! Which files the open extent of a split is about to bring into being: written before any of them is there, or an upload
//! that is to become one, so that a second life knows what to remove. Version 1.

use std::{
    fs, io,
    path::{Path as FilePath, PathBuf},
};

use base::Split;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, state::StateFolder};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenText {
    version: u32,
    /// Number of the extent in its split.
    extent: u64,
    keys: Vec<String>,
}

const VERSION: u32 = 1;

/// The list of one split.
pub(crate) struct OpenFiles {
    path: PathBuf,
}

impl OpenFiles {
    pub(crate) fn of(state: &StateFolder, stream: &str, split: &Split) -> Self {
        let name = Sha256::digest(format!("{stream}\0{}", split.id));
        let name: String = name[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { path: state.open_files().join(format!("{name}.json")) }
    }

    pub(crate) fn write(&self, extent: u64, keys: Vec<String>) -> Result<(), Error> {
        let at = |source| Error::StateFile { path: self.path.clone(), source };
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(at)?;
        }
        let text = serde_json::to_vec(&OpenText { version: VERSION, extent, keys });
        text.map_err(io::Error::from)
            .and_then(|text| engine::checkpoints::replace(&self.path, &text))
            .map_err(at)
    }

    /// The files of an extent that the checkpoint does not cover: those from number `saved` on.
    pub(super) fn uncovered(&self, saved: u64) -> Result<Vec<Path>, Error> {
        let open = read(&self.path)?.filter(|open| open.extent >= saved);
        Ok(open.into_iter().flat_map(|open| open.keys).map(Path::from).collect())
    }
}

/// The files of all splits that an earlier life of the load had open, covered or not.
pub(crate) fn of_all_splits(state: &StateFolder) -> Result<Vec<String>, Error> {
    let mut keys = Vec::new();
    for entry in fs::read_dir(state.open_files()).into_iter().flatten().flatten() {
        let path = entry.path();
        // Half of a list that was never finished names nothing that is there.
        if path.extension().is_some_and(|end| end == "json") {
            keys.extend(read(&path)?.into_iter().flat_map(|open| open.keys));
        }
    }
    Ok(keys)
}

fn read(path: &FilePath) -> Result<Option<OpenText>, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::StateFile { path: path.to_owned(), source }),
    };
    let refuse = |reason: String| Error::StateFormat { what: path.display().to_string(), reason };
    let open: OpenText = serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
    if open.version != VERSION {
        return Err(refuse(format!("version {}; this program reads {VERSION}", open.version)));
    }
    Ok(Some(open))
}
