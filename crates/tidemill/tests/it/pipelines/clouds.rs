//! Pipelines between the clouds' stores as their emulators play them: Firestore, DynamoDB, Google Cloud Storage and S3, each
//! row compared with the file that was loaded; addresses with keys of their own by connections.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use testkit::{ACCESS_KEY, SECRET_KEY, World};

use crate::{
    shared::{name, shared, world},
    snapshot,
};

const PLANES: &str = include_str!("../../../../../examples/flights/planes.csv");

type Rows = BTreeMap<String, Map<String, Value>>;

/// The example's planes by their tail number, nulls left out.
fn planes() -> Rows {
    let mut lines = PLANES.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let cell = |(name, text): (&&str, &str)| {
        let value = match *name {
            "year" | "engines" | "seats" | "speed" => json!(text.parse::<i64>().ok()?),
            _ => json!(text),
        };
        (!matches!(text, "" | "NA")).then(|| ((*name).to_owned(), value))
    };
    let row = |line: &str| {
        let row: Map<String, Value> = header.iter().zip(line.split(',')).filter_map(cell).collect();
        (row["tailnum"].as_str().unwrap().to_owned(), row)
    };
    lines.map(row).collect()
}

/// What lies below an address, without dlt's own columns.
fn rows(world: &World, address: &str) -> Rows {
    let mut rows = Rows::new();
    for line in world.ok(&["cat", address]).lines() {
        let mut row: Map<String, Value> = serde_json::from_str(line).unwrap();
        row.retain(|name, value| !name.starts_with("_dlt_") && !value.is_null());
        let tailnum = row["tailnum"].as_str().unwrap().to_owned();
        assert!(rows.insert(tailnum, row).is_none(), "twice: {line}");
    }
    rows
}

#[track_caller]
fn assert_same(found: &Rows) {
    let wanted = planes();
    for (tailnum, row) in &wanted {
        assert_eq!(found.get(tailnum), Some(row));
    }
    assert_eq!(found.len(), wanted.len());
}

/// Makes a bucket of an S3.
pub(super) fn create_bucket(endpoint: &str, bucket: &str) -> Option<()> {
    const SCRIPT: &str = "
import sys, boto3
endpoint, bucket, access, secret = sys.argv[1:]
boto3.client('s3', endpoint_url=endpoint, region_name='us-east-1', aws_access_key_id=access,
             aws_secret_access_key=secret).create_bucket(Bucket=bucket)
";
    let python = testkit::venv_python("servers")?;
    testkit::run_python(&python, SCRIPT, &[endpoint, bucket, ACCESS_KEY, SECRET_KEY]);
    Some(())
}

/// A run's rows, by its own count.
fn run(world: &World, pipeline: &str) -> u64 {
    let told: Value = serde_json::from_str(&world.ok(&["run", pipeline, "--output", "json"])).unwrap();
    assert_eq!(told["discarded_count"], 0, "{told}");
    told["rows_count"].as_u64().unwrap()
}

/// Loaded into Firestore by `load`, and from there into a bucket of Google's: by the environment, then by a connection.
#[test]
fn firestore_to_google_cloud_storage() {
    let (Some(firestore), Some(gcs)) = (testkit::firestore_emulator(), testkit::fake_gcs()) else { return };
    let (mut world, bucket) = (world(), name("planes"));
    gcs.create_bucket(&bucket);
    world.set("FIRESTORE_EMULATOR_HOST", &firestore.address).set("STORAGE_EMULATOR_HOST", &gcs.endpoint);
    world.write("data/planes.csv", PLANES);
    let collection = name("planes");
    let target = format!("firestore://tidemill/{collection}");
    let load = ["load", "data/planes.csv", &target, "--key", "tailnum", "--output", "json"];
    for _ in 0..2 {
        let told = world.ok(&load);
        let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        assert_eq!(told["records_count"], planes().len(), "{told}");
    }
    let document = firestore.rest("GET", "tidemill", "(default)", &format!("/{collection}/N10156"), "");
    assert!(document.body.contains("\"integerValue\": \"2004\""), "{}", document.body);
    let text = format!(
        "source: {{ url: 'firestore://tidemill' }}\n\
         target: {{ url: 'gs://{bucket}/lake', format: parquet, file_records_max: 1000 }}\n\
         streams:\n  planes: {{ collection: {collection}, write_disposition: replace }}\n"
    );
    world.write("pipelines/planes.yaml", &text);
    for _ in 0..2 {
        assert_eq!(run(&world, "planes"), planes().len() as u64);
        assert_same(&rows(&world, &format!("gs://{bucket}/lake/planes/planes/")));
    }
    world.write(
        "connections.yaml",
        "google: { conn_type: google_cloud_platform, extra: { project: tidemill } }\n",
    );
    let by_connection = format!(
        "source: {{ connection: google }}\n\
         target: {{ connection: google, url: 'gs://{bucket}/again', format: jsonl }}\n\
         streams:\n  planes: {{ collection: {collection}, cursor: tailnum, primary_key: tailnum }}\n"
    );
    world.write("pipelines/planes.yaml", &by_connection);
    world.ok(&["pipeline", "reset", "planes"]);
    assert_eq!(run(&world, "planes"), planes().len() as u64);
    assert_eq!(run(&world, "planes"), 0);
    assert_same(&rows(&world, &format!("gs://{bucket}/again/planes/planes/")));
}

#[test]
fn the_embedded_dynamodb_to_the_embedded_s3() {
    let (world, _) = shared();
    let table = name("fleet");
    world.write("data/fleet.csv", PLANES);
    world.ok(&[
        "load",
        "data/fleet.csv",
        &format!("dynamodb://local/{table}"),
        "--key",
        "tailnum",
        "--create",
    ]);
    let text = format!(
        "source: {{ url: 'dynamodb://local' }}\ntarget: {{ url: s3://lake/{table}, format: parquet }}\n\
         streams:\n  planes: {{ collection: {table} }}\n"
    );
    world.write(&format!("pipelines/{table}.yaml"), text);
    assert_eq!(run(world, &table), planes().len() as u64);
    assert_same(&rows(world, &format!("s3://lake/{table}/{table}/planes/")));
}

/// Somebody else's DynamoDB and S3, each by a connection that holds the keys; the environment's are no good.
#[test]
fn connections_say_where_and_as_whom() {
    let (Some(mini), Some(weed)) = (testkit::ministack(), testkit::seaweedfs()) else { return };
    let (mut world, bucket, table) = (world(), name("lake"), name("planes"));
    let Some(()) = create_bucket(&weed.endpoint, &bucket) else { return };
    world.write("data/planes.csv", PLANES);
    let connections = format!(
        "mini: {{ conn_type: aws, login: any, password: any, extra: {{ region_name: us-east-1, endpoint_url: '{}' }} }}\n\
         lake:\n  conn_type: aws\n  login: {ACCESS_KEY}\n  password: {SECRET_KEY}\n  extra:\n    region_name: us-east-1\n    \
         service_config: {{ s3: {{ endpoint_url: '{}', bucket_name: {bucket} }} }}\n",
        mini.endpoint, weed.endpoint
    );
    world.write("connections.yaml", connections);
    world.ok(&[
        "load",
        "data/planes.csv",
        &format!("dynamodb://mini/{table}"),
        "--key",
        "tailnum",
        "--create",
    ]);
    let pipeline = |target: &str| {
        let text = format!(
            "source: {{ connection: mini }}\ntarget: {{ {target} }}\nstreams:\n  planes: {{ collection: {table} }}\n"
        );
        world.write("pipelines/fleet.yaml", text);
    };
    let address = weed.endpoint.trim_start_matches("http://").to_owned();
    let reader = |key: &str| {
        let mut reader = crate::shared::world();
        reader.set("TIDEMILL_S3_EXTERNAL", &address);
        rows(&reader, &format!("s3://{bucket}/{key}"))
    };
    // The bucket that the connection names, and a place in one that the url names.
    let below = format!("connection: lake, url: 's3://{bucket}/below', format: parquet");
    for (target, key) in [("connection: lake", "fleet/planes/"), (below.as_str(), "below/fleet/planes/")] {
        pipeline(target);
        world.ok(&["pipeline", "reset", "fleet"]);
        let mut command = world.command(&["run", "fleet"]);
        command.env("AWS_ACCESS_KEY_ID", "nobody").env("AWS_SECRET_ACCESS_KEY", "nothing");
        testkit::ran(&mut command, 60).expect_success();
        assert_same(&reader(key));
    }
    world.set("AIRFLOW_CONN_DOCUMENTS", "mongo://127.0.0.1/flights");
    let mut said = String::new();
    for target in [
        "connection: lake, url: 'gs://lake/x'",
        "connection: documents, url: 's3://lake/x'",
        "connection: lak",
    ] {
        world.write(
            "pipelines/fleet.yaml",
            format!("source: {{ url: data }}\ntarget: {{ {target} }}\nstreams:\n  planes.csv:\n"),
        );
        said += &world.run(&["run", "fleet"]).expect_code(3).shown();
    }
    snapshot!(&world, "connections that do not fit", said);
}
