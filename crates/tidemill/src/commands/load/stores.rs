//! Tables and collections as targets of a load: whom an address means, and the rows that the store takes.
//!
//! `local` is the project's own part. A name that is one of the project's connections means that; every other is a host, a
//! region or a project. A store's sink is found by the address's scheme: this file knows how to say where, not how to write.

use std::sync::Arc;

use base::Value;
use cloud::registry::without_user;
use connectors::{
    Connector, Selection, Settings, TableForm,
    crossing::Rekeyed,
    record::Shape,
    rows::{Plan, Planned, Rows, seen::Seen},
};
use engine::Stage;
use project::Connection;
use serde_json::json;

use super::{
    Args, Prepared, Write, contract_text,
    failure::LoadError,
    input::{Input, Reading},
    nulls,
    watch::Lazy,
};
use crate::context::{Context, Failure};

/// Rows are many times their text; three batches of each of two files.
const BUDGET_BYTES: u32 = 24 << 20;

/// Where rows go.
pub(in crate::commands) struct Store {
    connector: &'static Connector,
    settings: Settings,
    /// The table or the collection.
    name: String,
}

/// What is said of tables and collections.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Tables and collections")]
pub(super) struct TableArgs {
    /// Make an index over these fields of a collection (MongoDB), or with the table that is made (DynamoDB: partition key, sort key);
    /// may be given several times
    #[arg(long, value_name = "FIELD[,FIELD]")]
    index: Vec<String>,
    /// As --index, and no two documents may have the same values (MongoDB)
    #[arg(long, value_name = "FIELD[,FIELD]", hide_short_help = true)]
    unique_index: Vec<String>,
    /// How a table that is made is paid for (DynamoDB): on-demand, or provisioned with --capacity
    #[arg(long, value_name = "MODE", value_parser = ["on-demand", "provisioned"], requires = "create", hide_short_help = true)]
    billing: Option<String>,
    /// Read and write units of a table that is made (DynamoDB)
    #[arg(long, value_name = "READ,WRITE", requires = "create", hide_short_help = true)]
    capacity: Option<String>,
}

impl Store {
    /// The table or the collection.
    pub(in crate::commands) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::commands) fn scheme(&self) -> &'static str {
        self.connector.spec.scheme
    }

    /// In the connector's words.
    pub(in crate::commands) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn table_form(&self) -> TableForm {
        self.connector.table_form
    }

    /// It as a source.
    pub(super) fn source(&self, selection: &Selection) -> Result<Arc<dyn base::Source>, base::BoxError> {
        match self.connector.source {
            Some(open) => open(&self.settings, selection),
            None => Err(format!("{} cannot be read", self.connector.name).into()),
        }
    }

    pub(in crate::commands) fn parse(text: &str, context: &Context) -> Result<Self, Failure> {
        let refuse = || Box::new(LoadError::Target { target: text.to_owned() }) as Failure;
        let (scheme, rest) = text.split_once("://").ok_or_else(refuse)?;
        let is_mongodb = matches!(scheme, "mongodb" | "mongodb+srv");
        let connector = connectors::by_scheme(if is_mongodb { "mongodb" } else { scheme });
        let connector = connector.filter(|connector| connector.sink.is_some()).ok_or_else(refuse)?;
        let (place, _) = rest.split_once(['/', '?']).ok_or_else(refuse)?;
        let connections = context.project()?.connections()?;
        let connection = if connections.has(place) { Some(connections.get(place)?) } else { None };
        let target = Address { text, rest, place, connection: connection.as_ref(), context };
        let (settings, name) = match connector.spec.scheme {
            "mongodb" => target.mongodb(),
            "dynamodb" => target.dynamodb(),
            "firestore" => target.firestore(),
            _ => Err(refuse()),
        }?;
        Ok(Self { connector, settings, name })
    }
}

/// An address, and the connection that it names.
struct Address<'a> {
    text: &'a str,
    rest: &'a str,
    place: &'a str,
    connection: Option<&'a Connection>,
    context: &'a Context,
}

impl Address<'_> {
    fn refuse(&self) -> Failure {
        Box::new(LoadError::Target { target: without_user(self.text) })
    }

    /// The connection, where it is one of this type.
    fn of_type(&self, types: &[&str]) -> Result<Option<&Connection>, Failure> {
        let Some(connection) = self.connection else { return Ok(None) };
        if types.contains(&connection.conn_type()) {
            return Ok(Some(connection));
        }
        let reason = format!("connection {} is of type {}", connection.id, connection.conn_type());
        Err(Box::new(LoadError::Connection { target: without_user(self.text), reason }))
    }

    /// What stands behind the first slash, in one word.
    fn one_name(&self) -> Result<String, Failure> {
        let name = self.rest.split_once('/').map_or("", |(_, name)| name);
        if name.is_empty() || name.contains('/') { Err(self.refuse()) } else { Ok(name.to_owned()) }
    }

    /// `HOST/DATABASE/COLLECTION?OPTIONS`, or `CONNECTION/COLLECTION` with the connection's database.
    fn mongodb(&self) -> Result<(Settings, String), Failure> {
        if let Some(connection) = self.of_type(&["mongo", "mongodb"])? {
            let collection = self.one_name()?;
            let uri = crate::reach::mongodb_uri(connection);
            let mut settings = settings([("uri", uri.reveal()), ("collection", &collection)]);
            settings.extend(connection.schema().map(|name| ("database".to_owned(), name.to_owned())));
            return Ok((settings, collection));
        }
        let (path, options) = self.rest.split_once('?').unwrap_or((self.rest, ""));
        let mut parts = path.split('/');
        let (Some(hosts), Some(database), Some(collection), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(self.refuse());
        };
        if [hosts, database, collection].contains(&"") {
            return Err(self.refuse());
        }
        let (scheme, _) = self.text.split_once("://").unwrap_or(("mongodb", ""));
        let options = if options.is_empty() { String::new() } else { format!("?{options}") };
        let uri = format!("{scheme}://{hosts}/{options}");
        Ok((
            settings([("uri", uri.as_str()), ("database", database), ("collection", collection)]),
            collection.to_owned(),
        ))
    }

    /// `local/TABLE`, `REGION/TABLE`, or `CONNECTION/TABLE` of an AWS connection.
    fn dynamodb(&self) -> Result<(Settings, String), Failure> {
        let table = self.one_name()?;
        let mut settings = match (self.of_type(&["aws", "dynamodb"])?, self.place) {
            (Some(connection), _) => crate::reach::aws_settings(connection, "dynamodb"),
            (None, "local") => crate::reach::local_dynamodb(self.context)?,
            (None, region) => settings([("region", region)]),
        };
        settings.insert("table".to_owned(), table.clone());
        Ok((settings, table))
    }

    /// `PROJECT/COLLECTION`, or `CONNECTION/COLLECTION` of a Google connection.
    fn firestore(&self) -> Result<(Settings, String), Failure> {
        let collection = self.rest.split_once('/').map_or("", |(_, path)| path).to_owned();
        if collection.is_empty() {
            return Err(self.refuse());
        }
        let mut settings = match self.of_type(&["google_cloud_platform"])? {
            Some(connection) => crate::reach::google_settings(connection),
            None => settings([("project", self.place)]),
        };
        settings.insert("collection".to_owned(), collection.clone());
        Ok((settings, collection))
    }
}

fn settings<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Settings {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(super) async fn prepare(
    args: &Args,
    context: &Context,
    store: &Store,
    input: &Input,
    began_ms: i64,
) -> Result<Prepared, Failure> {
    refuse_flags_of_topics(args, input)?;
    let contract = match contract_text(args, context)? {
        Some((path, kind, text)) => {
            let contract = contracts::contract(kind, &path.to_string_lossy(), None, &text);
            Some(Arc::new(contract.map_err(|error| Box::new(error) as Failure)?))
        }
        None => None,
    };
    let nulls = nulls(args);
    let planned = input.planned(contract.is_some(), args.files.infer_rows).await?;
    let key_kinds = kinds_of(&args.key, &planned, contract.as_deref());
    let stamp = args.stamp.as_deref().map(|field| (field.into(), Value::TimestampMs(began_ms)));
    let index_kinds: Vec<Option<Vec<&'static str>>> = args
        .tables
        .index
        .iter()
        .map(|index| kinds_of(&names_of(index), &planned, contract.as_deref()))
        .collect();
    let has_contract = contract.is_some();
    // A preview shows what each value is.
    let keeps_json = store.connector.spec.takes_json && args.reading.preview.is_none();
    let plan = Plan { contract, keys: args.key.clone(), nulls, stamp, keeps_json };
    let stage: Arc<dyn Stage> = match (input, input.watched()) {
        // A store's rows have their types already; a contract is for the text that they would be.
        (Input::Records(_), _) if !has_contract => Arc::new(Rekeyed { keys: plan.keys, stamp: plan.stamp }),
        (_, Some(read)) => Arc::new(appearing(plan, read.clone())),
        _ => {
            let stage = Rows::new(plan, planned.clone());
            Arc::new(stage.map_err(|source| Box::new(LoadError::Plan { source }) as Failure)?)
        }
    };
    let settings = sink_settings(args, store, key_kinds, index_kinds)?;
    let open = store.connector.sink.ok_or_else(|| LoadError::Target { target: store.name.clone() });
    let sink = open?(&settings).map_err(|source| Box::new(LoadError::Store { source }) as Failure)?;
    Ok(Prepared {
        stage,
        sink,
        name: store.name.clone(),
        told: json!({ "store": store.connector.name, "target": store.name }),
        is_repeatable: true,
        budget_bytes: BUDGET_BYTES,
        planned,
    })
}

/// The rows of files that nobody knows yet: each file's types are told when it comes.
fn appearing(plan: Plan, read: Reading) -> Lazy {
    let runtime = tokio::runtime::Handle::current();
    Lazy::new(16, move |path| {
        let (source, shape) = read.open(path)?;
        let kinds = match &shape {
            Shape::Csv { header, cells } if plan.contract.is_none() => {
                let mut seen = Seen::new(header, cells.clone());
                runtime.block_on(seen.look(&source, path))?;
                seen.kinds()
            }
            _ => Vec::new(),
        };
        let planned = Planned { path: path.into(), shape: shape.mapped(&read.mapping), kinds };
        Ok(Arc::new(Rows::new(plan.clone(), vec![planned])?) as Arc<dyn Stage>)
    })
}

fn refuse_flags_of_topics(args: &Args, input: &Input) -> Result<(), LoadError> {
    let given = [
        ("--serializer", args.serializer.is_some()),
        ("--registry", args.registry.is_some() && !matches!(input, Input::Records(_))),
        ("--registry-property", !args.registry_property.is_empty() && !matches!(input, Input::Records(_))),
        ("--no-register", args.no_register),
        ("--linger-ms", args.linger_ms.is_some()),
        ("--batch-bytes", args.batch_bytes.is_some()),
        ("--compression", args.compression.is_some()),
        ("--property", !args.property.is_empty() && !matches!(input, Input::Records(_))),
    ];
    match given.iter().chain(&args.topics.given()).find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(LoadError::NotForStores { flag }),
        None => Ok(()),
    }
}

/// DynamoDB's letter for each key field: a number where every value is one. `None` where only the records can tell.
fn kinds_of(
    keys: &[String],
    planned: &[Planned],
    contract: Option<&base::Contract>,
) -> Option<Vec<&'static str>> {
    let kind = |key: &String| {
        let seen = planned.iter().find_map(|file| match &file.shape {
            Shape::Csv { header, .. } => {
                header.iter().position(|name| name == key).and_then(|place| file.kinds.get(place).cloned())
            }
            Shape::Json | Shape::Document | Shape::Rows => None,
        });
        let promised = contract.and_then(|contract| contract.schema.field(key));
        promised.map(|field| field.schema.kind.clone()).or(seen).map(|kind| match kind {
            base::Kind::Int8
            | base::Kind::Int16
            | base::Kind::Int32
            | base::Kind::Int64
            | base::Kind::Float32
            | base::Kind::Float64
            | base::Kind::Decimal { .. } => "N",
            base::Kind::Bytes => "B",
            base::Kind::Boolean
            | base::Kind::String
            | base::Kind::Date
            | base::Kind::TimeMs
            | base::Kind::TimestampMs
            | base::Kind::Array(_)
            | base::Kind::Map { .. }
            | base::Kind::Struct(_) => "S",
        })
    };
    keys.iter().map(kind).collect()
}

/// The store's own settings, and what the arguments say in its words. Where they say nothing of writing, a store's own way is
/// the one that a second load leaves as it is.
fn sink_settings(
    args: &Args,
    store: &Store,
    key_kinds: Option<Vec<&'static str>>,
    index_kinds: Vec<Option<Vec<&'static str>>>,
) -> Result<Settings, Failure> {
    let scheme = store.connector.spec.scheme;
    args.tables.refuse(scheme, args.create)?;
    let mut settings = store.settings.clone();
    let write = match (scheme, args.write) {
        (_, Some(Write::Insert)) => Some("insert"),
        (_, Some(Write::Update)) => Some("update"),
        (_, Some(Write::Delete)) => Some("delete"),
        // An item always takes the place of the one with its key.
        ("dynamodb", Some(Write::Upsert | Write::Replace)) => Some("put"),
        ("firestore", Some(Write::Upsert)) => Some("merge"),
        ("firestore", Some(Write::Replace)) => Some("upsert"),
        (_, Some(Write::Upsert)) => Some("upsert"),
        (_, Some(Write::Replace)) => Some("replace"),
        ("mongodb", None) if !args.key.is_empty() => Some("upsert"),
        (_, None) => None,
    };
    let mut set = |key: &str, value: String| settings.insert(key.to_owned(), value);
    if let Some(write) = write {
        set("write", write.to_owned());
    }
    let TableArgs { index, unique_index, billing, capacity } = &args.tables;
    if scheme == "mongodb" {
        for (key, indexes) in [("index", index), ("unique_index", unique_index)] {
            if !indexes.is_empty() {
                set(key, indexes.join(";"));
            }
        }
        if args.create {
            set("create", "true".to_owned());
        }
    }
    // Elsewhere a collection is made by its first document, and the key is the document's id.
    if args.create && scheme == "dynamodb" {
        if args.key.is_empty() {
            return Err(Box::new(LoadError::Keyless { target: store.name.clone() }));
        }
        set("create", "true".to_owned());
        set("key", args.key.join(","));
        if let Some(kinds) = key_kinds {
            set("key_types", kinds.join(","));
        }
        if !index.is_empty() {
            set("indexes", index.join(";"));
            let kinds = index_kinds.into_iter().map(|kinds| kinds.unwrap_or_default().join(","));
            set("index_types", kinds.collect::<Vec<_>>().join(";"));
        }
        if let Some(billing) = billing {
            set("billing", billing.clone());
        }
        if let Some((read, write)) = capacity.as_ref().and_then(|capacity| capacity.split_once(',')) {
            set("read_capacity", read.trim().to_owned());
            set("write_capacity", write.trim().to_owned());
        }
    }
    Ok(settings)
}

fn names_of(index: &str) -> Vec<String> {
    index.split(',').map(|name| name.trim().to_owned()).collect()
}

impl TableArgs {
    /// What a store cannot do is said before anything runs.
    fn refuse(&self, scheme: &str, is_created: bool) -> Result<(), Failure> {
        let flag = match scheme {
            "dynamodb" if !self.unique_index.is_empty() => Some("--unique-index: DynamoDB has none"),
            "dynamodb" if !self.index.is_empty() && !is_created => {
                Some("--index without --create: an index of DynamoDB is made with its table")
            }
            "dynamodb" if self.capacity.as_ref().is_some_and(|units| !units.contains(',')) => {
                Some("--capacity of one number: write READ,WRITE")
            }
            "dynamodb" => None,
            "mongodb" if self.billing.is_some() => Some("--billing: only DynamoDB has it"),
            "mongodb" if self.capacity.is_some() => Some("--capacity: only DynamoDB has it"),
            "mongodb" => None,
            _ if !self.index.is_empty() => Some("--index: Firestore indexes each field by itself"),
            _ if !self.unique_index.is_empty() => Some("--unique-index: Firestore has none"),
            _ if self.billing.is_some() => Some("--billing: only DynamoDB has it"),
            _ if self.capacity.is_some() => Some("--capacity: only DynamoDB has it"),
            _ => None,
        };
        match flag {
            Some(flag) => Err(Box::new(Refused { flag })),
            None => Ok(()),
        }
    }
}

/// An argument that the target's store cannot follow.
#[derive(Debug, thiserror::Error)]
#[error("the target takes no {flag}")]
struct Refused {
    flag: &'static str,
}

impl base::Problem for Refused {
    fn code(&self) -> base::Code {
        base::code::TM1454
    }

    fn help(&self) -> String {
        "leave it out".to_owned()
    }
}
