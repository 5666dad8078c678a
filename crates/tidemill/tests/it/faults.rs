//! Faults of a real machine under the built binary: a small file system that is full, and a limit on the size of files. What
//! was acknowledged is there once and in order, and the broker goes on without a restart when there is room.

mod coordinators;
mod history;
mod partitions;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use testkit::{Parts, World, poll};

use crate::shared::world;

const TOPIC: &str = "filling";
const PATIENCE: Duration = Duration::from_secs(60);

/// A producer that sends again until there is room.
fn producer(kafka: &str) -> ThreadedProducer<DefaultProducerContext> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", kafka).set("enable.idempotence", "true").set("linger.ms", "1");
    client.set("batch.size", "8192").set("retry.backoff.ms", "50").set("retry.backoff.max.ms", "100");
    client.create().unwrap()
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let value = format!("{number:-<1000}");
        let record = BaseRecord::<(), _>::to(TOPIC).partition(0).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
}

/// The numbers of all records, in their order.
fn numbers(kafka: &str) -> Vec<usize> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", kafka).set("group.id", "reader").set("check.crcs", "true");
    let consumer: BaseConsumer = client.set("enable.partition.eof", "true").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    loop {
        match consumer.poll(PATIENCE).expect("a record or the end within the time") {
            Err(KafkaError::PartitionEOF(_)) => return found,
            Err(error) => panic!("{error}"),
            Ok(message) => {
                let text = std::str::from_utf8(message.payload().unwrap()).unwrap();
                found.push(text.trim_end_matches('-').parse().unwrap());
            }
        }
    }
}

/// Fills the disk, frees some, and looks at what became of the records, also in the next life.
fn fill(mut world: World, records: usize, code: &str, free: impl FnOnce(&World, &Parts)) {
    let parts = world.up_with(&["--only", "broker"]);
    world.ok(&["topic", "create", TOPIC, "--partitions", "1"]);
    let (kafka, start) = (parts.kafka(), Instant::now());
    let producer = producer(&kafka);
    send(&producer, 0..records);
    poll::until("the disk is full", 30_000, || world.said().contains(code).then_some(()));
    let before = numbers(&kafka);
    assert!(!before.is_empty() && before.len() < records, "{} of {records} had room", before.len());
    assert!(before.iter().copied().eq(0..before.len()), "{before:?}");
    free(&world, &parts);
    producer.flush(PATIENCE).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
    let all: Vec<usize> = (0..records).collect();
    assert!(numbers(&kafka) == all, "each record once and in order");
    world.ok(&["topic", "create", "another"]);
    eprintln!("{} of {records} had room at first; {} ms", before.len(), start.elapsed().as_millis());
    world.kill();
    let parts = world.up_with(&["--only", "broker"]);
    assert!(numbers(&parts.kafka()) == all, "after a kill -9");
}

#[test]
fn a_file_that_may_not_grow_holds_up_producers_until_it_may() {
    let mut world = world();
    // `$0` is the binary: the script's first word behind it.
    world.wrap(&["sh", "-c", "trap '' XFSZ; ulimit -S -f 400; exec \"$0\" \"$@\""]);
    fill(world, 1_000, "TM0224", |_, parts| {
        let pid = parts.pid.to_string();
        let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
        assert!(raised.success());
    });
}

/// How to run a command in a mount namespace of its own, where this machine lets us mount.
fn namespace(folder: &Path) -> Option<Vec<&'static str>> {
    let mounts = |words: &Vec<&'static str>| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["sh", "-c", "mount -t tmpfs -o size=1m tmpfs \"$0\""]).arg(folder);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let ways = [vec!["unshare", "--user", "--map-root-user", "--mount"], vec!["unshare", "--mount"]];
    ways.into_iter().find(mounts)
}

#[test]
fn a_full_file_system_holds_up_producers_until_it_has_room() {
    let mut world = world();
    let data: PathBuf = world.path(".tidemill/broker");
    fs::create_dir_all(&data).unwrap();
    let Some(words) = namespace(&data) else {
        eprintln!("nothing may be mounted here: the test of `ulimit -f` stands in");
        return;
    };
    let script = "mount -t tmpfs -o size=6m tmpfs .tidemill/broker \
                  && head -c 3000000 /dev/zero > .tidemill/broker/other-data && exec \"$0\" \"$@\"";
    world.wrap(&[&words[..], &["sh", "-c", script]].concat());
    let parts = world.up_with(&["--only", "broker"]);
    world.ok(&["topic", "create", TOPIC, "--partitions", "1"]);
    let producer = producer(&parts.kafka());
    send(&producer, 0..4_500);
    poll::until("the disk is full", 30_000, || world.said().contains("TM0224").then_some(()));
    let refused = world.run(&["topic", "create", "no-room"]);
    assert_ne!(refused.code, Some(0), "{}", refused.stdout);
    let before = numbers(&parts.kafka());
    assert!(before.iter().copied().eq(0..before.len()) && before.len() > 1_000, "{}", before.len());
    let seen_by_it = PathBuf::from(format!("/proc/{}/root", parts.pid)).join(data.strip_prefix("/").unwrap());
    fs::remove_file(seen_by_it.join("other-data")).unwrap();
    producer.flush(PATIENCE).unwrap();
    assert!(numbers(&parts.kafka()).into_iter().eq(0..4_500), "each record once and in order");
    world.ok(&["topic", "create", "no-room"]);
    world.down();
}
