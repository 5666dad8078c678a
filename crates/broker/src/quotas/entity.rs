//! The words of quotas: what is limited, and whose quota it is.

use std::net::IpAddr;

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::topics::Refusal;

/// What is limited, under Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Limit {
    #[serde(rename = "producer_byte_rate")]
    Produced,
    #[serde(rename = "consumer_byte_rate")]
    Fetched,
    /// Percent of one processor.
    #[serde(rename = "request_percentage")]
    Time,
    /// Partitions that are made and deleted.
    #[serde(rename = "controller_mutation_rate")]
    Mutations,
    /// Of ips alone, which have no other.
    #[serde(rename = "connection_creation_rate")]
    Connections,
}

impl Limit {
    pub const ALL: [Limit; 5] =
        [Limit::Produced, Limit::Fetched, Limit::Time, Limit::Mutations, Limit::Connections];

    pub fn word(self) -> &'static str {
        match self {
            Limit::Produced => "producer_byte_rate",
            Limit::Fetched => "consumer_byte_rate",
            Limit::Time => "request_percentage",
            Limit::Mutations => "controller_mutation_rate",
            Limit::Connections => "connection_creation_rate",
        }
    }

    /// The largest value, where it is a whole number.
    fn whole_max(self) -> Option<f64> {
        match self {
            Limit::Produced | Limit::Fetched => Some(i64::MAX as f64),
            Limit::Connections => Some(f64::from(i32::MAX)),
            Limit::Time | Limit::Mutations => None,
        }
    }

    /// The limit of this name, if it is one that the entity can have and the value is one that it can have.
    pub fn checked(word: &str, value: Option<f64>, entity: &Entity) -> Result<Limit, Refusal> {
        let refuse = |reason: String| Refusal::new(ResponseError::InvalidRequest, reason);
        let limit = Limit::ALL.into_iter().find(|limit| limit.word() == word);
        let limit = limit.filter(|limit| (*limit == Limit::Connections) == entity.ip.is_some());
        let limit = limit.ok_or_else(|| refuse(format!("Invalid configuration key {word}")))?;
        match (value, limit.whole_max()) {
            (Some(value), _) if !(value.is_finite() && value > 0.0) => {
                Err(refuse(format!("{word} must be greater than 0")))
            }
            (Some(value), Some(_)) if value.fract() != 0.0 => {
                Err(refuse(format!("{word} cannot be a fractional value.")))
            }
            (Some(value), Some(most)) if value > most => Err(refuse(format!("{word} is at most {most}"))),
            _ => Ok(limit),
        }
    }
}

/// Whom a part of an entity means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Who {
    /// Each of those that have no quota of their own.
    #[serde(rename = "default")]
    Default,
    #[serde(rename = "name")]
    Named(String),
}

/// Whose quota it is: a user's, a client id's, that of both together, or an ip's.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Who>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Who>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Who>,
}

impl Entity {
    /// Whether there can be such a one; an ip is written as this machine writes it.
    pub fn checked(mut self) -> Result<Entity, Refusal> {
        let refuse = |reason: String| Err(Refusal::new(ResponseError::InvalidRequest, reason));
        if self == Entity::default()
            || (self.ip.is_some() && (self.user.is_some() || self.client_id.is_some()))
        {
            return refuse("Invalid empty client quota entity".to_owned());
        }
        if let Some(Who::Named(name)) = &mut self.ip {
            match name.parse::<IpAddr>() {
                Ok(ip) => *name = ip.to_canonical().to_string(),
                Err(_) => return refuse(format!("{name} is not a valid IP.")),
            }
        }
        Ok(self)
    }
}
