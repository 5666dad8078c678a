//! What goes wrong in the object sink besides the store's own errors, and how all of it becomes a `Fault`.

use base::{Code, Fault, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the object sink cannot use {key}: {what}")]
    Setting { key: &'static str, what: String },
    #[error("the split {split} has no topic and partition to name objects by")]
    Split { split: String },
    #[error("objects that wait for their store could not be kept in a temporary file")]
    Spill { source: std::io::Error },
    #[error("an upload of {key} ended without an answer")]
    UploadLost { key: String },
    #[error("`{key}` cannot be an object's name")]
    Key { key: String, source: object_store::path::Error },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Setting { .. } | Error::Split { .. } => code::TM0751,
            Error::Key { .. } => code::TM0753,
            Error::Spill { .. } | Error::UploadLost { .. } => code::TM0755,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Setting { key, .. } => format!("correct {key}"),
            Error::Split { .. } => "give the sink a source of topics, files or collections".to_owned(),
            Error::Spill { .. } => {
                "make room in the temporary folder (TMPDIR), or open fewer objects at once".to_owned()
            }
            Error::UploadLost { .. } => {
                "it is tried again from the last checkpoint; nothing is lost".to_owned()
            }
            Error::Key { .. } => {
                "a folder name comes from topics.dir or a field's value: neither may be empty, `.` or `..`"
                    .to_owned()
            }
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::UploadLost { .. } | Error::Spill { .. } => Fault::Transient(error.into()),
            Error::Setting { .. } | Error::Split { .. } | Error::Key { .. } => Fault::Fatal(error.into()),
        }
    }
}

/// Errors of a format: none of them goes away by trying again.
pub(crate) fn of_format(error: formats::Error) -> Fault {
    Fault::Fatal(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_why_and_what_to_do() {
        let key = object_store::path::Path::parse("a//b").unwrap_err();
        let errors = [
            Error::Setting {
                key: "s3.part.size",
                what: "1 is not within 5242880 to 1073741824 bytes".to_owned(),
            },
            Error::Split { split: "x".to_owned() },
            Error::Spill { source: std::io::Error::other("no space left") },
            Error::UploadLost { key: "topics/a".to_owned() },
            Error::Key { key: "a//b".to_owned(), source: key },
        ];
        let all: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
