//! Fetch sessions (KIP-227): what a client asks for again and again, kept here so that it has to say only what changes, and is
//! told only what did.
//!
//! A session is taken out while a request of it is worked on, and put back with its answer: a client that leaves in between
//! leaves nothing behind. Who finds no session asks for everything, so one may be forgotten at any time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use kafka_protocol::{
    ResponseError,
    messages::{
        FetchRequest, TopicName,
        fetch_request::{FetchPartition, FetchTopic},
    },
};
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::log::Log;

/// Kafka's `max.incremental.fetch.session.cache.slots`.
const SESSIONS_COUNT_MAX: usize = 1_000;
/// More partitions are not kept in one session: each costs some hundred bytes, and such a client can afford to repeat itself.
const PARTITIONS_COUNT_MAX: usize = 10_000;
/// A session that was not used for so long gives way to a new one (`min.incremental.fetch.session.eviction.ms`).
const EVICTION: Duration = Duration::from_secs(120);

#[derive(Default)]
pub struct Sessions(Mutex<HashMap<i32, Session>>);

/// A topic as it is asked for: by name, or by id with an empty name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    pub name: TopicName,
    pub id: Uuid,
}

/// A partition that is asked for, found or not.
pub struct Wanted {
    pub topic: Subject,
    pub asked: FetchPartition,
    pub log: Result<Arc<Log>, ResponseError>,
    /// High watermark and start that the client was told; `None`: nothing, or an error.
    pub told: Option<(i64, i64)>,
}

/// One request's partitions, and those of the session's earlier ones.
pub struct Session {
    /// 0: not kept yet, or never.
    id: i32,
    /// Of the next request; `None`: the client wants no session.
    epoch: Option<i32>,
    uses_ids: bool,
    used: Instant,
    pub wanted: Vec<Wanted>,
    /// Where in `wanted` a partition is.
    places: HashMap<(Subject, i32), usize>,
    /// The place that is read first: behind the last one that records came from, so that each has its turn.
    pub first: usize,
}

impl Sessions {
    /// Takes up the request's session, or makes a new one of the whole request. `find` looks for a partition's log.
    pub fn begin(
        &self,
        request: &FetchRequest,
        uses_ids: bool,
        find: impl Fn(&Subject, &FetchPartition) -> Result<Arc<Log>, ResponseError>,
    ) -> Result<Session, ResponseError> {
        let mut session = if request.session_epoch > 0 {
            self.take(request.session_id, request.session_epoch, uses_ids)?
        } else {
            self.0.lock().remove(&request.session_id);
            Session::new((request.session_epoch == 0).then_some(1), uses_ids)
        };
        for forgotten in &request.forgotten_topics_data {
            let topic = Subject { name: forgotten.topic.clone(), id: forgotten.topic_id };
            forgotten.partitions.iter().for_each(|index| session.forget(&topic, *index));
        }
        let is_gone = |log: &Result<Arc<Log>, ResponseError>| log.as_ref().is_ok_and(|log| log.is_deleted());
        for partition in &mut session.wanted {
            if partition.told.is_none() || is_gone(&partition.log) {
                partition.log = find(&partition.topic, &partition.asked); // it may be there by now, or gone
            }
        }
        for topic in &request.topics {
            let subject = subject_of(topic);
            for asked in &topic.partitions {
                let log = find(&subject, asked);
                session.put(Wanted { topic: subject.clone(), asked: asked.clone(), log, told: None });
            }
        }
        if session.id != 0 && session.wanted.len() > PARTITIONS_COUNT_MAX {
            return Err(ResponseError::FetchSessionIdNotFound); // it asks for everything then, and gets no session
        }
        Ok(session)
    }

    fn take(&self, id: i32, epoch: i32, uses_ids: bool) -> Result<Session, ResponseError> {
        let mut sessions = self.0.lock();
        let session = sessions.remove(&id).ok_or(ResponseError::FetchSessionIdNotFound)?;
        let error = match session.epoch == Some(epoch) {
            true if session.uses_ids == uses_ids => return Ok(session),
            true => ResponseError::FetchSessionTopicIdError,
            false => ResponseError::InvalidFetchSessionEpoch,
        };
        sessions.insert(id, session);
        Err(error)
    }

    /// Keeps the session for the next request if there is room; gives its id, or 0.
    pub fn end(&self, mut session: Session) -> i32 {
        let Some(epoch) = session.epoch else { return 0 };
        if session.wanted.is_empty() || session.wanted.len() > PARTITIONS_COUNT_MAX {
            return 0;
        }
        let mut sessions = self.0.lock();
        let now = Instant::now();
        if session.id == 0 {
            if sessions.len() >= SESSIONS_COUNT_MAX && !evict(&mut sessions, now) {
                return 0;
            }
            while session.id == 0 || sessions.contains_key(&session.id) {
                session.id = Uuid::new_v4().as_u128() as i32 & i32::MAX;
            }
        } else {
            session.epoch = Some(if epoch == i32::MAX { 1 } else { epoch + 1 });
        }
        session.used = now;
        let id = session.id;
        sessions.insert(id, session);
        id
    }
}

/// Lets go of the session that was not used for the longest time, if that is long enough.
fn evict(sessions: &mut HashMap<i32, Session>, now: Instant) -> bool {
    let oldest = sessions.values().min_by_key(|session| session.used);
    let oldest = oldest.filter(|session| now - session.used >= EVICTION).map(|session| session.id);
    oldest.is_some_and(|id| sessions.remove(&id).is_some())
}

impl Session {
    fn new(epoch: Option<i32>, uses_ids: bool) -> Self {
        let (wanted, places) = (Vec::new(), HashMap::new());
        Self { id: 0, epoch, uses_ids, used: Instant::now(), wanted, places, first: 0 }
    }

    /// Whether the client is told of everything, changed or not.
    pub fn is_whole(&self) -> bool {
        self.id == 0
    }

    fn put(&mut self, partition: Wanted) {
        if self.epoch.is_none() {
            return self.wanted.push(partition); // nobody will look for it
        }
        let key = (partition.topic.clone(), partition.asked.partition);
        match self.places.get(&key) {
            Some(place) => {
                let told = self.wanted[*place].told;
                self.wanted[*place] = Wanted { told, ..partition };
            }
            None => {
                self.places.insert(key, self.wanted.len());
                self.wanted.push(partition);
            }
        }
    }

    fn forget(&mut self, topic: &Subject, index: i32) {
        let Some(place) = self.places.remove(&(topic.clone(), index)) else { return };
        self.wanted.swap_remove(place);
        if let Some(moved) = self.wanted.get(place) {
            self.places.insert((moved.topic.clone(), moved.asked.partition), place);
        }
    }

    /// The places of all partitions in the order in which they are read.
    pub fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (count, first) = (self.wanted.len(), self.first);
        (0..count).map(move |step| (first + step) % count)
    }
}

fn subject_of(topic: &FetchTopic) -> Subject {
    Subject { name: topic.topic.clone(), id: topic.topic_id }
}
