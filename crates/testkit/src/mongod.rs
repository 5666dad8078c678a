//! One mongod for the whole run: a replica set of one node on a free loopback port. And one that is no replica set, for who asks.

use std::{
    fs, io,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use crate::{
    absent,
    children::{Child, tied_to_us},
    packaged, poll, ports, run_folder,
};

/// A running mongod. It knows no users: who signs in is refused, all others may do everything.
#[derive(Debug)]
pub struct Mongod {
    /// `127.0.0.1:PORT`
    pub address: String,
    is_replica_set: bool,
    _process: Child,
}

static MONGOD: OnceLock<Option<Mongod>> = OnceLock::new();

/// Starts it at the first call; fail points (`configureFailPoint`) are there to make it fail as it does in earnest.
pub fn mongod() -> Option<&'static Mongod> {
    MONGOD.get_or_init(|| started(true)).as_ref()
}

/// Another one, by itself: no replica set, so that nothing is written a second time for those who follow.
pub fn lone_mongod() -> Option<Mongod> {
    started(false)
}

fn started(is_replica_set: bool) -> Option<Mongod> {
    start(is_replica_set).unwrap_or_else(|error| absent(&format!("mongod that starts: {error}")))
}

impl Mongod {
    /// `mongodb://127.0.0.1:PORT/DATABASE?replicaSet=tests`
    pub fn uri(&self, database: &str) -> String {
        let set = if self.is_replica_set { "?replicaSet=tests" } else { "" };
        format!("mongodb://{}/{database}{set}", self.address)
    }
}

/// The program: in the package that has it, or on PATH.
fn program() -> Option<PathBuf> {
    let packaged = packaged("servers", "fiftyone/db/bin/mongod");
    let path = std::env::var_os("PATH").unwrap_or_default();
    packaged.or_else(|| {
        std::env::split_paths(&path).map(|folder| folder.join("mongod")).find(|file| file.is_file())
    })
}

fn start(is_replica_set: bool) -> io::Result<Option<Mongod>> {
    let Some(program) = program() else { return Ok(absent("mongod")) };
    let folder = run_folder(if is_replica_set { "mongod" } else { "mongod-alone" })?;
    let data = folder.join("data");
    fs::create_dir_all(&data)?;
    let (port, log) = (ports::free_port(), folder.join("mongod.log"));
    let mut command = Command::new(program);
    command.args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "1"]);
    if is_replica_set {
        command.args(["--replSet", "tests"]);
    }
    command.args(["--setParameter", "enableTestCommands=1"]).arg("--port").arg(port.to_string());
    command.arg("--dbpath").arg(&data).arg("--logpath").arg(&log);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = tied_to_us(command)?;
    let address = format!("127.0.0.1:{port}");
    process.answers("mongod", 60_000, &log, || {
        let is_ready =
            if is_replica_set { initiate(&address).is_ok() } else { is_writable(&address).ok()? };
        is_ready.then_some(())
    });
    Ok(Some(Mongod { address, is_replica_set, _process: process }))
}

/// `replSetInitiate`, in the few bytes of the wire protocol that it takes; ends when the node is the primary.
fn initiate(address: &str) -> io::Result<()> {
    let member = document(&[int("_id", 0), text("host", address)]);
    let config =
        document(&[text("_id", "tests"), nested(0x04, "members", &document(&[nested(0x03, "0", &member)]))]);
    // `already initialized` is an answer too: what counts is the primary.
    call(address, &[nested(0x03, "replSetInitiate", &config), text("$db", "admin")])?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_writable(address)? {
        if Instant::now() > deadline {
            return Err(io::Error::other("it does not become the primary"));
        }
        poll::moment(20);
    }
    Ok(())
}

fn is_writable(address: &str) -> io::Result<bool> {
    let answer = call(address, &[int("hello", 1), text("$db", "admin")])?;
    let primary: &[u8] = b"\x08isWritablePrimary\0\x01";
    Ok(answer.windows(primary.len()).any(|bytes| bytes == primary))
}

fn call(address: &str, command: &[Vec<u8>]) -> io::Result<Vec<u8>> {
    use io::{Read, Write};
    const OP_MSG: i32 = 2_013;
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let body = document(command);
    let mut message = Vec::new();
    for number in [16 + 4 + 1 + body.len() as i32, 1, 0, OP_MSG, 0] {
        message.extend(number.to_le_bytes());
    }
    message.push(0);
    message.extend(body);
    stream.write_all(&message)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; (u32::from_le_bytes(length) as usize).saturating_sub(4).min(1 << 20)];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn document(elements: &[Vec<u8>]) -> Vec<u8> {
    let elements = elements.concat();
    let mut bytes = (elements.len() as i32 + 5).to_le_bytes().to_vec();
    bytes.extend(elements);
    bytes.push(0);
    bytes
}

fn nested(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind], name.as_bytes(), &[0], value].concat()
}

fn int(name: &str, value: i32) -> Vec<u8> {
    nested(0x10, name, &value.to_le_bytes())
}

fn text(name: &str, value: &str) -> Vec<u8> {
    let length = (value.len() as i32 + 1).to_le_bytes();
    nested(0x02, name, &[&length, value.as_bytes(), &[0]].concat())
}
