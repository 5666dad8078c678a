//! What is kept of a load in `.tidemill/loads/ID`: its arguments, what its inputs were, and its checkpoint. It is there from before
//! the first record until the load has ended, and longer only where dead letters may have to be sent again.
//!
//! The folder is its owner's alone: an address among the arguments may hold a password.

use std::{
    fs::{self, DirBuilder},
    io::{self, Read},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use base::{Clock, ContractKind, Schema, SystemClock};
use clap::Parser;
use cloud::registry::without_user;
use connectors::files;
use engine::checkpoints::{FileCheckpoints, replace};
use formats::avro_schema_text;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Args, hindrance::Hindrance, input::Input};
use crate::context::{Context, Failure, GlobalArgs};

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Going on")]
pub(super) struct ResumeArgs {
    /// Go on with a load that was cut off; which one has to be said only where there are several
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["paths", "list"])]
    pub(super) resume: Option<String>,
    /// Go on although an input is no longer what it was: what stands before the position must not have changed
    #[arg(long, requires = "resume", hide_short_help = true)]
    pub(super) accept_changes: bool,
    /// List loads that were cut off, and those that run
    #[arg(long, conflicts_with = "paths")]
    pub(super) list: bool,
}

const VERSION: u32 = 1;
const FILE: &str = "load.json";
/// What of a file's beginning is compared.
const BEGINNING_BYTES: u64 = 64 << 10;
const FILE_BYTES_MAX: u64 = 4 << 20;

/// `load.json`, version 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    version: u32,
    pub(crate) id: String,
    /// As typed, without the program's name and the word `load`.
    arguments: Vec<String>,
    pub(super) began_ms: i64,
    /// As it may be shown.
    pub(crate) target: String,
    inputs: Vec<Seen>,
    /// Objects and addresses of the web. Loads of earlier versions have kept nothing of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remote: Vec<Remote>,
    /// The id that its cluster has given the topic that is read, where it gives any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic_id: Option<String>,
    /// Of a load into files: where it ran, for targets that are named from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ran_in: Option<PathBuf>,
    /// Of a load into files: their columns as a schema of Avro's, where those were found out of the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<String>,
    /// It has ended; what is left are its dead letters.
    is_finished: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    path: PathBuf,
    bytes: u64,
    modified_ms: u64,
    /// SHA-256.
    beginning: String,
}

/// An object or an address, and which version of it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remote {
    name: String,
    bytes: Option<u64>,
    /// Its generation, or its entity tag.
    tag: Option<String>,
    modified: Option<String>,
}

/// Objects that are asked for their version at once.
const ASKED_AT_ONCE: usize = 16;

/// The same arguments again, from their text.
#[derive(Parser)]
#[command(name = "load")]
struct Again {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    args: Args,
}

/// A load of this process.
pub(super) struct State {
    folder: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) checkpoints: Arc<FileCheckpoints>,
    is_second_life: bool,
}

/// `.tidemill/loads` of a project.
pub(crate) fn loads_folder(context: &Context) -> Result<PathBuf, Failure> {
    Ok(context.root()?.join(".tidemill").join("loads"))
}

impl State {
    /// A new one; `None` where nothing can be kept: the arguments are not this process's own, or the folder takes no files.
    pub(super) fn begin(
        context: &Context,
        name: &str,
        target: &str,
        watched: Option<&Path>,
    ) -> Result<Option<Self>, Failure> {
        let Some(arguments) = words() else { return Ok(None) };
        let loads = loads_folder(context)?;
        let now_ms = SystemClock.now_ms();
        let id = match watched {
            Some(folder) => watch_id(folder, target, name),
            None => new_id(name, now_ms),
        };
        let folder = loads.join(&id);
        if watched.is_some() && folder.join(FILE).is_file() {
            return Self::open(&folder).map(Some);
        }
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(&folder) {
            tracing::warn!(%error, folder = %folder.display(), "the load cannot be resumed: its state has no place");
            return Ok(None);
        }
        let manifest = Manifest {
            version: VERSION,
            id: id.clone(),
            arguments,
            began_ms: now_ms,
            target: without_user(target),
            inputs: Vec::new(),
            remote: Vec::new(),
            topic_id: None,
            ran_in: None,
            columns: None,
            is_finished: false,
        };
        let checkpoints = FileCheckpoints::open(&folder, &id).map_err(|error| Box::new(error) as Failure)?;
        let state = Self { folder, manifest, checkpoints: Arc::new(checkpoints), is_second_life: false };
        state.save()?;
        Ok(Some(state))
    }

    /// One that was cut off, with its arguments and the settings it was given.
    pub(super) fn reopen(context: &Context, id: &str) -> Result<(Self, Args, Context), Failure> {
        let state = Self::open(&folder_of(context, id)?)?;
        let (args, context) = state.manifest.again(context)?;
        Ok((state, args, context))
    }

    fn open(folder: &Path) -> Result<Self, Failure> {
        let manifest = Manifest::read(folder)?;
        let checkpoints =
            FileCheckpoints::open(folder, &manifest.id).map_err(|error| Box::new(error) as Failure)?;
        Ok(Self {
            folder: folder.to_owned(),
            manifest,
            checkpoints: Arc::new(checkpoints),
            is_second_life: true,
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.manifest.id
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// An earlier life of it was killed.
    pub(super) fn is_second_life(&self) -> bool {
        self.is_second_life
    }

    /// What files that come later need to be as those of the load are.
    pub(super) fn keep_files(&mut self, columns: Option<&Schema>) -> Result<(), Failure> {
        self.manifest.ran_in = std::env::current_dir().ok();
        // A name that Avro does not take: they are found out of the refused records then.
        self.manifest.columns = columns.and_then(|schema| avro_schema_text(schema, true).ok());
        self.save()
    }

    /// Keeps what the inputs are, in the first life; in another, holds them against that.
    pub(super) async fn compare(&mut self, input: &Input, accept_changes: bool) -> Result<(), Failure> {
        let paths = input.paths();
        if self.is_second_life {
            if paths.iter().any(|path| path.as_os_str() == "-") {
                return Err(Box::new(Hindrance::NoStandardInput { id: self.manifest.id.clone() }));
            }
            if accept_changes {
                return Ok(());
            }
        }
        let seen: Result<Vec<Seen>, Failure> =
            paths.iter().filter(|path| path.is_file()).map(|path| Seen::of(path)).collect();
        let (seen, remote) = (seen?, Remote::all_of(input).await?);
        let topic_id = match input {
            Input::Records(records) => records.topic_id(self.manifest.topic_id.clone()).await?,
            _ => None,
        };
        if !self.is_second_life {
            self.manifest.inputs = seen;
            self.manifest.remote = remote;
            self.manifest.topic_id = topic_id;
            return self.save();
        }
        for was in &self.manifest.inputs {
            let now = seen.iter().find(|now| now.path == was.path);
            self.expect_same(&was.path, now.map(|now| now.differs(was)))?;
        }
        for was in &self.manifest.remote {
            let now = remote.iter().find(|now| now.name == was.name);
            self.expect_same(Path::new(&was.name), now.map(|now| now.differs(was)))?;
        }
        Ok(())
    }

    /// `now`: how it differs, where it is there.
    fn expect_same(&self, path: &Path, now: Option<Option<String>>) -> Result<(), Failure> {
        let reason = match now {
            None => "it is gone".to_owned(),
            Some(Some(reason)) => reason,
            Some(None) => return Ok(()),
        };
        let id = self.manifest.id.clone();
        Err(Box::new(Hindrance::InputChanged { id, path: path.to_owned(), reason }))
    }

    /// Whether a later life has something to begin with.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.is_second_life || self.checkpoints.all().is_ok_and(|saved| !saved.is_empty())
    }

    /// It has ended: nothing is left of it, unless its dead letters are.
    pub(super) fn finish(mut self, has_dead_letters: bool) -> Result<(), Failure> {
        if has_dead_letters {
            self.manifest.is_finished = true;
            return self.save();
        }
        self.remove()
    }

    pub(super) fn remove(self) -> Result<(), Failure> {
        let Self { folder, checkpoints, .. } = self;
        drop(checkpoints);
        fs::remove_dir_all(&folder)
            .map_err(|source| Box::new(Hindrance::State { path: folder.clone(), source }) as Failure)?;
        // Nothing is to be seen of loads that went well.
        if let Some(loads) = folder.parent() {
            let is_empty = fs::remove_dir(loads).is_ok();
            if let Some(hidden) = loads.parent().filter(|_| is_empty) {
                fs::remove_dir(hidden).ok();
            }
        }
        Ok(())
    }

    fn save(&self) -> Result<(), Failure> {
        let path = self.folder.join(FILE);
        let text = serde_json::to_vec_pretty(&self.manifest).unwrap_or_default();
        replace(&path, &text).map_err(|source| Box::new(Hindrance::State { path, source }) as Failure)
    }
}

impl Manifest {
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let at = |source| Box::new(Hindrance::State { path: path.clone(), source }) as Failure;
        let mut text = String::new();
        fs::File::open(&path).map_err(at)?.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(at)?;
        let bad = |reason: String| at(io::Error::new(io::ErrorKind::InvalidData, reason));
        let manifest: Self = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if manifest.version != VERSION {
            return Err(bad(format!("version {}; this program reads {VERSION}", manifest.version)));
        }
        Ok(manifest)
    }

    /// The arguments, and the context that they had: the project is this one's, what was set then is set again.
    pub(crate) fn again(&self, context: &Context) -> Result<(Args, Context), Failure> {
        let words = std::iter::once("load".to_owned()).chain(self.arguments.iter().cloned());
        let again = Again::try_parse_from(words).map_err(|error| {
            let source = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
            Box::new(Hindrance::State { path: self.id.clone().into(), source }) as Failure
        })?;
        let now = context.global();
        let global = GlobalArgs {
            project: Some(context.root()?),
            set: again.global.set.into_iter().chain(now.set.iter().cloned()).collect(),
            output: now.output,
            verbose: now.verbose,
        };
        Ok((again.args, Context::new(global)))
    }

    /// It has ended, and what it has written is there.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished
    }

    pub(super) fn ran_in(&self) -> Option<&Path> {
        self.ran_in.as_deref()
    }

    /// The columns of its files, where they were found out of the records.
    pub(super) fn columns(&self) -> Option<Arc<Schema>> {
        let contract = contracts::contract(ContractKind::Avro, "row", None, self.columns.as_ref()?);
        contract.ok().map(|contract| contract.schema)
    }

    /// The last of its dead letters is gone, and with it what it was kept for.
    pub(crate) fn forget_if_finished(&self, folder: &Path) -> Result<(), Failure> {
        if !self.is_finished {
            return Ok(());
        }
        let removed = fs::remove_dir_all(folder);
        removed.map_err(|source| Box::new(Hindrance::State { path: folder.to_owned(), source }) as Failure)
    }
}

impl Seen {
    fn of(path: &Path) -> Result<Self, Failure> {
        let at = |source| Box::new(Hindrance::State { path: path.to_owned(), source }) as Failure;
        let file = fs::File::open(path).map_err(at)?;
        let about = file.metadata().map_err(at)?;
        let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let mut beginning = Vec::new();
        file.take(BEGINNING_BYTES).read_to_end(&mut beginning).map_err(at)?;
        let digest = Sha256::digest(&beginning);
        Ok(Self {
            path: path.to_owned(),
            bytes: about.len(),
            modified_ms: modified.map_or(0, |since| since.as_millis() as u64),
            beginning: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// How it is another file than the one it was.
    fn differs(&self, was: &Seen) -> Option<String> {
        if self.bytes != was.bytes {
            return Some(format!("it has {} bytes and had {}", self.bytes, was.bytes));
        }
        if self.beginning != was.beginning {
            return Some("it begins with other bytes".to_owned());
        }
        (self.modified_ms != was.modified_ms).then(|| "it was written since".to_owned())
    }
}

impl Remote {
    async fn all_of(input: &Input) -> Result<Vec<Self>, Failure> {
        let Some(source) = input.files() else { return Ok(Vec::new()) };
        let version = |input: &files::Input| {
            let input = input.clone();
            async move { input.version().await.map(|version| version.map(|one| Self::of(input.name(), one))) }
        };
        // Made before they are waited for: the stream owns them.
        let asked: Vec<_> = source.inputs().iter().map(version).collect();
        let found: Result<Vec<_>, files::Error> =
            stream::iter(asked).buffered(ASKED_AT_ONCE).try_collect().await;
        let found = found.map_err(|error| Box::new(error) as Failure)?;
        Ok(found.into_iter().flatten().collect())
    }

    fn of(name: &str, version: files::Version) -> Self {
        let files::Version { bytes, tag, modified } = version;
        if tag.is_none() && modified.is_none() {
            tracing::warn!(name, "its server does not say when it changes: a resumed load could not tell");
        }
        Self { name: name.to_owned(), bytes, tag, modified }
    }

    /// How it is another one than it was.
    fn differs(&self, was: &Remote) -> Option<String> {
        if let (Some(now), Some(was)) = (self.bytes, was.bytes)
            && now != was
        {
            return Some(format!("it has {now} bytes and had {was}"));
        }
        match (&self.tag, &was.tag) {
            (Some(now), Some(was)) => {
                return (now != was).then(|| format!("it is version {now} and was {was}"));
            }
            (None, None) => {}
            _ => return Some("its server tells versions of it otherwise than then".to_owned()),
        }
        (self.modified != was.modified).then(|| {
            let told = |time: &Option<String>| time.clone().unwrap_or_else(|| "never".to_owned());
            format!("it was modified {} and had been {}", told(&self.modified), told(&was.modified))
        })
    }
}

/// This process's arguments, where they are those of a load: without the program's name and the word `load`. Those of a conversion are
/// those of a load that does the same.
fn words() -> Option<Vec<String>> {
    let mut words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.into_string().ok()).collect::<Option<_>>()?;
    let mut at = 0;
    while words.get(at)?.starts_with('-') {
        let takes_another = ["--project", "--set", "--output"].contains(&words[at].as_str());
        at += if takes_another { 2 } else { 1 };
    }
    if !["load", "convert"].contains(&words.get(at)?.as_str()) {
        return None;
    }
    words.remove(at);
    Again::try_parse_from(std::iter::once("load").chain(words.iter().map(String::as_str))).ok()?;
    Some(words)
}

/// No two loads have the same, on any machine: it names them in Kafka too.
fn new_id(name: &str, now_ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default().format("%Y%m%dT%H%M%S");
    let chance = Sha256::digest(format!("{now_ms} {} {:?}", std::process::id(), std::time::Instant::now()));
    format!("{}-{time}-{:02x}{:02x}", plain(name), chance[0], chance[1])
}

/// The same for each life that watches this folder for this target.
fn watch_id(folder: &Path, target: &str, name: &str) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let digest = Sha256::digest(format!("{} {target}", folder.display()));
    let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-watch-{digest}", plain(name))
}

fn plain(name: &str) -> String {
    let kept = |one: char| if one.is_ascii_alphanumeric() || "-_.".contains(one) { one } else { '_' };
    name.chars().map(kept).take(80).collect()
}

/// Loads that have not ended, oldest first, and whether each runs.
fn unfinished(context: &Context) -> Result<Vec<(Manifest, bool)>, Failure> {
    let loads = loads_folder(context)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&loads).into_iter().flatten().flatten() {
        if !entry.path().join(FILE).is_file() {
            continue;
        }
        let manifest = Manifest::read(&entry.path())?;
        if !manifest.is_finished {
            let is_running = runs(&entry.path().join(format!("{}.lock", manifest.id)));
            found.push((manifest, is_running));
        }
    }
    found.sort_by_key(|(manifest, _)| manifest.began_ms);
    Ok(found)
}

fn runs(lock: &Path) -> bool {
    fs::File::open(lock).is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// The folder of the load that is meant: by its id, or the only one that can go on.
fn folder_of(context: &Context, id: &str) -> Result<PathBuf, Failure> {
    let loads = loads_folder(context)?;
    let known: Vec<String> =
        unfinished(context)?.into_iter().filter(|(_, runs)| !runs).map(|(manifest, _)| manifest.id).collect();
    if !id.is_empty() {
        let is_there = plain(id) == id && loads.join(id).join(FILE).is_file();
        let manifest = if is_there { Some(Manifest::read(&loads.join(id))?) } else { None };
        return match manifest {
            Some(manifest) if !manifest.is_finished => Ok(loads.join(id)),
            Some(_) => Err(Box::new(Hindrance::HasEnded { id: id.to_owned() })),
            None => Err(Box::new(Hindrance::NoLoad { id: id.to_owned(), known })),
        };
    }
    match known.as_slice() {
        [one] => Ok(loads.join(one)),
        [] => Err(Box::new(Hindrance::NothingUnfinished { folder: loads })),
        _ => Err(Box::new(Hindrance::SeveralUnfinished { known })),
    }
}

/// `tidemill load --list`.
pub(super) fn list(context: &Context) -> Result<(), Failure> {
    let found = unfinished(context)?;
    if context.is_json() {
        let rows = found.iter().map(|(manifest, is_running)| {
            let state = if *is_running { "running" } else { "unfinished" };
            json!({ "id": manifest.id, "state": state, "began_ms": manifest.began_ms, "target": manifest.target })
        });
        println!("{}", serde_json::Value::from_iter(rows));
        return Ok(());
    }
    if found.is_empty() {
        println!("every load has ended");
    }
    let width = found.iter().map(|(manifest, _)| manifest.id.len()).max().unwrap_or(0);
    for (manifest, is_running) in found {
        let began = chrono::DateTime::from_timestamp_millis(manifest.began_ms).unwrap_or_default();
        let state = if is_running { "running   " } else { "unfinished" };
        println!(
            "{:width$}  {state}  {}  {}",
            manifest.id,
            began.format("%Y-%m-%d %H:%M:%S"),
            manifest.target
        );
    }
    Ok(())
}
