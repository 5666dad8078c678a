//! Each error says what, where, why and what to do.

use base::{Place, problem::plain};

use super::*;

fn file() -> TextFile {
    TextFile { path: "pipelines/lake.yaml".into(), text: "source: {}\nstreams: {}\n".into() }
}

fn origin() -> Box<Origin> {
    let place = std::sync::Arc::new(Place::Collection { name: "planes".into() });
    Box::new(Origin { place, mark: None, id: Some("N14228".into()), came_as: None })
}

fn every_error() -> Vec<Error> {
    let mut errors = of_the_file();
    errors.extend(of_a_run());
    errors
}

fn of_the_file() -> Vec<Error> {
    let (span, stream) = ((0, 6), "planes".to_owned());
    let names = vec!["planes".to_owned(), "airports".to_owned()];
    vec![
        Error::Project(project::Error::NoFolder { path: "work".into() }),
        Error::UnknownKey {
            file: file(),
            span,
            key: "sorce".to_owned(),
            nearest: None,
            known: "source".to_owned(),
        },
        Error::BadValue { file: file(), span, key: "source.url".to_owned(), expected: "a text".to_owned() },
        Error::Layout {
            file: file(),
            span,
            reason: "without {file_id} two files would have one name".to_owned(),
        },
        Error::MissingKey {
            file: file(),
            span,
            key: "target".to_owned(),
            what: "where the tables go: a url",
        },
        Error::NoPipeline {
            name: "lak".to_owned(),
            names: vec!["lake".to_owned()],
            nearest: Some("lake".to_owned()),
            folder: "pipelines".into(),
        },
        Error::NoPipeline {
            name: "lake".to_owned(),
            names: vec![],
            nearest: None,
            folder: "pipelines".into(),
        },
        Error::NoStream { name: "plane".to_owned(), pipeline: "lake".to_owned(), names },
        Error::MergeIntoFiles { file: file(), span, stream: stream.clone() },
        Error::ReplaceInStore { file: file(), span, stream: stream.clone(), target: "mongodb".to_owned() },
        Error::NoSource {
            file: file(),
            span,
            address: "ftp://a".to_owned(),
            schemes: "mongodb://".to_owned(),
        },
        Error::NoTarget { file: file(), span, address: "ftp://a".to_owned(), schemes: "s3://".to_owned() },
        Error::NoConnection { file: file(), span, name: "planes_store".to_owned(), names: vec![] },
        Error::NoCursor { stream, file: file(), span },
        Error::TopicCursor { stream: "orders".to_owned(), file: file(), span },
        Error::TopicRange { stream: "orders".to_owned(), file: file(), span },
    ]
}

fn of_a_run() -> Vec<Error> {
    let (stream, field) = ("planes".to_owned(), "updated_at".to_owned());
    let io = || io::Error::from(io::ErrorKind::PermissionDenied);
    vec![
        Error::ColumnsGone { pipeline: "lake".to_owned(), path: "data/planes.csv".into() },
        Error::Source { stream: stream.clone(), source: "a file takes no filter".into() },
        Error::Sink { stream: stream.clone(), source: "it has no sink".into() },
        Error::OtherLoad {
            pipeline: "lake".to_owned(),
            load_id: "1795834114.874".to_owned(),
            difference: "the pipeline's file has changed since".to_owned(),
        },
        Error::PastGivingUp { pipeline: "lake".to_owned(), load_id: "1795834114.874".to_owned() },
        Error::GivingUp { pipeline: "lake".to_owned(), load_id: "1795834114.874".to_owned() },
        Error::StateFile { path: ".tidemill/pipelines/lake/state.json".into(), source: io() },
        Error::StateFormat {
            what: "the state of lake".to_owned(),
            reason: "version 2; this program reads 1".to_owned(),
        },
        Error::NoStoredState { pipeline: "lake".to_owned(), target: "s3://lake/warehouse".to_owned() },
        Error::CursorMissing { stream: stream.clone(), field: field.clone(), origin: origin() },
        Error::CursorKind {
            stream: stream.clone(),
            field: field.clone(),
            kind: "string".to_owned(),
            other: "7".to_owned(),
            origin: origin(),
        },
        Error::CursorTooCoarse { stream: stream.clone(), field, value: "7".to_owned(), count_max: 200_000 },
        Error::NoPrimaryKey { stream: stream.clone(), fields: "tailnum".to_owned(), origin: origin() },
        Error::NotRows { stream },
    ]
}

#[test]
fn every_error_says_what_and_what_to_do() {
    let texts: Vec<String> = every_error().iter().map(|error| plain(error)).collect();
    insta::assert_snapshot!(texts.join("\n"));
}
