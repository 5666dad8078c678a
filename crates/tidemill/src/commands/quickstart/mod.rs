//! `tidemill quickstart`: makes a project, starts everything, runs the commands that a user would type, proves the result.
//!
//! Map: `data` the input file, `steps` the commands and what they need, `objects` and `proof` read the result back by a
//! path of their own. Whatever happens, nothing is left running unless `--keep` says so.

mod batch;
mod data;
mod objects;
mod proof;
mod steps;

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use base::units::{bytes_text, count_text, seconds_text};
use project::{Outside, Project, ProjectLock, Running};

use self::{data::Data, steps::Outcome};
use crate::{
    background::Background,
    commands::{
        down, init,
        status::memory_bytes,
        up::{Signals, shown},
    },
    context::{Context, Failure, GlobalArgs, S3Access},
    errors::Error,
};

#[derive(clap::Args)]
pub struct Args {
    /// The folder to make; one of an earlier quickstart is made afresh
    #[arg(long, value_name = "DIR", default_value = "quickstart")]
    dir: PathBuf,
    /// A CSV or JSON Lines file to use instead of the flights
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The column that becomes the record's key [default: the first that looks like one]
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// Partitions of the topic
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    partitions: u32,
    /// Load the documents of the batch half into this MongoDB instead of the embedded DynamoDB
    #[arg(long, value_name = "URI")]
    mongodb: Option<String>,
    /// Leave the environment running; `tidemill down` in the folder stops it
    #[arg(long)]
    keep: bool,
}

/// In the state folder of a project that quickstart made: such a folder may be made afresh.
const MARK: &str = "quickstart";
/// A little more than the environment takes to stop by itself.
const STOP_WITHIN: Duration = Duration::from_secs(7);

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let began = Instant::now();
    let mut signals = Signals::listen()?;
    let data_given = match &args.data {
        Some(path) => Some(absolute(path)?),
        None => None,
    };
    // What is wrong with the data is told before anything is made.
    if let Some(path) = &data_given {
        Data::look(path, args.key.as_deref())?;
    }
    let folder = make_folder(&args.dir, context).await?;
    let mut background: Option<Background> = None;
    let outcome = tokio::select! {
        outcome = work(&args, context, &folder, data_given, &mut background) => Some(outcome),
        () = signals.any() => None,
    };
    let keeps = args.keep && matches!(outcome, Some(Ok(_)));
    if let Some(mut background) = background.take() {
        if keeps {
            background.set_free();
        } else {
            background.stop(STOP_WITHIN).await;
        }
    }
    let Some(outcome) = outcome else {
        fs::remove_dir_all(&folder).ok(); // no half state
        return Err(Error::Interrupted.into());
    };
    closing_panel(&outcome?, &folder, keeps, began);
    Ok(())
}

/// The folder, empty but for its mark. Only nothing, an empty folder, or an earlier quickstart's gives way.
async fn make_folder(folder: &Path, context: &Context) -> Result<PathBuf, Failure> {
    let is_ours = folder.join(".tidemill").join(MARK).is_file();
    if is_ours {
        let project = open(&absolute(folder)?, context)?;
        if ProjectLock::is_held(&project) {
            heading("tidemill down", "an earlier quickstart still runs here");
            down::stop(&project).await?;
        }
        fs::remove_dir_all(folder).map_err(|source| Error::Write { path: folder.to_path_buf(), source })?;
    } else if !init::is_empty(folder) {
        return Err(Error::FolderNotEmpty { folder: folder.to_path_buf() }.into());
    }
    init::write(folder, &format!(".tidemill/{MARK}"), b"made by tidemill quickstart\n")?;
    init::write(folder, ".tidemill/.gitignore", b"*\n")?;
    absolute(folder)
}

async fn work(
    args: &Args,
    context: &Context,
    folder: &Path,
    data_given: Option<PathBuf>,
    background: &mut Option<Background>,
) -> Result<Outcome, Failure> {
    init::write(folder, "tidemill.yaml", init::SETTINGS.as_bytes())?;
    batch::write_files(folder, args.mongodb.as_deref())?;
    let (data, typed) = match data_given {
        Some(path) => (Data::look(&path, args.key.as_deref())?, path.display().to_string()),
        None => {
            init::write(folder, "data/flights.csv", init::FLIGHTS)?;
            let key = args.key.as_deref().unwrap_or("tailnum");
            (Data::look(&folder.join("data/flights.csv"), Some(key))?, "data/flights.csv".to_owned())
        }
    };
    heading("tidemill up --free-ports", "the environment, in the background");
    let project = open(folder, context)?;
    let started = Instant::now();
    let up = background.insert(Background::spawn(context, &project, &["--free-ports".to_owned()], true)?);
    let running = up.ready(&project).await?;
    let ready = started.elapsed();
    println!("ready in {}", seconds_text(ready.as_secs_f64()));
    for (name, part) in &running.parts {
        println!("  {name:<9} {}", shown(name, &part.address));
    }
    write_addresses(folder, &running, &data, args.partitions)?;
    let project = open(folder, context)?;
    let access = S3Access {
        endpoint: console::url(address(&running, "s3")),
        access_key: project.settings.text("s3.access_key").to_owned(),
        secret_key: project.s3_secret_key()?,
        region: project.settings.text("s3.region").to_owned(),
    };
    let steps = steps::Steps {
        folder: folder.to_path_buf(),
        data,
        typed,
        partitions: args.partitions,
        mongodb: args.mongodb.clone(),
        access,
        running,
    };
    let mut outcome = steps.all().await?;
    outcome.ready = ready;
    Ok(outcome)
}

fn address<'a>(running: &'a Running, part: &str) -> &'a str {
    running.parts.get(part).map_or("", |part| part.address.as_str())
}

/// The addresses that were free become the project's settings, and the connector's: a later `tidemill up` is the same.
fn write_addresses(folder: &Path, running: &Running, data: &Data, partitions: u32) -> Result<(), Failure> {
    let mut text = String::from("# Made by tidemill quickstart: the ports were free when it ran.\n");
    for (name, part) in running.parts.iter().filter(|(_, part)| !part.external) {
        text += &format!("{name}:\n  listen: {}\n", part.address);
    }
    init::write(folder, "tidemill.yaml", text.as_bytes())?;
    let s3 = console::url(address(running, "s3"));
    let registry = console::url(address(running, "registry"));
    let connector = steps::connector(data, partitions, &s3, &registry);
    init::write(folder, &steps::connector_path(data), connector.as_bytes())
}

/// The project of the quickstart's folder, whatever `--project` says: that one is for the commands within.
fn open(folder: &Path, context: &Context) -> Result<Project, Failure> {
    let GlobalArgs { set, .. } = context.global();
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let outside =
        Outside { folder: Some(folder.to_path_buf()), variables: variables.collect(), flags: set.clone() };
    Ok(Project::open(folder, &outside)?)
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    fs::canonicalize(path)
        .map_err(|error| Error::Data { path: path.to_path_buf(), reason: error.to_string() }.into())
}

/// The command that comes now, as a user would type it.
fn heading(command: &str, note: &str) {
    let note = if note.is_empty() { String::new() } else { format!("   # {note}") };
    if std::io::stdout().is_terminal() {
        println!("\n\u{1b}[1m$ {command}\u{1b}[0m\u{1b}[2m{note}\u{1b}[0m");
    } else {
        println!("\n$ {command}{note}");
    }
}

fn closing_panel(outcome: &Outcome, folder: &Path, keeps: bool, began: Instant) {
    let seconds = |duration: Duration| seconds_text(duration.as_secs_f64());
    let memory = outcome.memory_bytes;
    println!("\n─── done ───────────────────────────────────────────────────────────────");
    println!(
        "  {} records: file -> contract -> broker -> connector -> S3, the same on both ends",
        count_text(outcome.records_count)
    );
    println!(
        "  {} keys with equal checksums, {} objects",
        count_text(outcome.keys_count),
        outcome.objects_count
    );
    println!(
        "  {} planes: file -> store -> pipeline -> Parquet in S3, then the {} that changed, then a DAG run",
        count_text(outcome.brought.first_count),
        outcome.brought.changed_count
    );
    println!(
        "  {} in all; the environment was ready in {} and used {} of memory at most",
        seconds(began.elapsed()),
        seconds(outcome.ready),
        bytes_text(memory)
    );
    let cd =
        std::env::current_dir().ok().and_then(|here| folder.strip_prefix(here).ok().map(Path::to_path_buf));
    let cd = cd.unwrap_or_else(|| folder.to_path_buf());
    if keeps {
        println!("\n  It still runs. Try:");
    } else {
        println!("\n  It is stopped; start it again: cd {} && tidemill up --detach. Then try:", cd.display());
    }
    for line in &outcome.hints {
        println!("    {line}");
    }
    if keeps {
        println!("\n  Stop it: cd {} && tidemill down", cd.display());
    }
}

/// The most that a process ever had in memory, else what it has now.
fn peak_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kibibytes.map_or_else(|| memory_bytes(pid).unwrap_or(0), |kibibytes| kibibytes * 1024)
}
