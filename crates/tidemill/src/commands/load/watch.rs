//! `--watch DIR`: files as they appear in a folder, each once over all lives. A file is taken when nobody has written to it for
//! a while; what is loaded is remembered in the load's state, a line for each file.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use async_trait::async_trait;
use base::{
    Ask, Batch, BoxError, Clock, Discovery, Fault, Place, Position, Read, Reader, Rejects, Source, Split,
};
use connectors::files::{self, FileSource, Format};
use engine::{Stage, checkpoints::FileCheckpoints};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::hindrance::Hindrance;

/// A file is whole when it has stood still for so long.
const SETTLED_MS: i64 = 2_000;
const LOOK_MS: u64 = 250;
const DONE: &str = "watched.jsonl";
/// Names that programs give to files they have not written whole.
const UNFINISHED: [&str; 7] = ["tmp", "temp", "part", "partial", "crdownload", "filepart", "swp"];

/// A file's size and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    bytes: u64,
    modified_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Done {
    file: String,
    #[serde(flatten)]
    look: Look,
}

pub(super) struct WatchSource {
    folder: PathBuf,
    config: files::Config,
    clock: Arc<dyn Clock>,
    /// What is known of a load without a state is forgotten with it.
    kept: Option<(PathBuf, Arc<FileCheckpoints>)>,
    state: Arc<Mutex<Watched>>,
}

#[derive(Default)]
struct Watched {
    done: BTreeMap<String, Look>,
    /// Since when a file has stood still.
    seen: HashMap<String, (Look, i64)>,
    /// Told of, and not done.
    open: HashMap<Arc<str>, Progress>,
}

/// How far one file is.
struct Progress {
    look: Look,
    has_ended: bool,
    read: Option<Position>,
    covered: Option<Position>,
}

impl Progress {
    fn is_done(&self) -> bool {
        self.has_ended && self.read == self.covered
    }
}

impl WatchSource {
    /// `config`: how each file is read. `kept`: the folder of the load's state, and its checkpoints.
    pub(super) fn open(
        folder: PathBuf,
        config: files::Config,
        clock: Arc<dyn Clock>,
        kept: Option<(&Path, Arc<FileCheckpoints>)>,
    ) -> Result<Self, Hindrance> {
        fs::read_dir(&folder).map_err(|source| Hindrance::Watch { folder: folder.clone(), source })?;
        let kept = kept.map(|(folder, checkpoints)| (folder.join(DONE), checkpoints));
        let mut watched = Watched::default();
        if let Some((path, _)) = &kept {
            // The last line may be cut: its file is looked at again, and its checkpoint says that it is read.
            let lines = fs::read_to_string(path).unwrap_or_default();
            let done = lines.lines().filter_map(|line| serde_json::from_str::<Done>(line).ok());
            watched.done.extend(done.map(|done| (done.file, done.look)));
        }
        Ok(Self { folder, config, clock, kept, state: Arc::new(Mutex::new(watched)) })
    }

    /// Files that have stood still long enough, in the order of their names.
    fn look(&self) -> Result<Vec<Split>, Hindrance> {
        let now_ms = self.clock.steady_ms();
        let list = fs::read_dir(&self.folder);
        let list = list.map_err(|source| Hindrance::Watch { folder: self.folder.clone(), source })?;
        let mut found = BTreeMap::new();
        for path in list.flatten().map(|entry| entry.path()) {
            if is_wanted(&path)
                && (self.config.format.is_some() || Format::of_name(&path.to_string_lossy()).is_some())
                && let Some(look) = look(&path)
            {
                found.insert(path.to_string_lossy().into_owned(), look);
            }
        }
        let mut state = self.state.lock();
        state.seen.retain(|name, _| found.contains_key(name));
        let mut splits = Vec::new();
        for (name, look) in found {
            if state.open.contains_key(name.as_str()) {
                continue;
            }
            if let Some(was) = state.done.get_mut(&name) {
                if *was != look {
                    tracing::warn!(file = name, "has changed since it was loaded, and is not loaded again");
                    *was = look;
                }
                continue;
            }
            let since = match state.seen.get(&name) {
                Some((was, since)) if *was == look => *since,
                _ => now_ms,
            };
            state.seen.insert(name.clone(), (look, since));
            if now_ms - since >= SETTLED_MS {
                let path: Arc<str> = name.into();
                state
                    .open
                    .insert(path.clone(), Progress { look, has_ended: false, read: None, covered: None });
                splits.push(Split { id: path.clone(), place: Arc::new(Place::File { path }) });
            }
        }
        Ok(splits)
    }
}

fn is_wanted(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
    let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    !name.starts_with('.') && !name.ends_with('~') && !UNFINISHED.contains(&ending.as_str())
}

fn look(path: &Path) -> Option<Look> {
    let about = path.metadata().ok().filter(|about| about.is_file())?;
    let modified = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Look { bytes: about.len(), modified_ms: modified.as_millis() as u64 })
}

/// Remembers a file that is read and committed to its end.
fn note(
    state: &Mutex<Watched>,
    kept: Option<&(PathBuf, Arc<FileCheckpoints>)>,
    id: &Arc<str>,
) -> Result<(), Fault> {
    let mut state = state.lock();
    if !state.open.get(id).is_some_and(Progress::is_done) {
        return Ok(());
    }
    let Some(progress) = state.open.remove(id) else { return Ok(()) };
    state.done.insert(id.to_string(), progress.look);
    let Some((path, checkpoints)) = kept else { return Ok(()) };
    let line = serde_json::to_string(&Done { file: id.to_string(), look: progress.look }).unwrap_or_default();
    let written = fs::File::options().create(true).append(true).open(path).and_then(|mut file| {
        file.write_all(format!("\n{line}\n").as_bytes())?;
        file.sync_data()
    });
    written.map_err(|source| Fault::Fatal(Box::new(Hindrance::State { path: path.clone(), source })))?;
    checkpoints.drop_split(id);
    Ok(())
}

#[async_trait]
impl Source for WatchSource {
    async fn discover(&self, ask: &Ask) -> Result<Discovery, Fault> {
        let assigned = self.look().map_err(|error| Fault::Fatal(Box::new(error)))?;
        if assigned.is_empty() {
            tokio::time::sleep(ask.remaining().min(Duration::from_millis(LOOK_MS))).await;
        }
        Ok(Discovery::Changed { assigned, revoked: Vec::new() })
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let inputs = vec![files::Input::file(PathBuf::from(&*split.id))];
        let config = files::Config { inputs, ..self.config.clone() };
        let source = FileSource::open(config).map_err(|error| Fault::Fatal(Box::new(error)))?;
        let inner = source.open(split, from).await?;
        let (state, kept, id) = (self.state.clone(), self.kept.clone(), split.id.clone());
        Ok(Box::new(WatchedReader { inner, state, kept, id }))
    }

    async fn covered(&self, split: &Split, upto: &Position) -> Result<(), Fault> {
        if let Some(progress) = self.state.lock().open.get_mut(&split.id) {
            progress.covered = Some(upto.clone());
        }
        note(&self.state, self.kept.as_ref(), &split.id)
    }
}

struct WatchedReader {
    inner: Box<dyn Reader>,
    state: Arc<Mutex<Watched>>,
    kept: Option<(PathBuf, Arc<FileCheckpoints>)>,
    id: Arc<str>,
}

#[async_trait]
impl Reader for WatchedReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        let read = self.inner.read(ask).await?;
        if let Some(progress) = self.state.lock().open.get_mut(&self.id) {
            match &read {
                Read::Batch(batch) => progress.read = Some(batch.end.clone()),
                Read::End => progress.has_ended = true,
                Read::Idle => {}
            }
        }
        if matches!(read, Read::End) {
            note(&self.state, self.kept.as_ref(), &self.id)?;
        }
        Ok(read)
    }
}

/// Makes the stage of the file with this path.
type Make = dyn Fn(&str) -> Result<Arc<dyn Stage>, BoxError> + Send + Sync;

/// A stage that is made when a file's first batch comes: nobody knows beforehand what will appear.
pub(super) struct Lazy {
    make: Box<Make>,
    growth: u64,
    made: Mutex<HashMap<Arc<str>, Arc<dyn Stage>>>,
}

/// Stages of files long done are made again if one should come back.
const STAGES_MAX: usize = 64;

impl Lazy {
    pub(super) fn new(
        growth: u64,
        make: impl Fn(&str) -> Result<Arc<dyn Stage>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self { make: Box::new(make), growth, made: Mutex::default() }
    }
}

impl Stage for Lazy {
    fn growth(&self) -> u64 {
        self.growth
    }

    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let Place::File { path } = &*batch.place else {
            return Err(Fault::Fatal(format!("{} is no file", batch.place).into()));
        };
        let known = self.made.lock().get(path).cloned();
        let stage = match known {
            Some(stage) => stage,
            None => {
                let stage = (self.make)(path).map_err(Fault::Fatal)?;
                let mut made = self.made.lock();
                if made.len() >= STAGES_MAX {
                    made.clear();
                }
                made.insert(path.clone(), stage.clone());
                stage
            }
        };
        stage.apply(batch)
    }
}

#[cfg(test)]
mod tests {
    use base::{Lease, ManualClock};
    use std::time::Instant;

    use super::*;

    fn ask() -> Ask {
        Ask { bytes_max: 1 << 20, records_max: 100, deadline: Instant::now(), lease: Lease::free() }
    }

    async fn told(source: &WatchSource) -> Vec<String> {
        let Ok(Discovery::Changed { assigned, .. }) = source.discover(&ask()).await else {
            panic!("discovers")
        };
        let name = |split: &Split| split.id.rsplit('/').next().unwrap_or_default().to_owned();
        assigned.iter().map(name).collect()
    }

    #[tokio::test]
    async fn files_are_taken_when_they_stand_still_and_never_again() {
        let (folder, state) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let clock = ManualClock::at(0);
        let open = || {
            let checkpoints = Arc::new(FileCheckpoints::open(state.path(), "w").expect("opens"));
            let config = files::Config::new(Vec::new());
            let clock = Arc::new(clock.clone());
            let kept = Some((state.path(), checkpoints));
            WatchSource::open(folder.path().to_owned(), config, clock, kept).expect("opens")
        };
        let source = open();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writes");
        write("a.csv", "n\n1\n");
        for name in ["b.csv.part", ".c.csv", "notes.txt", "d.csv~"] {
            write(name, "n\n1\n");
        }
        assert!(told(&source).await.is_empty(), "just seen");
        clock.advance_ms(SETTLED_MS - 1);
        write("a.csv", "n\n1\n2\n");
        assert!(told(&source).await.is_empty(), "still written");
        clock.advance_ms(SETTLED_MS);
        assert_eq!(told(&source).await, ["a.csv"]);
        assert!(told(&source).await.is_empty(), "told once");
        let path: Arc<str> = folder.path().join("a.csv").to_string_lossy().into();
        let split = Split { id: path.clone(), place: Arc::new(Place::File { path }) };
        let mut reader = source.open(&split, &Position::Start).await.expect("opens");
        let Ok(Read::Batch(batch)) = reader.read(&ask()).await else { panic!("a batch") };
        source.covered(&split, &batch.end).await.expect("notes");
        assert!(matches!(reader.read(&ask()).await, Ok(Read::End)));
        drop((source, reader));
        // Another life knows it, and takes what is new.
        write("e.csv", "n\n1\n");
        let source = open();
        told(&source).await;
        clock.advance_ms(SETTLED_MS);
        assert_eq!(told(&source).await, ["e.csv"]);
    }
}
