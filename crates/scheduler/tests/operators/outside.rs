//! Operators that reach outside, against what they reach: PostgreSQL, an HTTP server, an S3, other DAGs, the clock.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{Router, extract::State, http::HeaderMap, routing};
use base::Secret;
use cloud::store::{Credentials, S3Config};
use object_store::{ObjectStoreExt, path::Path};
use scheduler::{Options, OwnStore};
use serde_json::json;
use testkit::{ACCESS_KEY, SECRET_KEY, poll};

use super::World;

/// Short names for the operators.
const OPERATORS: [(&str, &str); 5] = [
    ("SQL", "airflow.providers.common.sql.operators.sql.SQLExecuteQueryOperator"),
    ("HTTP", "airflow.providers.http.operators.http.HttpOperator"),
    ("SENSOR", "airflow.providers.http.sensors.http.HttpSensor"),
    ("S3", "airflow.providers.amazon.aws.sensors.s3.S3KeySensor"),
    ("EXTERNAL", "airflow.providers.standard.sensors.external_task.ExternalTaskSensor"),
];
const START: &str = "default: {start_date: 2026-01-01, schedule: none, default_args: {retries: 0}}\n";

const SQL: &str = r#"
sql:
  default_args: {conn_id: pg}
  tasks:
    - {task_id: create, operator: SQL, sql: "CREATE TABLE planes (tail text, seats int, weight numeric, heavy bool)"}
    - task_id: insert
      operator: SQL
      sql: "INSERT INTO planes VALUES (%(tail)s, %(seats)s, 1.5, true)"
      parameters: {tail: "N1'; {{ params.word }}", seats: 4}
      params: {word: ok}
      dependencies: [create]
    - {task_id: rows, operator: SQL, sql: "SELECT * FROM planes", dependencies: [insert]}
    # One text of two statements; a list of two texts; two statements that are split.
    - {task_id: two, operator: SQL, sql: "INSERT INTO planes VALUES ('N2'); SELECT count(*) FROM planes", dependencies: [rows]}
    - {task_id: list, operator: SQL, sql: ["SELECT 1", "DELETE FROM planes WHERE tail = 'N2'"], dependencies: [two]}
    - {task_id: split, operator: SQL, sql: "SELECT 1; SELECT 'a;b'", split_statements: true, return_last: false, dependencies: [list]}
    # The first statement is taken back with the second.
    - {task_id: wrong, operator: SQL, sql: ["DELETE FROM planes", "SELECT * FROM nowhere"], dependencies: [split]}
    - {task_id: left, operator: SQL, sql: "SELECT count(*) FROM planes", trigger_rule: all_done, dependencies: [wrong]}
    - {task_id: old, operator: airflow.operators.postgres_operator.PostgresOperator, postgres_conn_id: none, sql: "SELECT 1"}
"#;

/// A world of these DAGs.
fn world(dags: &str, change: impl FnOnce(&mut Options)) -> World {
    let named = |text: String, (short, class): (&str, &str)| {
        text.replace(&format!("operator: {short},"), &format!("operator: {class},"))
            .replace(&format!("operator: {short}\n"), &format!("operator: {class}\n"))
    };
    World::with(&OPERATORS.into_iter().fold(format!("{START}{dags}"), named), change)
}

#[test]
fn sql_runs_on_postgresql() {
    let Some(postgres) = testkit::postgres() else { return };
    let database = postgres.database();
    let name = database.rsplit('/').next().expect("a name");
    let world = world(SQL, |_options| {});
    let (host, port) = ("127.0.0.1", postgres.port);
    let connection = json!({ "connection_id": "pg", "conn_type": "postgres", "host": host, "port": port, "login": "postgres", "schema": name });
    world.post("/connections", &connection);
    assert_eq!(
        world.ran("sql"),
        "failed: create success, insert success, left success, list success, old failed, rows success, split success, two success, wrong failed"
    );
    assert_eq!(world.xcom("sql", "rows"), json!([["N1'; ok", 4, 1.5, true]]));
    assert_eq!(world.xcom("sql", "two"), json!([[2]]));
    assert_eq!(world.xcom("sql", "list"), json!([[[1]], null]));
    assert_eq!(world.xcom("sql", "split"), json!([[[1]], [["a;b"]]]));
    assert_eq!(world.xcom("sql", "left"), json!([[1]]));
    assert!(world.log("sql", "wrong").contains("relation \"nowhere\" does not exist"));
    assert!(world.log("sql", "old").contains("The conn_id `none` isn't defined"));
    world.stop();
}

const HTTP: &str = r#"
http:
  default_args: {http_conn_id: web, poke_interval: 0.05}
  tasks:
    - {task_id: post, operator: HTTP, endpoint: echo, data: {a: "x y"}, headers: {X-Run: "{{ run_id }}"}}
    - {task_id: json, operator: HTTP, endpoint: echo, data: '{"a": 1}', method: PUT}
    - {task_id: query, operator: HTTP, endpoint: /echo, method: GET, data: {q: "x y"}}
    - {task_id: denied, operator: HTTP, endpoint: denied, method: GET}
    - {task_id: ready, operator: SENSOR, endpoint: ready, mode: reschedule}
    - {task_id: late, operator: SENSOR, endpoint: none, timeout: 0.1, retries: 2}
    - {task_id: soft, operator: SENSOR, endpoint: none, timeout: 0.1, soft_fail: true}
    # Only what no other look would change is softened; an answer that is an error is not.
    - {task_id: hard, operator: SENSOR, endpoint: denied, soft_fail: true}
    - {task_id: never, operator: SENSOR, endpoint: denied, never_fail: true}
    - {task_id: silent, operator: SENSOR, endpoint: once, silent_fail: true}
"#;

/// What it was asked; ready at the third look; wrong at the first one only.
fn server() -> Router {
    let echo = async |headers: HeaderMap, request: axum::extract::Request| {
        let header = |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or("-").to_owned();
        let told = ["x-run", "content-type", "authorization"].map(header).join(" ");
        let asked = format!("{} {}", request.method(), request.uri());
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
        format!("{asked} {told} {}", String::from_utf8_lossy(&body))
    };
    let from = |looks: u32, before: u16| {
        let count = Arc::new(AtomicU32::new(0));
        let answer = async move |State(count): State<Arc<AtomicU32>>| {
            let is_there = count.fetch_add(1, Ordering::SeqCst) + 1 >= looks;
            axum::http::StatusCode::from_u16(if is_there { 200 } else { before }).expect("a status")
        };
        routing::get(answer).with_state(count)
    };
    Router::new()
        .route("/echo", routing::any(echo))
        .route("/ready", from(3, 404))
        .route("/once", from(2, 500))
        .route("/denied", from(u32::MAX, 403))
}

#[test]
fn http_calls_a_server_and_waits_for_one() {
    let world = world(HTTP, |_options| {});
    let listener = world.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    world.runtime.spawn(async move { axum::serve(listener, server()).await });
    let connection = json!({ "connection_id": "web", "conn_type": "http", "host": "127.0.0.1", "port": port, "login": "me", "password": "pw" });
    world.post("/connections", &connection);
    assert_eq!(
        world.ran("http"),
        "failed: denied failed, hard failed, json success, late failed, never skipped, post success, query success, \
         ready success, silent success, soft skipped"
    );
    // `me:pw`, encoded.
    let signed = "Basic bWU6cHc=";
    assert_eq!(
        world.xcom("http", "post"),
        format!("POST /echo r application/x-www-form-urlencoded {signed} a=x+y")
    );
    assert_eq!(world.xcom("http", "json"), format!("PUT /echo - - {signed} {{\"a\": 1}}"));
    assert_eq!(world.xcom("http", "query"), format!("GET /echo?q=x+y - - {signed} "));
    assert!(world.log("http", "denied").contains("HTTP error: 403"));
    let late = world.get("/dags/http/dagRuns/r/taskInstances/late");
    assert_eq!(late["try_number"], 1, "a sensor that is out of time is not tried again");
    world.stop();
}

const S3: &str = r#"
s3:
  default_args: {bucket_name: lake, poke_interval: 0.05}
  tasks:
    - {task_id: there, operator: S3, bucket_key: "in/{{ ds_nodash }}.csv"}
    - {task_id: several, operator: S3, bucket_key: ["s3://lake/in/20260102.csv", "s3://lake/in/20260102.csv"]}
    - {task_id: pattern, operator: S3, bucket_key: "in/*.csv", wildcard_match: true}
    - {task_id: later, operator: S3, bucket_key: later.csv, mode: reschedule}
    - {task_id: by_connection, operator: S3, bucket_key: in/20260102.csv, aws_conn_id: seaweedfs}
    - {task_id: missing, operator: S3, bucket_key: none.csv, timeout: 0.1}
    - {task_id: soft, operator: S3, bucket_key: "none/*", wildcard_match: true, timeout: 0.1, soft_fail: true, mode: reschedule}
    - {task_id: wrong_key, operator: S3, bucket_key: none.csv, aws_conn_id: wrong, timeout: 0.1}
"#;

#[test]
fn s3_keys_are_waited_for() {
    let Some(server) = testkit::seaweedfs() else { return };
    let keys = |secret: &str| Credentials::Keys {
        access_key: ACCESS_KEY.to_owned(),
        secret_key: Secret::new(secret),
        session_token: None,
    };
    let config = S3Config {
        bucket: "lake".to_owned(),
        region: None,
        endpoint: Some(server.endpoint.clone()),
        path_style: true,
        credentials: keys(SECRET_KEY),
    };
    let bucket = cloud::store::s3(&config).expect("a bucket");
    let own = OwnStore {
        endpoint: server.endpoint.clone(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: Secret::new(SECRET_KEY),
    };
    let world = world(S3, |options| options.own_store = Some(own));
    for (id, secret) in [("seaweedfs", SECRET_KEY), ("wrong", "no-such-secret")] {
        let extra = json!({ "endpoint_url": server.endpoint }).to_string();
        let connection = json!({ "connection_id": id, "conn_type": "aws", "login": ACCESS_KEY, "password": secret, "extra": extra });
        world.post("/connections", &connection);
    }
    world.runtime.block_on(async {
        bucket.create().await.expect("it takes buckets");
        bucket.store.put(&Path::from("in/20260102.csv"), "a".into()).await.expect("it takes objects");
    });
    world.trigger("s3", Some("2026-01-02T00:00:00Z"));
    poll::until("the first look has not seen it", 10_000, || {
        let later = world.get("/dags/s3/dagRuns/r/taskInstances/later");
        (later["state"] == "up_for_reschedule").then_some(())
    });
    world.runtime.block_on(bucket.store.put(&Path::from("later.csv"), "a".into())).expect("it takes objects");
    assert_eq!(
        world.ended("s3"),
        "failed: by_connection success, later success, missing failed, pattern success, several success, soft skipped, \
         there success, wrong_key failed"
    );
    world.stop();
}

const WAITS: &str = r#"
other:
  task_groups: {part: {tooltip: Two}}
  tasks:
    - {task_id: good, operator: airflow.operators.bash.BashOperator, bash_command: "test -e FOLDER/go || exit 5", retries: 200, retry_delay: 0.05}
    - {task_id: bad, operator: airflow.operators.bash.BashOperator, bash_command: "exit 1"}
    - {task_id: gone, operator: airflow.operators.bash.BashOperator, bash_command: "exit 99"}
    - {task_id: one, operator: airflow.operators.empty.EmptyOperator, task_group_name: part}
    - {task_id: two, operator: airflow.operators.empty.EmptyOperator, task_group_name: part, dependencies: [good]}

waits:
  default_args: {poke_interval: 0.05, external_dag_id: other}
  tasks:
    - {task_id: task, operator: EXTERNAL, external_task_id: good, mode: reschedule}
    - {task_id: tasks, operator: EXTERNAL, external_task_ids: [good, part.one]}
    - {task_id: group, operator: EXTERNAL, external_task_group_id: part}
    - {task_id: run, operator: EXTERNAL, allowed_states: [success, failed]}
    - {task_id: yesterday, operator: EXTERNAL, external_task_id: good, execution_delta: 1 days, timeout: 0.1, soft_fail: true}
    - {task_id: failed, operator: EXTERNAL, external_task_id: bad, failed_states: [failed]}
    - {task_id: softly, operator: EXTERNAL, external_task_id: bad, failed_states: [failed], soft_fail: true}
    - {task_id: skipped, operator: EXTERNAL, external_task_id: gone, skipped_states: [skipped]}

clocks:
  default_args: {poke_interval: 0.05}
  tasks:
    - {task_id: time, operator: airflow.sensors.time_sensor.TimeSensor, target_time: {__type__: datetime.time, hour: 0}}
    - {task_id: date, operator: airflow.providers.standard.sensors.date_time.DateTimeSensor, target_time: "{{ logical_date }}"}
    - {task_id: far, operator: airflow.providers.standard.sensors.date_time.DateTimeSensor, target_time: "2999-01-01T00:00:00", timeout: 0.1, mode: reschedule}
    - {task_id: delta, operator: airflow.providers.standard.sensors.time_delta.TimeDeltaSensor, delta: "{{ 5 }}"}
    - {task_id: long, operator: airflow.providers.standard.sensors.time_delta.TimeDeltaSensor, delta: {__type__: datetime.timedelta, days: 9999}, timeout: 0.1, soft_fail: true}
    - {task_id: slow, operator: airflow.sensors.bash.BashSensor, bash_command: "sleep 60", execution_timeout: {__type__: datetime.timedelta, milliseconds: 200}}

looks:
  default_args: {poke_interval: 0.05}
  tasks:
    - {task_id: bash, operator: airflow.providers.standard.sensors.bash.BashSensor, bash_command: "test -e FOLDER/now || exit 3", retry_exit_code: 3, mode: reschedule}
    - {task_id: now, operator: airflow.operators.bash.BashOperator, bash_command: "touch FOLDER/now"}
    - {task_id: wrong, operator: airflow.sensors.bash.BashSensor, bash_command: "exit 4", retry_exit_code: 3, retries: 2}
    - {task_id: softly, operator: airflow.sensors.bash.BashSensor, bash_command: "exit 4", retry_exit_code: 3, soft_fail: true}
    - {task_id: growing, operator: airflow.sensors.bash.BashSensor, bash_command: "test $(date +%s) -gt {{ ti.start_date.int_timestamp + 1 }}", exponential_backoff: true, mode: reschedule}
    - {task_id: skips, operator: airflow.sensors.python.PythonSensor, python_callable_file: FOLDER/dags/callables.py, python_callable_name: skip}
    - {task_id: sees, operator: airflow.sensors.python.PythonSensor, python_callable_file: FOLDER/dags/callables.py, python_callable_name: choose}
"#;

#[test]
fn sensors_wait_for_other_dags() {
    let world = world(WAITS, |_options| {});
    let date = Some("2026-01-02T00:00:00Z");
    world.trigger("waits", date);
    world.trigger("other", date);
    poll::until("it waits", 10_000, || {
        let task = world.get("/dags/waits/dagRuns/r/taskInstances/task");
        (task["state"] == "up_for_reschedule").then_some(())
    });
    std::fs::write(world.folder.path().join("go"), "").expect("the folder is ours");
    assert_eq!(
        world.ended("waits"),
        "failed: failed failed, group success, run success, skipped skipped, softly skipped, task success, tasks success, \
         yesterday skipped"
    );
    assert_eq!(
        world.ended("other"),
        "failed: bad failed, gone skipped, good success, part.one success, part.two success"
    );
    world.stop();
}

#[test]
fn sensors_wait_for_the_clock_and_for_programs() {
    let world = world(WAITS, |_options| {});
    world.trigger("clocks", Some("2026-01-02T00:00:00Z"));
    assert_eq!(
        world.ended("clocks"),
        "failed: date success, delta success, far failed, long skipped, slow failed, time success"
    );
    assert_eq!(
        world.ran("looks"),
        "failed: bash success, growing success, now success, sees success, skips skipped, softly skipped, wrong failed"
    );
    assert_eq!(world.get("/dags/looks/dagRuns/r/taskInstances/wrong")["try_number"], 1);
    world.stop();
}
