//! `tidemill run NAME`: one load of a pipeline of `pipelines/`, begun or gone on with.

mod failure;
mod show;

use std::{collections::BTreeMap, sync::Arc};

use base::SystemClock;
use cloud::store::Cloud;
use connectors::{Settings, objects};
use engine::{Ended, Progress};
use pipelines::{
    Backfill, Buckets, Lake, Letters, Options, PipelineFile, Places, Reached, Report, Target, TargetAddress,
    plan, scalar_value, state::StateFolder,
};
use project::Connection;
use tokio_util::sync::CancellationToken;

pub(super) use failure::RunError;

use crate::{
    context::{Context, Failure},
    memory, reach,
    shown::Shown,
};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tidemill run planes_to_lake
  tidemill run planes_to_lake --from 2024-01-01 --to 2024-02-01 --streams planes")]
pub struct Args {
    /// Name of a file in pipelines/, or its path
    #[arg(value_name = "NAME")]
    name: String,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Forget the cursors and load everything; it takes the place of what is there when it is complete
    #[arg(long, conflicts_with_all = ["from", "to"])]
    full_refresh: bool,
    /// Load records from this value of the cursor on, without moving it
    #[arg(long, value_name = "VALUE")]
    from: Option<String>,
    /// Load records below this value of the cursor, without moving it
    #[arg(long, value_name = "VALUE")]
    to: Option<String>,
    /// Only these streams [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    streams: Vec<String>,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let file = PipelineFile::open(context.project()?, &args.name)?;
    let options = options(&args, file, context).await?;
    plan::check_backfill(&options)?;
    if args.dry_run {
        let planned = plan::plan(&options).await.map_err(RunError::of)?;
        show::plan(context, &planned);
        return Ok(());
    }
    let (name, target) = (options.file.name.clone(), options.file.target_shown(&options.places));
    let stop = CancellationToken::new();
    let on_interrupt = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            on_interrupt.cancel();
        }
    });
    memory::forget_the_start(options.progress.clone());
    let (shown, progress) = (Shown::begin(None, "{spinner} {msg}"), options.progress.clone());
    let told = |seconds| show::line(&name, &progress, seconds);
    let ended = shown.until(pipelines::run(options, stop), told).await;
    let report = ended.map_err(RunError::of)?;
    if report.ended == Ended::Stopped {
        return Err(Box::new(RunError::Interrupted { pipeline: name, load_id: report.load_id }));
    }
    show::report(context, &name, &target, &report, shown.seconds());
    Ok(())
}

/// A run that reads these dead letters, by stream, instead of the pipeline's source.
pub(super) async fn of_letters(
    file: PipelineFile,
    letters: BTreeMap<String, Letters>,
    context: &Context,
) -> Result<Report, Failure> {
    let args = Args {
        name: file.name.clone(),
        dry_run: false,
        full_refresh: false,
        from: None,
        to: None,
        streams: letters.keys().cloned().collect(),
    };
    let options = Options { letters: Some(letters), ..options(&args, file, context).await? };
    let stop = CancellationToken::new();
    let on_interrupt = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            on_interrupt.cancel();
        }
    });
    let pipeline = options.file.name.clone();
    let report = pipelines::run(options, stop).await.map_err(RunError::of)?;
    match report.ended {
        Ended::Stopped => Err(Box::new(RunError::Interrupted { pipeline, load_id: report.load_id })),
        Ended::Finished => Ok(report),
    }
}

async fn options(args: &Args, file: PipelineFile, context: &Context) -> Result<Options, Failure> {
    let project = context.project()?;
    let streams = file.streams_named(&args.streams)?;
    let places = places(&file, context)?;
    let address = file.target_address(&places)?;
    file.check_dispositions(&streams, &address)?;
    let value = |text: &Option<String>| text.as_deref().map(scalar_value);
    let is_backfill = args.from.is_some() || args.to.is_some();
    let state_folder = project.state_folder()?;
    Ok(Options {
        target: target(&file, address, context).await?,
        streams,
        places,
        state: StateFolder::of(&state_folder, &file.name),
        dead_letters: state_folder.join("dead-letters"),
        full_refresh: args.full_refresh,
        backfill: is_backfill.then(|| Backfill { from: value(&args.from), to: value(&args.to) }),
        letters: None,
        clock: Arc::new(SystemClock),
        progress: Arc::new(Progress::default()),
        file,
    })
}

/// What addresses mean here: paths below the project, `SCHEME://local` its own parts, connections the project's.
pub(super) fn places(file: &PipelineFile, context: &Context) -> Result<Places, Failure> {
    let project = context.project()?;
    let mut places = Places { root: project.root.clone(), ..Places::default() };
    places.local.insert("dynamodb".to_owned(), reach::local_dynamodb(context)?);
    let connections = project.connections()?;
    let url = file.source.url.as_deref().unwrap_or_default();
    if url.starts_with("kafka://") || file.source.connection.is_some() {
        let registry = file.source.settings.get("registry");
        places.registry = Some(context.registry(registry.map(String::as_str), &[])?);
    }
    if url.starts_with("kafka://local") {
        let mut settings = context.kafka_properties()?;
        settings.insert("bootstrap.servers".to_owned(), context.kafka(None)?);
        places.local.insert("kafka".to_owned(), settings);
    }
    for name in [&file.source.connection, &file.target.connection].into_iter().flatten() {
        if connections.has(name) {
            places.connections.insert(name.clone(), reached(&connections.get(name)?));
        }
    }
    Ok(places)
}

/// A connection as an address, and the settings of its connector.
fn reached(connection: &Connection) -> Reached {
    match connection.conn_type() {
        "mongo" | "mongodb" => {
            let uri = reach::mongodb_uri(connection);
            let mut settings = Settings::new();
            settings.extend(connection.schema().map(|name| ("database".to_owned(), name.to_owned())));
            Reached { address: uri.reveal().to_owned(), settings, buckets: None }
        }
        "aws" | "dynamodb" => {
            let bucket = reach::of_service(connection, "s3", "bucket_name");
            let address = bucket.map(|bucket| format!("s3://{bucket}"));
            let settings = reach::aws_settings(connection, "s3");
            Reached {
                address: "dynamodb://".to_owned(),
                settings: reach::aws_settings(connection, "dynamodb"),
                buckets: Some(Buckets { cloud: Cloud::S3, address, settings }),
            }
        }
        "kafka" => {
            let settings = reach::kafka_settings(connection);
            Reached { address: "kafka://".to_owned(), settings, buckets: None }
        }
        "google_cloud_platform" => {
            let settings = reach::google_settings(connection);
            let buckets = Buckets { cloud: Cloud::Gcs, address: None, settings: settings.clone() };
            Reached { address: "firestore://".to_owned(), settings, buckets: Some(buckets) }
        }
        // Nothing of ours reads it, and that is said with the place it is named at.
        other => Reached { address: format!("{other}://"), settings: Settings::new(), buckets: None },
    }
}

/// Opens the target with its connection's keys, this project's, or the cloud's own identity.
pub(super) async fn target(
    file: &PipelineFile,
    address: TargetAddress,
    context: &Context,
) -> Result<Target, Failure> {
    let dataset = &file.target.dataset;
    Ok(match address {
        TargetAddress::Bucket { address, settings } => {
            let bucket = match (file.target.connection.is_some(), address.cloud) {
                (false, _) => super::ls::open(&address, context).await?,
                (true, Cloud::S3) => reach::s3_bucket(&settings, &address.bucket).await?,
                (true, Cloud::Gcs) => reach::gcs_bucket(&settings, &address.bucket)?,
            };
            let place = bucket.address().into();
            let target = objects::Target { store: bucket.store.clone(), bucket: Some(bucket), place };
            Target::Lake(Lake::new(target, &address.key, dataset))
        }
        TargetAddress::Folder(folder) => {
            let shown = context.project()?.shown(&folder);
            Target::Lake(Lake::in_folder(&folder, &shown, dataset)?)
        }
        TargetAddress::Store { scheme, settings } => Target::Store { scheme, settings },
    })
}
