//! Real dlt and `tidemill run` over one collection of a real mongod: a full load, one of what changed with another shape, and
//! one of nothing; tables, columns, types, rows and dlt's own tables are the same.

use testkit::World;

use crate::shared::{name, world};

const SCRIPT: &str = include_str!("dlt.py");
const PIPELINES: [&str; 6] =
    ["append_jsonl", "append_parquet", "append_csv", "replace_jsonl", "replace_parquet", "replace_csv"];

fn write_pipelines(world: &World, uri: &str) {
    for name in PIPELINES {
        let (disposition, format) = name.split_once('_').unwrap();
        let cursor = if disposition == "append" { ", cursor: updated_at" } else { "" };
        let text = format!(
            "source: {{ url: '{uri}' }}\n\
             target: {{ url: ours/{name}, dataset: planes, format: {format} }}\n\
             streams:\n  orders: {{ primary_key: _id, write_disposition: {disposition}{cursor} }}\n"
        );
        world.write(&format!("pipelines/{name}.yaml"), text);
    }
}

#[test]
fn real_dlt_writes_the_same_load_after_load() {
    let Some(mongod) = testkit::mongod() else { return };
    let Some(python) = testkit::venv_python("dlt") else { return };
    let (world, uri) = (world(), mongod.uri(&name("orders")));
    write_pipelines(&world, &uri);
    let (ours, theirs) = (world.path("ours"), world.path("theirs"));
    let (ours, theirs) = (ours.to_string_lossy(), theirs.to_string_lossy());
    for step in ["1", "2", "3"] {
        testkit::run_python(&python, SCRIPT, &[&["load", step, &uri, &theirs], &PIPELINES[..]].concat());
        for name in PIPELINES {
            world.ok(&["run", name]);
        }
        let same =
            testkit::run_python(&python, SCRIPT, &[&["compare", &ours, &theirs], &PIPELINES[..]].concat());
        assert_eq!(same.trim(), "same", "step {step}");
    }
}
