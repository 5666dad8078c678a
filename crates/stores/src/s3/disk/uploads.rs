//! Multipart uploads: a folder each, with what it is for and its parts; completing one makes a single file of them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use s3s::{
    S3Result,
    crypto::{Checksum as _, Md5},
    dto::PartNumber,
    s3_error,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Attributes, Conditions, Disk, UPLOADS, attributes::Headers, failed, is_absent};

const ABOUT: &str = "upload.json";
/// S3's own: parts are numbered from 1 to 10,000, and all but the last hold 5 MiB or more.
const PART_NUMBER_MAX: PartNumber = 10_000;
const PART_BYTES_MIN: u64 = 5 << 20;

/// An upload that is open.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) begun: SystemTime,
    headers: Headers,
    user: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) number: PartNumber,
    /// The MD5 of its bytes, in hexadecimal.
    pub(crate) etag: String,
    pub(crate) bytes: u64,
    pub(crate) modified: SystemTime,
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    bucket: String,
    key: String,
    headers: Headers,
    user: BTreeMap<String, String>,
}

impl Disk {
    pub(crate) fn begin_upload(&self, bucket: &str, key: &str, attributes: Attributes) -> S3Result<String> {
        self.bucket(bucket)?;
        crate::s3::keys::path_of(key)?;
        let id = Uuid::new_v4().to_string();
        let Attributes { headers, user, .. } = attributes;
        let stored = Stored { version: 1, bucket: bucket.to_owned(), key: key.to_owned(), headers, user };
        let text = serde_json::to_vec(&stored).expect("texts always become JSON");
        // Whole before it has its name: an upload without its file would be nobody's.
        let temporary = self.temporary();
        fs::create_dir(&temporary).map_err(failed)?;
        fs::write(temporary.join(ABOUT), text).map_err(failed)?;
        fs::rename(&temporary, self.root.join(UPLOADS).join(&id)).map_err(failed)?;
        Ok(id)
    }

    /// The upload, if it is open and for this very object.
    pub(crate) fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<Upload> {
        let upload = self.read_upload(id)?;
        upload
            .filter(|upload| upload.bucket == bucket && upload.key == key)
            .ok_or_else(|| s3_error!(NoSuchUpload))
    }

    fn upload_folder(&self, id: &str) -> S3Result<PathBuf> {
        let id = Uuid::parse_str(id).map_err(|_| s3_error!(NoSuchUpload))?;
        Ok(self.root.join(UPLOADS).join(id.to_string()))
    }

    fn read_upload(&self, id: &str) -> S3Result<Option<Upload>> {
        let path = self.upload_folder(id)?.join(ABOUT);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let stored: Stored = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
        let begun = fs::metadata(&path).and_then(|metadata| metadata.modified()).map_err(failed)?;
        let Stored { bucket, key, headers, user, .. } = stored;
        Ok(Some(Upload { id: id.to_owned(), bucket, key, begun, headers, user }))
    }

    /// All open uploads of a bucket, by key and then by age.
    pub(crate) fn uploads(&self, bucket: &str) -> S3Result<Vec<Upload>> {
        self.bucket(bucket)?;
        let mut uploads = Vec::new();
        for entry in fs::read_dir(self.root.join(UPLOADS)).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(id) = name.to_str() else { continue };
            uploads.extend(self.read_upload(id)?.filter(|upload| upload.bucket == bucket));
        }
        uploads
            .sort_by(|one, other| (&one.key, one.begun, &one.id).cmp(&(&other.key, other.begun, &other.id)));
        Ok(uploads)
    }

    /// Takes a whole file as a part; one of the same number is replaced.
    pub(crate) fn add_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        temporary: &Path,
        etag: &str,
    ) -> S3Result<()> {
        if !(1..=PART_NUMBER_MAX).contains(&number) {
            return Err(s3_error!(InvalidArgument, "a part's number is 1 to 10000"));
        }
        let folder = self.upload_folder(&upload.id)?;
        let name = format!("{number:05}.{etag}");
        let before = self.parts(upload)?.remove(&number);
        fs::rename(temporary, folder.join(name)).map_err(|error| match is_absent(&error) {
            true => s3_error!(NoSuchUpload),
            false => failed(error),
        })?;
        if let Some(before) = before.filter(|before| before.etag != etag) {
            fs::remove_file(before.path).ok();
        }
        Ok(())
    }

    pub(crate) fn parts(&self, upload: &Upload) -> S3Result<BTreeMap<PartNumber, Part>> {
        let mut parts: BTreeMap<PartNumber, Part> = BTreeMap::new();
        let folder = self.upload_folder(&upload.id)?;
        let entries = fs::read_dir(folder).map_err(|error| match is_absent(&error) {
            true => s3_error!(NoSuchUpload),
            false => failed(error),
        })?;
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some((number, etag)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            let Ok(number) = number.parse() else { continue };
            let metadata = entry.metadata().map_err(failed)?;
            let modified = metadata.modified().map_err(failed)?;
            let part =
                Part { number, etag: etag.to_owned(), bytes: metadata.len(), modified, path: entry.path() };
            // Two of one number: a kill came before the older one was removed.
            if parts.get(&number).is_none_or(|before| before.modified < modified) {
                parts.insert(number, part);
            }
        }
        Ok(parts)
    }

    /// One object of the wanted parts (number and, if told, ETag). The upload stays open until the object is there.
    pub(crate) fn complete_upload(
        &self,
        upload: &Upload,
        wanted: &[(PartNumber, Option<String>)],
        conditions: &Conditions,
    ) -> S3Result<String> {
        if !wanted.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let mut there = self.parts(upload)?;
        let mut parts = Vec::with_capacity(wanted.len());
        for (number, etag) in wanted {
            let part = there.remove(number).ok_or_else(|| s3_error!(InvalidPart))?;
            if etag.as_ref().is_some_and(|etag| *etag != part.etag) {
                return Err(s3_error!(InvalidPart));
            }
            parts.push(part);
        }
        let Some((_, all_but_last)) = parts.split_last() else { return Err(s3_error!(InvalidPart)) };
        if all_but_last.iter().any(|part| part.bytes < PART_BYTES_MIN) {
            return Err(s3_error!(EntityTooSmall));
        }
        let temporary = self.temporary();
        concatenate(&parts, &temporary).map_err(failed)?;
        let etag = etag_of(&parts);
        let Upload { headers, user, .. } = upload.clone();
        let attributes = Attributes { etag: etag.clone(), headers, user, ..Attributes::default() };
        self.publish(&temporary, &upload.bucket, &upload.key, &attributes, conditions)?;
        self.remove_upload(upload)?;
        Ok(etag)
    }

    /// Gives up an upload and the room of its parts.
    pub(crate) fn remove_upload(&self, upload: &Upload) -> S3Result<()> {
        // Out of sight in one step, then taken apart: half an upload is never seen.
        let temporary = self.temporary();
        match fs::rename(self.upload_folder(&upload.id)?, &temporary) {
            Err(error) if is_absent(&error) => return Ok(()),
            renamed => renamed.map_err(failed)?,
        }
        fs::remove_dir_all(temporary).map_err(failed)
    }
}

/// `io::copy` between files lets the kernel do the work.
fn concatenate(parts: &[Part], to: &Path) -> io::Result<()> {
    let mut whole = File::create_new(to)?;
    for part in parts {
        io::copy(&mut File::open(&part.path)?, &mut whole)?;
    }
    Ok(())
}

/// S3's ETag of a multipart object: the MD5 of the parts' MD5s, a hyphen, and their count.
fn etag_of(parts: &[Part]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        let digits = part.etag.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
        let bytes: Vec<u8> = digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
        md5.update(&bytes);
    }
    format!("{}-{}", super::hex(&md5.finalize()), parts.len())
}
