//! `tidemill dag test`: one run by a scheduler of its own, which begins empty, follows no schedule and is gone with the run.

use std::net::{Ipv4Addr, SocketAddr};

use base::{Clock, Secret, SystemClock, code};
use chrono::{DateTime, SecondsFormat};
use scheduler::OwnStore;
use serde_json::{Map, Value, json};

use super::{
    client::{Access, Client},
    errors::DagError,
};
use crate::{
    commands::up::Signals,
    context::{Context, Failure},
    environment,
    errors::Error,
};

pub(super) async fn run(
    context: &Context,
    dag: &str,
    date: Option<String>,
    conf: Map<String, Value>,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let project = context.project()?;
    let folder = tempfile::tempdir().map_err(|source| Error::Write { path: std::env::temp_dir(), source })?;
    let own_store = context.s3()?.map(|s3| OwnStore {
        endpoint: s3.endpoint,
        access_key: s3.access_key,
        secret_key: s3.secret_key,
    });
    let options = scheduler::Options {
        state_folder: folder.path().to_owned(),
        database_url: Secret::default(),
        follows_schedules: false,
        own_store,
        ..environment::scheduler_options(project, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?
    };
    let grace_ms = options.kill_grace_ms.saturating_mul(2);
    let handle = scheduler::Service::start(options).await?;
    let client = Client::at(&format!("http://{}", handle.addr), Access::Open);
    let ran = tokio::select! {
        ran = one_run(&client, context, dag, date, conf) => ran,
        () = signals.any() => Err(Error::Interrupted.into()),
    };
    // Its tasks end with it: no later life would find them.
    let stopped = handle.stop(grace_ms).await;
    ran?;
    stopped.map_err(|source| DagError::Failed { url: "here".to_owned(), reason: source.to_string() }.into())
}

async fn one_run(
    client: &Client,
    context: &Context,
    dag: &str,
    date: Option<String>,
    conf: Map<String, Value>,
) -> Result<(), Failure> {
    client.patch(&["dags", dag], json!({ "is_paused": false })).await?;
    let now = || DateTime::from_timestamp_millis(SystemClock.now_ms()).unwrap_or_default();
    let date = date.unwrap_or_else(|| now().to_rfc3339_opts(SecondsFormat::Millis, true));
    let body = json!({ "logical_date": date, "dag_run_id": null, "conf": conf });
    let ran = super::trigger(client, context, dag, body, true).await;
    ran.map_err(|failure| match failure.code() == code::TM1045 {
        true => DagError::TestFailed { reason: failure.to_string() }.into(),
        false => failure,
    })
}
