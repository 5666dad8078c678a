//! Where rejected records go, so that none is silently dropped: the trait, none at all, and a folder of JSON Lines.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use base::{Extent, Fault, Reject, Rejects, Split};
use base64::{Engine, engine::general_purpose::STANDARD};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::{Error, checkpoints::replace};

#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Takes rejects of the open extent of `split`. May send them at once or keep them until `flush`.
    async fn put(&self, split: &Split, rejects: Rejects) -> Result<(), Fault>;
    /// All that was put for the extent is durable when it returns. Called before the sink's commit; the same extent
    /// start may come again in a later life.
    async fn flush(&self, extent: &Extent) -> Result<(), Fault>;
    /// The lane begins again from its checkpoint: what was put since the last flush will come again.
    async fn discard(&self, split: &Split);
}

/// For `OnError::Stop`, where no reject is ever put.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoDeadLetters;

#[async_trait]
impl DeadLetters for NoDeadLetters {
    async fn put(&self, _: &Split, _: Rejects) -> Result<(), Fault> {
        Ok(())
    }
    async fn flush(&self, _: &Extent) -> Result<(), Fault> {
        Ok(())
    }
    async fn discard(&self, _: &Split) {}
}

/// One JSON Lines file for each extent that has rejects: `FOLDER/SPLIT+START.jsonl`, replaced as a whole.
///
/// A line holds `place`, `code`, `reason`, `stage`, and the record as it was received: `key` and `value` as text, or
/// `key_base64` and `value_base64` where they are not UTF-8, `headers`, `timestamp_ms`; `load` where it is one of a load.
pub struct FileDeadLetters {
    folder: PathBuf,
    /// Which load they are of, so that they can be sent again by its arguments.
    load: Option<Arc<str>>,
    open: Arc<Mutex<HashMap<Arc<str>, Lines>>>,
}

const ENDING: &str = "jsonl";
/// Read at once while lines are counted.
const COUNTED_BYTES: usize = 64 << 10;

#[derive(Default)]
struct Lines {
    text: Vec<u8>,
}

impl FileDeadLetters {
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), load: None, open: Arc::default() }
    }

    pub fn of_load(folder: &Path, load: Arc<str>) -> Self {
        Self { load: Some(load), ..Self::at(folder) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many rejects lie there, of this life and earlier ones.
    ///
    /// # Errors
    /// What keeps the folder from being read.
    pub fn count(&self) -> io::Result<u64> {
        let files = match fs::read_dir(&self.folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let (mut count, mut part) = (0, vec![0; COUNTED_BYTES]);
        for file in files {
            let path = file?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            let mut file = fs::File::open(path)?;
            loop {
                match file.read(&mut part)? {
                    0 => break,
                    read => count += part[..read].iter().filter(|byte| **byte == b'\n').count() as u64,
                }
            }
        }
        Ok(count)
    }

    fn path(&self, extent: &Extent) -> PathBuf {
        let id: String = extent
            .split
            .id
            .chars()
            .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' })
            .collect();
        self.folder.join(format!("{id}+{}.{ENDING}", extent.start))
    }
}

/// A reject as a line of JSON.
fn line(reject: &Reject, load: Option<&str>) -> String {
    let mut fields = Map::new();
    fields.insert("place".to_owned(), json!(reject.origin.to_string()));
    fields.insert("code".to_owned(), json!(reject.code.id));
    fields.insert("reason".to_owned(), json!(reject.reason));
    fields.insert("stage".to_owned(), json!(reject.stage));
    if let Some(load) = load {
        fields.insert("load".to_owned(), json!(load));
    }
    put_bytes(&mut fields, "key", reject.key.as_deref());
    put_bytes(&mut fields, "value", reject.value.as_deref());
    if !reject.headers.is_empty() {
        let header = |header: &base::Header| {
            let mut fields = Map::new();
            fields.insert("name".to_owned(), json!(&*header.name));
            put_bytes(&mut fields, "value", header.value.as_deref());
            Value::Object(fields)
        };
        fields.insert("headers".to_owned(), reject.headers.iter().map(header).collect());
    }
    if let Some(timestamp_ms) = reject.timestamp_ms {
        fields.insert("timestamp_ms".to_owned(), json!(timestamp_ms));
    }
    Value::Object(fields).to_string()
}

fn put_bytes(fields: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => {}
        Some((_, Ok(text))) => {
            fields.insert(name.to_owned(), json!(text));
        }
        Some((bytes, Err(_))) => {
            fields.insert(format!("{name}_base64"), json!(STANDARD.encode(bytes)));
        }
    }
}

#[async_trait]
impl DeadLetters for FileDeadLetters {
    async fn put(&self, split: &Split, rejects: Rejects) -> Result<(), Fault> {
        let mut open = self.open.lock();
        let lines = open.entry(split.id.clone()).or_default();
        for reject in &rejects.0 {
            lines.text.extend_from_slice(line(reject, self.load.as_deref()).as_bytes());
            lines.text.push(b'\n');
        }
        Ok(())
    }

    async fn flush(&self, extent: &Extent) -> Result<(), Fault> {
        let lines = self.open.lock().remove(&extent.split.id);
        let (folder, path, place) = (self.folder.clone(), self.path(extent), extent.split.place.clone());
        let written = tokio::task::spawn_blocking(move || {
            let wrote = match lines {
                Some(lines) => fs::create_dir_all(&folder).and_then(|()| replace(&path, &lines.text)),
                // An earlier life may have cut this extent further on, and found rejects there that the next one has.
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            };
            wrote.map_err(|source| Error::DeadLetterFile { path, place, source }.fatal())
        });
        written.await.unwrap_or_else(|error| Err(Fault::Fatal(Box::new(error))))
    }

    async fn discard(&self, split: &Split) {
        self.open.lock().remove(&split.id);
    }
}

#[cfg(test)]
mod tests;
