//! Where objects lie: a folder for each bucket, a file for each object, and beside them what HTTP says of an object.
//!
//! An object is written under a temporary name and renamed when it is whole and checked: a kill at any moment leaves the
//! old object or the new one, never a part. Its attributes (`.meta/`) name the very file that they belong to, by inode, size
//! and time, so attributes that a kill left behind are never taken for another object's.

mod attributes;
mod uploads;

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use s3s::{
    S3Error, S3ErrorCode, S3Result,
    crypto::{Checksum as _, Md5},
    dto::ETagCondition,
    s3_error,
};
use uuid::Uuid;

use crate::s3::keys;

pub(crate) use attributes::{Attributes, Headers};

const TEMPORARY: &str = ".tmp";
const META: &str = ".meta";
const UPLOADS: &str = ".uploads";

#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) root: PathBuf,
    /// Held while names change: publishing, deleting, checking a condition. Never while bytes are read or written.
    names: Mutex<()>,
    is_synced: bool,
}

/// An object as a request sees it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    pub(crate) modified: SystemTime,
    pub(crate) attributes: Attributes,
}

/// `If-Match` and `If-None-Match`.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
}

impl Disk {
    /// Makes the folders and throws away what an earlier life left half-written.
    pub(crate) fn open(root: &Path, is_synced: bool) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        match fs::remove_dir_all(root.join(TEMPORARY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for folder in [TEMPORARY, META, UPLOADS] {
            fs::create_dir_all(root.join(folder))?;
        }
        Ok(Self { root, names: Mutex::new(()), is_synced })
    }

    /// A name for a file that is being written; nobody else has it.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join(TEMPORARY).join(Uuid::new_v4().to_string())
    }

    pub(crate) fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let path = self.root.join(bucket);
        // `s3s` has checked the name: it has no slash and does not start with a dot.
        if s3s::path::check_bucket_name(bucket) && path.is_dir() {
            Ok(path)
        } else {
            Err(s3_error!(NoSuchBucket))
        }
    }

    pub(crate) fn create_bucket(&self, bucket: &str) -> S3Result<()> {
        match fs::create_dir(self.root.join(bucket)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(s3_error!(BucketAlreadyOwnedByYou))
            }
            made => made.map_err(failed),
        }
    }

    pub(crate) fn delete_bucket(&self, bucket: &str) -> S3Result<()> {
        let path = self.bucket(bucket)?;
        let _names = self.lock_names();
        if has_file(&path).map_err(failed)? {
            return Err(s3_error!(BucketNotEmpty));
        }
        fs::remove_dir_all(&path).map_err(failed)?;
        fs::remove_dir_all(self.root.join(META).join(bucket)).ok();
        Ok(())
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        Ok(self.bucket(bucket)?.join(keys::path_of(key)?))
    }

    fn meta(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        Ok(self.root.join(META).join(bucket).join(keys::path_of(key)?))
    }

    pub(crate) fn find(&self, bucket: &str, key: &str) -> S3Result<Found> {
        let file = match File::open(self.object(bucket, key)?) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Err(s3_error!(NoSuchKey)),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(s3_error!(NoSuchKey));
        }
        let attributes = self.attributes(bucket, key, &file)?;
        Ok(Found { bytes: metadata.len(), modified: metadata.modified().map_err(failed)?, attributes, file })
    }

    /// The ETag of an object that a listing has found; `None` when it has gone since.
    pub(crate) fn etag(&self, bucket: &str, key: &str) -> Option<String> {
        self.find(bucket, key).ok().map(|found| found.attributes.etag)
    }

    fn attributes(&self, bucket: &str, key: &str, file: &File) -> S3Result<Attributes> {
        let identity = identity(file).map_err(failed)?;
        if let Ok(text) = fs::read(self.meta(bucket, key)?)
            && let Some(attributes) = Attributes::read(&text, &identity)
        {
            return Ok(attributes);
        }
        // Put there by hand, or a kill came between the object and its attributes.
        let etag = md5_of(&mut file.try_clone().map_err(failed)?).map_err(failed)?;
        Ok(Attributes { etag, ..Attributes::default() })
    }

    /// Makes a whole file visible as an object. What was there before is replaced in one step.
    pub(crate) fn publish(
        &self,
        temporary: &Path,
        bucket: &str,
        key: &str,
        attributes: &Attributes,
        conditions: &Conditions,
    ) -> S3Result<()> {
        let (object, meta) = (self.object(bucket, key)?, self.meta(bucket, key)?);
        let file = File::open(temporary).map_err(failed)?;
        if self.is_synced {
            file.sync_all().map_err(failed)?;
        }
        let text = attributes.write(&identity(&file).map_err(failed)?);
        let temporary_meta = self.temporary();
        fs::write(&temporary_meta, text).map_err(failed)?;
        let _names = self.lock_names();
        self.check(bucket, key, conditions)?;
        rename(temporary, &object)?;
        rename(&temporary_meta, &meta)?;
        if self.is_synced
            && let Some(folder) = object.parent()
        {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Ok(())
    }

    /// Whether the conditions of a write hold; the caller keeps the names locked.
    fn check(&self, bucket: &str, key: &str, conditions: &Conditions) -> S3Result<()> {
        if conditions.if_match.is_none() && conditions.if_none_match.is_none() {
            return Ok(());
        }
        let etag = match self.find(bucket, key) {
            Ok(found) => Some(found.attributes.etag),
            Err(error) if *error.code() == S3ErrorCode::NoSuchKey => None,
            Err(error) => return Err(error),
        };
        let fits = |condition: &ETagCondition| match (condition.as_etag(), &etag) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(wanted), Some(etag)) => wanted.value() == etag,
        };
        if conditions.if_none_match.as_ref().is_some_and(fits)
            || conditions.if_match.as_ref().is_some_and(|c| !fits(c))
        {
            return Err(s3_error!(PreconditionFailed));
        }
        Ok(())
    }

    /// An object that is not there is as good as deleted, as S3 has it.
    pub(crate) fn delete(&self, bucket: &str, key: &str) -> S3Result<()> {
        let (object, meta) = (self.object(bucket, key)?, self.meta(bucket, key)?);
        let _names = self.lock_names();
        match fs::remove_file(&object) {
            Err(error) if !is_absent(&error) && error.kind() != io::ErrorKind::IsADirectory => {
                return Err(failed(error));
            }
            _ => {}
        }
        fs::remove_file(&meta).ok();
        remove_empty_folders(&object, &self.root.join(bucket));
        remove_empty_folders(&meta, &self.root.join(META).join(bucket));
        Ok(())
    }

    fn lock_names(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data: one that panicked while holding it left nothing half-done in memory.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renames into place, making the folders that the name needs.
fn rename(from: &Path, to: &Path) -> S3Result<()> {
    let conflict =
        || s3_error!(InvalidRequest, "a key cannot be an object and a folder of others at once here");
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => conflict(),
            _ => failed(error),
        })?;
    }
    fs::rename(from, to).map_err(|error| match error.kind() {
        io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty => conflict(),
        _ => failed(error),
    })
}

fn remove_empty_folders(file: &Path, top: &Path) {
    let mut folder = file.parent();
    // `remove_dir` refuses a folder that is not empty: that ends the climb.
    while let Some(path) = folder.filter(|path| *path != top && path.starts_with(top)) {
        if fs::remove_dir(path).is_err() {
            return;
        }
        folder = path.parent();
    }
}

/// Whether any file lies below; empty folders do not count.
pub(crate) fn has_file(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || has_file(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a rename keeps and another write changes.
fn identity(file: &File) -> io::Result<String> {
    let metadata = file.metadata()?;
    Ok(format!("{}:{}:{}.{:09}", metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

fn md5_of(reader: &mut impl Read) -> io::Result<String> {
    let mut md5 = Md5::new();
    let mut block = vec![0; 64 << 10];
    loop {
        match reader.read(&mut block)? {
            0 => return Ok(hex(&md5.finalize())),
            count => md5.update(&block[..count]),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Our disk's fault: an answer of 500 that clients try again.
pub(crate) fn failed(error: io::Error) -> S3Error {
    tracing::warn!(%error, "the S3 endpoint's disk failed");
    let message = error.to_string();
    let mut answer = S3Error::with_source(S3ErrorCode::InternalError, Box::new(error));
    answer.set_message(message);
    answer
}

#[cfg(test)]
mod tests;
