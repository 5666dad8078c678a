//! Where a stream is read from: an address in the pipeline's file, turned into a connector and its settings.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use base::Source;
use cloud::{
    registry::Registry,
    store::{Address, Cloud},
};
use connectors::{
    Connector, Selection, Settings, TableForm, files, kafka::TopicSource, mapping::Mapping,
    received::Columns, record,
};
use engine::Stage;
use regex::Regex;

use crate::{
    Error, PipelineFile, WriteDisposition,
    file::{SourceSpec, Span, StreamSpec, TargetSpec},
    letters::Letters,
    rows::ParseRows,
    state::TopicState,
    topic::{BOOTSTRAP, TOPICS},
};

/// What addresses mean in this project.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Paths are relative to it.
    pub root: PathBuf,
    /// Settings of `SCHEME://local`, the project's own part, by scheme.
    pub local: BTreeMap<String, Settings>,
    /// The connections that the file names.
    pub connections: BTreeMap<String, Reached>,
    /// Who knows the schemas of a topic's records.
    pub registry: Option<Registry>,
}

/// What a connection of the project leads to.
#[derive(Debug, Clone)]
pub struct Reached {
    /// Of its store of documents: `mongodb://…`, `dynamodb://`, `firestore://`.
    pub address: String,
    pub settings: Settings,
    /// Its buckets, where it has such.
    pub buckets: Option<Buckets>,
}

/// The buckets of a connection's cloud.
#[derive(Debug, Clone)]
pub struct Buckets {
    pub cloud: Cloud,
    /// The one that the connection itself names: `s3://BUCKET`.
    pub address: Option<String>,
    /// As whom, and where.
    pub settings: Settings,
}

/// A source that is open, and what it takes to make rows of its records.
pub(crate) struct Opened {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) stages: Vec<Arc<dyn Stage>>,
    pub(crate) table_form: TableForm,
    /// What its records are as they come, in a word.
    pub(crate) first_form: &'static str,
    /// What records of CSV have as their columns, by file.
    pub(crate) columns: BTreeMap<Arc<str>, Columns>,
    /// The topic that is read, and which one of that name was read before.
    pub(crate) topic: Option<(Arc<TopicSource>, Option<String>)>,
}

/// What is asked of a source.
#[derive(Default)]
pub(crate) struct Asked<'a> {
    pub(crate) selection: Selection,
    /// How far a topic was read.
    pub(crate) topic: Option<&'a TopicState>,
    /// In place of what it has: records of it that were refused.
    pub(crate) letters: Option<&'a Letters>,
}

/// `mongodb://host/db` as its scheme and the whole; `None` for a path.
fn scheme_of(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once("://")?;
    Some(scheme.strip_suffix("+srv").unwrap_or(scheme)).filter(|scheme| *scheme != "file")
}

fn path_of(url: &str, root: &Path) -> PathBuf {
    root.join(url.strip_prefix("file://").unwrap_or(url))
}

/// Schemes that can be read or written, for messages.
pub(crate) fn schemes(is_source: bool) -> String {
    let able = |connector: &&Connector| {
        let able = if is_source { connector.source.is_some() } else { connector.sink.is_some() };
        // Tables go to no topic.
        let is_topic = connector.spec.scheme == TOPICS && !is_source;
        able && !is_topic && !matches!(connector.spec.scheme, "file" | "generate" | "http")
    };
    let mut schemes: Vec<String> = connectors::CONNECTORS
        .iter()
        .filter(able)
        .map(|connector| format!("{}://", connector.spec.scheme))
        .collect();
    if !is_source {
        schemes.push("s3://".to_owned());
        schemes.push("gs://".to_owned());
    }
    schemes.join(", ")
}

impl PipelineFile {
    /// The address that records come from, as it is shown: without a password.
    pub fn source_address(&self, places: &Places) -> String {
        self.source_given(places).map_or_else(
            |_| self.source.connection.clone().unwrap_or_default(),
            |(address, _)| redacted(&address),
        )
    }

    fn connection<'a>(&self, name: &str, span: Span, places: &'a Places) -> Result<&'a Reached, Error> {
        let names = || places.connections.keys().cloned().collect();
        places.connections.get(name).ok_or_else(|| Error::NoConnection {
            file: self.file.clone(),
            span,
            name: name.to_owned(),
            names: names(),
        })
    }

    /// Address and settings of the source: a connection's or a url's.
    fn source_given(&self, places: &Places) -> Result<(String, Settings), Error> {
        let SourceSpec { connection, url, span, .. } = &self.source;
        match connection {
            Some(name) => {
                let Reached { address, settings, .. } = self.connection(name, *span, places)?;
                Ok((address.clone(), settings.clone()))
            }
            None => Ok((url.clone().unwrap_or_default(), Settings::new())),
        }
    }

    /// Address and settings of the target. A url beside a connection says where, and the connection as whom.
    fn target_given(&self, places: &Places) -> Result<(String, Settings), Error> {
        let TargetSpec { connection, url, span, .. } = &self.target;
        let Some(name) = connection else { return Ok((url.clone().unwrap_or_default(), Settings::new())) };
        let Reached { address, settings, buckets } = self.connection(name, *span, places)?;
        match (url, buckets) {
            (None, Some(Buckets { address: Some(bucket), settings, .. })) => {
                Ok((bucket.clone(), settings.clone()))
            }
            (None, _) => Ok((address.clone(), settings.clone())),
            (Some(url), Some(buckets)) if url.starts_with(bucket_scheme(buckets.cloud)) => {
                Ok((url.clone(), buckets.settings.clone()))
            }
            // A store that the connection only says the account of.
            (Some(url), _) if address.ends_with("://") && url.starts_with(address.as_str()) => {
                Ok((url.clone(), settings.clone()))
            }
            (Some(_), buckets) => {
                let bucket =
                    buckets.as_ref().map(|buckets| format!("{}BUCKET/PATH", bucket_scheme(buckets.cloud)));
                let expected = match bucket {
                    Some(bucket) => format!("{bucket} or {address}, which {name} leads to"),
                    None => format!("no url beside {name}, which says it all"),
                };
                let (file, span) = (self.file.clone(), self.target.url_span.unwrap_or(*span));
                Err(Error::BadValue { file, span, key: "target.url".to_owned(), expected })
            }
        }
    }

    /// Opens the source of a stream; nothing is read before the engine asks.
    pub(crate) fn open_source(
        &self,
        stream: &StreamSpec,
        asked: &Asked<'_>,
        places: &Places,
    ) -> Result<Opened, Error> {
        let (address, mut settings) = self.source_given(places)?;
        let failed = |source| Error::Source { stream: stream.name.clone(), source };
        let selection = &asked.selection;
        let Some(scheme) = scheme_of(&address) else {
            return match asked.letters {
                Some(letters) => self.open_letters(stream, letters),
                None => self.open_files(stream, selection, &path_of(&address, &places.root)),
            };
        };
        let connector = connectors::by_scheme(scheme);
        let Some((connector, open)) = connector.and_then(|connector| Some((connector, connector.source?)))
        else {
            return Err(Error::NoSource {
                file: self.file.clone(),
                span: self.source.span,
                address: redacted(&address),
                schemes: schemes(true),
            });
        };
        address_settings(connector.spec.scheme, &address, &self.source.database, places, &mut settings);
        settings.insert(collection_key(connector.spec.scheme).to_owned(), stream.collection.clone());
        settings.extend(self.source.settings.clone());
        if scheme == TOPICS {
            return self.open_topic(stream, asked, settings, places);
        }
        let source = match asked.letters {
            Some(letters) => letters.source.clone(),
            None => open(&settings, selection).map_err(failed)?,
        };
        let (table_form, columns) = (connector.table_form, BTreeMap::new());
        Ok(Opened { source, stages: Vec::new(), table_form, first_form: "rows", columns, topic: None })
    }

    /// Its source is Kafka, whose topics are gone on with from their offsets.
    pub fn reads_topics(&self, places: &Places) -> bool {
        self.source_given(places).is_ok_and(|(address, _)| scheme_of(&address) == Some(TOPICS))
    }

    fn open_files(&self, stream: &StreamSpec, selection: &Selection, path: &Path) -> Result<Opened, Error> {
        let failed = |source| Error::Source { stream: stream.name.clone(), source };
        let pattern = if path.is_dir() { path.join(&stream.collection) } else { path.to_owned() };
        let config = self.config_of_files(stream, matching(&pattern))?;
        // The cursor is looked at in each record here; what else is asked for, a file cannot do.
        let rest = Selection { cursor: None, ..selection.clone() };
        rest.expect_everything("a file").map_err(failed)?;
        let source = files::FileSource::open(config.clone()).map_err(|error| failed(error.into()))?;
        let shapes =
            record::shapes(&source, &config, &Mapping::default()).map_err(|error| failed(error.into()))?;
        let columns =
            shapes.iter().filter_map(|(path, shape)| Some((path.clone(), Columns::of(shape, &[])?)));
        let columns = columns.collect();
        let stage: Arc<dyn Stage> = Arc::new(ParseRows::new(shapes));
        let (stages, table_form) = (vec![stage], connectors::plain_form as TableForm);
        Ok(Opened { source: Arc::new(source), stages, table_form, first_form: "text", columns, topic: None })
    }

    /// How files are read.
    pub(crate) fn config_of_files(
        &self,
        stream: &StreamSpec,
        paths: Vec<PathBuf>,
    ) -> Result<files::Config, Error> {
        let failed = |source| Error::Source { stream: stream.name.clone(), source };
        let mut config = files::Config::new(paths);
        let mut settings = self.source.settings.clone();
        if let Some(format) = settings.remove("format") {
            config.format = Some(format.parse().map_err(|error: files::Error| failed(error.into()))?);
        }
        config.delimiter = settings.remove("delimiter").and_then(|text| text.bytes().next());
        match settings.keys().next() {
            Some(key) => {
                Err(failed(format!("files have no setting {key}; there are format and delimiter").into()))
            }
            None => Ok(config),
        }
    }
}

/// The files of a path whose name may have `*` and `?`; the path itself where none fits, so that it is told of.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains(['*', '?']) {
        return vec![pattern.to_owned()];
    }
    let escaped = regex::escape(&name).replace(r"\*", ".*").replace(r"\?", ".");
    let folder = pattern.parent().unwrap_or(Path::new("."));
    let (Ok(expression), Ok(entries)) = (Regex::new(&format!("^{escaped}$")), std::fs::read_dir(folder))
    else {
        return vec![pattern.to_owned()];
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| expression.is_match(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    if paths.is_empty() { vec![pattern.to_owned()] } else { paths }
}

/// What an address says, in the connector's own words.
fn address_settings(
    scheme: &str,
    address: &str,
    database: &Option<String>,
    places: &Places,
    settings: &mut Settings,
) {
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    if host == "local"
        && let Some(local) = places.local.get(scheme)
    {
        settings.extend(local.clone());
    }
    let mut set = |key: &str, value: &str| {
        if !value.is_empty() {
            settings.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    };
    match scheme {
        "mongodb" if host != "local" => set("uri", address),
        // Several with commas; the port may be left out.
        TOPICS if host != "local" => {
            let with_port =
                |host: &str| if host.contains(':') { host.to_owned() } else { format!("{host}:9092") };
            let hosts = host.split(',').filter(|host| !host.is_empty()).map(with_port);
            set(BOOTSTRAP, &hosts.collect::<Vec<_>>().join(","));
        }
        "dynamodb" if host != "local" => set("region", host),
        "firestore" if host != "local" => {
            set("project", host);
            set("database", rest.split_once('/').map_or("", |(_, database)| database));
        }
        _ => {}
    }
    if let Some(database) = database {
        settings.insert("database".to_owned(), database.clone());
    }
}

fn collection_key(scheme: &str) -> &'static str {
    if scheme == "dynamodb" { "table" } else { "collection" }
}

/// Where the tables go.
pub enum TargetAddress {
    /// `s3://` or `gs://`; settings are those of a connection, and empty without one.
    Bucket {
        address: Address,
        settings: Settings,
    },
    Folder(PathBuf),
    /// A store of documents, by its connector.
    Store {
        scheme: &'static str,
        settings: Settings,
    },
}

impl PipelineFile {
    /// # Errors
    /// An address that nothing writes to, or streams that cannot be written so.
    pub fn target_address(&self, places: &Places) -> Result<TargetAddress, Error> {
        let (address, mut settings) = self.target_given(places)?;
        let refuse = || Error::NoTarget {
            file: self.file.clone(),
            span: self.target.span,
            address: redacted(&address),
            schemes: schemes(false),
        };
        match scheme_of(&address) {
            Some("s3" | "gs") => {
                let address = Address::parse(&address).map_err(|_| refuse())?;
                Ok(TargetAddress::Bucket { address, settings })
            }
            None => Ok(TargetAddress::Folder(path_of(&address, &places.root))),
            Some(scheme) => {
                let connector = connectors::by_scheme(scheme).filter(|connector| connector.sink.is_some());
                let scheme = connector.ok_or_else(refuse)?.spec.scheme;
                if scheme == TOPICS {
                    return Err(refuse());
                }
                let database = Some(self.target.dataset.clone())
                    .filter(|_| scheme == "mongodb" && self.target.is_dataset_given);
                address_settings(scheme, &address, &database, places, &mut settings);
                settings.extend(self.target.settings.clone());
                Ok(TargetAddress::Store { scheme, settings })
            }
        }
    }

    /// The address that tables go to, as it is shown.
    pub fn target_shown(&self, places: &Places) -> String {
        let TargetSpec { connection, .. } = &self.target;
        let address = self
            .target_given(places)
            .map_or_else(|_| connection.clone().unwrap_or_default(), |(address, _)| redacted(&address));
        format!("{}/{}", address.trim_end_matches('/'), self.target.dataset)
    }

    /// What the kind of target cannot do is refused before anything runs.
    pub fn check_dispositions(&self, streams: &[StreamSpec], target: &TargetAddress) -> Result<(), Error> {
        for stream in streams {
            let (file, span, name) = (self.file.clone(), stream.disposition_span, stream.name.clone());
            match (target, stream.shape.write_disposition) {
                (TargetAddress::Store { scheme, .. }, WriteDisposition::Replace) => {
                    return Err(Error::ReplaceInStore {
                        file,
                        span,
                        stream: name,
                        target: (*scheme).to_owned(),
                    });
                }
                (TargetAddress::Store { .. }, WriteDisposition::Append | WriteDisposition::Merge(_)) => {}
                (TargetAddress::Bucket { .. } | TargetAddress::Folder(_), WriteDisposition::Merge(_)) => {
                    return Err(Error::MergeIntoFiles { file, span, stream: name });
                }
                (
                    TargetAddress::Bucket { .. } | TargetAddress::Folder(_),
                    WriteDisposition::Append | WriteDisposition::Replace,
                ) => {}
            }
        }
        Ok(())
    }

    /// The sink of a stream in a store of documents.
    pub(crate) fn open_store_sink(
        &self,
        stream: &StreamSpec,
        scheme: &str,
        settings: &Settings,
    ) -> Result<Arc<dyn base::Sink>, Error> {
        let failed = |source| Error::Sink { stream: stream.name.clone(), source };
        let mut settings = settings.clone();
        settings.insert(collection_key(scheme).to_owned(), stream.name.clone());
        if matches!(stream.shape.write_disposition, WriteDisposition::Merge(_)) {
            settings.entry("write".to_owned()).or_insert_with(|| "upsert".to_owned());
            settings.entry("key".to_owned()).or_insert_with(|| stream.shape.primary_key.join(","));
        }
        let open = connectors::by_scheme(scheme).and_then(|connector| connector.sink);
        match open {
            Some(open) => open(&settings).map_err(failed),
            None => Err(failed(format!("{scheme} has no sink").into())),
        }
    }
}

fn bucket_scheme(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::S3 => "s3://",
        Cloud::Gcs => "gs://",
    }
}

/// An address without its password.
pub(crate) fn redacted(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    match rest.split_once('@') {
        Some((user, rest)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:***@{rest}")
        }
        None => address.to_owned(),
    }
}
