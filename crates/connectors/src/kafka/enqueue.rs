//! Records into librdkafka's queue, many in one call.
//!
//! The safe client takes one record a call and looks the topic up by its name for each. This file calls the batch function of the
//! C library instead, as `queue.rs` does for reading. Records with headers or a timestamp do not fit it: `sink.rs` sends those.

use std::{ffi::CString, marker::PhantomData, ptr};

use rdkafka::{
    bindings::{
        RD_KAFKA_MSG_F_COPY, rd_kafka_message_s, rd_kafka_produce_batch, rd_kafka_resp_err_t as Response,
        rd_kafka_topic_destroy, rd_kafka_topic_new, rd_kafka_topic_s,
    },
    error::{IsError, KafkaError},
    producer::{BaseProducer, Producer, ProducerContext},
    types::RDKafkaErrorCode as Kafka,
};

/// `RD_KAFKA_PARTITION_UA` of rdkafka.h: wherever the key says.
const ANY_PARTITION: i32 = -1;
/// Records in one call: enough that the call costs nothing, few enough that what describes them stays in the cache.
const RUN_RECORDS_MAX: usize = 512;

/// A topic of one producer, found once. It goes before its producer does.
pub(super) struct Topic(ptr::NonNull<rd_kafka_topic_s>);

// SAFETY: librdkafka's topics may be used from any thread, and `Topic` hands out no pointer.
#[expect(unsafe_code, reason = "the C library's topic is a raw pointer")]
unsafe impl Send for Topic {}
// SAFETY: as above; the library has locks of its own.
#[expect(unsafe_code, reason = "the C library's topic is a raw pointer")]
unsafe impl Sync for Topic {}

impl Topic {
    #[expect(unsafe_code, reason = "the safe client keeps its topics to itself")]
    pub(super) fn find<C: ProducerContext>(
        producer: &BaseProducer<C>,
        name: &str,
    ) -> Result<Self, KafkaError> {
        let refused = || KafkaError::MessageProduction(Kafka::InvalidTopic);
        let name = CString::new(name).map_err(|_| refused())?;
        // SAFETY: the producer is alive, the name outlives the call, and no configuration is given away.
        let native =
            unsafe { rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut()) };
        ptr::NonNull::new(native).map(Self).ok_or_else(refused)
    }
}

impl Drop for Topic {
    #[expect(unsafe_code, reason = "gives the C library's topic back")]
    fn drop(&mut self) {
        // SAFETY: this is the only owner of what `find` was given.
        unsafe { rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

/// Rows that follow each other in a batch and go to one partition, or each where its key says.
pub(super) struct Run<'a> {
    topic: &'a Topic,
    partition: Option<i32>,
    /// The row of the first.
    start: usize,
    messages: Vec<rd_kafka_message_s>,
    /// The messages point into keys and values of the batch.
    _batch: PhantomData<&'a [u8]>,
}

impl<'a> Run<'a> {
    pub(super) fn new(topic: &'a Topic) -> Self {
        let messages = Vec::with_capacity(RUN_RECORDS_MAX);
        Self { topic, partition: None, start: 0, messages, _batch: PhantomData }
    }

    pub(super) fn takes(&self, partition: Option<i32>) -> bool {
        self.messages.is_empty() || (self.partition == partition && self.messages.len() < RUN_RECORDS_MAX)
    }

    /// The row after the last one; only after `takes` said so.
    pub(super) fn push(
        &mut self,
        row: usize,
        partition: Option<i32>,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    ) {
        if self.messages.is_empty() {
            (self.start, self.partition) = (row, partition);
        }
        let part = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => (bytes.as_ptr().cast_mut().cast(), bytes.len()),
            None => (ptr::null_mut(), 0),
        };
        let ((key, key_len), (payload, len)) = (part(key), part(value));
        self.messages.push(rd_kafka_message_s {
            err: Response::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition: ANY_PARTITION,
            payload,
            len,
            key,
            key_len,
            offset: 0,
            _private: ptr::null_mut(),
        });
    }

    /// Copies the records into the client's queue, in their order, and does not wait: behind one that finds no room none is taken,
    /// and they stay in the run. `refused`: the rows that the client does not take at all. Gives whether the run is empty.
    #[expect(unsafe_code, reason = "the safe client has no batch function")]
    pub(super) fn offer(&mut self, refused: &mut Vec<(usize, Kafka)>) -> bool {
        if self.messages.is_empty() {
            return true;
        }
        let count = i32::try_from(self.messages.len()).expect("a run has few records");
        // SAFETY: the topic is alive; keys and values are borrowed for `'a`, and the call copies them.
        unsafe {
            rd_kafka_produce_batch(
                self.topic.0.as_ptr(),
                self.partition.unwrap_or(ANY_PARTITION),
                RD_KAFKA_MSG_F_COPY,
                self.messages.as_mut_ptr(),
                count,
            )
        };
        let is_full = |message: &rd_kafka_message_s| message.err == Response::RD_KAFKA_RESP_ERR__QUEUE_FULL;
        let done = self.messages.iter().position(is_full).unwrap_or(self.messages.len());
        for (row, message) in (self.start..).zip(self.messages.drain(..done)) {
            if message.err.is_error() {
                refused.push((row, message.err.into()));
            }
        }
        self.start += done;
        self.messages.is_empty()
    }
}
