//! From the log to a member: reads where the group is to go on, and gives out what is free of what was read. Batches go out as they
//! lie in the log; which of their records are meant is said beside.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use wire::batch::{BatchHeader, batches};

use super::{
    SharePartition, Shares,
    window::{Acquired, Limits, Window},
};
use crate::{
    groups::group::MemberId,
    log::{Aborted, Log, ReadLimit},
};

/// How often a read begins again behind what holds nothing for anybody.
const READS_COUNT_MAX: usize = 16;

/// What a member may have at most.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub bytes: usize,
    pub records: i64,
    /// Not one more: else a batch that is begun with is given whole.
    pub strict: bool,
}

#[derive(Debug, Default)]
pub struct Got {
    pub records: Bytes,
    pub acquired: Vec<Acquired>,
}

/// How a group reads.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub limits: Limits,
    /// None before its transaction is committed, and none that was aborted.
    pub committed: bool,
    /// Members may keep records for longer (KIP-1222).
    pub renews: bool,
}

impl Shares {
    /// Where the group goes on, where there is something there; before the other offset.
    fn next(
        &self,
        partition: &SharePartition,
        log: &Log,
        manner: &Manner,
    ) -> Result<Option<(i64, i64)>, ResponseError> {
        let (start, limits) = (log.start_offset(), &manner.limits);
        let (next, _) = self.change(partition, |window, now_ms| {
            window.raise(start);
            window.expire(now_ms, limits);
            window.next(limits)
        })?;
        let end = if manner.committed { log.last_stable_offset() } else { log.high_watermark() };
        Ok(next.filter(|next| *next < end).map(|next| (next, end)))
    }

    /// How many bytes there are to give, up to so many. As in Kafka all counts that lies behind where the group goes on, though some
    /// of it may be held; and where there is more than one read gives, that is enough.
    pub async fn ready(
        &self,
        partition: &SharePartition,
        log: &Arc<Log>,
        manner: &Manner,
        bytes_max: usize,
    ) -> Result<usize, ResponseError> {
        let Some((next, end)) = self.next(partition, log, manner)? else { return Ok(0) };
        let before = if manner.committed { end } else { i64::MAX };
        let limit = ReadLimit { bytes_max, at_least_one: true, before };
        let fetched = log.read(next, limit).await.map_err(|error| error.answer())?;
        Ok(if fetched.next_offset < end { bytes_max } else { fetched.records.len() })
    }

    /// Gives a member what there is. What follows from it for the log is on its way there.
    pub async fn read(
        &self,
        partition: &SharePartition,
        log: &Arc<Log>,
        member: &MemberId,
        manner: &Manner,
        room: Room,
    ) -> Result<Got, ResponseError> {
        let limits = &manner.limits;
        for _ in 0..READS_COUNT_MAX {
            let Some((next, end)) = self.next(partition, log, manner)? else { break };
            let before = if manner.committed { end } else { i64::MAX };
            let limit = ReadLimit { bytes_max: room.bytes, at_least_one: true, before };
            let fetched = log.read(next, limit).await.map_err(|error| error.answer())?;
            if fetched.next_offset <= next {
                break;
            }
            let aborted = match manner.committed {
                true => log.aborted_in(next..fetched.next_offset).map_err(|error| error.answer())?,
                false => vec![],
            };
            let (got, _) = self.change(partition, |window, now_ms| {
                let mut giving = Giving { window, member, now_ms, limits, room, aborted: &aborted };
                giving.give(next, &fetched.records)
            })?;
            let got = got?;
            if !got.acquired.is_empty() {
                return Ok(got);
            }
        }
        Ok(Got::default())
    }
}

struct Giving<'a> {
    window: &'a mut Window,
    member: &'a MemberId,
    now_ms: i64,
    limits: &'a Limits,
    room: Room,
    aborted: &'a [Aborted],
}

impl Giving<'_> {
    fn give(&mut self, next: i64, bytes: &Bytes) -> Result<Got, ResponseError> {
        let (mut acquired, mut parts) = (Vec::new(), Vec::<Range<usize>>::new());
        let (mut cursor, mut place) = (next, 0);
        for batch in batches(bytes) {
            let batch = batch.map_err(|_| ResponseError::KafkaStorageError)?;
            let (header, at) = (batch.header, place..place + batch.bytes.len());
            place = at.end;
            let offsets = header.base_offset..header.next_offset();
            if cursor < offsets.start {
                self.window.archive(cursor..offsets.start); // compacted away
            }
            cursor = offsets.end;
            if header.is_control() || self.is_aborted(&header) {
                self.window.archive(offsets);
                continue;
            }
            let most = if self.room.strict { self.room.records } else { i64::MAX };
            let some = self.window.acquire(offsets, self.member, self.now_ms, self.limits, most);
            if some.is_empty() {
                continue;
            }
            self.room.records -= some.iter().map(|one| one.last - one.first + 1).sum::<i64>();
            put(&mut acquired, some);
            match parts.last_mut() {
                Some(part) if part.end == at.start => part.end = at.end,
                _ => parts.push(at),
            }
            if self.room.records <= 0 {
                break;
            }
        }
        Ok(Got { records: joined(bytes, &parts), acquired })
    }

    fn is_aborted(&self, header: &BatchHeader) -> bool {
        let holds = |aborted: &Aborted| {
            aborted.producer_id == header.producer_id
                && (aborted.first_offset..aborted.last_offset).contains(&header.base_offset)
        };
        header.is_transactional() && self.aborted.iter().any(holds)
    }
}

/// Neighbours that were delivered as often are told as one.
fn put(all: &mut Vec<Acquired>, some: Vec<Acquired>) {
    for one in some {
        match all.last_mut() {
            Some(last) if last.last + 1 == one.first && last.deliveries == one.deliveries => {
                last.last = one.last
            }
            _ => all.push(one),
        }
    }
}

fn joined(bytes: &Bytes, parts: &[Range<usize>]) -> Bytes {
    match parts {
        [] => Bytes::new(),
        [one] => bytes.slice(one.clone()),
        many => {
            let mut out = BytesMut::with_capacity(many.iter().map(|part| part.len()).sum());
            many.iter().for_each(|part| out.extend_from_slice(&bytes[part.clone()]));
            out.freeze()
        }
    }
}
