//! Kill -9 as an input: at each named point in turn, then at random moments by a printed seed. Afterwards the objects are those of
//! a run that nobody disturbed, byte for byte, and hold every acknowledged record once.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use testkit::{Child, Parts, Seeded, World, poll};

use crate::{
    flow::{self, Objects},
    lifecycle::fixed_ports,
    shared::world,
};

const TOPIC: &str = "flights";
const PARTITIONS: usize = 3;

/// A project with a slice of the flights in it, whose environment is restarted whenever it is found dead.
struct Job {
    world: World,
    flush_size: u32,
    /// How often the environment ended without being told to.
    deaths: u32,
}

impl Job {
    /// `None` where the data is absent.
    fn new(rows: usize, flush_size: u32) -> Option<Job> {
        let flights = testkit::flights_data("flights.csv")?;
        let mut world = world();
        fixed_ports(&world);
        world.set("TIDEMILL_BROKER_SEGMENT_BYTES", "32768");
        let text = fs::read_to_string(flights).unwrap();
        let slice: String = text.split_inclusive('\n').take(rows + 1).collect();
        world.write("data/flights.csv", slice);
        Some(Job { world, flush_size, deaths: 0 })
    }

    /// The environment, up: started again where it has died.
    fn alive(&mut self) -> Parts {
        for _ in 0..5 {
            let dead = self.world.process().is_none_or(|up| up.ended().is_some());
            if dead {
                self.world.start(&[]);
            }
            let ready = poll::until("up is ready or dead", 30_000, || {
                let ended = self.world.process().is_some_and(|up| up.ended().is_some());
                if ended { Some(None) } else { self.world.parts().map(Some) }
            });
            if let Some(parts) = ready {
                return parts;
            }
            self.deaths += 1;
        }
        panic!("up does not come up: {}", self.world.said());
    }

    /// Runs a command that may be repeated, until it succeeds in one life.
    fn step(&mut self, args: &[&str]) {
        for _ in 0..5 {
            self.alive();
            let ran = self.world.run(args);
            let died = self.world.process().is_some_and(|up| up.ended().is_some());
            if ran.code == Some(0) || ran.stderr.contains("already exists") {
                return;
            }
            assert!(died, "{}\n{}{}", ran.command, ran.stdout, ran.stderr);
            self.deaths += 1;
        }
        panic!("{args:?} never succeeded");
    }

    /// Topic, contract and schema.
    fn prepare(&mut self) {
        self.world.ok(&["contract", "infer", "data/flights.csv", "-o", "contracts/flights.json"]);
        self.step(&["topic", "create", TOPIC, "--partitions", &PARTITIONS.to_string()]);
        self.step(&["schema", "register", "flights"]);
    }

    /// The load, as a process that goes on while the environment dies and comes back.
    fn spawn_load(&self) -> Child {
        let target = format!("kafka://local/{TOPIC}");
        let mut command = self.world.command(&[
            "load",
            "data/flights.csv",
            &target,
            "--contract",
            "flights",
            "--key",
            "dest",
        ]);
        let log = fs::File::create(self.world.path("load.log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        testkit::tied_to_us(command).unwrap()
    }

    /// Whether the load has ended; fails the test where it failed.
    fn load_ended(&self, load: &mut Child) -> bool {
        let Some(status) = load.ended() else { return false };
        let said = fs::read_to_string(self.world.path("load.log")).unwrap_or_default();
        assert!(status.success(), "load: {status}: {said}");
        true
    }

    /// A sink of its own: each has its group and its folder.
    fn start_sink(&mut self, name: &str) {
        let parts = self.alive();
        let mut connector = flow::json_schema_connector(name, TOPIC, &parts, self.flush_size);
        connector["config"]["topics.dir"] = name.into();
        let url = format!("{}/connectors/{name}/config", parts.connect());
        for _ in 0..5 {
            self.alive();
            match testkit::try_http("PUT", &url, &connector["config"].to_string()) {
                Ok(answer) if answer.status < 300 => return,
                Ok(answer) => panic!("{}: {}", answer.status, answer.body),
                Err(_) => {
                    poll::until("the environment is dead", 10_000, || {
                        self.world.process().and_then(Child::ended).map(drop)
                    });
                }
            }
        }
        panic!("{name} could not be created");
    }

    fn objects(&self, sink: &str) -> Objects {
        flow::objects_below(&self.world, &format!("{sink}/{TOPIC}"))
    }

    /// Waits until this sink has written what it should, restarting what has died.
    fn finish(&mut self, sink: &str, count: usize) -> Objects {
        poll::until(&format!("{count} objects of {sink}"), 120_000, || {
            self.alive();
            let objects = self.objects(sink);
            (objects.len() >= count).then_some(objects)
        })
    }
}

/// What a job without any kill gives: the topic's values and the objects.
fn undisturbed(rows: usize, flush_size: u32) -> Option<(Vec<Vec<Value>>, Objects)> {
    let mut job = Job::new(rows, flush_size)?;
    job.prepare();
    let mut load = job.spawn_load();
    poll::until("the load ends", 120_000, || job.load_ended(&mut load).then_some(()));
    job.start_sink("sink");
    let parts = job.alive();
    let values = flow::values_of(&parts.kafka(), TOPIC);
    assert_eq!(values.iter().map(Vec::len).sum::<usize>(), rows, "each row is in the topic once");
    let objects = job.finish("sink", count_of(&values, flush_size));
    flow::assert_each_record_once(&objects, TOPIC, &values, flush_size as usize);
    assert_eq!(job.deaths, 0);
    Some((values, objects))
}

fn count_of(values: &[Vec<Value>], flush_size: u32) -> usize {
    values.iter().map(|values| values.len() / flush_size as usize).sum()
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

/// Every `crash_point("…")` in the sources.
fn crash_points() -> BTreeSet<String> {
    let mut points = BTreeSet::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut points);
    points
}

fn walk(folder: &Path, points: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, points);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("it/crash.rs") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let named = text.split("crash_point(\"").skip(1).filter_map(|rest| rest.split('"').next());
            points.extend(named.map(str::to_owned));
        }
    }
}

/// Points that this job does not pass, each with why.
const NOT_ON_THE_WAY: &[(&str, &str)] = &[];

#[test]
fn dying_at_each_named_point_changes_nothing() {
    let (rows, flush_size) = (3_000, 200);
    let Some((values, expected)) = undisturbed(rows, flush_size) else { return };
    let points = crash_points();
    assert!(!points.is_empty());
    let mut never_passed = Vec::new();
    for point in points.iter().filter(|point| !NOT_ON_THE_WAY.iter().any(|(name, _)| name == point)) {
        for passage in [1, 3] {
            let when = format!("TIDEMILL_DIE_AT={point}:{passage}");
            let mut job = Job::new(rows, flush_size).unwrap();
            job.world.set("TIDEMILL_DIE_AT", &format!("{point}:{passage}"));
            job.world.start(&[]);
            job.world.unset("TIDEMILL_DIE_AT"); // for the first life of the environment, for nothing else
            job.prepare();
            let mut load = job.spawn_load();
            poll::until("the load ends", 120_000, || {
                job.alive();
                job.load_ended(&mut load).then_some(())
            });
            job.start_sink("sink");
            let found = job.finish("sink", expected.len());
            let parts = job.alive();
            assert_same_topic(&flow::values_of(&parts.kafka(), TOPIC), &values, &when);
            assert_same(&found, &expected, &when);
            if job.deaths == 0 && passage == 1 {
                never_passed.push(point);
            }
        }
    }
    assert!(never_passed.is_empty(), "never passed: {never_passed:?}");
}

#[test]
fn kill_9_at_random_moments_changes_nothing() {
    let (rows, flush_size) = (40_000, 250);
    let Some((values, expected)) = undisturbed(rows, flush_size) else { return };
    let kills_wanted = if testkit::deep() { 1_000 } else { 200 };
    for seed in testkit::seeds(1) {
        let mut random = Seeded::new(seed);
        let mut job = Job::new(rows, flush_size).unwrap();
        job.prepare();
        let mut kills = 0;
        let mut load = job.spawn_load();
        while !job.load_ended(&mut load) {
            life(&mut job, &mut random, 900);
            kills += 1;
        }
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
