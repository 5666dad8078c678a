//! Targets that do not let us in, or are not there: one message with what to do, and what was there before stays readable.

use testkit::{ACCESS_KEY, SECRET_KEY, World};

use super::{Tables, change, project, shown};
use crate::{shared::name, snapshot};

const LAKE: &str = "\
source: { url: data }
target: { connection: lake, url: 's3://BUCKET/warehouse', dataset: planes, compression: none, file_records_max: 300 }
streams:
  planes: { collection: 'planes*.jsonl', cursor: at, primary_key: n }
  airports: { collection: airports.jsonl, write_disposition: replace }
";

/// A project whose lake is an S3 at this endpoint.
fn lake_at(endpoint: &str, bucket: &str) -> World {
    let world = project();
    world.write("pipelines/lake.yaml", LAKE.replace("BUCKET", bucket));
    keys(&world, endpoint, SECRET_KEY);
    world
}

fn keys(world: &World, endpoint: &str, secret: &str) {
    let text = format!(
        "lake: {{ conn_type: aws, login: {ACCESS_KEY}, password: '{secret}', extra: {{ region_name: us-east-1, \
         endpoint_url: '{endpoint}' }} }}\n"
    );
    world.write("connections.yaml", text);
}

#[test]
fn a_target_that_denies_is_said_once_and_with_what_to_do() {
    let Some(moto) = testkit::moto_that_denies() else { return };
    let world = lake_at(&moto.endpoint, "lake");
    snapshot!(&world, "denied", shown(&world.run(&["run", "lake"]).expect_code(4)));
    // Nothing of a load is in the way of the next one.
    snapshot!(&world, "denied again", shown(&world.run(&["run", "lake", "--full-refresh"]).expect_code(4)));
}

#[test]
fn a_bucket_that_is_not_there_is_said() {
    let Some(weed) = testkit::seaweedfs() else { return };
    let world = lake_at(&weed.endpoint, "nowhere");
    snapshot!(&world, "no bucket", shown(&world.run(&["run", "lake"]).expect_code(3)));
}

/// Rows of both tables, as whoever has the keys reads them.
fn read(endpoint: &str, bucket: &str) -> Tables {
    let mut reader = crate::shared::world();
    reader.set("TIDEMILL_S3_EXTERNAL", endpoint.trim_start_matches("http://"));
    let table = |table: &str| {
        let text = reader.ok(&["cat", &format!("s3://{bucket}/warehouse/planes/{table}/")]);
        let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
        rows.sort();
        (table.to_owned(), rows)
    };
    ["planes", "airports"].map(table).into()
}

#[test]
fn what_was_there_stays_readable_and_the_load_goes_on() {
    let Some(weed) = testkit::seaweedfs() else { return };
    let bucket = name("kept");
    let Some(()) = super::clouds::create_bucket(&weed.endpoint, &bucket) else { return };
    let world = lake_at(&weed.endpoint, &bucket);
    world.ok(&["run", "lake"]);
    let before = read(&weed.endpoint, &bucket);
    assert_eq!((before["planes"].len(), before["airports"].len()), (1_000, 700));
    change(&world);
    keys(&world, &weed.endpoint, "of-somebody-else");
    for _ in 0..2 {
        let ran = world.run(&["run", "lake"]).expect_code(4);
        assert!(!ran.stderr.contains("of-somebody-else"), "{}", ran.stderr);
        assert!(read(&weed.endpoint, &bucket) == before);
    }
    keys(&world, &weed.endpoint, SECRET_KEY);
    world.ok(&["run", "lake"]);
    let after = read(&weed.endpoint, &bucket);
    assert_eq!((after["planes"].len(), after["airports"].len()), (2_500, 900));
}
