//! Where files lie, how they are called, and what is done about those that another run left.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base::Fault;
use cloud::store::Bucket;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, path::Path as Key};

use crate::objects::Target;

/// A file or an object, or a folder of them.
pub struct Place {
    pub(super) target: Target,
    /// Where the store is a folder of this machine.
    local: Option<PathBuf>,
    layout: Layout,
}

enum Layout {
    One { key: String },
    Parts { folder: String, extension: String },
}

/// Numbers are as wide, so that names sort as they were written.
const DIGITS_COUNT: usize = 5;
const PART: &str = "part-";
const RETRY: &str = ".retry-";
/// S3 takes no part below 5 MiB but the last.
const BUCKET_PART_BYTES: usize = 8 << 20;
const LOCAL_PART_BYTES: usize = 1 << 20;

impl Place {
    /// One file of this machine; its folder is made.
    ///
    /// # Errors
    /// `cloud::Error::Store` where the folder cannot be made.
    pub fn file(path: &Path) -> Result<Self, cloud::Error> {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let key = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self::local(folder, Layout::One { key })
    }

    /// A folder of this machine, in which files end in `extension`.
    ///
    /// # Errors
    /// `cloud::Error::Store` where it cannot be made.
    pub fn folder(path: &Path, extension: String) -> Result<Self, cloud::Error> {
        Self::local(path, Layout::Parts { folder: String::new(), extension })
    }

    fn local(folder: &Path, layout: Layout) -> Result<Self, cloud::Error> {
        let store = cloud::store::folder(folder)?;
        let target = Target { store, bucket: None, place: folder.display().to_string().into() };
        Ok(Self { target, local: Some(folder.to_owned()), layout })
    }

    /// One object.
    pub fn object(bucket: Bucket, key: &str) -> Self {
        Self { target: Target::of(bucket), local: None, layout: Layout::One { key: key.to_owned() } }
    }

    /// All below a prefix of a bucket.
    pub fn prefix(bucket: Bucket, prefix: &str, extension: String) -> Self {
        let prefix = prefix.trim_matches('/');
        let folder = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { target: Target::of(bucket), local: None, layout: Layout::Parts { folder, extension } }
    }

    /// One more file beside those that this place has: the next part of a folder, `NAME.retry-00001.EXT` beside one file. None that is
    /// there is touched.
    ///
    /// # Errors
    /// The store cannot be asked what is there.
    pub async fn beside(self, extension: &str) -> Result<Self, Fault> {
        let key = match &self.layout {
            Layout::Parts { .. } => {
                let keys = self.keys().await.map_err(|error| self.fault(error))?;
                let last = keys.iter().filter_map(|key| self.number_of(key.as_ref())).max();
                self.key(last.map_or(0, |last| last + 1))
            }
            Layout::One { key } => {
                let (stem, ending) = apart(key, extension);
                let mut number = 1;
                loop {
                    let key = format!("{stem}{RETRY}{number:0DIGITS_COUNT$}{ending}");
                    if !self.has(&key).await? {
                        break key;
                    }
                    number += 1;
                }
            }
        };
        Ok(Self { layout: Layout::One { key }, ..self })
    }

    /// The name of its one file, or of a folder's first.
    pub fn name(&self) -> String {
        self.key(0)
    }

    /// Whether a file of this name is there.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn has(&self, name: &str) -> Result<bool, Fault> {
        let key = Key::parse(name).map_err(|error| Fault::Fatal(error.into()))?;
        match self.target.store.head(&key).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.target.fault(error, &key)),
        }
    }

    /// What lies in its folder.
    async fn keys(&self) -> object_store::Result<Vec<Key>> {
        let folder = Key::from(self.folder_key());
        let prefix = (!folder.as_ref().is_empty()).then_some(&folder);
        let listed = self.target.store.list_with_delimiter(prefix).await?;
        Ok(listed.objects.into_iter().map(|object| object.location).collect())
    }

    fn fault(&self, error: object_store::Error) -> Fault {
        self.target.fault(error, &Key::from(self.folder_key()))
    }

    pub(super) fn is_one(&self) -> bool {
        matches!(self.layout, Layout::One { .. })
    }

    /// The name of the file of this number.
    pub(super) fn key(&self, number: u64) -> String {
        match &self.layout {
            Layout::One { key } => key.clone(),
            Layout::Parts { folder, extension } => {
                format!("{folder}{PART}{number:0DIGITS_COUNT$}{extension}")
            }
        }
    }

    /// The number of a file that a run of ours wrote here.
    fn number_of(&self, key: &str) -> Option<u64> {
        match &self.layout {
            Layout::One { key: own } => (own == key).then_some(0),
            Layout::Parts { folder, extension } => {
                let number = key.strip_prefix(&**folder)?.strip_prefix(PART)?.strip_suffix(&**extension)?;
                let is_number =
                    number.len() >= DIGITS_COUNT && number.bytes().all(|byte| byte.is_ascii_digit());
                number.parse().ok().filter(|_| is_number)
            }
        }
    }

    /// How much of a file goes to the store at once.
    pub(super) fn part_bytes(&self) -> usize {
        if self.local.is_some() { LOCAL_PART_BYTES } else { BUCKET_PART_BYTES }
    }

    fn folder_key(&self) -> &str {
        match &self.layout {
            Layout::One { key } => key.rsplit_once('/').map_or("", |(folder, _)| folder),
            Layout::Parts { folder, .. } => folder.trim_end_matches('/'),
        }
    }

    /// The bucket is there, and what an earlier life left half written is given up.
    pub(super) async fn begin(&self) -> Result<(), Fault> {
        if let Some(local) = &self.local {
            return self.remove_half_written(local).map_err(|source| {
                let place = local.display().to_string();
                cloud::Error::Store { place, source: source.into() }.into_fault()
            });
        }
        let Some(bucket) = &self.target.bucket else { return Ok(()) };
        match bucket.check().await {
            Err(error) if !error.is_policy() => return Err(error.into_fault()),
            _ => {}
        }
        let prefix = match &self.layout {
            Layout::One { key } => key,
            Layout::Parts { folder, .. } => folder,
        };
        let uploads = match bucket.list_uploads(prefix).await {
            Ok(uploads) => uploads,
            // Whoever may only write finds none to give up.
            Err(error) if error.is_policy() => return Ok(()),
            Err(error) => return Err(error.into_fault()),
        };
        for upload in uploads.iter().filter(|upload| self.number_of(&upload.key).is_some()) {
            bucket.abort_upload(upload).await.map_err(cloud::Error::into_fault)?;
        }
        Ok(())
    }

    /// The store writes to `NAME#1` and renames it; a kill in between leaves that.
    fn remove_half_written(&self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some((whole, number)) = name.rsplit_once('#')
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && self.number_of(whole).is_some()
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes files that an earlier and longer run left beyond the last of this one.
    pub(super) async fn finish(&self, files_count: u64) -> Result<(), Fault> {
        if self.is_one() {
            return Ok(());
        }
        let keys = match self.keys().await {
            Ok(keys) => keys,
            // Whoever may only write leaves them: they are told apart by their numbers.
            Err(object_store::Error::PermissionDenied { .. }) => return Ok(()),
            Err(error) => return Err(self.fault(error)),
        };
        let is_left = |key: &Key| self.number_of(key.as_ref()).is_some_and(|number| number >= files_count);
        let left = keys.into_iter().filter(is_left);
        let gone =
            futures::stream::iter(left).map(Ok::<_, object_store::Error>).try_for_each(|key| async move {
                match self.target.store.delete(&key).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            });
        gone.await.map_err(|error| self.fault(error))
    }
}

/// A name without its ending, and that: the format's own, or what stands behind the last dot.
fn apart<'a>(key: &'a str, extension: &str) -> (&'a str, &'a str) {
    let name_at = key.rfind('/').map_or(0, |slash| slash + 1);
    let dot = match key.ends_with(extension) {
        true => Some(key.len() - extension.len()),
        false => key[name_at..].rfind('.').map(|dot| name_at + dot),
    };
    key.split_at(dot.filter(|dot| *dot > name_at).unwrap_or(key.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_at_their_endings() {
        assert_eq!(apart("a.b/out.v2.jsonl.gz", ".jsonl.gz"), ("a.b/out.v2", ".jsonl.gz"));
        assert_eq!(apart("out.ndjson", ".jsonl"), ("out", ".ndjson"));
        assert_eq!(apart("a.b/out", ".csv"), ("a.b/out", ""));
        assert_eq!(apart(".jsonl", ".jsonl"), (".jsonl", ""));
    }

    #[tokio::test]
    async fn what_comes_beside_takes_nothings_place() {
        let folder = tempfile::tempdir().unwrap();
        let parts = || Place::folder(folder.path(), ".csv".to_owned()).unwrap();
        assert_eq!(parts().beside(".csv").await.unwrap().name(), "part-00000.csv");
        for name in ["part-00000.csv", "part-00007.csv", "part-00009.jsonl", "out.csv", "out.retry-00001.csv"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(parts().beside(".csv").await.unwrap().name(), "part-00008.csv");
        let one = Place::file(&folder.path().join("out.csv")).unwrap().beside(".csv").await.unwrap();
        assert_eq!(one.name(), "out.retry-00002.csv");
        assert!(!one.has(&one.name()).await.unwrap() && one.has("part-00007.csv").await.unwrap());
    }
}
