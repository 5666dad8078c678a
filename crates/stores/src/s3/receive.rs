//! A request's body into a temporary file: counted, hashed, and held against every checksum that came with it.

use std::{fs, path::PathBuf, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::StreamExt;
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    checksum::ChecksumHasher,
    crypto::{Checksum as _, Md5},
    dto::{Checksum, StreamingBlob},
    s3_error,
};
use tokio::{fs::File, io::AsyncWriteExt};

use crate::s3::disk::{Disk, failed, hex};

/// Gathered before each write to the disk, so that a hop to its thread pays.
const WRITE_BYTES: usize = 1 << 20;

/// A whole body on disk; the file goes with it unless it was published.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) path: PathBuf,
    pub(crate) md5: String,
    pub(crate) checksums: Checksum,
}

/// Checksums that the client sent or named; what it named it sends after the body.
#[derive(Debug, Default)]
pub(crate) struct Promised {
    pub(crate) checksums: Checksum,
    /// `x-amz-sdk-checksum-algorithm`
    pub(crate) algorithm: Option<String>,
    /// `Content-MD5`, base64.
    pub(crate) content_md5: Option<String>,
}

impl Drop for Received {
    fn drop(&mut self) {
        // Absent when it was published.
        fs::remove_file(&self.path).ok();
    }
}

/// Reads the body to its end; `trailers` are looked at after it.
pub(crate) async fn receive(
    disk: &Arc<Disk>,
    body: Option<StreamingBlob>,
    mut promised: Promised,
    trailers: Option<s3s::TrailingHeaders>,
) -> S3Result<Received> {
    let mut hasher = hasher(&promised)?;
    let mut md5 = Md5::new();
    let mut received =
        Received { path: disk.temporary(), md5: String::new(), checksums: Checksum::default() };
    let mut file = File::create_new(&received.path).await.map_err(failed)?;
    let mut waiting = Vec::new();
    if let Some(mut body) = body {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?;
            md5.update(&piece);
            hasher.update(&piece);
            waiting.extend_from_slice(&piece);
            if waiting.len() >= WRITE_BYTES {
                file.write_all(&waiting).await.map_err(failed)?;
                waiting.clear();
            }
        }
    }
    file.write_all(&waiting).await.map_err(failed)?;
    file.flush().await.map_err(failed)?;
    if let Some(trailers) = trailers.and_then(|trailers| trailers.take()) {
        promise_more(&mut promised.checksums, &trailers);
    }
    let digest = md5.finalize();
    if promised.content_md5.is_some_and(|wanted| wanted != STANDARD.encode(digest)) {
        return Err(s3_error!(BadDigest, "the body does not have the Content-MD5 that was sent"));
    }
    received.md5 = hex(&digest);
    received.checksums = hasher.finalize();
    compare(&promised.checksums, &received.checksums)?;
    Ok(received)
}

fn hasher(promised: &Promised) -> S3Result<ChecksumHasher> {
    let mut hasher = ChecksumHasher::default();
    let sums = &promised.checksums;
    let algorithm = promised.algorithm.as_deref().unwrap_or_default();
    let known = ["", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"];
    if !known.contains(&algorithm) {
        return Err(s3_error!(InvalidArgument, "this checksum algorithm is not known"));
    }
    let wants = |name: &str, sent: &Option<String>| algorithm == name || sent.is_some();
    hasher.crc32 = wants("CRC32", &sums.checksum_crc32).then(Default::default);
    hasher.crc32c = wants("CRC32C", &sums.checksum_crc32c).then(Default::default);
    hasher.crc64nvme = wants("CRC64NVME", &sums.checksum_crc64nvme).then(Default::default);
    hasher.sha1 = wants("SHA1", &sums.checksum_sha1).then(Default::default);
    hasher.sha256 = wants("SHA256", &sums.checksum_sha256).then(Default::default);
    Ok(hasher)
}

fn promise_more(sums: &mut Checksum, trailers: &hyper::HeaderMap) {
    let read = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let fill = |sum: &mut Option<String>, name: &str| *sum = sum.take().or_else(|| read(name));
    fill(&mut sums.checksum_crc32, "x-amz-checksum-crc32");
    fill(&mut sums.checksum_crc32c, "x-amz-checksum-crc32c");
    fill(&mut sums.checksum_crc64nvme, "x-amz-checksum-crc64nvme");
    fill(&mut sums.checksum_sha1, "x-amz-checksum-sha1");
    fill(&mut sums.checksum_sha256, "x-amz-checksum-sha256");
}

fn compare(promised: &Checksum, found: &Checksum) -> S3Result<()> {
    let pairs = [
        (&promised.checksum_crc32, &found.checksum_crc32),
        (&promised.checksum_crc32c, &found.checksum_crc32c),
        (&promised.checksum_crc64nvme, &found.checksum_crc64nvme),
        (&promised.checksum_sha1, &found.checksum_sha1),
        (&promised.checksum_sha256, &found.checksum_sha256),
    ];
    let differs =
        |(promised, found): &(&Option<String>, &Option<String>)| promised.is_some() && promised != found;
    if pairs.iter().any(differs) {
        return Err(s3_error!(BadDigest, "the body does not have the checksum that was sent"));
    }
    Ok(())
}
