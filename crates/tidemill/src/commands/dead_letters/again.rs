//! Dead letters as a source: each file a split, its letters records with their old places, so that stores know them by those.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use base::{Ask, Discovery, Extent, Fault, Position, Read, Reader, Reject, Rejects, Source, Split};
use connectors::received::Columns;
use engine::{DeadLetters, Summary};
use parking_lot::Mutex;

use super::{
    errors::Error,
    folder::{self, Folder, Letter},
    record::{Kind, Record},
};
use crate::{
    commands::load::{self, Letters, Manifest},
    context::{Context, Failure},
};

/// Sends the letters of one load, removes those that arrived, and says how many stay.
pub(super) async fn send(
    context: &Context,
    manifest: &Manifest,
    folder: &Folder,
    load: &str,
) -> Result<(Summary, u64), Failure> {
    let kind = load::kind_of_source(manifest, context)?;
    let mut meant = Meant { load: load.to_owned(), kind, places: BTreeMap::new() };
    let mut files = Vec::new();
    for path in folder.files() {
        let mut found = false;
        for letter in folder::read(path).map_err(|error| Box::new(error) as Failure)? {
            let letter = letter.map_err(|error| Box::new(error) as Failure)?;
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
    let (refused, meant) = (Arc::new(Refused::default()), Arc::new(meant));
    let source =
        Arc::new(LetterSource { files: files.clone(), meant: meant.clone(), is_told: Mutex::new(false) });
    let letters = Letters { source, places: meant.places.clone(), refused: refused.clone() };
    let summary = load::send_again(manifest, context, letters).await?;
    let mut stay_count = 0;
    for path in files {
        stay_count += sort_out(&path, &meant, &refused).map_err(|error| Box::new(error) as Failure)?;
    }
    Ok((summary, stay_count))
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

/// Keeps what is of another load, what was not sent, and what was refused again.
fn sort_out(path: &Path, meant: &Meant, refused: &Refused) -> Result<u64, Error> {
    let rejects = refused.0.lock();
    let rejects = rejects.get(&*path.to_string_lossy());
    let (mut kept, mut stay_count) = (Vec::new(), 0);
    for (letter, number) in folder::read(path)?.zip(0..) {
        let mut letter: Letter = letter?;
        if letter.load() != Some(&meant.load) {
            kept.push(letter);
            continue;
        }
        let place = letter.text("place").to_owned();
        let again = rejects.and_then(|rejects| rejects.get(&place));
        if again.is_none() && meant.record(&letter, number).is_some() {
            continue;
        }
        if let Some(reject) = again {
            letter.refused(reject);
        }
        stay_count += 1;
        kept.push(letter);
    }
    folder::write(path, &kept)?;
    Ok(stay_count)
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
