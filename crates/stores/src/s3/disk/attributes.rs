//! What HTTP says of an object besides its bytes, as a small JSON file.

use std::collections::BTreeMap;

use s3s::dto::Checksum;
use serde::{Deserialize, Serialize};

/// Attributes of one object. On disk as `Stored`, whose version is part of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Attributes {
    /// Without its quotes.
    pub(crate) etag: String,
    pub(crate) headers: Headers,
    /// `x-amz-meta-*`
    pub(crate) user: BTreeMap<String, String>,
    pub(crate) checksums: Checksums,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Headers {
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) cache_control: Option<String>,
}

/// In base64, as they came or were worked out when the object was written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Checksums {
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) crc64nvme: Option<String>,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// The file that these attributes are of.
    file: String,
    etag: String,
    headers: Headers,
    user: BTreeMap<String, String>,
    checksums: Checksums,
}

const VERSION: u32 = 1;

impl Attributes {
    /// `None` when they are another file's, or unreadable.
    pub(crate) fn read(text: &[u8], file: &str) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(text).ok()?;
        if stored.version != VERSION || stored.file != file {
            return None;
        }
        let Stored { etag, headers, user, checksums, .. } = stored;
        Some(Self { etag, headers, user, checksums })
    }

    pub(crate) fn write(&self, file: &str) -> Vec<u8> {
        let Self { etag, headers, user, checksums } = self.clone();
        let stored = Stored { version: VERSION, file: file.to_owned(), etag, headers, user, checksums };
        serde_json::to_vec(&stored).expect("texts always become JSON")
    }
}

impl From<Checksum> for Checksums {
    fn from(sums: Checksum) -> Self {
        Self {
            crc32: sums.checksum_crc32,
            crc32c: sums.checksum_crc32c,
            crc64nvme: sums.checksum_crc64nvme,
            sha1: sums.checksum_sha1,
            sha256: sums.checksum_sha256,
        }
    }
}
