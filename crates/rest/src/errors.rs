//! What the REST proxy refuses or cannot do: for the API Confluent's status, `error_code` and sentences, for people code and help.

use std::{io, net::SocketAddr};

use base::{Code, Problem, code};
use cloud::{answers::Refused, registry::Failed};
use kafka_protocol::error::ResponseError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the REST proxy cannot listen on {listen}")]
    Bind { listen: SocketAddr, source: io::Error },
    #[error("Kafka at {kafka} does not answer: {reason}")]
    Kafka { kafka: String, reason: String },
    #[error("the property {name} cannot be used: {reason}")]
    Property { name: String, reason: String },
    /// What a broker said, by its number and in its own words.
    #[error("{reason}")]
    Refused { code: i16, reason: String },
    /// What librdkafka said.
    #[error("{reason}")]
    Client { reason: String, retriable: bool },
    #[error("{what}: {failed}")]
    Registry { what: String, failed: Failed },
    #[error("{reason}")]
    Serialization { reason: String },
    #[error("Topic not found.")]
    TopicNotFound,
    #[error("Partition not found.")]
    PartitionNotFound,
    #[error("Consumer instance not found.")]
    InstanceNotFound,
    #[error("{what} cannot be found.")]
    NotFound { what: String },
    #[error("The requested embedded data format does not match the deserializer for this consumer instance")]
    FormatMismatch,
    #[error("Consumer with specified consumer ID already exists in the specified consumer group.")]
    InstanceExists,
    #[error("Illegal state: {reason}")]
    IllegalState { reason: String },
    #[error("Request includes keys but does not include key schema")]
    KeySchemaMissing,
    #[error("Request includes values but does not include value schema")]
    ValueSchemaMissing,
    #[error("Conversion of JSON to Object failed: {reason}")]
    Conversion { reason: String },
    #[error("Invalid consumer configuration: {reason}")]
    ConsumerConfig { reason: String },
    #[error("Invalid schema: {reason}")]
    InvalidSchema { reason: String },
    #[error("Payload error. {reason}")]
    Payload { reason: String },
    #[error("{reason}")]
    Body { reason: String },
    #[error("{reason}")]
    Unprocessable { reason: String },
    #[error("the request is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error(
        "Request rate limit exceeded: the requests that are worked on hold {bytes_max} bytes, which is all that they may"
    )]
    Busy { bytes_max: usize },
    #[error("there are {count_max} consumer instances already, which is the most that there may be")]
    TooManyInstances { count_max: usize },
    #[error(transparent)]
    Http(Refused),
}

impl Error {
    /// The broker's refusal; its number's own sentence where it said nothing.
    pub(crate) fn refused(code: i16, said: Option<&str>) -> Self {
        let own = || sentence(code);
        let reason = said.filter(|said| !said.is_empty()).map_or_else(own, str::to_owned);
        Error::Refused { code, reason }
    }

    /// HTTP status and Confluent's `error_code`.
    pub fn answer(&self) -> (u16, i32) {
        match self {
            Error::Bind { .. } | Error::Property { .. } => (500, 50002),
            Error::Kafka { .. } => (500, 50003),
            Error::Refused { code, .. } => kafka_answer(*code),
            Error::Client { retriable, .. } => (500, if *retriable { 50003 } else { 50002 }),
            Error::Registry { failed: Failed::Refused { error_code: 40301, .. }, .. } => (403, 40301),
            Error::Registry { .. } | Error::Serialization { .. } => (408, 40801),
            Error::TopicNotFound => (404, 40401),
            Error::PartitionNotFound => (404, 40402),
            Error::InstanceNotFound => (404, 40403),
            Error::NotFound { .. } => (404, 404),
            Error::FormatMismatch => (406, 40601),
            Error::InstanceExists => (409, 40902),
            Error::IllegalState { .. } => (409, 40903),
            Error::KeySchemaMissing => (422, 42201),
            Error::ValueSchemaMissing => (422, 42202),
            Error::Conversion { .. } => (422, 42203),
            Error::ConsumerConfig { .. } => (422, 42204),
            Error::InvalidSchema { .. } => (422, 42205),
            Error::Payload { .. } => (422, 42206),
            Error::Body { .. } => (400, 400),
            Error::Unprocessable { .. } => (422, 422),
            Error::TooLarge { .. } => (413, 413),
            Error::TooManyInstances { .. } | Error::Busy { .. } => (429, 429),
            Error::Http(refused) => (refused.status(), i32::from(refused.status())),
        }
    }

    /// The number that a record of a v2 request gets in its own line of the answer.
    pub(crate) fn record_code(&self) -> i32 {
        self.answer().1
    }
}

/// Kafka's own sentence for a number, as its Java client would tell it; of rare ones the name.
fn sentence(code: i16) -> String {
    use ResponseError as Kafka;
    let Some(error) = ResponseError::try_from_code(code) else { return String::new() };
    match error {
        Kafka::UnknownServerError => {
            "The server experienced an unexpected error when processing the request."
        }
        Kafka::UnknownTopicOrPartition => "This server does not host this topic-partition.",
        Kafka::RequestTimedOut => "The request timed out.",
        Kafka::CoordinatorLoadInProgress => "The coordinator is loading and hence can't process requests.",
        Kafka::CoordinatorNotAvailable => "The coordinator is not available.",
        Kafka::NotCoordinator => "This is not the correct coordinator.",
        Kafka::MessageTooLarge => {
            "The request included a message larger than the max message size the server will accept."
        }
        Kafka::InvalidTopicException => "The request attempted to perform an operation on an invalid topic.",
        Kafka::TopicAuthorizationFailed => "Topic authorization failed.",
        Kafka::GroupAuthorizationFailed => "Group authorization failed.",
        Kafka::ClusterAuthorizationFailed => "Cluster authorization failed.",
        Kafka::TopicAlreadyExists => "Topic with this name already exists.",
        Kafka::InvalidPartitions => "Number of partitions is below 1.",
        Kafka::InvalidReplicationFactor => {
            "Replication factor is below 1 or larger than the number of available brokers."
        }
        Kafka::InvalidConfig => "Configuration is invalid.",
        Kafka::UnsupportedVersion => "The version of API is not supported.",
        Kafka::SecurityDisabled => "Security features are disabled.",
        Kafka::SaslAuthenticationFailed => "SASL Authentication failed.",
        Kafka::GroupIdNotFound => "The group id does not exist.",
        other => return other.to_string(),
    }
    .to_owned()
}

/// Statuses of Kafka's errors, as Confluent's proxy gives them to Java's exceptions.
fn kafka_answer(code: i16) -> (u16, i32) {
    use ResponseError as Kafka;
    let Some(error) = ResponseError::try_from_code(code) else { return (500, 50002) };
    match error {
        Kafka::SaslAuthenticationFailed | Kafka::IllegalSaslState | Kafka::UnsupportedSaslMechanism => {
            (401, 40101)
        }
        Kafka::TopicAuthorizationFailed
        | Kafka::GroupAuthorizationFailed
        | Kafka::ClusterAuthorizationFailed
        | Kafka::TransactionalIdAuthorizationFailed
        | Kafka::DelegationTokenAuthorizationFailed => (403, 40301),
        Kafka::UnknownTopicOrPartition => (404, 40403),
        Kafka::GroupIdNotFound => (404, 404),
        Kafka::InvalidReplicationFactor
        | Kafka::InvalidReplicaAssignment
        | Kafka::InvalidTopicException
        | Kafka::SecurityDisabled
        | Kafka::UnsupportedVersion
        | Kafka::InvalidPartitions
        | Kafka::InvalidRequest
        | Kafka::UnknownServerError
        | Kafka::PolicyViolation
        | Kafka::TopicAlreadyExists
        | Kafka::InvalidConfig => (400, 40002),
        Kafka::BrokerNotAvailable => (503, 50302),
        other if other.is_retriable() => (500, 50003),
        _ => (500, 50002),
    }
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Bind { .. } => code::TM1330,
            Error::Kafka { .. } => code::TM1331,
            Error::Property { .. } => code::TM1332,
            Error::Registry { .. } => code::TM1333,
            Error::TopicNotFound
            | Error::PartitionNotFound
            | Error::InstanceNotFound
            | Error::NotFound { .. }
            | Error::Http(Refused::Page) => code::TM1334,
            Error::KeySchemaMissing
            | Error::ValueSchemaMissing
            | Error::Conversion { .. }
            | Error::InvalidSchema { .. }
            | Error::Payload { .. }
            | Error::Serialization { .. } => code::TM1335,
            Error::Body { .. }
            | Error::Unprocessable { .. }
            | Error::ConsumerConfig { .. }
            | Error::Http(Refused::Method | Refused::Accept | Refused::MediaType) => code::TM1336,
            Error::FormatMismatch | Error::InstanceExists | Error::IllegalState { .. } => code::TM1337,
            Error::Refused { .. } | Error::Client { .. } => code::TM1338,
            Error::TooLarge { .. } | Error::TooManyInstances { .. } | Error::Busy { .. } => code::TM1339,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Bind { .. } => "free the port, or set rest.listen",
            Error::Kafka { .. } => {
                "start the broker, or set the address: tidemill config explain broker.external"
            }
            Error::Property { .. } => "mend broker.properties in tidemill.yaml",
            Error::Registry { .. } => {
                "see that the registry answers and has the schema: tidemill schema list"
            }
            Error::Serialization { .. } => "read the records in the format in which they were written",
            Error::TopicNotFound | Error::PartitionNotFound => "see what there is: tidemill topic list",
            Error::InstanceNotFound => {
                "make the instance again: it was deleted, or left alone for rest.consumer_instance_timeout_ms"
            }
            Error::NotFound { .. } | Error::Http(Refused::Page) => {
                "look at the address; docs/rest.md lists them"
            }
            Error::FormatMismatch => "ask with the Accept header of the instance's own format",
            Error::InstanceExists => "take another name, or delete that instance first",
            Error::IllegalState { .. } => {
                "subscribe or assign, not both, and seek only in partitions that the instance has"
            }
            Error::KeySchemaMissing => "give key_schema or key_schema_id",
            Error::ValueSchemaMissing => "give value_schema or value_schema_id",
            Error::Conversion { .. } => "mend the record, or give the schema that it was made for",
            Error::InvalidSchema { .. } => {
                "mend the schema; its content type says of which kind it has to be"
            }
            Error::Payload { .. } => "send at least one record, as JSON",
            Error::ConsumerConfig { .. } => "look up the settings of an instance in docs/rest.md",
            Error::Body { .. } | Error::Unprocessable { .. } => "mend the request; docs/rest.md shows each",
            Error::TooLarge { .. } => "send less at once, or set rest.request_bytes_max",
            Error::Busy { .. } => "ask again in a moment, or set rest.request_memory_bytes_max",
            Error::TooManyInstances { .. } => {
                "delete instances that are done, or set rest.consumer_instances_max"
            }
            Error::Http(Refused::Method) => "look up the methods of that address in docs/rest.md",
            Error::Http(Refused::Accept) => "accept application/vnd.kafka.v2+json, or application/json",
            Error::Http(Refused::MediaType) => {
                "name the content type, for example application/vnd.kafka.json.v2+json"
            }
            Error::Refused { .. } | Error::Client { .. } => "mend what Kafka says, then ask again",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests;
