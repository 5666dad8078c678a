//! Clients in other languages, each with a program that does what its users do: topics and their settings, every compression, keys
//! and headers, transactions, groups with members that come and go, places by time, and what is deleted again.
//!
//! A program prints what it saw. It runs on our broker, on our broker through TLS and SCRAM, and on Apache Kafka: three times the
//! same words. `docs/clients.md` has the list.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, OnceLock},
    thread,
};

use testkit::{World, ran};

use crate::shared::{TIDEMILL, name};

mod connect;
mod older;
mod streams;

const SETTINGS: &str = r"
broker:
  listen: 127.0.0.1:0
  listeners: [SASL_SSL://127.0.0.1:PORT]
  ssl_certificate_chain: tls/server.pem
  ssl_key: tls/server.key
  sasl_mechanisms: SCRAM-SHA-256, SCRAM-SHA-512
  users:
    alice: wonder
  group_consumer_heartbeat_interval_ms: 200 ms
";
const USER: &str = "alice";
const PASSWORD: &str = "wonder";
/// What a program may take; most of them end themselves before.
const SECONDS_MAX: u64 = 120;

/// A broker with both kinds of listeners, whose members show themselves often so that rebalances are quick.
struct Place {
    plaintext: String,
    sasl_ssl: String,
    certificate: String,
    world: World,
}

impl Place {
    fn start() -> Place {
        let mut world = World::for_the_run(TIDEMILL, "clients");
        let port = testkit::free_port();
        world.write("tidemill.yaml", SETTINGS.replace("PORT", &port.to_string()));
        world.write("tls/README", "made by a test");
        testkit::certificates(&world.path("tls"));
        let plaintext = world.up_with(&["--only", "broker"]).kafka();
        let certificate = world.path("tls/ca.pem").display().to_string();
        Place { plaintext, sasl_ssl: format!("127.0.0.1:{port}"), certificate, world }
    }

    /// What a program is told after the address and the name, so that it comes in by TLS and SCRAM.
    fn secret(&self) -> [&str; 3] {
        [&self.certificate, USER, PASSWORD]
    }
}

static PLACE: OnceLock<Place> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

fn place() -> &'static Place {
    let _starting = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    PLACE.get_or_init(Place::start)
}

fn programs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients").join(file)
}

/// What a program says on our broker, which it says through TLS and SCRAM, and on Apache Kafka, too.
#[track_caller]
fn same_everywhere(client: &str, program: impl Fn() -> Option<Command> + Sync) {
    let (Some(kafka), Some(_)) = (testkit::kafka(), program()) else { return };
    let (place, program) = (place(), &program);
    let said = |address: &str, more: &[&str]| {
        let mut command = program().expect("it was there before");
        command.arg(address).arg(name(client)).args(more);
        let ran = ran(&mut command, SECONDS_MAX);
        if ran.code == Some(0) { ran.stdout } else { ran.shown() }
    };
    let [ours, secured, theirs] = thread::scope(|scope| {
        let ours = scope.spawn(|| said(&place.plaintext, &[]));
        let secured = scope.spawn(|| said(&place.sasl_ssl, &place.secret()));
        let theirs = said(&kafka.bootstrap, &[]);
        [ours.join().unwrap(), secured.join().unwrap(), theirs]
    });
    assert_eq!(secured, ours, "through TLS and SCRAM, and without");
    assert_eq!(theirs, ours, "Apache Kafka, and our broker");
    insta::assert_snapshot!(client, ours);
}

#[test]
fn aiokafka_does_a_days_work() {
    same_everywhere("aiokafka", || {
        let mut command = Command::new(testkit::clients_python()?);
        command.arg(programs("day_with_aiokafka.py"));
        Some(command)
    });
}

#[test]
fn kafkajs_does_a_days_work() {
    same_everywhere("kafkajs", || testkit::node(&programs("javascript/kafkajs.js")));
}

#[test]
fn kafka_javascript_does_a_days_work() {
    same_everywhere("kafka-javascript", || testkit::node(&programs("javascript/confluent.js")));
}

#[test]
fn franz_go_does_a_days_work() {
    same_everywhere("franz-go", || testkit::go_program(&programs("go"), "franz"));
}

#[test]
fn sarama_does_a_days_work() {
    same_everywhere("sarama", || testkit::go_program(&programs("go"), "sarama"));
}
