//! What can keep the status page from starting, and what keeps a part from answering it.

use std::{io, net::SocketAddr};

use base::{Code, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the status page cannot listen on {listen}")]
    Bind { listen: SocketAddr, source: io::Error },
    #[error("{part} at {address} does not answer: {reason}")]
    Silent { part: String, address: String, reason: String },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Bind { .. } => code::TM1101,
            Error::Silent { .. } => code::TM1102,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Bind { listen, .. } => {
                format!("free port {}, or set console.listen to another address", listen.port())
            }
            Error::Silent { part, address, .. } => {
                format!("see that {part} runs and can be reached at {address}: tidemill status")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_and_what_to_do() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        let errors = [
            Error::Bind { listen, source: io::ErrorKind::AddrInUse.into() },
            Error::Silent {
                part: "registry".to_owned(),
                address: "http://127.0.0.1:8081".to_owned(),
                reason: "no answer within 2000 ms".to_owned(),
            },
        ];
        let texts: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
