//! The sink against the embedded S3 endpoint: names, bytes, parts, second lives, nulls, faults; and the contract on
//! SeaweedFS and fake-gcs-server too.

use std::sync::Arc;

use arrow_array::BinaryViewArray;
use arrow_buffer::BooleanBuffer;
use base::{
    Batch, Body, Envelope, Extent, Fault, Handle, Lease, Load, ManualClock, Place, Position, Saved, Secret,
    Sink, Split, Value,
};
use cloud::store::{Bucket, Credentials, GcsConfig, S3Config};
use engine::contract::{self, Rule, SinkFixture};
use formats::{Compression, Format, JsonSettings, Settings};
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path};
use tempfile::TempDir;

use super::super::{Config, Extractor, ObjectSink, OnNull, Partitioner, Pattern, StoreConfig, TimeRule};

struct World {
    _folder: TempDir,
    _handle: Handle,
    s3: S3Config,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let mut options = stores::s3::Options::at(folder.path(), listen, "key", Secret::new("secret"));
        options.buckets = vec!["lake".to_owned()];
        let handle = stores::s3::Service::start(options).await.unwrap();
        let s3 = S3Config {
            bucket: "lake".to_owned(),
            region: None,
            endpoint: Some(format!("http://{}", handle.addr)),
            path_style: true,
            credentials: Credentials::Keys {
                access_key: "key".to_owned(),
                secret_key: Secret::new("secret"),
                session_token: None,
            },
        };
        Self { _folder: folder, _handle: handle, s3 }
    }

    fn config(&self) -> Config {
        let json = Settings { format: Format::Json(JsonSettings::default()), compression: Compression::None };
        Config::of(StoreConfig::S3(self.s3.clone()), json)
    }

    async fn objects(&self) -> Vec<(String, Vec<u8>)> {
        objects(&cloud::store::s3(&self.s3).unwrap()).await
    }
}

async fn objects(bucket: &Bucket) -> Vec<(String, Vec<u8>)> {
    let listed: Vec<_> = bucket.store.list(None).try_collect().await.unwrap();
    let mut objects = Vec::new();
    for meta in listed {
        let bytes = bucket.store.get(&meta.location).await.unwrap().bytes().await.unwrap();
        objects.push((meta.location.to_string(), bytes.to_vec()));
    }
    objects.sort();
    objects
}

fn split() -> Split {
    Split { id: "flights-3".into(), place: Arc::new(Place::Topic { topic: "flights".into(), partition: 3 }) }
}

fn batch(body: Body, first_mark: i64) -> Batch {
    let count = body.len() as i64;
    Batch {
        envelope: Envelope {
            marks: Some((first_mark..first_mark + count).collect()),
            timestamps_ms: Some((0..count).map(|row| 1_700_000_000_000 + row * 1_000).collect()),
            ..Envelope::default()
        },
        body,
        contract: None,
        place: split().place,
        end: Position::Mark(first_mark + count),
        lease: Lease::free(),
    }
}

fn raw(values: &[&str], first_mark: i64) -> Batch {
    batch(
        Body::Raw(BinaryViewArray::from_iter_values(values.iter().map(|value| value.as_bytes()))),
        first_mark,
    )
}

fn extent(start: i64, end: i64) -> Extent {
    let records_count = (end - start) as u64;
    Extent { split: split(), start: Position::Mark(start), end: Position::Mark(end), records_count, bytes: 0 }
}

fn load() -> Load {
    Load { id: "1".into(), transfer: "s3-sink".into() }
}

async fn life(config: Config, batches: &[Batch], start: i64) -> usize {
    let sink = ObjectSink::new(config, Arc::new(ManualClock::at(0))).unwrap();
    sink.begin(&load()).await.unwrap();
    let mut writer = sink.writer(&split()).await.unwrap();
    writer.recover(&Saved::default()).await.unwrap();
    let mut rejected = 0;
    for batch in batches {
        rejected += writer.write(batch).await.unwrap().0.len();
    }
    let Position::Mark(end) = batches.last().unwrap().end else { panic!("a mark") };
    writer.commit(&extent(start, end)).await.unwrap();
    rejected
}

#[tokio::test]
async fn a_null_value_is_refused_with_its_code_and_place() {
    let world = World::new().await;
    let config = Config { on_null: OnNull::Fail, ..world.config() };
    let sink = ObjectSink::new(config, Arc::new(ManualClock::at(0))).unwrap();
    let mut writer = sink.writer(&split()).await.unwrap();
    let mut nothing = batch(Body::Raw(BinaryViewArray::from_iter(vec![None::<&[u8]>])), 7);
    nothing.envelope.tombstones = Some(BooleanBuffer::from(vec![true]));
    let refused = writer.write(&nothing).await.unwrap().0;
    assert_eq!(format!("{} {}", refused[0].code, refused[0].origin), "TM0752 flights/3/7");
}

#[tokio::test]
async fn raw_json_becomes_lines_under_the_name_of_its_first_record() {
    let world = World::new().await;
    let config = Config { topics_dir: "kafka/some-sub-dir".to_owned(), ..world.config() };
    life(config.clone(), &[raw(&["{\"a\": 1}", "{\"a\":2}"], 40), raw(&["[ 3 ]"], 42)], 40).await;
    life(config, &[raw(&["4"], 43)], 43).await;
    let name = |mark| format!("kafka/some-sub-dir/flights/partition=3/flights+3+{mark:010}.json");
    let expected = vec![(name(40), b"{\"a\":1}\n{\"a\":2}\n[3]\n".to_vec()), (name(43), b"4\n".to_vec())];
    assert_eq!(world.objects().await, expected);
}

#[tokio::test]
async fn a_second_life_with_other_batches_writes_the_same_bytes() {
    let world = World::new().await;
    let gzip = Settings {
        format: Format::Json(JsonSettings::default()),
        compression: Compression::Gzip { level: 6 },
    };
    let config = Config { format: gzip, ..world.config() };
    let texts: Vec<String> =
        (0..5_000).map(|number| format!("{{\"number\":{number},\"twice\":{}}}", number * 2)).collect();
    let values: Vec<&str> = texts.iter().map(String::as_str).collect();
    life(config.clone(), &[raw(&values, 0)], 0).await;
    let first = world.objects().await;
    assert_eq!(first.len(), 1);
    assert!(first[0].0.ends_with("flights+3+0000000000.json.gz"), "{}", first[0].0);
    let pieces: Vec<Batch> =
        values.chunks(7).enumerate().map(|(place, values)| raw(values, place as i64 * 7)).collect();
    life(config, &pieces, 0).await;
    assert!(world.objects().await == first, "the same name and the same bytes");
}

#[tokio::test]
async fn large_objects_go_in_parts_and_leftovers_are_given_up() {
    let world = World::new().await;
    let config = Config { part_bytes: 5 << 20, ..world.config() };
    let bucket = cloud::store::s3(&world.s3).unwrap();
    let ours = Path::from("topics/flights/partition=3/flights+3+0000000000.json");
    let others = Path::from("topics/flights/partition=30/flights+30+0000000000.json");
    drop(bucket.store.put_multipart(&ours).await.unwrap());
    drop(bucket.store.put_multipart(&others).await.unwrap());
    let text = format!("\"{}\"", "x".repeat(1 << 20));
    let batches: Vec<Batch> = (0..12).map(|mark| raw(&[&text], mark)).collect();
    life(config, &batches, 0).await;
    let objects = world.objects().await;
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0].1.len(), 12 * ((1 << 20) + 3));
    let left: Vec<String> =
        bucket.list_uploads("topics/").await.unwrap().into_iter().map(|upload| upload.key).collect();
    assert_eq!(left, [others.to_string()]);
}

#[tokio::test]
async fn little_memory_spills_and_changes_nothing() {
    let world = World::new().await;
    let rule = TimeRule {
        pattern: Pattern::parse("'second'=ss", "en-US").unwrap(),
        timezone: chrono_tz::UTC,
        duration_ms: 1_000,
        extractor: Extractor::Record,
    };
    let config = Config { partitioner: Partitioner::Time(rule), memory_bytes_max: 1 << 20, ..world.config() };
    let text = format!("\"{}\"", "y".repeat(300 << 10));
    let batches: Vec<Batch> = (0..8).map(|place| raw(&[&text, &text, &text], place * 3)).collect();
    life(config, &batches, 0).await;
    let objects = world.objects().await;
    let names: Vec<&str> = objects.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "topics/flights/second=20/flights+3+0000000000.json",
            "topics/flights/second=21/flights+3+0000000001.json",
            "topics/flights/second=22/flights+3+0000000002.json",
        ]
    );
    assert!(objects.iter().all(|(_, bytes)| bytes.len() == 8 * (text.len() + 1)));
}

#[tokio::test]
async fn fields_name_folders_and_rows_without_them_are_refused() {
    let world = World::new().await;
    let names = vec!["carrier".into(), "month".into()];
    let config = Config { partitioner: Partitioner::Field { names }, ..world.config() };
    let rows = [
        "{\"carrier\":\"UA\",\"month\":1}",
        "{\"month\":1}",
        "{\"carrier\":\"AA\",\"month\":2}",
        "{\"carrier\":\"UA\",\"month\":1,\"n\":2}",
        "nonsense",
    ];
    assert_eq!(life(config, &[raw(&rows, 7)], 7).await, 2);
    let expected = vec![
        (
            "topics/flights/carrier=AA/month=2/flights+3+0000000009.json".to_owned(),
            b"{\"carrier\":\"AA\",\"month\":2}\n".to_vec(),
        ),
        (
            "topics/flights/carrier=UA/month=1/flights+3+0000000007.json".to_owned(),
            b"{\"carrier\":\"UA\",\"month\":1}\n{\"carrier\":\"UA\",\"month\":1,\"n\":2}\n".to_vec(),
        ),
    ];
    assert_eq!(world.objects().await, expected);
}

#[tokio::test]
async fn null_values_are_skipped_or_refused_and_bad_json_is_refused() {
    let world = World::new().await;
    let values = || {
        let values: Vec<Option<&[u8]>> = vec![None, Some(b"1"), Some(b"{oops"), None];
        let mut batch = batch(Body::Raw(BinaryViewArray::from_iter(values)), 0);
        batch.envelope.tombstones = Some(BooleanBuffer::from(vec![true, false, false, true]));
        batch
    };
    assert_eq!(life(Config { on_null: OnNull::Ignore, ..world.config() }, &[values()], 0).await, 1);
    assert_eq!(life(Config { on_null: OnNull::Fail, ..world.config() }, &[values()], 0).await, 3);
    let name = "topics/flights/partition=3/flights+3+0000000001.json".to_owned();
    assert_eq!(world.objects().await, vec![(name, b"1\n".to_vec())]);
}

#[tokio::test]
async fn an_extent_of_nothing_makes_no_object() {
    let world = World::new().await;
    life(world.config(), &[raw(&["}"], 0)], 0).await;
    life(world.config(), &[raw(&[], 1)], 1).await;
    assert!(world.objects().await.is_empty());
}

#[tokio::test]
async fn values_without_schema_are_written_as_jackson_writes_them() {
    let world = World::new().await;
    let value = Value::Struct(vec![("a".into(), Value::string("x\n")), ("b".into(), Value::Null)]);
    life(world.config(), &[batch(Body::Rows(vec![value, Value::string("t")].into()), 0)], 0).await;
    assert_eq!(world.objects().await[0].1, b"{\"a\":\"x\\n\",\"b\":null}\n\"t\"\n");
}

#[tokio::test]
async fn a_missing_bucket_a_wrong_key_and_a_dead_address_are_told_apart() {
    let world = World::new().await;
    let begin = |s3: S3Config| async {
        let config = Config { store: StoreConfig::S3(s3), ..world.config() };
        ObjectSink::new(config, Arc::new(ManualClock::at(0))).unwrap().begin(&load()).await.unwrap_err()
    };
    let gone = begin(S3Config { bucket: "nowhere".to_owned(), ..world.s3.clone() }).await;
    assert!(
        matches!(&gone, Fault::Fatal(error) if error.to_string().contains("nowhere does not exist")),
        "{gone:?}"
    );
    let credentials = Credentials::Keys {
        access_key: "key".to_owned(),
        secret_key: Secret::new("wrong"),
        session_token: None,
    };
    let denied = begin(S3Config { credentials, ..world.s3.clone() }).await;
    assert!(matches!(&denied, Fault::Denied(_)), "{denied:?}");
    let dead = begin(S3Config { endpoint: Some("http://127.0.0.1:1".to_owned()), ..world.s3.clone() }).await;
    assert!(
        matches!(&dead, Fault::Transient(error) if error.to_string().contains("cannot be reached")),
        "{dead:?}"
    );
}

/// The contract suite on one store, read back through the store's own client.
async fn keeps_the_contract(
    config: Config,
    bucket: Bucket,
    denied: Option<StoreConfig>,
    cannot: &'static [(Rule, &'static str)],
) -> String {
    let open = |config: Config| -> contract::Open {
        Box::new(move || Arc::new(ObjectSink::new(config.clone(), Arc::new(ManualClock::at(0))).unwrap()))
    };
    let denied = denied.map(|store| open(Config { store, ..config.clone() }));
    let fixture = SinkFixture {
        open: open(config),
        read_back: Box::new(move |split| {
            let (bucket, place) = (bucket.clone(), split.place.to_string());
            Box::pin(async move {
                let (topic, partition) = place.split_once('/').unwrap();
                let folder = format!("topics/{topic}/partition={partition}/");
                let own = objects(&bucket).await.into_iter().filter(|(name, _)| name.starts_with(&folder));
                let lines = own.flat_map(|(_, bytes)| {
                    bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>()
                });
                lines.filter(|line| !line.is_empty()).collect()
            })
        }),
        value: contract::value,
        bad_value: Some(b"{oops".to_vec()),
        denied,
        throttled: None,
        cannot,
    };
    contract::sink(&fixture).await
}

fn wrong_keys(s3: &S3Config) -> StoreConfig {
    let credentials = Credentials::Keys {
        access_key: "key".to_owned(),
        secret_key: Secret::new("wrong"),
        session_token: None,
    };
    StoreConfig::S3(S3Config { credentials, ..s3.clone() })
}

#[tokio::test]
async fn the_sink_keeps_the_contract() {
    let world = World::new().await;
    let bucket = cloud::store::s3(&world.s3).unwrap();
    let cannot = &[(Rule::Throttled, "the embedded endpoint never says SlowDown")];
    let kept = keeps_the_contract(world.config(), bucket, Some(wrong_keys(&world.s3)), cannot).await;
    insta::assert_snapshot!(kept);
}

/// A bucket of SeaweedFS, which checks signatures.
async fn seaweedfs(bucket: &str) -> Option<(S3Config, Bucket)> {
    let server = testkit::seaweedfs()?;
    let s3 = S3Config {
        bucket: bucket.to_owned(),
        region: None,
        endpoint: Some(server.endpoint.clone()),
        path_style: true,
        credentials: Credentials::Keys {
            access_key: testkit::ACCESS_KEY.to_owned(),
            secret_key: Secret::new(testkit::SECRET_KEY),
            session_token: None,
        },
    };
    let bucket = cloud::store::s3(&s3).unwrap();
    bucket.create().await.unwrap();
    Some((s3, bucket))
}

/// A bucket of fake-gcs-server.
async fn fake_gcs(bucket: &str) -> Option<(GcsConfig, Bucket)> {
    let server = testkit::fake_gcs()?;
    let endpoint = Some(server.endpoint.clone());
    let project = Some("tidemill".to_owned());
    let gcs = GcsConfig { bucket: bucket.to_owned(), endpoint, project, identity: None };
    let bucket = cloud::store::gcs(&gcs).unwrap();
    bucket.create().await.unwrap();
    Some((gcs, bucket))
}

fn json_to(store: StoreConfig) -> Config {
    Config::of(
        store,
        Settings { format: Format::Json(JsonSettings::default()), compression: Compression::None },
    )
}

#[tokio::test]
async fn the_sink_keeps_the_contract_on_seaweedfs() {
    let Some((s3, bucket)) = seaweedfs("contract").await else { return };
    let denied = wrong_keys(&s3);
    let cannot = &[(Rule::Throttled, "SeaweedFS has no rate limit to run into")];
    let kept = keeps_the_contract(json_to(StoreConfig::S3(s3)), bucket, Some(denied), cannot).await;
    insta::assert_snapshot!(kept);
}

#[tokio::test]
async fn the_sink_keeps_the_contract_on_fake_gcs_server() {
    let Some((gcs, bucket)) = fake_gcs("contract").await else { return };
    let cannot = &[
        (Rule::Throttled, "fake-gcs-server has no rate limit to run into"),
        (Rule::Denied, "fake-gcs-server lets everyone in"),
    ];
    let kept = keeps_the_contract(json_to(StoreConfig::Gcs(gcs)), bucket, None, cannot).await;
    insta::assert_snapshot!(kept);
}

/// An object of three parts, written by a second life after a first one died between its parts.
async fn large_object(config: Config, bucket: &Bucket) {
    let config = Config { part_bytes: 5 << 20, ..config };
    let text = format!("\"{}\"", "x".repeat(1 << 20));
    let batches: Vec<Batch> = (0..12).map(|mark| raw(&[&text], mark)).collect();
    let sink = ObjectSink::new(config.clone(), Arc::new(ManualClock::at(0))).unwrap();
    let mut dies = sink.writer(&split()).await.unwrap();
    dies.recover(&Saved::default()).await.unwrap();
    for batch in &batches[..8] {
        dies.write(batch).await.unwrap();
    }
    drop(dies);
    assert!(objects(bucket).await.is_empty(), "parts are no object");
    life(config, &batches, 0).await;
    let written = objects(bucket).await;
    assert_eq!(written.len(), 1);
    assert!(written[0].1 == format!("{text}\n").repeat(12).as_bytes(), "every byte, once, in order");
    assert!(bucket.list_uploads("topics/").await.unwrap().is_empty(), "nothing of the first life is left");
}

#[tokio::test]
async fn large_objects_go_in_parts_to_seaweedfs_and_to_fake_gcs_server() {
    if let Some((s3, bucket)) = seaweedfs("parts").await {
        large_object(json_to(StoreConfig::S3(s3)), &bucket).await;
    }
    if let Some((gcs, bucket)) = fake_gcs("parts").await {
        large_object(json_to(StoreConfig::Gcs(gcs)), &bucket).await;
    }
}
