//! Dead letters as a source: each file a split, its letters records with their old places, so that stores know them by those.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use base::{
    Ask, Discovery, Extent, Fault, Position, Read, Reader, Reject, Rejects, Source, Split, crash_point,
};
use connectors::received::Columns;
use engine::{DeadLetters, checkpoints::FileCheckpoints};
use parking_lot::Mutex;

use super::{
    boxed,
    errors::Error,
    folder::{self, Folder, Letter},
    marker::Marker,
    record::{Kind, Record},
};
use crate::{
    commands::load::{self, Letters, Manifest},
    context::{Context, Failure},
};

/// What has become of letters.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) sent_count: u64,
    pub(super) stay_count: u64,
    /// Those that they are now, where their load writes files.
    pub(super) files: Vec<String>,
}

/// Sends the letters of one load and removes those that arrived. `at`: what is kept of the load.
pub(super) async fn send(
    context: &Context,
    manifest: &Manifest,
    folder: &Folder,
    (load, at): (&str, &Path),
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let _lock = match load::writes_files(manifest, context)? {
        true => Some(settle(context, manifest, folder, (load, at), &mut outcome).await?),
        false => None,
    };
    let kind = load::kind_of_source(manifest, context)?;
    let mut meant = Meant { load: load.to_owned(), kind, places: BTreeMap::new() };
    let mut files = Vec::new();
    for path in folder.files().iter().filter(|path| path.exists()) {
        let mut found = false;
        for letter in folder::read(path).map_err(boxed)? {
            let letter = letter.map_err(boxed)?;
            if letter.load() == Some(load) {
                if let Some((place, ..)) = letter.place() {
                    meant.places.entry(place.into()).or_insert_with(|| letter.columns());
                }
                found = true;
            }
        }
        if found {
            files.push(path.clone());
        }
    }
    if files.is_empty() {
        return Ok(outcome);
    }
    let letters = Sending { files, meant: Arc::new(meant), refused: Arc::default() };
    let sent = load::send_again(manifest, context, letters.for_load(at)).await?;
    crash_point("letters.sent");
    outcome.sent_count += sent.summary.records_count;
    outcome.files.extend(sent.file);
    for path in &letters.files {
        outcome.stay_count += letters.sort_out(path).map_err(boxed)?;
    }
    Marker::remove(at).map_err(boxed)?;
    Ok(outcome)
}

/// Letters become a file once: nobody else sends them meanwhile, and what a killed try has sent goes.
async fn settle(
    context: &Context,
    manifest: &Manifest,
    folder: &Folder,
    (load, at): (&str, &Path),
    outcome: &mut Outcome,
) -> Result<FileCheckpoints, Failure> {
    let lock = FileCheckpoints::open(at, load).map_err(|error| Box::new(error) as Failure)?;
    if !manifest.is_finished() {
        let (name, load) = (folder.name.clone(), load.to_owned());
        return Err(boxed(Error::Unfinished { name, load }));
    }
    if let Some(marker) = Marker::read(at).map_err(boxed)? {
        if let Some(file) = load::find(manifest, context, &marker.file).await? {
            outcome.sent_count += marker.take_out(load).map_err(boxed)?;
            outcome.files.push(file);
        }
        Marker::remove(at).map_err(boxed)?;
    }
    Ok(lock)
}

/// Letters of one load that are on their way.
#[derive(Clone)]
struct Sending {
    files: Vec<PathBuf>,
    meant: Arc<Meant>,
    refused: Arc<Refused>,
}

impl Sending {
    fn source(&self) -> Arc<dyn Source> {
        let (files, meant) = (self.files.clone(), self.meant.clone());
        Arc::new(LetterSource { files, meant, is_told: Mutex::new(false) })
    }

    fn for_load(&self, at: &Path) -> Letters {
        let (again, marked, at) = (self.clone(), self.clone(), at.to_owned());
        Letters {
            source: self.source(),
            places: self.meant.places.clone(),
            refused: self.refused.clone(),
            again: Box::new(move || again.source()),
            announce: Box::new(move |name: &str| {
                let kept = marked.marker(name).and_then(|marker| marker.write(&at));
                kept.map_err(|error| Fault::Fatal(Box::new(error)))
            }),
        }
    }

    /// Which letters a file has.
    fn marker(&self, name: &str) -> Result<Marker, Error> {
        let mut marker = Marker::new(name);
        for path in &self.files {
            self.each(path, |letter, fate| {
                if fate == Fate::Sent {
                    marker.add(path, &letter);
                }
            })?;
        }
        Ok(marker)
    }

    /// Keeps what is of another load, what was not sent, and what was refused again.
    fn sort_out(&self, path: &Path) -> Result<u64, Error> {
        let (mut kept, mut stay_count) = (Vec::new(), 0);
        self.each(path, |letter, fate| {
            stay_count += u64::from(fate == Fate::Stays);
            if fate != Fate::Sent {
                kept.push(letter);
            }
        })?;
        folder::write(path, &kept)?;
        Ok(stay_count)
    }

    /// Each letter of a file with what has become of it; one that was refused again says why.
    fn each(&self, path: &Path, mut take: impl FnMut(Letter, Fate)) -> Result<(), Error> {
        let rejects = self.refused.0.lock();
        let rejects = rejects.get(&*path.to_string_lossy());
        for (letter, number) in folder::read(path)?.zip(0..) {
            let mut letter: Letter = letter?;
            let again = rejects.and_then(|rejects| rejects.get(letter.text("place")));
            let fate = match again {
                _ if letter.load() != Some(&self.meant.load) => Fate::Others,
                None if self.meant.record(&letter, number).is_some() => Fate::Sent,
                None => Fate::Stays,
                Some(reject) => {
                    letter.refused(reject);
                    Fate::Stays
                }
            };
            take(letter, fate);
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Sent,
    /// Not sent, or refused again.
    Stays,
    /// Of another load.
    Others,
}

/// The letters that are sent.
struct Meant {
    load: String,
    kind: Kind,
    /// Where they came from, and what the columns there were, as the first letter of a place has it.
    places: BTreeMap<Arc<str>, Option<Columns>>,
}

impl Meant {
    /// The letter as a record. `None`: it is not sent, and stays. A file may have come twice with other columns: those of its first
    /// letter go first.
    fn record(&self, letter: &Letter, number: i64) -> Option<Record> {
        if letter.load() != Some(&self.load) {
            return None;
        }
        let first = letter.place().and_then(|(place, ..)| self.places.get(place));
        let is_of_first = first.is_none_or(|columns| *columns == letter.columns());
        if is_of_first { letter.record(self.kind, number) } else { None }
    }
}

/// Rejects by file and by place.
#[derive(Default)]
struct Refused(Mutex<HashMap<String, HashMap<String, Reject>>>);

#[async_trait]
impl DeadLetters for Refused {
    async fn put(&self, split: &Split, rejects: Rejects) -> Result<(), Fault> {
        let mut all = self.0.lock();
        let of_file = all.entry(split.id.to_string()).or_default();
        of_file.extend(rejects.0.into_iter().map(|reject| (reject.origin.to_string(), reject)));
        Ok(())
    }

    async fn flush(&self, _: &Extent) -> Result<(), Fault> {
        Ok(())
    }

    async fn discard(&self, split: &Split) {
        self.0.lock().remove(&*split.id);
    }
}

struct LetterSource {
    files: Vec<PathBuf>,
    meant: Arc<Meant>,
    is_told: Mutex<bool>,
}

#[async_trait]
impl Source for LetterSource {
    async fn discover(&self, _: &Ask) -> Result<Discovery, Fault> {
        Ok(folder::discovered(&self.files, &self.is_told))
    }

    async fn open(&self, split: &Split, _: &Position) -> Result<Box<dyn Reader>, Fault> {
        let letters = folder::read(Path::new(&*split.id)).map_err(|error| Fault::Fatal(Box::new(error)))?;
        Ok(Box::new(LetterReader {
            letters: Box::new((0..).zip(letters)),
            meant: self.meant.clone(),
            ahead: None,
        }))
    }

    async fn covered(&self, _: &Split, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

struct LetterReader {
    letters: Box<dyn Iterator<Item = (i64, Result<Letter, Error>)> + Send>,
    meant: Arc<Meant>,
    /// Read already, and of another place than the batch before.
    ahead: Option<Record>,
}

impl LetterReader {
    fn next(&mut self) -> Result<Option<Record>, Fault> {
        if let Some(record) = self.ahead.take() {
            return Ok(Some(record));
        }
        for (number, letter) in self.letters.by_ref() {
            let letter = letter.map_err(|error| Fault::Fatal(Box::new(error)))?;
            if let Some(record) = self.meant.record(&letter, number) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl Reader for LetterReader {
    /// Records of one place and one form, in the order of their numbers, as the engine wants a batch to be.
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        let (mut records, mut bytes): (Vec<Record>, u64) = (Vec::new(), 0);
        while bytes < ask.bytes_max && records.len() < ask.records_max {
            let Some(record) = self.next()? else { break };
            if records.last().is_some_and(|last| !record.follows(last)) {
                self.ahead = Some(record);
                break;
            }
            bytes += record.bytes_count();
            records.push(record);
        }
        let end = records.last().map(|last| Position::Mark(last.mark.saturating_add(1)));
        let batch = end.and_then(|end| Record::batch(records, end, ask.lease.clone()));
        Ok(batch.map_or(Read::End, Read::Batch))
    }
}
