//! Child processes that end with the run: Linux's parent-death signal follows the thread that spawned, so one thread
//! that lives as long as the run spawns them all.

use std::{
    fs, io,
    os::unix::process::CommandExt,
    path::Path,
    process::{self, Command},
    sync::{Mutex, OnceLock, mpsc},
    thread,
};

use nix::{
    sys::{prctl, signal, signal::Signal},
    unistd::Pid,
};

use crate::poll;

type Request = (Command, mpsc::Sender<io::Result<process::Child>>);

/// A process that is killed when this is dropped, and when the run ends.
#[derive(Debug)]
pub struct Child {
    inner: process::Child,
}

impl Child {
    pub fn pid(&self) -> u32 {
        self.inner.id()
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.inner.kill().ok();
        self.inner.wait().ok();
    }

    /// What Ctrl-C sends.
    pub fn interrupt(&self) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid fits"));
        signal::kill(pid, Signal::SIGINT).ok();
    }

    /// Its exit status, where it has ended.
    pub fn ended(&mut self) -> Option<process::ExitStatus> {
        self.inner.try_wait().ok().flatten()
    }

    /// What `ask` finds once the program of this name answers; where it ends before that, what it said in `log`.
    #[track_caller]
    pub fn answers<T>(
        &mut self,
        name: &str,
        limit_ms: u64,
        log: &Path,
        mut ask: impl FnMut() -> Option<T>,
    ) -> T {
        poll::until(&format!("{name} answers"), limit_ms, || {
            if let Some(status) = self.ended() {
                panic!("{name} ended with {status}: {}", fs::read_to_string(log).unwrap_or_default());
            }
            ask()
        })
    }

    pub fn inner(&mut self) -> &mut process::Child {
        &mut self.inner
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Spawns from the thread that lives as long as the run.
pub fn tied_to_us(mut command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Request>>> = OnceLock::new();
    die_with_parent(&mut command);
    let spawner = SPAWNER.get_or_init(|| {
        let (send, requests) = mpsc::channel::<Request>();
        thread::spawn(move || {
            for (mut command, answer) in requests {
                answer.send(command.spawn()).ok();
            }
        });
        Mutex::new(send)
    });
    let (answer, spawned) = mpsc::channel();
    let request = (command, answer);
    spawner
        .lock()
        .expect("no one panics with it")
        .send(request)
        .expect("the spawner lives as long as the run");
    let inner = spawned.recv().expect("the spawner answers every request")?;
    Ok(Child { inner })
}

/// `kill -9` of every process whose environment has this variable, whoever started it.
pub fn kill_marked(name: &str, value: &str) {
    let wanted = format!("{name}={value}");
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
            && let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok())
        {
            signal::kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

#[expect(unsafe_code, reason = "there is no safe way to run code between fork and exec")]
fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe, and the closure touches no memory of the parent.
    unsafe {
        command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
    }
}
