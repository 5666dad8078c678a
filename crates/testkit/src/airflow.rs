//! One Apache Airflow 3 for the whole run: API server, scheduler and DAG processor over SQLite, tasks in processes of its own.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::{
    absent,
    children::{Child, tied_to_us},
    poll, ports, run_folder, try_http, venv_python, world,
};

/// Who may sign in at the test's Airflow.
pub const AIRFLOW_USER: &str = "admin";
pub const AIRFLOW_PASSWORD: &str = "only-for-tests";

/// A running Airflow.
#[derive(Debug)]
pub struct Airflow {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// DAG files go here; new ones are found within a second.
    pub dags: PathBuf,
    _processes: Vec<Child>,
}

static AIRFLOW: OnceLock<Option<Airflow>> = OnceLock::new();

/// Starts it at the first call: half a minute, more on a machine at work. `dags` are files it has from the beginning.
pub fn airflow_server(dags: &[(&str, &str)]) -> Option<&'static Airflow> {
    AIRFLOW
        .get_or_init(|| start(dags).unwrap_or_else(|error| absent(&format!("Airflow that starts: {error}"))))
        .as_ref()
}

fn start(dags: &[(&str, &str)]) -> io::Result<Option<Airflow>> {
    let Some(python) = venv_python("airflow") else { return Ok(None) };
    let home = run_folder("airflow")?;
    let folder = home.join("dags");
    fs::create_dir_all(&folder)?;
    for (name, text) in dags {
        fs::write(folder.join(name), text)?;
    }
    let passwords = home.join("passwords.json");
    fs::write(&passwords, format!("{{\"{AIRFLOW_USER}\": \"{AIRFLOW_PASSWORD}\"}}"))?;
    let port = ports::free_port();
    let settings = settings(&home, &folder, &passwords, port);
    let command = |words: &[&str]| {
        let mut command = Command::new(&python);
        command.args(["-m", "airflow"]).args(words).envs(&settings).current_dir(&home);
        // Tasks start `airflow` of this environment.
        let bin = python.parent().expect("an interpreter lies in a folder");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(bin.to_path_buf()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(paths).expect("these were paths before"));
        command
    };
    world::ran(&mut command(&["db", "migrate"]), 300).expect_success();
    let mut processes = Vec::new();
    for words in [&["api-server", "--port", &port.to_string()][..], &["scheduler"], &["dag-processor"]] {
        let mut command = command(words);
        let log = fs::File::create(home.join(format!("{}.log", words[0])))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        processes.push(tied_to_us(command)?);
    }
    let url = format!("http://127.0.0.1:{port}");
    poll::until("Airflow answers", 240_000, || {
        if let Some(status) = processes.iter_mut().find_map(Child::ended) {
            let said = fs::read_to_string(home.join("api-server.log")).unwrap_or_default();
            panic!("a part of Airflow ended with {status}: {said}");
        }
        let answer = try_http("GET", &format!("{url}/api/v2/monitor/health"), "").ok()?;
        (answer.status == 200 && answer.body.contains("healthy")).then_some(())
    });
    Ok(Some(Airflow { url, dags: folder, _processes: processes }))
}

fn settings(home: &Path, dags: &Path, passwords: &Path, port: u16) -> BTreeMap<String, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let pairs = [
        ("AIRFLOW_HOME", text(home)),
        ("AIRFLOW__CORE__DAGS_FOLDER", text(dags)),
        ("AIRFLOW__CORE__LOAD_EXAMPLES", "False".to_owned()),
        ("AIRFLOW__CORE__EXECUTOR", "LocalExecutor".to_owned()),
        ("AIRFLOW__CORE__PARALLELISM", "4".to_owned()),
        ("AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION", "False".to_owned()),
        ("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", format!("{AIRFLOW_USER}:admin")),
        ("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", text(passwords)),
        ("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", format!("http://127.0.0.1:{port}/execution/")),
        ("AIRFLOW__API_AUTH__JWT_SECRET", "only-for-tests-0123456789abcdef0123456789abcdef".to_owned()),
        ("AIRFLOW__API__WORKERS", "1".to_owned()),
        ("AIRFLOW__API__HOST", "127.0.0.1".to_owned()),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", format!("sqlite:///{}/airflow.db?timeout=60", text(home))),
        ("AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL", "1".to_owned()),
        // No test changes a file: reading them all again would take the time that the tasks need.
        ("AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL", "300".to_owned()),
        // A machine at work answers late.
        ("AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT", "60".to_owned()),
        ("AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK", "False".to_owned()),
        ("AIRFLOW__LOGGING__LOGGING_LEVEL", "INFO".to_owned()),
        ("AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY", "False".to_owned()),
        ("NO_COLOR", "1".to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
