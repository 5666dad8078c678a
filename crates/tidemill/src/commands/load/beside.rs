//! Dead letters of a load into files, sent again: they become one more file beside those that the load has written, by its arguments and
//! with the columns that those have.

use std::sync::Arc;

use base::{Fault, Source};
use connectors::output::{Cut, Job, Place};
use engine::Progress;
use tokio_util::sync::CancellationToken;

use super::{
    Args, Manifest, Target,
    again::{Letters, Sent},
    failure::LoadError,
    input::Input,
    objects::{self, Files, Known},
};
use crate::context::{Context, Failure};

/// Where the files of a load lie, and what they end in.
async fn place(
    args: &Args,
    context: &Context,
    manifest: &Manifest,
    files: &Files,
) -> Result<(Place, String), Failure> {
    let extension = files.format(args)?.extension();
    let files = files.seen_from(manifest.ran_in());
    Ok((files.place(&args.files, extension.clone(), context).await?, extension))
}

/// The files that a load writes, where it writes such.
fn files_of(manifest: &Manifest, context: &Context) -> Result<Option<(Args, Context, Files)>, Failure> {
    let (args, context) = manifest.again(context)?;
    let target = args.paths.last().expect("clap asks for one");
    match Target::parse(target, &args, &context)? {
        Target::Files(files) => Ok(Some((args, context, files))),
        Target::Kafka(_) | Target::Store(_) => Ok(None),
    }
}

pub(crate) fn writes_files(manifest: &Manifest, context: &Context) -> Result<bool, Failure> {
    files_of(manifest, context).map(|files| files.is_some())
}

/// How the file of this name is called among those of the load, where it is there.
pub(crate) async fn find(
    manifest: &Manifest,
    context: &Context,
    name: &str,
) -> Result<Option<String>, Failure> {
    let Some((args, context, files)) = files_of(manifest, context)? else { return Ok(None) };
    let (place, _) = place(&args, &context, manifest, &files).await?;
    let is_there = place.has(name).await;
    let is_there = is_there.map_err(|fault| LoadError::of(fault, 0, files.shown()) as Failure)?;
    Ok(is_there.then(|| files.shown_beside(&args.files, name)))
}

pub(super) async fn send(
    args: &Args,
    context: &Context,
    manifest: &Manifest,
    files: &Files,
    input: &Input,
    letters: Letters,
) -> Result<Sent, Failure> {
    let failed = |fault: Fault| LoadError::of(fault, 0, files.shown()) as Failure;
    let format = files.format(args)?;
    let (place, extension) = place(args, context, manifest, files).await?;
    let place = place.beside(&extension).await.map_err(failed)?;
    let name = place.name();
    let known = Known { columns: manifest.columns(), began_ms: manifest.began_ms };
    let again = letters.again;
    let look = || -> Result<Arc<dyn Source>, base::BoxError> { Ok(again()) };
    let (source, plan, _) = objects::planned(args, context, input, &look, known, format).await?;
    let job = Job {
        source,
        plan: plan.telling_as_received(),
        place,
        cut: Cut::default(),
        dead_letters: Some(letters.refused),
        progress: Arc::new(Progress::default()),
        announce: Some(letters.announce),
    };
    let summary = job.run(CancellationToken::new()).await.map_err(failed)?;
    let file = (summary.records_count > 0).then(|| files.shown_beside(&args.files, &name));
    Ok(Sent { summary, file })
}
