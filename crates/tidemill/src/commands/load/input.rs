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

use super::{Args, failure::LoadError, watch::WatchSource};
use crate::context::{Context, Failure};

/// The sources of one load.
pub(super) enum Input {
    Files {
        source: Arc<FileSource>,
        config: files::Config,
    },
    Generated {
        source: Arc<GeneratedSource>,
        name: Arc<str>,
    },
    /// Files that appear while it runs, each read so.
    Watched {
        source: Arc<WatchSource>,
        config: files::Config,
    },
    /// Records that were taken out of files, with what those looked like.
    Given {
        source: Arc<dyn Source>,
        shapes: Vec<(Arc<str>, Shape)>,
        whole: Option<Arc<dyn Source>>,
    },
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
        let config = Self::config(args, sources.iter().map(path).collect::<Result<_, _>>()?)?;
        let source = FileSource::open(config.clone()).map_err(|error| Box::new(error) as Failure)?;
        Ok(Input::Files { source: Arc::new(source), config })
    }

    /// How files are read.
    pub(super) fn config(args: &Args, paths: Vec<PathBuf>) -> Result<files::Config, Failure> {
        let mut config = files::Config::new(paths);
        if let Some(format) = &args.format {
            config.format = Some(format.parse().map_err(|error: files::Error| Box::new(error) as Failure)?);
        }
        config.delimiter = match args.delimiter.as_bytes() {
            b"\\t" => b'\t',
            [one] => *one,
            _ => return Err(Box::new(LoadError::Delimiter { delimiter: args.delimiter.clone() })),
        };
        config.records_count_max = args.limit;
        Ok(config)
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
            Input::Watched { source, .. } => source.clone(),
            Input::Given { source, .. } => source.clone(),
        }
    }

    /// What its records look like, by the name of their place. Reads the headers of CSV files.
    pub(super) fn shapes(&self) -> Result<Vec<(Arc<str>, Shape)>, files::Error> {
        match self {
            Input::Files { source, config } => record::shapes(source, config),
            Input::Generated { name, .. } => Ok(vec![(name.clone(), Shape::Json)]),
            Input::Watched { .. } => Ok(Vec::new()),
            Input::Given { shapes, .. } => Ok(shapes.clone()),
        }
    }

    /// What decides the types of columns: of records that were taken out of files, those files.
    pub(super) fn whole(&self) -> Arc<dyn Source> {
        match self {
            Input::Given { whole: Some(whole), .. } => whole.clone(),
            _ => self.source(),
        }
    }

    /// The files it reads, `-` among them.
    pub(super) fn paths(&self) -> &[PathBuf] {
        match self {
            Input::Files { config, .. } => &config.paths,
            Input::Generated { .. } | Input::Watched { .. } | Input::Given { .. } => &[],
        }
    }

    /// How a file that appears is read; `None`: all files are known.
    pub(super) fn watched(&self) -> Option<&files::Config> {
        match self {
            Input::Watched { config, .. } => Some(config),
            Input::Files { .. } | Input::Generated { .. } | Input::Given { .. } => None,
        }
    }

    /// It counts its records itself.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self, Input::Generated { .. })
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
