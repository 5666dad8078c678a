//! A history: lives that are cut short one after the other while somebody works with the API, then one to the end. What was
//! acknowledged in any of them must hold there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::RangeInclusive,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use serde_json::{Value, json};
use testkit::{Child, poll};

use crate::{backfills, life::Project};

const DAGS: &str = include_str!("dags.yml");
/// Runs of `chores` that somebody waits for at most: with more, a history would take long to end.
const RUNS_AT_ONCE_MAX: u64 = 2;
const VARIABLES_COUNT: usize = 3;
/// Tasks that note each beginning of theirs.
const NOTING: [&str; 4] = ["extract", "load", "look", backfills::TASK];

/// What a life is ended by.
#[derive(Debug)]
pub enum Cut {
    /// Kill -9 of these, so long after the life began or was ready.
    After { ms: u64, is_ready: bool, victims: Victims },
    /// It dies by itself at a named point.
    At(String),
}

#[derive(Debug, Clone, Copy)]
pub enum Victims {
    Scheduler,
    SchedulerThenTasks,
    TasksThenScheduler,
}

/// What there is in the end.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// Of `chores`: its state and those of its task instances, by run.
    pub runs: BTreeMap<String, Vec<String>>,
    /// The runs that the schedule of `daily` made, with their states.
    pub scheduled: Vec<String>,
}

/// A call of the API.
#[derive(Debug, Clone)]
enum Call {
    Trigger { run: String },
    Set { key: String, value: String },
    Clear { run: String, times_before: usize },
    Backfill(backfills::Call),
}

/// What somebody asked for, and got acknowledged.
#[derive(Debug, Default)]
struct Promises {
    runs: BTreeSet<String>,
    variables: BTreeMap<String, String>,
    /// Runs, and how often each had begun when it was cleared.
    cleared: Vec<(String, usize)>,
    backfills: backfills::Promises,
    /// Not acknowledged yet: whether it was done, nobody knows, so it is asked for again.
    asked: Option<Call>,
    calls_count: usize,
}

#[derive(Debug)]
pub struct History {
    project: Project,
    promises: Promises,
}

impl History {
    pub fn new(database_url: String) -> Self {
        let asked = Some(Call::Trigger { run: "r0".to_owned() });
        Self {
            project: Project::new(DAGS, database_url),
            promises: Promises { asked, ..Promises::default() },
        }
    }

    /// A life that is cut. `false`: it never came to its point.
    pub fn live(&mut self, cut: &Cut) -> bool {
        let (project, promises) = (&self.project, &mut self.promises);
        let mut life = project.begin(match cut {
            Cut::At(point) => Some(point.as_str()),
            Cut::After { .. } => None,
        });
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let _ends_the_client = Over(&is_over);
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    if let Some(address) = project.address() {
                        promises.work(&address, project);
                    }
                    poll::moment(5);
                }
            });
            match cut {
                Cut::At(_) => dies(project, &mut life),
                Cut::After { ms, is_ready, victims } => {
                    if *is_ready {
                        poll::until("it is ready", 60_000, || {
                            assert!(!has_died(project, &mut life), "nobody killed it");
                            project.address()
                        });
                    }
                    poll::moment(*ms);
                    assert!(!has_died(project, &mut life), "nobody killed it");
                    victims.kill(project, &mut life);
                    true
                }
            }
        })
    }

    /// What somebody asks for first in the next life.
    pub fn ask_for_days(&mut self, days: RangeInclusive<usize>, reprocess: &'static str) {
        let again = self.project.all_times(backfills::TASK);
        let again = if reprocess == "completed" { again } else { BTreeMap::new() };
        self.promises.asked = Some(Call::Backfill(backfills::Call::Make { days, reprocess, again }));
    }

    /// A life that is killed when nothing is left to do.
    pub fn settle(&mut self) {
        self.until_ended();
    }

    /// The last life, until nothing is left to do.
    pub fn end(mut self) -> Ended {
        let (_life, ended) = self.until_ended();
        let address = self.project.address().expect("it answered");
        self.promises.assert_kept(&address, &ended, &self.project);
        ended
    }

    fn until_ended(&mut self) -> (Child, Ended) {
        let mut life = self.project.begin(None);
        let (project, promises) = (&self.project, &mut self.promises);
        let ended = poll::until("everything has ended", 60_000, || {
            assert!(!has_died(project, &mut life), "nobody killed it");
            let address = project.address()?;
            if promises.asked.is_none() {
                promises.asked = backfills::last(&address, project)?.map(Call::Backfill);
            }
            if promises.asked.is_some() {
                promises.ask(&address)?;
            }
            let open = count(&address, "dags/~/dagRuns?state=queued&state=running")?;
            // Looked at after the runs: with the last of them its backfill has ended.
            let is_over =
                open == 0 && !backfills::is_open(&address)? && backfills::last(&address, project)?.is_none();
            if is_over { ended(&address) } else { None }
        });
        (life, ended)
    }
}

impl Victims {
    fn kill(self, project: &Project, life: &mut Child) {
        match self {
            Victims::Scheduler => life.kill(),
            Victims::SchedulerThenTasks => {
                life.kill();
                project.kill_tasks();
            }
            Victims::TasksThenScheduler => {
                project.kill_tasks();
                life.kill();
            }
        }
    }
}

/// Ends the client with the life, also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Whether a signal has ended it; that it ends by itself is a failure.
fn has_died(project: &Project, life: &mut Child) -> bool {
    let Some(status) = life.ended() else { return false };
    assert!(status.code().is_none(), "a life ended by itself: {}", project.said());
    true
}

/// Waits until it has died at its point. `false`: it does not come there.
fn dies(project: &Project, life: &mut Child) -> bool {
    let began = Instant::now();
    poll::until("it dies, or never will", 60_000, || {
        if has_died(project, life) { Some(true) } else { (began.elapsed().as_secs() > 50).then_some(false) }
    })
}

impl Promises {
    /// One thing after the other, until the life is over or it is enough for now.
    fn work(&mut self, address: &str, project: &Project) -> Option<()> {
        self.assert_variables(address)?;
        self.backfills.assert_bound(address)?;
        if self.asked.is_none() {
            self.asked = Some(self.next_call(address, project)?);
        }
        self.ask(address)
    }

    fn next_call(&mut self, address: &str, project: &Project) -> Option<Call> {
        self.calls_count += 1;
        let number = self.calls_count;
        let open = count(address, "dags/chores/dagRuns?state=queued&state=running")?;
        let set = Call::Set { key: format!("v{}", number % VARIABLES_COUNT), value: number.to_string() };
        if open >= RUNS_AT_ONCE_MAX && number % 5 < 3 {
            return Some(set);
        }
        Some(match number % 5 {
            0 => set,
            3 | 4 => Call::Backfill(backfills::next(address, number, project)?),
            1 => Call::Trigger { run: format!("r{number}") },
            _ => match self.runs.iter().nth(number % self.runs.len().max(1)) {
                Some(run) if state_of(address, run)? == "success" => {
                    Call::Clear { run: run.clone(), times_before: project.times("extract", run) }
                }
                Some(_) | None => set,
            },
        })
    }

    /// Asks for what is asked for; `None` where the life ended first.
    fn ask(&mut self, address: &str) -> Option<()> {
        let call = self.asked.clone()?;
        let runs = "dags/chores/dagRuns";
        let (status, body) = match &call {
            Call::Trigger { run } => {
                send(address, "POST", runs, &json!({ "dag_run_id": run, "logical_date": null }))?
            }
            Call::Set { key, value } if self.variables.contains_key(key) => {
                send(address, "PATCH", &format!("variables/{key}"), &json!({ "key": key, "value": value }))?
            }
            Call::Set { key, value } => {
                send(address, "POST", "variables", &json!({ "key": key, "value": value }))?
            }
            Call::Clear { run, .. } => {
                send(address, "POST", &format!("{runs}/{run}/clear"), &json!({ "dry_run": false }))?
            }
            Call::Backfill(backfill) => backfill.send(address)?,
        };
        // It is there already where an earlier life did it and died before it could say so.
        assert!(matches!(status, 200 | 201 | 409), "{call:?}: {status} {body}");
        match call {
            Call::Trigger { run } => drop(self.runs.insert(run)),
            Call::Set { key, value } => drop(self.variables.insert(key, value)),
            Call::Clear { run, times_before } => self.cleared.push((run, times_before)),
            Call::Backfill(backfill) => self.backfills.acknowledged(backfill),
        }
        self.asked = None;
        Some(())
    }

    /// Each variable has the value that was acknowledged last, or the one that is asked for now.
    fn assert_variables(&self, address: &str) -> Option<()> {
        let listed = get(address, "variables?limit=100")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let found: BTreeMap<String, String> =
            listed["variables"].as_array()?.iter().map(|it| (text(&it["key"]), text(&it["value"]))).collect();
        let mut allowed = vec![self.variables.clone()];
        if let Some(Call::Set { key, value }) = &self.asked {
            let mut done = self.variables.clone();
            done.insert(key.clone(), value.clone());
            allowed.push(done);
        }
        assert!(allowed.contains(&found), "variables are {found:?}, not one of {allowed:?}");
        Some(())
    }

    fn assert_kept(&self, address: &str, ended: &Ended, project: &Project) {
        self.assert_variables(address).expect("the last life answers");
        let runs: BTreeSet<String> = ended.runs.keys().cloned().collect();
        assert_eq!(runs, self.runs, "runs that were triggered");
        for (run, times_before) in &self.cleared {
            let times = project.times("extract", run);
            assert!(times > *times_before, "{run} was cleared, and did not run again: {times} times");
        }
        self.backfills.assert_kept(address, project);
        let twice = fs::read_to_string(project.path("twice")).unwrap_or_default();
        assert_eq!(twice, "", "tasks that ran twice at once");
        assert_tries(address, project).expect("the last life answers");
    }
}

/// No task began more often than it had tries: each process belongs to one that was written down before.
fn assert_tries(address: &str, project: &Project) -> Option<()> {
    for run in get(address, "dags/~/dagRuns?limit=100")?["dag_runs"].as_array()? {
        let (dag, run) = (run["dag_id"].as_str()?, run["dag_run_id"].as_str()?);
        for instance in
            get(address, &format!("dags/{dag}/dagRuns/{run}/taskInstances"))?["task_instances"].as_array()?
        {
            let (task, tries) = (instance["task_id"].as_str()?, instance["try_number"].as_u64()? as usize);
            if NOTING.contains(&task) {
                let times = project.times(task, run);
                assert!((1..=tries).contains(&times), "{run}: {task} began {times} times in {tries} tries");
            }
        }
    }
    Some(())
}

/// Status and body; `None` where nobody answers any more.
pub fn send(address: &str, method: &str, path: &str, body: &Value) -> Option<(u16, String)> {
    let url = format!("http://{address}/api/v2/{path}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    testkit::try_http(method, &url, &body).ok().map(|answer| (answer.status, answer.body))
}

pub fn get(address: &str, path: &str) -> Option<Value> {
    let (status, body) = send(address, "GET", path, &Value::Null)?;
    assert_eq!(status, 200, "{path}: {body}");
    // A body that was cut off is no answer.
    serde_json::from_str(&body).ok()
}

fn count(address: &str, path: &str) -> Option<u64> {
    get(address, path)?["total_entries"].as_u64()
}

fn state_of(address: &str, run: &str) -> Option<String> {
    get(address, &format!("dags/chores/dagRuns/{run}"))?["state"].as_str().map(str::to_owned)
}

fn ended(address: &str) -> Option<Ended> {
    let mut ended = Ended { runs: BTreeMap::new(), scheduled: Vec::new() };
    let listed = get(address, "dags/~/dagRuns?limit=100")?;
    let listed = listed["dag_runs"].as_array()?;
    assert!(listed.len() < 100, "more runs than one page shows");
    for run in listed {
        let (id, state) = (run["dag_run_id"].as_str()?, run["state"].as_str()?);
        if run["dag_id"] == "daily" {
            ended.scheduled.push(format!("{id} {state}"));
            continue;
        }
        if run["dag_id"] == "past" {
            continue;
        }
        let instances = get(address, &format!("dags/chores/dagRuns/{id}/taskInstances"))?;
        let shown = |it: &Value| format!("{}[{}] {}", it["task_id"], it["map_index"], it["state"]);
        let mut states: Vec<String> = instances["task_instances"].as_array()?.iter().map(shown).collect();
        states.sort();
        states.insert(0, state.to_owned());
        ended.runs.insert(id.to_owned(), states);
    }
    ended.scheduled.sort();
    Some(ended)
}
