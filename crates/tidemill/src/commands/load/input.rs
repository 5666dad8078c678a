//! Where a load's records come from: files, folders and patterns, standard input, objects, addresses of the web, or a generator.
//! Pages of the web, stores and topics are opened elsewhere, and are inputs like these.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_schema::SchemaRef;
use base::{BoxError, Kind, Source, Value};
use cloud::store::Address;
use connectors::{
    files::{self, FileSource, Format},
    generate::{Config as Generated, GeneratedSource},
    mapping::{Mapped, Mapping},
    received::{Columns, Find},
    record::{self, Shape},
    rows::{Planned, seen::Seen},
};
use engine::Stage;
use tokio::runtime::Handle;
use url::Url;

use super::{
    Args,
    failure::LoadError,
    generate, http,
    reading::{ReadingError, one_byte},
    records::Records,
    watch::{Lazy, WatchSource},
};
use crate::{
    commands::ls,
    context::{Context, Failure},
};

/// The sources of one load.
pub(super) enum Input {
    Files(Box<Files>),
    /// JSON that is made, or answered page by page.
    Made {
        source: Arc<dyn Source>,
        name: Arc<str>,
        /// What a generator makes: it ends by itself after as many as are wanted.
        generated: Option<Generated>,
        mapping: Mapping,
    },
    /// Files that appear while it runs, each read so.
    Watched {
        source: Arc<WatchSource>,
        read: Reading,
    },
    /// Records that were taken out of files, with what those looked like.
    Given {
        source: Arc<dyn Source>,
        files: Vec<Given>,
        mapping: Mapping,
    },
    /// A store's or a topic's.
    Records(Records),
}

pub(super) struct Files {
    pub(super) source: Arc<FileSource>,
    mapping: Mapping,
    /// Before the mapping.
    shapes: Vec<(Arc<str>, Shape)>,
    /// Those that are files here, `-` among them.
    paths: Vec<PathBuf>,
    bytes: Option<u64>,
}

/// How a file is read, and what becomes of its fields.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) config: files::Config,
    pub(super) mapping: Mapping,
}

/// A file that records were taken from.
pub(super) struct Given {
    pub(super) path: Arc<str>,
    pub(super) shape: Shape,
    /// It is still there, and decides the types of its columns.
    pub(super) source: Option<Arc<FileSource>>,
    /// What the columns were found to be when it was loaded; empty: its source has to be asked.
    pub(super) kinds: Vec<Kind>,
}

impl Reading {
    pub(super) fn of(args: &Args, inputs: Vec<files::Input>) -> Result<Self, Failure> {
        let mut config = files::Config::of(inputs);
        if let Some(format) = &args.format {
            config.format = Some(format.parse().map_err(|error: files::Error| Box::new(error) as Failure)?);
        }
        config.delimiter = match &args.delimiter {
            Some(text) => Some(one_byte("--delimiter", text)?),
            None => None,
        };
        config.records_count_max = args.limit;
        args.reading.configure(&mut config)?;
        Ok(Self { config, mapping: args.reading.mapping(args)? })
    }

    /// One file alone, and what its records look like before the mapping.
    pub(super) fn open(&self, path: &str) -> Result<(FileSource, Shape), BoxError> {
        let inputs = vec![files::Input::file(path.into())];
        let config = files::Config { inputs, ..self.config.clone() };
        let source = FileSource::open(config.clone())?;
        let shapes = record::shapes(&source, &config, &self.mapping).map_err(record::Error::into_cause)?;
        let shape = shapes.into_iter().next().map(|(_, shape)| shape);
        Ok((source, shape.ok_or_else(|| format!("{path} is no file"))?))
    }
}

impl Input {
    /// Checks that each file is there, or that there is such a generator.
    pub(super) async fn open(args: &Args, context: &Context, sources: &[String]) -> Result<Self, Failure> {
        if let Some(made) = Self::made(args, context, sources)? {
            return Ok(made);
        }
        let mut found = Found::default();
        for source in sources {
            found.add(source, context).await?;
        }
        let Found { inputs, bytes } = found;
        let path = |input: &files::Input| match input.path() {
            Some(path) => Some(path.to_owned()),
            None => (&**input.name() == "-").then(|| PathBuf::from("-")),
        };
        let paths = inputs.iter().filter_map(path).collect();
        let Reading { config, mapping } = Reading::of(args, inputs)?;
        // Heads and headers may have to be fetched: threads wait for them, and not this task.
        let opened = tokio::task::spawn_blocking(move || {
            let source = FileSource::open(config.clone()).map_err(|error| Box::new(error) as Failure)?;
            let shapes = record::shapes(&source, &config, &mapping).map_err(record::Error::into_problem)?;
            Ok(Files { source: Arc::new(source), mapping, shapes, paths, bytes })
        });
        let files = opened.await.map_err(|panicked| LoadError::Plan { source: Box::new(panicked) });
        files.map_err(|error| Box::new(error) as Failure)?.map(|files| Input::Files(Box::new(files)))
    }

    /// A generator or pages of the web, where the sources are such.
    fn made(args: &Args, context: &Context, sources: &[String]) -> Result<Option<Self>, Failure> {
        if let Some(generated) = sources.iter().find_map(|source| source.strip_prefix(generate::SCHEME)) {
            if let Some(other) = sources.iter().find(|source| !source.ends_with(generated)) {
                return Err(Box::new(LoadError::NotAlone { other: other.clone() }));
            }
            return Self::generated(args, context, generated).map(Some);
        }
        let Some(source) = http::source(args, context, sources)? else { return Ok(None) };
        let mapping = args.reading.mapping(args)?;
        Ok(Some(Input::Made { name: source.name(), source, generated: None, mapping }))
    }

    /// `--limit` is its count, where that is not said.
    fn generated(args: &Args, context: &Context, text: &str) -> Result<Self, Failure> {
        let mut config = generate::config(context, text)?;
        config.count = match (config.count, args.limit) {
            (Some(count), Some(limit)) => Some(count.min(limit)),
            (count, limit) => count.or(limit),
        };
        let (name, mapping) = (config.name(), args.reading.mapping(args)?);
        let source = Arc::new(GeneratedSource::new(config.clone()));
        Ok(Input::Made { name, source, generated: Some(config), mapping })
    }

    pub(super) fn source(&self) -> Arc<dyn Source> {
        match self {
            Input::Files(files) => files.source.clone(),
            Input::Made { source, .. } | Input::Given { source, .. } => source.clone(),
            Input::Watched { source, .. } => source.clone(),
            Input::Records(records) => records.source(),
        }
    }

    /// The source once more from its start, for a look that takes nothing away from the load.
    pub(super) fn looking(
        &self,
        args: &Args,
        context: &Context,
        sources: &[String],
    ) -> Result<Arc<dyn Source>, Failure> {
        Ok(match self {
            Input::Files(files) => Arc::new(files.source.looking()),
            Input::Made { source, .. } => match Self::made(args, context, sources)? {
                Some(made) => made.source(),
                None => source.clone(),
            },
            Input::Records(records) => match Records::open(args, context, sources)? {
                Some(again) => again.source(),
                None => records.source(),
            },
            Input::Watched { .. } | Input::Given { .. } => self.source(),
        })
    }

    /// The same records as columns, and what those are: where the source has such, and nothing is to be made of single fields.
    pub(super) async fn in_columns(&self) -> Result<Option<(Arc<dyn Source>, SchemaRef)>, Failure> {
        if self.mapping().is_none_or(|mapping| !mapping.is_empty()) {
            return Ok(None);
        }
        let (source, arrow) = match self {
            Input::Files(files) => {
                let (source, asked) = (Arc::new(files.source.in_columns()), files.source.clone());
                let arrow = tokio::task::spawn_blocking(move || asked.arrow()).await;
                let arrow = arrow.map_err(|panicked| LoadError::Plan { source: Box::new(panicked) });
                let arrow = arrow.map_err(Box::new)?.map_err(|error| Box::new(error) as Failure)?;
                (source as Arc<dyn Source>, arrow)
            }
            Input::Made { generated: Some(config), .. } => {
                let source = GeneratedSource::new(config.clone()).in_columns();
                let arrow = source.schema().and_then(|schema| formats::arrow_schema(&schema).ok());
                (Arc::new(source) as Arc<dyn Source>, arrow)
            }
            Input::Made { .. } | Input::Watched { .. } | Input::Given { .. } | Input::Records(_) => {
                return Ok(None);
            }
        };
        // What has no word in our schema is told by values.
        let arrow = arrow.filter(|arrow| formats::schema_of_columns(arrow).is_ok());
        Ok(arrow.map(|arrow| (source, arrow)))
    }

    /// The files it reads, `-` among them.
    pub(super) fn paths(&self) -> &[PathBuf] {
        match self {
            Input::Files(files) => &files.paths,
            Input::Made { .. } | Input::Watched { .. } | Input::Given { .. } | Input::Records(_) => &[],
        }
    }

    /// How a file that appears is read; `None`: all files are known.
    pub(super) fn watched(&self) -> Option<&Reading> {
        match self {
            Input::Watched { read, .. } => Some(read),
            Input::Files(_) | Input::Made { .. } | Input::Given { .. } | Input::Records(_) => None,
        }
    }

    /// It counts its records itself.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self, Input::Made { generated: Some(_), .. })
    }

    fn mapping(&self) -> Option<&Mapping> {
        match self {
            Input::Files(files) => Some(&files.mapping),
            Input::Made { mapping, .. } | Input::Given { mapping, .. } => Some(mapping),
            Input::Watched { read, .. } => Some(&read.mapping),
            Input::Records(_) => None,
        }
    }

    /// What its records look like as they are read, by the name of their place.
    pub(super) fn read_shapes(&self) -> Vec<(Arc<str>, Shape)> {
        match self {
            Input::Files(files) => files.shapes.clone(),
            Input::Made { name, .. } => vec![(name.clone(), Shape::Json)],
            Input::Watched { .. } => Vec::new(),
            Input::Given { files, .. } => {
                files.iter().map(|file| (file.path.clone(), file.shape.clone())).collect()
            }
            Input::Records(records) => vec![(records.name().clone(), Shape::Json)],
        }
    }

    /// What its records look like for the stages that follow the mapping.
    pub(super) fn shapes(&self) -> Vec<(Arc<str>, Shape)> {
        let Some(mapping) = self.mapping() else { return self.read_shapes() };
        let mapped = |(name, shape): (Arc<str>, Shape)| (name, shape.mapped(mapping));
        self.read_shapes().into_iter().map(mapped).collect()
    }

    /// The stages before all others: the mapping, where there is any and records are no CSV.
    pub(super) fn mapped(&self) -> Vec<Arc<dyn Stage>> {
        let Some(mapping) = self.mapping().filter(|mapping| !mapping.is_empty()) else { return Vec::new() };
        if let Some(read) = self.watched().cloned() {
            return vec![Arc::new(Lazy::new(16, move |path| {
                let (_, shape) = read.open(path)?;
                Ok(Arc::new(Mapped::new(read.mapping.clone(), &[(path.into(), shape)])) as Arc<dyn Stage>)
            }))];
        }
        let shapes = self.read_shapes();
        if shapes.iter().all(|(_, shape)| matches!(shape, Shape::Csv { .. })) {
            return Vec::new();
        }
        vec![Arc::new(Mapped::new(mapping.clone(), &shapes))]
    }

    /// The files with the types of their columns: as they were declared, or as they are seen. Files with the same columns get the
    /// same types.
    pub(super) async fn planned(&self, has_contract: bool, rows_max: u64) -> Result<Vec<Planned>, Failure> {
        let shapes = self.shapes();
        let groups = if has_contract { Vec::new() } else { self.seen(rows_max).await? };
        let kinds = |path: &Arc<str>| {
            let group = groups.iter().find(|(paths, _)| paths.contains(path));
            group.map_or_else(|| self.given_kinds(path), |(_, seen)| seen.kinds())
        };
        let planned = |(path, shape): (Arc<str>, Shape)| Planned { kinds: kinds(&path), path, shape };
        Ok(shapes.into_iter().map(planned).collect())
    }

    fn given_kinds(&self, path: &Arc<str>) -> Vec<Kind> {
        match self {
            Input::Given { files, .. } => {
                let file = files.iter().find(|file| file.path == *path);
                file.map_or_else(Vec::new, |file| file.kinds.clone())
            }
            Input::Files(_) | Input::Made { .. } | Input::Watched { .. } | Input::Records(_) => Vec::new(),
        }
    }

    /// Says of each file what the columns of its records are, for those that are refused. `planned`: what was found out of them; `are_typed`: it
    /// matters.
    pub(super) fn columns(&self, planned: Vec<Planned>, are_typed: bool) -> Option<Box<Find>> {
        match self {
            Input::Files(files) => {
                let kinds = |path: &Arc<str>| {
                    planned.iter().find(|file| file.path == *path).map_or(&[][..], |file| &file.kinds)
                };
                let columns = |(path, shape): &(Arc<str>, Shape)| {
                    Some((path.clone(), Columns::of(shape, kinds(path))?))
                };
                let known: HashMap<Arc<str>, Columns> = files.shapes.iter().filter_map(columns).collect();
                Some(Box::new(move |path| known.get(path).cloned()))
            }
            Input::Watched { read, .. } => {
                let (read, runtime) = (read.clone(), Handle::current());
                Some(Box::new(move |path| {
                    let (source, shape) = read.open(path).ok()?;
                    let kinds = match &shape {
                        Shape::Csv { header, cells } if are_typed => {
                            let mut seen = Seen::new(header, cells.clone());
                            runtime.block_on(seen.look(&source, path)).ok()?;
                            seen.kinds()
                        }
                        Shape::Csv { .. } | Shape::Json | Shape::Document | Shape::Rows => Vec::new(),
                    };
                    Columns::of(&shape, &kinds)
                }))
            }
            Input::Made { .. } | Input::Given { .. } | Input::Records(_) => None,
        }
    }

    /// The CSV files that have the same columns, and what those hold.
    pub(super) async fn seen(&self, rows_max: u64) -> Result<Vec<(Vec<Arc<str>>, Seen)>, Failure> {
        let mut groups: Vec<(Vec<String>, Vec<Arc<str>>, Seen)> = Vec::new();
        for (path, shape) in self.read_shapes() {
            let (Shape::Csv { header, cells }, Some(source)) = (&shape, self.file(&path)) else { continue };
            let at = match groups.iter().position(|(columns, ..)| columns == header) {
                Some(at) => at,
                None => {
                    let seen = Seen::new(header, cells.clone()).up_to(rows_max);
                    groups.push((header.clone(), Vec::new(), seen));
                    groups.len() - 1
                }
            };
            let (_, paths, seen) = &mut groups[at];
            paths.push(path.clone());
            if !seen.is_full() {
                let looked = seen.look(source, &path).await;
                looked.map_err(|error| LoadError::Plan { source: Box::new(error) }).map_err(Box::new)?;
            }
        }
        Ok(groups.into_iter().map(|(_, paths, seen)| (paths, seen)).collect())
    }

    /// The source of files, where it is one.
    pub(super) fn files(&self) -> Option<Arc<FileSource>> {
        match self {
            Input::Files(files) => Some(files.source.clone()),
            Input::Made { .. } | Input::Watched { .. } | Input::Given { .. } | Input::Records(_) => None,
        }
    }

    /// The source that has this file.
    fn file(&self, path: &Arc<str>) -> Option<&FileSource> {
        match self {
            Input::Files(files) => Some(&files.source),
            Input::Given { files, .. } => {
                files.iter().find(|file| file.path == *path).and_then(|file| file.source.as_deref())
            }
            Input::Made { .. } | Input::Watched { .. } | Input::Records(_) => None,
        }
    }

    /// Bytes to read: known where all sources are plain files.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Input::Files(files) => files.bytes,
            Input::Made { .. } | Input::Watched { .. } | Input::Given { .. } | Input::Records(_) => None,
        }
    }
}

/// What the sources name, one after the other.
struct Found {
    inputs: Vec<files::Input>,
    /// `None` once one of them has no size, or is packed.
    bytes: Option<u64>,
}

impl Default for Found {
    fn default() -> Self {
        Self { inputs: Vec::new(), bytes: Some(0) }
    }
}

impl Found {
    async fn add(&mut self, source: &str, context: &Context) -> Result<(), Failure> {
        if source.starts_with("s3://") || source.starts_with("gs://") {
            return self.add_objects(source, context).await;
        }
        if source.starts_with("https://") || source.starts_with("http://") {
            let wrong = |error| ReadingError::Address { address: source.to_owned(), source: error };
            self.push(files::Input::web(Url::parse(source).map_err(wrong)?), None);
            return Ok(());
        }
        if source == "-" {
            self.push(files::Input::file(PathBuf::from("-")), None);
            return Ok(());
        }
        let path = context.path(Path::new(source))?;
        let paths = if path.is_dir() {
            let mut paths = Vec::new();
            below(&path, &mut paths);
            paths
        } else if path.exists() || !has_wildcard(source) {
            vec![path]
        } else {
            fitting(source, context)?
        };
        if paths.is_empty() {
            return Err(ReadingError::NoMatch { pattern: source.to_owned() }.into());
        }
        for path in paths {
            let size = path.metadata().ok().map(|file| file.len());
            self.push(files::Input::file(path), size);
        }
        Ok(())
    }

    /// One object, all that fit a pattern, or those of a known ending below a prefix.
    async fn add_objects(&mut self, source: &str, context: &Context) -> Result<(), Failure> {
        let address = Address::parse(source).map_err(ls::failure)?;
        let bucket = ls::open(&address, context).await?;
        let is_prefix = address.key.is_empty() || address.key.ends_with('/');
        if !is_prefix && !has_wildcard(&address.key) {
            self.push(files::Input::object(bucket, address.key), None);
            return Ok(());
        }
        let fixed = address.key.find(WILDCARDS).unwrap_or(address.key.len());
        let prefix = &address.key[..address.key[..fixed].rfind('/').map_or(0, |at| at + 1)];
        let pattern = pattern(&address.key)?;
        let mut count = 0;
        for meta in ls::objects(&bucket, prefix).await? {
            let key = meta.location.as_ref();
            let fits = match is_prefix {
                true => Format::of_name(key).is_some(),
                false => pattern.matches_with(key, MATCHING),
            };
            if fits {
                self.push(files::Input::object(bucket.clone(), key.to_owned()), Some(meta.size));
                count += 1;
            }
        }
        if count == 0 {
            return Err(ReadingError::NoMatch { pattern: source.to_owned() }.into());
        }
        Ok(())
    }

    fn push(&mut self, input: files::Input, size: Option<u64>) {
        let is_plain = files::Packing::of_name(input.name()).is_none();
        // Only a text is read as long as it is.
        let is_text = matches!(
            Format::of_name(input.name()),
            None | Some(Format::Csv | Format::JsonLines | Format::Json)
        );
        let size = size.filter(|_| is_plain && is_text);
        self.bytes = self.bytes.zip(size).map(|(sum, size)| sum + size);
        self.inputs.push(input);
    }
}

const WILDCARDS: [char; 3] = ['*', '?', '['];
const MATCHING: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

fn has_wildcard(text: &str) -> bool {
    text.contains(WILDCARDS)
}

fn pattern(text: &str) -> Result<glob::Pattern, Failure> {
    let wrong = |source| ReadingError::Pattern { pattern: text.to_owned(), source };
    Ok(glob::Pattern::new(text).map_err(wrong)?)
}

/// The files that fit a pattern, by name: where we are, else below the project's folder.
fn fitting(source: &str, context: &Context) -> Result<Vec<PathBuf>, Failure> {
    let wrong = |error| ReadingError::Pattern { pattern: source.to_owned(), source: error };
    let mut patterns = vec![source.to_owned()];
    if let Ok(root) = context.root() {
        let root = glob::Pattern::escape(&root.to_string_lossy());
        patterns.push(Path::new(&root).join(source).to_string_lossy().into_owned());
    }
    for pattern in patterns {
        let found = glob::glob_with(&pattern, MATCHING).map_err(wrong)?;
        let mut paths: Vec<PathBuf> = found.flatten().filter(|path| path.is_file()).collect();
        if !paths.is_empty() {
            paths.sort();
            return Ok(paths);
        }
    }
    Ok(Vec::new())
}

/// The files of a known ending below a folder, by name; hidden ones are left out.
fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            below(&path, found);
        } else if path.is_file() && Format::of_name(&name).is_some() {
            found.push(path);
        }
    }
}

/// A value as text, with its type in a word.
pub(super) fn told(value: &Value) -> (&'static str, String) {
    let mut text = Vec::new();
    let shown = record::time_text(value);
    contracts::validate::write_json(&shown, &mut text);
    (value.kind_name(), String::from_utf8_lossy(&text).into_owned())
}
