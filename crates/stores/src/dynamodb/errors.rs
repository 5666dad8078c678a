//! What can keep the DynamoDB endpoint from starting. Errors of single requests are DynamoDB's own, answered over HTTP.

use std::{io, net::SocketAddr, path::PathBuf};

use base::{BoxError, Code, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the DynamoDB endpoint cannot listen on {listen}")]
    Bind { listen: SocketAddr, source: io::Error },
    #[error("the DynamoDB endpoint cannot use the folder {}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("the DynamoDB endpoint cannot use its tables in {}", file.display())]
    Tables { file: PathBuf, source: BoxError },
    #[error("the DynamoDB endpoint cannot start its threads")]
    Threads { source: io::Error },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Bind { .. } => code::TM0954,
            Error::Folder { .. } => code::TM0955,
            Error::Tables { .. } => code::TM0956,
            Error::Threads { .. } => code::TM0957,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Bind { listen, .. } => {
                format!("free port {}, or set dynamodb.listen to another address", listen.port())
            }
            Error::Folder { folder, .. } => {
                format!("make {} a folder that you may write to, with room on its disk", folder.display())
            }
            Error::Tables { file, .. } => format!(
                "see that no other program has {} open; where it is damaged, move it away and load the tables again",
                file.display()
            ),
            Error::Threads { .. } => "raise the limit of threads for this user (ulimit -u)".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_why_and_what_to_do() {
        let listen = "127.0.0.1:8000".parse().unwrap();
        let errors = [
            Error::Bind { listen, source: io::Error::other("address in use") },
            Error::Folder { folder: "data/dynamodb".into(), source: io::Error::other("permission denied") },
            Error::Tables {
                file: "data/dynamodb/tables.sqlite".into(),
                source: "file is not a database".into(),
            },
            Error::Threads { source: io::Error::other("resource temporarily unavailable") },
        ];
        let all: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
