//! A real mongod as the source: everything, then only what changed.

use serde_json::Value;
use testkit::World;

use super::{Tables, tables};
use crate::{
    shared::{name, world},
    snapshot,
};

/// Runs Python with pymongo against the database.
fn python(script: &str, uri: &str) -> Option<()> {
    let python = testkit::services().join("dlt/bin/python");
    if !python.is_file() {
        return testkit::absent("Python with pymongo");
    }
    testkit::run_python(&python, script, &[uri]);
    Some(())
}

const FILL: &str = "
import sys, datetime, bson, pymongo
planes = pymongo.MongoClient(sys.argv[1]).get_default_database().planes
day = datetime.datetime(2024, 1, 1)
planes.insert_many([{'tailnum': f'N{n}', 'updated_at': day + datetime.timedelta(minutes=n), 'speed': bson.Decimal128('1.50'),
  'maker': {'name': 'BOEING', 'since': 1916}, 'engines': [{'type': 'Turbo'}] * 2} for n in range(2000)])
";
const CHANGE: &str = "
import sys, datetime, pymongo
planes = pymongo.MongoClient(sys.argv[1]).get_default_database().planes
day = datetime.datetime(2024, 3, 1)
planes.update_many({'tailnum': {'$in': ['N1', 'N2', 'N3']}}, {'$set': {'updated_at': day}})
planes.insert_one({'tailnum': 'N9999', 'updated_at': day})
";

fn filled(format: &str) -> Option<(World, String)> {
    let mongod = testkit::mongod()?;
    let uri = mongod.uri(&name("flights"));
    python(FILL, &uri)?;
    let world = world();
    let text = format!(
        "source: {{ url: '{uri}' }}\n\
         target: {{ url: lake, dataset: planes, format: {format}, compression: none }}\n\
         streams:\n  planes: {{ primary_key: tailnum, cursor: updated_at }}\n"
    );
    world.write("pipelines/lake.yaml", text);
    Some((world, uri))
}

fn run(world: &World) -> Value {
    serde_json::from_str(&world.ok(&["run", "lake", "--output", "json"])).unwrap()
}

#[test]
fn a_collection_is_loaded_and_then_what_changed() {
    let Some((world, uri)) = filled("jsonl") else { return };
    let first = run(&world);
    assert_eq!(first["rows_count"], 6_000, "{first}");
    assert_eq!(run(&world)["rows_count"], 0);
    python(CHANGE, &uri).unwrap();
    let second = run(&world);
    assert_eq!(second["tables"][0]["rows_count"], 4, "{second}");
    let found: Tables = tables(&world.path("lake/planes"));
    assert_eq!((found["planes"].len(), found["planes__engines"].len()), (2_004, 4_006));
    assert!(
        found["planes"].iter().any(|row| row.contains("\"maker__name\":\"BOEING\"")),
        "{:?}",
        found["planes"][0]
    );
}

#[test]
fn a_merge_goes_into_another_database_by_its_key() {
    let Some((world, uri)) = filled("jsonl") else { return };
    let target = testkit::mongod().unwrap().uri(&name("copy"));
    let text = format!(
        "source: {{ url: '{uri}' }}\ntarget: {{ url: '{target}', dataset: copied }}\n\
         streams:\n  planes: {{ primary_key: tailnum, cursor: updated_at, write_disposition: merge }}\n"
    );
    world.write("pipelines/lake.yaml", text);
    assert_eq!(run(&world)["rows_count"], 2_000);
    python(CHANGE, &uri).unwrap();
    assert_eq!(run(&world)["rows_count"], 4);
    let check = "
import sys, pymongo
planes = pymongo.MongoClient(sys.argv[1])['copied'].planes
assert planes.count_documents({}) == 2001, planes.count_documents({})
assert planes.find_one({'tailnum': 'N1'})['updated_at'].month == 3
";
    python(check, &target).unwrap();
}

#[test]
fn a_pipeline_names_a_connection_and_nothing_else_is_needed() {
    let Some((world, uri)) = filled("parquet") else { return };
    let (server, database) =
        uri.split_once('?').unwrap().0.trim_start_matches("mongodb://").split_once('/').unwrap();
    world.write("connections.yaml", format!("planes_store: mongo://{server}/{database}\n"));
    let text =
        "source: { connection: planes_store }\ntarget: { url: lake, format: parquet }\nstreams:\n  planes:\n";
    world.write("pipelines/lake.yaml", text);
    assert_eq!(run(&world)["rows_count"], 6_000);
    world.write("pipelines/lake.yaml", text.replace("planes_store", "plane_store"));
    snapshot!(&world, "no connection", world.run(&["run", "lake"]).expect_code(3).shown());
}
