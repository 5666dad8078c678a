//! `tidemill dead-letters list|show|retry|rm`: records that loads and pipelines refused. They lie in `.tidemill/dead-letters`, a folder
//! for each target or stream, as JSON Lines; `dead_letters/folder.rs` reads and writes those, `dead_letters/again.rs` sends those of loads,
//! `dead_letters/of_pipelines.rs` those of pipelines.

mod again;
mod errors;
mod folder;
mod marker;
mod of_pipelines;
mod record;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use errors::Error;
use folder::{Folder, Letter};
pub(super) use record::Kind;
use serde_json::{Value, json};

use crate::{
    commands::load::{Manifest, loads_folder},
    context::{Context, Failure},
};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tidemill dead-letters list
  tidemill dead-letters show flights --limit 5
  $EDITOR .tidemill/dead-letters/flights/*.jsonl    # mend the values
  tidemill dead-letters retry flights
  tidemill dead-letters retry planes_to_lake")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Which targets have refused records, how many, and why
    List,
    /// Print refused records: place, reason, the record as it was received
    Show {
        #[command(flatten)]
        of: Of,
        /// Stop after so many
        #[arg(long, value_name = "RECORDS", default_value_t = 20)]
        limit: usize,
    },
    /// Send refused records to their target again, as they lie there now: by the arguments of their load, or by the file of their
    /// pipeline as it is now
    Retry {
        #[command(flatten)]
        of: Of,
    },
    /// Remove refused records
    Rm {
        #[command(flatten)]
        of: Of,
    },
}

#[derive(clap::Args)]
struct Of {
    /// As `list` has it: the target of a load, PIPELINE/LOAD/STREAM (PIPELINE alone means all of it where they are sent again); or a
    /// folder
    name: String,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.command {
        Command::List => list(context),
        Command::Show { of, limit } => show(context, &found(context, &of.name)?, limit),
        Command::Retry { of } => match of_pipelines::named(context, &of.name)? {
            Some(letters) => letters.retry(context).await,
            None => {
                for folder in found(context, &of.name)? {
                    retry(context, &folder.name, &folder).await?;
                }
                Ok(())
            }
        },
        Command::Rm { of } => {
            let folders = found(context, &of.name)?;
            folders.iter().try_for_each(|folder| remove(context, &folder.name, folder))
        }
    }
}

fn root(context: &Context) -> Result<PathBuf, Failure> {
    Ok(context.root()?.join(".tidemill").join("dead-letters"))
}

/// The folder of this name, or those below it; a path, where it is one.
fn found(context: &Context, name: &str) -> Result<Vec<Folder>, Failure> {
    let mut known = Folder::all_below(&root(context)?).map_err(boxed)?;
    let below = format!("{name}/");
    let is_meant = |folder: &Folder| folder.name == name || folder.name.starts_with(&below);
    if known.iter().any(is_meant) {
        known.retain(is_meant);
        return Ok(known);
    }
    let given = Folder::at(PathBuf::from(name), name).map_err(boxed)?;
    let known = known.into_iter().map(|folder| folder.name).collect();
    given.map(|folder| vec![folder]).ok_or_else(|| boxed(Error::Nothing { name: name.to_owned(), known }))
}

fn boxed(error: Error) -> Failure {
    Box::new(error)
}

fn list(context: &Context) -> Result<(), Failure> {
    let folders = Folder::all_below(&root(context)?).map_err(boxed)?;
    let mut rows = Vec::new();
    for folder in folders {
        let (mut count, mut codes) = (0u64, BTreeMap::<String, u64>::new());
        folder
            .each(|letter| {
                count += 1;
                *codes.entry(letter.text("code").to_owned()).or_default() += 1;
                Ok(true)
            })
            .map_err(boxed)?;
        rows.push((folder.name, count, codes));
    }
    if context.is_json() {
        let row = |(name, count, codes): &(String, u64, BTreeMap<String, u64>)| json!({ "name": name, "records_count": count, "codes": codes });
        println!("{}", rows.iter().map(row).collect::<Value>());
        return Ok(());
    }
    if rows.is_empty() {
        println!("no record was refused");
    }
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    for (name, count, codes) in rows {
        let codes: Vec<String> = codes.iter().map(|(code, count)| format!("{count} {code}")).collect();
        println!("{name:width$}  {}  {}", counted(count), codes.join(", "));
    }
    Ok(())
}

fn counted(count: u64) -> String {
    base::units::counted(count, "record")
}

fn show(context: &Context, folders: &[Folder], limit: usize) -> Result<(), Failure> {
    let (mut shown, mut more) = (0, 0u64);
    let mut take = |letter: Letter| {
        if shown == limit {
            more += 1;
            return Ok(true);
        }
        shown += 1;
        if context.is_json() {
            println!("{}", Value::Object(letter.fields));
        } else {
            print(&letter);
        }
        Ok(true)
    };
    folders.iter().try_for_each(|folder| folder.each(&mut take)).map_err(boxed)?;
    if more > 0 && !context.is_json() {
        println!("and {} more: --limit", counted(more));
    }
    Ok(())
}

fn print(letter: &Letter) {
    println!("{}  {}", letter.text("place"), letter.text("code"));
    // A reason begins with its own place, which has the column.
    println!("  {}", letter.text("reason"));
    let value = match letter.value() {
        Ok(Some(value)) => String::from_utf8_lossy(&value).into_owned(),
        Ok(None) => "(no value)".to_owned(),
        Err(_) => "(not base64)".to_owned(),
    };
    for line in value.lines() {
        println!("  | {line}");
    }
}

async fn retry(context: &Context, name: &str, folder: &Folder) -> Result<(), Failure> {
    let mut loads: Vec<String> = Vec::new();
    let mut strangers = 0u64;
    folder
        .each(|letter| {
            match letter.load() {
                Some(load) if !loads.iter().any(|known| known == load) => loads.push(load.to_owned()),
                Some(_) => {}
                None => strangers += 1,
            }
            Ok(true)
        })
        .map_err(boxed)?;
    if loads.is_empty() {
        return Err(boxed(Error::NoLoads { name: name.to_owned() }));
    }
    let (mut sent_count, mut refused_count, mut files) = (0, strangers, Vec::new());
    for load in loads {
        let at = loads_folder(context)?.join(&load);
        let manifest = Manifest::read(&at)
            .map_err(|_| boxed(Error::LoadGone { name: name.to_owned(), load: load.clone() }))?;
        let outcome = again::send(context, &manifest, folder, (&load, &at)).await?;
        sent_count += outcome.sent_count;
        refused_count += outcome.stay_count;
        files.extend(outcome.files);
        if outcome.stay_count == 0 {
            manifest.forget_if_finished(&at)?;
        }
    }
    if context.is_json() {
        let mut told = json!({ "name": name, "records_count": sent_count, "rejected_count": refused_count });
        if !files.is_empty() {
            told["files"] = json!(files);
        }
        println!("{told}");
    } else {
        let files = if files.is_empty() { String::new() } else { format!(": {}", files.join(", ")) };
        println!("{} to {name}{files}", counted(sent_count));
    }
    match refused_count {
        0 => Ok(()),
        count => {
            Err(boxed(Error::StillRefused { name: name.to_owned(), count, folder: folder.path.clone() }))
        }
    }
}

/// Takes a load's letters out of a folder: they come again.
pub(super) fn forget(path: &Path, load: &str) -> Result<(), Failure> {
    let Some(folder) = Folder::at(path.to_owned(), load).map_err(boxed)? else { return Ok(()) };
    for file in folder.files() {
        let letters: Vec<Letter> =
            folder::read(file).and_then(|letters| letters.collect::<Result<_, _>>()).map_err(boxed)?;
        let kept: Vec<Letter> =
            letters.iter().filter(|letter| letter.load() != Some(load)).cloned().collect();
        if kept.len() < letters.len() {
            folder::write(file, &kept).map_err(boxed)?;
        }
    }
    Ok(())
}

fn remove(context: &Context, name: &str, folder: &Folder) -> Result<(), Failure> {
    let (mut count, mut loads) = (0, Vec::new());
    folder
        .each(|letter| {
            count += 1;
            if let Some(load) = letter.load()
                && !loads.iter().any(|known| known == load)
            {
                loads.push(load.to_owned());
            }
            Ok(true)
        })
        .map_err(boxed)?;
    folder.remove().map_err(boxed)?;
    for load in loads {
        let at = loads_folder(context)?.join(load);
        if let Ok(manifest) = Manifest::read(&at) {
            manifest.forget_if_finished(&at)?;
        }
    }
    if context.is_json() {
        println!("{}", json!({ "name": name, "removed_count": count }));
    } else {
        println!("{} of {name} removed", counted(count));
    }
    Ok(())
}
