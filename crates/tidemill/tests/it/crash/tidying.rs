//! Dying while old segments are compacted or deleted: each point in a broker of its own, all at once.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use testkit::{World, crash_points, poll};

use crate::{flow, shared::world};

const ROUNDS: u32 = 40;
const KEYS: u32 = 50;

#[test]
fn dying_while_it_tidies_keeps_the_last_of_each_key() {
    let points = crash_points();
    let compaction = points.iter().filter(|point| point.starts_with("broker.log.compact."));
    let never_passed: Vec<String> = thread::scope(|scope| {
        let spawn = |point: String, life: fn(&str) -> bool| scope.spawn(move || (life(&point), point));
        let mut all: Vec<_> = compaction.map(|point| spawn(point.clone(), compacted)).collect();
        let deletion = points.get("broker.log.before_delete_segment").expect("the log names this point");
        all.push(spawn(deletion.clone(), deleted));
        let passed = all.into_iter().map(|one| one.join().unwrap());
        passed.filter(|(died, _)| !died).map(|(_, point)| point).collect()
    });
    assert!(never_passed.is_empty(), "never passed: {never_passed:?}");
}

/// A broker that will die at this point, with a topic of many small segments.
fn filled(point: &str, config: &[&str]) -> World {
    let mut world = world();
    world.set("TIDEMILL_DIE_AT", point);
    // Long enough to fill the topic before the first round.
    world.set("TIDEMILL_BROKER_HOUSEKEEPING_INTERVAL_MS", "6000");
    let parts = world.up_with(&["--only", "broker"]);
    world.unset("TIDEMILL_DIE_AT");
    let create = ["topic", "create", "many", "--partitions", "1", "--config", "segment.bytes=8192"];
    let config = config.iter().flat_map(|config| ["--config", config]);
    world.ok(&create.into_iter().chain(config).collect::<Vec<_>>());
    let mut client = ClientConfig::new();
    let producer: BaseProducer = client.set("bootstrap.servers", parts.kafka()).create().unwrap();
    for round in 0..ROUNDS {
        for key in 0..KEYS {
            let (key, value) = (key.to_string(), format!("{{\"key\":{key},\"round\":{round}}}"));
            producer.send(BaseRecord::to("many").key(&key).payload(&value)).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }
    world
}

/// Waits until the broker has died at its point, for some rounds of tidying.
fn dies(world: &mut World) -> bool {
    let start = Instant::now();
    let up = world.process().unwrap();
    poll::until("it died or passed by", 40_000, || {
        if up.ended().is_some() { Some(true) } else { (start.elapsed().as_secs() > 20).then_some(false) }
    })
}

fn compacted(point: &str) -> bool {
    let mut world = filled(point, &["cleanup.policy=compact", "min.cleanable.dirty.ratio=0.01"]);
    let died = dies(&mut world);
    let parts = world.up_with(&["--only", "broker"]);
    let mut last = BTreeMap::new();
    for value in &flow::values_until_end(&parts.kafka(), "many")[0] {
        last.insert(value["key"].as_u64().unwrap(), value["round"].as_u64().unwrap());
    }
    let expected = (0..u64::from(KEYS)).map(|key| (key, u64::from(ROUNDS - 1))).collect();
    assert_eq!(last, expected, "{point}");
    died
}

fn deleted(point: &str) -> bool {
    let mut world = filled(point, &["retention.bytes=16384"]);
    let died = dies(&mut world);
    let parts = world.up_with(&["--only", "broker"]);
    let values = flow::values_until_end(&parts.kafka(), "many").remove(0);
    let last = values.last().expect("the newest segments stay");
    assert_eq!((&last["key"], &last["round"]), (&(KEYS - 1).into(), &(ROUNDS - 1).into()), "{point}");
    died
}
