//! Multipart uploads: begin, parts, parts copied from objects, complete.

use std::io::{self, Read, Seek, SeekFrom};

use s3s::{
    S3Result, TrailingHeaders,
    crypto::{Checksum as _, Md5},
    dto::*,
    s3_error,
};

use super::{Api, attributes_of, etag, promised_by};
use crate::s3::{
    disk::{Attributes, Conditions, failed, hex},
    receive::{Received, receive},
};

impl Api {
    pub(super) async fn begin_upload(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let algorithm = input.checksum_algorithm.clone();
        let attributes = attributes_of!(input);
        let (its_bucket, its_key) = (bucket.clone(), key.clone());
        let id = self.on_disk(move |disk| disk.begin_upload(&its_bucket, &its_key, attributes)).await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            checksum_algorithm: algorithm,
            ..CreateMultipartUploadOutput::default()
        })
    }

    pub(super) async fn receive_part(
        &self,
        input: UploadPartInput,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<UploadPartOutput> {
        let upload = self.disk.upload(&input.bucket, &input.key, &input.upload_id)?;
        let promised = promised_by!(input);
        let received = receive(&self.disk, input.body, promised, trailers).await?;
        let (md5, sums) = (received.md5.clone(), received.checksums.clone());
        self.on_disk(move |disk| disk.add_part(&upload, input.part_number, &received.path, &received.md5))
            .await?;
        Ok(UploadPartOutput {
            e_tag: etag(&md5),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            ..UploadPartOutput::default()
        })
    }

    pub(super) async fn copy_part(&self, input: UploadPartCopyInput) -> S3Result<UploadPartCopyOutput> {
        let upload = self.disk.upload(&input.bucket, &input.key, &input.upload_id)?;
        let (_, _, source) = self.copy_source(input.copy_source).await?;
        let (start, end) = match &input.copy_source_range {
            Some(text) => copy_range(text, source.bytes)?,
            None => (0, source.bytes),
        };
        let mut file = source.file;
        let number = input.part_number;
        let (md5, modified) = self
            .on_disk(move |disk| {
                let mut part =
                    Received { path: disk.temporary(), md5: String::new(), checksums: Checksum::default() };
                let mut to = std::fs::File::create_new(&part.path).map_err(failed)?;
                file.seek(SeekFrom::Start(start)).map_err(failed)?;
                let mut hashed = Hashed { inner: file.take(end - start), md5: Md5::new() };
                io::copy(&mut hashed, &mut to).map_err(failed)?;
                part.md5 = hex(&hashed.md5.finalize());
                disk.add_part(&upload, number, &part.path, &part.md5)?;
                let modified = to.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
                Ok((part.md5.clone(), modified))
            })
            .await?;
        let result = CopyPartResult {
            e_tag: etag(&md5),
            last_modified: Some(modified.into()),
            ..CopyPartResult::default()
        };
        Ok(UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() })
    }

    pub(super) async fn complete_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let upload = self.disk.upload(&input.bucket, &input.key, &input.upload_id)?;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let wanted: Option<Vec<_>> = parts
            .into_iter()
            .map(|part| Some((part.part_number?, part.e_tag.map(ETag::into_value))))
            .collect();
        let wanted = wanted.ok_or_else(|| s3_error!(InvalidPart, "a part has no number"))?;
        let conditions = Conditions { if_match: input.if_match, if_none_match: input.if_none_match };
        let text = self.on_disk(move |disk| disk.complete_upload(&upload, &wanted, &conditions)).await?;
        Ok(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            key: Some(input.key),
            e_tag: etag(&text),
            ..CompleteMultipartUploadOutput::default()
        })
    }
}

/// `bytes=FIRST-LAST`, both within the object; the end that comes back is not included.
fn copy_range(text: &str, bytes: u64) -> S3Result<(u64, u64)> {
    let parsed = text.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let (first, last) =
        parsed.ok_or_else(|| s3_error!(InvalidArgument, "x-amz-copy-source-range is bytes=first-last"))?;
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last && last < bytes => Ok((first, last + 1)),
        (Ok(_), Ok(_)) => Err(s3_error!(InvalidRange)),
        _ => Err(s3_error!(InvalidArgument, "x-amz-copy-source-range is bytes=first-last")),
    }
}

/// Hashes what passes.
struct Hashed<R> {
    inner: R,
    md5: Md5,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.md5.update(&buffer[..count]);
        Ok(count)
    }
}
