//! The S3 API on the disk: buckets and objects here, listings in `api/lists.rs`, multipart uploads in `api/multipart.rs`.
//!
//! API reference: Amazon S3, 2006-03-01. What is not here (versions, ACLs, lifecycle …) answers NotImplemented.

mod lists;
mod multipart;

use std::{io, io::SeekFrom, sync::Arc};

use s3s::{S3, S3Error, S3Request, S3Response, S3Result, dto::*, s3_error};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::s3::{
    disk::{Attributes, Conditions, Disk, Found, failed},
    receive::{Received, receive},
};

/// What is read from the disk at once for a download.
const READ_BYTES: usize = 256 << 10;

#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) disk: Arc<Disk>,
    pub(crate) region: String,
}

impl Api {
    /// Disk work on a thread that may block.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let disk = self.disk.clone();
        let joined = tokio::task::spawn_blocking(move || work(&disk)).await;
        joined.unwrap_or_else(|error| Err(failed(io::Error::other(error))))
    }

    async fn find(&self, bucket: String, key: String) -> S3Result<Found> {
        self.on_disk(move |disk| disk.find(&bucket, &key)).await
    }

    async fn publish(
        &self,
        received: Received,
        (bucket, key): (String, String),
        attributes: Attributes,
        conditions: Conditions,
    ) -> S3Result<()> {
        self.on_disk(move |disk| disk.publish(&received.path, &bucket, &key, &attributes, &conditions)).await
    }

    /// A copy of an object as a file of its own, by the kernel where it can.
    async fn copy_source(&self, source: CopySource) -> S3Result<(String, String, Found)> {
        let CopySource::Bucket { bucket, key, .. } = source else { return Err(s3_error!(NotImplemented)) };
        let (bucket, key) = (bucket.to_string(), key.to_string());
        let found = self.find(bucket.clone(), key.clone()).await?;
        Ok((bucket, key, found))
    }
}

/// `If-Match` and the like of a read.
fn check_read(
    found: &Found,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> S3Result<()> {
    let fits = |condition: &ETagCondition| {
        condition.as_etag().is_none_or(|etag| etag.value() == found.attributes.etag)
    };
    // HTTP dates have whole seconds.
    let whole_second = |time: std::time::SystemTime| {
        let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from(std::time::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs()))
    };
    let modified = whole_second(found.modified);
    match (if_match, if_unmodified_since) {
        (Some(condition), _) if !fits(condition) => return Err(s3_error!(PreconditionFailed)),
        (None, Some(since)) if modified > *since => return Err(s3_error!(PreconditionFailed)),
        _ => {}
    }
    match (if_none_match, if_modified_since) {
        (Some(condition), _) if fits(condition) => Err(s3_error!(NotModified)),
        (None, Some(since)) if modified <= *since => Err(s3_error!(NotModified)),
        _ => Ok(()),
    }
}

fn etag(text: &str) -> Option<ETag> {
    Some(ETag::Strong(text.to_owned()))
}

fn metadata(attributes: &Attributes) -> Option<Metadata> {
    let user = &attributes.user;
    (!user.is_empty()).then(|| user.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

macro_rules! attributes_of {
    ($input:expr) => {
        Attributes {
            headers: crate::s3::disk::Headers {
                content_type: $input.content_type.map(|text| text.to_string()),
                content_encoding: $input.content_encoding,
                content_disposition: $input.content_disposition,
                content_language: $input.content_language,
                cache_control: $input.cache_control,
            },
            user: $input.metadata.into_iter().flatten().collect(),
            ..Attributes::default()
        }
    };
}
pub(crate) use attributes_of;

/// What the headers of a body promise; objects and parts have the same.
macro_rules! promised_by {
    ($input:expr) => {
        crate::s3::receive::Promised {
            checksums: s3s::dto::Checksum {
                checksum_crc32: $input.checksum_crc32,
                checksum_crc32c: $input.checksum_crc32c,
                checksum_crc64nvme: $input.checksum_crc64nvme,
                checksum_sha1: $input.checksum_sha1,
                checksum_sha256: $input.checksum_sha256,
                ..s3s::dto::Checksum::default()
            },
            algorithm: $input.checksum_algorithm.map(|name| name.as_str().to_owned()),
            content_md5: $input.content_md5,
        }
    };
}
pub(crate) use promised_by;

#[async_trait::async_trait]
impl S3 for Api {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = request.input.bucket;
        let location = Some(format!("/{bucket}"));
        self.on_disk(move |disk| disk.create_bucket(&bucket)).await?;
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.disk.bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(self.region.clone()),
            ..HeadBucketOutput::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.disk.bucket(&request.input.bucket)?;
        // us-east-1 has no name here, for reasons of history.
        let location = (self.region != "us-east-1").then(|| self.region.clone());
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: location.map(BucketLocationConstraint::from),
        }))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.on_disk(move |disk| disk.delete_bucket(&request.input.bucket)).await?;
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    async fn list_buckets(
        &self,
        _request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        self.on_disk(lists::buckets).await.map(S3Response::new)
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        self.on_disk(move |disk| lists::objects(disk, request.input)).await.map(S3Response::new)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.on_disk(move |disk| lists::objects_v2(disk, request.input)).await.map(S3Response::new)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.on_disk(move |disk| lists::uploads(disk, request.input)).await.map(S3Response::new)
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.on_disk(move |disk| lists::parts(disk, request.input)).await.map(S3Response::new)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let found = self.find(input.bucket, input.key).await?;
        let (if_match, if_none_match) = (input.if_match.as_ref(), input.if_none_match.as_ref());
        let (modified_since, unmodified_since) =
            (input.if_modified_since.as_ref(), input.if_unmodified_since.as_ref());
        check_read(&found, if_match, if_none_match, modified_since, unmodified_since)?;
        let attributes = found.attributes;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(found.bytes).ok(),
            last_modified: Some(found.modified.into()),
            e_tag: etag(&attributes.etag),
            metadata: metadata(&attributes),
            content_type: attributes.headers.content_type,
            content_encoding: attributes.headers.content_encoding,
            content_disposition: attributes.headers.content_disposition,
            content_language: attributes.headers.content_language,
            cache_control: attributes.headers.cache_control,
            checksum_crc32: attributes.checksums.crc32,
            checksum_crc32c: attributes.checksums.crc32c,
            checksum_crc64nvme: attributes.checksums.crc64nvme,
            checksum_sha1: attributes.checksums.sha1,
            checksum_sha256: attributes.checksums.sha256,
            ..HeadObjectOutput::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let found = self.find(input.bucket, input.key).await?;
        let (if_match, if_none_match) = (input.if_match.as_ref(), input.if_none_match.as_ref());
        let (modified_since, unmodified_since) =
            (input.if_modified_since.as_ref(), input.if_unmodified_since.as_ref());
        check_read(&found, if_match, if_none_match, modified_since, unmodified_since)?;
        let range = match input.range {
            Some(range) => range.check(found.bytes)?,
            None => 0..found.bytes,
        };
        let content_range = input
            .range
            .map(|_| format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), found.bytes));
        let count = range.end - range.start;
        let mut file = tokio::fs::File::from_std(found.file);
        file.seek(SeekFrom::Start(range.start)).await.map_err(failed)?;
        let capacity = usize::try_from(count).unwrap_or(READ_BYTES).clamp(1, READ_BYTES);
        let body = ReaderStream::with_capacity(file.take(count), capacity);
        let attributes = found.attributes;
        // A checksum is of the whole object, so a part of it goes without.
        let sums = if count == found.bytes { attributes.checksums.clone() } else { Default::default() };
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(body)),
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(count).ok(),
            content_range,
            last_modified: Some(found.modified.into()),
            e_tag: etag(&attributes.etag),
            metadata: metadata(&attributes),
            content_type: input.response_content_type.or(attributes.headers.content_type),
            content_encoding: input.response_content_encoding.or(attributes.headers.content_encoding),
            content_disposition: input
                .response_content_disposition
                .or(attributes.headers.content_disposition),
            content_language: input.response_content_language.or(attributes.headers.content_language),
            cache_control: input.response_cache_control.or(attributes.headers.cache_control),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            ..GetObjectOutput::default()
        }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        self.disk.bucket(&input.bucket)?;
        let promised = promised_by!(input);
        let received = receive(&self.disk, input.body, promised, request.trailing_headers).await?;
        let (md5, sums) = (received.md5.clone(), received.checksums.clone());
        let attributes =
            Attributes { etag: md5.clone(), checksums: sums.clone().into(), ..attributes_of!(input) };
        let conditions = Conditions { if_match: input.if_match, if_none_match: input.if_none_match };
        self.publish(received, (input.bucket, input.key), attributes, conditions).await?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: etag(&md5),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            ..PutObjectOutput::default()
        }))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        self.disk.bucket(&input.bucket)?;
        let (source_bucket, source_key, source) = self.copy_source(input.copy_source).await?;
        check_read(
            &source,
            input.copy_source_if_match.as_ref(),
            input.copy_source_if_none_match.as_ref(),
            input.copy_source_if_modified_since.as_ref(),
            input.copy_source_if_unmodified_since.as_ref(),
        )
        .map_err(|_| s3_error!(PreconditionFailed))?;
        let replaces =
            input.metadata_directive.is_some_and(|word| word.as_str() == MetadataDirective::REPLACE);
        if !replaces && source_bucket == input.bucket && source_key == input.key {
            return Err(s3_error!(InvalidRequest, "a copy onto itself has to change the metadata"));
        }
        let etag_text = source.attributes.etag.clone();
        let attributes = match replaces {
            true => Attributes {
                etag: etag_text.clone(),
                checksums: source.attributes.checksums.clone(),
                ..attributes_of!(input)
            },
            false => source.attributes,
        };
        let (bucket, key, mut file) = (input.bucket, input.key, source.file);
        let modified = self
            .on_disk(move |disk| {
                let copy =
                    Received { path: disk.temporary(), md5: String::new(), checksums: Checksum::default() };
                let mut to = std::fs::File::create_new(&copy.path).map_err(failed)?;
                io::copy(&mut file, &mut to).map_err(failed)?;
                disk.publish(&copy.path, &bucket, &key, &attributes, &Conditions::default())?;
                to.metadata().and_then(|metadata| metadata.modified()).map_err(failed)
            })
            .await?;
        let result = CopyObjectResult {
            e_tag: etag(&etag_text),
            last_modified: Some(modified.into()),
            ..CopyObjectResult::default()
        };
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            ..CopyObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.on_disk(move |disk| disk.delete(&request.input.bucket, &request.input.key)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = request.input;
        self.disk.bucket(&bucket)?;
        let is_quiet = delete.quiet.unwrap_or(false);
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in delete.objects {
            let (bucket, key) = (bucket.clone(), object.key.clone());
            match self.on_disk(move |disk| disk.delete(&bucket, &key)).await {
                Ok(()) if is_quiet => {}
                Ok(()) => deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() }),
                Err(error) => errors.push(delete_error(object.key, &error)),
            }
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors),
            ..DeleteObjectsOutput::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.begin_upload(request.input).await.map(S3Response::new)
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.receive_part(request.input, request.trailing_headers).await.map(S3Response::new)
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.copy_part(request.input).await.map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete_upload(request.input).await.map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = request.input;
        self.on_disk(move |disk| disk.remove_upload(&disk.upload(&bucket, &key, &upload_id)?)).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

fn delete_error(key: String, error: &S3Error) -> Error {
    Error {
        code: Some(error.code().as_str().to_owned()),
        key: Some(key),
        message: error.message().map(str::to_owned),
        ..Error::default()
    }
}

#[cfg(test)]
mod tests;
