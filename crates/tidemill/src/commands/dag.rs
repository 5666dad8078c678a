//! `tidemill dag`: a client of Airflow's public REST API, version 2, for the project's scheduler and for real ones alike.
//!
//! Map: this file the subcommands; `dag/client.rs` the REST client and its sign-in; `dag/follow.rs` a run's tasks and logs as
//! they happen; `dag/show.rs` how things are printed; `dag/trial.rs` a run without any scheduler but its own; `dag/errors.rs` what
//! can go wrong.

mod client;
mod errors;
mod follow;
mod show;
mod trial;

use base::Secret;
use client::{Access, Client};
use errors::DagError;
use serde_json::{Map, Value, json};

use crate::context::{Context, Failure};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// The scheduler's address, or that of an Airflow 3 API server [default: the project's scheduler]
    #[arg(long, global = true, value_name = "URL", env = "TIDEMILL_DAG_URL")]
    url: Option<String>,
    /// A token of the API
    #[arg(long, global = true, value_name = "TOKEN", env = "TIDEMILL_DAG_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Who signs in where there is no token
    #[arg(long, global = true, value_name = "NAME", env = "TIDEMILL_DAG_USER")]
    user: Option<String>,
    /// The password of --user
    #[arg(
        long,
        global = true,
        value_name = "PASSWORD",
        env = "TIDEMILL_DAG_PASSWORD",
        hide_env_values = true
    )]
    password: Option<String>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List DAGs, and DAG files that cannot be read
    List,
    /// Show a DAG and its tasks
    Show { dag: String },
    /// Start a run
    Trigger {
        dag: String,
        /// What the run gets as its configuration: a JSON object
        #[arg(long, value_name = "JSON")]
        conf: Option<String>,
        /// The run's logical date, such as 2026-01-31 or 2026-01-31T10:00:00Z [default: none]
        #[arg(long, value_name = "DATE")]
        logical_date: Option<String>,
        /// The run's id [default: made by the scheduler]
        #[arg(long, value_name = "ID")]
        run_id: Option<String>,
        /// Show the run's tasks and logs until it ends; fails where the run fails
        #[arg(long)]
        wait: bool,
    },
    /// Run a DAG for all its dates in a range
    Backfill {
        dag: String,
        /// The first date, such as 2026-01-01
        #[arg(long, value_name = "DATE")]
        from: String,
        /// The last date
        #[arg(long, value_name = "DATE")]
        to: String,
        /// Which runs that are there already run again
        #[arg(long, value_parser = ["none", "failed", "completed"], default_value = "none")]
        reprocess: String,
        /// Runs at once
        #[arg(long, value_name = "RUNS", default_value_t = 10)]
        max_active_runs: u32,
        /// The last date first
        #[arg(long)]
        backwards: bool,
        /// What the runs get as their configuration: a JSON object
        #[arg(long, value_name = "JSON")]
        conf: Option<String>,
        /// Only show the dates
        #[arg(long)]
        dry_run: bool,
    },
    /// Start no more runs by schedule
    Pause {
        #[arg(required = true)]
        dags: Vec<String>,
    },
    /// Go on starting runs by schedule
    Unpause {
        #[arg(required = true)]
        dags: Vec<String>,
    },
    /// List a DAG's runs, the latest first
    Runs {
        dag: String,
        /// So many at most
        #[arg(long, value_name = "RUNS", default_value_t = 25)]
        limit: u32,
        /// Only those in this state: queued, running, success, failed
        #[arg(long)]
        state: Option<String>,
    },
    /// List the tasks of a run with their states
    Tasks {
        dag: String,
        /// The run [default: the latest]
        #[arg(long, value_name = "ID")]
        run: Option<String>,
    },
    /// Print a task's log
    Logs {
        dag: String,
        task: String,
        /// The run [default: the latest]
        #[arg(long, value_name = "ID")]
        run: Option<String>,
        /// Which try [default: the last]
        #[arg(long = "try", value_name = "NUMBER")]
        try_number: Option<u32>,
        /// Which of a mapped task's instances
        #[arg(long, value_name = "INDEX", default_value_t = -1, allow_negative_numbers = true)]
        map_index: i32,
        /// Go on printing until the task ends
        #[arg(short, long)]
        follow: bool,
    },
    /// Let tasks run again
    Clear(Clear),
    /// Run a DAG once, here and now: no scheduler is needed, and none knows of it
    Test {
        dag: String,
        /// The run's logical date, such as 2026-01-31 or 2026-01-31T10:00:00Z [default: now]
        #[arg(long, value_name = "DATE")]
        date: Option<String>,
        /// What the run gets as its configuration: a JSON object
        #[arg(long, value_name = "JSON")]
        conf: Option<String>,
    },
}

#[derive(clap::Args)]
struct Clear {
    dag: String,
    /// The run [default: the latest]
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Only these tasks
    #[arg(long, value_name = "TASK")]
    task: Vec<String>,
    /// Also what they depend on
    #[arg(long)]
    upstream: bool,
    /// Also what depends on them
    #[arg(long)]
    downstream: bool,
    /// Only tasks that failed
    #[arg(long)]
    only_failed: bool,
    /// Only show which tasks
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let access = match (args.token, args.user) {
        (Some(token), _) => Access::Token(Secret::new(token)),
        (None, Some(user)) => {
            Access::Password { user, password: Secret::new(args.password.unwrap_or_default()) }
        }
        (None, None) => Access::Open,
    };
    let client = Client::at(&context.scheduler_url(args.url.as_deref())?, access);
    match args.command {
        Command::List => list(&client, context).await,
        Command::Show { dag } => show_dag(&client, context, &dag).await,
        Command::Trigger { dag, conf, logical_date, run_id, wait } => {
            let body = json!({
                "logical_date": logical_date.as_deref().map(date).transpose()?,
                "dag_run_id": run_id,
                "conf": conf.as_deref().map(object).transpose()?.unwrap_or_default(),
            });
            trigger(&client, context, &dag, body, wait).await
        }
        Command::Backfill { dag, from, to, reprocess, max_active_runs, backwards, conf, dry_run } => {
            let body = json!({
                "dag_id": dag,
                "from_date": date(&from)?,
                "to_date": date(&to)?,
                "reprocess_behavior": reprocess,
                "max_active_runs": max_active_runs,
                "run_backwards": backwards,
                "dag_run_conf": conf.as_deref().map(object).transpose()?.unwrap_or_default(),
            });
            backfill(&client, context, body, dry_run).await
        }
        Command::Pause { dags } => pause(&client, context, &dags, true).await,
        Command::Unpause { dags } => pause(&client, context, &dags, false).await,
        Command::Runs { dag, limit, state } => runs(&client, context, &dag, limit, state.as_deref()).await,
        Command::Tasks { dag, run } => {
            let run = client.run_or_latest(&dag, run).await?;
            let tasks = client.task_instances(&dag, &run).await?;
            show::tasks(context, &run, &tasks);
            Ok(())
        }
        Command::Logs { dag, task, run, try_number, map_index, follow } => {
            let run = client.run_or_latest(&dag, run).await?;
            let log = follow::Log { dag: &dag, run: &run, task: &task, map_index, try_number };
            follow::log(&client, context, &log, follow).await
        }
        Command::Clear(clear) => self::clear(&client, context, clear).await,
        Command::Test { dag, date, conf } => {
            let date = date.as_deref().map(self::date).transpose()?;
            trial::run(context, &dag, date, conf.as_deref().map(object).transpose()?.unwrap_or_default())
                .await
        }
    }
}

async fn list(client: &Client, context: &Context) -> Result<(), Failure> {
    let dags = client.all(&["dags"], &[("order_by", "dag_id")], "dags").await?;
    let broken = client.all(&["importErrors"], &[], "import_errors").await?;
    if context.is_json() {
        println!("{}", json!({"dags": dags, "import_errors": broken}));
        return Ok(());
    }
    show::dags(&dags);
    show::broken_files(&broken);
    Ok(())
}

async fn show_dag(client: &Client, context: &Context, dag: &str) -> Result<(), Failure> {
    let details = client.get(&["dags", dag, "details"], &[]).await?;
    let tasks = client.get(&["dags", dag, "tasks"], &[]).await?;
    if context.is_json() {
        println!("{}", json!({"dag": details, "tasks": tasks["tasks"]}));
        return Ok(());
    }
    show::dag(&details, tasks["tasks"].as_array().map_or(&[], Vec::as_slice));
    Ok(())
}

async fn trigger(
    client: &Client,
    context: &Context,
    dag: &str,
    body: Value,
    wait: bool,
) -> Result<(), Failure> {
    let run = client.post(&["dags", dag, "dagRuns"], body).await?;
    let id = run["dag_run_id"].as_str().unwrap_or_default().to_owned();
    let is_paused = client.get(&["dags", dag], &[]).await?["is_paused"] == true;
    if is_paused {
        eprintln!("{dag} is paused: the run waits until: tidemill dag unpause {dag}");
    }
    if wait {
        return follow::run(client, context, dag, &id).await;
    }
    if context.is_json() {
        println!("{run}");
    } else {
        println!("triggered {dag}: {id}");
    }
    Ok(())
}

async fn backfill(client: &Client, context: &Context, body: Value, dry_run: bool) -> Result<(), Failure> {
    let dag = body["dag_id"].as_str().unwrap_or_default().to_owned();
    let path: &[&str] = if dry_run { &["backfills", "dry_run"] } else { &["backfills"] };
    let answer = client.post(path, body).await?;
    if context.is_json() {
        println!("{answer}");
    } else if dry_run {
        show::dry_run(&dag, answer["backfills"].as_array().map_or(&[], Vec::as_slice));
    } else {
        let (from, to) = (show::time(&answer["from_date"]), show::time(&answer["to_date"]));
        println!("backfill {} of {dag} from {from} to {to}", answer["id"]);
    }
    Ok(())
}

async fn pause(client: &Client, context: &Context, dags: &[String], is_paused: bool) -> Result<(), Failure> {
    for dag in dags {
        let answer = client.patch(&["dags", dag], json!({ "is_paused": is_paused })).await?;
        if context.is_json() {
            println!("{answer}");
        } else {
            println!("{} {dag}", if is_paused { "paused" } else { "unpaused" });
        }
    }
    Ok(())
}

async fn runs(
    client: &Client,
    context: &Context,
    dag: &str,
    limit: u32,
    state: Option<&str>,
) -> Result<(), Failure> {
    let limit = limit.to_string();
    let mut query = vec![("order_by", "-run_after"), ("limit", &limit)];
    query.extend(state.map(|state| ("state", state)));
    let answer = client.get(&["dags", dag, "dagRuns"], &query).await?;
    if context.is_json() {
        println!("{answer}");
        return Ok(());
    }
    show::runs(dag, answer["dag_runs"].as_array().map_or(&[], Vec::as_slice));
    Ok(())
}

async fn clear(client: &Client, context: &Context, clear: Clear) -> Result<(), Failure> {
    let run = client.run_or_latest(&clear.dag, clear.run).await?;
    let mut body = json!({
        "dry_run": clear.dry_run,
        "dag_run_id": run,
        "only_failed": clear.only_failed,
        "reset_dag_runs": true,
        "include_upstream": clear.upstream,
        "include_downstream": clear.downstream,
    });
    if !clear.task.is_empty() {
        body["task_ids"] = json!(clear.task);
    }
    let answer = client.post(&["dags", &clear.dag, "clearTaskInstances"], body).await?;
    if context.is_json() {
        println!("{answer}");
        return Ok(());
    }
    let tasks = answer["task_instances"].as_array().map_or(&[][..], Vec::as_slice);
    show::cleared(&run, tasks, clear.dry_run);
    Ok(())
}

/// A day or a moment as the API takes it: with a time and an offset.
fn date(text: &str) -> Result<String, Failure> {
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| format!("{day}T00:00:00Z"));
    let moment = || chrono::DateTime::parse_from_rfc3339(text).map(|moment| moment.to_rfc3339());
    let refuse = |_| Box::new(DagError::Date { text: text.to_owned() }) as Failure;
    day.or_else(|_| moment()).map_err(refuse)
}

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text).map_err(|source| Box::new(DagError::Conf { source }) as Failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_or_moments() {
        let read = |text: &str| date(text).map_err(|failure| failure.to_string());
        assert_eq!(read("2026-01-31").as_deref(), Ok("2026-01-31T00:00:00Z"));
        assert_eq!(read("2026-01-31T10:00:00+01:00").as_deref(), Ok("2026-01-31T10:00:00+01:00"));
        assert_eq!(read("yesterday").expect_err("no date"), "`yesterday` is no date");
    }
}
