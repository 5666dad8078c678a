//! The source: pages one after the other, their records as batches.

use std::sync::Arc;

use arrow_buffer::ScalarBuffer;
use async_trait::async_trait;
use base::{
    Ask as Bounds, Batch, Body, Discovery, Envelope, Fault, Place, Position, Read, Reader, Source, Split,
};
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Config, Error,
    client::{Answer, Client},
    page,
    paging::At,
};
use crate::column::Column;

pub struct HttpSource {
    config: Arc<Config>,
    place: Arc<Place>,
    told: Mutex<bool>,
}

impl HttpSource {
    /// Nothing is asked before the engine asks.
    pub fn open(config: Config) -> Self {
        let place = Arc::new(Place::Made { name: config.name().into() });
        Self { config: Arc::new(config), place, told: Mutex::new(false) }
    }

    /// What records' places call it.
    pub fn name(&self) -> Arc<str> {
        self.config.name().into()
    }
}

#[async_trait]
impl Source for HttpSource {
    async fn discover(&self, _: &Bounds) -> Result<Discovery, Fault> {
        if std::mem::replace(&mut *self.told.lock(), true) {
            return Ok(Discovery::Complete);
        }
        let split = Split { id: self.name(), place: self.place.clone() };
        Ok(Discovery::Changed { assigned: vec![split], revoked: Vec::new() })
    }

    async fn open(&self, _: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let at = At::of(&self.config, from).map_err(Error::fault)?;
        let (config, place) = (self.config.clone(), self.place.clone());
        Ok(Box::new(PageReader {
            config,
            place,
            client: Some(Client::new()),
            at: Some(at),
            asked: None,
            held: None,
        }))
    }

    async fn covered(&self, _: &Split, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

struct PageReader {
    config: Arc<Config>,
    place: Arc<Place>,
    /// `None` while it is at work.
    client: Option<Client>,
    /// The page to ask for; `None`: there is none.
    at: Option<At>,
    asked: Option<AbortOnDropHandle<Asked>>,
    held: Option<Held>,
}

/// The client comes back with the page.
type Asked = (Client, Result<Held, Error>);

/// A page that is being handed over.
struct Held {
    at: At,
    answer: Answer,
    records: Vec<std::ops::Range<usize>>,
    /// Handed over.
    taken: usize,
}

#[async_trait]
impl Reader for PageReader {
    async fn read(&mut self, ask: &Bounds) -> Result<Read, Fault> {
        loop {
            if let Some(held) = &mut self.held {
                if held.taken == held.records.len() {
                    self.turn()?;
                    continue;
                }
                return held.batch(&self.config, &self.place, ask).map(Read::Batch).map_err(Fault::Fatal);
            }
            if self.asked.is_none() {
                let (Some(at), Some(mut client)) = (self.at.take(), self.client.take()) else {
                    return Ok(Read::End);
                };
                let config = self.config.clone();
                let asked = async move {
                    let page = page(&config, &mut client, at).await;
                    (client, page)
                };
                self.asked = Some(AbortOnDropHandle::new(tokio::spawn(asked)));
            }
            let Some(asked) = &mut self.asked else { return Ok(Read::End) };
            // A server may let us wait longer than the engine does: it is asked on meanwhile.
            let Ok(answered) = tokio::time::timeout_at(ask.deadline.into(), asked).await else {
                return Ok(Read::Idle);
            };
            self.asked = None;
            let (client, page) = answered.map_err(|panicked| Fault::Fatal(Box::new(panicked)))?;
            self.client = Some(client);
            self.held = Some(page.map_err(Error::fault)?);
        }
    }
}

impl PageReader {
    /// From a page that was handed over to the next.
    fn turn(&mut self) -> Result<(), Fault> {
        let Some(held) = self.held.take() else { return Ok(()) };
        let count = held.records.len() as u64;
        if self.config.records_count_max.is_some_and(|most| held.at.records_count + count >= most) {
            return Ok(());
        }
        self.at = held.at.next(&self.config, &held.answer, count).map_err(Error::fault)?;
        Ok(())
    }
}

/// Asks for a page and finds its records.
async fn page(config: &Config, client: &mut Client, at: At) -> Result<Held, Error> {
    let url = at.url(config)?;
    let answer = client.page(config, &url).await?;
    let malformed = |reason: String| Error::Malformed { url: config.name(), reason };
    let body = std::str::from_utf8(&answer.body).map_err(|_| malformed("it is not UTF-8".to_owned()))?;
    // An answer without a body (204) is an empty page.
    let found = match body.trim().is_empty() {
        true => Ok(Ok(page::Page { records: Vec::new() })),
        false => page::records(body, config.records.as_deref()),
    };
    let found = found.map_err(|error| {
        let begun = contracts::shorten(body.trim_start(), 60);
        malformed(format!("it is no JSON: {error}; it begins {begun:?}"))
    })?;
    let mut records = found.map_err(|found| {
        let path =
            config.records.iter().flatten().fold("$".to_owned(), |path, step| format!("{path}.{step}"));
        Error::NoRecords { url: config.name(), path, found: found.to_owned() }
    })?;
    if let Some(most) = config.records_count_max {
        let left = usize::try_from(most.saturating_sub(at.records_count)).unwrap_or(usize::MAX);
        records.records.truncate(left);
    }
    let taken = usize::try_from(at.skip).unwrap_or(usize::MAX).min(records.records.len());
    Ok(Held { at, answer, records: records.records, taken })
}

impl Held {
    /// As many of the records as may be brought at once, one at least.
    fn batch(&mut self, config: &Config, place: &Arc<Place>, ask: &Bounds) -> Result<Batch, base::BoxError> {
        let (mut values, mut marks, mut bytes) = (Column::default(), Vec::new(), 0);
        let begun = self.taken;
        while let Some(range) = self.records.get(self.taken) {
            let record = &self.answer.body[range.clone()];
            let count = self.taken - begun;
            if count > 0 && (count >= ask.records_max || bytes + record.len() as u64 > ask.bytes_max) {
                break;
            }
            values.push(Some(record));
            bytes += record.len() as u64;
            marks.extend(self.at.mark(config, self.taken as u64));
            self.taken += 1;
        }
        let is_marked = marks.len() == self.taken - begun;
        let envelope =
            Envelope { marks: is_marked.then(|| ScalarBuffer::from(marks)), ..Envelope::default() };
        Ok(Batch {
            body: Body::Raw(values.finish()?),
            envelope,
            contract: None,
            place: place.clone(),
            end: self.at.behind(config, self.taken as u64),
            lease: ask.lease.clone(),
        })
    }
}
