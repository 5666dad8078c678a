//! One life of a scheduler: this very test program, started again. Its tasks outlive it, as real ones do, unless they are
//! killed too.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use base::Secret;
use scheduler::{Options, Service};
use tempfile::TempDir;
use testkit::{Child, tied_to_us};

const FOLDER: &str = "TIDEMILL_TEST_FOLDER";
const DATABASE: &str = "TIDEMILL_TEST_DATABASE";

/// Not a test of its own: what `Project::begin` starts, with a folder to work in.
#[test]
fn one_life() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder).to_path_buf();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async move {
        let mut options = Options::at("127.0.0.1:0".parse().expect("an address"), &folder);
        options.environment = env::vars().filter(|(name, _)| name != "TIDEMILL_DIE_AT").collect();
        options.database_url = Secret::new(env::var(DATABASE).unwrap_or_default());
        options.kill_grace_ms = 500;
        let handle = Service::start(options).await.expect("it starts");
        fs::write(folder.join("address.new"), handle.addr.to_string()).expect("the folder is ours");
        fs::rename(folder.join("address.new"), folder.join("address")).expect("the folder is ours");
        std::future::pending::<()>().await;
    });
}

/// A project whose scheduler lives again and again.
#[derive(Debug)]
pub struct Project {
    folder: TempDir,
    database_url: String,
}

impl Project {
    /// `database_url` is empty for SQLite.
    pub fn new(dags: &str, database_url: String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("dags")).expect("the folder is ours");
        fs::write(folder.path().join("dags/dags.yml"), dags).expect("the folder is ours");
        Self { folder, database_url }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a life, which dies by itself at the point `die_at`.
    pub fn begin(&self, die_at: Option<&str>) -> Child {
        fs::remove_file(self.path("address")).ok();
        let file = |name| fs::File::create(self.path(name)).expect("the folder is ours");
        let mut command = Command::new(env::current_exe().expect("we are a program"));
        command.args(["--exact", "life::one_life", "--nocapture"]);
        command.env(FOLDER, self.folder.path()).env(DATABASE, &self.database_url);
        command.stdout(file("life.log")).stderr(file("life.err"));
        if let Some(point) = die_at {
            command.env("TIDEMILL_DIE_AT", point);
        }
        tied_to_us(command).expect("it starts")
    }

    /// Where the life answers, once it does.
    pub fn address(&self) -> Option<String> {
        fs::read_to_string(self.path("address")).ok()
    }

    /// How often a task of a run has begun.
    pub fn times(&self, task: &str, run: &str) -> usize {
        self.all_times(task).get(run).copied().unwrap_or(0)
    }

    /// The same of all its runs.
    pub fn all_times(&self, task: &str) -> BTreeMap<String, usize> {
        let begun = fs::read_to_string(self.path(&format!("begun.{task}"))).unwrap_or_default();
        let mut times = BTreeMap::new();
        begun.lines().for_each(|run| *times.entry(run.to_owned()).or_default() += 1);
        times
    }

    /// What the last life complained of.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("life.err")).unwrap_or_default()
    }

    /// `kill -9` of all processes of its tasks.
    pub fn kill_tasks(&self) {
        if let Ok(state_folder) = fs::canonicalize(self.path(".tidemill/scheduler")) {
            testkit::kill_marked("TIDEMILL_TASK_OF", &state_folder.display().to_string());
        }
    }
}
