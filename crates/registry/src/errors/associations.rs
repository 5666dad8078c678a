//! What speaks against an association.

use base::{Code, code};

#[derive(Debug, thiserror::Error)]
pub enum Unassociated {
    #[error("Association for '{resource}' not found.")]
    NotFound { resource: String },
    #[error("An association of type '{kind}' already exists for resource '{resource}'")]
    ResourceTaken { kind: String, resource: String },
    #[error("An association already exists for subject '{subject}'")]
    SubjectTaken { subject: String },
    #[error("A strong association already exists for subject '{subject}'")]
    StronglyTaken { subject: String },
    #[error("No active (non-deleted) version exists for subject '{subject}'")]
    NoLivingVersion { subject: String },
    #[error("The association of type '{kind}' is frozen for subject '{subject}'")]
    Frozen { kind: String, subject: String },
    #[error("The association has an invalid value for the property '{property}': {reason}")]
    Invalid { property: String, reason: String },
}

impl Unassociated {
    /// HTTP status and Confluent's `error_code`.
    pub(super) fn answer(&self) -> (u16, i32) {
        match self {
            Unassociated::NotFound { .. } => (404, 40410),
            Unassociated::ResourceTaken { .. } => (409, 40903),
            Unassociated::SubjectTaken { .. } => (409, 40904),
            Unassociated::StronglyTaken { .. } => (409, 40905),
            Unassociated::NoLivingVersion { .. } => (409, 40907),
            Unassociated::Frozen { .. } => (409, 40908),
            Unassociated::Invalid { .. } => (422, 42212),
        }
    }

    pub(super) fn code(&self) -> Code {
        match self {
            Unassociated::NotFound { .. } | Unassociated::NoLivingVersion { .. } => code::TM0404,
            Unassociated::ResourceTaken { .. }
            | Unassociated::SubjectTaken { .. }
            | Unassociated::StronglyTaken { .. }
            | Unassociated::Frozen { .. } => code::TM0418,
            Unassociated::Invalid { .. } => code::TM0407,
        }
    }

    pub(super) fn help(&self) -> &'static str {
        match self {
            Unassociated::NotFound { .. } => {
                "see what a subject belongs to: GET /associations/subjects/SUBJECT"
            }
            Unassociated::ResourceTaken { .. } => "change it: PUT /associations/resources/ID",
            Unassociated::SubjectTaken { .. } | Unassociated::StronglyTaken { .. } => {
                "let it be weak, and so the other one; or delete the other one first"
            }
            Unassociated::NoLivingVersion { .. } => {
                "register a schema there first, or send it with the association"
            }
            Unassociated::Frozen { .. } => "delete it with cascadeLifecycle=true, and its subject with it",
            Unassociated::Invalid { .. } => "mend the property named",
        }
    }
}
