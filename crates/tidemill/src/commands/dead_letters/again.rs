//! Dead letters as a source: each file a split, its letters records with their old places, so that stores know them by those.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::BinaryViewArray;
use async_trait::async_trait;
use base::{
    Ask, Batch, Body, Discovery, Envelope, Extent, Fault, Place, Position, Read, Reader, Reject, Rejects,
    Source, Split, Value,
};
use connectors::received;
use engine::{DeadLetters, Summary};
use parking_lot::Mutex;

use super::{
    errors::Error,
    folder::{self, Folder, Letter},
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
    let (mut places, mut files) = (BTreeSet::new(), Vec::new());
    for path in folder.files() {
        let mut found = false;
        for letter in folder::read(path).map_err(|error| Box::new(error) as Failure)? {
            let letter = letter.map_err(|error| Box::new(error) as Failure)?;
            if letter.load() == Some(load)
                && let Some((place, ..)) = letter.place()
            {
                places.insert(Arc::from(place));
                found = true;
            }
        }
        if found {
            files.push(path.clone());
        }
    }
    let refused = Arc::new(Refused::default());
    let source =
        Arc::new(LetterSource { files: files.clone(), load: load.to_owned(), is_told: Mutex::new(false) });
    let letters = Letters { source, places, refused: refused.clone() };
    let summary = load::send_again(manifest, context, letters).await?;
    let mut stay_count = 0;
    for path in files {
        stay_count += sort_out(&path, load, &refused).map_err(|error| Box::new(error) as Failure)?;
    }
    Ok((summary, stay_count))
}

/// Keeps what is of another load, and what was refused again.
fn sort_out(path: &Path, load: &str, refused: &Refused) -> Result<u64, Error> {
    let rejects = refused.0.lock();
    let rejects = rejects.get(&*path.to_string_lossy());
    let (mut kept, mut stay_count) = (Vec::new(), 0);
    for letter in folder::read(path)? {
        let mut letter: Letter = letter?;
        if letter.load() != Some(load) {
            kept.push(letter);
            continue;
        }
        let place = letter.text("place").to_owned();
        let again = rejects.and_then(|rejects| rejects.get(&place));
        // What has no number cannot be sent.
        if again.is_none() && letter.place().is_some() {
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
    load: String,
    is_told: Mutex<bool>,
}

#[async_trait]
impl Source for LetterSource {
    async fn discover(&self, _: &Ask) -> Result<Discovery, Fault> {
        Ok(folder::discovered(&self.files, &self.is_told))
    }

    async fn open(&self, split: &Split, _: &Position) -> Result<Box<dyn Reader>, Fault> {
        let letters = folder::read(Path::new(&*split.id)).map_err(|error| Fault::Fatal(Box::new(error)))?;
        Ok(Box::new(LetterReader { letters: Box::new(letters), load: self.load.clone(), ahead: None }))
    }

    async fn covered(&self, _: &Split, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

/// A record, and where it was refused.
struct Record {
    place: Arc<str>,
    is_file: bool,
    mark: i64,
    value: Vec<u8>,
    /// The same, where it was a typed one.
    row: Option<Value>,
}

struct LetterReader {
    letters: Box<dyn Iterator<Item = Result<Letter, Error>> + Send>,
    load: String,
    /// Read already, and of another place than the batch before.
    ahead: Option<Record>,
}

impl LetterReader {
    fn next(&mut self) -> Result<Option<Record>, Fault> {
        if let Some(record) = self.ahead.take() {
            return Ok(Some(record));
        }
        for letter in self.letters.by_ref() {
            let letter = letter.map_err(|error| Fault::Fatal(Box::new(error)))?;
            if let (Some((place, mark, is_file)), Ok(Some(value))) = (letter.place(), letter.value())
                && letter.load() == Some(&self.load)
            {
                let row = letter.types().and_then(|types| received::retyped(&value, &types).ok());
                return Ok(Some(Record { place: place.into(), is_file, mark, value, row }));
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
            let follows = records.last().is_none_or(|last| {
                let is_alike = last.place == record.place && last.row.is_some() == record.row.is_some();
                is_alike && last.mark < record.mark
            });
            if !follows {
                self.ahead = Some(record);
                break;
            }
            bytes += record.value.len() as u64;
            records.push(record);
        }
        let Some(last) = records.last() else { return Ok(Read::End) };
        let end = Position::Mark(last.mark.saturating_add(1));
        let name = last.place.clone();
        let place = Arc::new(if last.is_file { Place::File { path: name } } else { Place::Made { name } });
        let marks = Some(records.iter().map(|record| record.mark).collect());
        let body = match last.row {
            Some(_) => Body::Rows(
                records.iter_mut().filter_map(|record| record.row.take()).collect::<Vec<_>>().into(),
            ),
            None => Body::Raw(BinaryViewArray::from_iter_values(
                records.iter().map(|record| record.value.as_slice()),
            )),
        };
        let envelope = Envelope { marks, ..Envelope::default() };
        let lease = ask.lease.clone();
        Ok(Read::Batch(Batch { body, envelope, contract: None, place, end, lease }))
    }
}
