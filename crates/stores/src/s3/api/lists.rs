//! ListBuckets, ListObjects (1 and 2), ListMultipartUploads and ListParts.

use std::fs;

use s3s::{S3Result, dto::*, s3_error};

use crate::s3::{
    disk::{Disk, failed},
    keys::url_encoded,
    listing::{self, Item, Page, Query},
};

/// S3's own bound on a page.
const PAGE_COUNT_MAX: i32 = 1_000;

pub(super) fn buckets(disk: &Disk) -> S3Result<ListBucketsOutput> {
    let mut buckets = Vec::new();
    for entry in fs::read_dir(&disk.root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let metadata = entry.metadata().map_err(failed)?;
        if !metadata.is_dir() || !s3s::path::check_bucket_name(&name) {
            continue;
        }
        let created = metadata.created().or_else(|_| metadata.modified()).map_err(failed)?;
        buckets.push(Bucket { name: Some(name), creation_date: Some(created.into()), ..Bucket::default() });
    }
    buckets.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(ListBucketsOutput { buckets: Some(buckets), ..ListBucketsOutput::default() })
}

/// Names as the client wants them written.
struct Spelling {
    is_url: bool,
}

impl Spelling {
    fn of(encoding: &Option<EncodingType>) -> Self {
        Self { is_url: encoding.as_ref().is_some_and(|encoding| encoding.as_str() == EncodingType::URL) }
    }

    fn write(&self, text: String) -> String {
        if self.is_url { url_encoded(&text) } else { text }
    }
}

fn count_max(wanted: Option<i32>) -> S3Result<i32> {
    match wanted {
        Some(count) if count < 0 => Err(s3_error!(InvalidArgument, "a page holds 0 to 1000 names")),
        Some(count) => Ok(count.min(PAGE_COUNT_MAX)),
        None => Ok(PAGE_COUNT_MAX),
    }
}

struct Listed {
    page: Page,
    contents: Vec<Object>,
    prefixes: Vec<CommonPrefix>,
    /// The name of the last item, where there is more after it.
    last: Option<String>,
}

fn list(disk: &Disk, bucket: &str, query: &Query, spelling: &Spelling) -> S3Result<Listed> {
    let page = listing::list(&disk.bucket(bucket)?, query).map_err(failed)?;
    let (mut contents, mut prefixes) = (Vec::new(), Vec::new());
    for item in &page.items {
        match item {
            Item::Object { key, bytes, modified } => contents.push(Object {
                e_tag: disk.etag(bucket, key).map(ETag::Strong),
                key: Some(spelling.write(key.clone())),
                last_modified: Some((*modified).into()),
                size: i64::try_from(*bytes).ok(),
                storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                ..Object::default()
            }),
            Item::Prefix(prefix) => {
                prefixes.push(CommonPrefix { prefix: Some(spelling.write(prefix.clone())) })
            }
        }
    }
    let last = page.items.last().filter(|_| page.is_truncated).map(|item| item.name().to_owned());
    Ok(Listed { page, contents, prefixes, last })
}

pub(super) fn objects_v2(disk: &Disk, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    let spelling = Spelling::of(&input.encoding_type);
    let max_keys = count_max(input.max_keys)?;
    let query = Query {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().unwrap_or_default(),
        after: input.continuation_token.clone().or_else(|| input.start_after.clone()).unwrap_or_default(),
        count_max: max_keys as usize,
    };
    let listed = list(disk, &input.bucket, &query, &spelling)?;
    Ok(ListObjectsV2Output {
        key_count: i32::try_from(listed.page.items.len()).ok(),
        max_keys: Some(max_keys),
        is_truncated: Some(listed.page.is_truncated),
        contents: Some(listed.contents),
        common_prefixes: Some(listed.prefixes),
        continuation_token: input.continuation_token,
        next_continuation_token: listed.last,
        delimiter: input.delimiter.map(|text| spelling.write(text)),
        prefix: input.prefix.map(|text| spelling.write(text)),
        start_after: input.start_after.map(|text| spelling.write(text)),
        encoding_type: input.encoding_type,
        name: Some(input.bucket),
        ..ListObjectsV2Output::default()
    })
}

pub(super) fn objects(disk: &Disk, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
    let spelling = Spelling::of(&input.encoding_type);
    let max_keys = count_max(input.max_keys)?;
    let query = Query {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().unwrap_or_default(),
        after: input.marker.clone().unwrap_or_default(),
        count_max: max_keys as usize,
    };
    let listed = list(disk, &input.bucket, &query, &spelling)?;
    Ok(ListObjectsOutput {
        max_keys: Some(max_keys),
        is_truncated: Some(listed.page.is_truncated),
        contents: Some(listed.contents),
        common_prefixes: Some(listed.prefixes),
        marker: Some(spelling.write(input.marker.unwrap_or_default())),
        next_marker: listed.last.map(|text| spelling.write(text)),
        delimiter: input.delimiter.map(|text| spelling.write(text)),
        prefix: input.prefix.map(|text| spelling.write(text)),
        encoding_type: input.encoding_type,
        name: Some(input.bucket),
        ..ListObjectsOutput::default()
    })
}

pub(super) fn uploads(disk: &Disk, input: ListMultipartUploadsInput) -> S3Result<ListMultipartUploadsOutput> {
    let spelling = Spelling::of(&input.encoding_type);
    let max_uploads = count_max(input.max_uploads)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let key_marker = input.key_marker.clone().unwrap_or_default();
    let mut open = disk.uploads(&input.bucket)?;
    open.retain(|upload| upload.key.starts_with(&prefix) && upload.key >= key_marker);
    // With an upload's id too, the listing goes on after that upload; else after the key.
    match &input.upload_id_marker {
        Some(id) => match open.iter().position(|upload| upload.key == key_marker && upload.id == *id) {
            Some(place) => drop(open.drain(..=place)),
            None => open.retain(|upload| upload.key > key_marker),
        },
        None => open.retain(|upload| key_marker.is_empty() || upload.key > key_marker),
    }
    let is_truncated = open.len() > max_uploads as usize;
    open.truncate(max_uploads as usize);
    let last = open.last().filter(|_| is_truncated);
    Ok(ListMultipartUploadsOutput {
        next_key_marker: last.map(|upload| spelling.write(upload.key.clone())),
        next_upload_id_marker: last.map(|upload| upload.id.clone()),
        uploads: Some(
            open.into_iter()
                .map(|upload| MultipartUpload {
                    initiated: Some(upload.begun.into()),
                    key: Some(spelling.write(upload.key)),
                    upload_id: Some(upload.id),
                    storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
                    ..MultipartUpload::default()
                })
                .collect(),
        ),
        is_truncated: Some(is_truncated),
        max_uploads: Some(max_uploads),
        key_marker: input.key_marker.map(|text| spelling.write(text)),
        upload_id_marker: input.upload_id_marker,
        prefix: input.prefix.map(|text| spelling.write(text)),
        encoding_type: input.encoding_type,
        bucket: Some(input.bucket),
        ..ListMultipartUploadsOutput::default()
    })
}

pub(super) fn parts(disk: &Disk, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let upload = disk.upload(&input.bucket, &input.key, &input.upload_id)?;
    let max_parts = count_max(input.max_parts)?;
    let after = input.part_number_marker.unwrap_or(0);
    let mut parts: Vec<_> = disk.parts(&upload)?.into_values().filter(|part| part.number > after).collect();
    let is_truncated = parts.len() > max_parts as usize;
    parts.truncate(max_parts as usize);
    Ok(ListPartsOutput {
        next_part_number_marker: parts.last().map(|part| part.number),
        parts: Some(
            parts
                .into_iter()
                .map(|part| Part {
                    part_number: Some(part.number),
                    e_tag: Some(ETag::Strong(part.etag)),
                    size: i64::try_from(part.bytes).ok(),
                    last_modified: Some(part.modified.into()),
                    ..Part::default()
                })
                .collect(),
        ),
        is_truncated: Some(is_truncated),
        max_parts: Some(max_parts),
        part_number_marker: input.part_number_marker,
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        ..ListPartsOutput::default()
    })
}
