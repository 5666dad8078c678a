//! Many clients at work on a broker that is killed again and again: producers, with and without transactions, workers that
//! make outputs of inputs exactly once, readers. All of it is recorded, and checked against what a log may do.

mod checker;
mod clients;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{Offset, consumer::Consumer};
use testkit::{Seeded, World, poll};

use crate::{
    lifecycle::fixed_ports,
    shared::world,
    transactions::fate::{Fate, PATIENCE},
};
use checker::{History, Place};
use clients::PARTITIONS;

/// Kills the broker so often, at moments by the seed: one in four before it is ready.
fn kill_again_and_again(world: &mut World, random: &mut Seeded, kills: u64, stop: &AtomicBool) {
    for _ in 0..kills {
        if random.within(0..4) == 0 {
            poll::moment(random.within(0..60));
        } else {
            world.ready();
            poll::moment(random.within(20..500));
        }
        world.kill();
        world.start(&["--only", "broker"]);
    }
    world.ready();
    stop.store(true, Ordering::SeqCst);
}

/// Ends the clients, also where this thread panics: nobody could wait for them else.
struct Ending<'a>([&'a AtomicBool; 2]);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|flag| flag.store(true, Ordering::SeqCst));
    }
}

/// One history: what everybody was told, and what is there when all has come to rest.
fn history(world: &mut World, kafka: &str, random: &mut Seeded, kills: u64) -> History {
    let stop = AtomicBool::new(false);
    let drained = AtomicBool::new(false);
    let (mut history, stopping) = (History::default(), &stop);
    thread::scope(|scope| {
        let producers: Vec<_> = (1..=2)
            .map(|id| scope.spawn(move || clients::produce(kafka, "plain", id, 2, stopping)))
            .collect();
        let feeder = scope.spawn(|| clients::produce(kafka, "input", 3, 40, &stop));
        let tellers: Vec<_> =
            (8..=9).map(|id| scope.spawn(move || clients::transact(kafka, id, stopping))).collect();
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(|| clients::work(kafka, &drained))).collect();
        let observer = scope.spawn(|| clients::observe(kafka, "plain", &stop));
        let offsets = scope.spawn(|| clients::watch_offsets(kafka, &drained));
        let _ending = Ending([&stop, &drained]);
        kill_again_and_again(world, random, kills, &stop);
        for producer in producers {
            history.acknowledged.extend(producer.join().unwrap());
        }
        history.inputs = feeder.join().unwrap().into_values().collect();
        for teller in tellers {
            history.transactions.extend(teller.join().unwrap());
        }
        history.observed = observer.join().unwrap();
        wait_for_workers(kafka, &history.inputs);
        drained.store(true, Ordering::SeqCst);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        history.offsets = offsets.join().unwrap();
    });
    let plain = clients::read(kafka, "plain");
    history.committed = plain.into_iter().map(|(place, text)| (place, clients::record_of(&text))).collect();
    for (_, text) in clients::read(kafka, "output") {
        *history.outputs.entry(clients::place_of(&text)).or_default() += 1;
    }
    history
}

/// Until the group has committed the end of the input.
fn wait_for_workers(kafka: &str, inputs: &BTreeSet<Place>) {
    let ends: BTreeMap<i32, i64> =
        inputs.iter().map(|(partition, offset)| (*partition, offset + 1)).collect();
    let consumer = clients::consumer(kafka, clients::GROUP, &[]);
    let start = Instant::now();
    loop {
        let committed = consumer.committed_offsets(clients::partitions("input"), Duration::from_secs(5));
        let is_done = committed.as_ref().is_ok_and(|committed| {
            let done = |(partition, end): (&i32, &i64)| {
                let found = committed.find_partition("input", *partition);
                matches!(found.map(|found| found.offset()), Some(Offset::Offset(offset)) if offset >= *end)
            };
            ends.iter().all(done)
        });
        if is_done {
            return;
        }
        assert!(start.elapsed() < PATIENCE * 2, "the workers do not come to the end {ends:?}: {committed:?}");
        poll::moment(100);
    }
}

#[test]
fn kill_9_under_load_is_a_history_that_a_log_may_have() {
    let kills = if testkit::deep() { 1_000 } else { 50 };
    for seed in testkit::seeds(1) {
        let (mut world, mut random) = (world(), Seeded::new(seed));
        fixed_ports(&world);
        world.set("TIDEMILL_BROKER_SEGMENT_BYTES", "65536");
        world.set("TIDEMILL_BROKER_HOUSEKEEPING_INTERVAL_MS", "200");
        let durability = if seed % 2 == 0 { "fsync" } else { "page-cache" };
        world.set("TIDEMILL_BROKER_DURABILITY", durability);
        let start = Instant::now();
        let kafka = world.up_with(&["--only", "broker"]).kafka();
        for topic in ["plain", "input", "output"] {
            world.ok(&["topic", "create", topic, "--partitions", &PARTITIONS.to_string()]);
        }
        let history = history(&mut world, &kafka, &mut random, kills);
        let faults = history.faults();
        let transactions = |wanted| history.transactions.iter().filter(|(fate, _)| *fate == wanted).count();
        eprintln!(
            "seed {seed}, {durability}: {kills} kills in {} s; {} records acknowledged, {} transactions committed, {} aborted, {} \
             unknown; {} inputs; {} records seen on the way",
            start.elapsed().as_secs(),
            history.acknowledged.len(),
            transactions(Fate::Committed),
            transactions(Fate::Aborted),
            transactions(Fate::Unknown),
            history.inputs.len(),
            history.observed.len()
        );
        assert!(
            faults.is_empty(),
            "seed {seed}: {} faults:\n{}",
            faults.len(),
            faults[..faults.len().min(20)].join("\n")
        );
        assert!(history.acknowledged.len() > 1_000 && transactions(Fate::Committed) > 10);
        assert!(history.inputs.len() > 100 && history.observed.len() > 1_000);
    }
}
