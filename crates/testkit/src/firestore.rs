//! Google's Firestore emulator, one for the whole run.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::{
    Answer, absent,
    children::{Child, tied_to_us},
    http::{try_http, try_http_with},
    ports, run_folder,
};

/// Where Debian's package `google-cloud-cli-firestore-emulator` puts it, below the SDK's own folder.
const JAR: &str = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar";
const SDK: &str = "/usr/lib/google-cloud-sdk";
const MAIN: &str = "com.google.cloud.datastore.emulator.firestore.CloudFirestore";
/// Only the owner's token passes: whoever comes with another one is refused.
const RULES: &str = "rules_version = '2';\nservice cloud.firestore {\n  match /databases/{database}/documents {\n    \
                     match /{document=**} { allow read, write: if false; }\n  }\n}\n";

/// A running emulator; it takes any project and any database.
#[derive(Debug)]
pub struct Firestore {
    /// `127.0.0.1:PORT`
    pub address: String,
    _process: Child,
}

static FIRESTORE: OnceLock<Option<Firestore>> = OnceLock::new();

/// Java that starts soon and stays small.
const SMALL: &[&str] = &["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// Java with room for some hundred thousand documents, that makes the most of its code.
const ROOMY: &[&str] = &["-Xmx4g"];

/// Starts it at the first call.
pub fn firestore_emulator() -> Option<&'static Firestore> {
    emulator(SMALL)
}

/// The same for what is measured: the emulator is then as fast as it can be.
pub fn roomy_firestore_emulator() -> Option<&'static Firestore> {
    emulator(ROOMY)
}

fn emulator(java: &[&str]) -> Option<&'static Firestore> {
    FIRESTORE
        .get_or_init(|| {
            start(java).unwrap_or_else(|error| absent(&format!("Firestore emulator that starts: {error}")))
        })
        .as_ref()
}

impl Firestore {
    /// A call to its REST API as the owner; `path` follows `/v1/projects/PROJECT/databases/DATABASE/documents`.
    #[track_caller]
    pub fn rest(&self, method: &str, project: &str, database: &str, path: &str, body: &str) -> Answer {
        let documents = format!("v1/projects/{project}/databases/{database}/documents{path}");
        let url = format!("http://{}/{documents}", self.address);
        try_http_with(method, &url, "Authorization: Bearer owner\r\n", body)
            .unwrap_or_else(|error| panic!("{method} {url}: {error}"))
    }
}

fn jar() -> Option<PathBuf> {
    let sdk = env::var_os("CLOUDSDK_ROOT_DIR").map_or(PathBuf::from(SDK), PathBuf::from);
    Some(sdk.join(JAR)).filter(|jar| jar.is_file())
}

fn start(java: &[&str]) -> io::Result<Option<Firestore>> {
    let is_there = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .any(|folder| folder.join("java").is_file());
    let Some(jar) = jar().filter(|_| is_there) else {
        return Ok(absent("Firestore emulator (java, google-cloud-cli-firestore-emulator)"));
    };
    let folder = run_folder("firestore")?;
    let rules = folder.join("deny.rules");
    fs::write(&rules, RULES)?;
    let port = ports::free_port();
    let mut process = tied_to_us(command(java, &jar, port, &rules, &folder)?)?;
    let address = format!("127.0.0.1:{port}");
    process.answers("the Firestore emulator", 90_000, &folder.join("emulator.log"), || {
        try_http("GET", &format!("http://{address}/"), "").ok().filter(|answer| answer.status == 200)
    });
    Ok(Some(Firestore { address, _process: process }))
}

fn command(java: &[&str], jar: &Path, port: u16, rules: &Path, folder: &Path) -> io::Result<Command> {
    let log = fs::File::create(folder.join("emulator.log"))?;
    let mut command = Command::new("java");
    command.args(java).args(["-Duser.language=en", "-cp"]);
    command.arg(jar).arg(MAIN).args(["--host=127.0.0.1", &format!("--port={port}")]);
    command.arg(format!("--rules={}", rules.display()));
    command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}
