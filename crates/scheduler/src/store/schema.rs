//! The tables, version by version. A version that was released is never changed: a new one is added.

use super::{Database, Statement};
use crate::{Error, cells};

/// Each entry brings the database one version further.
const VERSIONS: &[&[&str]] =
    &[FIRST, &["ALTER TABLE backfill ADD COLUMN run_backwards BIGINT NOT NULL DEFAULT 0"]];
const FIRST: &[&str] = &[
    "CREATE TABLE dag (
        dag_id TEXT PRIMARY KEY, is_paused BIGINT NOT NULL, fingerprint TEXT NOT NULL, version BIGINT NOT NULL,
        version_at BIGINT NOT NULL, last_parsed_at BIGINT NOT NULL)",
    "CREATE TABLE dag_run (
        id BIGINT PRIMARY KEY, dag_id TEXT NOT NULL, run_id TEXT NOT NULL, logical_date BIGINT, interval_start BIGINT,
        interval_end BIGINT, run_after BIGINT NOT NULL, run_type TEXT NOT NULL, state TEXT NOT NULL,
        triggered_by TEXT NOT NULL, conf TEXT NOT NULL, note TEXT, queued_at BIGINT, started_at BIGINT, ended_at BIGINT,
        decided_at BIGINT, updated_at BIGINT NOT NULL, backfill BIGINT, clear_number BIGINT NOT NULL,
        version BIGINT NOT NULL, UNIQUE (dag_id, run_id), UNIQUE (dag_id, logical_date))",
    "CREATE INDEX dag_run_state ON dag_run (state)",
    "CREATE TABLE task_instance (
        id BIGINT PRIMARY KEY, run BIGINT NOT NULL, task_id TEXT NOT NULL, map_index BIGINT NOT NULL, state TEXT,
        try_number BIGINT NOT NULL, max_tries BIGINT NOT NULL, started_at BIGINT, ended_at BIGINT, queued_at BIGINT,
        scheduled_at BIGINT, due_at BIGINT, first_poke_at BIGINT, pid BIGINT, pool TEXT NOT NULL,
        pool_slots BIGINT NOT NULL, queue TEXT NOT NULL, priority_weight BIGINT NOT NULL, operator TEXT NOT NULL,
        note TEXT, rendered TEXT, rendered_map_index TEXT, updated_at BIGINT NOT NULL,
        UNIQUE (run, task_id, map_index))",
    "CREATE TABLE task_instance_history (
        run BIGINT NOT NULL, task_id TEXT NOT NULL, map_index BIGINT NOT NULL, try_number BIGINT NOT NULL, state TEXT,
        max_tries BIGINT NOT NULL, started_at BIGINT, ended_at BIGINT, queued_at BIGINT, scheduled_at BIGINT,
        pid BIGINT, pool TEXT NOT NULL, pool_slots BIGINT NOT NULL, queue TEXT NOT NULL,
        priority_weight BIGINT NOT NULL, operator TEXT NOT NULL,
        PRIMARY KEY (run, task_id, map_index, try_number))",
    "CREATE TABLE xcom (
        run BIGINT NOT NULL, task_id TEXT NOT NULL, map_index BIGINT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
        written_at BIGINT NOT NULL, PRIMARY KEY (run, task_id, map_index, key))",
    "CREATE TABLE variable (key TEXT PRIMARY KEY, value TEXT NOT NULL, description TEXT)",
    "CREATE TABLE connection (
        conn_id TEXT PRIMARY KEY, conn_type TEXT NOT NULL, description TEXT, host TEXT, login TEXT, schema_name TEXT,
        port BIGINT, password TEXT, extra TEXT)",
    "CREATE TABLE slot_pool (
        pool TEXT PRIMARY KEY, slots BIGINT NOT NULL, description TEXT, include_deferred BIGINT NOT NULL)",
    "INSERT INTO slot_pool VALUES ('default_pool', 128, 'Default pool', 0)",
    "CREATE TABLE backfill (
        id BIGINT PRIMARY KEY, dag_id TEXT NOT NULL, from_date BIGINT NOT NULL, to_date BIGINT NOT NULL,
        conf TEXT NOT NULL, is_paused BIGINT NOT NULL, reprocess TEXT NOT NULL, max_active_runs BIGINT NOT NULL,
        created_at BIGINT NOT NULL, completed_at BIGINT, updated_at BIGINT NOT NULL)",
    "CREATE TABLE event_log (
        id BIGINT PRIMARY KEY, written_at BIGINT NOT NULL, dag_id TEXT, task_id TEXT, run_id TEXT, map_index BIGINT,
        event TEXT NOT NULL, owner TEXT, extra TEXT)",
];

/// Brings the database to the newest version; one that a later tidemill wrote is refused.
pub async fn migrate(database: &Database) -> Result<(), Error> {
    let table = "CREATE TABLE IF NOT EXISTS tidemill_schema (version BIGINT PRIMARY KEY)";
    database.write(vec![Statement::new(table, cells![])]).await?;
    let done = database.count("SELECT count(*) FROM tidemill_schema", cells![]).await?;
    let done = usize::try_from(done).unwrap_or(0);
    if done > VERSIONS.len() {
        return Err(Error::DatabaseNewer { version: done, known: VERSIONS.len() });
    }
    for (number, version) in VERSIONS.iter().enumerate().skip(done) {
        let mark = format!("INSERT INTO tidemill_schema (version) VALUES ({})", number + 1);
        database.script(format!("BEGIN;\n{};\n{mark};\nCOMMIT;", version.join(";\n"))).await?;
    }
    Ok(())
}
