//! The state machine of a consumer group, without sockets and without a log: topics are a table, time is an argument.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kafka_protocol::ResponseError as E;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Answer, Consumer, Heartbeat, Limits, Partitions, Refused, State,
    layout::Layout,
    records::{Part, StoredConsumer, encode},
};

mod kafka;
mod members;
mod moving;

/// Topics by name: id and partitions.
#[derive(Default, Clone)]
pub(in crate::groups) struct Table {
    topics: BTreeMap<Arc<str>, (Uuid, i32)>,
    version: u64,
}

impl Table {
    pub(in crate::groups) fn of(text: &str) -> Table {
        let mut table = Table::default();
        table.set(text);
        table
    }

    /// `flights:3 orders:2`
    pub(in crate::groups) fn set(&mut self, text: &str) {
        let one = |word: &str| {
            let (name, count) = word.split_once(':').unwrap();
            let id = name.bytes().fold(7, |id: u128, byte| id << 8 | u128::from(byte));
            (Arc::from(name), (Uuid::from_u128(id), count.parse().unwrap()))
        };
        self.topics = text.split_whitespace().map(one).collect();
        self.version += 1;
    }
}

impl Layout for Table {
    fn version(&self) -> u64 {
        self.version
    }

    fn find(&self, name: &str) -> Option<(Uuid, i32)> {
        self.topics.get(name).copied()
    }

    fn name_of(&self, id: Uuid) -> Option<Arc<str>> {
        self.topics.iter().find(|(_, (known, _))| *known == id).map(|(name, _)| name.clone())
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.topics.keys().cloned().collect()
    }
}

pub(super) struct Play {
    pub(super) group: Consumer,
    pub(super) layout: Table,
    pub(super) now: Instant,
}

pub(super) const LIMITS: Limits = Limits {
    session_timeout: Duration::from_secs(45),
    assignment_interval: Duration::ZERO,
    members_count_max: 4,
};

pub(super) fn joining(id: &str, topics: &[&str]) -> Heartbeat {
    Heartbeat {
        member_id: id.to_owned(),
        rebalance_timeout_ms: Some(60_000),
        topics: Some(topics.iter().map(|name| (*name).to_owned()).collect()),
        owned: Some(Partitions::new()),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        ..Heartbeat::default()
    }
}

impl Play {
    pub(super) fn of(topics: &str) -> Play {
        Play { group: Consumer::new(LIMITS), layout: Table::of(topics), now: Instant::now() }
    }

    pub(super) fn say(&mut self, beat: Heartbeat) -> Result<Answer, Refused> {
        beat.check()?;
        self.group.heartbeat(&beat, &self.layout, self.now)
    }

    pub(super) fn refused(&mut self, beat: Heartbeat) -> E {
        self.say(beat).unwrap_err().error
    }

    /// What the answer says: the epoch, and the partitions where it tells them.
    #[track_caller]
    pub(super) fn join(&mut self, id: &str, topics: &[&str]) -> String {
        let answer = self.say(joining(id, topics)).unwrap();
        self.shown(&answer)
    }

    /// A heartbeat that says nothing new, or what the member holds (`t0 t1`; the empty text: nothing).
    #[track_caller]
    pub(super) fn beat(&mut self, id: &str, epoch: i32, owned: Option<&str>) -> String {
        let beat = self.staying(id, epoch, owned);
        let answer = self.say(beat).unwrap();
        self.shown(&answer)
    }

    pub(super) fn staying(&self, id: &str, epoch: i32, owned: Option<&str>) -> Heartbeat {
        let owned = owned.map(|text| self.partitions(text));
        Heartbeat { member_epoch: epoch, rebalance_timeout_ms: None, topics: None, owned, ..joining(id, &[]) }
    }

    pub(super) fn partitions(&self, text: &str) -> Partitions {
        let mut partitions = Partitions::new();
        for word in text.split_whitespace() {
            let (name, number) = word.split_at(word.len() - 1);
            let (id, _) = self.layout.find(name).unwrap();
            partitions.entry(id).or_default().insert(number.parse().unwrap());
        }
        partitions
    }

    pub(super) fn named(&self, partitions: &Partitions) -> String {
        let mut names = Vec::new();
        for (id, numbers) in partitions {
            let name = self.layout.name_of(*id).unwrap_or_else(|| "gone".into());
            names.extend(numbers.iter().map(|number| format!("{name}{number}")));
        }
        names.sort();
        names.join(" ")
    }

    pub(super) fn shown(&self, answer: &Answer) -> String {
        match &answer.assignment {
            Some(partitions) => format!("{}: {}", answer.member_epoch, self.named(partitions)),
            None => answer.member_epoch.to_string(),
        }
    }

    pub(super) fn after(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.group.tick(self.now);
    }

    pub(super) fn state(&self) -> (State, i32, i32) {
        (self.group.state(), self.group.epoch, self.group.assignment_epoch)
    }

    /// The group as the next life finds it.
    pub(super) fn restarted(&mut self) {
        let parts = self.group.parts();
        let mut stored = StoredConsumer::default();
        for (key, value) in encode("g", &self.group, &parts) {
            stored.apply(Part::decode(&key).unwrap().1, value.as_deref());
        }
        self.group = Consumer::restore(stored, LIMITS, self.now);
    }
}
