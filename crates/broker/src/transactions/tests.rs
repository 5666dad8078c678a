//! The state machine of a transactional id, without a log: time is an argument.

use std::sync::Arc;

use kafka_protocol::ResponseError as E;

use super::transaction::{Change, Partitions, Producer, State, Transaction, VERSION_2};

struct Play {
    now_ms: i64,
    id: Transaction,
}

fn partitions(topic: &str, numbers: &[i32]) -> Partitions {
    Partitions::from([(Arc::from(topic), numbers.iter().copied().collect())])
}

fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id, epoch }
}

impl Play {
    fn new() -> Self {
        let mut play = Self { now_ms: 1_000, id: Transaction::new(7, 1_000) };
        assert_eq!(play.init(None), Ok(producer(7, 0)));
        play
    }

    /// As the coordinator does: what has to be aborted first is, then the request is asked again.
    fn take(&mut self, change: Change) -> bool {
        let (next, again) = match change {
            Change::Nothing => return false,
            Change::To(next) => (next, false),
            Change::First(next) => (next, true),
        };
        self.id = if next.state.is_prepared() { next.completed(self.now_ms) } else { next };
        again
    }

    fn init(&mut self, claim: Option<Producer>) -> Result<Producer, E> {
        let fresh = self.id.is_exhausted().then_some(99);
        let change = self.id.init(claim, 60_000, fresh, self.now_ms)?;
        if self.take(change) { self.init(claim) } else { Ok(self.id.producer) }
    }

    fn add(&mut self, claim: Producer, numbers: &[i32]) -> Result<(), E> {
        let change = self.id.add(claim, &partitions("t", numbers), 0, self.now_ms)?;
        self.take(change);
        Ok(())
    }

    fn end(&mut self, claim: Producer, commit: bool) -> Result<State, E> {
        let change = self.id.end(claim, commit, self.now_ms)?;
        self.take(change);
        Ok(self.id.state)
    }

    fn end_raising(&mut self, claim: Producer, commit: bool) -> Result<Producer, E> {
        let fresh = self.id.is_exhausted().then_some(99);
        let change = self.id.end_raising(claim, commit, fresh, self.now_ms)?;
        self.take(change);
        Ok(self.id.producer)
    }
}

#[test]
fn a_transaction_is_begun_and_ended() {
    let mut play = Play::new();
    let me = play.id.producer;
    assert_eq!(play.end(me, true), Err(E::InvalidTxnState));
    play.add(me, &[0]).unwrap();
    play.now_ms += 5;
    play.add(me, &[1, 2]).unwrap();
    assert_eq!((play.id.state, play.id.started_ms, play.id.updated_ms), (State::Ongoing, 1_000, 1_005));
    assert_eq!(play.id.partitions, partitions("t", &[0, 1, 2]));
    assert_eq!(play.id.add(me, &partitions("t", &[2]), 0, 9), Ok(Change::Nothing));
    assert_eq!(play.id.admits(me, "t", 2), Ok(()));
    assert_eq!(play.id.admits(me, "t", 3), Err(E::InvalidTxnState));
    assert_eq!(play.end(me, true), Ok(State::CompleteCommit));
    assert_eq!(play.end(me, true), Ok(State::CompleteCommit), "a retry");
    assert_eq!(play.end(me, false), Err(E::InvalidTxnState));
    assert_eq!(play.id.admits(me, "t", 2), Err(E::InvalidTxnState));
    play.add(me, &[5]).unwrap();
    assert_eq!(play.id.partitions, partitions("t", &[5]));
    assert_eq!(play.end(me, false), Ok(State::CompleteAbort));
}

#[test]
fn only_its_producer_may() {
    let mut play = Play::new();
    let old = play.id.producer;
    play.add(old, &[0]).unwrap();
    let new = play.init(None).unwrap();
    assert_eq!((new, play.id.state), (producer(7, 2), State::Empty), "epoch 1 aborted what was open");
    assert_eq!(play.add(old, &[0]), Err(E::ProducerFenced));
    assert_eq!(play.end(old, true), Err(E::ProducerFenced));
    assert_eq!(play.end_raising(old, true), Err(E::ProducerFenced));
    assert_eq!(play.init(Some(old)), Err(E::ProducerFenced));
    assert_eq!(play.add(producer(8, 2), &[0]), Err(E::InvalidProducerIdMapping));
    play.add(new, &[0]).unwrap();
    assert_eq!(play.init(Some(old)), Err(E::ProducerFenced));
    assert_eq!(play.id.state, State::Ongoing, "who is fenced aborts nothing");
}

#[test]
fn a_decision_that_is_not_carried_out_keeps_everybody_waiting() {
    let mut play = Play::new();
    let me = play.id.producer;
    play.add(me, &[0]).unwrap();
    let Ok(Change::To(prepared)) = play.id.end(me, true, 5) else { panic!("it is decided") };
    assert_eq!(prepared.state, State::PrepareCommit);
    assert_eq!(prepared.init(None, 1, None, 6), Err(E::ConcurrentTransactions));
    assert_eq!(prepared.add(me, &partitions("t", &[0]), 0, 6), Err(E::ConcurrentTransactions));
    assert_eq!(prepared.admits(me, "t", 0), Err(E::ConcurrentTransactions));
    assert_eq!(prepared.end(me, true, 6), Err(E::ConcurrentTransactions));
    assert_eq!(prepared.end(me, false, 6), Err(E::InvalidTxnState));
    assert_eq!(prepared.timed_out(i64::MAX), None);
}

#[test]
fn who_comes_back_with_his_epoch_gets_the_next_one_once() {
    let mut play = Play::new();
    assert_eq!(play.init(Some(producer(7, 0))), Ok(producer(7, 1)));
    assert_eq!(play.init(Some(producer(7, 0))), Ok(producer(7, 1)), "a retry");
    assert_eq!(play.init(Some(producer(7, 1))), Ok(producer(7, 2)));
    assert_eq!(play.init(Some(producer(7, 0))), Err(E::ProducerFenced));
    play.add(producer(7, 2), &[0]).unwrap();
    assert_eq!(play.init(Some(producer(7, 2))), Ok(producer(7, 3)), "and what he left open is aborted");
}

#[test]
fn what_takes_too_long_is_aborted_and_its_producer_fenced() {
    for raising in [false, true] {
        let mut play = Play::new();
        let me = play.id.producer;
        assert_eq!(play.id.timed_out(i64::MAX), None);
        play.add(me, &[0]).unwrap();
        assert_eq!(play.id.timed_out(61_000), None);
        let late = play.id.timed_out(61_001).expect("a minute is over");
        assert_eq!((late.state, late.producer), (State::PrepareAbort, producer(7, 1)));
        play.take(Change::To(late));
        let ended = match raising {
            true => play.end_raising(me, true).map(|_| ()),
            false => play.end(me, true).map(|_| ()),
        };
        assert_eq!(ended, Err(E::ProducerFenced));
        assert_eq!(play.init(Some(me)), Err(E::ProducerFenced));
        assert_eq!(play.init(None), Ok(producer(7, 2)));
    }
}

#[test]
fn every_end_of_version_2_raises_the_epoch() {
    let mut play = Play::new();
    let mut me = play.id.producer;
    for (epoch, commit) in (1..).zip([true, false, true]) {
        let change = play.id.add(me, &partitions("t", &[0]), VERSION_2, 5).unwrap();
        play.take(change);
        let Ok(Change::To(prepared)) = play.id.end_raising(me, commit, None, 6) else { panic!("decided") };
        assert_eq!(prepared.producer, producer(7, epoch), "the marker has it already");
        assert_eq!(prepared.end_raising(me, commit, None, 6), Err(E::ConcurrentTransactions));
        let next = play.end_raising(me, commit).unwrap();
        assert_eq!(next, producer(7, epoch));
        assert_eq!(play.end_raising(me, commit), Ok(next), "a retry");
        assert_eq!(play.end_raising(me, !commit), Err(E::InvalidTxnState));
        assert_eq!(play.add(me, &[0]), Err(E::ProducerFenced), "nothing late enters the next one");
        me = next;
    }
    assert_eq!(play.end_raising(me, true), Err(E::InvalidTxnState));
    assert_eq!(play.end_raising(me, false), Ok(producer(7, 4)), "an abort of nothing is fine");
}

#[test]
fn another_producer_id_comes_before_the_epochs_run_out() {
    let mut play = Play::new();
    play.id.producer.epoch = i16::MAX - 2;
    assert_eq!(play.init(None), Ok(producer(7, i16::MAX - 1)));
    let last = play.id.producer;
    assert_eq!(play.init(Some(last)), Ok(producer(99, 0)));
    assert_eq!(play.init(Some(last)), Ok(producer(99, 0)), "a retry");
    assert_eq!(play.id.previous_id, 7);

    let mut play = Play::new();
    play.id.producer.epoch = i16::MAX - 1;
    let last = play.id.producer;
    play.add(last, &[0]).unwrap();
    let Ok(Change::To(prepared)) = play.id.end_raising(last, true, Some(99), 6) else { panic!("decided") };
    assert_eq!((prepared.producer, prepared.next_id), (producer(7, i16::MAX), 99));
    assert_eq!(play.end_raising(last, true), Ok(producer(99, 0)));
    assert_eq!(play.end_raising(last, true), Ok(producer(99, 0)), "a retry");
}

#[test]
fn ids_that_nobody_uses_are_forgotten_but_open_ones_are_not() {
    let mut play = Play::new();
    assert!(!play.id.is_expired(1_099, 100));
    assert!(play.id.is_expired(1_100, 100));
    play.add(producer(7, 0), &[0]).unwrap();
    assert!(!play.id.is_expired(i64::MAX, 100));
}
