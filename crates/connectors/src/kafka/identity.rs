//! What a cluster says of one topic, without making it: how many partitions it has, and the id that it got when it was made (KIP-516): one
//! that was deleted and made anew has another. The safe client has no such call: this file makes the C library's, copies what it says, and
//! hands out no pointer.

use std::{
    ffi::{CStr, CString, c_char},
    ptr,
    time::Duration,
};

use rdkafka::{
    bindings::{
        rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new, rd_kafka_AdminOptions_set_request_timeout,
        rd_kafka_AdminOptions_t, rd_kafka_DescribeTopics, rd_kafka_DescribeTopics_result_topics,
        rd_kafka_TopicCollection_destroy, rd_kafka_TopicCollection_of_topic_names,
        rd_kafka_TopicDescription_error, rd_kafka_TopicDescription_partitions,
        rd_kafka_TopicDescription_topic_id, rd_kafka_Uuid_base64str, rd_kafka_Uuid_least_significant_bits,
        rd_kafka_Uuid_most_significant_bits, rd_kafka_admin_op_t, rd_kafka_error_code,
        rd_kafka_event_DescribeTopics_result, rd_kafka_event_destroy, rd_kafka_event_error, rd_kafka_event_t,
        rd_kafka_queue_destroy, rd_kafka_queue_new, rd_kafka_queue_poll, rd_kafka_queue_s,
        rd_kafka_resp_err_t as Response, rd_kafka_s,
    },
    client::{Client, ClientContext},
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

/// A call that is under way, and what it was given; freed together.
struct Asked {
    queue: *mut rd_kafka_queue_s,
    options: *mut rd_kafka_AdminOptions_t,
    event: *mut rd_kafka_event_t,
}

impl Drop for Asked {
    #[expect(unsafe_code, reason = "the C library's objects are raw pointers")]
    fn drop(&mut self) {
        // SAFETY: each was made by the library and is freed once; an event that never came is null, which is taken.
        unsafe {
            rd_kafka_event_destroy(self.event);
            rd_kafka_AdminOptions_destroy(self.options);
            rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// A topic that is there.
struct Described {
    /// As Kafka's tools write it; brokers before 2.8 give none.
    id: Option<String>,
    partitions_count: i32,
}

/// The topic's id; `None` where the brokers give none, or nobody may see it.
pub(super) fn topic_id(
    consumer: &BaseConsumer,
    topic: &str,
    wait: Duration,
) -> Result<Option<String>, KafkaError> {
    match described(consumer.client().native_ptr(), topic, wait) {
        Ok(described) => Ok(described.and_then(|described| described.id)),
        // A topic may be read by who may not describe it, an old broker does not know the request, and that it is missing is told by
        // whoever reads it.
        Err(
            RDKafkaErrorCode::UnsupportedFeature
            | RDKafkaErrorCode::UnsupportedVersion
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed,
        ) => Ok(None),
        Err(code) => Err(KafkaError::Global(code)),
    }
}

/// How many partitions the topic has, where it is there.
pub(super) fn partitions_count<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    wait: Duration,
) -> Result<Option<i32>, KafkaError> {
    let described = described(client.native_ptr(), topic, wait).map_err(KafkaError::MetadataFetch)?;
    Ok(described.map(|described| described.partitions_count))
}

fn described(
    client: *mut rd_kafka_s,
    topic: &str,
    wait: Duration,
) -> Result<Option<Described>, RDKafkaErrorCode> {
    let Ok(name) = CString::new(topic) else { return Ok(None) };
    match read(&ask(client, &name, wait)) {
        Err(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
        read => read,
    }
}

#[expect(unsafe_code, reason = "the safe client cannot describe topics")]
fn ask(client: *mut rd_kafka_s, name: &CString, wait: Duration) -> Asked {
    let mut names: [*const c_char; 1] = [name.as_ptr()];
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client outlives the call, the library copies names and options, and `Asked` frees what is made here.
    unsafe {
        let queue = rd_kafka_queue_new(client);
        let operation = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = rd_kafka_AdminOptions_new(client, operation);
        rd_kafka_AdminOptions_set_request_timeout(options, wait_ms, ptr::null_mut(), 0);
        let topics = rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        rd_kafka_DescribeTopics(client, topics, options, queue);
        rd_kafka_TopicCollection_destroy(topics);
        Asked { queue, options, event: rd_kafka_queue_poll(queue, wait_ms) }
    }
}

#[expect(unsafe_code, reason = "reads the C library's answer")]
fn read(asked: &Asked) -> Result<Option<Described>, RDKafkaErrorCode> {
    if asked.event.is_null() {
        return Err(RDKafkaErrorCode::OperationTimedOut);
    }
    // SAFETY: the event lives as long as `asked`, and all that it holds as long as the event; a result has as many topics as it tells.
    unsafe {
        let error = rd_kafka_event_error(asked.event);
        if error != Response::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(error.into());
        }
        let result = rd_kafka_event_DescribeTopics_result(asked.event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Unknown);
        }
        let mut count = 0;
        let topics = rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if count == 0 {
            return Ok(None);
        }
        let error = rd_kafka_error_code(rd_kafka_TopicDescription_error(*topics));
        if error != Response::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(error.into());
        }
        let id = rd_kafka_TopicDescription_topic_id(*topics);
        let is_given = !id.is_null()
            && (rd_kafka_Uuid_most_significant_bits(id), rd_kafka_Uuid_least_significant_bits(id)) != (0, 0);
        let id = is_given.then(|| CStr::from_ptr(rd_kafka_Uuid_base64str(id)).to_string_lossy().into_owned());
        let mut partitions_count = 0;
        rd_kafka_TopicDescription_partitions(*topics, &raw mut partitions_count);
        let partitions_count = i32::try_from(partitions_count).unwrap_or(i32::MAX).max(1);
        Ok(Some(Described { id, partitions_count }))
    }
}
