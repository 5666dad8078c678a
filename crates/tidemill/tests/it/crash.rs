//! Kill -9 as an input: at each named point in turn, then at random moments by a printed seed. Afterwards the objects are those of
//! a run that nobody disturbed, byte for byte, and hold every acknowledged record once.

mod job;
mod tidying;
mod whole;

use std::{collections::BTreeSet, time::Instant};

use job::{Job, Shape, TOPIC};
use serde_json::Value;
use testkit::{Seeded, crash_points, poll};

use crate::flow::{self, Objects};

/// What a job without any kill gives: the topic's values and the objects.
fn undisturbed(shape: Shape) -> Option<(Vec<Vec<Value>>, Objects)> {
    let mut job = Job::new(shape)?;
    job.prepare();
    job.load_all(|_| ());
    job.start_sink("sink");
    let parts = job.alive();
    let values = flow::values_of(&parts.kafka(), TOPIC);
    assert_eq!(values.iter().map(Vec::len).sum::<usize>(), shape.rows, "each row is in the topic once");
    let objects = job.finish("sink", count_of(&values, shape.flush_size));
    flow::assert_each_record_once(&objects, TOPIC, &values, shape.flush_size);
    assert_eq!(job.deaths, 0);
    Some((values, objects))
}

fn count_of(values: &[Vec<Value>], flush_size: usize) -> usize {
    values.iter().map(|values| values.len() / flush_size).sum()
}

#[track_caller]
fn assert_same(found: &Objects, expected: &Objects, when: &str) {
    let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{when}");
    let differ: Vec<&String> = expected.keys().filter(|name| found[*name] != expected[*name]).collect();
    assert!(differ.is_empty(), "{when}: other bytes in {differ:?}");
}

#[track_caller]
fn assert_same_topic(found: &[Vec<Value>], expected: &[Vec<Value>], when: &str) {
    for (partition, (found, expected)) in found.iter().zip(expected).enumerate() {
        let first = found.iter().zip(expected).position(|(one, other)| one != other);
        let (has, wanted) = (found.len(), expected.len());
        let said = format!(
            "{when}: partition {partition} has {has} of {wanted} records, the first other at {first:?}"
        );
        assert!(first.is_none() && has == wanted, "{said}");
    }
}

const SMALL: Shape = Shape { rows: 3_000, files: 3, partitions: 3, flush_size: 200 };
/// Objects larger than the smallest part that S3 takes, 5 MiB.
const LARGE: Shape = Shape { rows: 38_000, files: 1, partitions: 1, flush_size: 18_000 };

#[test]
fn dying_at_each_named_point_changes_nothing() {
    let not_here = [
        "pipelines.",
        "scheduler.",
        "firestore.",
        "broker.log.compact.",
        "broker.transaction.",
        "kafka.transaction.",
        "broker.log.before_delete_segment",
        "objects.part.",
        "output.",
        "letters.",
    ];
    let points = crash_points();
    assert!(!points.is_empty());
    let here = points.iter().filter(|point| !not_here.iter().any(|start| point.starts_with(start)));
    die_at_each(SMALL, here.cloned().collect());
}

#[test]
fn dying_within_a_multipart_upload_changes_nothing() {
    let points = crash_points();
    die_at_each(LARGE, points.into_iter().filter(|point| point.starts_with("objects.part.")).collect());
}

fn die_at_each(shape: Shape, points: Vec<String>) {
    let Some((values, expected)) = undisturbed(shape) else { return };
    let mut never_passed = Vec::new();
    for point in points {
        let start = Instant::now();
        let when = format!("TIDEMILL_DIE_AT={point}");
        let mut job = Job::new(shape).unwrap();
        job.world.set("TIDEMILL_DIE_AT", &point);
        if point.ends_with("_sync") {
            job.world.set("TIDEMILL_BROKER_DURABILITY", "fsync");
        }
        job.world.start(&[]);
        job.world.unset("TIDEMILL_DIE_AT"); // for the first life of the environment, for nothing else
        job.prepare();
        job.load_all(|job| drop(job.alive()));
        job.start_sink("sink");
        job.finish("sink", expected.len());
        job.interrupt();
        let parts = job.alive();
        assert_same_topic(&flow::values_of(&parts.kafka(), TOPIC), &values, &when);
        assert_same(&job.objects("sink"), &expected, &when);
        eprintln!("{when}: {} deaths, {} ms", job.deaths, start.elapsed().as_millis());
        if job.deaths == 0 {
            never_passed.push(point);
        }
    }
    assert!(never_passed.is_empty(), "never passed: {never_passed:?}");
}

#[test]
fn kill_9_at_random_moments_changes_nothing() {
    let shape = Shape { rows: 60_000, files: 6, partitions: 3, flush_size: 250 };
    let Some((values, expected)) = undisturbed(shape) else { return };
    let kills_wanted = if testkit::deep() { 1_000 } else { 200 };
    for seed in testkit::seeds(1) {
        let mut random = Seeded::new(seed);
        let mut job = Job::new(shape).unwrap();
        job.prepare();
        let mut kills = 0;
        job.load_all(|job| {
            life(job, &mut random, 400);
            kills += 1;
        });
        let parts = job.alive();
        assert_eq!(
            flow::values_of(&parts.kafka(), TOPIC),
            values,
            "seed {seed}: the topic after {kills} kills"
        );
        let loading = kills;
        let mut sinks = 0;
        while kills < kills_wanted {
            sinks += 1;
            let sink = format!("sink-{sinks}");
            job.start_sink(&sink);
            let mut lives = 0;
            while job.objects(&sink).len() < expected.len() && kills < kills_wanted + 200 {
                lives += 1;
                life(&mut job, &mut random, 150 + lives * 20);
                kills += 1;
            }
            let found = job.finish(&sink, expected.len());
            assert_same(&found, &expected, &format!("seed {seed}: {sink} after {kills} kills"));
            let parts = job.alive();
            testkit::http("DELETE", &format!("{}/connectors/{sink}", parts.connect()), "").expect(204);
        }
        let parts = job.alive();
        let when = format!("seed {seed}: the topic after all {kills} kills");
        assert_same_topic(&flow::values_of(&parts.kafka(), TOPIC), &values, &when);
        eprintln!("seed {seed}: {kills} kills, {loading} of them while loading, {sinks} sinks");
    }
}

#[test]
fn kill_9_of_the_load_leaves_whole_records_and_a_rerun_completes_them() {
    let shape = Shape { rows: 4_000, files: 1, partitions: 3, flush_size: 250 };
    let Some(mut job) = Job::new(shape) else { return };
    job.prepare();
    let began = Instant::now();
    job.load_all(|_| ());
    let whole_ms = began.elapsed().as_millis() as u64;
    let expected = flow::values_of(&job.alive().kafka(), TOPIC);
    // As many again into stores: `load_stores`.
    let kills_wanted = if testkit::deep() { 500 } else { 100 };
    for seed in testkit::seeds(1) {
        let mut random = Seeded::new(seed);
        let mut job = Job::new(shape).unwrap();
        job.prepare();
        job.alive();
        let (mut kills, mut ended) = (0, 0);
        while kills < kills_wanted {
            let mut load = job.spawn_load(0);
            poll::moment(random.within(whole_ms / 3..whole_ms));
            if load.ended().is_some() {
                ended += 1
            } else {
                kills += 1
            }
            load.kill();
        }
        job.load_all(|_| ());
        let found = flow::values_of(&job.alive().kafka(), TOPIC);
        for (partition, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let when = format!("seed {seed}, partition {partition} after {kills} kills");
            let known: BTreeSet<String> = expected.iter().map(Value::to_string).collect();
            assert!(found.iter().all(|value| known.contains(&value.to_string())), "{when}: a record is torn");
            let mut rest = found.iter();
            let missing = expected.iter().find(|&wanted| !rest.any(|value| value == wanted));
            assert_eq!(missing, None, "{when}: not in the input's order");
        }
        let again = found.iter().map(Vec::len).sum::<usize>() - shape.rows;
        eprintln!(
            "seed {seed}: {kills} kills of the load, {ended} too late, {again} records sent more than once"
        );
    }
}

/// One life of the environment, cut off by kill -9: one in four before it is ready, else up to so much later.
fn life(job: &mut Job, random: &mut Seeded, after_ready_ms_max: u64) {
    if job.world.process().is_none() {
        job.world.start(&[]);
    }
    if random.within(0..4) == 0 {
        poll::moment(random.within(0..120));
    } else {
        job.alive();
        poll::moment(random.within(0..after_ready_ms_max));
    }
    job.world.kill();
}
