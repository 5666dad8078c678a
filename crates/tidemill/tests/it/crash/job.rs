//! The job that the crash tests disturb: flights from files into a topic, and from there into objects.

use std::fs;

use testkit::{Child, Parts, World, poll};

use crate::{
    flow::{self, Objects},
    lifecycle::fixed_ports,
    shared::world,
};

pub const TOPIC: &str = "flights";

/// How large it is, and how it is cut.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub rows: usize,
    /// The rows come in so many files, each loaded by a process of its own.
    pub files: usize,
    pub partitions: usize,
    pub flush_size: usize,
}

/// A project with a slice of the flights in it, whose environment is restarted whenever it is found dead.
pub struct Job {
    pub world: World,
    shape: Shape,
    /// How often the environment ended without being told to.
    pub deaths: u32,
}

impl Job {
    /// `None` where the data is absent.
    pub fn new(shape: Shape) -> Option<Job> {
        let flights = testkit::flights_data("flights.csv")?;
        let mut world = world();
        fixed_ports(&world);
        world.set("TIDEMILL_BROKER_SEGMENT_BYTES", "32768");
        let text = fs::read_to_string(flights).unwrap();
        let mut lines = text.split_inclusive('\n');
        let header = lines.next().unwrap();
        // The whole is only read by `contract infer`: what is missing in one file is not missing in another.
        world.write("data/flights.csv", text.split_inclusive('\n').take(shape.rows + 1).collect::<String>());
        for file in 0..shape.files {
            let rows: String = lines.by_ref().take(shape.rows / shape.files).collect();
            world.write(&format!("data/{file}.csv"), format!("{header}{rows}"));
        }
        Some(Job { world, shape, deaths: 0 })
    }

    /// The environment, up: started again where it has died.
    pub fn alive(&mut self) -> Parts {
        for _ in 0..5 {
            let died = self.world.process().map(|up| up.ended().is_some());
            self.deaths += u32::from(died == Some(true));
            if died != Some(false) {
                self.world.start(&[]);
            }
            let ready = poll::until("up is ready or dead", 30_000, || {
                let ended = self.world.process().is_some_and(|up| up.ended().is_some());
                if ended { Some(None) } else { self.world.parts().map(Some) }
            });
            if let Some(parts) = ready {
                return parts;
            }
        }
        panic!("up does not come up: {}", self.world.said());
    }

    /// Runs a command that may be repeated, until it succeeds in one life.
    fn step(&mut self, args: &[&str]) {
        for _ in 0..5 {
            self.alive();
            let ran = self.world.run(args);
            if ran.code == Some(0) || ran.stderr.contains("already exists") {
                return;
            }
            // Its connections end before it does.
            let what =
                format!("the environment has died, as {} failed\n{}{}", ran.command, ran.stdout, ran.stderr);
            poll::until(&what, 5_000, || self.world.process().and_then(|up| up.ended()));
        }
        panic!("{args:?} never succeeded");
    }

    /// Topic, contract and schema.
    pub fn prepare(&mut self) {
        self.world.ok(&["contract", "infer", "data/flights.csv", "-o", "contracts/flights.json"]);
        self.step(&["topic", "create", TOPIC, "--partitions", &self.shape.partitions.to_string()]);
        self.step(&["schema", "register", "flights"]);
    }

    /// The load of one file, as a process that goes on while the environment dies and comes back.
    pub fn spawn_load(&self, file: usize) -> Child {
        let (file, target) = (format!("data/{file}.csv"), format!("kafka://local/{TOPIC}"));
        // No row is without a destination, so the key decides each record's partition.
        let args = ["load", &file, &target, "--contract", "flights", "--key", "dest"];
        let mut command = self.world.command(&args);
        let log = fs::File::create(self.world.path("load.log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        testkit::tied_to_us(command).unwrap()
    }

    /// Loads every file, one after the other; `meanwhile` may kill what it likes.
    pub fn load_all(&mut self, mut meanwhile: impl FnMut(&mut Job)) {
        for file in 0..self.shape.files {
            self.alive();
            let mut load = self.spawn_load(file);
            while !self.load_ended(&mut load) {
                meanwhile(self);
                let gone = load.ended().is_some() && self.found_nobody();
                if gone {
                    self.alive();
                    load = self.spawn_load(file);
                }
            }
        }
    }

    /// Whether the load ended before it sent anything, as nobody answered when it began: to be begun again.
    fn found_nobody(&self) -> bool {
        let said = fs::read_to_string(self.world.path("load.log")).unwrap_or_default();
        said.contains("does not answer") && !said.contains("records were sent")
    }

    /// Whether the load has ended; fails the test where it failed.
    fn load_ended(&self, load: &mut Child) -> bool {
        poll::moment(10);
        let Some(status) = load.ended() else { return false };
        let said = fs::read_to_string(self.world.path("load.log")).unwrap_or_default();
        assert!(status.success() || self.found_nobody(), "load: {status}: {said}");
        status.success()
    }

    /// A sink of its own: each has its group and its folder.
    pub fn start_sink(&mut self, name: &str) {
        let parts = self.alive();
        let mut connector = flow::json_schema_connector(name, TOPIC, &parts, self.shape.flush_size);
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

    pub fn objects(&self, sink: &str) -> Objects {
        flow::objects_below(&self.world, &format!("{sink}/{TOPIC}"))
    }

    /// Stops it as Ctrl-C does, and brings it up again: the end of a life is a point too.
    pub fn interrupt(&mut self) {
        self.alive();
        let up = self.world.process().unwrap();
        up.interrupt();
        let status = poll::until("up has ended", 10_000, || up.ended());
        self.deaths += u32::from(!status.success());
        self.world.kill();
        self.alive();
    }

    /// Waits until this sink has written what it should, restarting what has died.
    pub fn finish(&mut self, sink: &str, count: usize) -> Objects {
        poll::until(&format!("{count} objects of {sink}"), 120_000, || {
            self.alive();
            let objects = self.objects(sink);
            (objects.len() >= count).then_some(objects)
        })
    }
}
