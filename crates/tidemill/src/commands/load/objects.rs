//! Files and objects as targets of a load: whom an address means, and the run that writes them.
//!
//! A file of one name appears whole or not at all, and the same command leaves the same again; see `connectors::output` for how.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base::{Clock, Code, Kind, Problem, Schema, Source, SystemClock, Value, code};
use cloud::store::Address;
use connectors::{
    output::{Cut, FileFormat, Form, Job, Place, Plan, Wanted, Word, plan},
    record::Shape,
    rows::Planned,
};
use engine::{DeadLetters, Ended, Progress};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    Args,
    aside::Aside,
    contract_text,
    failure::LoadError,
    input::Input,
    look, nulls,
    pace::{Paced, Plan as Pace},
    records,
    show::{Announced, Reporter},
    state::State,
};
use crate::context::{Context, Failure};

/// What is said of the files that a load or a conversion writes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Files and objects")]
pub(super) struct FileArgs {
    /// Format of the files or objects that are written, where their name does not tell: jsonl, json, csv, tsv, parquet, avro
    /// [default in a folder: jsonl]
    #[arg(long, value_name = "FORMAT", value_parser = word)]
    pub(super) target_format: Option<Word>,
    /// Level of gzip (0-9, default 2) or zstd (1-22, default 3)
    #[arg(long, value_name = "LEVEL", hide_short_help = true)]
    pub(super) compression_level: Option<i32>,
    /// What separates fields of CSV that is written [default: a comma, a tab in .tsv]
    #[arg(long, value_name = "CHARACTER", hide_short_help = true)]
    pub(super) target_delimiter: Option<String>,
    /// In a folder: begin another file when one has so many bytes, such as 256MB or 1GiB
    #[arg(long, value_name = "BYTES", value_parser = bytes, hide_short_help = true)]
    pub(super) file_bytes: Option<u64>,
    /// In a folder: begin another file after so many records
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) file_rows: Option<u64>,
    /// Records of each source that decide the columns of CSV, Parquet and Avro: a number, or all
    #[arg(long, value_name = "RECORDS|all", value_parser = rows, default_value = "1000000", hide_short_help = true)]
    pub(super) infer_rows: u64,
}

fn word(text: &str) -> Result<Word, String> {
    Word::parse(text).ok_or_else(|| "there are jsonl, json, csv, tsv, parquet and avro".to_owned())
}

fn rows(text: &str) -> Result<u64, String> {
    match text {
        "all" => Ok(u64::MAX),
        text => text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "a number, or all".to_owned()),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let bytes = project::bytes(text).and_then(|bytes| u64::try_from(bytes).ok());
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "write it as 268435456, 256MB or 256MiB".to_owned())
}

/// Where files go.
pub(super) struct Files {
    /// As it was typed.
    shown: String,
    at: At,
}

#[derive(Clone)]
enum At {
    Path(PathBuf),
    Bucket(Address),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{target} is one file, and takes no {flag}")]
    OneFile { target: String, flag: &'static str },
    #[error("a file takes no {flag}")]
    NotForFiles { flag: &'static str },
    #[error("only a file or a folder takes {flag}")]
    OnlyForFiles { flag: &'static str },
    #[error("{delimiter:?} is not one character")]
    Delimiter { delimiter: String },
    #[error("{target} would be written while it is read")]
    Itself { target: String },
}

impl Problem for Error {
    fn code(&self) -> Code {
        code::TM1454
    }

    fn help(&self) -> String {
        match self {
            Error::OneFile { .. } => "end the target in a slash, and it is a folder of files".to_owned(),
            Error::NotForFiles { .. } | Error::OnlyForFiles { .. } => "leave it out".to_owned(),
            Error::Delimiter { .. } => "give one character, or \\t".to_owned(),
            Error::Itself { .. } => "write to another file, then move it".to_owned(),
        }
    }
}

impl Files {
    /// `s3://`, `gs://`, `file:`, a path that ends in a format or a slash, or a folder that is there; `None`: something else.
    pub(super) fn parse(text: &str, args: &FileArgs) -> Option<Result<Self, Failure>> {
        let of = |at| Ok(Self { shown: text.to_owned(), at });
        if text.starts_with("s3://") || text.starts_with("gs://") {
            let address = Address::parse(text).map_err(|error| Box::new(error) as Failure);
            return Some(address.and_then(|address| of(At::Bucket(address))));
        }
        if let Some(path) = text.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Some(of(At::Path(PathBuf::from(path))));
        }
        let is_file = !text.contains("://")
            && (text.ends_with('/')
                || Word::of_name(text).is_some()
                || args.target_format.is_some()
                || Path::new(text).is_dir());
        is_file.then(|| of(At::Path(PathBuf::from(text))))
    }

    /// As it was typed.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// What its dead letters are called by.
    pub(super) fn name(&self) -> &str {
        self.shown.trim_end_matches('/').rsplit('/').next().unwrap_or("files")
    }

    /// One that is named from this folder, if not from the root.
    pub(super) fn seen_from(&self, folder: Option<&Path>) -> Self {
        let at = match (&self.at, folder) {
            (At::Path(path), Some(folder)) => At::Path(folder.join(path)),
            (at, _) => at.clone(),
        };
        Self { shown: self.shown.clone(), at }
    }

    /// How a file beside its own is called, as its own are typed.
    pub(super) fn shown_beside(&self, args: &FileArgs, name: &str) -> String {
        let name = name.rsplit('/').next().unwrap_or(name);
        let folder = match self.is_folder(args) {
            true => Some(self.shown.trim_end_matches('/')),
            false => self.shown.rsplit_once('/').map(|(folder, _)| folder),
        };
        folder.map_or_else(|| name.to_owned(), |folder| format!("{folder}/{name}"))
    }

    /// Whether it is a folder of files, by its name, by what is there, or by what is said of its files.
    fn is_folder(&self, args: &FileArgs) -> bool {
        match &self.at {
            At::Path(path) => self.shown.ends_with('/') || path.is_dir(),
            At::Bucket(address) => {
                let is_named = Word::of_name(&address.key).is_some() || args.target_format.is_some();
                address.key.is_empty() || address.key.ends_with('/') || !is_named
            }
        }
    }

    pub(super) fn format(&self, args: &Args) -> Result<FileFormat, Failure> {
        let FileArgs { target_format, compression_level, target_delimiter, .. } = &args.files;
        let delimiter = match target_delimiter.as_deref().map(str::as_bytes) {
            None => None,
            Some(b"\\t") => Some(b'\t'),
            Some([one]) => Some(*one),
            Some(_) => {
                let delimiter = target_delimiter.clone().unwrap_or_default();
                return Err(Box::new(Error::Delimiter { delimiter }));
            }
        };
        let is_folder = self.is_folder(&args.files);
        let word = target_format.or(is_folder.then_some(Word::JsonLines));
        let name = if is_folder { "" } else { &self.shown };
        let format = FileFormat::new(name, word, args.compression.as_deref(), *compression_level, delimiter);
        format.map_err(|error| Box::new(error) as Failure)
    }

    pub(super) async fn place(
        &self,
        args: &FileArgs,
        extension: String,
        context: &Context,
    ) -> Result<Place, Failure> {
        let is_folder = self.is_folder(args);
        if !is_folder {
            let cut =
                [("--file-bytes", args.file_bytes.is_some()), ("--file-rows", args.file_rows.is_some())];
            if let Some((flag, _)) = cut.iter().find(|(_, is_given)| *is_given) {
                return Err(Box::new(Error::OneFile { target: self.shown.clone(), flag }));
            }
        }
        let failure = |error: cloud::Error| Box::new(error) as Failure;
        match &self.at {
            At::Path(path) if is_folder => Place::folder(path, extension).map_err(failure),
            At::Path(path) => Place::file(path).map_err(failure),
            At::Bucket(address) => {
                let bucket = crate::commands::ls::open(address, context).await?;
                Ok(match is_folder {
                    true => Place::prefix(bucket, &address.key, extension),
                    false => Place::object(bucket, &address.key),
                })
            }
        }
    }
}

/// Flags of topics and tables say nothing of files.
fn refuse_flags(args: &Args) -> Result<(), Failure> {
    let reads_topic = args.paths.iter().any(|path| path.starts_with("kafka://"));
    let given = [
        ("--serializer", args.serializer.is_some()),
        ("--registry", args.registry.is_some() && !reads_topic),
        ("--registry-property", !args.registry_property.is_empty() && !reads_topic),
        ("--no-register", args.no_register),
        ("--linger-ms", args.linger_ms.is_some()),
        ("--batch-bytes", args.batch_bytes.is_some()),
        ("--property", !args.property.is_empty() && !reads_topic),
        ("--write", args.write.is_some()),
        ("--key", !args.key.is_empty()),
        ("--create", args.create),
    ];
    match given.iter().find(|(_, is_given)| *is_given).map(|(flag, _)| *flag).or(args.pace.given()) {
        Some(flag) => Err(Box::new(Error::NotForFiles { flag })),
        None => Ok(()),
    }
}

/// And those of files nothing of topics and tables.
pub(super) fn refuse_flags_of_files(args: &FileArgs) -> Result<(), Failure> {
    let given = [
        ("--target-format", args.target_format.is_some()),
        ("--compression-level", args.compression_level.is_some()),
        ("--target-delimiter", args.target_delimiter.is_some()),
        ("--file-bytes", args.file_bytes.is_some()),
        ("--file-rows", args.file_rows.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(Box::new(Error::OnlyForFiles { flag })),
        None => Ok(()),
    }
}

/// Plans and runs the load. `state`: that of one that was killed, and begins anew.
pub(super) async fn run(
    args: &Args,
    context: &Context,
    files: &Files,
    sources: &[String],
    state: Option<State>,
) -> Result<(), Failure> {
    refuse_flags(args)?;
    let format = files.format(args)?;
    if let At::Path(path) = &files.at
        && sources.iter().any(|source| is_same(path, Path::new(source)))
    {
        return Err(Box::new(Error::Itself { target: files.shown.clone() }));
    }
    let place = files.place(&args.files, format.extension(), context).await?;
    let input = records::open(args, context, sources).await?;
    if args.reading.infer {
        return look::infer(&input, args, context).await;
    }
    let began_ms = state.as_ref().map_or_else(|| SystemClock.now_ms(), |state| state.manifest.began_ms);
    let look = || -> Result<Arc<dyn Source>, base::BoxError> {
        let opened = input.looking(args, context, sources);
        opened.map_err(|problem| base::problem::plain(&*problem).into())
    };
    let known = Known { columns: None, began_ms };
    let (source, plan, planned) = planned(args, context, &input, &look, known, format).await?;
    if let Some(count) = args.reading.preview {
        return look::preview(&input, plan.stages(), count, None, context).await;
    }
    let aside = Aside::begin(args, context, files, (&input, plan.schema.as_deref()), state).await?;
    let letters = aside.as_ref().map(|aside| -> Arc<dyn DeadLetters> {
        Arc::new(Announced::new(aside.letters(&input, planned), context))
    });
    let plan = if letters.is_some() { plan.telling_as_received() } else { plan };
    // A generator counts its records itself.
    let source: Arc<dyn Source> = match args.limit.filter(|_| !input.is_counted()) {
        Some(limit) => {
            let (clock, never) = (Arc::new(SystemClock), CancellationToken::new());
            Arc::new(Paced::new(source, Pace::only(limit), clock, never))
        }
        None => source,
    };
    let progress = Arc::new(Progress::default());
    let cut = Cut { bytes: args.files.file_bytes, records: args.files.file_rows };
    let job = Job { source, plan, place, cut, dead_letters: letters, progress, announce: None };
    finished(job, context, files.shown(), aside, input.bytes()).await
}

/// Runs it to its end, and tells of it.
async fn finished(
    job: Job,
    context: &Context,
    target: &str,
    aside: Option<Aside>,
    bytes: Option<u64>,
) -> Result<(), Failure> {
    let (progress, stop) = (job.progress.clone(), CancellationToken::new());
    let on_interrupt = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            on_interrupt.cancel();
        }
    });
    let mut reporter = Reporter::new(context, target, target, json!({ "target": target }), bytes);
    let ended = reporter.until(job.run(stop), &progress).await;
    let rejected_count = ended
        .as_ref()
        .ok()
        .filter(|summary| summary.ended != Ended::Stopped)
        .map(|summary| summary.rejected_count);
    let folder = aside.as_ref().map(|aside| aside.folder().to_owned());
    if let Some(aside) = aside {
        aside.end(rejected_count)?;
    }
    let summary = ended.map_err(|fault| LoadError::of(fault, 0, target))?;
    if summary.ended == Ended::Stopped {
        return Err(Box::new(LoadError::Interrupted {
            sent_count: summary.records_count,
            target: target.to_owned(),
            is_repeatable: true,
            resume: None,
        }));
    }
    reporter.tell("files_count", summary.extents_count.into());
    let folder = folder.filter(|_| summary.rejected_count > 0);
    reporter.finished(&summary, progress.commits(), folder.as_deref(), false);
    Ok(())
}

/// One file by two names.
fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other && one.is_file(),
        _ => false,
    }
}

/// Text to text stays the text that it is, where nothing was said of its type.
fn as_text(file: &mut Planned) {
    let Shape::Csv { cells, .. } = &file.shape else { return };
    for (column, kind) in file.kinds.iter_mut().enumerate() {
        if cells.declared(column).is_none() {
            *kind = Kind::String;
        }
    }
}

/// What is known of a load before its records are looked at.
pub(super) struct Known {
    /// Where they were found out before.
    pub(super) columns: Option<Arc<Schema>>,
    /// When it began, in whichever life.
    pub(super) began_ms: i64,
}

/// What is read, how it becomes files, and what the columns of the files that are read are. `look` opens the source once more.
pub(super) async fn planned(
    args: &Args,
    context: &Context,
    input: &Input,
    look: &(dyn Fn() -> Result<Arc<dyn Source>, base::BoxError> + Sync),
    Known { columns, began_ms }: Known,
    format: FileFormat,
) -> Result<(Arc<dyn Source>, Plan, Vec<Planned>), Failure> {
    let contract = match contract_text(args, context)? {
        Some((path, kind, text)) => {
            let contract = contracts::contract(kind, &path.to_string_lossy(), None, &text);
            Some(Arc::new(contract.map_err(|error| Box::new(error) as Failure)?))
        }
        None => None,
    };
    // Generators make JSON as fast as it can be made of columns; what is looked at is shown record by record.
    let is_json = matches!(format.word, Word::JsonLines | Word::Json) && input.is_counted();
    let is_plain = contract.is_none() && args.stamp.is_none() && args.reading.preview.is_none();
    let as_columns = if is_plain && !is_json { input.in_columns().await? } else { None };
    let (source, arrow) =
        as_columns.map_or_else(|| (input.source(), None), |(source, arrow)| (source, Some(arrow)));
    let mut of_files = Vec::new();
    let form = match (input, arrow) {
        (_, Some(arrow)) => Form::Columns(arrow),
        (Input::Records(records), None) => {
            Form::Rows { stages: records.rows(args, context)?, table_form: records.table_form() }
        }
        _ => {
            of_files = input.planned(contract.is_some(), args.files.infer_rows).await?;
            if matches!(format.word, Word::Csv | Word::Tsv) && contract.is_none() {
                of_files.iter_mut().for_each(as_text);
            }
            Form::Files { planned: of_files.clone(), stages: input.mapped() }
        }
    };
    let wanted = Wanted {
        format,
        contract,
        nulls: nulls(args),
        stamp: args.stamp.as_deref().map(|field| (field.into(), Value::TimestampMs(began_ms))),
        records_max: args.files.infer_rows,
        columns,
    };
    let plan = plan(look, form, wanted).await;
    let plan = plan.map_err(|source| Box::new(LoadError::Plan { source }) as Failure)?;
    Ok((source, plan, of_files))
}
