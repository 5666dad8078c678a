//! The endpoint as clients see it: object_store for the everyday calls, plain HTTP for refusals.

use std::time::Duration;

use base::{Handle, Secret};
use bytes::Bytes;
use cloud::store::{self, Bucket, Credentials, S3Config};
use futures::TryStreamExt;
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    aws::{AmazonS3, AmazonS3Builder},
    multipart::{MultipartStore, PartId},
    path::Path,
};
use tempfile::TempDir;

use crate::s3::{Options, Service};

struct World {
    folder: TempDir,
    handle: Handle,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let handle = Service::start(options(&folder)).await.unwrap();
        Self { folder, handle }
    }

    async fn restart(self) -> Self {
        let Self { folder, handle } = self;
        handle.stop(1_000).await.unwrap();
        let handle = Service::start(options(&folder)).await.unwrap();
        Self { folder, handle }
    }

    fn bucket(&self, name: &str, secret: &str) -> Bucket {
        store::s3(&S3Config {
            bucket: name.to_owned(),
            region: None,
            endpoint: Some(format!("http://{}", self.handle.addr)),
            path_style: true,
            credentials: Credentials::Keys {
                access_key: "key".to_owned(),
                secret_key: Secret::new(secret),
                session_token: None,
            },
        })
        .unwrap()
    }

    fn lake(&self) -> Bucket {
        self.bucket("lake", "secret")
    }

    /// The same bucket by object_store's own client, for what its general trait has not.
    fn client(&self) -> AmazonS3 {
        let builder = AmazonS3Builder::new().with_bucket_name("lake").with_region("us-east-1");
        let builder = builder.with_access_key_id("key").with_secret_access_key("secret");
        builder.with_endpoint(format!("http://{}", self.handle.addr)).with_allow_http(true).build().unwrap()
    }
}

fn options(folder: &TempDir) -> Options {
    let listen = "127.0.0.1:0".parse().unwrap();
    let options = Options::at(folder.path(), listen, "key", Secret::new("secret"));
    Options { buckets: vec!["lake".to_owned()], ..options }
}

async fn names(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    let listed: Vec<_> = store.list(Some(&Path::from(prefix))).try_collect().await.unwrap();
    listed.into_iter().map(|meta| meta.location.to_string()).collect()
}

#[tokio::test]
async fn what_is_put_can_be_read_listed_copied_and_deleted() {
    let world = World::new().await;
    let store = world.lake().store;
    let (one, two) = (Path::from("a/one+3+0000000000.json"), Path::from("a/b/ü %.json"));
    store.put(&one, PutPayload::from_static(b"hello world")).await.unwrap();
    store.put(&two, PutPayload::from_static(b"")).await.unwrap();
    assert_eq!(store.get(&one).await.unwrap().bytes().await.unwrap(), "hello world");
    assert_eq!(store.get_range(&one, 6..11).await.unwrap(), "world");
    let head = store.head(&one).await.unwrap();
    assert_eq!((head.size, head.e_tag.as_deref()), (11, Some("\"5eb63bbbe01eeed093cb22bb8f5acdc3\"")));
    assert_eq!(names(&*store, "a").await, [two.to_string(), one.to_string()]);
    let folders = store.list_with_delimiter(Some(&Path::from("a"))).await.unwrap();
    assert_eq!(folders.common_prefixes, [Path::from("a/b")]);
    assert_eq!(folders.objects[0].location, one);
    store.copy(&one, &Path::from("c")).await.unwrap();
    store.delete(&one).await.unwrap();
    store.delete(&two).await.unwrap();
    let world = world.restart().await;
    let store = world.lake().store;
    assert_eq!(names(&*store, "").await, ["c"]);
    assert_eq!(store.head(&Path::from("c")).await.unwrap().e_tag, head.e_tag);
    assert!(!world.folder.path().join("lake/a").exists(), "empty folders go with their last object");
}

#[tokio::test]
async fn pages_hold_a_thousand_names_and_go_on_where_they_ended() {
    let world = World::new().await;
    let store = world.lake().store;
    for number in 0..1_050 {
        let path = world.folder.path().join(format!("lake/many/{number:04}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"x").unwrap();
    }
    let found = names(&*store, "many").await;
    assert_eq!(found.len(), 1_050);
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
}

#[tokio::test]
async fn writes_keep_their_conditions() {
    let world = World::new().await;
    let store = world.lake().store;
    let path = Path::from("once");
    let create = || PutOptions::from(PutMode::Create);
    store.put_opts(&path, PutPayload::from_static(b"1"), create()).await.unwrap();
    let again = store.put_opts(&path, PutPayload::from_static(b"2"), create()).await;
    assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })), "{again:?}");
    let head = store.head(&path).await.unwrap();
    let unchanged = GetOptions { if_none_match: head.e_tag.clone(), ..GetOptions::default() };
    assert!(matches!(store.get_opts(&path, unchanged).await, Err(object_store::Error::NotModified { .. })));
    let other = GetOptions { if_match: Some("\"other\"".to_owned()), ..GetOptions::default() };
    assert!(matches!(store.get_opts(&path, other).await, Err(object_store::Error::Precondition { .. })));
}

#[tokio::test]
async fn multipart_uploads_become_objects_in_one_step_or_are_given_up() {
    let world = World::new().await;
    let client = world.client();
    let path = Path::from("deep/large.bin");
    let id = client.create_multipart(&path).await.unwrap();
    let part = |byte: u8, count: usize| PutPayload::from(vec![byte; count]);
    let one = client.put_part(&path, &id, 0, part(1, 5 << 20)).await.unwrap();
    // The same number again replaces it.
    let one_again = client.put_part(&path, &id, 0, part(2, 5 << 20)).await.unwrap();
    let two = client.put_part(&path, &id, 1, part(3, 7)).await.unwrap();
    let (PartId { content_id: old, .. }, PartId { content_id: new, .. }) = (&one, &one_again);
    assert_ne!(old, new);
    assert!(names(&client, "").await.is_empty(), "nothing is seen before it is complete");
    let stale = client.complete_multipart(&path, &id, vec![one, two.clone()]).await;
    assert!(stale.is_err(), "a part that was replaced is refused");
    let world = world.restart().await;
    let (bucket, client) = (world.lake(), world.client());
    assert_eq!(bucket.list_uploads("deep/").await.unwrap().len(), 1, "an upload outlives the process");
    client.complete_multipart(&path, &id, vec![one_again, two]).await.unwrap();
    let whole = client.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(whole.len(), (5 << 20) + 7);
    assert!(whole[..5 << 20].iter().all(|&byte| byte == 2));
    assert!(client.head(&path).await.unwrap().e_tag.unwrap().ends_with("-2\""));
    assert!(bucket.list_uploads("").await.unwrap().is_empty());
    client.create_multipart(&path).await.unwrap();
    let uploads = bucket.list_uploads("deep/").await.unwrap();
    bucket.abort_upload(&uploads[0]).await.unwrap();
    assert!(bucket.list_uploads("").await.unwrap().is_empty());
    bucket.abort_upload(&uploads[0]).await.unwrap();
}

#[tokio::test]
async fn strangers_wrong_signatures_and_missing_buckets_are_refused() {
    let world = World::new().await;
    let plain = cloud::http::client();
    let url = format!("http://{}/lake/a", world.handle.addr);
    let anonymous = plain.get(&url).send().await.unwrap();
    assert_eq!(anonymous.status(), 403);
    let anonymous = plain.put(&url).body("x").send().await.unwrap();
    assert_eq!(anonymous.status(), 403);
    let wrong = world.bucket("lake", "wrong").check().await.unwrap_err();
    assert!(matches!(wrong, cloud::Error::Denied { .. }), "{wrong:?}");
    let missing = world.bucket("nowhere", "secret");
    assert!(matches!(missing.check().await.unwrap_err(), cloud::Error::NoBucket { .. }));
    missing.create().await.unwrap();
    missing.create().await.unwrap();
    missing.check().await.unwrap();
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_never_seen() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::new().await;
    let bucket = world.lake();
    let path = Path::from("cut");
    bucket.store.put(&path, PutPayload::from_static(b"old")).await.unwrap();
    let signed = {
        use object_store::signer::Signer;
        world.client().signed_url("PUT".parse().unwrap(), &path, Duration::from_secs(60)).await.unwrap()
    };
    let mut socket = tokio::net::TcpStream::connect(world.handle.addr).await.unwrap();
    let target = &signed.as_str()[url_start(signed.as_str())];
    let head =
        format!("PUT {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000\r\n\r\nhalf", world.handle.addr);
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    socket.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(bucket.store.get(&path).await.unwrap().bytes().await.unwrap(), Bytes::from_static(b"old"));
    let left = std::fs::read_dir(world.folder.path().join(".tmp")).unwrap().count();
    assert_eq!(left, 0, "half a body leaves no file");
}

/// Where a URL's path begins.
fn url_start(url: &str) -> std::ops::RangeFrom<usize> {
    let host = url.find("://").unwrap() + 3;
    host + url[host..].find('/').unwrap()..
}

#[tokio::test]
async fn keys_that_could_leave_the_bucket_stay_in_it() {
    let world = World::new().await;
    let disk = crate::s3::disk::Disk::open(world.folder.path(), false).unwrap();
    assert!(disk.find("lake", "../../etc/passwd").is_err());
    assert!(disk.bucket("..").is_err() && disk.bucket(".meta").is_err());
}
