//! Collections and tables.

use base::{BoxError, Fault, units::counted};
use connectors::{Settings, dynamodb, firestore, mongodb};

use super::{Action, Args, Error, Step};
use crate::{
    commands::load::Store,
    context::{Context, Failure},
};

/// Which collection or table.
#[derive(Clone)]
pub(super) struct Work {
    kind: Kind,
    name: String,
}

#[derive(Clone)]
enum Kind {
    Mongo { uri: base::Secret, database: String },
    Dynamo { access: dynamodb::Access, create: Option<dynamodb::Create> },
    Firestore { connection: firestore::Connection },
}

/// A name in place of the one that `--prefix` stands for.
const ANY: &str = "any";

/// What the target means: one thing, or all that begin so.
pub(super) async fn plan(args: &Args, context: &Context, target: &str) -> Result<Vec<Step>, Failure> {
    let (place, options) = target.split_once('?').map_or((target, ""), |(place, options)| (place, options));
    let place = place.trim_end_matches('/');
    let address = match (&args.prefix, options) {
        (Some(_), "") => format!("{place}/{ANY}"),
        (Some(_), options) => format!("{place}/{ANY}?{options}"),
        (None, _) => target.to_owned(),
    };
    let store = Store::parse(&address, context).map_err(|failure| match &args.prefix {
        Some(_) => Box::new(Error::PrefixOfOne { target: place.to_owned() }) as Failure,
        None => failure,
    })?;
    let kind = Kind::of(args, &store, target)?;
    let look = |source: BoxError| Box::new(Error::Look { thing: place.to_owned(), source }) as Failure;
    let known = kind.names(args.prefix.as_deref().unwrap_or(store.name())).await.map_err(look)?;
    let names = match &args.prefix {
        Some(_) => known.clone(),
        None => vec![store.name().to_owned()],
    };
    let parent = match &args.prefix {
        Some(_) => place.to_owned(),
        None => place.rsplit_once('/').map_or(place, |(parent, _)| parent).to_owned(),
    };
    let parent = shown(&parent);
    let mut steps = Vec::new();
    for name in names {
        for action in args.actions(known.contains(&name)) {
            let detail = kind.detail(action, &name).await.map_err(look)?;
            let work = super::Work::Store(Work { kind: kind.clone(), name: name.clone() });
            steps.push(Step { action, thing: format!("{parent}/{name}"), detail, work });
        }
    }
    Ok(steps)
}

/// An address without whom it signs in as.
fn shown(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => address.to_owned(),
    }
}

impl Kind {
    fn of(args: &Args, store: &Store, target: &str) -> Result<Self, Failure> {
        let failed = |source: BoxError| Box::new(Error::Look { thing: shown(target), source }) as Failure;
        let settings = store.settings();
        Ok(match store.scheme() {
            "mongodb" => {
                let config = mongodb::SinkConfig::read(settings).map_err(|error| failed(error.into()))?;
                Kind::Mongo { uri: config.uri, database: config.database }
            }
            "dynamodb" => {
                let settings = with_key(settings, args);
                let config = dynamodb::SinkConfig::read(&settings).map_err(|error| failed(error.into()))?;
                if args.create && config.create.is_none() {
                    return Err(Box::new(Error::Keyless { target: target.to_owned() }));
                }
                Kind::Dynamo { access: config.access, create: config.create }
            }
            _ => Kind::Firestore { connection: firestore::Connection::read(settings).map_err(failed)? },
        })
    }

    /// All that begin so, in their order.
    async fn names(&self, prefix: &str) -> Result<Vec<String>, BoxError> {
        match self {
            Kind::Mongo { uri, database } => {
                let collections = mongodb::Collections::of(uri.clone(), database.clone());
                collections.names(prefix).await.map_err(Fault::into_inner)
            }
            Kind::Dynamo { access, .. } => Ok(dynamodb::tables::list(access.clone(), prefix).await?),
            Kind::Firestore { connection } => firestore::collections(connection, prefix).await,
        }
    }

    async fn detail(&self, action: Action, name: &str) -> Result<String, BoxError> {
        if action == Action::Make {
            return Ok(match self {
                Kind::Mongo { .. } => "a collection".to_owned(),
                Kind::Dynamo { create: Some(create), .. } => {
                    let names: Vec<&str> = create.key.iter().map(|(name, _)| name.as_str()).collect();
                    format!("a table, its key {}", names.join(", "))
                }
                Kind::Dynamo { create: None, .. } => "a table".to_owned(),
                Kind::Firestore { .. } => "nothing: a collection comes with its first document".to_owned(),
            });
        }
        Ok(match self {
            Kind::Mongo { uri, database } => {
                let collections = mongodb::Collections::of(uri.clone(), database.clone());
                let count = collections.count(name).await.map_err(Fault::into_inner)?;
                counted(count, "document")
            }
            Kind::Dynamo { .. } => "all its items".to_owned(),
            Kind::Firestore { .. } => "all its documents, and all below them".to_owned(),
        })
    }
}

/// `--key NAME:N,NAME` in the connector's words.
fn with_key(settings: &Settings, args: &Args) -> Settings {
    let mut settings = settings.clone();
    if let (Some(key), true) = (&args.key, args.create) {
        let parts: Vec<(&str, &str)> =
            key.split(',').map(|part| part.trim().split_once(':').unwrap_or((part.trim(), "S"))).collect();
        let join = |part: fn(&(&str, &str)) -> String| parts.iter().map(part).collect::<Vec<_>>().join(",");
        settings.insert("create".to_owned(), "true".to_owned());
        settings.insert("key".to_owned(), join(|(name, _)| (*name).to_owned()));
        settings.insert("key_types".to_owned(), join(|(_, kind)| (*kind).to_owned()));
    }
    settings
}

/// Does it, and says how much it was.
pub(super) async fn act(action: Action, work: &Work) -> Result<String, BoxError> {
    let Work { kind, name } = work;
    match (kind, action) {
        (Kind::Mongo { uri, database }, action) => {
            let collections = mongodb::Collections::of(uri.clone(), database.clone());
            let done = match action {
                Action::Make => collections.create(name).await.map(|()| String::new()),
                Action::Empty => collections.empty(name).await.map(|count| counted(count, "document")),
                Action::Drop => collections.drop(name).await.map(|()| String::new()),
            };
            done.map_err(Fault::into_inner)
        }
        (Kind::Dynamo { access, create }, Action::Make) => match create {
            Some(create) => {
                dynamodb::tables::create(access.clone(), name, create).await?;
                Ok(String::new())
            }
            None => Err("no key is named".into()),
        },
        (Kind::Dynamo { access, .. }, Action::Empty) => {
            Ok(counted(dynamodb::tables::empty(access.clone(), name).await?, "item"))
        }
        (Kind::Dynamo { access, .. }, Action::Drop) => {
            dynamodb::tables::delete(access.clone(), name).await?;
            Ok(String::new())
        }
        (Kind::Firestore { .. }, Action::Make) => Ok(String::new()),
        (Kind::Firestore { connection }, Action::Empty | Action::Drop) => {
            Ok(counted(firestore::empty(connection, name).await?, "document"))
        }
    }
}
