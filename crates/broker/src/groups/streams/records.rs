//! What is stored of a streams group in `__consumer_offsets`, byte for byte as Kafka writes it, so that either can take over; and the
//! parts of it that requests and answers have in the same form.
//!
//! Source: `StreamsGroup*Key/Value.json` of Apache Kafka's group coordinator, keys 17 to 23. Values are of version 0, compact, with
//! tagged fields.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    Assignment, Endpoint, Profile, Streams, Tasks,
    reconcile::{Since, Standing},
    topology::{CopartitionGroup, Subtopology, TopicInfo, Topology},
};
use crate::groups::{
    consumer::{
        reconcile::Phase,
        records::{
            get_items, get_optional, get_slice, get_string, get_tag, get_varint, put_compact, put_no_tags,
            put_optional, put_varint,
        },
    },
    group::MemberId,
    journal::KeyValue,
    records::get_text,
    unwritten::{self, set},
};

const VALUE_VERSION: i16 = 0;
/// The setting that an assignment was made with.
const STANDBYS: &str = "num.standby.replicas";

/// One record's subject, in the order in which values are written; deletions go the other way round.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Topology,
    Epoch,
    Member(MemberId),
    TargetEpoch,
    Target(MemberId),
    Current(MemberId),
}

/// A group as it is stored, put together from its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredStreams {
    pub topology: Option<Topology>,
    pub heading: Heading,
    pub assignment_epoch: i32,
    pub profiles: BTreeMap<MemberId, Profile>,
    pub targets: BTreeMap<MemberId, Assignment>,
    pub standings: BTreeMap<MemberId, Standing>,
}

/// What the record of the group itself says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    pub epoch: i32,
    pub metadata_hash: i64,
    /// That of the topology for which all topics are there; -1: of none.
    pub validated_topology_epoch: i32,
    /// With so many standbys the last assignment was made; `None`: it is not known.
    pub standbys: Option<u32>,
}

impl Default for Heading {
    fn default() -> Self {
        Self { epoch: 0, metadata_hash: 0, validated_topology_epoch: -1, standbys: None }
    }
}

impl Part {
    pub fn key(&self, group: &str) -> Bytes {
        let (number, more) = match self {
            Part::Epoch => (17, None),
            Part::Member(id) => (19, Some(&**id)),
            Part::TargetEpoch => (20, None),
            Part::Target(id) => (21, Some(&**id)),
            Part::Current(id) => (22, Some(&**id)),
            Part::Topology => (23, None),
        };
        unwritten::key(number, group, more)
    }

    /// The group, and what of it; `None`: another's record.
    pub fn decode(mut key: &[u8]) -> Option<(String, Part)> {
        let version = key.try_get_i16().ok()?;
        let group = get_text(&mut key)?;
        let part = match version {
            17 => Part::Epoch,
            19 => Part::Member(get_text(&mut key)?.into()),
            20 => Part::TargetEpoch,
            21 => Part::Target(get_text(&mut key)?.into()),
            22 => Part::Current(get_text(&mut key)?.into()),
            23 => Part::Topology,
            _ => return None,
        };
        Some((group, part))
    }
}

pub fn encode(group_id: &str, group: &Streams, parts: &BTreeSet<Part>) -> Vec<KeyValue> {
    unwritten::encode(parts, |part| part.key(group_id), |part| group.value(part))
}

/// Deletes these, all that lies in the log of a group.
pub fn tombstones(group_id: &str, parts: &BTreeSet<Part>) -> Vec<KeyValue> {
    unwritten::encode(parts, |part| part.key(group_id), |_| None)
}

impl Streams {
    /// `None`: it is gone.
    pub(super) fn value(&self, part: &Part) -> Option<Bytes> {
        let mut out = BytesMut::new();
        out.put_i16(VALUE_VERSION);
        match part {
            Part::Topology => put_topology(&mut out, self.topology.as_ref()?),
            Part::Epoch => put_heading(&mut out, &self.heading),
            Part::TargetEpoch => {
                out.put_i32(self.assignment_epoch);
                put_no_tags(&mut out);
            }
            Part::Member(id) => put_profile(&mut out, &self.members.get(id)?.profile),
            Part::Target(id) => {
                put_assignment(&mut out, self.targets.get(id)?);
                put_no_tags(&mut out);
            }
            Part::Current(id) => put_standing(&mut out, &self.members.get(id)?.standing),
        }
        Some(out.freeze())
    }
}

impl StoredStreams {
    /// Takes one record in. A value that is not understood is as good as none.
    pub fn apply(&mut self, part: Part, value: Option<&[u8]>) {
        let mut value = value.unwrap_or_default();
        let value = &mut value;
        let known = value.try_get_i16().is_ok_and(|version| version == VALUE_VERSION);
        match part {
            Part::Topology => self.topology = get_topology(value).filter(|_| known),
            Part::Epoch => self.heading = get_heading(value).filter(|_| known).unwrap_or_default(),
            Part::TargetEpoch => self.assignment_epoch = value.try_get_i32().unwrap_or(0),
            Part::Member(id) => set(&mut self.profiles, id, get_profile(value).filter(|_| known)),
            Part::Target(id) => set(&mut self.targets, id, get_assignment(value).filter(|_| known)),
            Part::Current(id) => set(&mut self.standings, id, get_standing(value).filter(|_| known)),
        }
    }
}

fn put_heading(out: &mut BytesMut, heading: &Heading) {
    out.put_i32(heading.epoch);
    out.put_i64(heading.metadata_hash);
    let mut tags: Vec<(u32, BytesMut)> = Vec::new();
    if heading.validated_topology_epoch != -1 {
        tags.push((0, BytesMut::from(&heading.validated_topology_epoch.to_be_bytes()[..])));
    }
    if let Some(standbys) = heading.standbys {
        let mut configs = BytesMut::new();
        put_pairs(&mut configs, [(STANDBYS, &*standbys.to_string())].into_iter());
        tags.push((1, configs));
    }
    put_varint(out, tags.len() as u32);
    for (tag, bytes) in tags {
        put_varint(out, tag);
        put_varint(out, bytes.len() as u32);
        out.put_slice(&bytes);
    }
}

fn get_heading(bytes: &mut &[u8]) -> Option<Heading> {
    let mut heading = Heading {
        epoch: bytes.try_get_i32().ok()?,
        metadata_hash: bytes.try_get_i64().ok()?,
        ..Heading::default()
    };
    for _ in 0..get_varint(bytes)? {
        let tag = get_varint(bytes)?;
        let length = get_varint(bytes)?;
        let mut value = get_slice(bytes, length)?;
        match tag {
            0 => heading.validated_topology_epoch = value.try_get_i32().ok()?,
            1 => {
                let configs: BTreeMap<String, String> = get_pairs(&mut value)?;
                heading.standbys = configs.get(STANDBYS).and_then(|count| count.parse().ok());
            }
            _ => {}
        }
    }
    Some(heading)
}

pub fn put_topology(out: &mut BytesMut, topology: &Topology) {
    out.put_i32(topology.epoch);
    put_items(out, &topology.subtopologies, |out, (id, one)| {
        put_compact(out, id.as_bytes());
        put_texts(out, &one.source_topics);
        put_texts(out, &one.source_topic_regex);
        put_items(out, &one.state_changelog_topics, put_topic);
        put_texts(out, &one.repartition_sink_topics);
        put_items(out, &one.repartition_source_topics, put_topic);
        put_items(out, &one.copartition_groups, |out, group| {
            put_shorts(out, &group.source_topics);
            put_shorts(out, &group.source_topic_regex);
            put_shorts(out, &group.repartition_source_topics);
            put_no_tags(out);
        });
        put_no_tags(out);
    });
    put_no_tags(out);
}

pub fn get_topology(bytes: &mut &[u8]) -> Option<Topology> {
    let epoch = bytes.try_get_i32().ok()?;
    let subtopologies = get_items(bytes, |bytes| {
        let id = get_string(bytes)?;
        let one = Subtopology {
            source_topics: get_items(bytes, get_string)?,
            source_topic_regex: get_items(bytes, get_string)?,
            state_changelog_topics: get_items(bytes, get_topic)?,
            repartition_sink_topics: get_items(bytes, get_string)?,
            repartition_source_topics: get_items(bytes, get_topic)?,
            copartition_groups: get_items(bytes, |bytes| {
                let group = CopartitionGroup {
                    source_topics: get_shorts(bytes)?,
                    source_topic_regex: get_shorts(bytes)?,
                    repartition_source_topics: get_shorts(bytes)?,
                };
                get_tag(bytes)?;
                Some(group)
            })?,
        };
        get_tag(bytes)?;
        Some((id, one))
    })?;
    get_tag(bytes)?;
    Some(Topology { epoch, subtopologies })
}

pub fn put_topic(out: &mut BytesMut, topic: &TopicInfo) {
    put_compact(out, topic.name.as_bytes());
    out.put_i32(topic.partitions);
    out.put_i16(topic.replication_factor);
    put_pairs(out, topic.configs.iter().map(|(name, value)| (&**name, &**value)));
    put_no_tags(out);
}

fn get_topic(bytes: &mut &[u8]) -> Option<TopicInfo> {
    let topic = TopicInfo {
        name: get_string(bytes)?,
        partitions: bytes.try_get_i32().ok()?,
        replication_factor: bytes.try_get_i16().ok()?,
        configs: get_pairs(bytes)?,
    };
    get_tag(bytes)?;
    Some(topic)
}

fn put_profile(out: &mut BytesMut, profile: &Profile) {
    put_optional(out, None); // static members are not there yet
    put_optional(out, profile.rack_id.as_deref());
    put_compact(out, profile.client_id.as_bytes());
    put_compact(out, profile.client_host.as_bytes());
    out.put_i32(profile.rebalance_timeout_ms);
    out.put_i32(profile.topology_epoch);
    put_compact(out, profile.process_id.as_bytes());
    put_endpoint(out, profile.endpoint.as_ref());
    put_pairs(out, profile.tags.iter().map(|(key, value)| (&**key, &**value)));
    put_no_tags(out);
}

fn get_profile(bytes: &mut &[u8]) -> Option<Profile> {
    get_optional(bytes)?;
    Some(Profile {
        rack_id: get_optional(bytes)?,
        client_id: get_string(bytes)?,
        client_host: get_string(bytes)?,
        rebalance_timeout_ms: bytes.try_get_i32().ok()?,
        topology_epoch: bytes.try_get_i32().ok()?,
        process_id: get_string(bytes)?,
        endpoint: get_endpoint(bytes)?,
        tags: get_pairs(bytes)?,
    })
}

/// A structure or null.
pub fn put_endpoint(out: &mut BytesMut, endpoint: Option<&Endpoint>) {
    let Some(endpoint) = endpoint else { return out.put_i8(-1) };
    out.put_i8(1);
    put_address(out, endpoint);
}

pub fn put_address(out: &mut BytesMut, endpoint: &Endpoint) {
    put_compact(out, endpoint.host.as_bytes());
    out.put_u16(endpoint.port);
    put_no_tags(out);
}

pub fn get_endpoint(bytes: &mut &[u8]) -> Option<Option<Endpoint>> {
    if bytes.try_get_i8().ok()? < 0 {
        return Some(None);
    }
    let endpoint = Endpoint { host: get_string(bytes)?, port: bytes.try_get_u16().ok()? };
    get_tag(bytes)?;
    Some(Some(endpoint))
}

fn put_standing(out: &mut BytesMut, standing: &Standing) {
    out.put_i32(standing.epoch);
    out.put_i32(standing.previous_epoch);
    out.put_i8(standing.phase.id());
    for tasks in [&standing.assigned, &standing.revoking] {
        put_held(out, &tasks.active, &standing.since);
        put_tasks(out, &tasks.standby);
        put_tasks(out, &tasks.warmup);
    }
    put_no_tags(out);
}

fn get_standing(bytes: &mut &[u8]) -> Option<Standing> {
    let mut standing = Standing {
        epoch: bytes.try_get_i32().ok()?,
        previous_epoch: bytes.try_get_i32().ok()?,
        phase: Phase::of(bytes.try_get_i8().ok()?),
        ..Standing::default()
    };
    let mut since = Since::new();
    for into in [&mut standing.assigned, &mut standing.revoking] {
        into.active = get_held(bytes, standing.epoch, &mut since)?;
        into.standby = get_tasks(bytes)?;
        into.warmup = get_tasks(bytes)?;
    }
    standing.since = since;
    Some(standing)
}

/// Active tasks with the epochs since when they are the member's (KIP-1251).
fn put_held(out: &mut BytesMut, tasks: &Tasks, since: &Since) {
    put_items(out, tasks, |out, (subtopology, numbers)| {
        put_compact(out, subtopology.as_bytes());
        put_items(out, numbers, |out, number| out.put_i32(*number));
        let mut epochs = BytesMut::new();
        put_items(&mut epochs, numbers, |out, number| {
            out.put_i32(since.get(&(subtopology.clone(), *number)).copied().unwrap_or(-1));
        });
        put_varint(out, 1);
        put_varint(out, 0);
        put_varint(out, epochs.len() as u32);
        out.put_slice(&epochs);
    });
}

/// `epoch`: that of the member, where none is told.
fn get_held(bytes: &mut &[u8], epoch: i32, since: &mut Since) -> Option<Tasks> {
    get_items(bytes, |bytes| {
        let subtopology = get_string(bytes)?;
        let numbers: Vec<i32> = get_items(bytes, |bytes| bytes.try_get_i32().ok())?;
        let epochs: Vec<i32> = match get_tag(bytes)? {
            Some(mut epochs) => get_items(&mut epochs, |bytes| bytes.try_get_i32().ok())?,
            None => vec![],
        };
        for (place, number) in numbers.iter().enumerate() {
            let told = epochs.get(place).copied().filter(|told| *told >= 0);
            since.insert((subtopology.clone(), *number), told.unwrap_or(epoch));
        }
        Some((subtopology, numbers.into_iter().collect()))
    })
}

pub fn put_assignment(out: &mut BytesMut, assignment: &Assignment) {
    for tasks in [&assignment.active, &assignment.standby, &assignment.warmup] {
        put_tasks(out, tasks);
    }
}

fn get_assignment(bytes: &mut &[u8]) -> Option<Assignment> {
    Some(Assignment { active: get_tasks(bytes)?, standby: get_tasks(bytes)?, warmup: get_tasks(bytes)? })
}

pub fn put_tasks(out: &mut BytesMut, tasks: &Tasks) {
    put_items(out, tasks, |out, (subtopology, numbers)| {
        put_compact(out, subtopology.as_bytes());
        put_items(out, numbers, |out, number| out.put_i32(*number));
        put_no_tags(out);
    });
}

pub fn get_tasks(bytes: &mut &[u8]) -> Option<Tasks> {
    get_items(bytes, |bytes| {
        let subtopology = get_string(bytes)?;
        let numbers = get_items(bytes, |bytes| bytes.try_get_i32().ok())?;
        get_tag(bytes)?;
        Some((subtopology, numbers))
    })
}

pub fn put_items<T>(
    out: &mut BytesMut,
    items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    mut put: impl FnMut(&mut BytesMut, T),
) {
    let items = items.into_iter();
    put_varint(out, items.len() as u32 + 1);
    items.for_each(|item| put(out, item));
}

pub fn put_texts(out: &mut BytesMut, texts: &[String]) {
    put_items(out, texts, |out, text| put_compact(out, text.as_bytes()));
}

fn put_shorts(out: &mut BytesMut, numbers: &[i16]) {
    put_items(out, numbers, |out, number| out.put_i16(*number));
}

fn get_shorts(bytes: &mut &[u8]) -> Option<Vec<i16>> {
    get_items(bytes, |bytes| bytes.try_get_i16().ok())
}

pub fn put_pairs<'a>(out: &mut BytesMut, pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)>) {
    put_items(out, pairs, |out, (key, value)| {
        put_compact(out, key.as_bytes());
        put_compact(out, value.as_bytes());
        put_no_tags(out);
    });
}

pub fn get_pairs<C: FromIterator<(String, String)>>(bytes: &mut &[u8]) -> Option<C> {
    get_items(bytes, |bytes| {
        let pair = (get_string(bytes)?, get_string(bytes)?);
        get_tag(bytes)?;
        Some(pair)
    })
}
