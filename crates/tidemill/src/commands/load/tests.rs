//! Loads into the embedded broker through the embedded registry, good and bad.

use std::{fs, time::Duration};

use base::{Handle, problem::plain};
use clap::Parser;
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
};
use tempfile::TempDir;

use super::*;
use crate::context::GlobalArgs;

const SCHEMA: &str = r#"{"title":"flights","type":"object","additionalProperties":false,"required":["flight"],
"properties":{"flight":{"type":"integer"},"tail":{"type":["string","null"]}}}"#;

struct World {
    folder: TempDir,
    broker: Handle,
    registry: Handle,
    context: Context,
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

async fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let port = "127.0.0.1:0".parse().expect("an address");
    let mut options = broker::Options::at(folder.path().join("broker"), port);
    options.auto_create_topics = false;
    let broker = broker::Service::start(options).await.expect("the broker starts");
    let options = ::registry::Options::at(port, broker.addr.to_string());
    let registry = ::registry::Service::start(options).await.expect("the registry starts");
    fs::create_dir(folder.path().join("contracts")).expect("a folder");
    fs::write(folder.path().join("contracts/flights.json"), SCHEMA).expect("writes");
    let context =
        Context::new(GlobalArgs { project: Some(folder.path().to_owned()), ..GlobalArgs::default() });
    World { folder, broker, registry, context }
}

impl World {
    /// Runs `load FILE kafka://BROKER/flights …` on a file with this content; the error as plain lines.
    async fn load(&self, name: &str, content: &str, more: &[&str]) -> Result<(), String> {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("writes");
        let path = path.to_string_lossy().into_owned();
        let target = format!("kafka://{}/flights", self.broker.addr);
        let registry = format!("http://{}", self.registry.addr);
        let mut words = vec!["load", &path, &target];
        if !more.contains(&"--registry") {
            words.extend(["--registry", &registry]);
        }
        words.extend(more);
        let cli = Cli::try_parse_from(words).expect("parses");
        let ended = run(cli.args, &self.context).await;
        ended.map_err(|failure| {
            let text = plain(&*failure).replace(&*self.folder.path().to_string_lossy(), "");
            text.replace(&self.broker.addr.to_string(), "BROKER").replace(&registry, "REGISTRY")
        })
    }

    /// All records as `partition key value`.
    async fn records(&self, count: usize) -> Vec<String> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker.addr.to_string()).set("group.id", "test");
        config.set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
        let read = tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = config.create().expect("a client");
            consumer.subscribe(&["flights"]).expect("subscribes");
            let until = std::time::Instant::now() + Duration::from_secs(20);
            let mut records = Vec::new();
            while records.len() < count && std::time::Instant::now() < until {
                if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                    let text = |bytes: Option<&[u8]>| {
                        bytes.map_or("-".into(), |bytes| String::from_utf8_lossy(bytes).into_owned())
                    };
                    records.push(format!("{} {:?}", text(message.key()), text(message.payload())));
                }
            }
            records.sort();
            records
        });
        read.await.expect("joins")
    }
}

const GOOD: &str = "flight,tail\n1545,N14228\n1714,NA\n1141,N619AA\n";
const CREATE: [&str; 7] = ["--create", "--partitions", "3", "--contract", "flights", "--key", "tail"];

#[tokio::test(flavor = "multi_thread")]
async fn a_file_under_a_contract_arrives_framed_and_keyed() {
    let world = world().await;
    world.load("flights.csv", GOOD, &CREATE).await.expect("loads");
    let expected = [
        r#"- "\0\0\0\0\u{1}{\"flight\":1714,\"tail\":null}""#,
        r#"N14228 "\0\0\0\0\u{1}{\"flight\":1545,\"tail\":\"N14228\"}""#,
        r#"N619AA "\0\0\0\0\u{1}{\"flight\":1141,\"tail\":\"N619AA\"}""#,
    ];
    assert_eq!(world.records(3).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bad_stops_the_load_and_says_where() {
    let world = world().await;
    let mut texts = Vec::new();
    world.load("flights.csv", GOOD, &CREATE).await.expect("loads");
    let loads: [(&str, &str, &[&str]); 8] = [
        ("type.csv", "flight,tail\n1,a\n2,b\nx,c\n4,d\n", &["--contract", "flights"]),
        ("ragged.csv", "flight,tail\n1,a\n2\n", &["--contract", "flights"]),
        ("quote.csv", "flight,tail\n1,\"a\n2,b\n", &["--contract", "flights"]),
        ("contract.csv", GOOD, &["--contract", "nothing"]),
        ("key.csv", GOOD, &["--key", "tailnum"]),
        ("registry.csv", GOOD, &["--contract", "flights", "--registry", "http://127.0.0.1:1"]),
        ("bad.jsonl", "{\"flight\":1}\n{\"flight\":}\n", &[]),
        ("cut.json", "[{\"flight\":1},\n{\"flight\":2", &[]),
    ];
    for (name, content, more) in loads {
        texts.push(format!("{name}\n{}", world.load(name, content, more).await.expect_err(name)));
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_and_a_broker_that_is_down_say_so() {
    let world = world().await;
    let text = world.load("flights.csv", GOOD, &[]).await.expect_err("no topic");
    assert!(text.starts_with("TM0703 × Kafka has no topic flights\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_take_what_is_bad_and_the_rest_goes_on() {
    let world = world().await;
    let folder = world.folder.path().join("dead");
    let folder_text = folder.to_string_lossy().into_owned();
    let mut more = CREATE.to_vec();
    more.extend(["--on-error", "dead-letter", "--dead-letters", &folder_text]);
    world.load("flights.csv", "flight,tail\n1,a\nx,b\n3,c\n4\n5,e\n", &more).await.expect("loads");
    assert_eq!(world.records(3).await.len(), 3);
    let files: Vec<_> = fs::read_dir(&folder).expect("a folder").flatten().collect();
    let text = fs::read_to_string(files[0].path()).expect("reads");
    assert_eq!((files.len(), text.lines().count()), (1, 2), "{text}");
    assert!(
        text.contains(":3:1: flight: expected integer") && text.contains(":5:2: the header has 2 fields"),
        "{text}"
    );
}

#[test]
fn targets_are_checked() {
    for target in ["flights", "kafka://local", "kafka:///flights", "kafka://local/a/b"] {
        assert!(kafka::Topic::parse(target).is_err(), "{target}");
    }
    let Ok(topic) = kafka::Topic::parse("kafka://broker/flights") else { panic!("a target") };
    assert_eq!((topic.server.as_deref(), topic.name.as_str()), (Some("broker:9092"), "flights"));
}

fn reject(code: base::Code, reason: &str) -> base::Reject {
    let place = std::sync::Arc::new(base::Place::File { path: "a.csv".into() });
    base::Reject {
        origin: base::Origin { place, mark: Some(7), id: None, came_as: None },
        code,
        reason: reason.to_owned(),
        stage: "TASK_PUT",
        key: None,
        value: None,
        headers: base::Headers::new(),
        timestamp_ms: None,
    }
}

fn refused(code: base::Code, reason: &str) -> LoadError {
    let target = "planes".to_owned();
    LoadError::Rejected { reject: Box::new(reject(code, reason)), sent_count: 7, target, resume: None }
}

#[test]
fn every_error_of_pace_and_state_says_what_and_what_to_do() {
    let id = || "flights-20261128T165512-3f2a".to_owned();
    let known = || vec!["planes-20261127T080001-77aa".to_owned(), id()];
    let gone = || std::io::ErrorKind::NotFound.into();
    let dead = || "connection refused".into();
    let topic = || "flights".to_owned();
    let ends = [
        LoadError::Failed { source: dead(), sent_count: 12, target: topic(), resume: Some(id()) },
        LoadError::Interrupted { sent_count: 12, target: topic(), is_repeatable: false, resume: Some(id()) },
        LoadError::Interrupted { sent_count: 0, target: topic(), is_repeatable: false, resume: None },
    ];
    let hindrances = [
        Hindrance::Header { header: "source".to_owned() },
        Hindrance::NoSource { target: "kafka://local/flights".to_owned() },
        Hindrance::WatchBeside { source: "data/a.csv".to_owned() },
        Hindrance::Watch { folder: "inbox".into(), source: gone() },
        Hindrance::Pace { option: "--rate", text: "fast".to_owned(), like: "500/s, 30000/m, 2/h or 5MB/s" },
        Hindrance::Contradiction { one: "--partition", other: "--partitioner" },
        Hindrance::NoContractFor { flag: "--message" },
        Hindrance::OtherContract { serializer: "Avro", contract: "Protobuf" },
        Hindrance::ContractLacks { path: "contracts/order.proto".into(), what: "message Order".to_owned() },
        Hindrance::State { path: ".tidemill/loads/a/load.json".into(), source: gone() },
        Hindrance::NoStandardInput { id: id() },
        Hindrance::InputChanged {
            id: id(),
            path: "data/flights.csv".into(),
            reason: "it has 90 bytes and had 81".to_owned(),
        },
        Hindrance::ColumnsGone { load: id(), path: "data/flights.csv".into() },
        Hindrance::HasEnded { id: id() },
        Hindrance::NoLoad { id: "other".to_owned(), known: known() },
        Hindrance::NoLoad { id: "other".to_owned(), known: Vec::new() },
        Hindrance::NothingUnfinished { folder: ".tidemill/loads".into() },
        Hindrance::SeveralUnfinished { known: known() },
    ];
    let texts: Vec<String> =
        ends.iter().map(|error| plain(error)).chain(hindrances.iter().map(|error| plain(error))).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn every_error_of_a_load_says_what_and_what_to_do() {
    let dead = || "connection refused".into();
    let topic = || "flights".to_owned();
    let errors = [
        LoadError::Target { target: "flights".to_owned() },
        LoadError::Property { property: "linger".to_owned() },
        LoadError::NoContract { name: topic(), folder: "contracts".into() },
        LoadError::Contract {
            path: "contracts/flights.json".into(),
            source: std::io::ErrorKind::PermissionDenied.into(),
        },
        LoadError::Plan { source: "no field tailnum".into() },
        LoadError::Registry { url: "http://127.0.0.1:8081".to_owned(), source: dead() },
        LoadError::RegistryRefuses { subject: "flights-value".to_owned(), reason: "incompatible".to_owned() },
        LoadError::Rejected {
            reject: Box::new(reject(base::code::TM0510, "a.csv:7:3: flight: expected integer")),
            sent_count: 1,
            target: topic(),
            resume: Some("flights-20261128T165512-3f2a".to_owned()),
        },
        LoadError::Rejected {
            reject: Box::new(reject(
                base::code::TM0710,
                "2,000,000 bytes are more than the producer's message.max.bytes",
            )),
            sent_count: 12,
            target: topic(),
            resume: None,
        },
        refused(
            base::code::TM0772,
            "a.csv:9:4: year: expected an integer as in the rows before, found \"x\"",
        ),
        refused(base::code::TM0773, "a.csv:9:1: a row is an object, not array"),
        refused(base::code::TM0774, "a.csv:9:1: tailnum, the key, has no value"),
        LoadError::Failed { source: dead(), sent_count: 12, target: topic(), resume: None },
        LoadError::Interrupted { sent_count: 12, target: topic(), is_repeatable: false, resume: None },
        LoadError::Interrupted { sent_count: 12, target: topic(), is_repeatable: true, resume: None },
        LoadError::NotForTopics { flag: "--write" },
        LoadError::NotForStores { flag: "--serializer" },
        LoadError::Connection {
            target: "mongodb://air/planes".to_owned(),
            reason: "connection air is of type http".to_owned(),
        },
        LoadError::Keyless { target: "planes".to_owned() },
    ];
    let texts: Vec<String> = errors.iter().map(|error| plain(error)).collect();
    insta::assert_snapshot!(texts.join("\n"));
}
