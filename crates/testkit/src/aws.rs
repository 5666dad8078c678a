//! AWS as somebody else imitates it: MiniStack and Moto, one each for the whole run, on free loopback ports.

use std::{
    fs, io,
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::{
    absent,
    children::{Child, tied_to_us},
    ports, run_folder, services, try_http,
};

/// A running imitation, which takes any keys.
#[derive(Debug)]
pub struct Aws {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    _process: Child,
}

/// Starts MiniStack at the first call.
pub fn ministack() -> Option<&'static Aws> {
    static SERVER: OnceLock<Option<Aws>> = OnceLock::new();
    let told = |command: &mut Command, address: &str| {
        command.args(["--bind", address, "ministack.app:app"]);
    };
    SERVER.get_or_init(|| once("MiniStack", "hypercorn", told)).as_ref()
}

/// Starts Moto's server at the first call.
pub fn moto() -> Option<&'static Aws> {
    static SERVER: OnceLock<Option<Aws>> = OnceLock::new();
    SERVER.get_or_init(|| once("Moto", "moto_server", moto_at)).as_ref()
}

/// A Moto that knows no key, and so refuses every call.
pub fn moto_that_denies() -> Option<&'static Aws> {
    static SERVER: OnceLock<Option<Aws>> = OnceLock::new();
    let told = |command: &mut Command, address: &str| {
        moto_at(command, address);
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", "0");
    };
    SERVER.get_or_init(|| once("Moto that denies", "moto_server", told)).as_ref()
}

fn moto_at(command: &mut Command, address: &str) {
    let (host, port) = address.split_once(':').unwrap_or((address, "0"));
    command.args(["-H", host, "-p", port]);
}

fn once(name: &str, program: &str, told: impl Fn(&mut Command, &str)) -> Option<Aws> {
    let program = services().join("servers/bin").join(program);
    if !program.is_file() {
        return absent(name);
    }
    let started = start(name, Command::new(program), told);
    started.unwrap_or_else(|error| absent(&format!("{name} that starts: {error}")))
}

fn start(name: &str, mut command: Command, told: impl Fn(&mut Command, &str)) -> io::Result<Option<Aws>> {
    let folder = run_folder(&name.to_lowercase().replace(' ', "_"))?;
    let address = format!("127.0.0.1:{}", ports::free_port());
    let log = fs::File::create(folder.join("server.log"))?;
    told(&mut command, &address);
    command.current_dir(&folder).env("HOME", &folder);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut process = tied_to_us(command)?;
    let endpoint = format!("http://{address}");
    process.answers(name, 60_000, &folder.join("server.log"), || try_http("GET", &endpoint, "").ok());
    Ok(Some(Aws { endpoint, _process: process }))
}
