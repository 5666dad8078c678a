//! `tidemill connections`: what the project's connections are, whether they work, and Airflow's own files of them.
//!
//! Map: this file listing and exporting; `connections/trial.rs` what trying one means for each type.

mod trial;

use base::Spot;
use project::{Connection, Connections};
use serde_json::{Map, Value, json};

use crate::context::{Context, Failure};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List connections: their types, their hosts, where each comes from
    List,
    /// Connect to where connections lead
    Test {
        /// Which connections [default: all]
        ids: Vec<String>,
        /// Also look for this bucket, with an AWS connection
        #[arg(long)]
        bucket: Option<String>,
    },
    /// Print connections in one of Airflow's import formats
    Export {
        /// Which connections [default: all]
        ids: Vec<String>,
        #[arg(long, value_enum, default_value = "yaml")]
        format: Format,
        /// Print passwords and extras too
        #[arg(long)]
        with_secrets: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Yaml,
    Json,
    /// ID=URI, a line each
    Env,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let connections = context.project()?.connections()?;
    match args.command {
        Command::List => list(&connections, context),
        Command::Test { ids, bucket } => test(&connections, context, ids, bucket.as_deref()).await,
        Command::Export { ids, format, with_secrets } => export(&connections, ids, format, with_secrets),
    }
}

/// `host:port`, or what of it there is.
fn place(connection: &Connection) -> String {
    if let Some(servers) = connection.extra_text("bootstrap.servers") {
        return servers;
    }
    match (connection.host(), connection.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, Some(port)) => format!(":{port}"),
        (None, None) => "-".to_owned(),
    }
}

fn list(connections: &Connections, context: &Context) -> Result<(), Failure> {
    let mut rows = vec![["ID", "TYPE", "HOST", "SCHEMA", "LOGIN", "FROM"].map(str::to_owned)];
    let (mut all, mut broken) = (Vec::new(), Vec::new());
    for id in connections.ids() {
        let origins = connections.origins(&id);
        let from: Vec<String> = origins.iter().map(ToString::to_string).collect();
        match connections.get(&id) {
            Ok(connection) if context.is_json() => all.push(json!({
                "conn_id": id,
                "conn_type": connection.conn_type(),
                "host": connection.host(),
                "port": connection.port(),
                "schema": connection.schema(),
                "login": connection.login(),
                "has_password": connection.password().is_some(),
                "extra": connection.extra_names(),
                "description": connection.description(),
                "from": from,
            })),
            Ok(connection) => {
                let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
                let (schema, login) = (text(connection.schema()), text(connection.login()));
                let shown = from.first().cloned().unwrap_or_default();
                rows.push([id, connection.conn_type().to_owned(), place(&connection), schema, login, shown]);
            }
            Err(error) => {
                let shown = from.first().cloned().unwrap_or_default();
                all.push(json!({ "conn_id": id, "error": error.to_string(), "from": from }));
                broken.push(error.to_string());
                let nothing = || "-".to_owned();
                rows.push([id, "broken".to_owned(), nothing(), nothing(), nothing(), shown]);
            }
        }
    }
    if context.is_json() {
        println!("{}", Value::Array(all));
    } else if rows.len() == 1 {
        println!("no connections: add connections.yaml, or set AIRFLOW_CONN_NAME");
    } else {
        print_table(&rows);
        broken.iter().for_each(|line| println!("{line}"));
    }
    Ok(())
}

fn print_table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn chosen(connections: &Connections, ids: Vec<String>) -> Vec<String> {
    if ids.is_empty() { connections.ids() } else { ids }
}

/// All are tried; the first that does not work is the error.
async fn test(
    connections: &Connections,
    context: &Context,
    ids: Vec<String>,
    bucket: Option<&str>,
) -> Result<(), Failure> {
    let is_all = ids.is_empty();
    let (mut results, mut first) = (Vec::new(), None);
    for id in chosen(connections, ids) {
        let tried = match connections.get(&id) {
            Ok(connection) => trial::run(&connection, bucket).await,
            Err(error) => Err(Box::new(error) as Failure),
        };
        let (word, text) = match &tried {
            Ok(told) => ("works", told.clone()),
            // Nothing is wrong with what only other tools can try.
            Err(failure) if is_all && failure.code() == base::code::TM1055 => {
                ("untried", failure.to_string())
            }
            Err(failure) => ("fails", failure.to_string()),
        };
        if context.is_json() {
            results.push(json!({ "conn_id": id, "result": word, "text": text }));
        } else {
            println!("{id}: {word}: {text}");
        }
        if word == "fails" && first.is_none() {
            first = tried.err();
        }
    }
    if context.is_json() {
        println!("{}", Value::Array(results));
    }
    first.map_or(Ok(()), Err)
}

/// As `airflow connections export` writes them: all eight keys, in its order.
fn exported(connection: &Connection, with_secrets: bool) -> Value {
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    let secret = |secret: Option<base::Secret>| match secret {
        Some(secret) if with_secrets => Value::from(secret.reveal()),
        Some(_) | None => Value::Null,
    };
    json!({
        "conn_type": connection.conn_type(),
        "description": text(connection.description()),
        "login": text(connection.login()),
        "password": secret(connection.password()),
        "host": text(connection.host()),
        "port": connection.port(),
        "schema": text(connection.schema()),
        "extra": secret(connection.extra_json()),
    })
}

fn export(
    connections: &Connections,
    ids: Vec<String>,
    format: Format,
    with_secrets: bool,
) -> Result<(), Failure> {
    let mut all = Map::new();
    for id in chosen(connections, ids) {
        let connection = connections.get(&id)?;
        let value = match format {
            Format::Env if with_secrets => Value::from(connection.uri().reveal()),
            Format::Env => Value::from(connection.without_secrets().uri().reveal()),
            Format::Yaml | Format::Json => exported(&connection, with_secrets),
        };
        all.insert(id, value);
    }
    match format {
        Format::Json => println!("{:#}", Value::Object(all)),
        Format::Env => {
            all.iter().for_each(|(id, uri)| println!("{id}={}", uri.as_str().unwrap_or_default()));
        }
        Format::Yaml => all.iter().for_each(|(id, fields)| print_yaml(id, fields)),
    }
    Ok(())
}

/// JSON's texts and numbers are YAML's, so that none is taken for a word of another meaning.
fn print_yaml(id: &str, fields: &Value) {
    println!("{}:", Value::from(id));
    for (name, value) in fields.as_object().into_iter().flatten() {
        println!("  {name}: {value}");
    }
}

/// Where a connection was given, for errors of what it leads to.
fn spot(connection: &Connection) -> Option<Spot> {
    connection.origin.line()
}
