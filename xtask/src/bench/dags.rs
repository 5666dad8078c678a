//! `dags`: ten tasks one after the other, here and in Airflow 3; then a thousand DAGs that are due at once, here.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::{AIRFLOW_PASSWORD, AIRFLOW_USER, poll};

use super::{
    measure::{median, whole},
    parts,
    report::{Line, publish},
};
use crate::run::{cargo, show};

const ROUNDS: usize = 3;
const TASKS: usize = 10;
/// What each task of the DAG that is held against its own time takes.
const SLEEP_S: f64 = 0.2;

pub fn run() -> Result<()> {
    let dags = format!("{}{}", chain("trivial", "'true'"), chain("sleeping", &format!("sleep {SLEEP_S}")));
    let mut world = parts::world();
    world.write("dags/bench.yml", &dags);
    let up = world.up_with(&["--only", "scheduler"]);
    let ours = Server { url: up.scheduler(), token: None };
    let (trivial, sleeping) = (ours.runs("trivial")?, ours.runs("sleeping")?);
    drop(world);
    // Airflow looks only into files that have these two words.
    let loader = "# airflow dag\nimport dagfactory\ndagfactory.load_yaml_dags(globals_dict=globals(), dags_folder=__file__.rsplit('/', 1)[0])\n";
    let airflow =
        testkit::airflow_server(&[("bench.yml", &dags), ("loader.py", loader)]).context("no Airflow")?;
    let peer = Server::signed_in(&airflow.url)?;
    let theirs = peer.runs("trivial")?;
    let at_once = at_once()?;
    let line = |what: &str, unit, ours, theirs, goal| Line {
        what: what.into(),
        ours,
        theirs,
        unit,
        less: true,
        goal,
        within: None,
    };
    let lines = [
        line("ten trivial tasks in a row, the run", "s", trivial, Some(theirs), ">= 20x"),
        line(
            "ten tasks of 0.2 s in a row, the run over their own time",
            "times",
            sleeping / (SLEEP_S * TASKS as f64),
            None,
            "<= 1.05x",
        ),
        line(
            "1,000 DAGs of ten tasks due at once, the longest wait while slots were free",
            "ms",
            at_once.0,
            None,
            "<= 1,000 ms",
        ),
        line("the same, highest memory", "MiB", at_once.1, None, "<= 150 MB"),
        line("the same, from start to the last task's end", "s", at_once.2, None, ""),
    ];
    let note = "The same DAG file on both sides, by the dag-factory package there. Airflow 3.3.2 with LocalExecutor on SQLite. A run is from \
                its start to its end as the server tells them; tasks are bash -c. Median of 3. The thousand DAGs come from \
                `cargo run --release -p tidemill-scheduler --example measure`.";
    publish("dags", "tasks of DAGs, one after the other and all at once", note, &lines)
}

fn chain(dag: &str, command: &str) -> String {
    let mut text = format!(
        "{dag}:\n  default_args:\n    start_date: 2024-01-01\n  schedule: none\n  catchup: false\n  tasks:\n"
    );
    for number in 0..TASKS {
        text += &format!(
            "    - task_id: t{number}\n      operator: airflow.providers.standard.operators.bash.BashOperator\n      bash_command: {command}\n"
        );
        if number > 0 {
            text += &format!("      dependencies: [t{}]\n", number - 1);
        }
    }
    text
}

/// One that speaks Airflow's REST API.
struct Server {
    url: String,
    token: Option<String>,
}

impl Server {
    fn signed_in(url: &str) -> Result<Self> {
        let body = json!({"username": AIRFLOW_USER, "password": AIRFLOW_PASSWORD});
        let server = Self { url: url.to_owned(), token: None };
        let answer = server.call("POST", "/auth/token", &body)?;
        let token = answer["access_token"].as_str().context("no token")?.to_owned();
        Ok(Self { token: Some(token), ..server })
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail-with-body", "-X", method, "-H", "Content-Type: application/json"]);
        if let Some(token) = &self.token {
            curl.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        if !body.is_null() {
            curl.args(["-d", &body.to_string()]);
        }
        let said = crate::run::quiet(curl.arg(format!("{}{path}", self.url)), Duration::from_secs(60))?;
        Ok(serde_json::from_str(&said)?)
    }

    /// The median length of some runs, in seconds.
    fn runs(&self, dag: &str) -> Result<f64> {
        let path = format!("/api/v2/dags/{dag}");
        poll::until(&format!("{dag} is read"), 120_000, || self.call("GET", &path, &Value::Null).ok());
        self.call("PATCH", &path, &json!({"is_paused": false}))?;
        let mut seconds = Vec::new();
        for round in 0..ROUNDS {
            let id = format!("bench_{round}");
            self.call("POST", &format!("{path}/dagRuns"), &json!({"dag_run_id": id, "logical_date": null}))?;
            let began = Instant::now();
            loop {
                let run = self.call("GET", &format!("{path}/dagRuns/{id}"), &Value::Null)?;
                match run["state"].as_str() {
                    Some("success") => break,
                    Some("failed") => bail!("{dag} failed: {run}"),
                    _ => ensure!(began.elapsed() < Duration::from_secs(300), "{dag} does not end: {run}"),
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let run = self.call("GET", &format!("{path}/dagRuns/{id}"), &Value::Null)?;
            seconds.push(run["duration"].as_f64().with_context(|| format!("no duration in {run}"))?);
            eprintln!("  {dag}, round {round}: {:.3} s at {}", seconds[round], self.url);
        }
        Ok(median(seconds))
    }
}

/// The longest wait in ms while slots were free, the highest memory in MiB, and the seconds it took.
fn at_once() -> Result<(f64, f64, f64)> {
    show(&mut cargo(&["build", "--release", "--quiet", "--workspace", "--example", "measure"]))?;
    let said = whole(&mut Command::new(crate::run::root().join("target/release/examples/measure")))?.stdout;
    let line = said.lines().find(|line| line.starts_with("1000 DAGs")).with_context(|| said.clone())?;
    let number = |before: &str, after: &str| -> Option<f64> {
        let rest = line.split(before).nth(1)?;
        rest.split(after).next()?.trim().parse().ok()
    };
    let wait = number("slots were free ", " ms").context("no wait")?;
    let memory = number(" ms, ", " MiB").context("no memory")?;
    Ok((wait, memory, number("tasks: ", " s").context("no seconds")?))
}
