//! One consumer instance: a librdkafka consumer, what it subscribes to or was assigned, and what was read and not committed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedMessage,
};
use tokio_util::sync::CancellationToken;

use super::Config;
use crate::{Error, Options, formats::Format, produce::client_error};

/// How long a broker has for an offset.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A partition that was only just given takes a moment until it can be moved in.
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);

/// A topic and a partition of it.
pub(crate) type Place = (String, i32);

pub(crate) struct Instance {
    pub format: Format,
    pub(super) config: Config,
    pub(super) bytes_max: usize,
    /// Ends what is being read.
    pub(super) closing: CancellationToken,
    pub(super) state: tokio::sync::Mutex<State>,
    consumer: Mutex<Option<Arc<StreamConsumer>>>,
    touched: Mutex<Instant>,
}

#[derive(Default)]
pub(super) struct State {
    pub mode: Mode,
    /// Fetched, and not given out yet.
    pub held: VecDeque<OwnedMessage>,
    /// The next offsets of what was given out or moved to, until they are committed.
    pub read: BTreeMap<Place, i64>,
}

#[derive(Default, Clone, PartialEq)]
pub(super) enum Mode {
    #[default]
    None,
    Topics(Vec<String>),
    Pattern(String),
    Assigned(Vec<Place>),
}

/// Where to go on reading.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum To {
    Beginning,
    End,
    Offset(i64),
}

/// An offset with what was said to it.
pub(crate) struct Committed {
    pub place: Place,
    pub offset: i64,
    pub metadata: String,
}

impl Instance {
    pub fn new(
        options: &Options,
        group: &str,
        config: Config,
        closing: &CancellationToken,
    ) -> Result<Self, Error> {
        let consumer: Result<StreamConsumer, KafkaError> = config.client(options, group).create();
        let consumer = consumer.map_err(|error| Error::ConsumerConfig { reason: error.to_string() })?;
        Ok(Self {
            format: config.format,
            config,
            bytes_max: options.consumer_request_bytes_max,
            closing: closing.child_token(),
            state: tokio::sync::Mutex::default(),
            consumer: Mutex::new(Some(Arc::new(consumer))),
            touched: Mutex::new(Instant::now()),
        })
    }

    pub fn touch(&self) {
        *self.touched.lock() = Instant::now();
    }

    pub fn touched(&self) -> Instant {
        *self.touched.lock()
    }

    /// Whether a request is being answered.
    pub fn is_busy(&self) -> bool {
        self.state.try_lock().is_err()
    }

    pub(super) fn consumer(&self) -> Result<Arc<StreamConsumer>, Error> {
        self.consumer.lock().clone().ok_or(Error::InstanceNotFound)
    }

    /// Leaves the group; what is being read now ends first, and nothing is read after.
    pub async fn close(&self, patience: Duration) {
        self.closing.cancel();
        let _ended = tokio::time::timeout(patience, self.state.lock()).await;
        let Some(consumer) = self.consumer.lock().take() else { return };
        let (done, closed) = tokio::sync::oneshot::channel::<()>();
        // Closing waits for brokers, and a runtime that ends would wait for it: a thread of its own it is.
        std::thread::spawn(move || {
            drop(consumer);
            drop(done);
        });
        let _ = tokio::time::timeout(patience, closed).await;
    }

    /// Runs what waits for brokers where waiting is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&StreamConsumer) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, Error> {
        let consumer = self.consumer()?;
        let done = tokio::task::spawn_blocking(move || work(&consumer)).await;
        let done = done.map_err(|error| Error::Client { reason: error.to_string(), retriable: false })?;
        done.map_err(|error| client_error(&error))
    }

    pub async fn subscribe(&self, topics: Vec<String>, pattern: Option<String>) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let mode = match &pattern {
            Some(pattern) => Mode::Pattern(pattern.clone()),
            None if topics.is_empty() => return self.left(&mut state),
            None => Mode::Topics(topics.clone()),
        };
        let is_same = matches!(
            (&state.mode, &mode),
            (Mode::None, _) | (Mode::Topics(_), Mode::Topics(_)) | (Mode::Pattern(_), Mode::Pattern(_))
        );
        if !is_same {
            return Err(exclusive());
        }
        let consumer = self.consumer()?;
        let subscribed = match &pattern {
            // librdkafka knows a pattern by its first letter; Java's has to match the whole name.
            Some(pattern) => consumer.subscribe(&[&format!("^({pattern})$")]),
            None => consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>()),
        };
        subscribed.map_err(|error| client_error(&error))?;
        state.mode = mode;
        Ok(())
    }

    /// The topics, or the pattern, that it subscribes to.
    pub async fn subscription(&self) -> (Vec<String>, Option<String>) {
        match &self.state.lock().await.mode {
            Mode::Topics(topics) => (topics.clone(), None),
            Mode::Pattern(pattern) => (Vec::new(), Some(pattern.clone())),
            Mode::None | Mode::Assigned(_) => (Vec::new(), None),
        }
    }

    pub async fn unsubscribe(&self) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        self.left(&mut state)
    }

    fn left(&self, state: &mut State) -> Result<(), Error> {
        let consumer = self.consumer()?;
        match state.mode {
            Mode::Assigned(_) => consumer.unassign().map_err(|error| client_error(&error))?,
            Mode::Topics(_) | Mode::Pattern(_) => consumer.unsubscribe(),
            Mode::None => {}
        }
        *state = State::default();
        Ok(())
    }

    pub async fn assign(&self, places: Vec<Place>) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        if !matches!(state.mode, Mode::None | Mode::Assigned(_)) {
            return Err(exclusive());
        }
        state.read.retain(|place, _| places.contains(place));
        state.held.clear();
        self.assign_at(&places, &state.read)?;
        state.mode = Mode::Assigned(places);
        Ok(())
    }

    /// Assigns, each where it is read on; one that was not read begins where its group has committed.
    fn assign_at(&self, places: &[Place], offsets: &BTreeMap<Place, i64>) -> Result<(), Error> {
        let mut list = TopicPartitionList::new();
        for place in places {
            let offset = offsets.get(place).map_or(Offset::Invalid, |offset| Offset::Offset(*offset));
            list.add_partition_offset(&place.0, place.1, offset).map_err(|error| client_error(&error))?;
        }
        self.consumer()?.assign(&list).map_err(|error| client_error(&error))
    }

    pub async fn assignments(&self) -> Result<Vec<Place>, Error> {
        let state = self.state.lock().await;
        match &state.mode {
            Mode::None => Ok(Vec::new()),
            Mode::Assigned(places) => Ok(places.clone()),
            Mode::Topics(_) | Mode::Pattern(_) => self.assigned(),
        }
    }

    fn assigned(&self) -> Result<Vec<Place>, Error> {
        let list = self.consumer()?.assignment().map_err(|error| client_error(&error))?;
        let mut places: Vec<Place> =
            list.elements().iter().map(|one| (one.topic().to_owned(), one.partition())).collect();
        places.sort();
        Ok(places)
    }

    /// Goes on reading elsewhere; only in partitions that it has.
    pub async fn seek(&self, wanted: Vec<(Place, To)>) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let has = match &state.mode {
            Mode::None => Vec::new(),
            Mode::Assigned(places) => places.clone(),
            Mode::Topics(_) | Mode::Pattern(_) => self.assigned()?,
        };
        if let Some(((topic, partition), _)) = wanted.iter().find(|(place, _)| !has.contains(place)) {
            let reason = format!("No current assignment for partition {topic}-{partition}");
            return Err(Error::IllegalState { reason });
        }
        let offsets = self.blocking(move |consumer| {
            let mut offsets = BTreeMap::new();
            for (place, to) in wanted {
                let offset = match to {
                    To::Offset(offset) => offset,
                    To::Beginning => consumer.fetch_watermarks(&place.0, place.1, ANSWER_TIMEOUT)?.0,
                    To::End => consumer.fetch_watermarks(&place.0, place.1, ANSWER_TIMEOUT)?.1,
                };
                offsets.insert(place, offset);
            }
            Ok(offsets)
        });
        let offsets = offsets.await?;
        // What was fetched before is of no use in what is moved, and in the order of the others.
        if let Mode::Assigned(places) = &state.mode {
            let mut read = state.read.clone();
            for message in &state.held {
                let place = place_of(message);
                read.entry(place).or_insert(rdkafka::Message::offset(message));
            }
            read.extend(offsets.clone());
            self.assign_at(places, &read)?;
            state.held.clear();
        } else {
            let moved = offsets.clone();
            self.blocking(move |consumer| seek_all(consumer, &moved)).await?;
            state.held.retain(|message| !offsets.contains_key(&place_of(message)));
        }
        state.read.extend(offsets);
        Ok(())
    }

    /// Commits what was given out, or the offsets after those given.
    pub async fn commit(&self, given: Option<Vec<Committed>>, waits: bool) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let mut list = TopicPartitionList::new();
        let all = given.is_none();
        match given {
            None => {
                for ((topic, partition), offset) in &state.read {
                    list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                        .map_err(|error| client_error(&error))?;
                }
            }
            Some(given) => {
                for Committed { place: (topic, partition), offset, metadata } in given {
                    let mut element = list.add_partition(&topic, partition);
                    let set = element.set_offset(Offset::Offset(offset.saturating_add(1)));
                    set.map_err(|error| client_error(&error))?;
                    element.set_metadata(metadata);
                }
            }
        }
        if list.count() == 0 {
            return Ok(());
        }
        let mode = if waits { CommitMode::Sync } else { CommitMode::Async };
        self.blocking(move |consumer| consumer.commit(&list, mode)).await?;
        if all {
            state.read.clear();
        }
        Ok(())
    }

    /// What the group has committed in these partitions.
    pub async fn committed(&self, places: Vec<Place>) -> Result<Vec<Committed>, Error> {
        let found = self.blocking(move |consumer| {
            let mut list = TopicPartitionList::new();
            for (topic, partition) in &places {
                list.add_partition(topic, *partition);
            }
            consumer.committed_offsets(list, ANSWER_TIMEOUT)
        });
        let found = found.await?;
        let committed = found.elements().into_iter().filter_map(|element| {
            let Offset::Offset(offset) = element.offset() else { return None };
            let place = (element.topic().to_owned(), element.partition());
            Some(Committed { place, offset, metadata: element.metadata().to_owned() })
        });
        Ok(committed.collect())
    }
}

fn exclusive() -> Error {
    let reason = "Subscription to topics, partitions and pattern are mutually exclusive".to_owned();
    Error::IllegalState { reason }
}

pub(super) fn place_of(message: &OwnedMessage) -> Place {
    use rdkafka::Message;
    (message.topic().to_owned(), message.partition())
}

fn seek_all(consumer: &StreamConsumer, offsets: &BTreeMap<Place, i64>) -> Result<(), KafkaError> {
    let began = Instant::now();
    loop {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
        }
        let moved = consumer.seek_partitions(list, SEEK_TIMEOUT);
        let failed = match moved {
            Ok(list) => list.elements().into_iter().find_map(|element| element.error().err()),
            Err(error) => Some(error),
        };
        match failed {
            None => return Ok(()),
            Some(error)
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::State)
                    && began.elapsed() < SEEK_TIMEOUT =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            Some(error) => return Err(error),
        }
    }
}
