//! How fast a load goes and how long: rate, batches at an interval, jitter, rounds, a duration, a limit over all sources, and its
//! graceful end. [`Paced`] stands before the sources and does it all; what it decides depends on the clock it is given.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use base::{Ask, Batch, Clock, Discovery, Fault, Position, Read, Reader, Source, Split};
use tokio_util::sync::CancellationToken;

use super::hindrance::Hindrance;

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Pace")]
pub(super) struct PaceArgs {
    /// Send no more than so much in a time, on average: 500/s, 30000/m, 2/h, 5MB/s
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// Send a batch each so often: 500ms, 5s, 1m
    #[arg(long, value_name = "TIME", hide_short_help = true)]
    interval: Option<String>,
    /// Records of such a batch [default: what --rate brings in the interval, else 100]
    #[arg(long, value_name = "RECORDS", requires = "interval", hide_short_help = true)]
    batch_records: Option<u64>,
    /// Vary every wait by up to so much: 20%
    #[arg(long, value_name = "PERCENT", hide_short_help = true)]
    jitter: Option<String>,
    /// Read the sources so many times; without a number until Ctrl-C
    #[arg(long = "loop", value_name = "N", num_args = 0..=1, default_missing_value = "0")]
    rounds: Option<u64>,
    /// End after this time, with what was read by then: 30s, 10m, 2h
    #[arg(long, value_name = "TIME", hide_short_help = true)]
    duration: Option<String>,
    /// Load files as they appear in a folder, each once, until Ctrl-C
    #[arg(long, value_name = "DIR")]
    pub(super) watch: Option<std::path::PathBuf>,
}

/// Sends so much at once, so that the rate is even and calls are few.
const SLICE_MS: f64 = 100.0;
/// What was missed while the target was slow is caught up for so long, and no longer.
const BEHIND_MS_MAX: f64 = 1_000.0;
const BATCH_RECORDS: u64 = 100;
/// How long a read may take to come back once the load is told to end; then it is left alone.
const LEAVE: Duration = Duration::from_millis(500);
/// How often a round is looked at for its end.
const ROUND_MS: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rate {
    Records(f64),
    Bytes(f64),
}

impl Rate {
    /// `500/s`, `5MB/s`: records or bytes a millisecond.
    fn parse(text: &str) -> Option<Self> {
        let (amount, per) = text.split_once('/')?;
        let per_ms = match per.trim() {
            "s" | "sec" | "second" => 1_000.0,
            "m" | "min" | "minute" => 60_000.0,
            "h" | "hour" => 3_600_000.0,
            _ => return None,
        };
        let amount = amount.trim();
        let at =
            amount.find(|one: char| !one.is_ascii_digit() && !"._".contains(one)).unwrap_or(amount.len());
        let (number, unit) = amount.split_at(at);
        let number: f64 = number.replace('_', "").parse().ok()?;
        match unit.trim() {
            "" => positive(number / per_ms).map(Rate::Records),
            "k" | "K" => positive(number * 1_000.0 / per_ms).map(Rate::Records),
            // `5M/s` may be records as well as bytes.
            unit if unit.ends_with(['b', 'B']) => {
                positive(number * project::unit_bytes(unit)? as f64 / per_ms).map(Rate::Bytes)
            }
            _ => None,
        }
    }
}

fn positive(number: f64) -> Option<f64> {
    (number.is_finite() && number > 0.0).then_some(number)
}

/// `500ms`, `5s`, `1.5m`, `2h`, `1d` in milliseconds.
fn time_ms(text: &str) -> Option<f64> {
    let text = text.trim();
    let at = text.find(|one: char| !one.is_ascii_digit() && one != '.')?;
    let (number, unit) = text.split_at(at);
    positive(number.parse::<f64>().ok()? * project::unit_ms(unit.trim())? as f64)
}

/// What may be read now.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Grant {
    Read { records_max: u64, bytes_max: u64 },
    Wait { ms: u64 },
}

/// When the next record is due. It adds up what was read, so that the average is exact whatever the batches are.
#[derive(Debug)]
struct Pace {
    rate: Option<Rate>,
    interval_ms: Option<f64>,
    batch_records: u64,
    jitter: f64,
    due_ms: Option<f64>,
    /// Records that this interval's batch still wants.
    left: u64,
    random: u64,
}

impl Pace {
    fn ask(&mut self, now_ms: f64) -> Grant {
        let due_ms = *self.due_ms.get_or_insert(now_ms);
        if due_ms > now_ms {
            return Grant::Wait { ms: (due_ms - now_ms).ceil() as u64 };
        }
        let everything = Grant::Read { records_max: u64::MAX, bytes_max: u64::MAX };
        match (self.interval_ms, self.rate) {
            (Some(_), _) => {
                if self.left == 0 {
                    self.left = self.batch_records;
                }
                Grant::Read { records_max: self.left, bytes_max: u64::MAX }
            }
            (None, Some(Rate::Records(per_ms))) => {
                Grant::Read { records_max: ((per_ms * SLICE_MS) as u64).max(1), bytes_max: u64::MAX }
            }
            (None, Some(Rate::Bytes(per_ms))) => {
                Grant::Read { records_max: u64::MAX, bytes_max: ((per_ms * SLICE_MS) as u64).max(1) }
            }
            (None, None) => everything,
        }
    }

    fn took(&mut self, records: u64, bytes: u64, now_ms: f64) {
        let due_ms = self.due_ms.unwrap_or(now_ms);
        let cost_ms = match (self.interval_ms, self.rate) {
            (Some(interval_ms), _) => {
                self.left = self.left.saturating_sub(records);
                if self.left > 0 {
                    return;
                }
                interval_ms
            }
            (None, Some(Rate::Records(per_ms))) => records as f64 / per_ms,
            (None, Some(Rate::Bytes(per_ms))) => bytes as f64 / per_ms,
            (None, None) => return,
        };
        let varied = cost_ms * (1.0 + self.jitter * (2.0 * self.chance() - 1.0));
        self.due_ms = Some(due_ms.max(now_ms - BEHIND_MS_MAX) + varied);
    }

    /// From 0 to 1, by splitmix64.
    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What the arguments say of a load's pace.
#[derive(Debug)]
pub(super) struct Plan {
    pace: Pace,
    /// 0: without an end.
    rounds: u64,
    pub(super) duration: Option<Duration>,
    limit: Option<u64>,
    is_watch: bool,
}

impl PaceArgs {
    /// One that is given: a file is written at once, and once.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--rate", self.rate.is_some()),
            ("--interval", self.interval.is_some()),
            ("--batch-records", self.batch_records.is_some()),
            ("--jitter", self.jitter.is_some()),
            ("--loop", self.rounds.is_some()),
            ("--duration", self.duration.is_some()),
            ("--watch", self.watch.is_some()),
        ];
        given.iter().find(|(_, is_given)| *is_given).map(|(flag, _)| *flag)
    }
}

impl Plan {
    /// As fast as it goes, once, and so many records.
    pub(super) fn only(limit: u64) -> Self {
        let (rate, interval_ms, batch_records, jitter) = (None, None, BATCH_RECORDS, 0.0);
        let pace = Pace { rate, interval_ms, batch_records, jitter, due_ms: None, left: 0, random: 0 };
        Self { pace, rounds: 1, duration: None, limit: Some(limit), is_watch: false }
    }

    /// `is_counted`: the source itself keeps to the limit.
    pub(super) fn of(
        args: &PaceArgs,
        limit: Option<u64>,
        is_counted: bool,
        seed: u64,
    ) -> Result<Self, Hindrance> {
        let refuse = |option: &'static str, text: &str, like: &'static str| Hindrance::Pace {
            option,
            text: text.to_owned(),
            like,
        };
        let time = |option, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => time_ms(text).map(Some).ok_or_else(|| refuse(option, text, "500ms, 5s, 10m or 2h")),
        };
        let rate = match &args.rate {
            None => None,
            Some(text) => Some(
                Rate::parse(text).ok_or_else(|| refuse("--rate", text, "500/s, 30000/m, 2/h or 5MB/s"))?,
            ),
        };
        let jitter = match &args.jitter {
            None => 0.0,
            Some(text) => {
                let percent = text.trim().strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok());
                let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
                percent.ok_or_else(|| refuse("--jitter", text, "20%"))? / 100.0
            }
        };
        let interval_ms = time("--interval", &args.interval)?;
        let by_rate = match (rate, interval_ms) {
            (Some(Rate::Records(per_ms)), Some(interval_ms)) => Some(((per_ms * interval_ms) as u64).max(1)),
            (Some(Rate::Bytes(_)), Some(_)) => {
                let (one, other) = ("--rate in bytes", "--interval");
                return Err(Hindrance::Contradiction { one, other });
            }
            _ => None,
        };
        let batch_records = args.batch_records.or(by_rate).unwrap_or(BATCH_RECORDS).max(1);
        let duration = time("--duration", &args.duration)?.map(|ms| Duration::from_millis(ms as u64));
        let pace = Pace { rate, interval_ms, batch_records, jitter, due_ms: None, left: 0, random: seed };
        let (rounds, is_watch) = (args.rounds.unwrap_or(1), args.watch.is_some());
        if is_watch && args.rounds.is_some() {
            return Err(Hindrance::Contradiction { one: "--watch", other: "--loop" });
        }
        Ok(Self { pace, rounds, duration, limit: limit.filter(|_| !is_counted), is_watch })
    }

    /// Whether it is a stream: what was read is committed every moment, since the next record may be long in coming.
    pub(super) fn is_stream(&self) -> bool {
        self.pace.rate.is_some() || self.pace.interval_ms.is_some() || !self.has_end()
    }

    /// Whether it ends by itself, however long it takes.
    pub(super) fn has_end(&self) -> bool {
        self.rounds != 0 && !self.is_watch
    }

    /// Splits have to come one after the other, where one counter is over them all.
    pub(super) fn is_in_order(&self) -> bool {
        self.limit.is_some()
    }

    pub(super) fn rounds(&self) -> u64 {
        self.rounds
    }
}

/// Sources at a pace.
pub(super) struct Paced {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Arc<dyn Source>,
    clock: Arc<dyn Clock>,
    pace: parking_lot::Mutex<Pace>,
    /// Records that are still wanted.
    left: Option<AtomicU64>,
    ending: CancellationToken,
    rounds: u64,
    told: parking_lot::Mutex<Told>,
}

#[derive(Default)]
struct Told {
    splits: Vec<Split>,
    is_complete: bool,
    round: u64,
    unfinished: HashSet<Arc<str>>,
}

impl Paced {
    /// `ending`: what was read is committed, and the load ends.
    pub(super) fn new(
        inner: Arc<dyn Source>,
        plan: Plan,
        clock: Arc<dyn Clock>,
        ending: CancellationToken,
    ) -> Self {
        let told = parking_lot::Mutex::new(Told { round: 1, ..Told::default() });
        Self {
            shared: Arc::new(Shared {
                inner,
                clock,
                pace: parking_lot::Mutex::new(plan.pace),
                left: plan.limit.map(AtomicU64::new),
                ending,
                rounds: plan.rounds,
                told,
            }),
        }
    }
}

impl Shared {
    fn has_ended(&self) -> bool {
        self.ending.is_cancelled() || self.left.as_ref().is_some_and(|left| left.load(SeqCst) == 0)
    }

    /// The splits of the next round, once the one before is over.
    fn next_round(&self) -> Option<Discovery> {
        let mut told = self.told.lock();
        if told.round == self.rounds {
            return Some(Discovery::Complete);
        }
        if !told.unfinished.is_empty() {
            return None;
        }
        told.round += 1;
        let round = told.round;
        let again = |split: &Split| Split { id: format!("{}#{round}", split.id).into(), ..split.clone() };
        let assigned: Vec<Split> = told.splits.iter().map(again).collect();
        told.unfinished = assigned.iter().map(|split| split.id.clone()).collect();
        Some(Discovery::Changed { assigned, revoked: Vec::new() })
    }

    /// The split as the source knows it.
    fn original(&self, split: &Split) -> Split {
        // Sources have such signs in names of their own.
        if self.rounds == 1 {
            return split.clone();
        }
        let told = self.told.lock();
        let known = told.splits.iter().find(|one| one.id == split.id);
        let id = known.is_none().then(|| split.id.rsplit_once('#')).flatten().map(|(id, _)| Arc::from(id));
        Split { id: id.unwrap_or_else(|| split.id.clone()), ..split.clone() }
    }
}

#[async_trait]
impl Source for Paced {
    async fn discover(&self, ask: &Ask) -> Result<Discovery, Fault> {
        let shared = &self.shared;
        if shared.has_ended() {
            return Ok(Discovery::Complete);
        }
        if !shared.told.lock().is_complete {
            let discovery = tokio::select! {
                () = shared.ending.cancelled() => return Ok(Discovery::Complete),
                discovery = shared.inner.discover(ask) => discovery?,
            };
            let mut told = shared.told.lock();
            match &discovery {
                Discovery::Complete => told.is_complete = true,
                Discovery::Changed { assigned, .. } => {
                    if shared.rounds != 1 {
                        told.splits.extend(assigned.iter().cloned());
                        told.unfinished.extend(assigned.iter().map(|split| split.id.clone()));
                    }
                    return Ok(discovery);
                }
            }
        }
        if let Some(discovery) = shared.next_round() {
            return Ok(discovery);
        }
        let wait = ask.remaining().min(Duration::from_millis(ROUND_MS));
        tokio::select! { () = shared.ending.cancelled() => {}, () = tokio::time::sleep(wait) => {} }
        Ok(Discovery::Changed { assigned: Vec::new(), revoked: Vec::new() })
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let (shared, original) = (self.shared.clone(), self.shared.original(split));
        // A limit counts what earlier lives have read as well, so it is read again.
        let (from, passed_below) = match from {
            Position::Mark(mark) if shared.left.is_some() => (&Position::Start, Some(*mark)),
            from => (from, None),
        };
        let reader = if shared.has_ended() { None } else { Some(shared.inner.open(&original, from).await?) };
        Ok(Box::new(PacedReader { shared, reader, id: split.id.clone(), passed_below }))
    }

    async fn covered(&self, split: &Split, upto: &Position) -> Result<(), Fault> {
        self.shared.inner.covered(&self.shared.original(split), upto).await
    }
}

struct PacedReader {
    shared: Arc<Shared>,
    /// `None`: there is no more to read.
    reader: Option<Box<dyn Reader>>,
    id: Arc<str>,
    /// Rows below this mark were committed by an earlier life: they count, and go no further.
    passed_below: Option<i64>,
}

impl PacedReader {
    fn end(&mut self) -> Read {
        self.reader = None;
        self.shared.told.lock().unfinished.remove(&self.id);
        Read::End
    }

    fn now_ms(&self) -> f64 {
        self.shared.clock.steady_ms() as f64
    }

    /// What of a batch goes on, within the limit.
    fn counted(&self, batch: Batch) -> Option<Batch> {
        let Some(left) = &self.shared.left else { return Some(batch) };
        let wanted = left.load(SeqCst).min(batch.len() as u64);
        left.fetch_sub(wanted, SeqCst);
        let batch = batch.slice(0..wanted as usize);
        let Some(below) = self.passed_below else { return Some(batch) };
        let passed =
            batch.envelope.marks.as_ref().map_or(0, |marks| marks.partition_point(|mark| *mark < below));
        (passed < batch.len()).then(|| batch.slice(passed..batch.len()))
    }
}

#[async_trait]
impl Reader for PacedReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        if self.shared.has_ended() || self.reader.is_none() {
            return Ok(self.end());
        }
        let granted = self.shared.pace.lock().ask(self.now_ms());
        let mut ask = ask.clone();
        match granted {
            Grant::Wait { ms } => {
                let wait = Duration::from_millis(ms).min(ask.remaining());
                tokio::select! { () = self.shared.ending.cancelled() => {}, () = tokio::time::sleep(wait) => {} }
                return Ok(Read::Idle);
            }
            Grant::Read { records_max, bytes_max } => {
                let left = self.shared.left.as_ref().map_or(u64::MAX, |left| left.load(SeqCst));
                let records_max = usize::try_from(records_max.min(left)).unwrap_or(usize::MAX);
                ask.records_max = ask.records_max.min(records_max);
                ask.bytes_max = ask.bytes_max.min(bytes_max);
            }
        }
        let Some(reader) = &mut self.reader else { return Ok(self.end()) };
        let ending = self.shared.ending.clone();
        let left_alone = async move {
            ending.cancelled().await;
            tokio::time::sleep(LEAVE).await;
        };
        let read = tokio::select! { read = reader.read(&ask) => read?, () = left_alone => Read::End };
        match read {
            Read::End => Ok(self.end()),
            Read::Idle => Ok(Read::Idle),
            Read::Batch(batch) => {
                let bytes = engine::body_bytes(&batch.body);
                let count = batch.len() as u64;
                let Some(batch) = self.counted(batch) else { return Ok(Read::Idle) };
                self.shared.pace.lock().took(count, bytes, self.now_ms());
                Ok(Read::Batch(batch))
            }
        }
    }
}

#[cfg(test)]
mod tests;
