//! What a share group has in flight of one partition: its state machine, without I/O, without a lock, with time as an argument.
//!
//! Offsets from `start` to before `end` lie in spans, each with a state; what is before `start` is done, what is from `end` on nobody
//! has asked for yet. A span has one state for many offsets, so memory goes with what differs between neighbours and never
//! with what lies in the log; `Limits::in_flight` bounds it.

use std::{collections::BTreeMap, ops::Range};

use crate::groups::group::MemberId;

#[cfg(test)]
mod tests;

/// What the settings say of a group's deliveries.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// After so many deliveries a record that nobody accepts is let go of (`group.share.delivery.count.limit`).
    pub deliveries: i16,
    /// Offsets from the first that is not done to the last that was given out (`group.share.partition.max.record.locks`).
    pub in_flight: i64,
    /// How long a member may keep what it has acquired (`group.share.record.lock.duration.ms`).
    pub lock_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Available,
    Acquired { member: MemberId, until_ms: i64 },
    Acknowledged,
    Archived,
}

impl State {
    fn is_final(&self) -> bool {
        matches!(self, State::Acknowledged | State::Archived)
    }
}

/// What a member says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is no record of this offset.
    Gap,
    Accept,
    Release,
    Reject,
    /// It needs more time (KIP-1222).
    Renew,
}

impl Verdict {
    /// Kafka's `AcknowledgeType`.
    pub fn of(id: i8) -> Option<Verdict> {
        Some(match id {
            0 => Verdict::Gap,
            1 => Verdict::Accept,
            2 => Verdict::Release,
            3 => Verdict::Reject,
            4 => Verdict::Renew,
            _ => return None,
        })
    }
}

/// Verdicts on the offsets from `first` on; one alone is on all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdicts {
    pub first: i64,
    pub last: i64,
    pub each: Vec<Verdict>,
}

impl Verdicts {
    fn at(&self, offset: i64) -> Verdict {
        match self.each[..] {
            [one] => one,
            _ => self.each[(offset - self.first) as usize],
        }
    }
}

/// Why acknowledgements are refused; nothing of them holds then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// An offset that was never given out.
    Unknown,
    /// An offset that the member does not hold, or no longer.
    NotHeld,
}

/// Offsets that were given to a member, and the how-manieth time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acquired {
    pub first: i64,
    pub last: i64,
    pub deliveries: i16,
}

/// Offsets in a state that is kept: nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub first: i64,
    pub last: i64,
    pub state: KeptState,
    pub deliveries: i16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptState {
    Available,
    Acknowledged,
    Archived,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    last: i64,
    state: State,
    deliveries: i16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    start: i64,
    end: i64,
    /// By their first offsets, without gaps from `start` to `end`; the first one is not done.
    spans: BTreeMap<i64, Span>,
    /// What has changed and is kept, since it was last asked for.
    changed: Vec<Range<i64>>,
    /// `start` as it was last asked for.
    told_start: i64,
}

impl Window {
    pub fn at(start: i64) -> Window {
        Window { start, end: start, spans: BTreeMap::new(), changed: Vec::new(), told_start: start }
    }

    /// The first offset that is not done.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// How many offsets behind `start` are done.
    pub fn done(&self) -> i64 {
        let done = self.spans.iter().filter(|(_, span)| span.state.is_final());
        done.map(|(first, span)| span.last - first + 1).sum()
    }

    /// Where to read: the first offset that can be given out, if there is room for it.
    pub fn next(&self, limits: &Limits) -> Option<i64> {
        let free = self.spans.iter().find(|(_, span)| span.state == State::Available);
        free.map(|(first, _)| *first).or_else(|| (self.room(limits) > 0).then_some(self.end))
    }

    /// How many more offsets may be given out for the first time.
    fn room(&self, limits: &Limits) -> i64 {
        let counts = self.spans.iter().filter(|(_, span)| span.state != State::Archived);
        let in_flight: i64 = counts.map(|(first, span)| span.last - first + 1).sum();
        (limits.in_flight - in_flight).max(0)
    }

    /// Gives a member what is free of a batch that lies at these offsets, but no more than `most`. What lies between `end` and the
    /// batch is not in the log.
    pub fn acquire(
        &mut self,
        batch: Range<i64>,
        member: &MemberId,
        now_ms: i64,
        limits: &Limits,
        mut most: i64,
    ) -> Vec<Acquired> {
        let held = State::Acquired { member: member.clone(), until_ms: now_ms + limits.lock_ms };
        let mut acquired = Vec::new();
        self.split(batch.start);
        self.split(batch.end);
        let free = |(first, span): (&i64, &Span)| (span.state == State::Available).then_some(*first);
        let free: Vec<i64> = self.spans.range(batch.clone()).filter_map(free).collect();
        for first in free {
            self.split(first.saturating_add(most));
            let Some(span) = self.spans.get_mut(&first).filter(|_| most > 0) else { break };
            (span.state, span.deliveries) = (held.clone(), span.deliveries.saturating_add(1));
            acquired.push(Acquired { first, last: span.last, deliveries: span.deliveries });
            most -= span.last - first + 1;
        }
        let room = self.room(limits).min(most);
        if batch.end > self.end && room > 0 {
            self.skip_to(batch.start);
            let (first, end) = (self.end, batch.end.min(self.end + room));
            self.extend(end, held, 1);
            acquired.push(Acquired { first, last: end - 1, deliveries: 1 });
        }
        self.tidy(batch);
        acquired
    }

    /// These offsets hold nothing for anybody: markers of transactions, and what was aborted.
    pub fn archive(&mut self, batch: Range<i64>) {
        self.split(batch.start);
        self.split(batch.end);
        for (_, span) in self.spans.range_mut(batch.clone()) {
            if span.state == State::Available {
                span.state = State::Archived;
            }
        }
        if batch.end > self.end {
            self.skip_to(batch.start);
            self.extend(batch.end, State::Archived, 0);
        }
        self.changed.push(batch.clone());
        self.tidy(batch);
    }

    /// Takes what a member says of records that it holds; all of it or nothing. What is done already is passed over.
    pub fn acknowledge(
        &mut self,
        member: &str,
        verdicts: &[Verdicts],
        now_ms: i64,
        limits: &Limits,
    ) -> Result<(), Refused> {
        self.expire(now_ms, limits);
        for batch in verdicts.iter().filter(|batch| batch.last >= self.start) {
            if batch.last >= self.end {
                return Err(Refused::Unknown);
            }
            let first = batch.first.max(self.start);
            let holds = |span: &Span| matches!(&span.state, State::Acquired { member: holder, .. } if **holder == *member);
            if !self.overlapping(first..batch.last + 1).all(|(_, span)| holds(span)) {
                return Err(Refused::NotHeld);
            }
        }
        for batch in verdicts {
            self.judge(batch, now_ms, limits);
        }
        Ok(())
    }

    fn judge(&mut self, batch: &Verdicts, now_ms: i64, limits: &Limits) {
        let mut first = batch.first.max(self.start); // behind its end, where all of it is done
        while first <= batch.last {
            let verdict = batch.at(first);
            let mut end = match batch.each.len() {
                1 => batch.last + 1,
                _ => first + 1,
            };
            while end <= batch.last && batch.at(end) == verdict {
                end += 1;
            }
            self.split(first);
            self.split(end);
            for (_, span) in self.spans.range_mut(first..end) {
                match verdict {
                    Verdict::Accept => span.state = State::Acknowledged,
                    Verdict::Gap | Verdict::Reject => span.state = State::Archived,
                    Verdict::Release => span.state = freed(span.deliveries, limits),
                    Verdict::Renew => {
                        if let State::Acquired { until_ms, .. } = &mut span.state {
                            *until_ms = now_ms + limits.lock_ms;
                        }
                    }
                }
            }
            if verdict != Verdict::Renew {
                self.changed.push(first..end);
            }
            first = end;
        }
        self.tidy(batch.first..first.max(batch.first));
    }

    /// A member has gone: what it holds is free, and was delivered, as in Kafka.
    pub fn release(&mut self, member: &str, limits: &Limits) {
        self.free(limits, |holder, _| holder == member);
    }

    /// Frees what was held for too long.
    pub fn expire(&mut self, now_ms: i64, limits: &Limits) {
        self.free(limits, |_, until_ms| until_ms <= now_ms);
    }

    fn free(&mut self, limits: &Limits, is_due: impl Fn(&str, i64) -> bool) {
        let changed_before = self.changed.len();
        for (first, span) in &mut self.spans {
            if let State::Acquired { member, until_ms } = &span.state
                && is_due(member, *until_ms)
            {
                span.state = freed(span.deliveries, limits);
                self.changed.push(*first..span.last + 1);
            }
        }
        if self.changed.len() > changed_before {
            self.tidy(self.start..self.end);
        }
    }

    /// When the next thing that is held will have been held for too long.
    pub fn next_expiry_ms(&self) -> Option<i64> {
        let until = |span: &Span| match &span.state {
            State::Acquired { until_ms, .. } => Some(*until_ms),
            State::Available | State::Acknowledged | State::Archived => None,
        };
        self.spans.values().filter_map(until).min()
    }

    /// The log begins here now: what was before is gone.
    pub fn raise(&mut self, log_start: i64) {
        if log_start <= self.start {
            return;
        }
        self.split(log_start);
        self.spans = self.spans.split_off(&log_start);
        self.start = log_start;
        self.end = self.end.max(log_start);
        self.tidy(log_start..log_start);
    }

    /// What has changed since the last call and is to be kept: the start, and states of offsets from there on. `None`: nothing.
    pub fn take_changes(&mut self) -> Option<(i64, Vec<Kept>)> {
        let changed = std::mem::take(&mut self.changed);
        if self.told_start == self.start && changed.is_empty() {
            return None;
        }
        self.told_start = self.start;
        let mut kept = Vec::new();
        for range in changed {
            let range = range.start.max(self.start)..range.end.min(self.end);
            for (first, span) in self.overlapping(range.clone()) {
                kept.extend(span.kept((*first).max(range.start), span.last.min(range.end - 1)));
            }
        }
        Some((self.start, kept))
    }

    /// All that is to be kept. What somebody holds is free in another life, and was delivered as often as before.
    pub fn snapshot(&self) -> Vec<Kept> {
        let each = |(first, span): (&i64, &Span)| match &span.state {
            State::Acquired { .. } if span.deliveries <= 1 => None,
            State::Acquired { .. } => Some(Kept {
                first: *first,
                last: span.last,
                state: KeptState::Available,
                deliveries: span.deliveries - 1,
            }),
            State::Available if span.deliveries == 0 => None,
            State::Available | State::Acknowledged | State::Archived => span.kept(*first, span.last),
        };
        self.spans.iter().filter_map(each).collect()
    }

    /// Takes in what an earlier life has kept, in its order. What lies between was held by somebody: it is free.
    pub fn restore(&mut self, start: i64, kept: &[Kept]) {
        for Kept { first, last, state, deliveries } in kept.iter().copied() {
            if last < first || last < self.start || last == i64::MAX {
                continue;
            }
            let first = first.max(self.start);
            if first > self.end {
                self.extend(first, State::Available, 0);
            }
            if last >= self.end {
                self.extend(last + 1, State::Available, 0);
            }
            self.split(first);
            self.split(last + 1);
            for (_, span) in self.spans.range_mut(first..=last) {
                span.deliveries = deliveries;
                span.state = match state {
                    KeptState::Available => State::Available,
                    KeptState::Acknowledged => State::Acknowledged,
                    KeptState::Archived => State::Archived,
                };
            }
            self.tidy(first..last + 1);
        }
        self.raise(start);
        self.changed.clear();
        self.told_start = self.start;
    }

    fn skip_to(&mut self, first: i64) {
        if first > self.end {
            let gap = self.end..first;
            self.extend(first, State::Archived, 0);
            self.changed.push(gap);
        }
    }

    fn extend(&mut self, end: i64, state: State, deliveries: i16) {
        if end > self.end {
            self.spans.insert(self.end, Span { last: end - 1, state, deliveries });
            self.end = end;
        }
    }

    /// The spans that have offsets of this range, with the offsets they have beside.
    fn overlapping(&self, range: Range<i64>) -> impl Iterator<Item = (&i64, &Span)> {
        let first = self.spans.range(..=range.start).next_back().map_or(range.start, |(first, _)| *first);
        self.spans.range(first..range.end.max(first)).filter(move |(_, span)| span.last >= range.start)
    }

    /// No span reaches over this offset from before.
    fn split(&mut self, at: i64) {
        let Some((_, span)) = self.spans.range_mut(..at).next_back() else { return };
        if span.last >= at {
            let rest = Span { last: span.last, ..span.clone() };
            span.last = at - 1;
            self.spans.insert(at, rest);
        }
    }

    /// Moves `start` behind what is done, and makes one of neighbours that do not differ, in and around this range.
    fn tidy(&mut self, around: Range<i64>) {
        while let Some(entry) = self.spans.first_entry()
            && entry.get().state.is_final()
        {
            self.start = entry.get().last + 1;
            entry.remove();
        }
        let Some(mut at) = self.spans.range(..around.start).next_back().or_else(|| self.spans.iter().next())
        else {
            return;
        };
        let mut one = vec![];
        for next in self.spans.range(*at.0 + 1..) {
            if *at.0 > around.end {
                break;
            }
            if at.1.is_like(next.1) {
                one.push(*next.0);
            }
            at = next;
        }
        for first in one {
            let Some(span) = self.spans.remove(&first) else { continue };
            if let Some((_, before)) = self.spans.range_mut(..first).next_back() {
                before.last = span.last;
            }
        }
    }
}

impl Span {
    fn is_like(&self, other: &Span) -> bool {
        self.state == other.state && (self.state.is_final() || self.deliveries == other.deliveries)
    }

    fn kept(&self, first: i64, last: i64) -> Option<Kept> {
        let state = match self.state {
            State::Acquired { .. } => return None,
            State::Available => KeptState::Available,
            State::Acknowledged => KeptState::Acknowledged,
            State::Archived => KeptState::Archived,
        };
        Some(Kept { first, last, state, deliveries: self.deliveries })
    }
}

fn freed(deliveries: i16, limits: &Limits) -> State {
    if deliveries >= limits.deliveries { State::Archived } else { State::Available }
}
