//! One partition's queue inside librdkafka, read in batches.
//!
//! The safe client hands out one message a call, each in an event of its own; at a million records a second that is most
//! of the time spent. This file calls the batch function of the C library instead, and is the only one to do so.

use std::{
    collections::VecDeque,
    ffi::{CStr, CString, c_void},
    ptr::{self, NonNull},
    slice,
    sync::Arc,
    time::Duration,
};

use arrow_array::BinaryViewArray;
use arrow_buffer::{BooleanBufferBuilder, ScalarBuffer};
use base::{BoxError, Envelope, Header, Headers, Shared};
use bytes::Bytes;
use rdkafka::{
    bindings::{
        rd_kafka_consume_batch_queue, rd_kafka_header_get_all, rd_kafka_message_destroy,
        rd_kafka_message_headers, rd_kafka_message_s, rd_kafka_message_timestamp,
        rd_kafka_queue_cb_event_enable, rd_kafka_queue_destroy, rd_kafka_queue_forward,
        rd_kafka_queue_get_partition, rd_kafka_queue_s, rd_kafka_resp_err_t as Response, rd_kafka_s,
        rd_kafka_timestamp_type_t as TimestampType,
    },
    error::KafkaError,
};
use tokio::{sync::Notify, time::timeout};

use super::member::{Member, Partition};
use crate::column::Column;

/// Messages taken in one call: enough that the call costs nothing, few enough that the array is small.
const TAKE_MAX: usize = 1_024;
/// A wake-up that was missed costs at most this.
const WAKE_MS: u64 = 50;

pub(super) struct Queue {
    native: *mut rd_kafka_queue_s,
    /// librdkafka holds a pointer to it until the callback is taken off in `drop`.
    nonempty: Arc<Notify>,
    /// What the callback's pointer owns; freed after the callback is off.
    opaque: *const Notify,
    /// Taken from the library and not handed out yet: what lies behind an error, or is more than was asked for.
    ahead: VecDeque<Message>,
    /// Records of another size than the last ones make a call bring more or less than asked.
    record_bytes: usize,
    /// The client must outlive its queue.
    _member: Arc<Member>,
}

// SAFETY: librdkafka's queues and messages may be used from any thread, and `Queue` hands out no pointer.
#[expect(unsafe_code, reason = "the C library's queue is a raw pointer")]
unsafe impl Send for Queue {}

/// A message that librdkafka handed out, ours until it is dropped.
struct Message(NonNull<rd_kafka_message_s>);

/// What one read brought: records, or the error that comes before the next of them.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) values: Column,
    pub(super) keys: Column,
    pub(super) headers: Vec<Headers>,
    pub(super) timestamps_ms: Vec<i64>,
    pub(super) marks: Vec<i64>,
    pub(super) error: Option<KafkaError>,
}

impl Taken {
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.values.bytes() + self.keys.bytes()
    }

    /// The columns of a batch; a column that no record uses is left out.
    pub(super) fn into_columns(self) -> Result<(BinaryViewArray, Envelope), BoxError> {
        let tombstones = self.values.has_nulls().then(|| {
            let mut bits = BooleanBufferBuilder::new(self.values.len());
            for valid in self.values.valid() {
                bits.append(!valid);
            }
            bits.finish()
        });
        let has_headers = !self.headers.is_empty();
        let mut headers = self.headers;
        headers.resize(if has_headers { self.marks.len() } else { 0 }, Headers::new());
        let envelope = Envelope {
            keys: if self.keys.is_all_null() { None } else { Some(self.keys.finish()?) },
            headers: has_headers.then(|| Shared::from(headers)),
            timestamps_ms: Some(ScalarBuffer::from(self.timestamps_ms)),
            tombstones,
            marks: Some(ScalarBuffer::from(self.marks)),
            partitions: None,
            came_as: None,
        };
        Ok((self.values.finish()?, envelope))
    }
}

#[expect(unsafe_code, reason = "called by librdkafka from its own threads")]
unsafe extern "C" fn wake(_: *mut rd_kafka_s, opaque: *mut c_void) {
    // SAFETY: `opaque` is the `Notify` that the queue keeps alive until the callback is off.
    unsafe { (*(opaque as *const Notify)).notify_one() }
}

impl Queue {
    /// Takes the partition's messages out of the consumer's common queue. Call it before the partition is assigned:
    /// librdkafka then leaves the forwarding to us, and no message goes the other way.
    #[expect(unsafe_code, reason = "the safe client has no batch function")]
    pub(super) fn split(member: &Arc<Member>, partition: &Partition) -> Option<Self> {
        use rdkafka::consumer::Consumer;
        let topic = CString::new(&*partition.0).ok()?;
        let nonempty = Arc::new(Notify::new());
        let opaque = Arc::into_raw(nonempty.clone());
        // SAFETY: the client lives as long as `member`, which this queue owns a share of; `topic` outlives the call; the
        // queue is ours to destroy, and `opaque` stays alive until `drop` has taken the callback off.
        let native = unsafe {
            let client = member.consumer().client().native_ptr();
            let native = rd_kafka_queue_get_partition(client, topic.as_ptr(), partition.1);
            if native.is_null() {
                drop(Arc::from_raw(opaque));
                return None;
            }
            rd_kafka_queue_forward(native, ptr::null_mut());
            rd_kafka_queue_cb_event_enable(native, Some(wake), opaque as *mut c_void);
            native
        };
        Some(Self {
            native,
            nonempty,
            opaque,
            ahead: VecDeque::new(),
            record_bytes: 1_024,
            _member: member.clone(),
        })
    }

    /// What is there, at least one record if any comes within `wait`; records below `from` are passed over.
    pub(super) async fn take(
        &mut self,
        from: i64,
        bytes_max: usize,
        records_max: usize,
        wait: Duration,
    ) -> Taken {
        let until = tokio::time::Instant::now() + wait;
        loop {
            let taken = self.take_now(from, bytes_max, records_max);
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            if taken.len() > 0 || taken.error.is_some() || left.is_zero() {
                return taken;
            }
            timeout(left.min(Duration::from_millis(WAKE_MS)), self.nonempty.notified()).await.ok();
        }
    }

    /// Drops what was taken from the library: a seek makes it the wrong records.
    pub(super) fn forget(&mut self) {
        self.ahead.clear();
    }

    fn take_now(&mut self, from: i64, bytes_max: usize, records_max: usize) -> Taken {
        let mut taken = Taken::default();
        let mut may_be_more = true;
        while taken.len() < records_max && taken.bytes() < bytes_max {
            if self.ahead.is_empty() {
                let room = (bytes_max - taken.bytes()) / self.record_bytes.max(1) + 1;
                let ask = room.min(records_max - taken.len()).min(TAKE_MAX);
                if !may_be_more || !self.fetch(ask, &mut may_be_more) {
                    break;
                }
            }
            let before = (taken.len(), taken.bytes());
            let count = self.ahead.len().min(records_max - taken.len());
            taken.values.reserve(count, count * self.record_bytes.min(4_096));
            let goes_on = self.copy_ahead(from, bytes_max, records_max, &mut taken);
            if taken.len() > before.0 {
                self.record_bytes = ((taken.bytes() - before.1) / (taken.len() - before.0)).max(1);
            }
            if !goes_on {
                break;
            }
        }
        taken
    }

    /// Takes up to `ask` messages from the library without waiting; `false` when there was none.
    #[expect(unsafe_code, reason = "the safe client has no batch function")]
    fn fetch(&mut self, ask: usize, may_be_more: &mut bool) -> bool {
        let mut messages = [ptr::null_mut::<rd_kafka_message_s>(); TAKE_MAX];
        let ask = ask.min(TAKE_MAX);
        // SAFETY: `native` is a live queue, and the array has room for `ask` pointers.
        let count = unsafe { rd_kafka_consume_batch_queue(self.native, 0, messages.as_mut_ptr(), ask) };
        let count = usize::try_from(count).unwrap_or(0).min(ask);
        *may_be_more = count == ask;
        self.ahead.extend(messages[..count].iter().filter_map(|message| NonNull::new(*message)).map(Message));
        count > 0
    }

    /// Moves messages into `taken`, in their order. An error waits until the records before it have been handed out, and
    /// what lies behind it stays: the library does not bring it again. `false`: an error ends this read.
    fn copy_ahead(&mut self, from: i64, bytes_max: usize, records_max: usize, taken: &mut Taken) -> bool {
        while taken.len() < records_max && taken.bytes() < bytes_max {
            let Some(message) = self.ahead.front() else { return true };
            match message.error() {
                Some(_) if taken.len() > 0 => return false,
                Some(error) => taken.error = Some(error),
                None => message.copy(from, taken),
            }
            self.ahead.pop_front();
            if taken.error.is_some() {
                return false;
            }
        }
        true
    }
}

impl Message {
    #[expect(unsafe_code, reason = "reads the C library's message")]
    fn native(&self) -> &rd_kafka_message_s {
        // SAFETY: the library gave us the message, and it lives until `drop`.
        unsafe { self.0.as_ref() }
    }

    /// The error that the library put in place of a record. The end of the partition is none, nor a record.
    fn error(&self) -> Option<KafkaError> {
        let code = self.native().err;
        let is_error = code != Response::RD_KAFKA_RESP_ERR_NO_ERROR
            && code != Response::RD_KAFKA_RESP_ERR__PARTITION_EOF;
        is_error.then(|| KafkaError::MessageConsumption(code.into()))
    }

    #[expect(unsafe_code, reason = "reads the C library's message")]
    fn copy(&self, from: i64, taken: &mut Taken) {
        let message = self.native();
        if message.err != Response::RD_KAFKA_RESP_ERR_NO_ERROR || message.offset < from {
            return;
        }
        // SAFETY: the pointers and lengths belong to the live message; the slices are copied before it goes.
        unsafe {
            taken.values.push(bytes(message.payload, message.len));
            taken.keys.push(bytes(message.key, message.key_len));
            let mut kind = TimestampType::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            taken.timestamps_ms.push(rd_kafka_message_timestamp(message, &mut kind));
            let headers = headers(message);
            if !headers.is_empty() {
                taken.headers.resize(taken.marks.len(), Headers::new());
                taken.headers.push(headers);
            }
        }
        taken.marks.push(message.offset);
    }
}

impl Drop for Message {
    #[expect(unsafe_code, reason = "gives the C library's message back")]
    fn drop(&mut self) {
        // SAFETY: a `Message` is the only owner, so the message is destroyed once.
        unsafe { rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
/// `start` is null or points to `length` bytes that live as long as the slice is used.
#[expect(unsafe_code, reason = "reads the C library's message")]
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast::<u8>(), length) })
}

/// # Safety
/// `message` is a live one.
#[expect(unsafe_code, reason = "reads the C library's message")]
unsafe fn headers(message: &rd_kafka_message_s) -> Headers {
    let mut found = Headers::new();
    let mut list = ptr::null_mut();
    // SAFETY: `list` stays the message's; names are C strings and values lie in the message's memory.
    unsafe {
        if rd_kafka_message_headers(message, &mut list) != Response::RD_KAFKA_RESP_ERR_NO_ERROR {
            return found;
        }
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        while rd_kafka_header_get_all(list, found.len(), &mut name, &mut value, &mut length)
            == Response::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            let name = CStr::from_ptr(name).to_string_lossy();
            found.push(Header { name: name.into(), value: bytes(value, length).map(Bytes::copy_from_slice) });
        }
    }
    found
}

impl Drop for Queue {
    #[expect(unsafe_code, reason = "gives the C library's queue back")]
    fn drop(&mut self) {
        self.ahead.clear(); // before the client, which `_member` may be the last to own
        // SAFETY: librdkafka calls the callback under the lock that taking it off needs, so it is off before what it points
        // to goes; the queue is destroyed once, before its client.
        unsafe {
            rd_kafka_queue_cb_event_enable(self.native, None, ptr::null_mut());
            rd_kafka_queue_destroy(self.native);
            drop(Arc::from_raw(self.opaque));
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::{
        ClientConfig,
        bindings::rd_kafka_queue_length,
        consumer::Consumer,
        mocking::MockCluster,
        producer::{BaseProducer, BaseRecord, Producer},
        types::{RDKafkaApiKey, RDKafkaErrorCode},
    };

    use super::*;
    use crate::kafka::{SourceConfig, Topics};

    const RECORDS_COUNT: i64 = 20;

    /// The queue of a partition whose first fetch is refused, with an error and then all records in it.
    #[expect(unsafe_code, reason = "asks the library how many messages wait")]
    fn queue(cluster: &MockCluster<'static, rdkafka::producer::DefaultProducerContext>) -> Queue {
        cluster.create_topic("a", 1, 1).expect("a topic");
        let bootstrap = cluster.bootstrap_servers();
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &bootstrap).create().expect("a client");
        for number in 0..RECORDS_COUNT {
            producer.send(BaseRecord::to("a").key("k").payload(&number.to_string())).expect("sends");
        }
        producer.flush(Duration::from_secs(10)).expect("flushes");
        cluster
            .request_errors(RDKafkaApiKey::Fetch, &[Response::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
        let topics = Topics::List(vec!["a".to_owned()]);
        let member = Arc::new(Member::join(SourceConfig::new(&bootstrap, "g", topics)).expect("joins"));
        let partition: Partition = ("a".into(), 0);
        let queue = Queue::split(&member, &partition).expect("a queue");
        let mut begin = rdkafka::TopicPartitionList::new();
        begin.add_partition_offset("a", 0, rdkafka::Offset::Beginning).expect("a list");
        member.consumer().assign(&begin).expect("assigns");
        let until = std::time::Instant::now() + Duration::from_secs(20);
        // SAFETY: the queue is a live one.
        while unsafe { rd_kafka_queue_length(queue.native) } <= RECORDS_COUNT as usize {
            assert!(std::time::Instant::now() < until, "the error and the records come");
            member.consumer().poll(Duration::from_millis(10));
        }
        queue
    }

    #[tokio::test]
    async fn what_lies_behind_an_error_is_not_lost() {
        let cluster = MockCluster::new(1).expect("a cluster");
        let mut queue = queue(&cluster);
        let wait = Duration::from_secs(1);
        let first = queue.take(0, 1 << 20, 1_000, wait).await;
        let code = first.error.expect("an error").rdkafka_error_code();
        assert_eq!((first.marks.len(), code), (0, Some(RDKafkaErrorCode::TopicAuthorizationFailed)));
        let few = queue.take(0, 1 << 20, 3, wait).await;
        assert_eq!((few.marks, few.error.is_none()), (vec![0, 1, 2], true));
        let rest = queue.take(3, 1 << 20, 1_000, wait).await;
        assert_eq!(rest.marks, (3..RECORDS_COUNT).collect::<Vec<_>>());
        assert!(queue.take(RECORDS_COUNT, 1 << 20, 1_000, Duration::ZERO).await.error.is_none());
    }

    #[tokio::test]
    async fn a_queue_goes_with_messages_in_it() {
        let cluster = MockCluster::new(1).expect("a cluster");
        let mut queue = queue(&cluster);
        queue.take(0, 1 << 20, 1_000, Duration::ZERO).await;
        assert_eq!(queue.take(0, 1, 1_000, Duration::ZERO).await.marks, [0]);
        drop(queue);
    }
}
