//! Records into librdkafka's queue, many in one call, and out of it at once.
//!
//! The safe client takes one record a call: it copies the topic's name, finds the topic by it under a lock of all topics, looks at
//! the clock three times and locks the partition, for each. This file calls the batch function of the C library instead, with
//! records of one partition, as `queue.rs` does for reading. Records with headers or a time do not fit it: `sink.rs` sends those.

use std::{ffi::CString, marker::PhantomData, ptr, time::Duration};

use rdkafka::{
    bindings::{
        RD_KAFKA_MSG_F_COPY, rd_kafka_flush, rd_kafka_message_s, rd_kafka_produce_batch,
        rd_kafka_resp_err_t as Response, rd_kafka_topic_destroy, rd_kafka_topic_new, rd_kafka_topic_s,
    },
    error::{IsError, KafkaError},
    producer::{BaseProducer, Producer, ProducerContext},
    types::RDKafkaErrorCode as Kafka,
};

/// Records in one call: enough that the call costs nothing, few enough that what describes them stays in the cache.
pub(super) const RUN_RECORDS_MAX: usize = 256;

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

/// Some records of one partition, in their order.
pub(super) struct Run<'a> {
    topic: &'a Topic,
    messages: Vec<rd_kafka_message_s>,
    /// The messages point into keys and values of the batch.
    _batch: PhantomData<&'a [u8]>,
}

impl<'a> Run<'a> {
    pub(super) fn new(topic: &'a Topic) -> Self {
        Self { topic, messages: Vec::with_capacity(RUN_RECORDS_MAX), _batch: PhantomData }
    }

    pub(super) fn push(&mut self, key: Option<&'a [u8]>, value: Option<&'a [u8]>) {
        let part = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => (bytes.as_ptr().cast_mut().cast(), bytes.len()),
            None => (ptr::null_mut(), 0),
        };
        let ((key, key_len), (payload, len)) = (part(key), part(value));
        self.messages.push(rd_kafka_message_s {
            err: Response::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition: 0,
            payload,
            len,
            key,
            key_len,
            offset: 0,
            _private: ptr::null_mut(),
        });
    }

    /// Copies the records into the queue of a partition, or of those that their keys say (-1), and does not wait: behind one that
    /// finds no room none is taken, and they stay. Gives how many are done with, and calls `refused` with the places of those among
    /// them that the client does not take at all.
    #[expect(unsafe_code, reason = "the safe client has no batch function")]
    pub(super) fn offer(&mut self, partition: i32, mut refused: impl FnMut(usize, Kafka)) -> usize {
        if self.messages.is_empty() {
            return 0;
        }
        let count = i32::try_from(self.messages.len()).expect("a run has few records");
        // SAFETY: the topic is alive; keys and values are borrowed for `'a`, and the call copies them.
        unsafe {
            rd_kafka_produce_batch(
                self.topic.0.as_ptr(),
                partition,
                RD_KAFKA_MSG_F_COPY,
                self.messages.as_mut_ptr(),
                count,
            )
        };
        let is_full = |message: &rd_kafka_message_s| message.err == Response::RD_KAFKA_RESP_ERR__QUEUE_FULL;
        let done = self.messages.iter().position(is_full).unwrap_or(self.messages.len());
        for (place, message) in self.messages.drain(..done).enumerate() {
            if message.err.is_error() {
                refused(place, message.err.into());
            }
        }
        done
    }
}

/// Sends what waits for company, and waits until nothing is on its way any more. The safe client asks for that without waiting, again
/// and again: the library then hurries for no longer than a call takes, and the last records linger as others do.
#[expect(unsafe_code, reason = "the safe client flushes with no time to wait")]
pub(super) fn flush<C: ProducerContext>(producer: &BaseProducer<C>, wait: Duration) {
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the producer is alive. What it answers is seen by what is on its way afterwards.
    unsafe { rd_kafka_flush(producer.client().native_ptr(), wait_ms) };
}
