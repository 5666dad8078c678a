//! Transfers over fakes: what is committed once stays so through faults, stops, revocations and other cuts.

use std::collections::BTreeMap;

use arrow_array::BinaryViewArray;
use async_trait::async_trait;
use base::{
    Batch, Body, Envelope, Extent, ManualClock, Origin, Place, Position, Read, Reader, Receipt, Reject,
    Rejects, Saved, Writer, code,
};
use parking_lot::Mutex;

use super::*;
use crate::{checkpoints::NoCheckpoints, dead_letters::NoDeadLetters};

/// The split and the first mark.
type Name = (Arc<str>, i64);

/// Everything the fakes share: what there is, what is committed under which name, what is told next.
#[derive(Default)]
struct World {
    /// Objects by split and start, as an object store keeps them.
    objects: Mutex<BTreeMap<Name, Vec<i64>>>,
    /// Faults to give, one each time a step with that name is passed.
    faults: Mutex<Vec<&'static str>>,
    steps: Mutex<Vec<String>>,
    discoveries: Mutex<VecDeque<Discovery>>,
    records_count: i64,
    is_endless: bool,
}

impl World {
    fn pass(&self, step: &'static str) -> Result<(), Fault> {
        let mut faults = self.faults.lock();
        if let Some(at) = faults.iter().position(|fault| *fault == step) {
            faults.remove(at);
            return Err(Fault::Transient(format!("{step} was cut off").into()));
        }
        Ok(())
    }

    fn all(&self) -> Vec<i64> {
        let mut all: Vec<i64> = self.objects.lock().values().flatten().copied().collect();
        all.sort_unstable();
        all
    }
}

fn split(id: &str) -> Split {
    Split { id: id.into(), place: Arc::new(Place::Made { name: id.into() }) }
}

struct Fake(Arc<World>);
struct FakeReader(Arc<World>, Split, i64);
struct FakeWriter(Arc<World>, Split, Vec<i64>);

#[async_trait]
impl Source for Fake {
    async fn discover(&self, _: &Ask) -> Result<Discovery, Fault> {
        self.0.pass("discover")?;
        let next = self.0.discoveries.lock().pop_front();
        match next {
            Some(discovery) => Ok(discovery),
            None if self.0.is_endless => {
                tokio::task::yield_now().await;
                Ok(Discovery::Changed { assigned: vec![], revoked: vec![] })
            }
            None => Ok(Discovery::Complete),
        }
    }
    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        self.0.pass("open")?;
        let from = if let Position::Mark(mark) = from { *mark } else { 0 };
        Ok(Box::new(FakeReader(self.0.clone(), split.clone(), from)))
    }
    async fn covered(&self, split: &Split, upto: &Position) -> Result<(), Fault> {
        self.0.steps.lock().push(format!("covered {} {upto}", split.id));
        self.0.pass("covered")
    }
}

#[async_trait]
impl Reader for FakeReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        self.0.pass("read")?;
        let count = (self.0.records_count - self.2).min(7);
        if count <= 0 {
            return Ok(if self.0.is_endless { Read::Idle } else { Read::End });
        }
        let marks: Vec<i64> = (self.2..self.2 + count).collect();
        self.2 += count;
        let values =
            BinaryViewArray::from_iter_values(marks.iter().map(|mark| mark.to_string().into_bytes()));
        let envelope = Envelope { marks: Some(marks.into()), ..Envelope::default() };
        let end = Position::Mark(self.2);
        let (place, lease) = (self.1.place.clone(), ask.lease.clone());
        Ok(Read::Batch(Batch { body: Body::Raw(values), envelope, contract: None, place, end, lease }))
    }
}

#[async_trait]
impl Sink for Fake {
    async fn begin(&self, _: &Load) -> Result<(), Fault> {
        self.0.pass("begin")
    }
    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        self.0.pass("writer")?;
        Ok(Box::new(FakeWriter(self.0.clone(), split.clone(), Vec::new())))
    }
    async fn finish(&self, _: &Load) -> Result<(), Fault> {
        self.0.steps.lock().push("finish".to_owned());
        Ok(())
    }
}

#[async_trait]
impl Writer for FakeWriter {
    async fn recover(&mut self, _: &Saved) -> Result<Option<Position>, Fault> {
        Ok(None)
    }
    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        self.0.pass("write")?;
        self.2.extend(batch.envelope.marks.as_ref().expect("marks").iter());
        Ok(Rejects::default())
    }
    async fn commit(&mut self, extent: &Extent) -> Result<Receipt, Fault> {
        self.0.pass("commit")?;
        assert_eq!(self.2.len() as u64, extent.records_count, "{extent}");
        let name = (self.1.id.clone(), self.2[0]);
        self.0.objects.lock().insert(name, std::mem::take(&mut self.2));
        self.0.pass("committed")?;
        Ok(Receipt::default())
    }
}

/// Refuses each record whose number can be divided by ten.
struct NoTens;

impl Stage for NoTens {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let marks = batch.envelope.marks.clone().expect("marks");
        let (bad, good): (Vec<usize>, Vec<usize>) = (0..batch.len()).partition(|row| marks[*row] % 10 == 0);
        let reject = |row: &usize| Reject {
            origin: Origin { place: batch.place.clone(), mark: Some(marks[*row]), id: None, came_as: None },
            code: code::TM0001,
            reason: format!("{} is a ten", marks[*row]),
            stage: "VALUE_CONVERTER",
            key: None,
            value: None,
            headers: Vec::new(),
            timestamp_ms: None,
        };
        let Body::Raw(values) = &batch.body else { panic!("raw") };
        let body = Body::Raw(BinaryViewArray::from_iter_values(good.iter().map(|row| values.value(*row))));
        let envelope =
            Envelope { marks: Some(good.iter().map(|row| marks[*row]).collect()), ..Envelope::default() };
        let rejects = Rejects(bad.iter().map(reject).collect());
        Ok((vec![Batch { body, envelope, ..batch }], rejects))
    }
}

#[derive(Default)]
struct Letters(Mutex<BTreeMap<String, Vec<i64>>>, Mutex<Vec<i64>>);

#[async_trait]
impl DeadLetters for Letters {
    async fn put(&self, _: &Split, rejects: Rejects) -> Result<(), Fault> {
        self.1.lock().extend(rejects.0.iter().filter_map(|reject| reject.origin.mark));
        Ok(())
    }
    async fn flush(&self, extent: &Extent) -> Result<(), Fault> {
        let open = std::mem::take(&mut *self.1.lock());
        self.0.lock().insert(extent.start.to_string(), open);
        Ok(())
    }
    async fn discard(&self, _: &Split) {
        self.1.lock().clear();
    }
}

fn transfer(world: &Arc<World>, cuts: Cuts) -> Transfer {
    Transfer {
        load: Load { id: "1".into(), transfer: "test".into() },
        source: Arc::new(Fake(world.clone())),
        stages: Vec::new(),
        sink: Arc::new(Fake(world.clone())),
        cuts,
        budget: Budget::new(1 << 20),
        checkpoints: Arc::new(NoCheckpoints::default()),
        dead_letters: Arc::new(NoDeadLetters),
        progress: Arc::default(),
        on_error: OnError::Stop,
        clock: Arc::new(ManualClock::at(0)),
        retries: Backoff::new(1, 2, 20, 7),
        lanes_count_max: 2,
    }
}

fn world(splits: &[&str], records_count: i64) -> World {
    let assigned = splits.iter().map(|id| split(id)).collect();
    let discoveries = Mutex::new([Discovery::Changed { assigned, revoked: vec![] }].into());
    World { records_count, discoveries, ..World::default() }
}

#[tokio::test]
async fn all_splits_end_in_extents_of_the_wanted_size() {
    let world = Arc::new(world(&["a", "b", "c"], 25));
    let summary = transfer(&world, Cuts::records(10)).run(CancellationToken::new()).await.expect("runs");
    assert_eq!(
        (summary.ended, summary.records_count, summary.extents_count, summary.splits_count),
        (Ended::Finished, 75, 9, 3)
    );
    let names: Vec<(Arc<str>, i64)> = world.objects.lock().keys().cloned().collect();
    let starts: Vec<i64> = names.iter().filter(|name| &*name.0 == "b").map(|name| name.1).collect();
    assert_eq!(starts, [0, 10, 20]);
    assert_eq!(world.steps.lock().last().map(String::as_str), Some("finish"));
}

#[tokio::test]
async fn a_fault_at_any_step_changes_nothing() {
    let whole = Arc::new(world(&["a"], 40));
    transfer(&whole, Cuts::records(6)).run(CancellationToken::new()).await.expect("runs");
    for step in ["begin", "discover", "writer", "open", "read", "write", "commit", "committed", "covered"] {
        for count in [1, 3] {
            let world = Arc::new(world(&["a"], 40));
            *world.faults.lock() = vec![step; count];
            let summary = transfer(&world, Cuts::records(6)).run(CancellationToken::new()).await.expect(step);
            assert_eq!(*world.objects.lock(), *whole.objects.lock(), "{step} {count}");
            assert!(summary.retries_count >= u64::from(!["begin", "discover"].contains(&step)), "{step}");
        }
    }
}

#[tokio::test]
async fn spent_retries_name_the_split() {
    let world = Arc::new(world(&["a"], 40));
    *world.faults.lock() = vec!["open"; 100];
    let fault = transfer(&world, Cuts::records(6)).run(CancellationToken::new()).await.expect_err("gives up");
    let error = fault.into_inner().downcast::<Error>().expect("ours");
    assert!(
        matches!(&*error, Error::RetriesSpent { place, tries: 20, .. } if place.to_string() == "a"),
        "{error:?}"
    );
}

#[tokio::test]
async fn rejects_belong_to_the_extent_they_stand_in() {
    let world = Arc::new(world(&["a"], 25));
    let letters = Arc::new(Letters::default());
    let mut run = transfer(&world, Cuts::records(9));
    run.stages = vec![Arc::new(NoTens)];
    run.on_error = OnError::DeadLetter;
    run.dead_letters = letters.clone();
    let summary = run.run(CancellationToken::new()).await.expect("runs");
    assert_eq!((summary.records_count, summary.rejected_count), (22, 3));
    let objects: Vec<usize> = world.objects.lock().values().map(Vec::len).collect();
    assert_eq!(objects, [9, 9, 4]);
    let letters = letters.0.lock().clone();
    assert_eq!(letters.values().flatten().copied().collect::<Vec<i64>>().len(), 3, "{letters:?}");
    for (start, marks) in &letters {
        let start: i64 = start.parse().unwrap_or(0);
        assert!(marks.iter().all(|mark| (start..start + 11).contains(mark)), "{letters:?}");
    }
}

#[tokio::test]
async fn a_reject_stops_before_or_after_a_commit() {
    for (on_error, kept) in [(OnError::Stop, 0), (OnError::CommitThenStop, 4)] {
        let world = Arc::new(World {
            discoveries: Mutex::new(
                [Discovery::Changed { assigned: vec![split("a")], revoked: vec![] }].into(),
            ),
            records_count: 25,
            ..World::default()
        });
        let checkpoints = Arc::new(NoCheckpoints::default());
        let from = Extent {
            split: split("a"),
            start: Position::Start,
            end: Position::Mark(6),
            records_count: 0,
            bytes: 0,
        };
        checkpoints.save(&from, &Receipt::default()).await.expect("saves");
        let mut run = transfer(&world, Cuts::records(100));
        run.stages = vec![Arc::new(NoTens)];
        run.on_error = on_error;
        run.checkpoints = checkpoints;
        let fault = run.run(CancellationToken::new()).await.expect_err("stops");
        let error = fault.into_inner().downcast::<Error>().expect("ours");
        let Error::Rejected { reject, committed_count } = *error else { panic!("{error:?}") };
        assert_eq!((reject.reason.as_str(), committed_count), ("10 is a ten", kept));
        assert_eq!(world.all().len() as u64, kept, "{on_error:?}");
    }
}

async fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !what() {
        assert!(Instant::now() < deadline, "it did not come about");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_and_a_revocation_leave_the_open_extent() {
    let world = Arc::new(World { is_endless: true, ..world(&["a", "b"], 25) });
    let (stop, run) = (CancellationToken::new(), transfer(&world, Cuts::records(10)));
    let progress = run.progress.clone();
    let running = tokio::spawn(run.run(stop.clone()));
    until(|| progress.records_written() == 50).await;
    world.discoveries.lock().push_back(Discovery::Changed { assigned: vec![], revoked: vec![split("b")] });
    until(|| progress.lanes() == 1).await;
    world.discoveries.lock().push_back(Discovery::Changed { assigned: vec![split("b")], revoked: vec![] });
    until(|| progress.lanes() == 2 && progress.records_written() == 55).await;
    stop.cancel();
    let summary = running.await.expect("joins").expect("runs");
    assert_eq!((summary.ended, summary.records_count), (Ended::Stopped, 40));
    assert_eq!(world.objects.lock().len(), 4, "the ten open records are in no object");
}

#[tokio::test]
async fn wall_time_commits_what_is_open() {
    let world = Arc::new(World { is_endless: true, ..world(&["a"], 5) });
    let clock = ManualClock::at(0);
    let schedule = crate::Schedule { interval_ms: 1_000, timezone: chrono_tz::UTC };
    let mut run = transfer(&world, Cuts { schedule: Some(schedule), ..Cuts::default() });
    run.clock = Arc::new(clock.clone());
    let (stop, progress) = (CancellationToken::new(), run.progress.clone());
    let running = tokio::spawn(run.run(stop.clone()));
    until(|| progress.records_written() == 5).await;
    assert_eq!(progress.records_committed(), 0);
    clock.advance_ms(1_000);
    until(|| progress.records_committed() == 5).await;
    stop.cancel();
    running.await.expect("joins").expect("runs");
}
