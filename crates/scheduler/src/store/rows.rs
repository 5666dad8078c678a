//! Runs and task instances as they are kept: each struct is a row, with the statements that write it.

use chrono::{DateTime, Utc};

use super::{Cell, Database, Row, Statement};
use crate::{
    Error, cells,
    state::{RunKind, RunState, TaskState},
    timetable::DataInterval,
};

type Time = DateTime<Utc>;

/// A DAG run.
#[derive(Debug, Clone, PartialEq)]
pub struct DagRun {
    pub id: i64,
    pub dag_id: String,
    pub run_id: String,
    pub logical_date: Option<Time>,
    pub interval: Option<DataInterval>,
    pub run_after: Time,
    pub kind: RunKind,
    pub state: RunState,
    /// Airflow's `triggered_by`: `timetable`, `rest_api`, `operator`, `backfill`.
    pub triggered_by: String,
    /// A JSON object.
    pub conf: String,
    pub note: Option<String>,
    pub queued_at: Option<Time>,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub decided_at: Option<Time>,
    pub updated_at: Time,
    pub backfill: Option<i64>,
    pub clear_number: i64,
    /// Of the DAG file's content, counted from 1.
    pub version: i64,
}

pub const RUN_COLUMNS: &str = "r.id, r.dag_id, r.run_id, r.logical_date, r.interval_start, r.interval_end, r.run_after, \
    r.run_type, r.state, r.triggered_by, r.conf, r.note, r.queued_at, r.started_at, r.ended_at, r.decided_at, \
    r.updated_at, r.backfill, r.clear_number, r.version";
const RUN_COLUMNS_COUNT: usize = 20;

impl DagRun {
    pub fn read(row: &[Cell]) -> DagRun {
        let interval =
            |start: Option<Time>, end: Option<Time>| Some(DataInterval { start: start?, end: end? });
        DagRun {
            id: number(row, 0),
            dag_id: text(row, 1),
            run_id: text(row, 2),
            logical_date: row[3].time(),
            interval: interval(row[4].time(), row[5].time()),
            run_after: row[6].time().unwrap_or_default(),
            kind: RunKind::parse(&text(row, 7)).unwrap_or(RunKind::Manual),
            state: RunState::parse(&text(row, 8)).unwrap_or(RunState::Failed),
            triggered_by: text(row, 9),
            conf: text(row, 10),
            note: optional(row, 11),
            queued_at: row[12].time(),
            started_at: row[13].time(),
            ended_at: row[14].time(),
            decided_at: row[15].time(),
            updated_at: row[16].time().unwrap_or_default(),
            backfill: row[17].int(),
            clear_number: number(row, 18),
            version: number(row, 19),
        }
    }

    /// Written anew or over what is there: both may be repeated.
    pub fn save(&self) -> Statement {
        let sql = "INSERT INTO dag_run (id, dag_id, run_id, logical_date, interval_start, interval_end, run_after, run_type, \
            state, triggered_by, conf, note, queued_at, started_at, ended_at, decided_at, updated_at, backfill, \
            clear_number, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
            ?19, ?20) ON CONFLICT (id) DO UPDATE SET state = excluded.state, conf = excluded.conf, note = excluded.note, \
            queued_at = excluded.queued_at, started_at = excluded.started_at, ended_at = excluded.ended_at, \
            decided_at = excluded.decided_at, updated_at = excluded.updated_at, backfill = excluded.backfill, \
            clear_number = excluded.clear_number, version = excluded.version, run_after = excluded.run_after";
        let cells = cells![
            self.id,
            &self.dag_id,
            &self.run_id,
            self.logical_date,
            self.interval.map(|interval| interval.start),
            self.interval.map(|interval| interval.end),
            self.run_after,
            self.kind.word(),
            self.state.word(),
            &self.triggered_by,
            &self.conf,
            self.note.as_ref(),
            self.queued_at,
            self.started_at,
            self.ended_at,
            self.decided_at,
            self.updated_at,
            self.backfill,
            self.clear_number,
            self.version,
        ];
        Statement::new(sql, cells)
    }

    /// Removes the run and all that hangs on it.
    pub fn delete(id: i64) -> [Statement; 4] {
        [
            "DELETE FROM xcom WHERE run = ?1",
            "DELETE FROM task_instance_history WHERE run = ?1",
            "DELETE FROM task_instance WHERE run = ?1",
            "DELETE FROM dag_run WHERE id = ?1",
        ]
        .map(|sql| Statement::new(sql, cells![id]))
    }
}

/// A task instance.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskInstance {
    pub id: i64,
    pub run: i64,
    pub task_id: String,
    /// -1 for one that is not mapped, or not yet.
    pub map_index: i32,
    pub state: Option<TaskState>,
    /// 0 before the first try.
    pub try_number: u32,
    pub max_tries: u32,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub queued_at: Option<Time>,
    pub scheduled_at: Option<Time>,
    /// When the next try or the next look of a sensor is due.
    pub due_at: Option<Time>,
    /// When this try of a sensor that gives its slot back began.
    pub first_poke_at: Option<Time>,
    pub pid: Option<i64>,
    pub pool: String,
    pub pool_slots: u32,
    pub queue: String,
    pub priority_weight: i32,
    pub operator: String,
    pub note: Option<String>,
    /// The rendered arguments, a JSON object.
    pub rendered: Option<String>,
    pub rendered_map_index: Option<String>,
    pub updated_at: Time,
}

pub const INSTANCE_COLUMNS: &str = "t.id, t.run, t.task_id, t.map_index, t.state, t.try_number, t.max_tries, t.started_at, \
    t.ended_at, t.queued_at, t.scheduled_at, t.due_at, t.first_poke_at, t.pid, t.pool, t.pool_slots, t.queue, \
    t.priority_weight, t.operator, t.note, t.rendered, t.rendered_map_index, t.updated_at";

impl TaskInstance {
    pub fn read(row: &[Cell]) -> TaskInstance {
        TaskInstance {
            id: number(row, 0),
            run: number(row, 1),
            task_id: text(row, 2),
            map_index: i32::try_from(number(row, 3)).unwrap_or(-1),
            state: row[4].text().and_then(TaskState::parse),
            try_number: small(row, 5),
            max_tries: small(row, 6),
            started_at: row[7].time(),
            ended_at: row[8].time(),
            queued_at: row[9].time(),
            scheduled_at: row[10].time(),
            due_at: row[11].time(),
            first_poke_at: row[12].time(),
            pid: row[13].int(),
            pool: text(row, 14),
            pool_slots: small(row, 15),
            queue: text(row, 16),
            priority_weight: i32::try_from(number(row, 17)).unwrap_or(1),
            operator: text(row, 18),
            note: optional(row, 19),
            rendered: optional(row, 20),
            rendered_map_index: optional(row, 21),
            updated_at: row[22].time().unwrap_or_default(),
        }
    }

    pub fn save(&self) -> Statement {
        let sql = "INSERT INTO task_instance (id, run, task_id, map_index, state, try_number, max_tries, started_at, \
            ended_at, queued_at, scheduled_at, due_at, first_poke_at, pid, pool, pool_slots, queue, priority_weight, \
            operator, note, rendered, rendered_map_index, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
            ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23) ON CONFLICT (id) DO UPDATE SET \
            map_index = excluded.map_index, state = excluded.state, try_number = excluded.try_number, \
            max_tries = excluded.max_tries, started_at = excluded.started_at, ended_at = excluded.ended_at, \
            queued_at = excluded.queued_at, scheduled_at = excluded.scheduled_at, due_at = excluded.due_at, \
            first_poke_at = excluded.first_poke_at, pid = excluded.pid, pool = excluded.pool, \
            pool_slots = excluded.pool_slots, queue = excluded.queue, priority_weight = excluded.priority_weight, \
            operator = excluded.operator, note = excluded.note, rendered = excluded.rendered, \
            rendered_map_index = excluded.rendered_map_index, updated_at = excluded.updated_at";
        let cells = cells![
            self.id,
            self.run,
            &self.task_id,
            self.map_index,
            self.state.map(TaskState::word),
            self.try_number,
            self.max_tries,
            self.started_at,
            self.ended_at,
            self.queued_at,
            self.scheduled_at,
            self.due_at,
            self.first_poke_at,
            self.pid,
            &self.pool,
            self.pool_slots,
            &self.queue,
            self.priority_weight,
            &self.operator,
            self.note.as_ref(),
            self.rendered.as_ref(),
            self.rendered_map_index.as_ref(),
            self.updated_at,
        ];
        Statement::new(sql, cells)
    }

    /// Keeps the try that ends now: as a failed one, where it came to no end of its own.
    pub fn remember(&self) -> Statement {
        let state = self.state.filter(|state| state.is_finished()).unwrap_or(TaskState::Failed);
        let sql = "INSERT INTO task_instance_history (run, task_id, map_index, try_number, state, max_tries, started_at, \
            ended_at, queued_at, scheduled_at, pid, pool, pool_slots, queue, priority_weight, operator) VALUES (?1, ?2, \
            ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON CONFLICT (run, task_id, map_index, \
            try_number) DO UPDATE SET state = excluded.state, ended_at = excluded.ended_at";
        let cells = cells![
            self.run,
            &self.task_id,
            self.map_index,
            self.try_number,
            state.word(),
            self.max_tries,
            self.started_at,
            self.ended_at,
            self.queued_at,
            self.scheduled_at,
            self.pid,
            &self.pool,
            self.pool_slots,
            &self.queue,
            self.priority_weight,
            &self.operator,
        ];
        Statement::new(sql, cells)
    }

    pub fn duration_s(&self) -> Option<f64> {
        Some((self.ended_at? - self.started_at?).as_seconds_f64())
    }
}

/// A value that a task left for others.
pub fn save_xcom(run: i64, task_id: &str, map_index: i32, key: &str, value: &str, now: Time) -> Statement {
    let sql = "INSERT INTO xcom (run, task_id, map_index, key, value, written_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
        ON CONFLICT (run, task_id, map_index, key) DO UPDATE SET value = excluded.value, written_at = excluded.written_at";
    Statement::new(sql, cells![run, task_id, map_index, key, value, now])
}

impl Database {
    /// A run by its names.
    pub async fn run(&self, dag_id: &str, run_id: &str) -> Result<Option<DagRun>, Error> {
        let sql = format!("SELECT {RUN_COLUMNS} FROM dag_run r WHERE r.dag_id = ?1 AND r.run_id = ?2");
        Ok(self.row(sql, cells![dag_id, run_id]).await?.map(|row| DagRun::read(&row)))
    }

    /// All task instances of a run.
    pub async fn instances(&self, run: i64) -> Result<Vec<TaskInstance>, Error> {
        let sql = format!("SELECT {INSTANCE_COLUMNS} FROM task_instance t WHERE t.run = ?1 ORDER BY t.id");
        Ok(self.rows(sql, cells![run]).await?.iter().map(|row| TaskInstance::read(row)).collect())
    }
}

/// Splits a row of `RUN_COLUMNS` followed by others.
pub fn after_run(row: &Row) -> (DagRun, &[Cell]) {
    (DagRun::read(row), &row[RUN_COLUMNS_COUNT..])
}

fn number(row: &[Cell], column: usize) -> i64 {
    row[column].int().unwrap_or(0)
}

fn small(row: &[Cell], column: usize) -> u32 {
    u32::try_from(number(row, column)).unwrap_or(0)
}

fn text(row: &[Cell], column: usize) -> String {
    row[column].text().unwrap_or_default().to_owned()
}

fn optional(row: &[Cell], column: usize) -> Option<String> {
    row[column].text().map(str::to_owned)
}
