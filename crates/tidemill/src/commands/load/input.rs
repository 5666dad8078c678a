//! Where a load's records come from: files, standard input, or a generator.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base::Source;
use connectors::{
    files::{self, FileSource},
    generate::GeneratedSource,
    record::{self, Shape},
};

use super::{Args, failure::LoadError, generate, http, records::Records, watch::WatchSource};
use crate::context::{Context, Failure};

/// The sources of one load.
pub(super) enum Input {
    Files {
        source: Arc<FileSource>,
        config: files::Config,
    },
    /// JSON that is made, or answered page by page.
    Made {
        source: Arc<dyn Source>,
        name: Arc<str>,
        /// It ends by itself after as many as are wanted.
        is_counted: bool,
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
    /// A store's or a topic's.
    Records(Records),
}

impl Input {
    /// Checks that each file is there, or that there is such a generator.
    pub(super) fn open(args: &Args, context: &Context, sources: &[String]) -> Result<Self, Failure> {
        if let Some(generated) = sources.iter().find_map(|source| source.strip_prefix(generate::SCHEME)) {
            if let Some(other) = sources.iter().find(|source| !source.ends_with(generated)) {
                return Err(Box::new(LoadError::NotAlone { other: other.clone() }));
            }
            return Self::generated(args, context, generated);
        }
        if let Some(source) = http::source(args, context, sources)? {
            return Ok(Input::Made { name: source.name(), source, is_counted: false });
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
    fn generated(args: &Args, context: &Context, text: &str) -> Result<Self, Failure> {
        let mut config = generate::config(context, text)?;
        config.count = match (config.count, args.limit) {
            (Some(count), Some(limit)) => Some(count.min(limit)),
            (count, limit) => count.or(limit),
        };
        let name = config.name();
        Ok(Input::Made { name, source: Arc::new(GeneratedSource::new(config)), is_counted: true })
    }

    pub(super) fn source(&self) -> Arc<dyn Source> {
        match self {
            Input::Files { source, .. } => source.clone(),
            Input::Made { source, .. } | Input::Given { source, .. } => source.clone(),
            Input::Watched { source, .. } => source.clone(),
            Input::Records(records) => records.source(),
        }
    }

    /// What its records look like, by the name of their place. Reads the headers of CSV files.
    pub(super) fn shapes(&self) -> Result<Vec<(Arc<str>, Shape)>, files::Error> {
        match self {
            Input::Files { source, config } => record::shapes(source, config),
            Input::Made { name, .. } => Ok(vec![(name.clone(), Shape::Json)]),
            Input::Watched { .. } => Ok(Vec::new()),
            Input::Given { shapes, .. } => Ok(shapes.clone()),
            Input::Records(records) => Ok(vec![(records.name().clone(), Shape::Json)]),
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
            Input::Made { .. } | Input::Watched { .. } | Input::Given { .. } | Input::Records(_) => &[],
        }
    }

    /// How a file that appears is read; `None`: all files are known.
    pub(super) fn watched(&self) -> Option<&files::Config> {
        match self {
            Input::Watched { config, .. } => Some(config),
            Input::Files { .. } | Input::Made { .. } | Input::Given { .. } | Input::Records(_) => None,
        }
    }

    /// It counts its records itself.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self, Input::Made { is_counted: true, .. })
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
