//! Object names: `topics.dir/TOPIC/ENCODED_PARTITION/TOPIC+P+0000000000.json`, as Confluent's TopicPartitionWriter.

use base::{Place, Split};

use super::{Config, Error};

/// Everything of a name that is the same for all objects of a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// `topics/flights/`
    folder: String,
    /// `flights+3+`
    stem: String,
    directory_delim: String,
    zero_pad_width: usize,
    extension: String,
    pub(crate) partition: i32,
}

impl Names {
    /// A split without a partition number (a file, a collection) counts as partition 0.
    pub fn new(config: &Config, split: &Split) -> Result<Self, Error> {
        let (topic, partition) = match &*split.place {
            Place::Topic { topic, partition } => (topic.to_string(), *partition),
            Place::Collection { name } | Place::Made { name } => (name.to_string(), 0),
            Place::File { path } => {
                let file = path.rsplit('/').next().unwrap_or(path);
                (file.split('.').next().unwrap_or(file).to_owned(), 0)
            }
        };
        if topic.is_empty() {
            return Err(Error::Split { split: split.id.to_string() });
        }
        let (directory, file) = (&config.directory_delim, &config.file_delim);
        let top = config.topics_dir.trim_matches('/');
        let folder = if top.is_empty() {
            format!("{topic}{directory}")
        } else {
            format!("{top}{directory}{topic}{directory}")
        };
        Ok(Self {
            folder,
            stem: format!("{topic}{file}{partition}{file}"),
            directory_delim: directory.clone(),
            zero_pad_width: config.zero_pad_width,
            extension: config.format.extension(),
            partition,
        })
    }

    /// The key of the object in `encoded_partition` that starts with the record `first_mark`.
    pub fn key(&self, encoded_partition: &str, first_mark: i64) -> String {
        let Self { folder, stem, directory_delim, zero_pad_width, extension, .. } = self;
        format!("{folder}{encoded_partition}{directory_delim}{stem}{first_mark:0zero_pad_width$}{extension}")
    }

    /// What all keys of the split, and perhaps of others, start with.
    pub fn prefix(&self) -> &str {
        &self.folder
    }

    /// Whether a key under `prefix` is one of this split's.
    pub fn is_ours(&self, key: &str) -> bool {
        let Some(file) =
            key.strip_prefix(&self.folder).and_then(|rest| rest.rsplit(&*self.directory_delim).next())
        else {
            return false;
        };
        let mark = file.strip_prefix(&self.stem).and_then(|rest| rest.strip_suffix(&self.extension));
        mark.is_some_and(|mark| !mark.is_empty() && mark.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

#[cfg(test)]
mod tests;
