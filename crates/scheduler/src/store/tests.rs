//! The same statements on SQLite and on PostgreSQL.

use std::path::Path;

use super::{
    Database, Statement,
    rows::{DagRun, TaskInstance},
};
use crate::{
    Error,
    state::{RunKind, RunState, TaskState},
    timetable::DataInterval,
};

fn at(seconds: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(seconds, 123_456_000).expect("a time")
}

fn run() -> DagRun {
    DagRun {
        id: 7,
        dag_id: "d".to_owned(),
        run_id: "r?".to_owned(),
        logical_date: Some(at(1_000)),
        interval: Some(DataInterval { start: at(1_000), end: at(2_000) }),
        run_after: at(2_000),
        kind: RunKind::Scheduled,
        state: RunState::Running,
        triggered_by: "timetable".to_owned(),
        conf: r#"{"a": "ü"}"#.to_owned(),
        note: None,
        queued_at: Some(at(3_000)),
        started_at: None,
        ended_at: None,
        decided_at: None,
        updated_at: at(3_000),
        backfill: None,
        clear_number: 0,
        version: 1,
    }
}

fn instance() -> TaskInstance {
    TaskInstance {
        id: 9,
        run: 7,
        task_id: "a".to_owned(),
        map_index: -1,
        state: None,
        try_number: 0,
        max_tries: 2,
        started_at: None,
        ended_at: None,
        queued_at: None,
        scheduled_at: None,
        due_at: None,
        first_poke_at: None,
        pid: None,
        pool: "default_pool".to_owned(),
        pool_slots: 1,
        queue: "default".to_owned(),
        priority_weight: 3,
        operator: "BashOperator".to_owned(),
        note: None,
        rendered: None,
        rendered_map_index: None,
        updated_at: at(3_000),
    }
}

/// What is written is read back, an update goes over it, a failed transaction leaves nothing.
async fn keeps(database: &Database) {
    database.write(vec![run().save(), instance().save()]).await.expect("written");
    assert_eq!(database.run("d", "r?").await.expect("read"), Some(run()));
    assert_eq!(database.instances(7).await.expect("read"), [instance()]);
    let ended = TaskInstance {
        state: Some(TaskState::Success),
        pid: Some(42),
        ended_at: Some(at(5_000)),
        ..instance()
    };
    database.write(vec![ended.save(), ended.remember(), ended.remember()]).await.expect("written twice");
    assert_eq!(database.instances(7).await.expect("read"), [ended]);
    let broken =
        Statement::new("INSERT INTO variable (key, value) VALUES (?1, ?2)", cells!["x", Option::<i64>::None]);
    let fine = Statement::new("INSERT INTO variable (key, value) VALUES (?1, ?2)", cells!["k", "v"]);
    database.write(vec![fine.clone(), broken]).await.expect_err("a value is needed");
    assert_eq!(database.count("SELECT count(*) FROM variable", cells![]).await.expect("read"), 0);
    database.write(vec![fine]).await.expect("the connection is still good");
    database.write(DagRun::delete(7).to_vec()).await.expect("deleted");
    assert_eq!(database.run("d", "r?").await.expect("read"), None);
}

#[tokio::test]
async fn sqlite_keeps_what_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    keeps(&Database::open("", folder.path()).await.expect("opened")).await;
    let again = Database::open("", folder.path()).await.expect("opened again");
    assert_eq!(again.count("SELECT count(*) FROM variable", cells![]).await.expect("read"), 1);
}

#[tokio::test]
async fn postgres_keeps_what_is_written_and_has_one_owner() {
    let Some(server) = testkit::postgres() else { return };
    let url = server.database();
    let database = Database::open(&url, Path::new("")).await.expect("opened");
    keeps(&database).await;
    let second = Database::open(&url, Path::new("")).await.expect_err("it has an owner");
    assert!(matches!(second, Error::DatabaseOwned { .. }), "{second}");
}
