//! Where a split goes on after any end of the process: the trait, none at all, and a file with a lock.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use base::{Extent, Fault, Position, Receipt, Saved, Split};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::Error;

#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// What was saved last; the default where nothing was.
    async fn load(&self, split: &Split) -> Result<Saved, Fault>;
    /// Durable when it returns. `Fault::Lost` when another life has taken over.
    async fn save(&self, extent: &Extent, receipt: &Receipt) -> Result<(), Fault>;
}

/// Kept in memory only: a transfer that begins at the start each time.
#[derive(Debug, Default)]
pub struct NoCheckpoints(Mutex<BTreeMap<Arc<str>, Saved>>);

#[async_trait]
impl Checkpoints for NoCheckpoints {
    async fn load(&self, split: &Split) -> Result<Saved, Fault> {
        Ok(self.0.lock().get(&split.id).cloned().unwrap_or_default())
    }

    async fn save(&self, extent: &Extent, receipt: &Receipt) -> Result<(), Fault> {
        let saved = Saved { position: extent.end.clone(), receipt: receipt.clone() };
        self.0.lock().insert(extent.split.id.clone(), saved);
        Ok(())
    }
}

const VERSION: u32 = 1;
/// A checkpoint file larger than this is not one.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// `FOLDER/TRANSFER.json`, replaced as a whole by rename, and `TRANSFER.lock`, locked as long as the process lives.
///
/// The lock keeps two processes of one machine apart. Where a file system keeps no locks the epoch does: each life
/// raises it in the file, and a save that finds another epoch than its own is refused with `Lost`.
pub struct FileCheckpoints {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    path: PathBuf,
    document: Document,
    /// Holds the lock until it is dropped.
    _lock: File,
}

/// The file, version 1. It is read by every later version; see `fixtures/checkpoint/v1.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    transfer: String,
    epoch: u64,
    splits: BTreeMap<Arc<str>, SavedText>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedText {
    position: PositionText,
    /// Base64; left out when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    receipt: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PositionText {
    Start,
    Mark(i64),
    /// Base64.
    Token(String),
}

impl FileCheckpoints {
    /// Locks and reads the checkpoint of `transfer`, and opens a new epoch.
    ///
    /// # Errors
    /// `Locked` where another process holds it; `CheckpointFile`, `CheckpointFormat`.
    pub fn open(folder: &Path, transfer: &str) -> Result<Self, Error> {
        let name: String = transfer
            .chars()
            .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' })
            .collect();
        let path = folder.join(format!("{name}.json"));
        let at = |source| Error::CheckpointFile { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(at)?;
        let lock_path = folder.join(format!("{name}.lock"));
        let lock = lock(&lock_path, transfer).map_err(|failure| match failure {
            Ok(error) => error,
            Err(source) => at(source),
        })?;
        let mut document = match read(&path)? {
            Some(document) => document,
            None => Document {
                version: VERSION,
                transfer: transfer.to_owned(),
                epoch: 0,
                splits: BTreeMap::new(),
            },
        };
        document.epoch += 1;
        write(&path, &document).map_err(at)?;
        Ok(Self { inner: Arc::new(Mutex::new(Inner { path, document, _lock: lock })) })
    }

    /// Nothing is saved any more; the lock and the epoch stay.
    ///
    /// # Errors
    /// `CheckpointFile`.
    pub fn forget(&self) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        inner.document.splits.clear();
        let path = &inner.path;
        write(path, &inner.document).map_err(|source| Error::CheckpointFile { path: path.clone(), source })
    }

    /// A split that is done for good is told of no more, from the next save on.
    pub fn drop_split(&self, split: &str) {
        self.inner.lock().document.splits.remove(split);
    }

    /// What is saved of every split, by its id.
    ///
    /// # Errors
    /// `CheckpointFormat`.
    pub fn all(&self) -> Result<Vec<(Arc<str>, Saved)>, Error> {
        let inner = self.inner.lock();
        let saved = |id: &Arc<str>| Ok((id.clone(), inner.load(id)?));
        inner.document.splits.keys().map(saved).collect()
    }
}

/// `Err(Ok(..))`: somebody holds it; `Err(Err(..))`: the file cannot be opened.
fn lock(path: &Path, transfer: &str) -> Result<File, Result<Error, io::Error>> {
    let mut file =
        File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(Err)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            (&file).take(64).read_to_string(&mut holder).ok();
            let holder = format!("process {}", holder.trim());
            return Err(Ok(Error::Locked { transfer: transfer.to_owned(), path: path.to_owned(), holder }));
        }
        Err(fs::TryLockError::Error(error)) => return Err(Err(error)),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(Err)?;
    Ok(file)
}

fn read(path: &Path) -> Result<Option<Document>, Error> {
    let at = |source| Error::CheckpointFile { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(error)),
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(at)?;
    let refuse = |reason: String| Error::CheckpointFormat { path: path.to_owned(), reason };
    let version: Versioned = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    if version.version != VERSION {
        return Err(refuse(format!("version {}; this program reads {VERSION}", version.version)));
    }
    serde_json::from_str(&text).map(Some).map_err(|error| refuse(error.to_string()))
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Whole or not at all: a new file, synced, renamed over the old one, and the folder synced.
fn write(path: &Path, document: &Document) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(document)?;
    text.push(b'\n');
    replace(path, &text)
}

/// A file, whole or not at all: written beside it, synced, renamed over it, and its folder synced.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

impl Inner {
    fn save(&mut self, extent: &Extent, receipt: &Receipt) -> Result<(), Fault> {
        let fatal = |error: Error| Fault::Fatal(Box::new(error));
        match read(&self.path).map_err(fatal)? {
            Some(on_disk) if on_disk.epoch == self.document.epoch => {}
            _ => {
                let transfer = self.document.transfer.clone();
                return Err(Fault::Lost(Box::new(Error::Fenced { transfer, path: self.path.clone() })));
            }
        }
        let saved =
            SavedText { position: PositionText::of(&extent.end), receipt: STANDARD.encode(&receipt.0) };
        self.document.splits.insert(extent.split.id.clone(), saved);
        let at = |source| fatal(Error::CheckpointFile { path: self.path.clone(), source });
        write(&self.path, &self.document).map_err(at)
    }

    fn load(&self, split: &str) -> Result<Saved, Error> {
        let Some(saved) = self.document.splits.get(split) else { return Ok(Saved::default()) };
        let decode = |text: &str| {
            let refuse = |error: base64::DecodeError| Error::CheckpointFormat {
                path: self.path.clone(),
                reason: format!("split {split}: {error}"),
            };
            STANDARD.decode(text).map(Bytes::from).map_err(refuse)
        };
        let position = match &saved.position {
            PositionText::Start => Position::Start,
            PositionText::Mark(mark) => Position::Mark(*mark),
            PositionText::Token(token) => Position::Token(decode(token)?),
        };
        Ok(Saved { position, receipt: Receipt(decode(&saved.receipt)?) })
    }
}

impl PositionText {
    fn of(position: &Position) -> Self {
        match position {
            Position::Start => PositionText::Start,
            Position::Mark(mark) => PositionText::Mark(*mark),
            Position::Token(token) => PositionText::Token(STANDARD.encode(token)),
        }
    }
}

#[async_trait]
impl Checkpoints for FileCheckpoints {
    async fn load(&self, split: &Split) -> Result<Saved, Fault> {
        self.inner.lock().load(&split.id).map_err(Error::fatal)
    }

    async fn save(&self, extent: &Extent, receipt: &Receipt) -> Result<(), Fault> {
        let (inner, extent, receipt) = (self.inner.clone(), extent.clone(), receipt.clone());
        let saved = tokio::task::spawn_blocking(move || inner.lock().save(&extent, &receipt)).await;
        saved.unwrap_or_else(|error| Err(Fault::Fatal(Box::new(error))))
    }
}

#[cfg(test)]
mod tests;
