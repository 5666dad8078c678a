//! What can go wrong in a worker, and Connect's HTTP status for it. Messages to REST clients are Connect's own words
//! where it has them: other people's clients look for them.

use std::{io, net::SocketAddr};

use base::{Code, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {listen}")]
    Bind { listen: SocketAddr, source: io::Error },
    #[error("Kafka at {kafka} did not answer: {doing}")]
    Kafka { kafka: String, doing: String, source: Box<rdkafka::error::KafkaError> },
    #[error("the internal topic {topic} cannot be used: {reason}")]
    InternalTopic { topic: String, reason: String },
    /// The words are Connect's: `Connector x not found`.
    #[error("{what}")]
    NotFound { what: String },
    #[error("Connector {name} already exists")]
    Exists { name: String },
    #[error("{reason}")]
    Request { reason: String },
    #[error(
        "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the above \
         list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
        errors.len(), errors.join("\n")
    )]
    Invalid { errors: Vec<String> },
    #[error(
        "Failed to find any class that implements Connector and which name matches {class}, available connectors are: \
         {available}"
    )]
    UnknownPlugin { class: String, available: String },
    #[error(
        "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
         specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
    )]
    NotStopped { name: String },
    #[error("a setting of connector {name} cannot be resolved: {key}: {reason}")]
    Placeholder { name: String, key: String, reason: String },
    #[error("the registry at {url} did not give schema {id}")]
    Registry { url: String, id: i32, source: Reason },
    #[error("dead letters cannot be written to topic {topic}")]
    DeadLetters { topic: String, source: Reason },
    #[error("the Connect worker at {url} did not answer")]
    WorkerUnreachable { url: String, source: Reason },
    #[error("the Connect worker at {url} refused: {message}")]
    WorkerRefused { url: String, status: u16, message: String },
    #[error("connector {name} has failed")]
    ConnectorFailed { name: String, source: Reason },
}

/// Why, in a sentence, where there is no error of a library to hold.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Reason(pub String);

impl Error {
    /// Connect's HTTP status; it is the `error_code` of the body too.
    pub fn status(&self) -> u16 {
        match self {
            Error::NotFound { .. } => 404,
            Error::Exists { .. } => 409,
            Error::Request { .. }
            | Error::Invalid { .. }
            | Error::NotStopped { .. }
            | Error::Placeholder { .. } => 400,
            Error::Bind { .. }
            | Error::Kafka { .. }
            | Error::InternalTopic { .. }
            | Error::UnknownPlugin { .. }
            | Error::Registry { .. }
            | Error::DeadLetters { .. }
            | Error::WorkerUnreachable { .. }
            | Error::WorkerRefused { .. }
            | Error::ConnectorFailed { .. } => 500,
        }
    }

    pub(crate) fn connector_not_found(name: &str) -> Self {
        Error::NotFound { what: format!("Connector {name} not found") }
    }
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Bind { .. } => code::TM0801,
            Error::Kafka { .. } => code::TM0802,
            Error::InternalTopic { .. } => code::TM0803,
            Error::NotFound { .. } => code::TM0804,
            Error::Exists { .. } => code::TM0805,
            Error::Request { .. } => code::TM0806,
            Error::Invalid { .. } => code::TM0807,
            Error::UnknownPlugin { .. } => code::TM0808,
            Error::NotStopped { .. } => code::TM0809,
            Error::Placeholder { .. } => code::TM0810,
            Error::Registry { .. } => code::TM0813,
            Error::DeadLetters { .. } => code::TM0815,
            Error::WorkerUnreachable { .. } => code::TM0816,
            Error::WorkerRefused { .. } => code::TM0817,
            Error::ConnectorFailed { .. } => code::TM0818,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Bind { .. } => "free the port, or set connect.listen".to_owned(),
            Error::Kafka { .. } => {
                "start the broker, or mend the address and the security properties".to_owned()
            }
            Error::InternalTopic { topic, .. } => {
                format!("name another topic in the worker's settings, or alter {topic} as the reason says")
            }
            Error::NotFound { .. } => "see what there is: tidemill connect list".to_owned(),
            Error::Exists { name } => {
                format!("change it in place instead: tidemill connect apply {name}.json")
            }
            Error::Request { .. } => {
                "mend the request; Kafka Connect's REST reference shows each body".to_owned()
            }
            Error::Invalid { .. } => {
                "mend the keys named above; check again: tidemill connect validate FILE".to_owned()
            }
            Error::UnknownPlugin { .. } => {
                "use one of these classes, or run this connector on Kafka Connect".to_owned()
            }
            Error::NotStopped { name } => format!("stop it first: tidemill connect stop {name}"),
            Error::Placeholder { .. } => {
                "set it where the worker runs, then restart the connector".to_owned()
            }
            Error::Registry { .. } => {
                "start the registry, or mend value.converter.schema.registry.url; then restart the connector"
                    .to_owned()
            }
            Error::DeadLetters { topic, .. } => {
                format!("create {topic}, or allow the worker to create and write it")
            }
            Error::WorkerUnreachable { .. } => {
                "start it with tidemill up, or name its address with --url".to_owned()
            }
            Error::WorkerRefused { .. } => "mend what the message names, then try again".to_owned(),
            Error::ConnectorFailed { name, .. } => {
                format!("mend the cause, then: tidemill connect restart {name} --tasks")
            }
        }
    }
}

#[cfg(test)]
mod tests;
