//! The files in which AWS's tools keep what a sign-in gave them: JSON, of the one user, replaced as a whole.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use base::Secret;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::Error;

/// A cache file is some KiB; what is larger is none.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// `None` where it is not there, or no JSON: then there is no sign-in.
pub(crate) fn read(path: &Path) -> Option<Value> {
    if fs::metadata(path).ok()?.len() > FILE_BYTES_MAX {
        return None;
    }
    let text = Secret::new(fs::read_to_string(path).ok()?);
    serde_json::from_str(text.reveal()).ok()
}

/// Written beside it, for nobody else to read, and then put in its place: whoever reads finds the old or the new one.
pub(crate) fn write(path: &Path, value: &Value) -> Result<(), Error> {
    let text = Secret::new(format!("{value:#}\n"));
    let write = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let beside = folder.join(format!(".{}.new", crate::pkce::random_text()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let written = file.write_all(text.reveal().as_bytes()).and_then(|()| file.sync_all());
        let placed = written.and_then(|()| fs::rename(&beside, path));
        if placed.is_err() {
            fs::remove_file(&beside).ok();
        }
        placed
    };
    write().map_err(|source| Error::FileUnwritable { path: path.to_owned(), source })
}

/// As the AWS CLI writes a time.
pub(crate) fn time_text(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
