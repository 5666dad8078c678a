//! Many hands, one order: the source is read by one, parts are made by all cores, and written as they were read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base::{
    Ask, Batch, Body, Extent, Fault, Lease, Position, Read, Reader, Rejects, Source, Split, crash_point,
};
use engine::{DeadLetters, Ended, Progress, Summary, apply_all, as_received, body_bytes};
use formats::{Joiner, Part};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{Place, Plan, look::Splits};
use crate::objects::{Memory, Upload};

/// All that a run needs, as plain data.
pub struct Job {
    pub source: Arc<dyn Source>,
    pub plan: Plan,
    pub place: Place,
    pub cut: Cut,
    /// `None`: a record that is refused ends the run.
    pub dead_letters: Option<Arc<dyn DeadLetters>>,
    pub progress: Arc<Progress>,
    /// Is told the name of each file before that appears. Then none appears that has no records.
    pub announce: Option<Announce>,
}

pub type Announce = Box<dyn Fn(&str) -> Result<(), Fault> + Send + Sync>;

/// Where one file of a folder ends and the next begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    pub bytes: Option<u64>,
    pub records: Option<u64>,
}

/// Bytes of the source that become one part: text is packed in as many members, and row groups want to be large.
const UNIT_BYTES: u64 = 2 << 20;
/// Four of them are under way on two cores, and are most of a conversion's memory: 10 GB of CSV took 148 MiB with 5, and take 143.
const GROUP_UNIT_BYTES: u64 = 9 << 19;
const UNIT_RECORDS: usize = 65_536;
const GROUP_UNIT_RECORDS: usize = 98_304;
/// Where records become values, which are many times their text.
const STAGED_BYTES: u64 = 1 << 20;
/// How long a source may take for one answer.
const READ_TIME_MAX: Duration = Duration::from_millis(250);
const IDLE_PAUSE: Duration = Duration::from_millis(20);
/// Open uploads together; one is open at a time, and its parts go as they are full.
const MEMORY_BYTES_MAX: usize = 32 << 20;
/// Units under way besides those that a core works at: one is read, one waits to be written.
const UNITS_AHEAD: usize = 2;

/// Records that become one part.
struct Unit {
    split: Split,
    batches: Vec<Batch>,
    /// The file ends with it.
    ends_file: bool,
}

/// A part in the making, in its place in the order.
struct Made {
    split: Split,
    start: Position,
    end: Position,
    ends_file: bool,
    work: JoinHandle<Result<(Part, Rejects), Fault>>,
    _permit: OwnedSemaphorePermit,
}

impl Job {
    /// Runs until the source has no more, or until `stop`, which leaves the file that is open as it was before.
    ///
    /// # Errors
    /// What the source, the format or the store has against it; `engine::Error::Rejected` for a record.
    pub async fn run(self, stop: CancellationToken) -> Result<Summary, Fault> {
        self.place.begin().await?;
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let permits = Arc::new(Semaphore::new(cores + UNITS_AHEAD));
        let (sender, parts) = mpsc::channel(cores + UNITS_AHEAD);
        let Job { source, plan, place, cut, dead_letters, progress, announce } = self;
        let plan = Arc::new(plan);
        let units = Units { source, cut, progress: progress.clone(), plan: plan.clone() };
        let reading = tokio::spawn(units.read_all(permits, sender, stop.clone()));
        let memory = Memory::new(MEMORY_BYTES_MAX);
        let (open, number) = (None, 0);
        let mut files = Files { plan, place, cut, memory, progress, dead_letters, announce, open, number };
        let written = files.write_all(parts).await;
        let read = reading.await.unwrap_or_else(|panicked| Err(Fault::Fatal(Box::new(panicked))));
        written?;
        let splits_count = read?;
        let ended = if stop.is_cancelled() { Ended::Stopped } else { Ended::Finished };
        if ended == Ended::Finished {
            files.finish().await?;
        }
        let progress = &files.progress;
        Ok(Summary {
            ended,
            records_count: progress.records_committed(),
            bytes: progress.bytes_written(),
            rejected_count: progress.rejected(),
            retries_count: 0,
            extents_count: files.number,
            splits_count,
        })
    }
}

/// The reading half.
struct Units {
    source: Arc<dyn Source>,
    cut: Cut,
    progress: Arc<Progress>,
    plan: Arc<Plan>,
}

impl Units {
    async fn read_all(
        self,
        permits: Arc<Semaphore>,
        sender: mpsc::Sender<Made>,
        stop: CancellationToken,
    ) -> Result<u64, Fault> {
        let mut splits = Splits::of(&*self.source);
        let mut in_file = 0;
        while let Some(split) = splits.next().await? {
            // `None` once it has said that there is no more.
            let mut reader = Some(self.source.open(&split, &Position::Start).await?);
            let mut start = Position::Start;
            loop {
                let permit = tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(splits.count),
                    permit = permits.clone().acquire_owned() => permit,
                };
                let permit = permit.map_err(|closed| Fault::Fatal(Box::new(closed)))?;
                let Some(unit) = self.read(&mut reader, &split, &mut in_file, &stop).await? else { break };
                let end = unit.batches.last().map_or(Position::Start, |batch| batch.end.clone());
                let (plan, batches) = (self.plan.clone(), unit.batches);
                let work = tokio::task::spawn_blocking(move || plan.part(&batches));
                let made = Made {
                    split: unit.split,
                    start: std::mem::replace(&mut start, end.clone()),
                    end,
                    ends_file: unit.ends_file,
                    work,
                    _permit: permit,
                };
                // The writing half has ended with an error of its own.
                if sender.send(made).await.is_err() {
                    return Ok(splits.count);
                }
            }
            if start != Position::Start {
                self.source.covered(&split, &start).await?;
            }
        }
        Ok(splits.count)
    }

    /// Batches up to the size of a unit; `None` at the end of the split.
    async fn read(
        &self,
        open: &mut Option<Box<dyn Reader>>,
        split: &Split,
        in_file: &mut u64,
        stop: &CancellationToken,
    ) -> Result<Option<Unit>, Fault> {
        let (unit_bytes, unit_records) = match self.plan.is_grouped {
            true => (GROUP_UNIT_BYTES, GROUP_UNIT_RECORDS),
            false => (UNIT_BYTES, UNIT_RECORDS),
        };
        let left = self.cut.records.map_or(u64::MAX, |records| records.saturating_sub(*in_file).max(1));
        let records_max = unit_records.min(usize::try_from(left).unwrap_or(usize::MAX));
        let call_bytes = if self.plan.is_staged { STAGED_BYTES } else { unit_bytes };
        let (mut batches, mut bytes, mut records) = (Vec::new(), 0, 0);
        while bytes < unit_bytes && records < records_max && !stop.is_cancelled() {
            let Some(reader) = open else { break };
            let ask = Ask {
                bytes_max: call_bytes.min(unit_bytes - bytes).max(64 << 10),
                records_max: records_max - records,
                deadline: Instant::now() + READ_TIME_MAX,
                lease: Lease::free(),
            };
            match reader.read(&ask).await? {
                Read::Batch(batch) => {
                    let size = body_bytes(&batch.body);
                    self.progress.add_records_read(batch.len() as u64);
                    self.progress.add_bytes_read(size);
                    (bytes, records) = (bytes + size, records + batch.len());
                    batches.push(batch);
                }
                Read::Idle if batches.is_empty() => tokio::time::sleep(IDLE_PAUSE).await,
                // What is there need not wait for what comes.
                Read::Idle => break,
                Read::End => *open = None,
            }
        }
        if batches.is_empty() {
            return Ok(None);
        }
        *in_file += records as u64;
        let ends_file = self.cut.records.is_some_and(|records| *in_file >= records);
        if ends_file {
            *in_file = 0;
        }
        Ok(Some(Unit { split: split.clone(), batches, ends_file }))
    }
}

impl Plan {
    fn part(&self, batches: &[Batch]) -> Result<(Part, Rejects), Fault> {
        if let Some(part) = self.direct.as_ref().and_then(|direct| direct.part(batches, &self.parts)) {
            return Ok((part, Rejects::default()));
        }
        let failed = |error: formats::Error| Fault::Fatal(error.into());
        let (mut made, mut blocks, mut rejects) = (Vec::new(), Vec::new(), Rejects::default());
        for received in batches.iter().flat_map(pieces) {
            let (batches, refused) = apply_all(&self.stages, received.clone())?;
            rejects.append(refused);
            if self.is_grouped {
                // Values go as soon as they are columns.
                let (more, mut refused) = self.parts.blocks(&batches).map_err(failed)?;
                blocks.extend(more);
                as_received(&self.stages, &received, &mut refused);
                rejects.append(refused);
            } else {
                made.extend(batches.into_iter().map(|batch| (received.clone(), batch)));
            }
        }
        let part = if self.is_grouped {
            self.parts.of_blocks(&blocks)
        } else {
            let (received, made): (Vec<_>, Vec<_>) = made.into_iter().unzip();
            let refuse = |number: usize, mut refused| {
                as_received(&self.stages, &received[number], &mut refused);
                rejects.append(refused);
            };
            self.parts.of_batches_apart(&made, refuse)
        };
        let part = part.map_err(failed)?;
        rejects.0.sort_by_key(|reject| reject.origin.mark);
        Ok((part, rejects))
    }
}

/// Text that becomes values a little at a time; columns as they are.
fn pieces(batch: &Batch) -> impl Iterator<Item = Batch> {
    let bytes = match &batch.body {
        Body::Raw(_) => body_bytes(&batch.body),
        Body::Rows(_) | Body::Columns(_) => 0,
    };
    let count = usize::try_from(bytes.div_ceil(STAGED_BYTES)).unwrap_or(usize::MAX);
    let rows = batch.len().div_ceil(count.max(1)).max(1);
    (0..batch.len()).step_by(rows).map(move |start| batch.slice(start..batch.len().min(start + rows)))
}

/// The writing half: one file is open at a time.
struct Files {
    plan: Arc<Plan>,
    place: Place,
    cut: Cut,
    memory: Arc<Memory>,
    progress: Arc<Progress>,
    dead_letters: Option<Arc<dyn DeadLetters>>,
    announce: Option<Announce>,
    open: Option<OpenFile>,
    /// Files that are complete.
    number: u64,
}

struct OpenFile {
    upload: Upload,
    joiner: Joiner,
    records_count: u64,
}

impl Files {
    async fn write_all(&mut self, mut parts: mpsc::Receiver<Made>) -> Result<(), Fault> {
        while let Some(made) = parts.recv().await {
            let part = made.work.await.unwrap_or_else(|panicked| Err(Fault::Fatal(Box::new(panicked))));
            let (part, rejects) = part?;
            let records_count = part.records_count;
            if !rejects.is_empty() {
                let extent = Extent {
                    split: made.split.clone(),
                    start: made.start,
                    end: made.end,
                    records_count,
                    bytes: 0,
                };
                self.refuse(rejects, &extent).await?;
            }
            crash_point("output.part.before");
            self.write(part).await?;
            self.progress.add_records_written(records_count);
            let is_full = match (&self.open, self.cut.bytes) {
                (Some(open), Some(bytes)) => open.upload.bytes() >= bytes,
                _ => false,
            };
            if is_full || made.ends_file {
                self.complete().await?;
            }
        }
        Ok(())
    }

    async fn refuse(&mut self, rejects: Rejects, extent: &Extent) -> Result<(), Fault> {
        self.progress.add_rejected(rejects.0.len() as u64);
        match &self.dead_letters {
            Some(letters) => {
                letters.put(&extent.split, rejects).await?;
                letters.flush(extent).await
            }
            None => match rejects.0.into_iter().next() {
                Some(reject) => {
                    let error = engine::Error::Rejected { reject: Box::new(reject), committed_count: 0 };
                    Err(Fault::Fatal(Box::new(error)))
                }
                None => Ok(()),
            },
        }
    }

    fn open(&mut self) -> Result<&mut OpenFile, Fault> {
        let open = match self.open.take() {
            Some(open) => open,
            None => OpenFile {
                upload: Upload::new(&self.place.key(self.number), &self.memory)?,
                joiner: self.plan.parts.joiner().map_err(|error| Fault::Fatal(error.into()))?,
                records_count: 0,
            },
        };
        Ok(self.open.insert(open))
    }

    async fn write(&mut self, part: Part) -> Result<(), Fault> {
        let (target, part_bytes) = (self.place.target.clone(), self.place.part_bytes());
        let open = self.open()?;
        open.records_count += part.records_count;
        let before = open.upload.bytes();
        open.joiner.push(part, open.upload.buffer()).map_err(|error| Fault::Fatal(error.into()))?;
        open.upload.count(0);
        let written = open.upload.bytes() - before;
        open.upload.send_full_part(&target, part_bytes).await?;
        self.progress.add_bytes_written(written);
        Ok(())
    }

    /// The open file becomes visible.
    async fn complete(&mut self) -> Result<(), Fault> {
        let Some(OpenFile { mut upload, mut joiner, records_count }) = self.open.take() else {
            return Ok(());
        };
        if let Some(announce) = &self.announce {
            if records_count == 0 {
                return Ok(());
            }
            announce(&self.place.key(self.number))?;
        }
        let before = upload.bytes();
        joiner.finish(upload.buffer()).map_err(|error| Fault::Fatal(error.into()))?;
        self.progress.add_bytes_written(upload.bytes() - before);
        upload.complete(&self.place.target).await?;
        crash_point("output.file.after");
        self.number += 1;
        self.progress.add_records_committed(records_count);
        self.progress.add_extents_committed(1);
        Ok(())
    }

    /// The last file; a run without records leaves one that is empty.
    async fn finish(&mut self) -> Result<(), Fault> {
        if self.open.is_none() && self.number == 0 {
            self.open()?;
        }
        self.complete().await?;
        crash_point("output.finish.before_removing");
        self.place.finish(self.number).await
    }
}
