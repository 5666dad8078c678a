//! Clients in other languages: Node.js with their packages, the programs of Go, old librdkafkas, and Kafka 2.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Java, absent, services, world};

/// A command for a script of JavaScript that finds the packages of `.services/javascript`.
pub fn node(script: &Path) -> Option<Command> {
    let node = services().join("clients/bin/node");
    let modules = services().join("javascript/node_modules");
    if !node.is_file() || !services().join("javascript/installed.txt").is_file() {
        return absent("JavaScript clients");
    }
    let mut command = Command::new(node);
    command.arg(script).env("NODE_PATH", modules).env("NODE_NO_WARNINGS", "1");
    Some(command)
}

/// A command for a program of a Go module in this folder, built from what was fetched before.
#[track_caller]
pub fn go_program(module: &Path, name: &str) -> Option<Command> {
    let (go, home) = (services().join("clients/bin/go"), services().join("go"));
    if !go.is_file() || !home.join("bin").is_dir() {
        return absent("Go clients");
    }
    let program = home.join("bin").join(name);
    let mut build = Command::new(go);
    build.arg("build").arg("-o").arg(&program).arg(format!("./{name}")).current_dir(module);
    build.env("GOPATH", home.join("path")).env("GOCACHE", home.join("cache"));
    build.envs([
        ("GOFLAGS", "-mod=readonly"),
        ("GOPROXY", "off"),
        ("GOTOOLCHAIN", "local"),
        ("CGO_ENABLED", "0"),
    ]);
    world::ran(&mut build, 300).expect_success();
    Some(Command::new(program))
}

/// The folder of an old librdkafka.
pub fn old_librdkafka(version: &str) -> Option<PathBuf> {
    let library = services().join("librdkafka").join(version).join("lib");
    if library.is_dir() { Some(library) } else { absent("old librdkafka") }
}

/// Java with the jars of Kafka 2.
pub fn kafka_2_tools() -> Option<Java> {
    Java::with(services().join("kafka-2/libs"))
}

/// Java with the jars of Avro.
pub fn avro_tools() -> Option<Java> {
    Java::with(services().join("avro/libs"))
}

/// The interpreter that has aiokafka.
pub fn clients_python() -> Option<PathBuf> {
    crate::venv_python("clients")
}
