//! What can be wrong with the wish for made-up data.

use base::{Code, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no generator {name}")]
    UnknownTable { name: String },
    #[error("a generator has no option {name}")]
    UnknownOption { name: String },
    #[error("{name} is {value}, which is no whole number from {min} to {max}")]
    NoNumber { name: &'static str, value: String, min: u64, max: u64 },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::UnknownTable { .. } => code::TM0780,
            Error::UnknownOption { .. } | Error::NoNumber { .. } => code::TM0781,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::UnknownTable { name } => {
                let names: Vec<&str> = super::config::TABLES.iter().map(|(name, _)| *name).collect();
                let nearest = names.iter().max_by(|one, other| {
                    strsim::jaro_winkler(name, one).total_cmp(&strsim::jaro_winkler(name, other))
                });
                format!("did you mean {}? There are {}", nearest.unwrap_or(&"users"), names.join(", "))
            }
            Error::UnknownOption { .. } => "there are count, seed and customers".to_owned(),
            Error::NoNumber { .. } => "give a number, as in generate:users?count=1000&seed=7".to_owned(),
        }
    }
}
