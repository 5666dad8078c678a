//! What can be wrong with the wish for made-up data.

use std::sync::Arc;

use base::{Code, Problem, Spot, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no generator {name}")]
    UnknownTable { name: String },
    #[error("a generator has no option {name}")]
    UnknownOption { name: String },
    #[error("{name} is {value}, which is no whole number from {min} to {max}")]
    NoNumber { name: &'static str, value: String, min: u64, max: u64 },
    #[error(transparent)]
    Contract(#[from] contracts::Error),
    /// The reason stands at its place in the contract.
    #[error("no records can be made by {path}: {reason}")]
    Unmade { path: Arc<str>, spot: Box<Spot>, reason: String },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::UnknownTable { .. } => code::TM0780,
            Error::UnknownOption { .. } | Error::NoNumber { .. } => code::TM0781,
            Error::Contract(error) => error.code(),
            Error::Unmade { .. } => code::TM1490,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            Error::Contract(error) => error.spot(),
            Error::Unmade { spot, .. } => Some((**spot).clone()),
            Error::UnknownTable { .. } | Error::UnknownOption { .. } | Error::NoNumber { .. } => None,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::UnknownTable { name } => {
                let names: Vec<&str> = super::config::TABLES.iter().map(|(name, _)| *name).collect();
                let nearest = names.iter().max_by(|one, other| {
                    strsim::jaro_winkler(name, one).total_cmp(&strsim::jaro_winkler(name, other))
                });
                format!("did you mean {}? There are {}; or name a contract, or its file", nearest.unwrap_or(&"users"), names.join(", "))
            }
            Error::UnknownOption { .. } => "there are count and seed, and customers for a bank's tables".to_owned(),
            Error::NoNumber { .. } => "give a number, as in generate:users?count=1000&seed=7".to_owned(),
            Error::Contract(error) => error.help(),
            Error::Unmade { .. } => {
                "mend the place, or make records by a contract without it: they only have to keep the whole one".to_owned()
            }
        }
    }
}
