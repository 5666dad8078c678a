//! What can keep the S3 endpoint from starting. Errors of single requests are S3's own, answered over HTTP.

use std::{io, net::SocketAddr, path::PathBuf};

use base::{Code, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the S3 endpoint cannot listen on {listen}")]
    Bind { listen: SocketAddr, source: io::Error },
    #[error("the S3 endpoint cannot use the folder {}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("`{name}` cannot be a bucket's name")]
    BucketName { name: String },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Bind { .. } => code::TM0951,
            Error::Folder { .. } => code::TM0952,
            Error::BucketName { .. } => code::TM0953,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Bind { listen, .. } => format!("free port {}, or set s3.listen to another address", listen.port()),
            Error::Folder { folder, .. } => {
                format!("make {} a folder that you may write to, with room on its disk", folder.display())
            }
            Error::BucketName { .. } => {
                "use 3 to 63 lower-case letters, digits, dots and hyphens, with a letter or digit at both ends".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_why_and_what_to_do() {
        let listen = "127.0.0.1:9000".parse().unwrap();
        let errors = [
            Error::Bind { listen, source: io::Error::other("address in use") },
            Error::Folder { folder: "data/s3".into(), source: io::Error::other("permission denied") },
            Error::BucketName { name: "Lake!".to_owned() },
        ];
        let all: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
