//! `pipelines/NAME.yaml`: source, streams and target of a pipeline, in dlt's words, each with the place it was given at.
//!
//! `node` is YAML with places, `section` reads a mapping and refuses what is unknown, `source`, `target` and `stream` are
//! the file's three parts. Nothing is opened here: `plan` does that.

pub(crate) mod node;
pub(crate) mod section;
mod source;
mod stream;
mod target;
#[cfg(test)]
mod tests;

use project::{Project, TextFile};

pub(crate) use node::Span;
pub use source::SourceSpec;
pub use stream::{CursorSpec, OnMissing, StreamSpec};
pub use target::{Compression, Format, TargetSpec};

use crate::Error;
use section::Section;

/// A pipeline as its file says it.
#[derive(Debug, Clone)]
pub struct PipelineFile {
    pub file: TextFile,
    /// The file's name without its ending.
    pub name: String,
    pub source: SourceSpec,
    pub target: TargetSpec,
    /// In their order in the file; never empty.
    pub streams: Vec<StreamSpec>,
    /// Records on their way and files being written, together.
    pub memory_bytes_max: u64,
    /// Splits that are read beside each other.
    pub lanes_count_max: usize,
}

const KEYS: &[&str] = &[
    "source",
    "target",
    "streams",
    "memory_bytes_max",
    "lanes_count_max",
    "write_disposition",
    "primary_key",
    "cursor",
    "columns",
    "nested",
    "max_nesting",
    "schema_contract",
    "fields",
    "filter",
];
const MEMORY_BYTES_DEFAULT: u64 = 16 << 20;
/// Below this not even one batch and one open file have room.
const MEMORY_BYTES_MIN: u64 = 8 << 20;
const LANES_DEFAULT: u64 = 4;
/// The folder of pipelines in a project.
pub const FOLDER: &str = "pipelines";

impl PipelineFile {
    /// What records on their way may take of the memory. Batches of a third of a MiB, as three of each of two lanes are by
    /// default, are as fast as larger ones, and stay in the processor's cache.
    pub(crate) fn records_bytes_max(&self) -> u64 {
        self.memory_bytes_max / 8
    }

    /// The rest is that of files being written.
    pub(crate) fn files_bytes_max(&self) -> u64 {
        self.memory_bytes_max - self.records_bytes_max()
    }

    /// # Errors
    /// YAML that is none, a key that is not known or does not fit, a key that is missing.
    pub fn parse(file: TextFile) -> Result<Self, Error> {
        let base = file.path.rsplit(['/', '\\']).next().unwrap_or(&file.path);
        let name = base.rsplit_once('.').map_or(base, |(name, _)| name).to_owned();
        let root = node::parse(&file)?;
        let top = Section::of(&file, "", &root, KEYS)?;
        let source = SourceSpec::read(&top)?;
        let target = TargetSpec::read(&top, &name)?;
        let streams = stream::read_all(&top)?;
        let memory_bytes_max = top.bytes("memory_bytes_max")?.unwrap_or(MEMORY_BYTES_DEFAULT);
        if let (true, Some(node)) = (memory_bytes_max < MEMORY_BYTES_MIN, top.get("memory_bytes_max")) {
            return Err(top.refuse("memory_bytes_max", node, "8 MiB or more"));
        }
        let lanes_count_max = top.count("lanes_count_max")?.unwrap_or(LANES_DEFAULT) as usize;
        Ok(Self { name, source, target, streams, memory_bytes_max, lanes_count_max, file: file.clone() })
    }

    /// A pipeline by its name, or by the path of its file.
    ///
    /// # Errors
    /// `NoPipeline` with those that are there, and what is wrong with the file.
    pub fn open(project: &Project, name: &str) -> Result<Self, Error> {
        let folder = project.root.join(FOLDER);
        let typed = std::path::Path::new(name);
        let is_path = typed.extension().is_some_and(|end| end == "yaml" || end == "yml");
        let candidates = if is_path {
            vec![typed.to_owned(), project.root.join(typed), folder.join(typed)]
        } else {
            vec![folder.join(format!("{name}.yaml")), folder.join(format!("{name}.yml"))]
        };
        match candidates.iter().find(|path| path.is_file()) {
            Some(path) => Self::parse(project.text(path)?),
            None => {
                let names = Self::names(project)?;
                let likeness = |known: &&String| strsim::jaro_winkler(known, name);
                let nearest = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
                let nearest = nearest.filter(|known| likeness(known) >= section::LIKENESS_MIN).cloned();
                Err(Error::NoPipeline { name: name.to_owned(), names, nearest, folder })
            }
        }
    }

    /// The names of all pipelines of a project, sorted.
    pub fn names(project: &Project) -> Result<Vec<String>, Error> {
        let folder = project.root.join(FOLDER);
        let listed = match std::fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(project::Error::Read { path: folder, source }.into()),
        };
        let paths = listed.flatten().map(|entry| entry.path());
        let mut names: Vec<String> = paths
            .filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"))
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The streams of these names; all for none.
    ///
    /// # Errors
    /// `NoStream` with those that are there.
    pub fn streams_named(&self, names: &[String]) -> Result<Vec<StreamSpec>, Error> {
        let known = || self.streams.iter().map(|stream| stream.name.clone()).collect();
        for name in names {
            if !self.streams.iter().any(|stream| stream.name == *name) {
                return Err(Error::NoStream {
                    name: name.clone(),
                    pipeline: self.name.clone(),
                    names: known(),
                });
            }
        }
        let is_wanted = |stream: &&StreamSpec| names.is_empty() || names.contains(&stream.name);
        Ok(self.streams.iter().filter(is_wanted).cloned().collect())
    }
}
