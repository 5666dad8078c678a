//! A project folder with the built binary in it, driven from outside: run commands, bring it up, kill it.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    children::{Child, tied_to_us},
    poll,
};

/// The keys of every world's S3 endpoint.
pub const ACCESS_KEY: &str = "tidemill";
pub const SECRET_KEY: &str = "only-for-tests-0123456789";

/// What a command said and how it ended.
#[derive(Debug, Clone)]
pub struct Ran {
    pub command: String,
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Its stdout, where it ended with 0.
    #[track_caller]
    pub fn expect_success(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}{}", self.command, self.stdout, self.stderr);
        self.stdout
    }

    /// Itself, where it ended with this code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}{}", self.command, self.stdout, self.stderr);
        self
    }

    /// For a snapshot: exit code, stdout and stderr.
    pub fn shown(&self) -> String {
        let code = self.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        format!("exit: {code}\n----- stdout\n{}----- stderr\n{}", self.stdout, self.stderr)
    }
}

/// Where the parts of an environment that is up answer, as `host:port`.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    pub pid: u32,
    pub addresses: BTreeMap<String, String>,
}

impl Parts {
    fn of(&self, part: &str) -> String {
        self.addresses.get(part).unwrap_or_else(|| panic!("no {part} in {:?}", self.addresses)).clone()
    }

    pub fn kafka(&self) -> String {
        self.of("broker")
    }

    pub fn registry(&self) -> String {
        url(&self.of("registry"))
    }

    pub fn rest(&self) -> String {
        url(&self.of("rest"))
    }

    pub fn connect(&self) -> String {
        url(&self.of("connect"))
    }

    pub fn s3(&self) -> String {
        url(&self.of("s3"))
    }

    pub fn dynamodb(&self) -> String {
        url(&self.of("dynamodb"))
    }

    pub fn scheduler(&self) -> String {
        url(&self.of("scheduler"))
    }

    pub fn console(&self) -> String {
        url(&self.of("console"))
    }
}

fn url(address: &str) -> String {
    if address.starts_with("http") { address.to_owned() } else { format!("http://{address}") }
}

#[derive(Debug)]
enum Folder {
    Ours(TempDir),
    Run(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Ours(folder) => folder.path(),
            Folder::Run(folder) => folder,
        }
    }
}

/// A project in a folder of its own; what runs in it is killed when this is dropped.
#[derive(Debug)]
pub struct World {
    folder: Folder,
    binary: PathBuf,
    environment: BTreeMap<String, String>,
    /// What `up` is started by, where it is not by us.
    wrapper: Vec<String>,
    up: Option<Child>,
}

impl World {
    /// A project that names no more than its ports. `binary` is `env!("CARGO_BIN_EXE_tidemill")`.
    pub fn new(binary: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("tidemill-").tempdir().expect("a temporary folder");
        Self::within(Folder::Ours(folder), binary)
    }

    /// One that lives as long as the run, for a static; no two of a run have the same name.
    pub fn for_the_run(binary: &str, name: &str) -> Self {
        let folder = crate::run_folder(name).expect("a temporary folder");
        Self::within(Folder::Run(folder), binary)
    }

    fn within(folder: Folder, binary: &str) -> Self {
        // Port 0: the part binds a free one itself, so that tests beside each other never want the same.
        let parts = ["broker", "registry", "rest", "connect", "s3", "dynamodb", "scheduler", "console"];
        let text: String = parts.iter().map(|part| format!("{part}:\n  listen: 127.0.0.1:0\n")).collect();
        fs::write(folder.path().join("tidemill.yaml"), text).expect("the folder is ours");
        Self { folder, binary: binary.into(), environment: BTreeMap::new(), wrapper: Vec::new(), up: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the project, its folders too.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the folder is ours");
        fs::write(&path, text).expect("the folder is ours");
        path
    }

    /// For every command from now on.
    pub fn set(&mut self, variable: &str, value: &str) -> &mut Self {
        self.environment.insert(variable.to_owned(), value.to_owned());
        self
    }

    pub fn unset(&mut self, variable: &str) {
        self.environment.remove(variable);
    }

    /// The binary with these arguments, in the project's folder, with nothing of this machine's settings.
    pub fn command(&self, args: &[&str]) -> Command {
        self.prepared(Command::new(&self.binary), args)
    }

    fn prepared(&self, mut command: Command, args: &[&str]) -> Command {
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.folder.path());
        command.envs([("AWS_EC2_METADATA_DISABLED", "true"), ("NO_COLOR", "1"), ("COLUMNS", "100")]);
        command.envs([("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)]);
        command.envs([("AWS_REGION", "us-east-1"), ("TIDEMILL_S3_SECRET_KEY", SECRET_KEY)]);
        command.envs(&self.environment);
        command
    }

    /// `up` is started by this program from now on, with our command behind its words; it has to `exec` that.
    pub fn wrap(&mut self, words: &[&str]) {
        self.wrapper = words.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Runs the binary to its end, at most a minute.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args), 60)
    }

    /// Runs it and fails the test where it fails; gives stdout.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.run(args).expect_success()
    }

    /// `tidemill up`, ready.
    #[track_caller]
    pub fn up(&mut self) -> Parts {
        self.up_with(&[])
    }

    #[track_caller]
    pub fn up_with(&mut self, more: &[&str]) -> Parts {
        self.start(more);
        self.ready()
    }

    /// Starts `up` and does not wait: a crash test may kill it before it is ready.
    pub fn start(&mut self, more: &[&str]) {
        fs::remove_file(self.path(".tidemill/running.json")).ok();
        let mut args = vec!["up"];
        args.extend(more);
        let log = fs::File::create(self.path("up.log")).expect("the folder is ours");
        let mut command = match self.wrapper.split_first() {
            None => self.command(&args),
            Some((program, words)) => {
                let mut command = Command::new(program);
                command.args(words).arg(&self.binary);
                self.prepared(command, &args)
            }
        };
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        self.up = Some(tied_to_us(command).expect("the binary runs"));
    }

    /// Waits until every part answers.
    #[track_caller]
    pub fn ready(&mut self) -> Parts {
        poll::until("tidemill is up", 30_000, || {
            if let Some(status) = self.up.as_mut().and_then(Child::ended) {
                panic!("up ended with {status}: {}", self.said());
            }
            self.parts()
        })
    }

    /// What `up` printed.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("up.log")).unwrap_or_default()
    }

    /// The process of `up`, where we started it.
    pub fn process(&mut self) -> Option<&mut Child> {
        self.up.as_mut()
    }

    /// What runs now, from the file that `up` writes when every part is ready.
    pub fn parts(&self) -> Option<Parts> {
        let text = fs::read_to_string(self.path(".tidemill/running.json")).ok()?;
        let running: Value = serde_json::from_str(&text).ok()?;
        let mut parts = Parts { pid: u32::try_from(running["pid"].as_u64()?).ok()?, ..Parts::default() };
        for (name, part) in running["parts"].as_object()? {
            parts.addresses.insert(name.clone(), part["address"].as_str()?.to_owned());
        }
        Some(parts)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut up) = self.up.take() {
            up.kill();
        }
    }

    /// `tidemill down`, and how long it took.
    #[track_caller]
    pub fn down(&mut self) -> Duration {
        let start = Instant::now();
        self.ok(&["down"]);
        let took = start.elapsed();
        if let Some(mut up) = self.up.take() {
            poll::until("up has ended after down", 5_000, || up.ended());
        }
        took
    }
}

/// Runs a command to its end; fails the test where that takes more than `seconds_max`.
#[track_caller]
pub fn ran(command: &mut Command, seconds_max: u64) -> Ran {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    let words = words.join(" ");
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("cannot run {words}: {error}"));
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let start = Instant::now();
    let mut wait_ms = 1;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status;
        }
        if start.elapsed() > Duration::from_secs(seconds_max) {
            child.kill().ok();
            panic!("{words}: no end after {seconds_max} s");
        }
        poll::moment(wait_ms);
        wait_ms = (wait_ms * 2).min(20);
    };
    let text = |reader: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&reader.join().expect("a reader does not panic")).into_owned()
    };
    Ran { command: words, code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).ok();
        }
        bytes
    })
}
