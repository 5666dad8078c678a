//! Share groups (KIP-932) with Apache Kafka's own consumer, console and tools; a member that is killed, and a broker that is.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
};

use testkit::{Java, Parts, Seeded, World, poll, tied_to_us};

use crate::{
    lifecycle::fixed_ports,
    shared::{name, world},
};

const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ShareGroupCommand";

/// A broker that takes back soon what a member keeps.
fn quick() -> (World, Parts) {
    let mut world = world();
    quicken(&mut world);
    let parts = world.up_with(&["--only", "broker"]);
    (world, parts)
}

fn quicken(world: &mut World) {
    world.set("TIDEMILL_BROKER_GROUP_SHARE_HEARTBEAT_INTERVAL_MS", "500 ms");
    world.set("TIDEMILL_BROKER_GROUP_SHARE_RECORD_LOCK_DURATION_MS", "3 s");
}

fn program(java: &Java, address: &str, topic: &str, more: &[&str]) -> Command {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/share_groups/Shared.java");
    let mut command = java.class(&program.display().to_string(), 256);
    command.args([address, topic]).args(more);
    command
}

#[track_caller]
fn day(address: &str) {
    let Some(java) = testkit::java_tools() else { return };
    let said = testkit::ran(&mut program(&java, address, &name("shared"), &["day"]), 120);
    let expected = "shared: 60 each once, by both\n\
        first: 60x1\n\
        released: 60x2\n\
        rejected: true\n\
        again: 61x1\nagain: 61x2\nagain: 61x3\nagain: 61x4\nagain: 61x5\n\
        five times are enough: true\n\
        held for too long: 62 goes to the other\n\
        too late: false\n\
        in time: true\n\
        nothing is left: true\n";
    assert_eq!(said.expect_success(), expected);
}

#[test]
fn members_share_a_partition_record_by_record() {
    let (_world, parts) = quick();
    day(&parts.kafka());
}

#[test]
fn apache_kafka_shares_the_same() {
    let Some(kafka) = testkit::kafka() else { return };
    day(&kafka.bootstrap);
}

#[track_caller]
fn renew(address: &str) {
    let Some(java) = testkit::java_tools() else { return };
    let said = testkit::ran(&mut program(&java, address, &name("renewed"), &["renew"]), 90);
    let expected = "no more than three: 0x1 1x1 2x1\n\
        the other: 3 4 5\n\
        the other: 6 7\n\
        still held: 0x1 1x1 2x1, in time: true\n";
    assert_eq!(said.expect_success(), expected);
}

#[test]
fn members_take_what_they_want_and_keep_it_while_they_need_it() {
    let (_world, parts) = quick();
    renew(&parts.kafka());
}

#[test]
fn apache_kafka_lets_them_keep_it_too() {
    let Some(kafka) = testkit::kafka() else { return };
    renew(&kafka.bootstrap);
}

#[test]
fn what_a_killed_member_held_goes_to_another() {
    let Some(java) = testkit::java_tools() else { return };
    let (_world, parts) = quick();
    let topic = name("held");
    let mut command = program(&java, &parts.kafka(), &topic, &["hold"]);
    command.stdout(Stdio::piped());
    let mut holder = tied_to_us(command).unwrap();
    let mut line = String::new();
    BufReader::new(holder.inner().stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    holder.kill();
    let said = testkit::ran(&mut program(&java, &parts.kafka(), &topic, &["rest"]), 60).expect_success();
    assert_eq!(said, "0 1 2 3 4\n");
}

#[test]
fn kill_9_of_the_broker_loses_nothing_and_gives_out_nothing_twice() {
    let Some(java) = testkit::java_tools() else { return };
    let kills = if testkit::deep() { 100 } else { 4 };
    for seed in testkit::seeds(1) {
        let (mut world, mut random) = (world(), Seeded::new(seed));
        fixed_ports(&world);
        quicken(&mut world);
        let parts = world.up_with(&["--only", "broker"]);
        let mut command = program(&java, &parts.kafka(), &name("worked"), &["work", "1500"]);
        let mut clients = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(clients.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "at work\n");
        for _ in 0..kills {
            poll::moment(random.within(500..2_500));
            world.kill();
            world.start(&["--only", "broker"]);
            world.ready();
        }
        clients.stdin.take().unwrap().flush().unwrap(); // and closed: the clients come to their end
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert!(clients.wait().unwrap().success(), "seed {seed}: {rest}");
        assert_eq!(rest, "none lost, none twice\n", "seed {seed}");
    }
}

/// The console consumer as a member, and what the tools tell of the group and do with it.
#[test]
fn kafkas_console_and_tools_see_the_group() {
    let Some(java) = testkit::java_tools() else { return };
    let (world, parts) = quick();
    let (kafka, topic, group) = (parts.kafka(), name("pool"), name("swimmers"));
    let tool = |class: &str, args: &[&str]| {
        java.tool(class, &[&["--bootstrap-server", kafka.as_str()], args].concat()).expect_success()
    };
    world.ok(&["topic", "create", &topic]);
    let configs = ["--entity-type", "groups", "--entity-name", &group];
    let earliest = ["--alter", "--add-config", "share.auto.offset.reset=earliest"];
    tool("kafka.admin.ConfigCommand", &[&configs[..], &earliest].concat());
    let perf = ["--topic", &topic, "--num-records", "300", "--record-size", "20", "--throughput", "-1"];
    tool("org.apache.kafka.tools.ProducerPerformance", &perf);

    let console = "org.apache.kafka.tools.consumer.ConsoleShareConsumer";
    let reading = ["--topic", &topic, "--group", &group, "--max-messages", "300", "--timeout-ms", "30000"];
    let read = tool(console, &reading);
    assert_eq!(read.lines().count(), 300, "{read}");

    let row = |said: String| {
        let row = said.lines().find(|line| line.starts_with(&group)).unwrap_or_else(|| panic!("{said}"));
        row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let about = ["--group", group.as_str()];
    let listed = tool(GROUPS, &["--list"]);
    assert!(listed.lines().any(|line| line.trim() == group), "{listed}");
    let state = row(tool(GROUPS, &[&["--describe", "--state"], &about[..]].concat()));
    assert!(state.iter().any(|word| word == "Empty"), "{state:?}");
    let offsets = row(tool(GROUPS, &[&["--describe", "--offsets"], &about[..]].concat()));
    assert_eq!(offsets[1..], [topic.as_str(), "0", "300", "0"], "{offsets:?}");

    let reset = ["--reset-offsets", "--to-earliest", "--topic", &topic, "--execute"];
    tool(GROUPS, &[&reset[..], &about].concat());
    let offsets = row(tool(GROUPS, &[&["--describe", "--offsets"], &about[..]].concat()));
    assert_eq!(offsets[1..], [topic.as_str(), "0", "0", "300"], "{offsets:?}");
    let read = tool(console, &reading);
    assert_eq!(read.lines().count(), 300, "{read}");

    tool(GROUPS, &[&["--delete-offsets", "--topic", topic.as_str()], &about[..]].concat());
    let read = tool(console, &reading);
    assert_eq!(read.lines().count(), 300, "the group begins anew: {read}");
    let deleted = tool(GROUPS, &[&["--delete"], &about[..]].concat());
    assert!(deleted.contains("successful"), "{deleted}");
    let listed = tool(GROUPS, &["--list"]);
    assert!(!listed.lines().any(|line| line.trim() == group), "{listed}");
}
