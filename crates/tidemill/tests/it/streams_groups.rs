//! Groups of Kafka Streams that the broker leads (KIP-1071), with Apache Kafka's own Streams and tools; and a broker that is killed under
//! them.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{ChildStdout, Command, Stdio},
};

use serde_json::Value;
use testkit::{Java, Seeded, World, poll};

use crate::{
    lifecycle::fixed_ports,
    shared::{name, world},
};

const GROUPS: &str = "org.apache.kafka.tools.streams.StreamsGroupCommand";

fn quicken(world: &mut World) {
    world.set("TIDEMILL_BROKER_GROUP_STREAMS_HEARTBEAT_INTERVAL_MS", "500 ms");
}

fn program(java: &Java, address: &str, application: &str, more: &[&str]) -> Command {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/streams_groups/Counted.java");
    let folder = testkit::run_folder(&name("counted")).unwrap().display().to_string();
    let mut command = java.class(&program.display().to_string(), 512);
    command.args([address, application, &folder]).args(more);
    command
}

#[track_caller]
fn day(address: &str) {
    let Some(java) = testkit::java_tools() else { return };
    let said = testkit::ran(&mut program(&java, address, &name("counting"), &[]), 240);
    let expected = "counted: each word once\n\
        shared: 4 tasks each\n\
        counted: each word once\n\
        group: Stable, 2 members\n\
        subtopology 0: [-lines] []\n\
        subtopology 1: [] [-words-repartition, -counts-changelog]\n\
        listed: Streams, streams\n\
        standbys: 4\n\
        found at: [8001, 8002]\n\
        counted: each word once\n\
        committed: 600\n\
        then: Empty\n\
        deleted: true\n";
    assert_eq!(said.expect_success(), expected);
}

#[test]
fn instances_share_the_tasks_that_the_broker_gives_them() {
    let mut world = world();
    quicken(&mut world);
    day(&world.up_with(&["--only", "broker"]).kafka());
}

#[test]
fn apache_kafka_gives_them_the_same() {
    let Some(kafka) = testkit::kafka() else { return };
    day(&kafka.bootstrap);
}

/// Two instances that work until they are told to end.
struct Working {
    clients: testkit::Child,
    said: BufReader<ChildStdout>,
}

impl Working {
    fn begin(java: &Java, address: &str, application: &str) -> Working {
        let mut command = program(java, address, application, &["work"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut clients = testkit::tied_to_us(command).unwrap();
        let mut said = BufReader::new(clients.inner().stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "at work\n");
        Working { clients, said }
    }

    #[track_caller]
    fn end(mut self, seed: &str) {
        drop(self.clients.inner().stdin.take());
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        assert!(self.clients.inner().wait().unwrap().success(), "{seed}: {rest}");
        assert_eq!(rest, "counted: each word once\n", "{seed}");
    }
}

#[test]
fn kafkas_tools_see_the_group() {
    let Some(java) = testkit::java_tools() else { return };
    let mut world = world();
    quicken(&mut world);
    let (kafka, group) = (world.up_with(&["--only", "broker"]).kafka(), name("counting"));
    let working = Working::begin(&java, &kafka, &group);
    let tool = |args: &[&str]| {
        let about = ["--bootstrap-server", &kafka, "--group", &group];
        java.tool(GROUPS, &[&about[..], args].concat()).expect_success()
    };
    let rows = |said: &str| said.lines().filter(|line| line.starts_with(&group)).count();
    let state = tool(&["--describe", "--state"]);
    assert!(state.contains("Stable"), "{state}");
    let members = tool(&["--describe", "--members"]);
    assert_eq!(rows(&members), 2, "{members}");
    let offsets = tool(&["--describe", "--offsets"]);
    assert_eq!(rows(&offsets), 8, "four partitions of what it reads, and four in between: {offsets}");
    let ours = world.ok(&["group", "list"]);
    let row = [&*group, "-", "share", "or", "streams", "-"];
    assert!(ours.lines().any(|line| line.split_whitespace().eq(row)), "{ours}");
    let ours = world.ok(&["group", "describe", &group]);
    assert!(ours.contains("is a share group or a streams group") && ours.contains("lag in all: "), "{ours}");
    let ours: Value =
        serde_json::from_str(&world.ok(&["group", "describe", &group, "--output", "json"])).unwrap();
    assert_eq!((&ours["state"], &ours["members"]), (&Value::Null, &Value::Null), "{ours}");
    working.end("no seed");
    let listed = java.tool(GROUPS, &["--bootstrap-server", &kafka, "--list"]).expect_success();
    assert!(listed.lines().any(|line| line.trim() == group), "{listed}");
    // What the group has made goes with it.
    let deleted = tool(&["--delete", "--delete-all-internal-topics"]);
    assert!(deleted.contains("successful"), "{deleted}");
    let topics = world.ok(&["topic", "list"]);
    assert!(!topics.contains("repartition") && !topics.contains("changelog"), "{topics}");
}

#[test]
fn kill_9_of_the_broker_counts_nothing_twice() {
    let Some(java) = testkit::java_tools() else { return };
    let kills = if testkit::deep() { 50 } else { 3 };
    for seed in testkit::seeds(1) {
        let (mut world, mut random) = (world(), Seeded::new(seed));
        fixed_ports(&world);
        quicken(&mut world);
        let parts = world.up_with(&["--only", "broker"]);
        let working = Working::begin(&java, &parts.kafka(), &name("worked"));
        for _ in 0..kills {
            poll::moment(random.within(500..2_500));
            world.kill();
            world.start(&["--only", "broker"]);
            world.ready();
        }
        working.end(&format!("seed {seed}"));
    }
}
