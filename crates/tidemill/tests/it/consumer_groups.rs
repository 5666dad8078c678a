//! Consumer groups of both protocols with real clients: KIP-848 by confluent-kafka and Apache Kafka's own consumer and tools, static
//! and cooperative members of the classic protocol, groups that move from one to the other, and kill -9 in the middle of it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
};

use testkit::{Parts, Seeded, World, poll, run_python, tied_to_us};

use crate::{
    lifecycle::fixed_ports,
    shared::{name, world},
};

const COMMON: &str = include_str!("consumer_groups/common.py");
/// For scripts that send what no client would.
const BYTES: &str = include_str!("consumer_groups/bytes.py");
const KILLED: &str = include_str!("consumer_groups/killed.py");

/// A broker whose members show themselves often, so that rebalances are quick.
fn quick() -> (World, Parts) {
    let mut world = world();
    quicken(&mut world);
    let parts = world.up_with(&["--only", "broker"]);
    (world, parts)
}

fn quicken(world: &mut World) {
    world.set("TIDEMILL_BROKER_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS", "200 ms");
}

#[track_caller]
fn check(script: &str, more: &[&str], expected: &str) {
    let Some(python) = testkit::python() else { return };
    let (_world, parts) = quick();
    let (kafka, topic) = (parts.kafka(), name("groups"));
    let args = [&[kafka.as_str(), &topic], more].concat();
    let said = run_python(&python, &format!("{COMMON}\n{script}"), &args);
    assert_eq!(said, format!("{expected}\n"));
}

#[test]
fn the_broker_shares_out_partitions() {
    check(include_str!("consumer_groups/shared.py"), &[], "shared");
}

#[test]
fn static_members_come_back_to_what_they_had() {
    for protocol in ["consumer", "classic"] {
        check(include_str!("consumer_groups/static.py"), &[protocol], "static");
    }
}

#[test]
fn cooperative_members_keep_what_need_not_move() {
    check(include_str!("consumer_groups/cooperative.py"), &[], "cooperative");
}

#[test]
fn a_group_moves_between_the_protocols_while_it_works() {
    for strategy in ["range", "cooperative-sticky"] {
        check(include_str!("consumer_groups/moved.py"), &[strategy], "moved");
    }
}

/// The same bytes to Apache Kafka and to us get the same answers.
#[track_caller]
fn same_answers(script: &str, lines_count: usize) {
    let (Some(python), Some(kafka)) = (testkit::python(), testkit::kafka()) else { return };
    let (_world, parts) = quick();
    let script = format!("{COMMON}\n{BYTES}\n{script}");
    let [ours, theirs] = [&parts.kafka(), &kafka.bootstrap]
        .map(|address| run_python(&python, &script, &[address, &name("answers")]));
    assert_eq!(ours, theirs);
    assert!(ours.lines().count() > lines_count, "{ours}");
}

#[test]
fn refusals_are_kafkas() {
    same_answers(include_str!("consumer_groups/refusals.py"), 40);
}

#[test]
fn settings_of_a_group_are_kafkas() {
    same_answers(include_str!("consumer_groups/settings.py"), 10);
}

/// What our broker is tested with holds of Apache Kafka, too; but that Kafka lets no cooperative-sticky group of librdkafka's
/// move, for the assignor's own data in it.
#[test]
fn apache_kafka_does_the_same() {
    let (Some(python), Some(kafka)) = (testkit::python(), testkit::kafka()) else { return };
    let scripts = [
        (include_str!("consumer_groups/shared.py"), "shared", None),
        (include_str!("consumer_groups/moved.py"), "moved", Some("range")),
    ];
    for (script, expected, more) in scripts {
        let topic = name("on-kafka");
        let args: Vec<&str> = [kafka.bootstrap.as_str(), &topic].into_iter().chain(more).collect();
        assert_eq!(run_python(&python, &format!("{COMMON}\n{script}"), &args), format!("{expected}\n"));
    }
}

#[test]
fn kill_9_with_consumers_at_work_loses_nothing() {
    let Some(python) = testkit::python() else { return };
    let kills = if testkit::deep() { 200 } else { 6 };
    for seed in testkit::seeds(1) {
        let (mut world, mut random) = (world(), Seeded::new(seed));
        fixed_ports(&world);
        quicken(&mut world);
        let parts = world.up_with(&["--only", "broker"]);
        let mut clients = Command::new(&python)
            .args(["-c", &format!("{COMMON}\n{KILLED}"), &parts.kafka(), "killed", "3"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(clients.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "at work\n");
        for _ in 0..kills {
            poll::moment(random.within(300..2_500));
            world.kill();
            world.start(&["--only", "broker"]);
            world.ready();
        }
        clients.stdin.take().unwrap().flush().unwrap(); // and closed: the clients come to their end
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert!(clients.wait().unwrap().success(), "seed {seed}: {rest}");
        assert_eq!(rest, "none lost\n", "seed {seed}");
    }
}

/// Apache Kafka's console consumer as a member, and what its tools tell of the group meanwhile and after.
#[test]
fn kafkas_own_consumer_and_tools_see_one_group() {
    let Some(java) = testkit::java_tools() else { return };
    let (world, parts) = quick();
    let (kafka, topic, group) = (parts.kafka(), name("trips"), name("trippers"));
    let tool = |class: &str, args: &[&str]| {
        let all = [&["--bootstrap-server", kafka.as_str()], args].concat();
        java.tool(&format!("org.apache.kafka.tools.{class}"), &all).expect_success()
    };
    world.ok(&["topic", "create", &topic, "--partitions", "4"]);
    let perf = ["--topic", &topic, "--num-records", "400", "--record-size", "20", "--throughput", "-1"];
    let produced = java.tool(
        "org.apache.kafka.tools.ProducerPerformance",
        &[&perf[..], &["--bootstrap-server", &kafka]].concat(),
    );
    assert!(produced.expect_success().contains("400 records sent"));

    let mut consumer = java.class("org.apache.kafka.tools.consumer.ConsoleConsumer", 256);
    consumer.args(["--bootstrap-server", &kafka, "--topic", &topic, "--group", &group, "--from-beginning"]);
    consumer.args([
        "--command-property",
        "group.protocol=consumer",
        "--command-property",
        "group.instance.id=fixed",
    ]);
    consumer.stdout(Stdio::piped()).stderr(Stdio::null());
    // A test that fails must not leave it behind: it would look for its broker for ever.
    let mut consumer = tied_to_us(consumer).unwrap();
    let mut records = BufReader::new(consumer.inner().stdout.take().unwrap()).lines();
    assert!((0..400).all(|_| records.next().is_some_and(|line| line.is_ok())));

    let groups = "consumer.group.ConsumerGroupCommand";
    let told = |args: &[&str]| {
        let said = tool(groups, &[&["--describe", "--group", &group], args].concat());
        let row = said.lines().find(|line| line.starts_with(&group)).unwrap_or_else(|| panic!("{said}"));
        row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let state = told(&["--state", "--verbose"]);
    assert_eq!(state[3..], ["uniform", "Stable", "1", "1", "1"], "{state:?}");
    let members = told(&["--members", "--verbose"]);
    let all = format!("{topic}:0,1,2,3");
    assert_eq!(members[2..], ["fixed", "/127.0.0.1", "console-consumer", "4", "1", &all, "1", &all]);
    let listed = tool(groups, &["--list", "--state", "--type"]);
    assert!(
        listed.lines().any(|line| line.split_whitespace().eq([group.as_str(), "Consumer", "Stable"])),
        "{listed}"
    );
    let listed = tool("GroupsCommand", &["--list", "--consumer"]);
    assert!(
        listed.lines().any(|line| line.split_whitespace().eq([group.as_str(), "Consumer", "consumer"])),
        "{listed}"
    );

    let ours = world.ok(&["group", "list"]);
    assert!(
        ours.lines().any(|line| line.split_whitespace().eq([group.as_str(), "Stable", "consumer", "1"])),
        "{ours}"
    );
    let ours = poll::until("all is committed", 30_000, || {
        Some(world.ok(&["group", "describe", &group])).filter(|ours| ours.contains("lag in all: 0"))
    });
    assert!(ours.contains("is Stable, by the consumer protocol"), "{ours}");
    let read = ours.lines().filter(|line| line.starts_with(&topic) && line.ends_with(&*members[1]));
    assert_eq!(read.count(), 4, "each partition names its member: {ours}");
    ask_to_stop(consumer.pid());
    consumer.inner().wait().unwrap();
    let left = ["--group", &group, "--reset-offsets", "--to-earliest", "--topic", &topic, "--execute"];
    let refused = tool(groups, &left);
    assert!(refused.contains("current state is"), "a static member will be back: {refused}");
    read_by_kafka(&java, &world, &group);
}

/// Stops it as a person would, so that it leaves its group.
fn ask_to_stop(pid: u32) {
    Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
}

/// Every kind of record of the group is one that Kafka's decoder knows.
fn read_by_kafka(java: &testkit::Java, world: &World, group: &str) {
    let folder = world.path(".tidemill/broker");
    let holds = |partition: &i32| {
        let file = folder.join(format!("__consumer_offsets-{partition}/00000000000000000000.log"));
        let bytes = fs::read(file).unwrap_or_default();
        bytes.windows(group.len()).any(|window| window == group.as_bytes())
    };
    let partition = (0..50).find(holds).expect("the group is in a log");
    let file = folder.join(format!("__consumer_offsets-{partition}/00000000000000000000.log"));
    let args = ["--offsets-decoder", "--files", &file.display().to_string()];
    let decoded = java.tool("org.apache.kafka.tools.DumpLogSegments", &args).expect_success();
    let known = |kind: i32, more: &str| {
        let key = format!("\"type\":\"{kind}\"");
        assert!(
            decoded.lines().any(|line| line.contains(&key) && line.contains(group) && line.contains(more)),
            "no record of type {kind} with {more} in {decoded}"
        );
    };
    known(3, "\"epoch\":1,\"metadataHash\":");
    known(5, "\"instanceId\":\"fixed\"");
    known(6, "\"assignmentEpoch\":1");
    known(7, "\"partitions\":[0,1,2,3]");
    known(8, "\"memberEpoch\":1,\"previousMemberEpoch\":0,\"state\":0");
    known(8, "\"memberEpoch\":-2"); // the static member has left for a while
}
