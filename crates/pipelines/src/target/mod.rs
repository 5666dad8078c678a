//! The lake: a folder of an object store with a folder for each table, as dlt's filesystem destination lays it out.
//!
//! `sink` writes the tables' files, `encode` makes their bytes (`dictionary` says which columns get none), `ledger` writes
//! what dlt keeps beside them. Whose keys open the store is the caller's business.

mod dictionary;
pub(crate) mod encode;
pub(crate) mod ledger;
pub(crate) mod open_files;
pub(crate) mod sink;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use base::Fault;
use bytes::Bytes;
use connectors::objects::Target;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path};

/// The folder of a dataset in an object store.
#[derive(Clone)]
pub struct Lake {
    pub(crate) target: Target,
    /// Of the dataset, below the store; without a slash at its end.
    folder: Arc<str>,
    /// Where the store is a folder of this machine: the dataset's.
    local: Option<PathBuf>,
}

/// Files that are not shown yet lie below this folder, by pipeline and load.
pub(crate) const STAGING: &str = "_staging";
/// S3 takes no part below 5 MiB but the last; a larger one only holds more memory.
const PART_BYTES: usize = 5 << 20;
/// A folder takes any: what waits for its part is held for each open file.
const LOCAL_PART_BYTES: usize = 256 << 10;
/// A file of dlt's that says that the dataset is one.
const INIT: &str = "init";
const INIT_TEXT: &str = "{\"initial_version\":2,\"current_version\":2}";

impl Lake {
    /// `folder` is the path below the store, `dataset` the folder below that.
    pub fn new(target: Target, folder: &str, dataset: &str) -> Self {
        let parts = folder.split('/').chain(dataset.split('/')).filter(|part| !part.is_empty());
        let folder = parts.collect::<Vec<_>>().join("/").into();
        Self { target, folder, local: None }
    }

    /// A folder of this machine.
    ///
    /// # Errors
    /// `cloud::Error::Store` where it cannot be made.
    pub fn in_folder(path: &FilePath, shown: &str, dataset: &str) -> Result<Self, cloud::Error> {
        let target = Target { store: cloud::store::folder(path)?, bucket: None, place: shown.into() };
        Ok(Self { local: Some(path.join(dataset)), ..Self::new(target, "", dataset) })
    }

    /// As people write it.
    pub fn address(&self) -> String {
        format!("{}/{}", self.target.place, self.folder)
    }

    /// A path below the dataset as the store's key.
    pub(crate) fn key(&self, path: &str) -> String {
        format!("{}/{path}", self.folder)
    }

    /// How much of a file goes to the store at once.
    pub(crate) fn part_bytes(&self) -> usize {
        if self.local.is_some() { LOCAL_PART_BYTES } else { PART_BYTES }
    }

    fn path(&self, path: &str) -> Path {
        Path::from(self.key(path))
    }

    /// The bucket is there; what a policy hides is tried all the same.
    pub(crate) async fn check(&self) -> Result<(), Fault> {
        let Some(bucket) = &self.target.bucket else { return Ok(()) };
        match bucket.check().await {
            Err(error) if error.is_policy() => Ok(()),
            checked => checked.map_err(cloud::Error::into_fault),
        }
    }

    pub(crate) async fn put(&self, path: &str, text: impl Into<Bytes>) -> Result<(), Fault> {
        let key = self.path(path);
        let put = self.target.store.put(&key, PutPayload::from(text.into())).await;
        put.map(drop).map_err(|error| self.target.fault(error, &key))
    }

    /// `None` where it is not there.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Bytes>, Fault> {
        let key = self.path(path);
        let fault = |error| self.target.fault(error, &key);
        match self.target.store.get(&key).await {
            Ok(found) => found.bytes().await.map(Some).map_err(fault),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// Every file whose path below the dataset begins with `prefix`, sorted; dlt's `init` is none.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        // Stores list by whole folders; the rest of the prefix is looked at here.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = Path::from(self.key(folder).trim_end_matches('/').to_owned());
        let base = format!("{}/", self.folder);
        let listed = self.target.store.list(Some(&folder)).map_ok(|object| object.location.to_string());
        let mut found: Vec<String> =
            listed.try_collect().await.map_err(|error| self.target.fault(error, &folder))?;
        found = found.iter().filter_map(|key| key.strip_prefix(&base)).map(str::to_owned).collect();
        found.retain(|path| path.starts_with(prefix) && path.rsplit('/').next() != Some(INIT));
        found.sort();
        Ok(found)
    }

    /// One that is not there is as good.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Fault> {
        self.delete_key(&self.path(path)).await
    }

    pub(crate) async fn delete_key(&self, key: &Path) -> Result<(), Fault> {
        match self.target.store.delete(key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.target.fault(error, key)),
        }
    }

    /// Moves a file; one that has moved already is as good.
    pub(crate) async fn rename(&self, from: &str, to: &str) -> Result<(), Fault> {
        let (from, to) = (self.path(from), self.path(to));
        match self.target.store.rename(&from, &to).await {
            Ok(()) => Ok(()),
            Err(object_store::Error::NotFound { .. }) if self.target.store.head(&to).await.is_ok() => Ok(()),
            Err(error) => Err(self.target.fault(error, &from)),
        }
    }

    /// What makes the folder a dataset to dlt.
    pub(crate) async fn initialize(&self) -> Result<(), Fault> {
        if self.get(INIT).await?.is_none() {
            self.put(INIT, INIT_TEXT).await?;
        }
        Ok(())
    }

    /// Gives up what earlier lives left half written: uploads without an end, the files that stand for them in a folder,
    /// and hidden files of loads that are given up. The load's own have its id in their names, or are among `open`: not
    /// every layout names the load.
    pub(crate) async fn tidy(&self, pipeline: &str, load_id: &str, open: &[String]) -> Result<(), Fault> {
        let own = format!("{STAGING}/{pipeline}/{load_id}/");
        for path in self.list(&format!("{STAGING}/{pipeline}/")).await? {
            if !path.starts_with(&own) {
                self.delete(&path).await?;
            }
        }
        if let Some(local) = self.local.clone() {
            let (load_id, open) = (load_id.to_owned(), open.to_vec());
            let is_own = move |path: &FilePath| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name == INIT || name.contains(&load_id) || open.iter().any(|key| path.ends_with(key))
            };
            let tidied = tokio::task::spawn_blocking(move || remove_half_written(&local, &is_own)).await;
            let fault =
                |source: base::BoxError| cloud::Error::Store { place: self.address(), source }.into_fault();
            return tidied.map_err(|error| fault(error.into()))?.map_err(|error| fault(error.into()));
        }
        let Some(bucket) = &self.target.bucket else { return Ok(()) };
        let uploads = match bucket.list_uploads(&format!("{}/", self.folder)).await {
            Ok(uploads) => uploads,
            Err(error) if error.is_policy() => return Ok(()),
            Err(error) => return Err(error.into_fault()),
        };
        let is_own = |key: &String| key.contains(load_id) || open.contains(key);
        for upload in uploads.iter().filter(|upload| is_own(&upload.key)) {
            bucket.abort_upload(upload).await.map_err(cloud::Error::into_fault)?;
        }
        Ok(())
    }

    /// The empty folders of what was staged; only a disk has such.
    pub(crate) fn remove_staging(&self, pipeline: &str) {
        let Some(local) = &self.local else { return };
        fs::remove_dir_all(local.join(STAGING).join(pipeline)).ok();
        // Only where no other pipeline has something there.
        fs::remove_dir(local.join(STAGING)).ok();
    }
}

/// The store writes to `NAME#1` and renames it; a kill in between leaves that.
fn remove_half_written(folder: &FilePath, is_own: &dyn Fn(&FilePath) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            remove_half_written(&entry.path(), is_own)?;
        } else if let Some((whole, number)) = name.rsplit_once('#')
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && is_own(&folder.join(whole))
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
