//! Dead letters of a load, sent to its target by its arguments: a load of its own, whose records are the letters.
//!
//! What a file's records look like is told by the letters themselves; of loads of earlier versions, by the file that has to be there
//! still. Records of a topic are raw ones, in the topic's own format.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use base::{Backoff, Budget, Load, Source, SystemClock};
use connectors::{
    files::Format,
    output::Announce,
    received::{Columns, Received, Told},
    record::Shape,
};
use engine::{Cuts, DeadLetters, OnError, Progress, Stage, Summary, Transfer, checkpoints::NoCheckpoints};
use tokio_util::sync::CancellationToken;

use super::{
    Args, Manifest, Target, beside,
    failure::LoadError,
    hindrance::Hindrance,
    input::{Given, Input, Reading},
    kafka,
    records::{self, Records},
    stores,
};
use crate::{
    commands::dead_letters::Kind,
    context::{Context, Failure},
};

/// Dead letters of one load, as what it reads now.
pub(crate) struct Letters {
    pub(crate) source: Arc<dyn Source>,
    /// The places that they came from, and what the columns of their records are, where they say it.
    pub(crate) places: BTreeMap<Arc<str>, Option<Columns>>,
    /// Where those go that are refused again.
    pub(crate) refused: Arc<dyn DeadLetters>,
    /// The source anew, for a look at it.
    pub(crate) again: Box<dyn Fn() -> Arc<dyn Source> + Send + Sync>,
    /// Is told the file that they become, before that appears.
    pub(crate) announce: Announce,
}

/// What has become of letters.
pub(crate) struct Sent {
    pub(crate) summary: Summary,
    /// The file that they are, where it is one.
    pub(crate) file: Option<String>,
}

/// What the records of a load came from.
pub(crate) fn kind_of_source(manifest: &Manifest, context: &Context) -> Result<Kind, Failure> {
    let (args, _) = manifest.again(context)?;
    Ok(args.paths.split_last().map_or(Kind::Texts, |(_, sources)| records::kind(sources)))
}

/// Sends dead letters to the target of their load, by its arguments.
pub(crate) async fn send_again(
    manifest: &Manifest,
    context: &Context,
    letters: Letters,
) -> Result<Sent, Failure> {
    let (args, context) = manifest.again(context)?;
    let (target, sources) = args.paths.split_last().expect("clap asks for one");
    let target = Target::parse(target, &args, &context)?;
    let input = match Records::of_letters(&args, &context, sources, letters.source.clone())? {
        Some(records) => Input::Records(records),
        None => {
            let files = given(&args, &context, manifest, sources, &letters.places).await?;
            let mapping = args.reading.mapping(&args)?;
            Input::Given { source: letters.source.clone(), files, mapping }
        }
    };
    let prepared = match &target {
        Target::Kafka(topic) => kafka::prepare(&args, &context, topic, &input, None).await?,
        Target::Store(store) => stores::prepare(&args, &context, store, &input, manifest.began_ms).await?,
        Target::Files(files) => return beside::send(&args, &context, manifest, files, &input, letters).await,
    };
    let stages: Vec<Arc<dyn Stage>> = match &input {
        Input::Records(records) => records.stages(&args, &context, &target, prepared.stage)?,
        _ => {
            let stages = input.mapped().into_iter().chain([prepared.stage]).collect();
            vec![Arc::new(Received::new(stages))]
        }
    };
    let (progress, name) = (Arc::new(Progress::default()), prepared.name.clone());
    let transfer = Transfer {
        load: Load { id: manifest.id.as_str().into(), transfer: format!("load-{name}").into() },
        source: letters.source,
        stages,
        sink: Arc::new(Told(prepared.sink)),
        cuts: Cuts::default(),
        budget: Budget::new(prepared.budget_bytes),
        checkpoints: Arc::new(NoCheckpoints::default()),
        dead_letters: letters.refused,
        progress: progress.clone(),
        on_error: OnError::DeadLetter,
        clock: Arc::new(SystemClock),
        retries: Backoff::new(100, 1_000, 0, 1),
        lanes_count_max: 1,
    };
    let ended = transfer.run(CancellationToken::new()).await;
    let summary =
        ended.map_err(|fault| LoadError::of(fault, progress.records_committed(), &name) as Failure)?;
    Ok(Sent { summary, file: None })
}

/// What the records of these places look like: as they say themselves, else as their files have it; those of generators are JSON.
async fn given(
    args: &Args,
    context: &Context,
    manifest: &Manifest,
    sources: &[String],
    places: &BTreeMap<Arc<str>, Option<Columns>>,
) -> Result<Vec<Given>, Failure> {
    let read = Reading::of(args, Vec::new())?;
    let (mut files, mut others) = (Vec::new(), Vec::new());
    for (place, columns) in places {
        let Some(columns) = columns else {
            others.push(place.clone());
            continue;
        };
        let shape = columns.shape(&read.mapping, place, read.config.has_header);
        let shape = shape.map_err(|error| Box::new(error) as Failure)?;
        let kinds = match &shape {
            Shape::Csv { header, .. } => columns.kinds(header.len()),
            Shape::Json | Shape::Document | Shape::Rows => Vec::new(),
        };
        files.push(Given { path: place.clone(), shape, source: None, kinds });
    }
    if others.is_empty() {
        return Ok(files);
    }
    let whole = match args.pace.watch {
        None => Input::open(args, context, sources).await.ok(),
        Some(_) => None,
    };
    let known = whole.as_ref().map(Input::read_shapes).unwrap_or_default();
    let source = whole.as_ref().and_then(Input::files);
    for place in others {
        let file = match known.iter().find(|(path, _)| *path == place) {
            Some((path, shape)) => {
                Given { path: path.clone(), shape: shape.clone(), source: source.clone(), kinds: Vec::new() }
            }
            None => opened(&read, place, manifest)?,
        };
        files.push(file);
    }
    Ok(files)
}

/// A place that the load's arguments do not lead to any more.
fn opened(read: &Reading, place: Arc<str>, manifest: &Manifest) -> Result<Given, Failure> {
    let path = PathBuf::from(&*place);
    let format = read.config.format.or(Format::of_name(&place));
    let (source, shape) = match format {
        Some(_) if path.is_file() => {
            let opened = read.open(&place).map_err(|source| LoadError::Plan { source });
            let (source, shape) = opened.map_err(Box::new)?;
            (Some(Arc::new(source)), shape)
        }
        Some(Format::Csv | Format::Excel) => {
            let load = manifest.id.clone();
            return Err(Box::new(Hindrance::ColumnsGone { load, path }));
        }
        Some(Format::Avro | Format::Parquet) => (None, Shape::Rows),
        Some(Format::JsonLines | Format::Json) | None => (None, Shape::Json),
    };
    Ok(Given { path: place, shape, source, kinds: Vec::new() })
}
