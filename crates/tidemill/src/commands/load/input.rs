//! Where a load's records come from: files, standard input, or a generator.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base::Source;
use connectors::{
    files::{self, FileSource},
    generate::{self, GeneratedSource},
    record::{self, Shape},
};

use super::{Args, failure::LoadError};
use crate::context::{Context, Failure};

/// The sources of one load.
pub(super) enum Input {
    Files { source: Arc<FileSource>, config: files::Config },
    Generated { source: Arc<GeneratedSource>, name: Arc<str> },
}

/// What a source's name begins with that is no file's.
const GENERATE: &str = "generate:";

impl Input {
    /// Checks that each file is there, or that there is such a generator.
    pub(super) fn open(args: &Args, context: &Context, sources: &[String]) -> Result<Self, Failure> {
        if let Some(generated) = sources.iter().find_map(|source| source.strip_prefix(GENERATE)) {
            if let Some(other) = sources.iter().find(|source| !source.ends_with(generated)) {
                return Err(Box::new(LoadError::NotAlone { other: other.clone() }));
            }
            return Self::generated(args, generated);
        }
        let path = |typed: &String| {
            if typed == "-" { Ok(PathBuf::from("-")) } else { context.path(Path::new(typed)) }
        };
        let mut config = files::Config::new(sources.iter().map(path).collect::<Result<_, _>>()?);
        if let Some(format) = &args.format {
            config.format = Some(format.parse().map_err(|error: files::Error| Box::new(error) as Failure)?);
        }
        config.delimiter = match args.delimiter.as_bytes() {
            b"\\t" => b'\t',
            [one] => *one,
            _ => return Err(Box::new(LoadError::Delimiter { delimiter: args.delimiter.clone() })),
        };
        config.records_count_max = args.limit;
        let source = FileSource::open(config.clone()).map_err(|error| Box::new(error) as Failure)?;
        Ok(Input::Files { source: Arc::new(source), config })
    }

    /// `--limit` is its count, where that is not said.
    fn generated(args: &Args, text: &str) -> Result<Self, Failure> {
        let mut config = generate::Config::parse(text).map_err(|error| Box::new(error) as Failure)?;
        config.count = match (config.count, args.limit) {
            (Some(count), Some(limit)) => Some(count.min(limit)),
            (count, limit) => count.or(limit),
        };
        Ok(Input::Generated { name: config.name(), source: Arc::new(GeneratedSource::new(config)) })
    }

    pub(super) fn source(&self) -> Arc<dyn Source> {
        match self {
            Input::Files { source, .. } => source.clone(),
            Input::Generated { source, .. } => source.clone(),
        }
    }

    /// What its records look like, by the name of their place. Reads the headers of CSV files.
    pub(super) fn shapes(&self) -> Result<Vec<(Arc<str>, Shape)>, files::Error> {
        match self {
            Input::Files { source, config } => record::shapes(source, config),
            Input::Generated { name, .. } => Ok(vec![(name.clone(), Shape::Json)]),
        }
    }

    /// Bytes to read: known where all sources are plain files.
    pub(super) fn bytes(&self) -> Option<u64> {
        let Input::Files { config, .. } = self else { return None };
        let is_packed =
            |path: &Path| matches!(path.extension().and_then(|text| text.to_str()), Some("gz" | "zst"));
        config.paths.iter().try_fold(0, |sum, path| {
            if path == Path::new("-") || is_packed(path) {
                return None;
            }
            path.metadata().ok().map(|file| sum + file.len())
        })
    }
}
