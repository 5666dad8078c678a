//! `tidemill schema`: a client of the Confluent Schema Registry API, for the project's registry and for real ones alike.
//!
//! Map: this file the subcommands; `schema/client.rs` the REST client; `schema/local.rs` contract files.

mod client;
mod local;

use std::path::{Path, PathBuf};

use base::ContractKind;
use contracts::Document;
use registry::Error;
use serde_json::{Value, json};

use crate::context::{Context, Failure};
use client::Registry;
use local::{Local, full, referenced};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// The registry's address [default: the project's registry]
    #[arg(long, global = true, value_name = "URL", env = "TIDEMILL_REGISTRY_URL")]
    url: Option<String>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Register a contract: `register flights` takes contracts/flights.json, .avsc or .proto for the subject flights-value
    Register {
        /// A topic, or a subject that ends in -value or -key
        #[arg(value_name = "SUBJECT")]
        subject: String,
        /// The contract [default: the file of that name in contracts/]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Let the registry bring it into its normal form
        #[arg(long)]
        normalize: bool,
        /// A schema that it refers to, by its name there: NAME=SUBJECT[@VERSION]
        #[arg(long = "reference", value_name = "REFERENCE")]
        references: Vec<String>,
    },
    /// List subjects with their newest versions
    List {
        /// Only subjects that begin so
        prefix: Option<String>,
        /// Deleted ones too
        #[arg(long)]
        deleted: bool,
    },
    /// Print a schema
    #[command(disable_version_flag = true)]
    Get {
        #[arg(value_name = "SUBJECT", required_unless_present = "id")]
        subject: Option<String>,
        /// A version's number, or latest
        #[arg(long, default_value = "latest")]
        version: String,
        /// The schema with this id, whatever its subject
        #[arg(long, conflicts_with = "subject")]
        id: Option<i32>,
    },
    /// List a subject's versions
    Versions {
        #[arg(value_name = "SUBJECT")]
        subject: String,
        /// Deleted ones too
        #[arg(long)]
        deleted: bool,
    },
    /// Ask whether a contract could be registered, without doing it
    #[command(disable_version_flag = true)]
    Check {
        #[arg(value_name = "SUBJECT")]
        subject: String,
        /// The contract [default: the file of that name in contracts/]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Against this version alone [default: as the subject's level says]
        #[arg(long)]
        version: Option<String>,
        /// A schema that it refers to, by its name there: NAME=SUBJECT[@VERSION]
        #[arg(long = "reference", value_name = "REFERENCE")]
        references: Vec<String>,
    },
    /// Show what differs between two versions, or between the newest and the contract file
    Diff {
        #[arg(value_name = "SUBJECT")]
        subject: String,
        /// The older version
        #[arg(long, default_value = "latest")]
        from: String,
        /// The newer version [default: the file in contracts/]
        #[arg(long)]
        to: Option<String>,
        #[arg(long, value_name = "FILE", conflicts_with = "to")]
        file: Option<PathBuf>,
    },
    /// Delete a subject or one version of it
    #[command(disable_version_flag = true)]
    Delete {
        #[arg(value_name = "SUBJECT")]
        subject: String,
        /// This version alone
        #[arg(long)]
        version: Option<String>,
        /// For good: its ids are gone too
        #[arg(long)]
        permanent: bool,
    },
    /// Show or set compatibility levels
    Compatibility {
        #[command(subcommand)]
        command: Compatibility,
    },
}

#[derive(clap::Subcommand)]
enum Compatibility {
    /// Show the level of a subject, or of all
    Get {
        #[arg(value_name = "SUBJECT")]
        subject: Option<String>,
    },
    /// Set the level: NONE, BACKWARD, FORWARD, FULL, or one of them with _TRANSITIVE
    Set {
        level: String,
        #[arg(value_name = "SUBJECT")]
        subject: Option<String>,
    },
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let url = args.url.as_deref();
    let registry = Registry::at(&context.registry_url(url)?, context.registry_access(url, &[])?);
    match args.command {
        Command::Register { subject, file, normalize, references } => {
            let local = Local::read(context, &registry, &subject, file.as_deref(), &references).await?;
            register(&registry, context, &local, normalize).await
        }
        Command::List { prefix, deleted } => list(&registry, context, prefix.as_deref(), deleted).await,
        Command::Get { subject, version, id } => {
            get(&registry, context, subject.as_deref(), &version, id).await
        }
        Command::Versions { subject, deleted } => versions(&registry, context, &subject, deleted).await,
        Command::Check { subject, file, version, references } => {
            let local = Local::read(context, &registry, &subject, file.as_deref(), &references).await?;
            check(&registry, local, version.as_deref()).await
        }
        Command::Diff { subject, from, to, file } => {
            diff(&registry, context, &subject, &from, to.as_deref(), file.as_deref()).await
        }
        Command::Delete { subject, version, permanent } => {
            delete(&registry, &subject, version.as_deref(), permanent).await
        }
        Command::Compatibility { command } => compatibility(&registry, context, command).await,
    }
}

/// Confluent's kind in an answer: Avro where it names none.
fn kind_in(answer: &Value) -> ContractKind {
    match answer["schemaType"].as_str() {
        Some("JSON") => ContractKind::JsonSchema,
        Some("PROTOBUF") => ContractKind::Protobuf,
        _ => ContractKind::Avro,
    }
}

fn kind_word(answer: &Value) -> &str {
    answer["schemaType"].as_str().unwrap_or("AVRO")
}

async fn register(
    registry: &Registry,
    context: &Context,
    local: &Local,
    normalize: bool,
) -> Result<(), Failure> {
    let subject = local.subject.as_str();
    let query = if normalize { "normalize=true" } else { "" };
    let what = format!("register {subject}");
    let answer = registry.post(&what, &["subjects", subject, "versions"], query, &local.body()).await?;
    let version = registry.post(&what, &["subjects", subject], query, &local.body()).await;
    let version = version.map(|found| found["version"].clone()).unwrap_or_default();
    if context.is_json() {
        println!("{}", json!({ "subject": subject, "version": version, "id": answer["id"] }));
    } else {
        println!(
            "registered {subject} version {version} with id {} from {}",
            answer["id"],
            local.path.display()
        );
    }
    Ok(())
}

async fn list(
    registry: &Registry,
    context: &Context,
    prefix: Option<&str>,
    deleted: bool,
) -> Result<(), Failure> {
    let query = if deleted { "deleted=true" } else { "" };
    let subjects = registry.get("list the subjects", &["subjects"], query).await?;
    let names = subjects.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut found = Vec::new();
    for name in names.filter(|name| prefix.is_none_or(|prefix| name.starts_with(prefix))) {
        let what = format!("show {name}");
        found.push(registry.get(&what, &["subjects", name, "versions", "latest"], query).await?);
    }
    if context.is_json() {
        println!("{}", Value::Array(found));
        return Ok(());
    }
    let width =
        found.iter().filter_map(|found| Some(found["subject"].as_str()?.len())).max().unwrap_or(0).max(7);
    println!("{:<width$}  VERSION  ID      TYPE", "SUBJECT");
    for found in &found {
        let subject = found["subject"].as_str().unwrap_or_default();
        let (version, id) = (found["version"].to_string(), found["id"].to_string());
        println!("{subject:<width$}  {version:<7}  {id:<6}  {}", kind_word(found));
    }
    Ok(())
}

async fn get(
    registry: &Registry,
    context: &Context,
    subject: Option<&str>,
    version: &str,
    id: Option<i32>,
) -> Result<(), Failure> {
    let found = match (id, subject) {
        (Some(id), _) => {
            let id = id.to_string();
            registry.get(&format!("show the schema {id}"), &["schemas", "ids", &id], "").await?
        }
        (None, subject) => fetch(registry, &full(subject.unwrap_or_default()), version).await?,
    };
    if context.is_json() {
        println!("{found}");
        return Ok(());
    }
    println!("{}", pretty(found["schema"].as_str().unwrap_or_default()));
    Ok(())
}

async fn fetch(registry: &Registry, subject: &str, version: &str) -> Result<Value, Failure> {
    registry.get(&format!("show {subject}"), &["subjects", subject, "versions", version], "").await
}

fn pretty(text: &str) -> String {
    let json: Result<Value, _> = serde_json::from_str(text);
    json.ok().and_then(|json| serde_json::to_string_pretty(&json).ok()).unwrap_or_else(|| text.to_owned())
}

async fn versions(
    registry: &Registry,
    context: &Context,
    subject: &str,
    deleted: bool,
) -> Result<(), Failure> {
    let subject = full(subject);
    let query = if deleted { "deleted=true" } else { "" };
    let what = format!("list the versions of {subject}");
    let numbers = registry.get(&what, &["subjects", &subject, "versions"], query).await?;
    let mut found = Vec::new();
    for number in numbers.as_array().into_iter().flatten() {
        let number = number.to_string();
        found.push(registry.get(&what, &["subjects", &subject, "versions", &number], query).await?);
    }
    if context.is_json() {
        println!("{}", Value::Array(found));
        return Ok(());
    }
    println!("VERSION  ID      TYPE");
    for found in &found {
        let (version, id) = (found["version"].to_string(), found["id"].to_string());
        println!("{version:<7}  {id:<6}  {}", kind_word(found));
    }
    Ok(())
}

async fn check(registry: &Registry, local: Local, version: Option<&str>) -> Result<(), Failure> {
    let mut path = vec!["compatibility", "subjects", &local.subject, "versions"];
    path.extend(version);
    let answer =
        registry.post(&format!("check {}", local.subject), &path, "verbose=true", &local.body()).await?;
    if answer["is_compatible"] == json!(true) {
        println!("{} can be registered as {}", local.path.display(), local.subject);
        return Ok(());
    }
    let messages = answer["messages"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // The old schema in full is what `diff` shows better.
    let messages =
        messages.filter(|message| !message.starts_with("{oldSchema:")).map(str::to_owned).collect();
    let version = version.map_or("versions".to_owned(), |version| format!("version {version}"));
    Err(Box::new(Error::CheckFailed { subject: local.subject, version, messages }))
}

async fn diff(
    registry: &Registry,
    context: &Context,
    subject: &str,
    from: &str,
    to: Option<&str>,
    file: Option<&Path>,
) -> Result<(), Failure> {
    let full_name = full(subject);
    let old = fetch(registry, &full_name, from).await?;
    let references = |found: &Value| found["references"].as_array().cloned().unwrap_or_default();
    let (new_text, new_kind, new_name, new_references) = match to {
        Some(version) => {
            let new = fetch(registry, &full_name, version).await?;
            let text = new["schema"].as_str().unwrap_or_default().to_owned();
            let name = format!("{full_name} version {}", new["version"]);
            (text, kind_in(&new), name, references(&new))
        }
        None => {
            // What the file refers to is what the registered version refers to.
            let named: Vec<String> = references(&old).iter().map(reference_text).collect();
            let local = Local::read(context, registry, subject, file, &named).await?;
            (local.text.clone(), local.kind, local.path.display().to_string(), local.references)
        }
    };
    let old_text = old["schema"].as_str().unwrap_or_default();
    let old_name = format!("{full_name} version {}", old["version"]);
    let (before, after) = (pretty(old_text), pretty(&new_text));
    if before == after {
        println!("{old_name} and {new_name} are the same");
        return Ok(());
    }
    println!("--- {old_name}\n+++ {new_name}");
    for line in line_diff(&before, &after) {
        println!("{line}");
    }
    let texts = referenced(registry, &references(&old)).await?;
    let old_document = Document::parse_with(kind_in(&old), &old_name, old_text, &texts)?;
    let texts = referenced(registry, &new_references).await?;
    let new_document = Document::parse_with(new_kind, &new_name, &new_text, &texts)?;
    for (reader, writer, names, what) in [
        (&new_document, &old_document, ("new", "old"), "the new schema reads data of the old one"),
        (&old_document, &new_document, ("old", "new"), "the old schema reads data of the new one"),
    ] {
        let found = contracts::compatibility::can_read(reader, writer);
        println!("{what}: {}", if found.is_empty() { "yes" } else { "no" });
        for incompatibility in found {
            println!("  {}", incompatibility.message(names.0, names.1));
        }
    }
    Ok(())
}

/// A reference as `--reference` takes it.
fn reference_text(reference: &Value) -> String {
    let text = |name: &str| reference[name].as_str().unwrap_or_default().to_owned();
    format!("{}={}@{}", text("name"), text("subject"), reference["version"])
}

/// Lines that went and came, by the longest common subsequence; texts of schemas are short.
fn line_diff(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut lengths = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for (i, left) in old.iter().enumerate().rev() {
        for (j, right) in new.iter().enumerate().rev() {
            lengths[i][j] = match left == right {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && lengths[i + 1][j] >= lengths[i][j + 1]) {
            lines.push(format!("-{}", old[i]));
            i += 1;
        } else {
            lines.push(format!("+{}", new[j]));
            j += 1;
        }
    }
    lines
}

async fn delete(
    registry: &Registry,
    subject: &str,
    version: Option<&str>,
    permanent: bool,
) -> Result<(), Failure> {
    let subject = full(subject);
    let query = if permanent { "permanent=true" } else { "" };
    let what = format!("delete {subject}");
    let mut path = vec!["subjects", subject.as_str()];
    if let Some(version) = version {
        path.extend(["versions", version]);
    }
    let gone = registry.delete(&what, &path, query).await?;
    let how = if permanent { "for good" } else { "softly; --permanent removes it for good" };
    println!("deleted {subject} {gone} {how}");
    Ok(())
}

async fn compatibility(
    registry: &Registry,
    context: &Context,
    command: Compatibility,
) -> Result<(), Failure> {
    match command {
        Compatibility::Get { subject } => {
            let subject = subject.as_deref().map(full);
            let mut path = vec!["config"];
            path.extend(subject.as_deref());
            let query = if subject.is_some() { "defaultToGlobal=true" } else { "" };
            let answer = registry.get("show the compatibility level", &path, query).await?;
            match context.is_json() {
                true => println!("{answer}"),
                false => println!("{}", answer["compatibilityLevel"].as_str().unwrap_or_default()),
            }
        }
        Compatibility::Set { level, subject } => {
            let level: contracts::compatibility::Level = level.parse()?;
            let subject = subject.as_deref().map(full);
            let mut path = vec!["config"];
            path.extend(subject.as_deref());
            let body = json!({ "compatibility": level.name() });
            registry.put("set the compatibility level", &path, &body).await?;
            println!("{} is {level}", subject.as_deref().unwrap_or("the level of all subjects"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        let command = clap::Command::new("schema").version("1").propagate_version(true);
        <Args as clap::Args>::augment_args(command).debug_assert();
    }

    #[test]
    fn a_topic_stands_for_its_values() {
        assert_eq!(
            ["flights", "flights-key", "flights-value"].map(full),
            ["flights-value", "flights-key", "flights-value"]
        );
    }

    #[test]
    fn the_diff_has_only_what_differs() {
        assert_eq!(line_diff("a\nb\nc", "a\nx\nc\nd"), ["-b", "+x", "+d"]);
        assert!(line_diff("a", "a").is_empty());
    }
}
