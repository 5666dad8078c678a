//! What the registry refuses or cannot do: for the API Confluent's status, `error_code` and sentences, for people code
//! and help.

mod associations;

use std::{io, net::SocketAddr};

use base::{Code, Problem, Spot, code};
use cloud::answers::Refused;

pub use associations::Unassociated;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the registry cannot listen on {listen}")]
    Bind { listen: SocketAddr, source: io::Error },
    #[error("the registry cannot reach Kafka at {kafka}: {reason}")]
    Kafka { kafka: String, reason: String },
    #[error("the registry cannot use the topic {topic}: {reason}")]
    Topic { topic: String, reason: String },
    #[error("Subject '{subject}' not found.")]
    SubjectNotFound { subject: String },
    #[error("Version {version} not found.")]
    VersionNotFound { version: i32 },
    #[error("Schema not found")]
    SchemaNotFound,
    #[error("Schema {id} not found")]
    IdNotFound { id: i32 },
    #[error("Schema {guid} not found")]
    GuidNotFound { guid: String },
    #[error("Subject '{subject}' was soft deleted. Set permanent=true to delete permanently")]
    SubjectSoftDeleted { subject: String },
    #[error("Subject '{subject}' was not deleted first before being permanently deleted")]
    SubjectNotSoftDeleted { subject: String },
    #[error(
        "Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently"
    )]
    VersionSoftDeleted { subject: String, version: i32 },
    #[error("Subject '{subject}' Version {version} was not deleted first before being permanently deleted")]
    VersionNotSoftDeleted { subject: String, version: i32 },
    #[error("Subject '{subject}' does not have subject-level compatibility configured")]
    NoSubjectLevel { subject: String },
    #[error("Subject '{subject}' does not have subject-level mode configured")]
    NoSubjectMode { subject: String },
    #[error("Invalid schema for subject '{subject}'")]
    InvalidSchema { subject: String, source: contracts::Error },
    #[error("Invalid schema for subject '{subject}': {reason}")]
    Unsupported { subject: String, reason: String },
    #[error(
        "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the \
         string \"latest\""
    )]
    InvalidVersion { version: String },
    #[error(
        "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, \
         forward_transitive, and full_transitive"
    )]
    InvalidLevel,
    #[error("Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT, FORWARD")]
    InvalidMode,
    #[error("The specified subject '{subject}' is not a valid subject.")]
    InvalidSubject { subject: String },
    #[error(
        "Invalid schema for subject '{subject}', details: No schema reference found for subject \"{reference}\" and version \
         {version}"
    )]
    NoReference { subject: String, name: String, reference: String, version: i32 },
    /// In the words that Confluent's prints its keys with.
    #[error(
        "One or more references exist to the schema {{magic=1,keytype=SCHEMA,subject={subject},version={version}}}."
    )]
    Referenced { subject: String, version: i32 },
    #[error("Context '{context}' not found.")]
    ContextNotFound { context: String },
    #[error("The specified context '{context}' is not empty.")]
    ContextNotEmpty { context: String },
    #[error("{reason}")]
    NotPermitted { reason: String },
    #[error(transparent)]
    Association(Unassociated),
    #[error(
        "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{}]",
        messages.join(", ")
    )]
    Incompatible { subject: String, messages: Vec<String> },
    #[error("Error while writing to the topic: {reason}")]
    Store { reason: String },
    #[error("the topic did not give back what was written within {timeout_ms} ms")]
    StoreTimeout { timeout_ms: u64 },
    #[error("the request's body cannot be read: {reason}")]
    Body { reason: String },
    /// For clients of the API: the `schema` command.
    #[error("no schema registry answers at {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// What a registry answered, in its own words.
    #[error("the registry refused to {what}: {message}")]
    Refused { what: String, status: u16, error_code: i64, message: String },
    #[error("there is no contract file for {subject}; looked for {}", looked.join(", "))]
    NoContractFile { subject: String, looked: Vec<String> },
    #[error("the schema of {subject} is incompatible with the registered {version}")]
    CheckFailed { subject: String, version: String, messages: Vec<String> },
    #[error(transparent)]
    Http(Refused),
    #[error("the request was not written, since no registry leads the topic: {reason}")]
    NoLeader { reason: String },
    #[error("the registry that leads the topic, {leader}, cannot be reached: {reason}")]
    Forward { leader: String, reason: String },
    #[error("the group {group} belongs to another kind of registry, which leads the topic {topic}")]
    OtherKind { group: String, topic: String },
}

impl Error {
    /// HTTP status and Confluent's `error_code`.
    pub fn answer(&self) -> (u16, i32) {
        match self {
            Error::SubjectNotFound { .. } => (404, 40401),
            Error::VersionNotFound { .. } => (404, 40402),
            Error::SchemaNotFound | Error::IdNotFound { .. } | Error::GuidNotFound { .. } => (404, 40403),
            Error::ContextNotFound { .. } => (404, 404),
            Error::ContextNotEmpty { .. } => (422, 42211),
            Error::SubjectSoftDeleted { .. } => (404, 40404),
            Error::SubjectNotSoftDeleted { .. } => (404, 40405),
            Error::VersionSoftDeleted { .. } => (404, 40406),
            Error::VersionNotSoftDeleted { .. } => (404, 40407),
            Error::NoSubjectLevel { .. } => (404, 40408),
            Error::NoSubjectMode { .. } => (404, 40409),
            Error::InvalidSchema { .. } | Error::Unsupported { .. } => (422, 42201),
            Error::InvalidVersion { .. } => (422, 42202),
            Error::InvalidLevel => (422, 42203),
            Error::InvalidMode => (422, 42204),
            Error::NotPermitted { .. } => (422, 42205),
            Error::Association(refused) => refused.answer(),
            Error::NoReference { .. } => (422, 42201),
            Error::Referenced { .. } => (422, 42206),
            Error::InvalidSubject { .. } => (422, 42208),
            Error::Forward { .. } => (500, 50003),
            Error::NoLeader { .. } | Error::OtherKind { .. } => (500, 50004),
            Error::Incompatible { .. } => (409, 409),
            Error::Body { .. } => (400, 400),
            Error::Http(refused) => (refused.status(), i32::from(refused.status())),
            Error::Bind { .. } | Error::Kafka { .. } | Error::Topic { .. } | Error::Store { .. } => {
                (500, 50001)
            }
            Error::StoreTimeout { .. } => (500, 50002),
            // Never answered: they are the words of a client.
            Error::Unreachable { .. }
            | Error::Refused { .. }
            | Error::NoContractFile { .. }
            | Error::CheckFailed { .. } => (500, 500),
        }
    }

    /// The sentence of the answer: what, and for a schema where and why.
    pub fn message(&self) -> String {
        match self {
            Error::InvalidSchema { source, .. } => {
                let place = source.spot().map(|spot| match spot {
                    Spot::Text { ref text, start, .. } => line_and_column(text, start),
                    other => other.to_string(),
                });
                let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
                let cause =
                    std::error::Error::source(source).map(|cause| format!(": {cause}")).unwrap_or_default();
                format!("{self}, details: {source}{cause}{place}")
            }
            other => other.to_string(),
        }
    }
}

fn line_and_column(text: &str, start: usize) -> String {
    let before = text.get(..start).unwrap_or(text);
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("line {}, column {column}", before.matches('\n').count() + 1)
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Bind { .. } => code::TM0401,
            Error::Kafka { .. } | Error::Store { .. } | Error::StoreTimeout { .. } => code::TM0402,
            Error::Topic { .. } => code::TM0403,
            Error::SubjectNotFound { .. }
            | Error::VersionNotFound { .. }
            | Error::SchemaNotFound
            | Error::IdNotFound { .. }
            | Error::GuidNotFound { .. }
            | Error::NoSubjectLevel { .. }
            | Error::ContextNotFound { .. }
            | Error::NoSubjectMode { .. } => code::TM0404,
            Error::SubjectSoftDeleted { .. }
            | Error::ContextNotEmpty { .. }
            | Error::SubjectNotSoftDeleted { .. }
            | Error::VersionSoftDeleted { .. }
            | Error::VersionNotSoftDeleted { .. } => code::TM0405,
            Error::InvalidSchema { .. } | Error::Unsupported { .. } => code::TM0406,
            Error::InvalidVersion { .. }
            | Error::InvalidLevel
            | Error::InvalidMode
            | Error::InvalidSubject { .. }
            | Error::Body { .. }
            | Error::Http(_) => code::TM0407,
            Error::NoReference { .. } => code::TM0414,
            Error::Referenced { .. } => code::TM0415,
            Error::NoLeader { .. } | Error::Forward { .. } => code::TM0416,
            Error::OtherKind { .. } => code::TM0417,
            Error::Association(refused) => refused.code(),
            Error::NotPermitted { .. } => code::TM0408,
            Error::Incompatible { .. } | Error::CheckFailed { .. } => code::TM0409,
            Error::Unreachable { .. } => code::TM0410,
            Error::Refused { status: 409, .. } => code::TM0409,
            Error::Refused { status: 404, .. } => code::TM0404,
            Error::Refused { error_code: 42206, .. } => code::TM0415,
            Error::Refused { error_code: 42201, .. } => code::TM0406,
            Error::Refused { .. } => code::TM0411,
            Error::NoContractFile { .. } => code::TM0412,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            Error::InvalidSchema { source, .. } => source.spot(),
            _ => None,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Bind { .. } => "free the port, or set registry.listen",
            Error::Kafka { .. } => {
                "start the broker, or set the address: tidemill config explain kafka.bootstrap"
            }
            Error::Topic { .. } => {
                "let it have one partition and cleanup.policy=compact, or name another topic"
            }
            Error::Store { .. } | Error::StoreTimeout { .. } => {
                "look at the broker; what was answered before is safe"
            }
            Error::SubjectNotFound { .. } => "see what there is: tidemill schema list",
            Error::VersionNotFound { .. } => "see what there is: tidemill schema versions SUBJECT",
            Error::SchemaNotFound | Error::IdNotFound { .. } | Error::GuidNotFound { .. } => {
                "register it first: tidemill schema register SUBJECT"
            }
            Error::NoSubjectLevel { .. } => "ask with defaultToGlobal=true for the level that holds",
            Error::NoSubjectMode { .. } => "ask with defaultToGlobal=true for the mode that holds",
            Error::SubjectSoftDeleted { .. } | Error::VersionSoftDeleted { .. } => {
                "it is deleted already; permanent=true removes it for good"
            }
            Error::ContextNotFound { .. } => "see which there are: GET /contexts",
            Error::ContextNotEmpty { .. } => {
                "delete its subjects first, softly and then with permanent=true: GET …/subjects?deleted=true has them"
            }
            Error::SubjectNotSoftDeleted { .. } | Error::VersionNotSoftDeleted { .. } => {
                "delete it without permanent=true first"
            }
            Error::InvalidSchema { .. } => "mend the schema at the place shown",
            Error::Unsupported { .. } => "send a schema, as AVRO, JSON or PROTOBUF",
            Error::InvalidSubject { .. } => "name it without control characters, and not as a registry's own",
            Error::NoReference { .. } => {
                "register what it refers to first, or name the version that is there"
            }
            Error::Referenced { .. } => "delete what refers to it first: GET …/referencedby has the ids",
            Error::Http(Refused::Accept | Refused::MediaType) => {
                "accept application/json, or leave the header out"
            }
            Error::NoLeader { .. } => "try again; where it stays so, look at the consumer group's members",
            Error::Forward { .. } => {
                "start it again, or set registry.advertised to an address that others reach"
            }
            Error::OtherKind { .. } => {
                "stop the other registry, or give this one a topic of its own: registry.topic"
            }
            Error::InvalidVersion { .. } => "give a version's number, or latest",
            Error::InvalidLevel => "give one of the levels named",
            Error::InvalidMode => "give one of the modes named",
            Error::NotPermitted { .. } => "change the mode first: PUT /mode",
            Error::Association(refused) => refused.help(),
            Error::Incompatible { .. } => "give new fields a default, or see: tidemill schema check SUBJECT",
            Error::Body { .. } => "send a JSON object",
            Error::Unreachable { .. } => "start it (tidemill up), or give its address with --url",
            Error::Refused { status: 409, .. } => {
                "give new fields a default or make them optional; see: tidemill schema diff SUBJECT"
            }
            Error::Refused { status: 404, .. } => "see what there is: tidemill schema list",
            Error::Refused { error_code: 42206, .. } => "delete what refers to it first",
            Error::Refused { error_code: 42201, .. } => "mend the schema: tidemill contract validate FILE",
            Error::Refused { .. } => "see Confluent's Schema Registry API reference for what it asks",
            Error::NoContractFile { .. } => {
                "make one (tidemill contract infer DATA -o contracts/NAME.json), or give it with --file"
            }
            Error::CheckFailed { messages, .. } => return messages.join("\n        "),
            Error::Http(Refused::Page | Refused::Method) => "see Confluent's Schema Registry API reference",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests;
