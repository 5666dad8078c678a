//! Stores and topics as sources of a load: whom an address means, what is asked of it, and how its records reach a target.
//!
//! A store gives rows with all its types: to another store they go as they are. A topic gives bytes: to another topic they go as they are,
//! with key, headers and time; to all else they are decoded, by the schema that they are framed with or as `--format` says.

use std::sync::Arc;

use base::{BoxError, Code, Problem, Source, SystemClock, code};
use connectors::{
    Selection, TableForm,
    crossing::{Decode, Keyed, Plain, TopicForm},
    kafka::{SourceConfig, TopicSource, Topics},
    received::Received,
};
use engine::Stage;
use tokio_util::sync::CancellationToken;

use super::{
    Args, Target,
    failure::LoadError,
    input::Input,
    kafka::Topic,
    pace::{Paced, Plan},
    stores::Store,
};
use crate::{
    commands::dead_letters::Kind,
    context::{Context, Failure},
};

/// What is asked of a store.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Stores as sources")]
pub(super) struct SelectArgs {
    /// Of a store as a source: only records that fulfil this, in the store's own language (a filter document of MongoDB, a filter
    /// expression of DynamoDB, [FIELD, OPERATOR, VALUE] of Firestore)
    #[arg(long, visible_alias = "query", value_name = "CONDITION")]
    filter: Option<String>,
    /// Of a store as a source: only these fields of the top level, besides its key
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    fields: Vec<String>,
}

/// A store or a topic that is read.
pub(super) struct Records {
    source: Arc<dyn Source>,
    name: Arc<str>,
    /// Where it is a topic, or refused records of one.
    topic: Option<Arc<TopicSource>>,
    table_form: TableForm,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{address} is loaded alone, and {other} stands beside it")]
    NotAlone { address: String, other: String },
    #[error("only a store takes {flag}")]
    OnlyForStores { flag: &'static str },
    #[error("{what} cannot be read so")]
    Store { what: String, source: BoxError },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Store { source, .. } => {
                crate::causes::deepest(&**source).map_or(code::TM1454, |problem| problem.code())
            }
            Error::NotAlone { .. } | Error::OnlyForStores { .. } => code::TM1454,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::NotAlone { .. } => "load each in a command of its own".to_owned(),
            Error::OnlyForStores { .. } => "leave it out".to_owned(),
            Error::Store { source, .. } => crate::causes::deepest(&**source).map_or_else(
                || "correct the address, or --filter and --fields".to_owned(),
                |problem| problem.help(),
            ),
        }
    }
}

const SCHEMES: [&str; 5] = ["mongodb", "mongodb+srv", "dynamodb", "firestore", "kafka"];

fn scheme(source: &str) -> Option<&str> {
    source.split_once("://").map(|(scheme, _)| scheme).filter(|scheme| SCHEMES.contains(scheme))
}

pub(super) fn kind(sources: &[String]) -> Kind {
    match sources.iter().find_map(|source| scheme(source)) {
        Some("kafka") => Kind::Topic,
        Some(_) => Kind::Store,
        None => Kind::Texts,
    }
}

/// The sources of a load, whatever they are.
pub(super) async fn open(args: &Args, context: &Context, sources: &[String]) -> Result<Input, Failure> {
    if let Some(records) = Records::open(args, context, sources)? {
        return Ok(Input::Records(records));
    }
    let asked = [("--filter", args.select.filter.is_some()), ("--fields", !args.select.fields.is_empty())];
    if let Some((flag, _)) = asked.iter().find(|(_, is_asked)| *is_asked) {
        return Err(Box::new(Error::OnlyForStores { flag }));
    }
    Input::open(args, context, sources).await
}

impl Records {
    /// `None`: the sources are no store and no topic.
    pub(super) fn open(args: &Args, context: &Context, sources: &[String]) -> Result<Option<Self>, Failure> {
        let Some(address) = sources.iter().find(|source| scheme(source).is_some()) else { return Ok(None) };
        if let Some(other) = sources.iter().find(|source| *source != address) {
            return Err(Box::new(Error::NotAlone { address: address.clone(), other: other.clone() }));
        }
        match scheme(address) {
            Some("kafka") => Records::topic(args, context, address).map(Some),
            _ => Records::store(args, context, address).map(Some),
        }
    }

    fn store(args: &Args, context: &Context, address: &str) -> Result<Self, Failure> {
        let store = Store::parse(address, context)?;
        let selection = Selection {
            fields: args.select.fields.clone(),
            filter: args.select.filter.clone(),
            ..Selection::default()
        };
        let what = store.name().to_owned();
        let source =
            store.source(&selection).map_err(|source| Error::Store { what: what.clone(), source })?;
        let source = match args.limit {
            Some(limit) => {
                let (clock, never) = (Arc::new(SystemClock), CancellationToken::new());
                Arc::new(Paced::new(source, Plan::only(limit), clock, never)) as Arc<dyn Source>
            }
            None => source,
        };
        let (name, table_form) = (what.into(), store.table_form());
        Ok(Self { source, name, topic: None, table_form })
    }

    fn topic(args: &Args, context: &Context, address: &str) -> Result<Self, Failure> {
        let topic = Topic::parse(address)?;
        for (flag, is_given) in
            [("--filter", args.select.filter.is_some()), ("--fields", !args.select.fields.is_empty())]
        {
            if is_given {
                return Err(Box::new(Error::OnlyForStores { flag }));
            }
        }
        let bootstrap = context.kafka(topic.server.as_deref())?;
        let mut config =
            SourceConfig::new(bootstrap, "tidemill-load", Topics::List(vec![topic.name.clone()]));
        if topic.server.is_none() {
            config.properties = context.kafka_properties()?;
        }
        // The others are a producer's.
        let is_of_any = |key: &str| connectors::kafka::is_of_any_client(key);
        let given = args.property.iter().filter_map(|text| text.split_once('='));
        let given = given.filter(|(key, _)| is_of_any(key));
        config.properties.extend(given.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let source = TopicSource::new(config, args.limit).map_err(|error| Box::new(error) as Failure)?;
        let source = Arc::new(source);
        Ok(Self {
            source: source.clone(),
            name: topic.name.into(),
            topic: Some(source),
            table_form: connectors::plain_form,
        })
    }

    /// Refused records of the store or topic that the sources name, in its place. `None`: they name none.
    pub(super) fn of_letters(
        args: &Args,
        context: &Context,
        sources: &[String],
        letters: Arc<dyn Source>,
    ) -> Result<Option<Self>, Failure> {
        let records = Self::open(args, context, sources)?;
        Ok(records.map(|records| Self { source: letters, ..records }))
    }

    pub(super) fn source(&self) -> Arc<dyn Source> {
        self.source.clone()
    }

    /// Of a topic: the id that its cluster has given it, where it gives any. `was`: that of the topic that the load began with.
    pub(super) async fn topic_id(&self, was: Option<String>) -> Result<Option<String>, Failure> {
        let Some(topic) = &self.topic else { return Ok(None) };
        topic.same_as(was).await.map_err(|fault| LoadError::of(fault, 0, &self.name) as Failure)
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn table_form(&self) -> TableForm {
        self.table_form
    }

    /// The stages that make rows of its records.
    pub(super) fn rows(&self, args: &Args, context: &Context) -> Result<Vec<Arc<dyn Stage>>, Failure> {
        if self.topic.is_none() {
            return Ok(Vec::new());
        }
        let form = match args.format.as_deref() {
            Some("json" | "jsonl") => TopicForm::Json,
            Some("text") => TopicForm::Text,
            Some("bytes") => TopicForm::Bytes,
            _ => TopicForm::Told,
        };
        let registry = context.registry(args.registry.as_deref(), &args.registry_property)?;
        Ok(vec![Arc::new(Decode::new(form, registry))])
    }

    /// The stages between it and a target, around the one that the target's kind has made.
    pub(super) fn stages(
        &self,
        args: &Args,
        context: &Context,
        target: &Target,
        stage: Arc<dyn Stage>,
    ) -> Result<Vec<Arc<dyn Stage>>, Failure> {
        let mut stages = self.rows(args, context)?;
        match target {
            Target::Kafka(_) => {
                let is_copy = self.topic.is_some()
                    && args.serializer.is_none()
                    && args.contract.is_none()
                    && args.key.is_empty()
                    && args.format.is_none();
                if is_copy {
                    return Ok(Vec::new());
                }
                stages.push(Arc::new(Plain(self.name.clone())));
                stages.push(Arc::new(Keyed(stage)));
            }
            Target::Store(_) if args.contract.is_some() => {
                stages.push(Arc::new(Plain(self.name.clone())));
                stages.push(stage);
            }
            Target::Store(_) => stages.push(stage),
            Target::Files(_) => return Ok(stages),
        }
        // What any of them refuses is told as it came.
        Ok(vec![Arc::new(Received::new(stages))])
    }
}
