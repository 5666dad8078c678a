//! Random histories of deliveries, acknowledgements, time-outs and restarts, against a model that has a cell for each offset.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::{Acquired, KeptState, Limits, Refused, State, Verdict, Verdicts, Window};
use crate::groups::group::MemberId;

const LIMITS: Limits = Limits { deliveries: 3, in_flight: 20, lock_ms: 100 };

fn member(number: u8) -> MemberId {
    Arc::from(format!("m{number}"))
}

/// State and deliveries of each offset; who holds it, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Free(i16),
    Held { by: u8, until_ms: i64, deliveries: i16 },
    Accepted,
    Dropped,
}

#[derive(Debug, Clone)]
enum Step {
    /// A member reads so many offsets from where it is to read.
    Acquire(u8, i64),
    /// Of what it holds, from the so-manieth on, so many.
    Say(u8, usize, usize, Verdict),
    Leave(u8),
    Wait(i64),
    Markers(i64),
    Restart,
    Raise(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Release),
        Just(Verdict::Reject),
        Just(Verdict::Gap),
        Just(Verdict::Renew)
    ];
    prop_oneof![
        4 => (0..3u8, 1..12i64).prop_map(|(member, count)| Step::Acquire(member, count)),
        6 => (0..3u8, 0..8usize, 1..8usize, verdict).prop_map(|(member, from, count, verdict)| Step::Say(member, from, count, verdict)),
        1 => (0..3u8).prop_map(Step::Leave),
        2 => (1..80i64).prop_map(Step::Wait),
        1 => (1..4i64).prop_map(Step::Markers),
        1 => Just(Step::Restart),
        1 => (1..6i64).prop_map(Step::Raise),
    ]
}

struct Play {
    window: Window,
    cells: BTreeMap<i64, Cell>,
    /// What a log of changes would hold.
    log: Vec<(i64, Vec<super::Kept>)>,
    kept: BTreeMap<i64, (KeptState, i16)>,
    now_ms: i64,
    end: i64,
}

impl Play {
    fn new() -> Play {
        Play {
            window: Window::at(5),
            cells: BTreeMap::new(),
            log: vec![],
            kept: BTreeMap::new(),
            now_ms: 0,
            end: 5,
        }
    }

    fn free(&mut self, due: impl Fn(u8, i64) -> bool) {
        for (offset, cell) in &mut self.cells {
            if let Cell::Held { by, until_ms, deliveries } = *cell
                && due(by, until_ms)
            {
                *cell = if deliveries >= LIMITS.deliveries { Cell::Dropped } else { Cell::Free(deliveries) };
                self.kept.insert(*offset, (KeptState::Available, deliveries));
            }
        }
    }

    fn expire(&mut self) {
        let now_ms = self.now_ms;
        self.free(|_, until_ms| until_ms <= now_ms);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Acquire(by, count) => self.acquire(by, count),
            Step::Say(by, from, count, verdict) => self.say(by, from, count, verdict),
            Step::Leave(by) => {
                self.free(|holder, _| holder == by);
                self.window.release(&member(by), &LIMITS);
            }
            Step::Wait(ms) => {
                self.now_ms += ms;
                self.expire();
                self.window.expire(self.now_ms, &LIMITS);
            }
            Step::Markers(count) => {
                self.window.archive(self.end..self.end + count);
                self.cells.extend((self.end..self.end + count).map(|offset| (offset, Cell::Dropped)));
                self.end += count;
            }
            Step::Raise(more) => {
                let start = self.window.start() + more;
                self.window.raise(start);
                for (_, cell) in self.cells.range_mut(..start) {
                    *cell = Cell::Dropped;
                }
                self.end = self.end.max(start);
            }
            Step::Restart => {
                self.restart();
            }
        }
        if let Some(changes) = self.window.take_changes() {
            self.log.push(changes);
        }
        self.check();
    }

    fn acquire(&mut self, by: u8, count: i64) {
        let Some(from) = self.window.next(&LIMITS) else { return };
        let acquired = self.window.acquire(from..from + count, &member(by), self.now_ms, &LIMITS, i64::MAX);
        for Acquired { first, last, deliveries } in acquired {
            for offset in first..=last {
                let before = match self.cells.get(&offset) {
                    None => 0,
                    Some(Cell::Free(deliveries)) => *deliveries,
                    Some(other) => panic!("{offset} is given out, and it is {other:?}"),
                };
                assert_eq!(deliveries, before + 1);
                assert!(deliveries <= LIMITS.deliveries);
                let until_ms = self.now_ms + LIMITS.lock_ms;
                self.cells.insert(offset, Cell::Held { by, until_ms, deliveries });
                self.end = self.end.max(offset + 1);
            }
        }
    }

    fn say(&mut self, by: u8, from: usize, count: usize, verdict: Verdict) {
        let held = |cell: &Cell| matches!(cell, Cell::Held { by: holder, .. } if *holder == by);
        let mut mine: Vec<i64> =
            self.cells.iter().filter(|(_, cell)| held(cell)).map(|(offset, _)| *offset).collect();
        mine = mine.into_iter().skip(from).take(count).collect();
        let each: Vec<Verdicts> = mine
            .iter()
            .map(|offset| Verdicts { first: *offset, last: *offset, each: vec![verdict] })
            .collect();
        assert_eq!(self.window.acknowledge(&member(by), &each, self.now_ms, &LIMITS), Ok(()));
        // The other members, and an offset that nobody has, get nothing by it.
        for offset in mine.iter().copied().chain([self.end + 3]) {
            let wrong = [Verdicts { first: offset, last: offset, each: vec![Verdict::Accept] }];
            let said = self.window.acknowledge("nobody", &wrong, self.now_ms, &LIMITS);
            assert!(said.is_err() || offset < self.window.start(), "{offset}");
        }
        for offset in mine {
            let Some(Cell::Held { until_ms, deliveries, .. }) = self.cells.get(&offset).copied() else {
                continue;
            };
            let cell = match verdict {
                Verdict::Accept => Cell::Accepted,
                Verdict::Reject | Verdict::Gap => Cell::Dropped,
                Verdict::Release if deliveries >= LIMITS.deliveries => Cell::Dropped,
                Verdict::Release => Cell::Free(deliveries),
                Verdict::Renew => {
                    Cell::Held { by, until_ms: until_ms.max(self.now_ms + LIMITS.lock_ms), deliveries }
                }
            };
            if let Cell::Free(deliveries) = cell {
                self.kept.insert(offset, (KeptState::Available, deliveries));
            }
            self.cells.insert(offset, cell);
        }
    }

    /// What was held is free, and as often delivered as was kept; the rest is as it was.
    fn restart(&mut self) {
        let mut by_log = Window::at(5);
        for (start, kept) in &self.log {
            by_log.restore(*start, kept);
        }
        let mut by_snapshot = Window::at(5);
        by_snapshot.restore(self.window.start(), &self.window.snapshot());
        let ends = |window: &Window| (window.start(), window.end);
        let mut cells = BTreeMap::new();
        for (offset, cell) in self.cells.range(self.window.start()..) {
            cells.insert(
                *offset,
                match *cell {
                    Cell::Held { deliveries, .. } => {
                        let kept = self.kept.get(offset).map_or(0, |(_, deliveries)| *deliveries);
                        assert_eq!(kept, deliveries - 1);
                        Cell::Free(kept)
                    }
                    other => other,
                },
            );
        }
        assert_eq!(ends(&by_log).0, ends(&by_snapshot).0);
        // What nobody had before is asked for again: it need not be in the window.
        let end = by_log.end.min(by_snapshot.end);
        assert!(cells.range(end..).all(|(_, cell)| *cell == Cell::Free(0)), "{cells:?} {end}");
        cells.retain(|offset, _| *offset < by_log.end);
        self.end = by_log.end;
        self.window = by_log;
        self.cells = cells;
    }

    fn check(&self) {
        let window = &self.window;
        assert_eq!(window.end, self.end);
        let mut next = window.start;
        let mut before: Option<&super::Span> = None;
        for (first, span) in &window.spans {
            assert_eq!(*first, next, "no gaps: {window:?}");
            assert!(span.last >= *first);
            assert!(before.is_none_or(|before| !before.is_like(span)), "neighbours differ: {window:?}");
            before = Some(span);
            for offset in *first..=span.last {
                let expected = match self.cells.get(&offset).unwrap_or(&Cell::Free(0)) {
                    Cell::Free(deliveries) => (State::Available, *deliveries),
                    Cell::Held { by, until_ms, deliveries } => {
                        (State::Acquired { member: member(*by), until_ms: *until_ms }, *deliveries)
                    }
                    Cell::Accepted => (State::Acknowledged, span.deliveries),
                    Cell::Dropped => (State::Archived, span.deliveries),
                };
                assert_eq!((span.state.clone(), span.deliveries), expected, "{offset} of {window:?}");
            }
            next = span.last + 1;
        }
        assert_eq!(next, window.end);
        assert!(window.spans.values().next().is_none_or(|span| !span.state.is_final()));
        let done = |cell: &Cell| matches!(cell, Cell::Accepted | Cell::Dropped);
        assert!(self.cells.range(..window.start).all(|(_, cell)| done(cell)));
        assert!(window.room(&LIMITS) >= 0 && window.spans.len() as i64 <= 2 * LIMITS.in_flight + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_are_the_models(steps in prop::collection::vec(step(), 1..120)) {
        let mut play = Play::new();
        for step in &steps {
            play.step(step);
        }
    }
}

fn one(first: i64, last: i64, each: &[Verdict]) -> [Verdicts; 1] {
    [Verdicts { first, last, each: each.to_vec() }]
}

#[test]
fn refusals_change_nothing() {
    let mut window = Window::at(0);
    window.acquire(0..10, &member(1), 0, &LIMITS, i64::MAX);
    let before = window.clone();
    let both = [
        Verdicts { first: 0, last: 1, each: vec![Verdict::Accept] },
        Verdicts { first: 9, last: 10, each: vec![Verdict::Accept] },
    ];
    assert_eq!(window.acknowledge("m1", &both, 1, &LIMITS), Err(Refused::Unknown));
    assert_eq!(window.acknowledge("m2", &both[..1], 1, &LIMITS), Err(Refused::NotHeld));
    assert_eq!(window, before);
}

#[test]
fn each_offset_has_its_own_verdict() {
    use Verdict::{Accept, Gap, Reject, Release};
    let mut window = Window::at(0);
    window.acquire(0..6, &member(1), 0, &LIMITS, i64::MAX);
    let verdicts = one(0, 5, &[Accept, Accept, Release, Reject, Gap, Accept]);
    assert_eq!(window.acknowledge("m1", &verdicts, 1, &LIMITS), Ok(()));
    assert_eq!((window.start(), window.end, window.next(&LIMITS)), (2, 6, Some(2)));
    let again = window.acquire(0..6, &member(2), 2, &LIMITS, i64::MAX);
    assert_eq!(again, [Acquired { first: 2, last: 2, deliveries: 2 }]);
    assert_eq!(
        window.acknowledge("m2", &one(0, 2, &[Accept]), 3, &LIMITS),
        Ok(()),
        "0 and 1 are done already"
    );
    assert_eq!((window.start(), window.end), (6, 6));
}

#[test]
fn a_full_window_gives_nothing_new_before_something_is_done() {
    let mut window = Window::at(0);
    let given = window.acquire(0..50, &member(1), 0, &LIMITS, i64::MAX);
    assert_eq!(given, [Acquired { first: 0, last: 19, deliveries: 1 }]);
    assert_eq!(window.next(&LIMITS), None);
    assert_eq!(window.acknowledge("m1", &one(0, 4, &[Verdict::Accept]), 1, &LIMITS), Ok(()));
    assert_eq!(window.next(&LIMITS), Some(20));
    let given = window.acquire(0..50, &member(2), 1, &LIMITS, i64::MAX);
    assert_eq!(given, [Acquired { first: 20, last: 24, deliveries: 1 }]);
    assert_eq!(window.next_expiry_ms(), Some(100));
}

#[test]
fn no_more_is_given_than_is_wanted() {
    let mut window = Window::at(0);
    let given = |window: &mut Window, most| window.acquire(0..8, &member(1), 0, &LIMITS, most);
    assert_eq!(given(&mut window, 3), [Acquired { first: 0, last: 2, deliveries: 1 }]);
    assert_eq!(window.acknowledge("m1", &one(0, 2, &[Verdict::Release]), 1, &LIMITS), Ok(()));
    assert_eq!(given(&mut window, 2), [Acquired { first: 0, last: 1, deliveries: 2 }]);
    let rest = [Acquired { first: 2, last: 2, deliveries: 2 }, Acquired { first: 3, last: 4, deliveries: 1 }];
    assert_eq!(given(&mut window, 3), rest);
    assert_eq!((given(&mut window, 0), window.end, window.done()), (vec![], 5, 0));
}

#[test]
fn what_the_log_has_no_record_of_is_passed_over() {
    let mut window = Window::at(0);
    let given = window.acquire(1_000_000..1_000_002, &member(1), 0, &LIMITS, i64::MAX);
    assert_eq!(given, [Acquired { first: 1_000_000, last: 1_000_001, deliveries: 1 }]);
    assert_eq!(window.start(), 1_000_000);
}
