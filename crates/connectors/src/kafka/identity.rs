//! The id that a cluster gives a topic when it is made (KIP-516): one that was deleted and made anew has another. The safe client has no
//! such call: this file makes the C library's, copies what it says, and hands out no pointer.

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
        rd_kafka_TopicDescription_error, rd_kafka_TopicDescription_topic_id, rd_kafka_Uuid_base64str,
        rd_kafka_Uuid_least_significant_bits, rd_kafka_Uuid_most_significant_bits, rd_kafka_admin_op_t,
        rd_kafka_error_code, rd_kafka_event_DescribeTopics_result, rd_kafka_event_destroy,
        rd_kafka_event_error, rd_kafka_event_t, rd_kafka_queue_destroy, rd_kafka_queue_new,
        rd_kafka_queue_poll, rd_kafka_queue_s, rd_kafka_resp_err_t as Response, rd_kafka_s,
    },
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

/// The topic's id, as Kafka's tools write it; `None` where the brokers give none (before 2.8), or nobody may see it.
pub(super) fn topic_id(
    consumer: &BaseConsumer,
    topic: &str,
    wait: Duration,
) -> Result<Option<String>, KafkaError> {
    let Ok(name) = CString::new(topic) else { return Ok(None) };
    let asked = ask(consumer.client().native_ptr(), &name, wait);
    match read(&asked) {
        Ok(id) => Ok(id),
        // A topic may be read by who may not describe it, an old broker does not know the request, and that it is missing is told by
        // whoever reads it.
        Err(
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnsupportedFeature
            | RDKafkaErrorCode::UnsupportedVersion
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed,
        ) => Ok(None),
        Err(code) => Err(KafkaError::Global(code)),
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
fn read(asked: &Asked) -> Result<Option<String>, RDKafkaErrorCode> {
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
        if !is_given {
            return Ok(None);
        }
        Ok(Some(CStr::from_ptr(rd_kafka_Uuid_base64str(id)).to_string_lossy().into_owned()))
    }
}
