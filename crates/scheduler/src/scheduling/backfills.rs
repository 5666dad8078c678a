//! Backfills: runs for a span of dates that the schedule has passed, with a bound of their own.

use std::sync::Arc;

use super::{Ids, Run, Scheduling, Time, due::NewRun};
use crate::{
    Error, cells,
    known::Known,
    state::{Reprocess, RunKind, RunState},
    store::{Cell, Database, Row, Statement},
    timetable::{self, RunTimes},
};

/// Runs of one backfill.
pub const RUNS_MAX: usize = 10_000;

#[derive(Debug, Clone)]
pub struct Backfill {
    pub id: i64,
    pub dag_id: String,
    pub from: Time,
    pub to: Time,
    /// A JSON object.
    pub conf: String,
    pub is_paused: bool,
    pub reprocess: Reprocess,
    pub max_active_runs: i64,
    /// The latest date begins first.
    pub run_backwards: bool,
    pub created_at: Time,
    pub completed_at: Option<Time>,
    pub updated_at: Time,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct NewBackfill {
    pub dag_id: String,
    pub from: Time,
    pub to: Time,
    pub conf: String,
    pub reprocess: Reprocess,
    pub max_active_runs: i64,
    pub run_backwards: bool,
}

/// What a backfill does for one of its dates.
enum Planned {
    New(RunTimes),
    /// A run that has ended.
    Again(Box<Run>),
}

impl Backfill {
    pub async fn list(database: &Database, filter: &str, cells: Vec<Cell>) -> Result<Vec<Self>, Error> {
        let sql = format!(
            "SELECT b.id, b.dag_id, b.from_date, b.to_date, b.conf, b.is_paused, b.reprocess, b.max_active_runs, \
             b.created_at, b.completed_at, b.updated_at, b.run_backwards FROM backfill b {filter} ORDER BY b.id"
        );
        Ok(database.rows(sql, cells).await?.iter().map(Self::read).collect())
    }

    fn read(row: &Row) -> Self {
        let text = |column: usize| row[column].text().unwrap_or_default().to_owned();
        Self {
            id: row[0].int().unwrap_or(0),
            dag_id: text(1),
            from: row[2].time().unwrap_or_default(),
            to: row[3].time().unwrap_or_default(),
            conf: text(4),
            is_paused: row[5].int() == Some(1),
            reprocess: Reprocess::parse(&text(6)).unwrap_or(Reprocess::None),
            max_active_runs: row[7].int().unwrap_or(1),
            run_backwards: row[11].int() == Some(1),
            created_at: row[8].time().unwrap_or_default(),
            completed_at: row[9].time(),
            updated_at: row[10].time().unwrap_or_default(),
        }
    }

    fn save(&self) -> Statement {
        let sql = "INSERT INTO backfill (id, dag_id, from_date, to_date, conf, is_paused, reprocess, max_active_runs, \
            created_at, completed_at, updated_at, run_backwards) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
            ON CONFLICT (id) DO UPDATE SET is_paused = excluded.is_paused, completed_at = excluded.completed_at, \
            updated_at = excluded.updated_at";
        let cells = cells![
            self.id,
            &self.dag_id,
            self.from,
            self.to,
            &self.conf,
            self.is_paused,
            self.reprocess.word(),
            self.max_active_runs,
            self.created_at,
            self.completed_at,
            self.updated_at,
            self.run_backwards
        ];
        Statement::new(sql, cells)
    }
}

impl Scheduling {
    pub(super) async fn backfill(&mut self, new: NewBackfill) -> Result<Backfill, Error> {
        let known = self
            .live(&new.dag_id)
            .map_err(|_| Error::not_found(format!("Could not find dag {}", new.dag_id)))?;
        if self.backfills.values().any(|it| it.dag_id == new.dag_id) {
            return Err(Error::conflict(format!(
                "There is already a running backfill for dag {}",
                new.dag_id
            )));
        }
        let mut times: Vec<RunTimes> =
            known.timetable.runs_between(new.from, new.to, self.now()).take(RUNS_MAX).collect();
        if times.is_empty() {
            return Err(Error::invalid(format!("No runs to create for Dag {}", new.dag_id)));
        }
        if new.run_backwards {
            if known.dag.tasks.values().any(|task| task.depends_on_past) {
                let detail =
                    "Backfill cannot be run in reverse when the DAG has tasks where depends_on_past=True.";
                return Err(Error::invalid(detail));
            }
            times.reverse();
        }
        // What is looked up has to be there; and nothing of the backfill may be before all of it is decided. A life that
        // ended halfway would leave some of its runs, and who asks again would hear that there is a backfill already.
        self.write_batch().await?;
        let mut planned = Vec::with_capacity(times.len());
        for times in times {
            planned.extend(self.planned(&new.dag_id, new.reprocess, times).await?);
        }
        Ok(self.begin_backfill(&known, new, planned))
    }

    /// Makes it with all of its runs: it lies in one transaction, as nothing here waits.
    fn begin_backfill(&mut self, known: &Arc<Known>, new: NewBackfill, planned: Vec<Planned>) -> Backfill {
        let now = self.now();
        let backfill = Backfill {
            id: Ids::next(&mut self.ids.backfill),
            dag_id: new.dag_id,
            from: new.from,
            to: new.to,
            conf: new.conf,
            is_paused: false,
            reprocess: new.reprocess,
            max_active_runs: new.max_active_runs,
            run_backwards: new.run_backwards,
            created_at: now,
            completed_at: None,
            updated_at: now,
        };
        self.batch.push(backfill.save());
        self.log_event("create_backfill", &backfill.dag_id, None, None);
        for planned in planned {
            match planned {
                Planned::New(times) => self.make_backfill_run(known, &backfill, times, now),
                Planned::Again(mut run) => {
                    run.row.backfill = Some(backfill.id);
                    self.batch.push(run.row.save());
                    self.clear_whole(&mut run, now);
                    self.put(*run);
                }
            }
        }
        // Only now: a run that is taken over has ended, and would end the backfill with it.
        self.backfills.insert(backfill.id, backfill.clone());
        self.end_backfill(Some(backfill.id));
        backfill
    }

    fn make_backfill_run(&mut self, known: &Arc<Known>, backfill: &Backfill, times: RunTimes, now: Time) {
        let new = NewRun {
            kind: RunKind::Backfill,
            run_id: timetable::run_id(timetable::RunType::Backfill, times.run_after, None),
            logical_date: Some(times.logical_date()),
            interval: Some(times.interval),
            run_after: times.run_after.min(now),
            triggered_by: "backfill",
            conf: backfill.conf.clone(),
            note: None,
            backfill: Some(backfill.id),
        };
        self.make_run(known, new);
    }

    /// A run for the date; one that is there already runs again where the backfill says so, and else is left.
    async fn planned(
        &mut self,
        dag_id: &str,
        reprocess: Reprocess,
        times: RunTimes,
    ) -> Result<Option<Planned>, Error> {
        let date = times.logical_date();
        if !self.has_logical_date(dag_id, date).await? {
            return Ok(Some(Planned::New(times)));
        }
        let sql = "SELECT run_id, state FROM dag_run WHERE dag_id = ?1 AND logical_date = ?2";
        let Some(row) = self.database.row(sql, cells![dag_id, date]).await? else { return Ok(None) };
        let again = match (reprocess, row[1].text().and_then(RunState::parse)) {
            (Reprocess::Failed, Some(RunState::Failed)) => true,
            (Reprocess::Completed, Some(state)) => state.is_finished(),
            (_, _) => false,
        };
        if !again {
            return Ok(None);
        }
        // It has ended, so it is taken from the database, and nothing in memory waits for it.
        let run = self.fetch(dag_id, row[0].text().unwrap_or_default()).await?;
        Ok(Some(Planned::Again(Box::new(run))))
    }

    pub(super) async fn set_backfill(
        &mut self,
        id: i64,
        is_paused: Option<bool>,
        cancel: bool,
    ) -> Result<Backfill, Error> {
        let now = self.now();
        let Some(backfill) = self.backfills.get_mut(&id) else {
            let known = !Backfill::list(&self.database, "WHERE b.id = ?1", cells![id]).await?.is_empty();
            return Err(match known {
                true => Error::conflict("Backfill is already completed."),
                false => Error::not_found("Backfill not found"),
            });
        };
        backfill.is_paused = is_paused.unwrap_or(backfill.is_paused || cancel);
        backfill.updated_at = now;
        self.queue_changed = true;
        if cancel {
            backfill.completed_at = Some(now);
        }
        let backfill = backfill.clone();
        self.batch.push(backfill.save());
        if cancel {
            // Runs that have not begun fail; those that have go on.
            let waiting =
                |run: &&super::Run| run.row.backfill == Some(id) && run.row.state == RunState::Queued;
            let ids: Vec<i64> = self.runs.values().filter(waiting).map(|run| run.row.id).collect();
            for run_id in ids {
                let Some(mut run) = self.runs.remove(&run_id) else { continue };
                self.set_run_state(&mut run, RunState::Failed, now);
                self.put(run);
            }
            self.backfills.remove(&id);
        }
        Ok(backfill)
    }

    /// A backfill whose last run has ended is complete.
    pub(super) fn end_backfill(&mut self, id: Option<i64>) {
        let Some(id) = id else { return };
        if self.runs.values().any(|run| run.row.backfill == Some(id)) {
            return;
        }
        let now = self.now();
        if let Some(mut backfill) = self.backfills.remove(&id) {
            backfill.completed_at = Some(now);
            backfill.updated_at = now;
            self.batch.push(backfill.save());
        }
    }
}
