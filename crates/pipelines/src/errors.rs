//! What can go wrong with a pipeline itself; what goes wrong in a store or a transfer is theirs, and passes through.

use std::{io, path::PathBuf};

use base::{BoxError, Code, Fault, Origin, Problem, Spot, code};
use project::TextFile;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Project(#[from] project::Error),
    #[error("a pipeline has no `{key}`")]
    UnknownKey { file: TextFile, span: (usize, usize), key: String, nearest: Option<String>, known: String },
    #[error("`{key}` does not fit: expected {expected}")]
    BadValue { file: TextFile, span: (usize, usize), key: String, expected: String },
    #[error("the layout cannot be used: {reason}")]
    Layout { file: TextFile, span: (usize, usize), reason: String },
    #[error("`{key}` is missing: {what}")]
    MissingKey { file: TextFile, span: (usize, usize), key: String, what: &'static str },
    #[error("there is no pipeline {name}")]
    NoPipeline { name: String, names: Vec<String>, nearest: Option<String>, folder: PathBuf },
    #[error("{pipeline} has no stream {name}")]
    NoStream { name: String, pipeline: String, names: Vec<String> },
    #[error("{stream} cannot be merged into files: they only grow")]
    MergeIntoFiles { file: TextFile, span: (usize, usize), stream: String },
    #[error("{stream} cannot be replaced in {target}: a store of documents keeps what is there")]
    ReplaceInStore { file: TextFile, span: (usize, usize), stream: String, target: String },
    #[error("nothing of tidemill reads {address}")]
    NoSource { file: TextFile, span: (usize, usize), address: String, schemes: String },
    #[error("nothing of tidemill writes to {address}")]
    NoTarget { file: TextFile, span: (usize, usize), address: String, schemes: String },
    #[error("there is no connection {name}")]
    NoConnection { file: TextFile, span: (usize, usize), name: String, names: Vec<String> },
    #[error("{stream} has no cursor")]
    NoCursor { stream: String, file: TextFile, span: (usize, usize) },
    #[error("{stream} is a topic, which has no cursor: it is gone on with from its offsets")]
    TopicCursor { stream: String, file: TextFile, span: (usize, usize) },
    #[error("{stream} is a topic: its records have no cursor to begin and end at")]
    TopicRange { stream: String, file: TextFile, span: (usize, usize) },
    #[error("{path} is gone, and its refused records do not say what its columns were")]
    ColumnsGone { pipeline: String, path: std::sync::Arc<str> },
    #[error("the source of {stream} cannot be opened")]
    Source { stream: String, source: BoxError },
    #[error("the target of {stream} cannot be opened")]
    Sink { stream: String, source: BoxError },
    #[error("the load {load_id} of {pipeline} is not finished, and this would be another one: {difference}")]
    OtherLoad { pipeline: String, load_id: String, difference: String },
    #[error(
        "the load {load_id} of {pipeline} is all read, and what it replaces may be gone: it cannot be given up"
    )]
    PastGivingUp { pipeline: String, load_id: String },
    #[error("the load {load_id} of {pipeline} is being given up: some of its files may be gone")]
    GivingUp { pipeline: String, load_id: String },
    #[error("{} cannot be used", .path.display())]
    StateFile { path: PathBuf, source: io::Error },
    #[error("{what} is not one of ours: {reason}")]
    StateFormat { what: String, reason: String },
    #[error("the target holds no state of {pipeline}")]
    NoStoredState { pipeline: String, target: String },
    #[error("the cursor {field} of {stream} is missing in a record")]
    CursorMissing { stream: String, field: String, origin: Box<Origin> },
    #[error("the cursor {field} of {stream} is a {kind} here, which has no order with {other}")]
    CursorKind { stream: String, field: String, kind: String, other: String, origin: Box<Origin> },
    #[error("more than {count_max} records of {stream} have {value} in {field}")]
    CursorTooCoarse { stream: String, field: String, value: String, count_max: usize },
    #[error("a record of {stream} has no primary key ({fields})")]
    NoPrimaryKey { stream: String, fields: String, origin: Box<Origin> },
    #[error("{stream} gives records that are not parsed, which a pipeline cannot take")]
    NotRows { stream: String },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Project(error) => error.code(),
            Error::UnknownKey { .. } => code::TM1220,
            Error::BadValue { .. } | Error::Layout { .. } | Error::MissingKey { .. } => code::TM1221,
            Error::NoPipeline { .. } | Error::NoStream { .. } => code::TM1222,
            Error::MergeIntoFiles { .. } | Error::ReplaceInStore { .. } => code::TM1223,
            Error::NoSource { .. } | Error::NoTarget { .. } | Error::NoConnection { .. } => code::TM1224,
            Error::OtherLoad { .. } => code::TM1225,
            Error::StateFile { .. } => code::TM1226,
            Error::StateFormat { .. } | Error::NoStoredState { .. } => code::TM1227,
            Error::CursorMissing { .. } | Error::CursorKind { .. } | Error::NoPrimaryKey { .. } => {
                code::TM1228
            }
            Error::CursorTooCoarse { .. } => code::TM1229,
            Error::NoCursor { .. } | Error::TopicRange { .. } => code::TM1230,
            Error::TopicCursor { .. } => code::TM1525,
            Error::ColumnsGone { .. } => code::TM1523,
            Error::Source { .. } | Error::Sink { .. } => code::TM1231,
            Error::PastGivingUp { .. } => code::TM1232,
            Error::GivingUp { .. } => code::TM1233,
            Error::NotRows { .. } => code::TM0001,
        }
    }

    fn spot(&self) -> Option<Spot> {
        let text = |file: &TextFile, (start, length): (usize, usize), label: &str| {
            Some(Spot::Text {
                path: file.path.clone(),
                text: file.text.clone(),
                start,
                length: length.max(1),
                label: label.to_owned(),
            })
        };
        match self {
            Error::Project(error) => error.spot(),
            Error::UnknownKey { file, span, nearest, .. } => {
                let label = nearest.as_ref().map_or_else(String::new, |key| format!("perhaps {key}"));
                text(file, *span, &label)
            }
            Error::BadValue { file, span, expected, .. } => {
                text(file, *span, &format!("expected {expected}"))
            }
            Error::Layout { file, span, .. }
            | Error::MissingKey { file, span, .. }
            | Error::MergeIntoFiles { file, span, .. }
            | Error::ReplaceInStore { file, span, .. }
            | Error::NoSource { file, span, .. }
            | Error::NoTarget { file, span, .. }
            | Error::NoConnection { file, span, .. }
            | Error::TopicCursor { file, span, .. }
            | Error::TopicRange { file, span, .. }
            | Error::NoCursor { file, span, .. } => text(file, *span, ""),
            Error::CursorMissing { origin, .. }
            | Error::CursorKind { origin, .. }
            | Error::NoPrimaryKey { origin, .. } => Some(Spot::Record((**origin).clone())),
            Error::NoPipeline { .. }
            | Error::NoStream { .. }
            | Error::ColumnsGone { .. }
            | Error::Source { .. }
            | Error::Sink { .. }
            | Error::OtherLoad { .. }
            | Error::PastGivingUp { .. }
            | Error::GivingUp { .. }
            | Error::StateFile { .. }
            | Error::StateFormat { .. }
            | Error::NoStoredState { .. }
            | Error::CursorTooCoarse { .. }
            | Error::NotRows { .. } => None,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Project(error) => error.help(),
            Error::UnknownKey { nearest: Some(nearest), .. } => format!("write `{nearest}` instead"),
            Error::UnknownKey { known, .. } => format!("remove it; here stand: {known}"),
            Error::BadValue { key, .. } => format!("correct {key}"),
            Error::Layout { .. } => "write for example {table_name}/{load_id}.{file_id}.{ext}".to_owned(),
            Error::MissingKey { key, .. } => format!("add `{key}`; docs/pipelines/README.md shows a whole file"),
            Error::NoPipeline { nearest: Some(nearest), names, .. } => {
                format!("perhaps {nearest}; there are: {}", names.join(", "))
            }
            Error::NoPipeline { names, .. } if !names.is_empty() => format!("there are: {}", names.join(", ")),
            Error::NoPipeline { name, folder, .. } => format!("write {}", folder.join(format!("{name}.yaml")).display()),
            Error::NoStream { names, .. } => format!("name some of: {}", names.join(", ")),
            Error::MergeIntoFiles { .. } => {
                "use append and take the newest row of a key when you read, use replace, or name a store as the target: mongodb://, dynamodb://, firestore://"
                    .to_owned()
            }
            Error::ReplaceInStore { .. } => "use append or merge, or empty it first: tidemill reset".to_owned(),
            Error::NoSource { schemes, .. } => format!("give an address of one of: {schemes}, or a file"),
            Error::NoTarget { schemes, .. } => format!("give an address of one of: {schemes}, or a folder"),
            Error::NoConnection { names, .. } if names.is_empty() => {
                "give a url, or write the connection into connections.yaml".to_owned()
            }
            Error::NoConnection { names, .. } => format!("name one of: {}", names.join(", ")),
            Error::NoCursor { stream, .. } => format!("give {stream} a cursor, or run without --from and --to"),
            Error::TopicCursor { .. } => {
                "leave the cursor out; to begin at a time: source.settings: { start_from: 2024-01-01T00:00:00Z }".to_owned()
            }
            Error::TopicRange { .. } => {
                "run without --from and --to; for all of the topic again: --full-refresh".to_owned()
            }
            Error::ColumnsGone { pipeline, .. } => {
                format!("put it back, its header is enough; or take the values out by hand: tidemill dead-letters show {pipeline} --output json")
            }
            Error::Source { .. } => "correct the source in the pipeline's file".to_owned(),
            Error::Sink { .. } => "correct the target in the pipeline's file".to_owned(),
            Error::OtherLoad { pipeline, .. } => format!(
                "finish it as it was begun, or give it up: tidemill pipeline reset {pipeline} --load"
            ),
            Error::PastGivingUp { pipeline, .. } => format!("let it come to its end: tidemill run {pipeline}"),
            Error::GivingUp { pipeline, .. } => {
                format!("remove the rest, and run it anew: tidemill pipeline reset {pipeline} --load")
            }
            Error::StateFile { .. } => "make it readable and writable, with room on its disk".to_owned(),
            Error::StateFormat { .. } => {
                "use the version of tidemill that wrote it, or begin anew: tidemill pipeline reset NAME".to_owned()
            }
            Error::NoStoredState { .. } => "nothing is to be restored: the next run loads everything".to_owned(),
            Error::CursorMissing { .. } => {
                "mend the record, or say what becomes of such ones: cursor.on_missing: include or exclude".to_owned()
            }
            Error::CursorKind { .. } => "let the field have one type in all records, or take another cursor".to_owned(),
            Error::CursorTooCoarse { .. } => "take a field that tells records apart better, or set cursor.lag".to_owned(),
            Error::NoPrimaryKey { .. } => "correct primary_key, or mend the record".to_owned(),
            Error::NotRows { .. } => "please report it with the pipeline's file".to_owned(),
        }
    }
}

impl Error {
    pub(crate) fn fatal(self) -> Fault {
        Fault::Fatal(Box::new(self))
    }
}

#[cfg(test)]
mod tests;
