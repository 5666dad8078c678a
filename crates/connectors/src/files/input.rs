//! What a file source reads from: files, standard input, objects of a bucket, addresses of the web.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cloud::store::Bucket;
use url::Url;

/// One thing to read, by the name that it has in places, messages and positions.
#[derive(Debug, Clone)]
pub struct Input {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    File(PathBuf),
    Stdin,
    Object { bucket: Box<Bucket>, key: String },
    Web(Url),
}

impl Input {
    /// A file; `-` is standard input.
    pub fn file(path: PathBuf) -> Self {
        let name = path.to_string_lossy().into();
        let kind = if path == Path::new("-") { Kind::Stdin } else { Kind::File(path) };
        Self { name, kind }
    }

    pub fn object(bucket: Bucket, key: String) -> Self {
        let name = format!("{}/{key}", bucket.address()).into();
        Self { name, kind: Kind::Object { bucket: Box::new(bucket), key } }
    }

    /// An `http://` or `https://` address. What stands behind `?` may be a signature, and is part of no name.
    pub fn web(url: Url) -> Self {
        let mut bare = url.clone();
        bare.set_query(None);
        bare.set_fragment(None);
        bare.set_username("").ok();
        bare.set_password(None).ok();
        Self { name: bare.as_str().into(), kind: Kind::Web(url) }
    }

    /// As it is called in places and positions.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The file, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.kind {
            Kind::File(path) => Some(path),
            Kind::Stdin | Kind::Object { .. } | Kind::Web(_) => None,
        }
    }

    pub(super) fn is_remote(&self) -> bool {
        matches!(self.kind, Kind::Object { .. } | Kind::Web(_))
    }
}
