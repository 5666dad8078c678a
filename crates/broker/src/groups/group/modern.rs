//! What a group is, whichever protocol its members speak.

use super::{Group, State};
use crate::groups::{
    consumer::{self, Consumer},
    journal::KeyValue,
    records::Key,
    share::{self, Share},
    streams::{self, Streams},
};

/// A group of another protocol than the classic one: one that has epochs.
pub trait Modern {
    fn kind(&self) -> &'static str;
    fn word(&self) -> &'static str;
    fn protocol_type(&self) -> &'static str;
    fn has_members(&self) -> bool;
    fn deletion(&self, id: &str) -> Vec<KeyValue>;
}

impl Modern for Consumer {
    fn kind(&self) -> &'static str {
        "consumer"
    }

    fn word(&self) -> &'static str {
        self.state().word()
    }

    fn protocol_type(&self) -> &'static str {
        consumer::PROTOCOL_TYPE
    }

    fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    fn deletion(&self, id: &str) -> Vec<KeyValue> {
        consumer::records::tombstones(id, &self.parts())
    }
}

impl Modern for Share {
    fn kind(&self) -> &'static str {
        "share"
    }

    fn word(&self) -> &'static str {
        self.state().word()
    }

    fn protocol_type(&self) -> &'static str {
        share::PROTOCOL_TYPE
    }

    fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    fn deletion(&self, id: &str) -> Vec<KeyValue> {
        share::records::tombstones(id, &self.parts())
    }
}

impl Modern for Streams {
    fn kind(&self) -> &'static str {
        "streams"
    }

    fn word(&self) -> &'static str {
        self.state().word()
    }

    fn protocol_type(&self) -> &'static str {
        streams::PROTOCOL_TYPE
    }

    fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    fn deletion(&self, id: &str) -> Vec<KeyValue> {
        streams::records::tombstones(id, &self.parts())
    }
}

impl Group {
    /// The group of epochs that stands in the classic one's place.
    pub fn modern(&self) -> Option<&dyn Modern> {
        let consumer = self.consumer.as_deref().map(|group| group as &dyn Modern);
        let share = self.share.as_deref().map(|group| group as &dyn Modern);
        let streams = self.streams.as_deref().map(|group| group as &dyn Modern);
        consumer.or(share).or(streams)
    }

    /// Kafka's word for the kind of group.
    pub fn kind(&self) -> &'static str {
        self.modern().map_or("classic", Modern::kind)
    }

    /// Kafka's word for its state.
    pub fn word(&self) -> &'static str {
        self.modern().map_or_else(|| self.state.word(), Modern::word)
    }

    /// What its members speak, as ListGroups tells it.
    pub fn speaks(&self) -> &str {
        let classic = || self.protocol_type.as_deref().unwrap_or_default();
        self.modern().map_or_else(classic, |modern| modern.protocol_type())
    }

    pub fn has_members(&self) -> bool {
        let classic = || self.state != State::Empty && self.state != State::Dead;
        self.modern().map_or_else(classic, Modern::has_members)
    }

    /// The records that delete the group itself.
    pub fn deletion(&self) -> Vec<KeyValue> {
        let classic = || vec![(Key::Group { group: self.id.to_string() }.encode(), None)];
        self.modern().map_or_else(classic, |modern| modern.deletion(&self.id))
    }

    /// A group that was never more than its offsets, or that everybody has left.
    pub fn is_bare(&self) -> bool {
        self.state == State::Empty && self.members.is_empty() && self.pending.is_empty()
    }

    /// Nobody is in it, or about to come in, and no transaction commits anything for it. As in Kafka, a share group is there until
    /// it is deleted.
    pub fn is_over(&self) -> bool {
        self.share.is_none() && self.is_bare() && !self.has_members() && self.unsettled.is_empty()
    }
}
