//! Google Cloud Storage against fake-gcs-server: whole objects, uploads in parts, what is missing.

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use super::*;
use crate::store::{Bucket, GcsConfig, gcs};

fn bucket(name: &str) -> Option<Bucket> {
    let server = testkit::fake_gcs()?;
    let endpoint = Some(server.endpoint.clone());
    let config =
        GcsConfig { bucket: name.to_owned(), endpoint, project: Some("tidemill".to_owned()), identity: None };
    Some(gcs(&config).unwrap())
}

async fn bytes(bucket: &Bucket, key: &str) -> Vec<u8> {
    bucket.store.get(&Path::from(key)).await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn an_object_is_written_listed_read_and_deleted() {
    let Some(bucket) = bucket("whole") else { return };
    bucket.create().await.unwrap();
    bucket.create().await.unwrap();
    bucket.check().await.unwrap();
    let key = Path::from("a/b c+ü.json");
    let put = bucket.store.put(&key, "{}".into()).await.unwrap();
    assert!(put.version.is_some());
    bucket.store.put(&key, "[1]".into()).await.unwrap();
    let listed: Vec<_> = bucket.store.list(Some(&Path::from("a"))).try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|meta| meta.location.to_string()).collect::<Vec<_>>(), [key.to_string()]);
    assert_eq!(bytes(&bucket, "a/b c+ü.json").await, b"[1]");
    let moved = Path::from("moved/b c+ü.json");
    bucket.store.rename(&key, &moved).await.unwrap();
    assert_eq!(bytes(&bucket, "moved/b c+ü.json").await, b"[1]");
    let twice = bucket.store.rename(&key, &moved).await.unwrap_err();
    assert!(matches!(twice, object_store::Error::NotFound { .. }), "{twice:?}");
    bucket.store.rename(&moved, &key).await.unwrap();
    bucket.store.delete(&key).await.unwrap();
    let gone = bucket.store.get(&key).await.map(drop).unwrap_err();
    assert!(matches!(bucket.error(gone, key.as_ref()), Error::NoObject { .. }));
}

/// Parts of these sizes, sent as far as possible at once.
async fn upload(bucket: &Bucket, key: &str, parts: &[usize]) -> Vec<u8> {
    let whole: Vec<u8> = (0..parts.iter().sum::<usize>()).map(|place| (place % 251) as u8).collect();
    let mut upload = bucket.store.put_multipart(&Path::from(key)).await.unwrap();
    let mut start = 0;
    let sending: Vec<_> = parts
        .iter()
        .map(|size| {
            let part = whole[start..start + size].to_vec();
            start += size;
            tokio::spawn(upload.put_part(part.into()))
        })
        .collect();
    for part in sending {
        part.await.unwrap().unwrap();
    }
    upload.complete().await.unwrap();
    whole
}

#[tokio::test]
async fn parts_of_any_size_make_the_whole() {
    let Some(bucket) = bucket("parts") else { return };
    bucket.create().await.unwrap();
    let chunk = CHUNK_BYTES;
    let cases: [&[usize]; 6] = [
        &[],
        &[1],
        &[chunk],
        &[chunk, chunk],
        &[3 * chunk + 7, 11, 2 * chunk, 5],
        &[chunk - 1, 1, 1, 4 * chunk - 1],
    ];
    for (number, parts) in cases.iter().enumerate() {
        let key = format!("object-{number}");
        let whole = upload(&bucket, &key, parts).await;
        assert!(bytes(&bucket, &key).await == whole, "{parts:?}");
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_no_object() {
    let Some(bucket) = bucket("given-up") else { return };
    bucket.create().await.unwrap();
    let mut upload = bucket.store.put_multipart(&Path::from("a")).await.unwrap();
    upload.put_part(vec![1; 2 * CHUNK_BYTES].into()).await.unwrap();
    upload.abort().await.unwrap();
    let listed: Vec<_> = bucket.store.list(None).try_collect().await.unwrap();
    assert!(listed.is_empty(), "{listed:?}");
    assert!(bucket.list_uploads("").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_missing_bucket_and_a_dead_address_are_told_apart() {
    let Some(gone) = bucket("nowhere") else { return };
    let error = gone.check().await.unwrap_err();
    assert_eq!(error.to_string(), format!("the bucket gs://nowhere does not exist at {}", gone.endpoint));
    let error = gone.store.put(&Path::from("a"), "x".into()).await.unwrap_err();
    assert!(matches!(gone.error(error, "a"), Error::NoBucket { .. }));
    let endpoint = Some("http://127.0.0.1:1".to_owned());
    let dead = GcsConfig { bucket: "lake".to_owned(), endpoint, project: None, identity: None };
    let error = gcs(&dead).unwrap().check().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}
