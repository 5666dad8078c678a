//! `tidemill pipeline`: what pipelines there are, what they did, and what they remember.

use base::units::{count_text, counted, seconds_text};
use pipelines::{
    GivenUp, PipelineFile, Target,
    state::{State, StateFolder},
};
use serde_json::json;

use super::run::{RunError, places, target};
use crate::context::{Context, Failure};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the pipelines of the project and their last loads
    List,
    /// Show what a pipeline's file comes to
    Show { name: String },
    /// List the loads of a pipeline, newest last
    History {
        name: String,
        /// So many of them
        #[arg(long, default_value_t = 20, value_name = "LOADS")]
        limit: usize,
    },
    /// Show the cursors of a pipeline
    State {
        name: String,
        /// Take the state from the target first, in place of the local one
        #[arg(long)]
        restore: bool,
    },
    /// Forget what a pipeline remembers; its target stays as it is
    Reset {
        name: String,
        /// Only the load that is not finished, and what it has written
        #[arg(long)]
        load: bool,
    },
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.command {
        Command::List => list(context),
        Command::Show { name } => show(&name, context),
        Command::History { name, limit } => history(&name, limit, context),
        Command::State { name, restore } => state(&name, restore, context).await,
        Command::Reset { name, load: true } => give_up(&name, context).await,
        Command::Reset { name, load: false } => reset(&name, context),
    }
}

fn folder(file: &PipelineFile, context: &Context) -> Result<StateFolder, Failure> {
    Ok(StateFolder::of(&context.project()?.state_path(""), &file.name))
}

fn time_text(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .map_or_else(|| ms.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

fn list(context: &Context) -> Result<(), Failure> {
    let project = context.project()?;
    let mut objects = Vec::new();
    for name in PipelineFile::names(project)? {
        let file = match PipelineFile::open(project, &name) {
            Ok(file) => file,
            Err(error) if context.is_json() => {
                objects.push(json!({ "pipeline": name, "error": error.to_string() }));
                continue;
            }
            Err(error) => {
                println!("{name}: {error}");
                continue;
            }
        };
        let places = places(&file, context)?;
        let (source, target) = (file.source_address(&places), file.target_shown(&places));
        let folder = folder(&file, context)?;
        let last = folder.history()?.pop();
        let streams: Vec<&str> = file.streams.iter().map(|stream| stream.name.as_str()).collect();
        if context.is_json() {
            objects.push(json!({
                "pipeline": name,
                "source": source,
                "target": target,
                "streams": streams,
                "last_load": last.as_ref().map(|load| json!({
                    "load_id": load.load_id, "status": load.status, "ended_ms": load.ended_ms,
                })),
            }));
            continue;
        }
        let last = last.map_or_else(
            || "never run".to_owned(),
            |load| format!("{} at {}", load.status, time_text(load.ended_ms)),
        );
        println!("{name}: {source} -> {target} ({}); {last}", streams.join(", "));
    }
    if context.is_json() {
        println!("{}", json!(objects));
    }
    Ok(())
}

fn show(name: &str, context: &Context) -> Result<(), Failure> {
    let file = PipelineFile::open(context.project()?, name)?;
    let places = places(&file, context)?;
    let target = &file.target;
    let streams: Vec<_> = file
        .streams
        .iter()
        .map(|stream| {
            json!({
                "name": stream.name,
                "collection": stream.collection,
                "write_disposition": stream.shape.write_disposition.name(),
                "primary_key": stream.shape.primary_key,
                "cursor": stream.cursor.as_ref().map(|cursor| &cursor.field),
                "fields": stream.fields,
                "filter": stream.filter,
            })
        })
        .collect();
    let object = json!({
        "pipeline": file.name,
        "file": &*file.file.path,
        "source": file.source_address(&places),
        "target": file.target_shown(&places),
        "format": format!("{:?}", target.format).to_lowercase(),
        "compression": format!("{:?}", target.compression).to_lowercase(),
        "layout": target.layout.to_string(),
        "file_bytes_max": target.file_bytes_max,
        "file_records_max": target.file_records_max,
        "memory_bytes_max": file.memory_bytes_max,
        "lanes_count_max": file.lanes_count_max,
        "streams": streams,
    });
    if context.is_json() {
        println!("{object}");
    } else {
        // Indented JSON is YAML that people can read.
        println!("{object:#}");
    }
    Ok(())
}

fn history(name: &str, limit: usize, context: &Context) -> Result<(), Failure> {
    let file = PipelineFile::open(context.project()?, name)?;
    let history = folder(&file, context)?.history()?;
    for load in &history[history.len().saturating_sub(limit)..] {
        if context.is_json() {
            println!("{}", json!(load));
            continue;
        }
        let rows: u64 = load.tables.values().map(|count| count.rows_count).sum();
        let seconds = (load.ended_ms - load.began_ms).max(0) as f64 / 1_000.0;
        let mut line = format!(
            "{}  {}  {}  {} rows in {}",
            load.load_id,
            time_text(load.began_ms),
            load.status,
            count_text(rows),
            seconds_text(seconds)
        );
        if load.discarded_count > 0 {
            line += &format!(", {} discarded", count_text(load.discarded_count));
        }
        if let Some(error) = &load.error {
            line += &format!(": {error}");
        }
        println!("{line}");
    }
    if history.is_empty() && !context.is_json() {
        println!("{name} has never run");
    }
    Ok(())
}

async fn state(name: &str, restore: bool, context: &Context) -> Result<(), Failure> {
    let file = PipelineFile::open(context.project()?, name)?;
    let folder = folder(&file, context)?;
    if restore {
        restored(&file, &folder, context).await?;
    }
    let (state, journal) = (folder.state()?.unwrap_or_default(), folder.journal()?);
    if context.is_json() {
        println!("{}", state_json(&state, journal.map(|journal| journal.load_id)));
        return Ok(());
    }
    for (stream, state) in &state.streams {
        let last = state.last_value.as_ref().map_or_else(|| "nothing yet".to_owned(), ToString::to_string);
        println!("{stream}: {} is {last}", state.field);
    }
    for (stream, topic) in &state.topics {
        let next: Vec<String> =
            topic.offsets.iter().map(|(partition, next)| format!("{partition} at {next}")).collect();
        let next = if next.is_empty() { "nothing yet".to_owned() } else { next.join(", ") };
        println!("{stream}: {} goes on in partition {next}", topic.topic);
    }
    match &state.last_load_id {
        Some(load_id) => println!("last load {load_id}"),
        None if state.streams.is_empty() => println!("{name} remembers nothing"),
        None => {}
    }
    if let Some(journal) = journal {
        println!("the load {} is not finished: tidemill run {name} goes on with it", journal.load_id);
    }
    Ok(())
}

fn state_json(state: &State, unfinished: Option<String>) -> serde_json::Value {
    let topics = state
        .topics
        .iter()
        .map(|(name, topic)| (name.clone(), json!({ "topic": topic.topic, "offsets": topic.offsets })));
    let streams: serde_json::Map<String, serde_json::Value> = state
        .streams
        .iter()
        .map(|(name, stream)| {
            let last = stream.last_value.as_ref().map(ToString::to_string);
            (
                name.clone(),
                json!({ "cursor": stream.field, "last_value": last, "known_count": stream.hashes.len() }),
            )
        })
        .chain(topics)
        .collect();
    json!({
        "version": state.version,
        "streams": streams,
        "last_load_id": state.last_load_id,
        "unfinished_load_id": unfinished,
    })
}

/// The target's state in place of the local one.
async fn restored(file: &PipelineFile, folder: &StateFolder, context: &Context) -> Result<(), Failure> {
    let places = places(file, context)?;
    let address = file.target_address(&places)?;
    let none = || pipelines::Error::NoStoredState {
        pipeline: file.name.clone(),
        target: file.target_shown(&places),
    };
    let Target::Lake(lake) = target(file, address, context).await? else { return Err(Box::new(none())) };
    let restored = pipelines::restore(folder, &lake, &file.name)
        .await
        .map_err(|fault| RunError::of(fault.into_inner()))?;
    restored.map(drop).ok_or_else(|| Box::new(none()) as Failure)
}

fn reset(name: &str, context: &Context) -> Result<(), Failure> {
    let file = PipelineFile::open(context.project()?, name)?;
    let folder = folder(&file, context)?;
    let _lock = folder.lock()?;
    folder.clear()?;
    println!("{name} remembers nothing: the next run loads everything");
    Ok(())
}

async fn give_up(name: &str, context: &Context) -> Result<(), Failure> {
    let file = PipelineFile::open(context.project()?, name)?;
    let folder = folder(&file, context)?;
    let places = places(&file, context)?;
    let (address, shown) = (file.target_address(&places)?, file.target_shown(&places));
    let target = target(&file, address, context).await?;
    let given_up = pipelines::give_up(&file, &folder, &target).await.map_err(RunError::of)?;
    let Some(GivenUp { load_id, removed_count, missing_count }) = given_up else {
        println!("no load of {name} was unfinished");
        return Ok(());
    };
    let files = |count: u64| counted(count, "file");
    match target {
        Target::Lake(_) => {
            println!("the load {load_id} is given up: {} of it removed from {shown}", files(removed_count))
        }
        Target::Store { .. } => {
            println!(
                "the load {load_id} is given up: what it wrote stays in {shown}, where no record says which load it is of"
            );
        }
    }
    if missing_count > 0 {
        println!(
            "{} more that it wrote are not there: where the file's target was changed since, look in the old one for {load_id}",
            files(missing_count)
        );
    }
    Ok(())
}
