//! 1 M items into DynamoDB, the embedded endpoint and ministack: `tidemill load` and boto3's `batch_writer`.

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    Plan, data, script,
    sides::{self, side},
    up,
};
use crate::{
    bench::{measure::whole, report::Line},
    services,
};

const ITEMS: u64 = 1_000_000;
/// It is a program of Python, and much slower than either client.
const MINISTACK_ITEMS: u64 = 100_000;

pub(super) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let (mut world, parts) = up("dynamodb");
    let python = services::folder().join("python/bin/python");
    let (file, tenth) = (world.path("events.jsonl"), world.path("tenth.jsonl"));
    let mut lines = Vec::new();
    let ministack = testkit::ministack();
    if let Some(server) = ministack {
        let connection = json!({ "conn_type": "aws", "login": testkit::ACCESS_KEY, "password": testkit::SECRET_KEY,
            "extra": { "region_name": "us-east-1", "endpoint_url": server.endpoint } });
        world.set("AIRFLOW_CONN_MINISTACK", &connection.to_string());
    }
    let embedded = Some(("the embedded endpoint", "local", parts.dynamodb(), ITEMS));
    let other = ministack.map(|server| ("ministack", "ministack", server.endpoint.clone(), MINISTACK_ITEMS));
    for (name, place, endpoint, items) in embedded.into_iter().chain(other) {
        let (count, tenth_count) = (plan.of(items), plan.tenth_of(items));
        data::events(&file, count)?;
        data::events(&tenth, tenth_count)?;
        let file = file.to_str().context("a path in UTF-8")?;
        let tenth = tenth.to_str().context("a path in UTF-8")?;
        let ours = |round| {
            let target = format!("dynamodb://{place}/ours_{round}");
            whole(&mut world.command(&["load", file, &target, "--key", "id", "--create"]))
        };
        let boto3 = |round| {
            whole(&mut script(&python, "load_dynamodb.py", &[&endpoint, &format!("boto3_{round}"), tenth]))
        };
        let runs = sides::run(
            plan,
            vec![side("tidemill", count, ours), side("boto3 batch_writer", tenth_count, boto3)],
        )?;
        lines.extend(sides::lines(&format!("items to {name}"), "items/s", &runs, &[">= 5x"], ""));
    }
    Ok(lines)
}
