//! What is kept while letters become a file: which file, and which letters. A file appears whole or not at all; where it is there, they
//! have arrived, whatever was killed then, and none of them is sent twice.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use engine::checkpoints::replace;
use serde::{Deserialize, Serialize};

use super::{
    errors::Error,
    folder::{self, Letter},
};

/// In the folder of the load.
const NAME: &str = "letters.json";
const VERSION: u32 = 1;

/// `letters.json`, version 1.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marker {
    version: u32,
    /// As the target's store calls it.
    pub(super) file: String,
    /// Their places, by the files of letters that they lie in.
    letters: BTreeMap<PathBuf, Vec<String>>,
}

impl Marker {
    pub(super) fn new(file: &str) -> Self {
        Self { version: VERSION, file: file.to_owned(), letters: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, path: &Path, letter: &Letter) {
        self.letters.entry(path.to_owned()).or_default().push(letter.text("place").to_owned());
    }

    /// `None`: no letters were on their way.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(NAME);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|source| Error::Folder { path: path.clone(), source })?,
        };
        let strange = |reason: String| Error::Folder { path: path.clone(), source: io::Error::other(reason) };
        let marker: Self = serde_json::from_slice(&text).map_err(|error| strange(error.to_string()))?;
        match marker.version {
            VERSION => Ok(Some(marker)),
            other => Err(strange(format!("version {other}; this program reads {VERSION}"))),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(NAME);
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        replace(&path, &text).map_err(|source| Error::Folder { path, source })
    }

    pub(super) fn remove(folder: &Path) -> Result<(), Error> {
        let path = folder.join(NAME);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Folder { path, source }),
            _ => Ok(()),
        }
    }

    /// They have arrived: none of them stays. Gives how many went.
    pub(super) fn take_out(&self, load: &str) -> Result<u64, Error> {
        let mut gone_count = 0;
        for (path, places) in self.letters.iter().filter(|(path, _)| path.exists()) {
            // A file that was loaded twice has each of its places twice.
            let (mut left, mut kept) = (HashMap::<&str, u64>::new(), Vec::new());
            places.iter().for_each(|place| *left.entry(place).or_default() += 1);
            for letter in folder::read(path)? {
                let letter = letter?;
                let is_of_load = letter.load() == Some(load);
                match left.get_mut(letter.text("place")).filter(|count| is_of_load && **count > 0) {
                    Some(count) => (*count, gone_count) = (*count - 1, gone_count + 1),
                    None => kept.push(letter),
                }
            }
            folder::write(path, &kept)?;
        }
        Ok(gone_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_arrived_goes_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters").join("a+start.jsonl");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let line = |place: &str, load: &str| format!("{{\"place\":\"{place}\",\"load\":\"{load}\"}}\n");
        let text = [line("a:1", "l"), line("a:2", "l"), line("a:1", "other"), line("a:1", "l")].concat();
        fs::write(&path, text).unwrap();
        assert_eq!(Marker::read(folder.path()).unwrap(), None);
        let letters: Vec<Letter> = folder::read(&path).unwrap().map(Result::unwrap).collect();
        let mut marker = Marker::new("out.retry-00001.csv");
        marker.add(&path, &letters[0]);
        marker.add(&path, &letters[0]);
        marker.write(folder.path()).unwrap();
        let marker = Marker::read(folder.path()).unwrap().unwrap();
        assert_eq!(marker.take_out("l").unwrap(), 2);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert_eq!(marker.take_out("l").unwrap(), 0, "as often as one likes");
        Marker::remove(folder.path()).unwrap();
        Marker::remove(folder.path()).unwrap();
        fs::write(folder.path().join(NAME), "{\"version\":2,\"file\":\"\",\"letters\":{}}").unwrap();
        assert!(Marker::read(folder.path()).is_err());
    }
}
