//! Backfills in a history: somebody asks for days of `past`, pauses and cancels, and in the end every day has its one run.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use serde_json::{Value, json};

use crate::{
    history::{get, send},
    life::Project,
};

/// The only task of `past`.
pub const TASK: &str = "fill";
/// Days of January 2024 that backfills begin with.
const DAYS_COUNT: usize = 12;
/// Days of one backfill.
const DAYS_EACH: usize = 4;
const ACTIVE_RUNS_MAX: u64 = 2;

/// A call of the API that concerns a backfill.
#[derive(Debug, Clone)]
pub enum Call {
    Make {
        days: RangeInclusive<usize>,
        reprocess: &'static str,
        /// Runs that have to begin once more, and how often each has begun.
        again: BTreeMap<String, usize>,
    },
    Set {
        id: u64,
        verb: &'static str,
    },
}

/// What was acknowledged.
#[derive(Debug, Default)]
pub struct Promises {
    days: BTreeSet<String>,
    again: Vec<(String, usize)>,
    cancelled_count: u64,
}

/// What the API tells of `past`.
struct Seen {
    /// The backfill that is not complete, and whether it is paused.
    open: Option<(u64, bool)>,
    /// State and id of each day's run.
    runs: BTreeMap<String, (String, String)>,
}

impl Seen {
    fn at(address: &str) -> Option<Self> {
        let backfills = get(address, "backfills?dag_id=past&limit=100")?;
        let of = |it: &Value| Some((it["id"].as_u64()?, it["is_paused"].as_bool()?));
        let open: Vec<_> = backfills["backfills"]
            .as_array()?
            .iter()
            .filter(|it| it["completed_at"].is_null())
            .filter_map(of)
            .collect();
        assert!(open.len() < 2, "one backfill at a time: {backfills}");
        let listed = get(address, "dags/past/dagRuns?limit=100")?;
        let (listed, mut runs) = (listed["dag_runs"].as_array()?, BTreeMap::new());
        for run in listed {
            let text = |name: &str| run[name].as_str().map(str::to_owned);
            runs.insert(text("logical_date")?[..10].to_owned(), (text("state")?, text("dag_run_id")?));
        }
        assert_eq!(runs.len(), listed.len(), "a day has two runs: {listed:?}");
        Some(Self { open: open.first().copied(), runs })
    }

    /// A backfill whose runs are to begin again where `reprocess` says so.
    fn make(&self, days: RangeInclusive<usize>, reprocess: &'static str, project: &Project) -> Call {
        let is_again = |state: &str| match reprocess {
            "completed" => matches!(state, "success" | "failed"),
            "failed" => state == "failed",
            _none => false,
        };
        let runs = days.clone().filter_map(|day| self.runs.get(&date(day)));
        let runs = runs.filter(|(state, _)| is_again(state));
        let again = runs.map(|(_, run)| (run.clone(), project.times(TASK, run))).collect();
        Call::Make { days, reprocess, again }
    }
}

fn date(day: usize) -> String {
    format!("2024-01-{day:02}")
}

/// The next thing to ask for.
pub fn next(address: &str, number: usize, project: &Project) -> Option<Call> {
    let seen = Seen::at(address)?;
    Some(match seen.open {
        Some((id, true)) => Call::Set { id, verb: "unpause" },
        Some((id, false)) => {
            Call::Set { id, verb: if number.is_multiple_of(4) { "cancel" } else { "pause" } }
        }
        None => {
            let first = 1 + number % DAYS_COUNT;
            let reprocess = ["completed", "none", "failed"][number % 3];
            seen.make(first..=first + DAYS_EACH - 1, reprocess, project)
        }
    })
}

/// What is still to be asked for before all has ended: nothing stays paused, and what a cancelled backfill let fail runs
/// after all. `None` where nobody answers.
pub fn last(address: &str, project: &Project) -> Option<Option<Call>> {
    let seen = Seen::at(address)?;
    let has_failed = seen.runs.values().any(|(state, _)| state == "failed");
    Some(match seen.open {
        Some((id, true)) => Some(Call::Set { id, verb: "unpause" }),
        None if has_failed => Some(seen.make(1..=DAYS_COUNT + DAYS_EACH, "failed", project)),
        Some((_, false)) | None => None,
    })
}

/// Whether one is at work.
pub fn is_open(address: &str) -> Option<bool> {
    Seen::at(address).map(|seen| seen.open.is_some())
}

impl Call {
    pub fn send(&self, address: &str) -> Option<(u16, String)> {
        match self {
            Call::Make { days, reprocess, .. } => {
                let at = |day: &usize| format!("{}T00:00:00Z", date(*day));
                let body = json!({
                    "dag_id": "past", "from_date": at(days.start()), "to_date": at(days.end()),
                    "reprocess_behavior": reprocess, "max_active_runs": ACTIVE_RUNS_MAX,
                });
                send(address, "POST", "backfills", &body)
            }
            Call::Set { id, verb } => send(address, "PUT", &format!("backfills/{id}/{verb}"), &Value::Null),
        }
    }
}

impl Promises {
    pub fn acknowledged(&mut self, call: Call) {
        match call {
            Call::Make { days, again, .. } => {
                self.days.extend(days.map(date));
                self.again.extend(again);
            }
            Call::Set { verb, .. } => self.cancelled_count += u64::from(verb == "cancel"),
        }
    }

    /// A backfill keeps its own bound; runs of one that was cancelled end beside those of the next.
    pub fn assert_bound(&self, address: &str) -> Option<()> {
        let running = get(address, "dags/past/dagRuns?state=running")?["total_entries"].as_u64()?;
        let bound = ACTIVE_RUNS_MAX * (2 + self.cancelled_count);
        assert!(running <= bound - ACTIVE_RUNS_MAX, "{running} runs of backfills at once");
        Some(())
    }

    /// Each day that was asked for has its run, which ended well, and none has that was not.
    pub fn assert_kept(&self, address: &str, project: &Project) {
        let seen = Seen::at(address).expect("the last life answers");
        let wanted: BTreeMap<&str, &str> = self.days.iter().map(|day| (&**day, "success")).collect();
        let found = seen.runs.iter().map(|(day, (state, _))| (&**day, &**state)).collect();
        assert_eq!(wanted, found, "runs of backfills");
        for (run, times_before) in &self.again {
            let times = project.times(TASK, run);
            assert!(times > *times_before, "{run} was to run again, and did not: {times} times");
        }
    }
}
