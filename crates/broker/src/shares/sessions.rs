//! Share sessions: the partitions that a member of a share group reads, kept so that it has to say only what changes. A session is a
//! member's, of one connection, and ends with either: then what the member holds is free.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use indexmap::IndexSet;
use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::security::peer::Peer;

/// The epoch that begins a session, and the one that ends it.
pub const INITIAL_EPOCH: i32 = 0;
pub const FINAL_EPOCH: i32 = -1;
/// More partitions are not kept in one session.
const PARTITIONS_COUNT_MAX: usize = 10_000;

/// Group and member.
type Owner = (Arc<str>, Arc<str>);
/// Topic and partition.
pub type Place = (Uuid, i32);

pub struct Sessions {
    sessions: Mutex<HashMap<Owner, Session>>,
    count_max: usize,
}

struct Session {
    /// Of the next request.
    epoch: i32,
    places: IndexSet<Place>,
    /// The place that is read first, so that each has its turn.
    first: usize,
    peer: Weak<Peer>,
}

/// What a request changes of its session.
pub struct Asked<'a> {
    pub epoch: i32,
    pub added: &'a [Place],
    pub forgotten: &'a [Place],
}

impl Sessions {
    pub fn new(count_max: usize) -> Sessions {
        Sessions { sessions: Mutex::default(), count_max }
    }

    /// The partitions to read for this request, in their order.
    pub fn fetch(
        &self,
        group: &str,
        member: &str,
        peer: &Arc<Peer>,
        asked: &Asked<'_>,
    ) -> Result<Vec<Place>, ResponseError> {
        let owner: Owner = (group.into(), member.into());
        let mut sessions = self.sessions.lock();
        if asked.epoch == INITIAL_EPOCH {
            sessions.remove(&owner);
            if sessions.len() >= self.count_max {
                return Err(ResponseError::ShareSessionLimitReached);
            }
            let peer = Arc::downgrade(peer);
            sessions.insert(owner.clone(), Session { epoch: 0, places: IndexSet::new(), first: 0, peer });
        }
        let session = sessions.get_mut(&owner).ok_or(ResponseError::ShareSessionNotFound)?;
        session.step(asked.epoch)?;
        session.places.extend(asked.added.iter().copied());
        for place in asked.forgotten {
            session.places.swap_remove(place);
        }
        if session.places.len() > PARTITIONS_COUNT_MAX {
            sessions.remove(&owner);
            return Err(ResponseError::InvalidRequest);
        }
        session.first = session.first.wrapping_add(1);
        let (count, first) = (session.places.len(), session.first);
        Ok((0..count).filter_map(|step| session.places.get_index((first + step) % count)).copied().collect())
    }

    /// A request that acknowledges and reads nothing.
    pub fn acknowledge(&self, group: &str, member: &str, epoch: i32) -> Result<(), ResponseError> {
        let owner: Owner = (group.into(), member.into());
        let mut sessions = self.sessions.lock();
        let session = sessions.get_mut(&owner);
        let session = session.ok_or(ResponseError::ShareSessionNotFound)?;
        match epoch {
            INITIAL_EPOCH => Err(ResponseError::InvalidShareSessionEpoch),
            epoch => session.step(epoch),
        }
    }

    /// Ends the member's session, if there is one.
    pub fn end(&self, group: &str, member: &str) -> Result<(), ResponseError> {
        let owner: Owner = (group.into(), member.into());
        let ended = self.sessions.lock().remove(&owner);
        ended.map(|_| ()).ok_or(ResponseError::ShareSessionNotFound)
    }

    /// Ends the sessions of a connection, and says whose they were.
    pub fn disconnected(&self, peer: &Arc<Peer>) -> Vec<Owner> {
        let mut sessions = self.sessions.lock();
        if sessions.is_empty() {
            return vec![];
        }
        let is_its = |session: &Session| session.peer.as_ptr() == Arc::as_ptr(peer);
        sessions.extract_if(|_, session| is_its(session)).map(|(owner, _)| owner).collect()
    }
}

impl Session {
    fn step(&mut self, epoch: i32) -> Result<(), ResponseError> {
        if epoch != self.epoch {
            return Err(ResponseError::InvalidShareSessionEpoch);
        }
        self.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        Ok(())
    }
}
