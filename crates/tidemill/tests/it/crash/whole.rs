//! Both halves at work in one environment that is killed: a connector carries a topic into the lake while a DAG runs a pipeline
//! into it, and every run that was acknowledged ends in success.

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use testkit::{Parts, Seeded, poll};

use super::{Job, Shape, assert_same, undisturbed};
use crate::pipelines::documents;

const SHAPE: Shape = Shape { rows: 3_000, files: 2, partitions: 3, flush_size: 100 };
const KILLS_COUNT: usize = 12;
const DOCUMENTS_PER_LIFE: usize = 150;

const PIPELINE: &str = "\
source: { url: data/documents }
target: { url: s3://lake/warehouse, dataset: planes, compression: none, file_records_max: 100 }
streams:
  planes: { collection: '*.jsonl', cursor: n, primary_key: n }
";

const DAG: &str = "\
nightly:
  schedule: none
  max_active_runs: 1
  default_args:
    start_date: 2024-01-01
    retries: 1000
    retry_delay: { __type__: datetime.timedelta, milliseconds: 10 }
  tasks:
    - task_id: load
      operator: airflow.providers.standard.operators.bash.BashOperator
      bash_command: tidemill run lake
    - task_id: check
      operator: airflow.providers.standard.operators.bash.BashOperator
      bash_command: tidemill ls --recursive s3://lake/warehouse/planes/planes/ | grep jsonl
      dependencies: [load]
";

/// Both halves, and what was asked of the second.
struct Both {
    job: Job,
    documents_count: usize,
    triggered: BTreeSet<String>,
}

impl Both {
    /// More documents, and a run of the DAG that is to load them. Once it returns, the run is acknowledged.
    fn trigger(&mut self, parts: &Parts) {
        let world = &self.job.world;
        let name = format!("data/documents/{:05}.jsonl", self.documents_count);
        // Whole from the first moment: a run may be reading.
        let whole = world.write(&format!("{name}.new"), documents(self.documents_count, DOCUMENTS_PER_LIFE));
        fs::rename(whole, world.path(&name)).unwrap();
        self.documents_count += DOCUMENTS_PER_LIFE;
        let run = format!("r{}", self.triggered.len());
        let body = format!("{{\"dag_run_id\":\"{run}\",\"logical_date\":null}}");
        testkit::http("POST", &runs_url(parts), &body).expect(200);
        self.triggered.insert(run);
    }

    /// One life, cut off by kill -9: of the environment, and in every second one of its tasks too.
    fn live(&mut self, random: &mut Seeded) {
        let parts = self.job.alive();
        self.trigger(&parts);
        poll::moment(random.within(0..700));
        self.job.world.kill();
        if random.within(0..2) == 0
            && let Ok(state_folder) = fs::canonicalize(self.job.world.path(".tidemill/scheduler"))
        {
            testkit::kill_marked("TIDEMILL_TASK_OF", &state_folder.display().to_string());
        }
    }

    /// Waits until every run has ended; each is there, and in success.
    fn runs_end(&mut self) {
        let parts = self.job.alive();
        let found: Value = poll::until("all runs have ended", 120_000, || {
            let listed = testkit::http("GET", &format!("{}?limit=100", runs_url(&parts)), "").json();
            let is_open = |run: &Value| run["state"] == "queued" || run["state"] == "running";
            (!listed["dag_runs"].as_array()?.iter().any(is_open)).then_some(listed)
        });
        let found = found["dag_runs"].as_array().unwrap();
        let ids: BTreeSet<String> =
            found.iter().map(|run| run["dag_run_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, self.triggered);
        assert!(found.iter().all(|run| run["state"] == "success"), "{found:#?}");
    }
}

fn runs_url(parts: &Parts) -> String {
    format!("{}/api/v2/dags/nightly/dagRuns", parts.scheduler())
}

#[test]
fn kill_9_of_both_halves_at_work_loses_nothing() {
    let Some((_, expected)) = undisturbed(SHAPE) else { return };
    for seed in testkit::seeds(1) {
        let mut random = Seeded::new(seed);
        let job = Job::new(SHAPE).unwrap();
        job.world.write("dags/nightly.yml", DAG);
        job.world.write("pipelines/lake.yaml", PIPELINE);
        let mut both = Both { job, documents_count: 0, triggered: BTreeSet::new() };
        both.job.prepare();
        both.job.load_all(|_| ());
        both.job.start_sink("sink");
        for _ in 0..if testkit::deep() { 5 * KILLS_COUNT } else { KILLS_COUNT } {
            both.live(&mut random);
        }
        both.runs_end();
        let parts = both.job.alive();
        both.trigger(&parts);
        both.runs_end();
        let objects = both.job.finish("sink", expected.len());
        assert_same(&objects, &expected, &format!("seed {seed}"));
        let lake = both.job.world.ok(&["cat", "s3://lake/warehouse/planes/planes/"]);
        let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["n"].as_u64().unwrap();
        let mut numbers: Vec<u64> = lake.lines().map(number).collect();
        numbers.sort_unstable();
        let wanted: Vec<u64> = (0..both.documents_count as u64).collect();
        assert!(numbers == wanted, "seed {seed}: {} of {} documents", numbers.len(), wanted.len());
    }
}
