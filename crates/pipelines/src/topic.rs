//! A topic as a stream: read from where the last load ended to where it ends when the run begins, as rows.
//!
//! Nobody's group is told of it: how far a topic was read is the pipeline's own state, which moves with the load that has written it.

use std::{collections::BTreeMap, sync::Arc};

use connectors::{
    Settings,
    crossing::{Decode, TopicForm},
    kafka::{Beginning, SourceConfig, TopicRows, TopicSource, Topics},
};
use engine::Stage;

use crate::{
    CursorValue, Error, PipelineFile, Places, WriteDisposition,
    file::{StreamSpec, section::LIKENESS_MIN},
    incremental::scalar_value,
    source::{Asked, Opened},
};

/// The scheme of Kafka's addresses.
pub(crate) const TOPICS: &str = "kafka";
pub(crate) const BOOTSTRAP: &str = "bootstrap.servers";
/// A client has to name one; nothing is committed for it.
const GROUP: &str = "tidemill-pipelines";

/// `source.settings` of a topic; keys with a dot are those of Kafka's clients.
#[derive(Debug, Default, PartialEq)]
struct TopicSettings {
    form: Option<TopicForm>,
    has_metadata: bool,
    /// Where a partition that was not read yet begins.
    from_ms: Option<i64>,
}

const KEYS: [&str; 4] = ["format", "metadata", "start_from", "registry"];

impl TopicSettings {
    /// Takes its own out of all of them.
    fn take(settings: &mut Settings) -> Result<Self, String> {
        let form = match settings.remove("format").as_deref() {
            None => None,
            Some("json" | "jsonl") => Some(TopicForm::Json),
            Some("text") => Some(TopicForm::Text),
            Some("bytes") => Some(TopicForm::Bytes),
            Some(other) => return Err(format!("format {other} is none of json, text and bytes")),
        };
        let has_metadata = match settings.remove("metadata").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(format!("metadata {other} is neither true nor false")),
        };
        let from_ms = match settings.remove("start_from") {
            None => None,
            Some(text) => Some(moment_ms(&text).ok_or_else(|| {
                format!("start_from {text} is no moment: write it as 2024-01-01T00:00:00Z")
            })?),
        };
        // Whoever runs the pipeline has asked for it already.
        settings.remove("registry");
        match settings.keys().find(|key| !key.contains('.')) {
            Some(key) => Err(unknown(key)),
            None => Ok(Self { form, has_metadata, from_ms }),
        }
    }
}

fn unknown(key: &str) -> String {
    let likeness = |known: &str| strsim::jaro_winkler(known, key);
    let best = KEYS.into_iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    match best.filter(|known| likeness(known) >= LIKENESS_MIN) {
        Some(nearest) => format!("a topic has no setting {key}; perhaps {nearest}"),
        None => format!(
            "a topic has no setting {key}; there are {}, and those of Kafka's clients, such as security.protocol",
            KEYS.join(", ")
        ),
    }
}

fn moment_ms(text: &str) -> Option<i64> {
    match scalar_value(text) {
        CursorValue::Timestamp { us, .. } => Some(us.div_euclid(1_000)),
        CursorValue::Date { days, .. } => Some(i64::from(days) * 86_400_000),
        _ => None,
    }
}

impl PipelineFile {
    pub(crate) fn open_topic(
        &self,
        stream: &StreamSpec,
        asked: &Asked<'_>,
        mut settings: Settings,
        places: &Places,
    ) -> Result<Opened, Error> {
        let failed = |source| Error::Source { stream: stream.name.clone(), source };
        if stream.cursor.is_some() {
            return Err(Error::TopicCursor {
                file: self.file.clone(),
                span: stream.span,
                stream: stream.name.clone(),
            });
        }
        asked.selection.expect_everything("a topic").map_err(failed)?;
        settings.remove("collection");
        settings.remove("database");
        let TopicSettings { form, has_metadata, from_ms } =
            TopicSettings::take(&mut settings).map_err(|reason| failed(reason.into()))?;
        let bootstrap = settings.remove(BOOTSTRAP).ok_or_else(|| {
            failed("no broker is named: write the url as kafka://HOST:PORT, or kafka://local".into())
        })?;
        let topics = Topics::List(vec![stream.collection.clone()]);
        let mut config = SourceConfig::new(bootstrap, GROUP, topics);
        config.properties = settings.into_iter().filter(|(key, _)| key != "group.id").collect();
        let known = asked.topic.filter(|known| known.topic == stream.collection);
        // What is replaced is all of it.
        let known = known.filter(|_| stream.shape.write_disposition != WriteDisposition::Replace);
        let id = known.and_then(|known| known.id.clone());
        let offsets = known.map(|known| known.offsets.clone()).unwrap_or_default();
        let source = TopicSource::from(config, Beginning { offsets, from_ms });
        let source = Arc::new(source.map_err(|error| failed(error.into()))?);
        let registry = places.registry.clone().ok_or_else(|| failed("no registry is known".into()))?;
        let rows = TopicRows {
            values: Arc::new(Decode::new(form.unwrap_or(TopicForm::Told), registry)),
            has_metadata,
            keeps_deletes: has_metadata
                && !matches!(stream.shape.write_disposition, WriteDisposition::Merge(_)),
        };
        Ok(Opened {
            source: match asked.letters {
                Some(letters) => letters.source.clone(),
                None => source.clone(),
            },
            stages: vec![Arc::new(rows) as Arc<dyn Stage>],
            table_form: connectors::plain_form,
            first_form: "a topic's records",
            columns: BTreeMap::new(),
            topic: asked.letters.is_none().then_some((source, id)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pairs: &[(&str, &str)]) -> Result<(TopicSettings, Settings), String> {
        let mut settings: Settings =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        TopicSettings::take(&mut settings).map(|taken| (taken, settings))
    }

    #[test]
    fn settings_are_ours_or_those_of_kafkas_clients() {
        let given =
            [("format", "json"), ("metadata", "true"), ("start_from", "2024-01-01"), ("sasl.username", "me")];
        let (taken, rest) = take(&given).expect("they are good");
        let form = Some(TopicForm::Json);
        assert_eq!(taken, TopicSettings { form, has_metadata: true, from_ms: Some(1_704_067_200_000) });
        assert_eq!(rest.keys().collect::<Vec<_>>(), ["sasl.username"]);
        let wrong = [
            ("format", "avro", "format avro is none of json, text and bytes"),
            ("metadata", "yes", "metadata yes is neither true nor false"),
            ("start_from", "soon", "start_from soon is no moment: write it as 2024-01-01T00:00:00Z"),
            ("metdata", "true", "a topic has no setting metdata; perhaps metadata"),
            (
                "speed",
                "high",
                "a topic has no setting speed; there are format, metadata, start_from, registry, and those of Kafka's \
                 clients, such as security.protocol",
            ),
        ];
        for (key, value, reason) in wrong {
            assert_eq!(take(&[(key, value)]).expect_err("it is wrong"), reason);
        }
    }
}
