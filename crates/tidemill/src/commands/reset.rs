//! `tidemill reset TARGET…`: makes, empties or drops collections, tables, topics and objects.
//!
//! A plan comes first, and is printed; what is done afterwards is the plan, thing by thing, and nothing that it does not name.
//! `reset/stores.rs` collections and tables, `reset/topics.rs` topics, `reset/objects.rs` objects and buckets.

mod objects;
mod stores;
mod topics;

use std::io::{self, BufRead, IsTerminal, Write as _};

use base::{BoxError, Code, Problem, code, units::count_text};
use serde_json::json;

use crate::{
    causes::deepest,
    context::{Context, Failure},
};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tidemill reset mongodb://127.0.0.1:27017/fleet/planes
  tidemill reset kafka://local --prefix test_ --drop --yes
  tidemill reset dynamodb://local/planes --drop --create --key tailnum --yes
  tidemill reset s3://lake/topics/ --yes")]
pub struct Args {
    /// kafka://local/TOPIC, mongodb://HOST/DATABASE/COLLECTION, dynamodb://local/TABLE, firestore://PROJECT/COLLECTION,
    /// s3://BUCKET/PREFIX/ or gs://BUCKET/PREFIX/; without its last name with --prefix
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    /// All topics, collections, tables or objects there whose names begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Take away what they hold, and keep them with their settings and indexes [default, unless another is given]
    #[arg(long)]
    empty: bool,
    /// Take them away; objects go one by one, and the bucket stays
    #[arg(long, conflicts_with = "empty")]
    drop: bool,
    /// Make those that are not there; with --drop, anew
    #[arg(long)]
    create: bool,
    /// Partitions of a topic that is made
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    partitions: i32,
    /// Key of a table that is made (DynamoDB): partition key, or partition key and sort key; NAME:N for a number
    #[arg(long, value_name = "NAME[,NAME]")]
    key: Option<String>,
    /// Do it without asking
    #[arg(short, long)]
    yes: bool,
}

/// One thing, and what becomes of it.
struct Step {
    action: Action,
    /// As an address.
    thing: String,
    /// What that means, for the plan: `3,322 documents`.
    detail: String,
    work: Work,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Make,
    Empty,
    Drop,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Action::Make => "make",
            Action::Empty => "empty",
            Action::Drop => "drop",
        }
    }
}

/// How it is done.
enum Work {
    Store(stores::Work),
    Topic(topics::Work),
    Objects(objects::Work),
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{target} cannot be reset")]
    Target { target: String },
    #[error("{target} names one thing, and --prefix means several")]
    PrefixOfOne { target: String },
    #[error("{target} is made with a key, and --key names none")]
    Keyless { target: String },
    #[error("nothing was done: {} would be changed", things(.steps_count))]
    Unconfirmed { steps_count: usize },
    #[error("{action} {thing} failed; {} before it", done(.done_count))]
    Stopped { action: &'static str, thing: String, done_count: usize, source: BoxError },
    #[error("{thing} cannot be looked at")]
    Look { thing: String, source: BoxError },
}

fn things(count: &usize) -> String {
    if *count == 1 { "one thing".to_owned() } else { format!("{} things", count_text(*count as u64)) }
}

fn done(count: &usize) -> String {
    match *count {
        0 => "nothing was changed".to_owned(),
        1 => "one thing was changed".to_owned(),
        count => format!("{} things were changed", count_text(count as u64)),
    }
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Target { .. } | Error::PrefixOfOne { .. } | Error::Keyless { .. } => code::TM1457,
            Error::Unconfirmed { .. } => code::TM1458,
            Error::Stopped { source, .. } | Error::Look { source, .. } => {
                deepest(&**source).map_or(code::TM1459, |problem| problem.code())
            }
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Target { .. } => {
                "write it as kafka://local/TOPIC, mongodb://HOST/DATABASE/COLLECTION, dynamodb://local/TABLE, \
                 firestore://PROJECT/COLLECTION or s3://BUCKET/PREFIX/"
                    .to_owned()
            }
            Error::PrefixOfOne { .. } => "leave its last name away, or --prefix".to_owned(),
            Error::Keyless { .. } => "name it: --key FIELD, or --key FIELD:N for a number".to_owned(),
            Error::Unconfirmed { .. } => "read the plan above, then say --yes".to_owned(),
            Error::Stopped { source, .. } | Error::Look { source, .. } => deepest(&**source)
                .map_or_else(|| "mend the cause, then run it again".to_owned(), |problem| problem.help()),
        }
    }
}

impl Args {
    /// What becomes of a thing that is there, or is not.
    fn actions(&self, is_there: bool) -> Vec<Action> {
        let empties = self.empty || !(self.drop || self.create);
        match is_there {
            true if self.drop && self.create => vec![Action::Drop, Action::Make],
            true if self.drop => vec![Action::Drop],
            true if empties => vec![Action::Empty],
            true => Vec::new(),
            false if self.create => vec![Action::Make],
            false => Vec::new(),
        }
    }
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let mut steps = Vec::new();
    for target in &args.targets {
        let scheme = target.split_once("://").map_or("", |(scheme, _)| scheme);
        steps.extend(match scheme {
            "kafka" => topics::plan(&args, context, target).await?,
            "s3" | "gs" => objects::plan(&args, context, target).await?,
            "mongodb" | "mongodb+srv" | "dynamodb" | "firestore" => {
                stores::plan(&args, context, target).await?
            }
            _ => return Err(Box::new(Error::Target { target: target.clone() })),
        });
    }
    if !context.is_json() {
        show(&steps);
    }
    if !steps.is_empty() && !args.yes && !confirmed()? {
        return Err(Box::new(Error::Unconfirmed { steps_count: steps.len() }));
    }
    let mut done = Vec::new();
    for step in &steps {
        let result = match &step.work {
            Work::Store(work) => stores::act(step.action, work).await,
            Work::Topic(work) => topics::act(step.action, work).await,
            Work::Objects(work) => objects::act(step.action, work).await,
        };
        let told = result.map_err(|source| Error::Stopped {
            action: step.action.word(),
            thing: step.thing.clone(),
            done_count: done.len(),
            source,
        })?;
        if !context.is_json() {
            println!(
                "{} {}{}",
                past(step.action),
                step.thing,
                if told.is_empty() { told.clone() } else { format!(": {told}") }
            );
        }
        done.push(json!({ "action": step.action.word(), "target": step.thing, "told": told }));
    }
    if context.is_json() {
        println!("{}", serde_json::Value::Array(done));
    }
    Ok(())
}

fn past(action: Action) -> &'static str {
    match action {
        Action::Make => "made",
        Action::Empty => "emptied",
        Action::Drop => "dropped",
    }
}

fn show(steps: &[Step]) {
    if steps.is_empty() {
        println!("nothing to do");
        return;
    }
    let width = steps.iter().map(|step| step.thing.chars().count()).max().unwrap_or(0);
    for Step { action, thing, detail, .. } in steps {
        println!("{}", format!("will {:<5}  {thing:<width$}  {detail}", action.word()).trim_end());
    }
}

/// A `y` on a terminal; elsewhere nobody is asked.
fn confirmed() -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("Do this? [y/N] ");
    io::stderr().flush().ok();
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|source| Error::Look { thing: "the answer".to_owned(), source: source.into() })?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use base::problem::plain;

    use super::*;

    #[test]
    fn every_error_says_what_to_do() {
        let target = || "mongodb://127.0.0.1/fleet/planes".to_owned();
        let errors = [
            Error::Target { target: "planes".to_owned() },
            Error::PrefixOfOne { target: target() },
            Error::Keyless { target: "dynamodb://local/planes".to_owned() },
            Error::Unconfirmed { steps_count: 1 },
            Error::Unconfirmed { steps_count: 1_200 },
            Error::Stopped { action: "drop", thing: target(), done_count: 2, source: "refused".into() },
            Error::Look { thing: target(), source: "connection refused".into() },
        ];
        let texts: Vec<String> = errors.iter().map(|error| plain(error)).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn what_becomes_of_a_thing_follows_the_flags() {
        let args = |empty, drop, create| Args {
            targets: Vec::new(),
            prefix: None,
            empty,
            drop,
            create,
            partitions: 1,
            key: None,
            yes: false,
        };
        use Action::{Drop, Empty, Make};
        let cases: [(Args, &[Action], &[Action]); 6] = [
            (args(false, false, false), &[Empty], &[]),
            (args(true, false, false), &[Empty], &[]),
            (args(false, true, false), &[Drop], &[]),
            (args(false, false, true), &[], &[Make]),
            (args(true, false, true), &[Empty], &[Make]),
            (args(false, true, true), &[Drop, Make], &[Make]),
        ];
        for (args, there, missing) in cases {
            assert_eq!((args.actions(true), args.actions(false)), (there.to_vec(), missing.to_vec()));
        }
    }
}
