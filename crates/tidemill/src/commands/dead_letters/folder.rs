//! A folder of dead letters: files of JSON Lines, as `engine::dead_letters` writes them and a user may have edited them.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use base::{Discovery, Place, Split, code};
use base64::{Engine, engine::general_purpose::STANDARD};
use connectors::received::{self, Columns};
use engine::checkpoints::replace;
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::errors::Error;

const ENDING: &str = "jsonl";
/// Folders within folders: a pipeline's streams.
const DEPTH_MAX: usize = 3;

#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) name: String,
    pub(super) path: PathBuf,
    files: Vec<PathBuf>,
}

/// One refused record.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) fields: Map<String, Value>,
}

impl Folder {
    /// Every folder with letters, by its name.
    pub(super) fn all_below(root: &Path) -> Result<Vec<Folder>, Error> {
        fn visit(path: &Path, name: &str, depth: usize, found: &mut Vec<Folder>) -> Result<(), Error> {
            if !name.is_empty() {
                found.extend(Folder::at(path.to_owned(), name)?);
            }
            if depth == 0 {
                return Ok(());
            }
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                let inner = entry.file_name().to_string_lossy().into_owned();
                if entry.path().is_dir() {
                    let name = if name.is_empty() { inner } else { format!("{name}/{inner}") };
                    visit(&entry.path(), &name, depth - 1, found)?;
                }
            }
            Ok(())
        }
        let mut found = Vec::new();
        visit(root, "", DEPTH_MAX, &mut found)?;
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// `None` where no letters lie there.
    pub(super) fn at(path: PathBuf, name: &str) -> Result<Option<Folder>, Error> {
        let list = match fs::read_dir(&path) {
            Ok(list) => list,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(Error::Folder { path, source }),
        };
        let mut files: Vec<PathBuf> = list
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == ENDING))
            .collect();
        files.sort();
        Ok((!files.is_empty()).then(|| Folder { name: name.to_owned(), path, files }))
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Hands out the letters one by one, until `take` wants no more.
    pub(super) fn each(&self, mut take: impl FnMut(Letter) -> Result<bool, Error>) -> Result<(), Error> {
        for path in &self.files {
            for letter in read(path)? {
                if !take(letter?)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(super) fn remove(&self) -> Result<(), Error> {
        for path in &self.files {
            fs::remove_file(path).map_err(|source| Error::Folder { path: path.clone(), source })?;
        }
        // What else lies there is not ours.
        fs::remove_dir(&self.path).ok();
        Ok(())
    }
}

/// Files of letters as the splits of a source, which are told once.
pub(super) fn discovered(files: &[PathBuf], is_told: &Mutex<bool>) -> Discovery {
    if std::mem::replace(&mut *is_told.lock(), true) {
        return Discovery::Complete;
    }
    let split = |path: &PathBuf| {
        let path: Arc<str> = path.to_string_lossy().into();
        Split { id: path.clone(), place: Arc::new(Place::File { path }) }
    };
    Discovery::Changed { assigned: files.iter().map(split).collect(), revoked: Vec::new() }
}

/// The letters of one file. Lines without anything are passed over: editors leave such.
pub(super) fn read(path: &Path) -> Result<impl Iterator<Item = Result<Letter, Error>> + use<>, Error> {
    let at = path.to_owned();
    let file = File::open(path).map_err(|source| Error::Folder { path: path.to_owned(), source })?;
    let lines = BufReader::new(file).lines().zip(1u64..);
    Ok(lines.filter_map(move |(text, line)| {
        let text = match text {
            Ok(text) if text.trim().is_empty() => return None,
            Ok(text) => text,
            Err(source) => return Some(Err(Error::Folder { path: at.clone(), source })),
        };
        let refuse = |reason: String| Error::Line { path: at.clone(), line, reason };
        Some(match serde_json::from_str(&text) {
            Ok(Value::Object(fields)) => {
                let letter = Letter { fields };
                letter.value().map(|_| letter.clone()).map_err(refuse)
            }
            Ok(_) => Err(refuse("it is no object".to_owned())),
            Err(error) => Err(refuse(error.to_string())),
        })
    }))
}

/// The letters of a file from now on; the file goes with the last of them.
pub(super) fn write(path: &Path, letters: &[Letter]) -> Result<(), Error> {
    let at = |source| Error::Folder { path: path.to_owned(), source };
    if letters.is_empty() {
        fs::remove_file(path).map_err(at)?;
        if let Some(folder) = path.parent() {
            fs::remove_dir(folder).ok();
        }
        return Ok(());
    }
    let text: String =
        letters.iter().map(|letter| Value::Object(letter.fields.clone()).to_string() + "\n").collect();
    replace(path, text.as_bytes()).map_err(at)
}

impl Letter {
    pub(super) fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The load that refused it.
    pub(super) fn load(&self) -> Option<&str> {
        self.fields.get("load").and_then(Value::as_str)
    }

    /// The record as it was received, or as it was edited.
    pub(super) fn value(&self) -> Result<Option<Vec<u8>>, String> {
        match (self.fields.get("value"), self.fields.get("value_base64")) {
            (Some(Value::String(text)), _) => Ok(Some(text.as_bytes().to_vec())),
            // A record of JSON that was edited as JSON.
            (Some(Value::Null), _) | (None, None) => Ok(None),
            (Some(value), _) => Ok(Some(value.to_string().into_bytes())),
            (None, Some(Value::String(text))) => {
                STANDARD.decode(text).map(Some).map_err(|error| format!("value_base64: {error}"))
            }
            (None, Some(_)) => Err("value_base64 is no text".to_owned()),
        }
    }

    fn header(&self, name: &str) -> Option<&Value> {
        let headers = self.fields.get("headers")?.as_array()?;
        headers.iter().find(|header| header["name"] == name)
    }

    /// It can be a record again, and is no part of one that is there already.
    pub(super) fn is_whole(&self) -> bool {
        let is_part = self.header(pipelines::PART).is_some()
            || (self.text("code") == code::TM1202.id && self.header(received::TYPES).is_none());
        !is_part && matches!(self.value(), Ok(Some(_)))
    }

    /// What its value is besides JSON: the types of what JSON has no word for.
    pub(super) fn types(&self) -> Option<Map<String, Value>> {
        serde_json::from_str(self.header(received::TYPES)?["value"].as_str()?).ok()
    }

    /// What the columns of its file were, where it is a record of CSV.
    pub(super) fn columns(&self) -> Option<Columns> {
        Columns::parse(self.header(received::COLUMNS)?["value"].as_str()?).ok()
    }

    /// The place without the record's own number, that, and whether it is a file: its lines stand behind a colon.
    pub(super) fn place(&self) -> Option<(&str, i64, bool)> {
        let place = self.text("place");
        let numbered = |separator| {
            let (place, number) = place.rsplit_once(separator)?;
            Some((place, number.parse().ok()?, separator == ':'))
        };
        numbered(':').or_else(|| numbered('/'))
    }

    /// Refused again, and why.
    pub(super) fn refused(&mut self, reject: &base::Reject) {
        for (field, text) in
            [("code", reject.code.id), ("reason", reject.reason.as_str()), ("stage", reject.stage)]
        {
            self.fields.insert(field.to_owned(), Value::from(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_as_somebody_edited_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.jsonl");
        let text = "{\"place\":\"a:b.csv:7\",\"value\":\"1,2\",\"load\":\"l\"}\n\n\
                    {\"place\":\"users/3\",\"value\":{\"n\":1}}\n{\"place\":\"x\",\"value_base64\":\"AP8=\"}\n";
        fs::write(&path, text).expect("writes");
        let letters: Vec<Letter> =
            read(&path).expect("opens").map(|letter| letter.expect("a letter")).collect();
        let values: Vec<_> =
            letters.iter().map(|letter| letter.value().expect("a value").expect("one")).collect();
        assert_eq!(values, [b"1,2".to_vec(), b"{\"n\":1}".to_vec(), vec![0, 255]]);
        let places: Vec<_> = letters.iter().map(Letter::place).collect();
        assert_eq!(places, [Some(("a:b.csv", 7, true)), Some(("users", 3, false)), None]);
        assert_eq!(letters[0].load(), Some("l"));
        write(&path, &letters[1..2]).expect("writes");
        assert_eq!(fs::read_to_string(&path).expect("reads").lines().count(), 1);
        write(&path, &[]).expect("removes");
        assert!(!folder.path().exists());
        for bad in ["{", "[]", "{\"value_base64\":\"?\"}"] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a.jsonl");
            fs::write(&path, bad).expect("writes");
            assert!(read(&path).expect("opens").any(|letter| letter.is_err()), "{bad}");
        }
    }
}
