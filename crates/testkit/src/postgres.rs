//! One PostgreSQL for the whole run: a fresh cluster on a free loopback port, without passwords.

use std::{
    env, fs, io,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use nix::unistd::{Uid, User};

use crate::{
    absent,
    children::{Child, tied_to_us},
    ports, ran, run_folder,
};

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    pub port: u16,
    programs: PathBuf,
    _process: Child,
}

static POSTGRES: OnceLock<Option<Postgres>> = OnceLock::new();

/// Starts it at the first call.
pub fn postgres() -> Option<&'static Postgres> {
    POSTGRES
        .get_or_init(|| start().unwrap_or_else(|error| absent(&format!("PostgreSQL that starts: {error}"))))
        .as_ref()
}

impl Postgres {
    /// The URL of a new, empty database.
    #[track_caller]
    pub fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let mut command = Command::new(self.programs.join("createdb"));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", &name]);
        ran(&mut command, 30).expect_success();
        format!("postgresql://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

/// Where Debian puts it, which is not on PATH, or else PATH.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    let path = env::var_os("PATH").unwrap_or_default();
    folders.extend(env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").is_file())
}

fn start() -> io::Result<Option<Postgres>> {
    let Some(programs) = programs() else { return Ok(absent("PostgreSQL")) };
    let folder = run_folder("postgres")?;
    // It refuses to run as root: then it is the user that its package made.
    let user = if Uid::effective().is_root() { User::from_name("postgres").ok().flatten() } else { None };
    if let Some(user) = &user {
        chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    let command = |program: &str| as_user(user.as_ref(), &programs.join(program));
    let data = folder.join("data").display().to_string();
    let mut initdb = command("initdb");
    initdb.current_dir(&folder).args([
        "-D",
        &data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
        "-E",
        "UTF8",
    ]);
    ran(&mut initdb, 60).expect_success();
    let port = ports::free_port();
    let mut server = command("postgres");
    server.current_dir(&folder).args(["-D", &data, "-h", "127.0.0.1", "-p", &port.to_string(), "-k", &data]);
    server.args(["-c", "fsync=off", "-c", "max_connections=50"]);
    let log = fs::File::create(folder.join("postgres.log"))?;
    server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut process = tied_to_us(server)?;
    let ready = programs.join("pg_isready");
    process.answers("PostgreSQL", 30_000, &folder.join("postgres.log"), || {
        let mut asked = Command::new(&ready);
        asked.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
        asked.status().ok()?.success().then_some(())
    });
    Ok(Some(Postgres { port, programs, _process: process }))
}

/// The program as another user; the signal that ends it with us is set after that change, which would clear it.
fn as_user(user: Option<&User>, program: &Path) -> Command {
    let Some(user) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={}", user.uid)).arg(format!("--regid={}", user.gid));
    command.args(["--clear-groups", "--pdeathsig", "KILL"]).arg(program);
    command
}
