//! Dead letters of a pipeline, sent again: a load of its own, whose records are the letters instead of the source's. By the pipeline's
//! file as it is now, so that a contract that has been widened lets them in.
//!
//! What the contract left out of a record that is there (a value, a row of a list) is no record: it stays, and that is told.
//! A load that dies is gone on with by the next try; which letters one was about is kept beside the pipeline's state, so that
//! none is loaded twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::BinaryViewArray;
use async_trait::async_trait;
use base::{Ask, Batch, Body, Discovery, Envelope, Fault, Place, Position, Read, Reader, Source, Split};
use connectors::received::{self, Columns};
use engine::checkpoints::replace;
use parking_lot::Mutex;
use pipelines::{PipelineFile, state::StateFolder};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    boxed, counted,
    errors::Error,
    folder::{self, Folder, Letter},
    record::{Kind, Record},
    root,
};
use crate::{
    commands::run,
    context::{Context, Failure},
};

/// What is kept while letters are on their way.
const MARKER: &str = "letters.json";

/// The letters that are meant, and whose they are.
pub(super) struct Letters {
    name: String,
    file: PipelineFile,
    /// Stream and folder.
    folders: Vec<(String, Folder)>,
}

/// `letters.json`, version 1.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    version: u32,
    files: Vec<PathBuf>,
    /// Loads of letters that had ended before.
    before: BTreeSet<String>,
}

/// `None`: the name is none of a pipeline, or of its letters.
pub(super) fn named(context: &Context, name: &str) -> Result<Option<Letters>, Failure> {
    let pipeline = name.split('/').next().unwrap_or_default();
    let Ok(file) = PipelineFile::open(context.project()?, pipeline) else { return Ok(None) };
    let below = format!("{name}/");
    let mut folders = Vec::new();
    for folder in Folder::all_below(&root(context)?).map_err(boxed)? {
        let mut is_of_load = false;
        if folder.name != name && !folder.name.starts_with(&below) {
            continue;
        }
        folder
            .each(|letter| {
                is_of_load = letter.load().is_some();
                Ok(false)
            })
            .map_err(boxed)?;
        let stream = folder.name.rsplit('/').next().unwrap_or_default().to_owned();
        if is_of_load || !file.streams.iter().any(|known| known.name == stream) {
            return Ok(None);
        }
        folders.push((stream, folder));
    }
    Ok((!folders.is_empty()).then(|| Letters { name: name.to_owned(), file, folders }))
}

impl Letters {
    pub(super) async fn retry(self, context: &Context) -> Result<(), Failure> {
        let state = StateFolder::of(&context.project()?.state_folder()?, &self.file.name);
        let settled_count = self.settle(&state)?;
        let mut by_stream: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        let (mut sent_count, mut parts_count) = (0, 0);
        for (stream, folder) in &self.folders {
            for path in folder.files().iter().filter(|path| path.exists()) {
                let (whole, parts) = count(path).map_err(boxed)?;
                sent_count += whole;
                parts_count += parts;
                if whole > 0 {
                    by_stream.entry(stream.clone()).or_default().push(path.clone());
                }
            }
        }
        let files: Vec<PathBuf> = by_stream.values().flatten().cloned().collect();
        let places = run::places(&self.file, context)?;
        let is_topics = self.file.reads_topics(&places);
        let mut sources = BTreeMap::new();
        for (stream, files) in by_stream {
            let places = places_of(&files).map_err(boxed)?;
            let source = LetterSource { files, is_topics, is_told: Mutex::new(false) };
            sources.insert(stream, pipelines::Letters { source: Arc::new(source), places });
        }
        let mut refused_count = 0;
        let mut folder = PathBuf::new();
        if !sources.is_empty() {
            self.mark(&state, &files)?;
            let report = run::of_letters(self.file, sources, context).await?;
            (refused_count, folder) = (report.discarded_count, report.dead_letters);
            take_out(&state, &files)?;
        }
        let arrived_count = settled_count + sent_count.saturating_sub(refused_count);
        if context.is_json() {
            let left = refused_count + parts_count;
            println!(
                "{}",
                json!({ "name": self.name, "records_count": arrived_count, "rejected_count": left })
            );
        } else {
            println!("{} to {}", counted(arrived_count), self.name);
        }
        match (refused_count, parts_count) {
            (0, 0) => Ok(()),
            (0, count) => Err(boxed(Error::Parts { name: self.name, count })),
            (count, _) => {
                // They lie with the load that has tried them.
                let root = root(context)?;
                let name = folder.strip_prefix(&root).unwrap_or(&folder).to_string_lossy().into_owned();
                Err(boxed(Error::StillRefused { name, count, folder }))
            }
        }
    }

    fn finished_loads(state: &StateFolder) -> Result<BTreeSet<String>, Failure> {
        let history = state.history().map_err(|error| Box::new(error) as Failure)?;
        let of_letters = history.into_iter().filter(|load| load.is_of_letters && load.status == "loaded");
        Ok(of_letters.map(|load| load.load_id).collect())
    }

    /// A try before this one may have died when its load had ended: its letters have arrived, and are counted.
    fn settle(&self, state: &StateFolder) -> Result<u64, Failure> {
        let path = state.path().join(MARKER);
        let Ok(text) = fs::read(&path) else { return Ok(0) };
        let unreadable = |reason: String| {
            boxed(Error::Folder { path: path.clone(), source: std::io::Error::other(reason) })
        };
        let marker: Marker = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if Self::finished_loads(state)?.is_subset(&marker.before) {
            return Ok(0);
        }
        take_out(state, &marker.files)
    }

    fn mark(&self, state: &StateFolder, files: &[PathBuf]) -> Result<(), Failure> {
        let marker = Marker { version: 1, files: files.to_vec(), before: Self::finished_loads(state)? };
        let path = state.path().join(MARKER);
        let text = serde_json::to_vec_pretty(&marker).unwrap_or_default();
        let kept = fs::create_dir_all(state.path()).and_then(|()| replace(&path, &text));
        kept.map_err(|source| boxed(Error::Folder { path, source }))
    }
}

/// How many records and how many parts of records a file has.
fn count(path: &Path) -> Result<(u64, u64), Error> {
    let (mut whole, mut parts) = (0, 0);
    for letter in folder::read(path)? {
        match letter?.is_whole() {
            true => whole += 1,
            false => parts += 1,
        }
    }
    Ok((whole, parts))
}

/// The records have arrived: only parts of records stay. Gives how many went.
fn take_out(state: &StateFolder, files: &[PathBuf]) -> Result<u64, Failure> {
    let mut gone_count = 0;
    for path in files.iter().filter(|path| path.exists()) {
        let letters = folder::read(path).map_err(boxed)?;
        let letters: Vec<Letter> = letters.collect::<Result<_, _>>().map_err(boxed)?;
        let (whole, parts): (Vec<Letter>, Vec<Letter>) = letters.into_iter().partition(Letter::is_whole);
        gone_count += whole.len() as u64;
        folder::write(path, &parts).map_err(boxed)?;
        // The load's own folder, where this was its last stream.
        if let Some(load) = path.parent().and_then(Path::parent) {
            fs::remove_dir(load).ok();
        }
    }
    let path = state.path().join(MARKER);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(boxed(Error::Folder { path, source }))
        }
        _ => Ok(gone_count),
    }
}

/// The files that records came from, and what they say of their columns.
fn places_of(files: &[PathBuf]) -> Result<BTreeMap<Arc<str>, Option<Columns>>, Error> {
    let mut places = BTreeMap::new();
    for path in files {
        for letter in folder::read(path)? {
            let letter = letter?;
            if let Some((place, _, true)) = letter.place() {
                places.entry(place.into()).or_insert_with(|| letter.columns());
            }
        }
    }
    Ok(places)
}

struct LetterSource {
    files: Vec<PathBuf>,
    is_topics: bool,
    is_told: Mutex<bool>,
}

#[async_trait]
impl Source for LetterSource {
    async fn discover(&self, _: &Ask) -> Result<Discovery, Fault> {
        Ok(folder::discovered(&self.files, &self.is_told))
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let letters = folder::read(Path::new(&*split.id)).map_err(|error| Fault::Fatal(Box::new(error)))?;
        let from = match from {
            Position::Start => 0,
            Position::Mark(mark) => *mark,
            Position::Token(_) => return Err(Fault::Fatal(format!("{from} is no letter").into())),
        };
        // Letters are numbered as they lie in their file.
        let is_topics = self.is_topics;
        Ok(Box::new(LetterReader { letters: Box::new((0..).zip(letters)), is_topics, from }))
    }

    async fn covered(&self, _: &Split, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

struct LetterReader {
    letters: Box<dyn Iterator<Item = (i64, Result<Letter, Error>)> + Send>,
    is_topics: bool,
    from: i64,
}

#[async_trait]
impl Reader for LetterReader {
    /// One record at a time: each has a place of its own, by which it is called if it is refused again.
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        for (number, letter) in self.letters.by_ref() {
            let letter = letter.map_err(|error| Fault::Fatal(Box::new(error)))?;
            let Ok(Some(value)) = letter.value() else { continue };
            if number < self.from || !letter.is_whole() {
                continue;
            }
            let (end, lease) = (Position::Mark(number + 1), ask.lease.clone());
            if self.is_topics {
                let record = letter.record(Kind::Topic, number).into_iter().collect();
                match Record::batch(record, end, lease) {
                    Some(batch) => return Ok(Read::Batch(batch)),
                    None => continue,
                }
            }
            // What is taken apart by its columns is a text, whatever a stage had made of it.
            let types = if letter.columns().is_some() { None } else { letter.types() };
            let row = types.and_then(|types| received::retyped(&value, &types).ok());
            let body = match row {
                Some(row) => Body::Rows(vec![row].into()),
                None => Body::Raw(BinaryViewArray::from_iter_values([value])),
            };
            let (place, marks) = match letter.place() {
                Some((path, line, true)) => {
                    (Place::File { path: path.into() }, Some(std::iter::once(line).collect()))
                }
                _ => (Place::Made { name: letter.text("place").into() }, None),
            };
            let (envelope, place) = (Envelope { marks, ..Envelope::default() }, Arc::new(place));
            return Ok(Read::Batch(Batch { body, envelope, contract: None, place, end, lease }));
        }
        Ok(Read::End)
    }
}
