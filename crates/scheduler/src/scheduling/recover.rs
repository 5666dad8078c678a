//! What an earlier life left: runs at work are taken up again, tasks whose process died with it are zombies.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    Backfill, Event, Ids, Scan, Scheduling, Time,
    files::Remembered,
    run::{Run, SKIP_KEY, Skips},
    work::waiting,
};
use crate::{
    Error, Options, cells,
    executor::Executor,
    known::{Known, SharedDags},
    state::{RunState, TaskState},
    store::{
        Database,
        rows::{DagRun, INSTANCE_COLUMNS, RUN_COLUMNS, TaskInstance},
    },
    timetable::DataInterval,
};

impl Scheduling {
    /// Reads everything that is at work. The DAG files come first: a run is taken up with what its file says now.
    pub async fn recover(
        options: Arc<Options>,
        database: Database,
        dags: SharedDags,
        executor: Executor,
        events: mpsc::Receiver<Event>,
        first: Scan,
    ) -> Result<Self, Error> {
        let mut scheduling = Self {
            returned: false,
            remembered: Remembered::all(&database).await?,
            last: last_intervals(&database).await?,
            ids: Ids {
                run: database.count("SELECT max(id) FROM dag_run", cells![]).await?,
                instance: database.count("SELECT max(id) FROM task_instance", cells![]).await?,
                backfill: database.count("SELECT max(id) FROM backfill", cells![]).await?,
                event: database.count("SELECT max(id) FROM event_log", cells![]).await?,
            },
            options,
            database,
            dags,
            executor,
            events,
            runs: HashMap::new(),
            due: BTreeSet::new(),
            queued: BTreeSet::new(),
            queue_changed: true,
            waiting: BTreeSet::new(),
            timers: BTreeSet::new(),
            running: HashMap::new(),
            pools: HashMap::new(),
            backfills: HashMap::new(),
            touched: BTreeSet::new(),
            batch: Vec::new(),
            launches: Vec::new(),
            answers: Vec::new(),
            heartbeat: Arc::default(),
        };
        scheduling.read_pools().await?;
        scheduling.read_backfills().await?;
        scheduling.take_files(first);
        scheduling.take_up().await?;
        scheduling.returned = false;
        // The schedules were planned before the runs at work were known, which may fill `max_active_runs`.
        let ids: Vec<String> = scheduling.dags.read().by_id.keys().cloned().collect();
        ids.iter().for_each(|dag_id| scheduling.plan_next(dag_id));
        scheduling.commit().await?;
        Ok(scheduling)
    }

    /// Runs of DAGs whose files came back are taken up too.
    pub(super) async fn take_up(&mut self) -> Result<(), Error> {
        let now = self.now();
        let sql = format!(
            "SELECT {RUN_COLUMNS} FROM dag_run r WHERE r.state IN ('queued', 'running') ORDER BY r.id"
        );
        let rows: Vec<DagRun> =
            self.database.rows(sql, cells![]).await?.iter().map(|row| DagRun::read(row)).collect();
        let sql = format!(
            "SELECT {INSTANCE_COLUMNS} FROM task_instance t JOIN dag_run r ON r.id = t.run \
             WHERE r.state IN ('queued', 'running') ORDER BY t.id"
        );
        let mut instances: HashMap<i64, Vec<TaskInstance>> = HashMap::new();
        for row in self.database.rows(sql, cells![]).await? {
            let instance = TaskInstance::read(&row);
            instances.entry(instance.run).or_default().push(instance);
        }
        for row in rows {
            // A DAG whose file is gone keeps its runs waiting until it comes back.
            let known = self.dags.read().get(&row.dag_id);
            let Some(known) = known.filter(|_| !self.runs.contains_key(&row.id)) else { continue };
            let instances = instances.remove(&row.id).unwrap_or_default();
            self.take_up_run(row, known, instances, now).await?;
        }
        Ok(())
    }

    async fn take_up_run(
        &mut self,
        row: DagRun,
        known: Arc<Known>,
        instances: Vec<TaskInstance>,
        now: Time,
    ) -> Result<(), Error> {
        let id = row.id;
        let mut run = self.with_skips(Run { row, known, instances, skips: HashMap::new() }).await?;
        self.fit_to_dag(&mut run, now);
        for index in 0..run.instances.len() {
            match run.instances[index].state {
                Some(TaskState::Running | TaskState::Restarting) => self.bury(&mut run, index, now),
                Some(TaskState::Queued | TaskState::Scheduled) => {
                    run.instances[index].state = Some(TaskState::Scheduled);
                    self.waiting.insert(waiting(&run.row.run_after, &run.instances[index]));
                }
                Some(TaskState::UpForRetry | TaskState::UpForReschedule) => {
                    self.timers.extend(run.instances[index].due_at.map(|due| (due, id)));
                }
                Some(_ended) => {}
                None => {}
            }
        }
        if let (Some(timeout), Some(started)) = (run.known.dag.dagrun_timeout, run.row.started_at) {
            self.timers.insert((started + timeout, id));
        }
        self.timers.extend(run.row.logical_date.filter(|date| *date > now).map(|date| (date, id)));
        if run.row.state == RunState::Queued {
            self.enqueue(run.row.run_after, id, now);
        }
        self.touched.insert(id);
        self.runs.insert(id, run);
        Ok(())
    }

    async fn with_skips(&self, mut run: Run) -> Result<Run, Error> {
        let sql = "SELECT task_id, map_index, value FROM xcom WHERE run = ?1 AND key = ?2";
        for row in self.database.rows(sql, cells![run.row.id, SKIP_KEY]).await? {
            let value = serde_json::from_str::<Value>(row[2].text().unwrap_or("null")).unwrap_or(Value::Null);
            let key = (
                row[0].text().unwrap_or_default().to_owned(),
                i32::try_from(row[1].int().unwrap_or(-1)).unwrap_or(-1),
            );
            run.skips.extend(Skips::from_json(&value).map(|skips| (key, skips)));
        }
        Ok(run)
    }

    /// A run by its names, from memory or from the database; who takes it puts it back by `put`.
    pub(super) async fn fetch(&mut self, dag_id: &str, run_id: &str) -> Result<Run, Error> {
        let held = self.runs.values().find(|run| run.row.dag_id == dag_id && run.row.run_id == run_id);
        if let Some(id) = held.map(|run| run.row.id)
            && let Some(run) = self.runs.remove(&id)
        {
            return Ok(run);
        }
        // What this turn decided may not be written yet.
        self.write_batch().await?;
        let missing = || {
            Error::not_found(format!(
                "The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found"
            ))
        };
        let row = self.database.run(dag_id, run_id).await?.ok_or_else(missing)?;
        let known = self.dags.read().get(dag_id);
        let known = known.ok_or_else(|| Error::not_found(format!("Dag with id: {dag_id} was not found")))?;
        let instances = self.database.instances(row.id).await?;
        self.with_skips(Run { row, known, instances, skips: HashMap::new() }).await
    }

    /// Puts a run back that was fetched: one that is at work is looked at.
    pub(super) fn put(&mut self, run: Run) {
        if run.row.state.is_finished() {
            self.forget(&run);
            return;
        }
        self.touched.insert(run.row.id);
        self.runs.insert(run.row.id, run);
    }

    pub(super) async fn read_pools(&mut self) -> Result<(), Error> {
        let rows = self.database.rows("SELECT pool, slots FROM slot_pool", cells![]).await?;
        let pool = |row: &crate::store::Row| Some((row[0].text()?.to_owned(), row[1].int()?));
        self.pools = rows.iter().filter_map(pool).collect();
        Ok(())
    }

    async fn read_backfills(&mut self) -> Result<(), Error> {
        let open = Backfill::list(&self.database, "WHERE b.completed_at IS NULL", cells![]).await?;
        self.backfills = open.into_iter().map(|backfill| (backfill.id, backfill)).collect();
        // One whose runs have all ended would never be complete, and no other could begin beside it.
        let sql = "SELECT b.id FROM backfill b WHERE b.completed_at IS NULL AND NOT EXISTS \
            (SELECT 1 FROM dag_run r WHERE r.backfill = b.id AND r.state IN ('queued', 'running'))";
        for row in self.database.rows(sql, cells![]).await? {
            self.end_backfill(row[0].int());
        }
        Ok(())
    }
}

async fn last_intervals(database: &Database) -> Result<HashMap<String, DataInterval>, Error> {
    let sql = "SELECT r.dag_id, r.interval_start, r.interval_end FROM dag_run r JOIN (SELECT dag_id, max(logical_date) AS last \
        FROM dag_run WHERE run_type = 'scheduled' GROUP BY dag_id) l ON l.dag_id = r.dag_id AND l.last = r.logical_date";
    let rows = database.rows(sql, cells![]).await?;
    let of = |row: &crate::store::Row| {
        let interval = DataInterval { start: row[1].time()?, end: row[2].time()? };
        Some((row[0].text()?.to_owned(), interval))
    };
    Ok(rows.iter().filter_map(of).collect())
}
