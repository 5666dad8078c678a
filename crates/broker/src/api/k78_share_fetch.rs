//! ShareFetch (key 78), versions 1-2 (KIP-932): takes what a member says of records it has, and gives it more.
//! v0 was Kafka 4.0's early access; v2 as many records as wanted and no more (KIP-1206), and more time for those it has (KIP-1222).
//!
//! It waits until there are `min_bytes` to give, `max_wait_ms` has passed, or a partition has an error to tell; so does the answer to what
//! the member has said. Records go out in whole batches; which of them the member has now is said beside, and they are its own until
//! their lock's time is over.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kafka_protocol::{
    ResponseError,
    messages::{
        ShareFetchRequest, ShareFetchResponse,
        share_fetch_request::AcknowledgementBatch,
        share_fetch_response::{AcquiredRecords, PartitionData, ShareFetchableTopicResponse},
    },
    protocol::Request,
};
use tokio::{sync::Notify, time::Instant};

use super::{
    Call, Caller, Frame, Handler, Reply, Step,
    handmade::{self, SHARE_KNOWN},
    shapes,
};
use crate::{
    broker::Broker,
    groups::{configs::Reset, consumer::member_id, group::MemberId},
    log::Log,
    quotas::Limit,
    security::{access::Resource, acl::Operation},
    shares::{
        SharePartition, Written,
        reading::{Got, Manner, Room},
        records::Key,
        sessions::{Asked, FINAL_EPOCH, INITIAL_EPOCH, Place},
        window::{Refused, Verdict, Verdicts},
        written,
    },
};

/// No client is made to wait longer than this, whatever it asks.
const WAIT_MS_MAX: i32 = 60_000;
pub const HANDLER: Handler = Handler {
    key: ShareFetchRequest::KEY,
    name: "ShareFetch",
    versions: 1..=2,
    shape: &shapes::SHARE_FETCH,
    pipelined: false,
    call: |broker, Call { caller, body }| {
        Box::pin(async move {
            let (request, strict, renews) = handmade::share_fetch(body, caller.version)?;
            let reply = Reply { version: caller.version, correlation_id: caller.correlation_id };
            let (response, throttle_ms) = act(broker, request, strict, renews, caller).await;
            // As the codec knows it: v2 has the same answer.
            let frame = reply.encode_in(&response, SHARE_KNOWN)?;
            Ok(Step::answer(Frame { throttle_ms, ..frame }))
        })
    },
    notes: "`batch_size` is not needed",
};

type Outcomes<T> = BTreeMap<Place, Result<T, ResponseError>>;

async fn act(
    broker: Arc<Broker>,
    request: ShareFetchRequest,
    strict: bool,
    renews: bool,
    caller: Caller,
) -> (ShareFetchResponse, u32) {
    let group = request.group_id.as_ref().map(|id| id.to_string()).unwrap_or_default();
    let member = member_id(request.member_id.as_deref().unwrap_or_default());
    let refused = |error: ResponseError| (ShareFetchResponse::default().with_error_code(error.code()), 0);
    if let Err(error) = may(&broker, &caller, &group, &member) {
        return refused(error);
    }
    let mut said = Said::new();
    let mut added = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let place = (topic.topic_id, partition.partition_index);
            added.push(place);
            if !partition.acknowledgement_batches.is_empty() {
                said.insert(place, verdicts(&partition.acknowledgement_batches, renews));
            }
        }
    }
    let forgotten: Vec<Place> = request
        .forgotten_topics_data
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|number| (topic.topic_id, *number)))
        .collect();
    let epoch = request.share_session_epoch;
    let asked = Asked { epoch, added: &added, forgotten: &forgotten };
    let sessions = &broker.shares.sessions;
    let begun = match epoch {
        INITIAL_EPOCH if !said.is_empty() => Err(ResponseError::InvalidRequest),
        FINAL_EPOCH => sessions.end(&group, &member).map(|()| vec![]),
        _ => sessions.fetch(&group, &member, &caller.peer, &asked),
    };
    let places = match begun {
        Ok(_) if renews => vec![], // as in Kafka it reads nothing then
        Ok(places) => places,
        Err(error) => return refused(error),
    };
    let acknowledged = acknowledge(&broker, &caller, (&group, &member), said).await;
    let manner = broker.groups.manner(&group);
    let (mut read, mut throttle_ms) = (Outcomes::new(), 0);
    if epoch == FINAL_EPOCH {
        leave(&broker, &group, &member).await;
    } else {
        let fetch = Fetch { broker: &broker, caller: &caller, group: &group, member: &member, manner };
        (read, throttle_ms) = fetch.wait(&request, strict, &places).await;
    }
    let response = respond(epoch == INITIAL_EPOCH, read, acknowledged)
        .with_acquisition_lock_timeout_ms(i32::try_from(manner.limits.lock_ms).unwrap_or(i32::MAX))
        .with_throttle_time_ms(throttle_ms as i32);
    (response, throttle_ms)
}

/// Whether the caller may read in the group's name, and it is one that shares.
pub fn may(broker: &Broker, caller: &Caller, group: &str, member: &str) -> Result<(), ResponseError> {
    broker.check(caller, Operation::Read, Resource::Group(group))?;
    if member.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    if broker.groups.is_share(group) { Ok(()) } else { Err(ResponseError::GroupIdNotFound) }
}

/// What a member says of records, by partition.
pub type Said = Outcomes<Vec<Verdicts>>;

/// What the batches say; they have to follow each other.
fn verdicts(batches: &[AcknowledgementBatch], renews: bool) -> Result<Vec<Verdicts>, ResponseError> {
    let each = batches.iter().map(|batch| (batch.first_offset, batch.last_offset, &*batch.acknowledge_types));
    said_of(each, renews)
}

pub fn said_of<'a>(
    batches: impl Iterator<Item = (i64, i64, &'a [i8])>,
    renews: bool,
) -> Result<Vec<Verdicts>, ResponseError> {
    let mut all: Vec<Verdicts> = Vec::new();
    for (first, last, types) in batches {
        let follows = all.last().is_none_or(|before| before.last < first);
        let count = last.checked_sub(first).map(|more| more as usize);
        let fits = types.len() == 1 || count.is_some_and(|more| more.checked_add(1) == Some(types.len()));
        if first < 0 || last < first || last == i64::MAX || !follows || !fits {
            return Err(ResponseError::InvalidRequest);
        }
        let verdict = |id: &i8| Verdict::of(*id).filter(|verdict| renews || *verdict != Verdict::Renew);
        let each: Option<Vec<Verdict>> = types.iter().map(verdict).collect();
        all.push(Verdicts { first, last, each: each.ok_or(ResponseError::InvalidRequest)? });
    }
    Ok(all)
}

/// Takes what a member says; told when it is in the log.
pub async fn acknowledge(
    broker: &Broker,
    caller: &Caller,
    (group, member): (&str, &str),
    said: Said,
) -> Outcomes<()> {
    let Manner { limits, renews, .. } = broker.groups.manner(group);
    let take = |place: Place, said: Result<Vec<Verdicts>, ResponseError>| -> Result<Written, ResponseError> {
        readable(broker, caller, place)?;
        let said = said?;
        if !renews && said.iter().any(|batch| batch.each.contains(&Verdict::Renew)) {
            return Err(ResponseError::InvalidRecordState);
        }
        let key = Key { group: group.into(), topic: place.0, partition: place.1 };
        let partition = broker.shares.find(&key).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let (taken, wrote) = broker
            .shares
            .change(&partition, |window, now_ms| window.acknowledge(member, &said, now_ms, &limits))?;
        taken.map(|()| wrote).map_err(|refused| match refused {
            Refused::Unknown => ResponseError::InvalidRequest,
            Refused::NotHeld => ResponseError::InvalidRecordState,
        })
    };
    let taken: Vec<_> = said.into_iter().map(|(place, said)| (place, take(place, said))).collect();
    let mut outcomes = Outcomes::new();
    for (place, wrote) in taken {
        let outcome = match wrote {
            Ok(wrote) => written(wrote).await,
            Err(error) => Err(error),
        };
        outcomes.insert(place, outcome);
    }
    outcomes
}

/// The member's session is over: others may have what it holds.
pub async fn leave(broker: &Broker, group: &str, member: &str) {
    let limits = broker.groups.manner(group).limits;
    for wrote in broker.shares.release(group, member, &limits) {
        written(wrote).await.ok(); // it is free in any case
    }
}

/// The partition's log, where the caller may read it.
fn readable(broker: &Broker, caller: &Caller, (topic, number): Place) -> Result<Arc<Log>, ResponseError> {
    let topic = broker.topics.by_id(topic).ok_or(ResponseError::UnknownTopicId)?;
    broker.check(caller, Operation::Read, Resource::Topic(&topic.name))?;
    topic.partition(number).cloned()
}

struct Fetch<'a> {
    broker: &'a Arc<Broker>,
    caller: &'a Caller,
    group: &'a str,
    member: &'a MemberId,
    manner: Manner,
}

/// A partition to read, or why not.
type Source = Result<(Arc<SharePartition>, Arc<Log>), ResponseError>;

impl Fetch<'_> {
    /// What there is in the end, and how long the connection is not read from after it.
    async fn wait(
        &self,
        request: &ShareFetchRequest,
        strict: bool,
        places: &[Place],
    ) -> (Outcomes<Got>, u32) {
        let broker = self.broker;
        let bytes_max = (request.max_bytes.max(0) as usize).min(broker.options.fetch_bytes_max as usize);
        let room = Room { bytes: bytes_max, records: i64::from(request.max_records.max(1)), strict };
        let least = (request.min_bytes.max(0) as usize).min(bytes_max);
        let wait_ms = request.max_wait_ms.clamp(0, WAIT_MS_MAX) as u64;
        let deadline = Instant::now() + Duration::from_millis(wait_ms);
        let woken = Arc::new(Notify::new());
        let mut sources = BTreeMap::new();
        for place in places {
            sources.insert(*place, self.source(*place).await);
        }
        let outcomes = loop {
            let waits = Instant::now() < deadline && least > 0 && !broker.stop.is_cancelled();
            let mut next_expiry_ms = i64::MAX;
            for (partition, log) in sources.values().flatten() {
                log.wake_on_append(&woken);
                partition.wake_on_free(&woken);
            }
            if !waits || self.has(least, &sources).await {
                let (outcomes, has_news) = self.read_all(places, &sources, room).await;
                if !waits || has_news {
                    break outcomes;
                }
            }
            for (partition, _) in sources.values().flatten() {
                next_expiry_ms = next_expiry_ms.min(partition.next_expiry_ms().unwrap_or(i64::MAX));
            }
            let expires_in = next_expiry_ms.saturating_sub(broker.steady_ms()).clamp(1, WAIT_MS_MAX.into());
            let expiry = Instant::now() + Duration::from_millis(expires_in as u64);
            tokio::select! {
                () = woken.notified() => {}
                () = tokio::time::sleep_until(deadline.min(expiry)) => {}
                () = broker.stop.cancelled() => {}
            }
        };
        let bytes: usize = outcomes.values().flatten().map(|got: &Got| got.records.len()).sum();
        let (principal, client) = (self.caller.peer.principal(), &self.caller.client_id);
        let throttle_ms = match bytes > 0 && broker.quotas.limits(Limit::Fetched) {
            true => broker.quotas.record(Limit::Fetched, &principal, client, bytes as f64),
            false => 0,
        };
        (outcomes, throttle_ms)
    }

    /// Whether there is so much to give, or an error to tell.
    async fn has(&self, least: usize, sources: &BTreeMap<Place, Source>) -> bool {
        if least <= 1 {
            return true; // whatever there is
        }
        let mut bytes: usize = 0;
        for source in sources.values() {
            let Ok((partition, log)) = source else { return true };
            match self.broker.shares.ready(partition, log, &self.manner, least).await {
                Ok(more) => bytes = bytes.saturating_add(more),
                Err(_) => return true,
            }
            if bytes >= least {
                return true;
            }
        }
        false
    }

    /// Each partition once; whether there is something to tell.
    async fn read_all(
        &self,
        places: &[Place],
        sources: &BTreeMap<Place, Source>,
        mut room: Room,
    ) -> (Outcomes<Got>, bool) {
        let (mut outcomes, mut has_news) = (Outcomes::new(), false);
        for place in places {
            let outcome = match &sources[place] {
                Err(error) => Err(*error),
                Ok(_) if room.records <= 0 || room.bytes == 0 => Ok(Got::default()),
                Ok((partition, log)) => {
                    self.broker.shares.read(partition, log, self.member, &self.manner, room).await
                }
            };
            if let Ok(got) = &outcome {
                room.bytes = room.bytes.saturating_sub(got.records.len());
                room.records -= got.acquired.iter().map(|one| one.last - one.first + 1).sum::<i64>();
            }
            has_news |= outcome.as_ref().is_ok_and(|got| !got.acquired.is_empty()) || outcome.is_err();
            outcomes.insert(*place, outcome);
        }
        (outcomes, has_news)
    }

    /// The partition, which the group begins with where nobody has read it for the group.
    async fn source(&self, place: Place) -> Source {
        let broker = self.broker;
        let log = readable(broker, self.caller, place)?;
        let key = Key { group: self.group.into(), topic: place.0, partition: place.1 };
        let partition = match broker.shares.find(&key) {
            Some(partition) => partition,
            None => broker.shares.begin(key, self.start(&log).await?).await?,
        };
        Ok((partition, log))
    }

    async fn start(&self, log: &Arc<Log>) -> Result<i64, ResponseError> {
        let broker = self.broker;
        match broker.groups.configs.reset(self.group, &broker.options) {
            Reset::Earliest => Ok(log.start_offset()),
            Reset::Latest => Ok(log.high_watermark()),
            Reset::Within(ms) => {
                let (log, since_ms) = (log.clone(), broker.now_ms().saturating_sub(ms).max(0));
                let found = broker.blocking(move |_| {
                    let found = log.offset_for_time(since_ms)?;
                    Ok::<_, crate::log::LogError>(found.map_or(log.high_watermark(), |found| found.offset))
                });
                found.await.map_err(|error| error.answer())
            }
        }
    }
}

/// All partitions at first, then those that there is something to say of.
fn respond(is_whole: bool, mut read: Outcomes<Got>, acknowledged: Outcomes<()>) -> ShareFetchResponse {
    let mut response = ShareFetchResponse::default();
    let none = |place: &Place| (*place, Ok(Got::default()));
    let unread: Vec<_> = acknowledged.keys().filter(|place| !read.contains_key(*place)).map(none).collect();
    read.extend(unread);
    for ((topic, number), got) in read {
        let said = acknowledged.get(&(topic, number));
        if !is_whole && said.is_none() && got.as_ref().is_ok_and(|got| got.acquired.is_empty()) {
            continue;
        }
        let data = PartitionData::default().with_partition_index(number).with_error_message(None);
        let data = match got {
            Ok(got) => data
                .with_records(Some(got.records))
                .with_acquired_records(got.acquired.into_iter().map(shown).collect()),
            Err(error) => data.with_error_code(error.code()),
        };
        let data = match said {
            Some(Err(error)) => data.with_acknowledge_error_code(error.code()),
            Some(Ok(())) | None => data,
        };
        if response.responses.last().is_none_or(|last| last.topic_id != topic) {
            response.responses.push(ShareFetchableTopicResponse::default().with_topic_id(topic));
        }
        if let Some(last) = response.responses.last_mut() {
            last.partitions.push(data);
        }
    }
    response
}

fn shown(acquired: crate::shares::window::Acquired) -> AcquiredRecords {
    AcquiredRecords::default()
        .with_first_offset(acquired.first)
        .with_last_offset(acquired.last)
        .with_delivery_count(acquired.deliveries)
}
