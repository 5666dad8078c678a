//! How a run is shown: the line while it goes on, the plan, and the closing lines.

use base::units::{bytes_text, count_text, counted, seconds_text};
use engine::Progress;
use pipelines::{Report, plan::Plan, state::TableCount};
use serde_json::json;

use crate::context::Context;

/// The line while it runs: what was read, and what of it is committed.
pub(super) fn line(pipeline: &str, progress: &Progress, seconds: f64) -> (u64, String) {
    let (read, safe) = (progress.records_read(), progress.records_committed());
    let rate = count_text((read as f64 / seconds) as u64);
    let (read_text, safe) = (count_text(read), count_text(safe));
    (read, format!("{pipeline}: {read_text} records read, {safe} of them safe  {rate}/s"))
}

/// The closing lines, or the object of `--output json`.
pub(super) fn report(context: &Context, pipeline: &str, target: &str, report: &Report, seconds: f64) {
    let mut all = TableCount::default();
    for count in report.tables.values() {
        all.rows_count += count.rows_count;
        all.files_count += count.files_count;
        all.bytes += count.bytes;
    }
    if context.is_json() {
        let table = |(name, count): (&String, &TableCount)| {
            json!({
                "table": name,
                "rows_count": count.rows_count,
                "files_count": count.files_count,
                "bytes": count.bytes,
            })
        };
        let dead_letters = (report.discarded_count > 0).then_some(&report.dead_letters);
        let object = json!({
            "pipeline": pipeline,
            "target": target,
            "load_id": report.load_id,
            "is_resumed": report.is_resumed,
            "is_restored": report.is_restored,
            "tables": report.tables.iter().map(table).collect::<Vec<_>>(),
            "rows_count": all.rows_count,
            "files_count": all.files_count,
            "bytes": all.bytes,
            "discarded_count": report.discarded_count,
            "dead_letters": dead_letters,
            "seconds": seconds,
        });
        println!("{object}");
        return;
    }
    if report.is_restored {
        println!("the state of {pipeline} came from {target}");
    }
    let width = report.tables.keys().map(String::len).max().unwrap_or(0);
    for (name, count) in &report.tables {
        let rows = counted(count.rows_count, "row");
        match count.files_count {
            // A store of documents has no files.
            0 => println!("  {name:width$}  {rows}"),
            files => {
                println!("  {name:width$}  {rows}, {} ({})", counted(files, "file"), bytes_text(count.bytes))
            }
        }
    }
    println!(
        "{} to {target} in {}: load {}",
        counted(all.rows_count, "row"),
        seconds_text(seconds),
        report.load_id
    );
    if report.discarded_count > 0 {
        let folder = &report.dead_letters;
        let shown =
            context.project().map_or_else(|_| folder.display().to_string(), |project| project.shown(folder));
        let (count, were) =
            (report.discarded_count, if report.discarded_count == 1 { "was" } else { "were" });
        println!("{} {were} discarded; what and why is in {shown}", counted(count, "record"));
    }
}

/// What `--dry-run` prints.
pub(super) fn plan(context: &Context, plan: &Plan) {
    if context.is_json() {
        println!("{}", plan_json(plan));
        return;
    }
    println!("{}: {}", plan.pipeline, plan.load);
    println!("  from    {}", plan.source);
    println!("  to      {}", plan.target);
    println!(
        "  memory  {}, {} at once",
        bytes_text(plan.memory_bytes_max),
        counted(plan.lanes_count_max as u64, "split")
    );
    for stream in &plan.streams {
        println!("{} ({})", stream.name, stream.write_disposition);
        println!("  reads   {}: {}", stream.collection, stream.splits.join(", "));
        if !stream.pushed_down.is_empty() {
            println!("  store   {}", stream.pushed_down.join("; "));
        }
        if !stream.checked_here.is_empty() {
            println!("  here    {}", stream.checked_here.join("; "));
        }
        println!("  makes   {}", stream.conversions);
        println!("  writes  {}", stream.files);
    }
}

fn plan_json(plan: &Plan) -> serde_json::Value {
    let stream = |stream: &pipelines::plan::StreamPlan| {
        json!({
            "name": stream.name,
            "collection": stream.collection,
            "write_disposition": stream.write_disposition,
            "splits": stream.splits,
            "pushed_down": stream.pushed_down,
            "checked_here": stream.checked_here,
            "conversions": stream.conversions,
            "files": stream.files,
        })
    };
    json!({
        "pipeline": plan.pipeline,
        "load": plan.load,
        "source": plan.source,
        "target": plan.target,
        "memory_bytes_max": plan.memory_bytes_max,
        "lanes_count_max": plan.lanes_count_max,
        "streams": plan.streams.iter().map(stream).collect::<Vec<_>>(),
    })
}
