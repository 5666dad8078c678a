//! Clients of yesterday: librdkafka 1, by a program that knows its C interface only, and the tools and clients of Kafka 2.8.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use testkit::{Java, ran};

use super::{PASSWORD, Place, USER, place, programs, same_everywhere};
use crate::shared::name;

fn fed(command: &mut Command, input: &str) {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn old(version: &str) -> Option<Command> {
    let (python, library) = (testkit::python()?, testkit::old_librdkafka(version)?);
    let mut command = Command::new(python);
    command.arg(programs("old_librdkafka.py")).arg(library);
    Some(command)
}

#[test]
fn the_last_librdkafka_1_does_a_days_work() {
    same_everywhere("librdkafka", || old("1.9.2"));
}

/// Apache Kafka 4 does not speak to them any more (KIP-896).
fn older(version: &str) {
    let place = place();
    for (address, more) in [(&place.plaintext, &[][..]), (&place.sasl_ssl, &place.secret()[..])] {
        let Some(mut command) = old(version) else { return };
        let said = ran(command.arg(address).arg(name("librdkafka")).args(more), 60).expect_success();
        insta::assert_snapshot!("librdkafka", said);
    }
}

#[test]
fn librdkafka_1_3_does_a_days_work() {
    older("1.3.0");
}

/// Its commits are the first that have a generation, v1.
#[test]
fn librdkafka_1_1_does_a_days_work() {
    older("1.1.0");
}

#[test]
fn librdkafka_1_0_does_a_days_work() {
    older("1.0.1");
}

/// Old librdkafkas compress only where the broker announces a Produce that it has not.
#[test]
fn librdkafka_1_compresses() {
    let Some(mut command) = old("1.9.2") else { return };
    let (place, topic) = (place(), name("compressed"));
    ran(command.args([&place.plaintext, &topic]), 60).expect_success();
    let file = place.world.path(&format!(".tidemill/broker/{topic}-0/00000000000000000000.log"));
    let bytes = std::fs::metadata(file).unwrap().len();
    assert!(bytes < 8_000, "five codecs, and one of them leaves 3 KB as they are: {bytes}");
}

/// A file of client properties for Java's tools.
fn properties(place: &Place, is_secured: bool) -> String {
    let mut lines = "max.block.ms=20000\n".to_owned();
    if is_secured {
        let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
        lines += &format!(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\nssl.truststore.location={}\n\
             sasl.jaas.config={module} required username=\"{USER}\" password=\"{PASSWORD}\";\n",
            place.certificate
        );
    }
    let file = testkit::run_folder(&name("kafka-2")).unwrap().join("client.properties");
    std::fs::write(&file, lines).unwrap();
    file.display().to_string()
}

/// What Kafka 2.8's tools are called with differs from tool to tool.
struct Tools<'a> {
    java: Java,
    address: &'a str,
    properties: String,
}

impl Tools<'_> {
    fn run(&self, class: &str, properties: &str, args: &[&str]) -> String {
        let all = [&["--bootstrap-server", self.address, properties, &self.properties], args].concat();
        self.java.tool(class, &all).expect_success()
    }
}

fn kafka_2(is_secured: bool) {
    let Some(java) = testkit::kafka_2_tools() else { return };
    let place = place();
    let address = if is_secured { &place.sasl_ssl } else { &place.plaintext };
    let tools = Tools { java: java.clone(), address, properties: properties(place, is_secured) };
    let (topic, group) = (name("kafka-2"), name("kafka-2-group"));
    let topics = |args: &[&str]| tools.run("kafka.admin.TopicCommand", "--command-config", args);
    topics(&["--create", "--topic", &topic, "--partitions", "3", "--config", "retention.ms=3600000"]);
    let told = topics(&["--describe", "--topic", &topic]);
    assert!(told.contains("PartitionCount: 3") && told.contains("retention.ms=3600000"), "{told}");
    let entity = ["--entity-type", "topics", "--entity-name", &topic];
    let configs = |args: &[&str]| {
        tools.run("kafka.admin.ConfigCommand", "--command-config", &[&entity[..], args].concat())
    };
    configs(&["--alter", "--add-config", "retention.ms=7200000"]);
    let told = configs(&["--describe"]);
    assert!(told.contains("retention.ms=7200000") && told.contains("DYNAMIC_TOPIC_CONFIG"), "{told}");

    let mut producer = java.class("kafka.tools.ConsoleProducer", 256);
    producer.args(["--bootstrap-server", address, "--producer.config", &tools.properties, "--topic", &topic]);
    producer.args([
        "--property",
        "parse.key=true",
        "--property",
        "key.separator=:",
        "--compression-codec",
        "zstd",
    ]);
    fed(&mut producer, "a:1\nb:2\na:3\n");
    let perf = ["--topic", &topic, "--num-records", "997", "--record-size", "100", "--throughput", "-1"];
    let ids = [
        "--transactional-id",
        &topic,
        "--transaction-duration-ms",
        "50",
        "--producer.config",
        &tools.properties,
    ];
    let bootstrap = format!("bootstrap.servers={address}");
    let said = java.tool(
        "org.apache.kafka.tools.ProducerPerformance",
        &[&perf[..], &ids, &["--producer-props", &bootstrap, "compression.type=lz4"]].concat(),
    );
    assert!(said.expect_success().contains("997 records sent"));
    let args = ["--topic", &topic, "--group", &group, "--from-beginning", "--max-messages", "1000"];
    let more = ["--timeout-ms", "30000", "--isolation-level", "read_committed"];
    let read = tools.run("kafka.tools.ConsoleConsumer", "--consumer.config", &[&args[..], &more].concat());
    assert_eq!(read.lines().count(), 1_000);
    assert_eq!(read.lines().filter(|line| line.len() == 1).count(), 3);

    let groups = |args: &[&str]| tools.run("kafka.admin.ConsumerGroupCommand", "--command-config", args);
    let lags = |told: &str, column: usize| {
        let rows = told.lines().filter(|line| line.starts_with(&group));
        rows.map(|row| row.split_whitespace().nth(column).unwrap().parse::<i64>().unwrap()).sum::<i64>()
    };
    let told = groups(&["--describe", "--group", &group]);
    assert!(lags(&told, 5) < 4, "behind the last record there may be a transaction's marker: {told}");
    groups(&["--reset-offsets", "--to-earliest", "--topic", &topic, "--group", &group, "--execute"]);
    let told = groups(&["--describe", "--group", &group]);
    assert_eq!(lags(&told, 3), 0, "{told}");
    groups(&["--delete", "--group", &group]);
    topics(&["--delete", "--topic", &topic]);
    assert!(!topics(&["--list"]).lines().any(|line| line == topic));
}

#[test]
fn the_tools_of_kafka_2_do_a_days_work() {
    kafka_2(false);
}

#[test]
fn the_tools_of_kafka_2_do_a_days_work_through_tls_and_scram() {
    kafka_2(true);
}

#[test]
fn the_clients_of_kafka_2_consume_and_produce_exactly_once() {
    let Some(java) = testkit::kafka_2_tools() else { return };
    let (kafka, source, target) = (&place().plaintext, name("java-2-source"), name("java-2-target"));
    for topic in [&source, &target] {
        let args = ["--bootstrap-server", kafka, "--create", "--topic", topic, "--partitions", "2"];
        java.tool("kafka.admin.TopicCommand", &args).expect_success();
    }
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/transactions/ExactlyOnce.java");
    assert_eq!(java.tool(program, &[kafka, &source, &target]).expect_success(), "once each\n");
}
