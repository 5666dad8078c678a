//! `source:`: where the records come from.

use std::collections::BTreeMap;

use super::{
    node::Span,
    section::{Section, scalar},
};
use crate::Error;

/// Where the streams of a pipeline are read from.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSpec {
    /// The name of a connection of the project.
    pub connection: Option<String>,
    /// `mongodb://…`, `dynamodb://local`, `firestore://…`, or a path, also with `*`.
    pub url: Option<String>,
    pub database: Option<String>,
    /// The connector's own settings, by its own names.
    pub settings: BTreeMap<String, String>,
    /// Of `connection` or `url`.
    pub span: Span,
}

const KEYS: &[&str] = &["connection", "url", "database", "settings"];

impl SourceSpec {
    pub(super) fn read(top: &Section<'_>) -> Result<Self, Error> {
        let source = top
            .section("source", KEYS)?
            .ok_or_else(|| top.need("source", "where the records come from: a connection or a url"))?;
        let (connection, url) = (source.text("connection")?, source.text("url")?);
        let span = match (&connection, &url) {
            (Some((_, span)), None) | (None, Some((_, span))) => *span,
            (None, None) => return Err(source.need("connection", "the name of a connection, or a url")),
            (Some(_), Some((_, span))) => {
                return Err(Error::BadValue {
                    file: top.file.clone(),
                    span: *span,
                    key: "source.url".to_owned(),
                    expected: "either a connection or a url, not both".to_owned(),
                });
            }
        };
        let database = source.text("database")?.map(|(text, _)| text);
        Ok(Self {
            connection: connection.map(|(text, _)| text),
            url: url.map(|(text, _)| text),
            database,
            settings: settings(&source)?,
            span,
        })
    }
}

/// A flat mapping of the connector's own words.
pub(super) fn settings(section: &Section<'_>) -> Result<BTreeMap<String, String>, Error> {
    let Some(node) = section.get("settings") else { return Ok(BTreeMap::new()) };
    let path = section.key_path("settings");
    let own = Section::open(section.file, &path, node)?;
    let pair = |entry: &super::node::Entry| match scalar(&entry.value) {
        Some(text) => Ok((entry.key.clone(), text)),
        None => Err(own.refuse(&entry.key, &entry.value, "a text")),
    };
    own.entries().iter().map(pair).collect()
}
