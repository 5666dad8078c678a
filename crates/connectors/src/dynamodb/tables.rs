//! Tables: what they are, and making, emptying and deleting them.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Access, Billing, Create, Error, batch, client::Client, source, types};

/// How often a table is looked at while it comes or goes; AWS takes some ten seconds.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS_COUNT_MAX: u32 = 3_000;

/// A table's or an index's primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) partition: KeyAttribute,
    pub(super) sort: Option<KeyAttribute>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyAttribute {
    pub(super) name: Arc<str>,
    pub(super) kind: KeyKind,
}

/// What a key attribute may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Text,
    Number,
    Bytes,
}

impl KeyKind {
    /// DynamoDB's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            KeyKind::Text => "S",
            KeyKind::Number => "N",
            KeyKind::Bytes => "B",
        }
    }
}

impl Keys {
    pub(super) fn all(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    /// 0 and 1 for the keys, 2 for all others.
    pub(super) fn rank(&self, name: &str) -> usize {
        self.all().position(|key| &*key.name == name).unwrap_or(2)
    }

    /// `tailnum (S)`, or `carrier (S), flight (N)`.
    fn words(&self) -> String {
        let words: Vec<String> =
            self.all().map(|key| format!("{} ({})", key.name, key.kind.word())).collect();
        words.join(", ")
    }
}

/// What a table says of itself.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) is_active: bool,
    pub(super) keys: Keys,
    /// As counted some hours ago on AWS; 0 says nothing.
    pub(super) items_count: u64,
    pub(super) bytes: u64,
    /// The keys of each secondary index, by its name.
    pub(super) indexes: Vec<(String, Keys)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    #[serde(rename = "Table")]
    table: Description,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    table_status: String,
    key_schema: Vec<KeyPart>,
    attribute_definitions: Vec<Definition>,
    #[serde(default)]
    item_count: u64,
    #[serde(default)]
    table_size_bytes: u64,
    #[serde(default)]
    global_secondary_indexes: Option<Vec<Index>>,
    #[serde(default)]
    local_secondary_indexes: Option<Vec<Index>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    index_name: String,
    key_schema: Vec<KeyPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyPart {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    table_names: Vec<String>,
    last_evaluated_table_name: Option<String>,
}

pub(super) async fn describe(client: &Client, table: &str) -> Result<Table, Error> {
    const OPERATION: &str = "DescribeTable";
    let answer = client.call(OPERATION, table, json!({ "TableName": table }).to_string()).await?;
    let unreadable =
        |source: base::BoxError| Error::Answer { operation: OPERATION, table: table.to_owned(), source };
    let Described { table: told } =
        serde_json::from_slice(&answer).map_err(|error| unreadable(error.into()))?;
    let keys = |schema: &[KeyPart]| {
        keys_of(schema, &told.attribute_definitions)
            .ok_or_else(|| unreadable("a key without a definition".into()))
    };
    let indexes =
        [&told.global_secondary_indexes, &told.local_secondary_indexes].into_iter().flatten().flatten();
    Ok(Table {
        // An index that is being built does not keep the table from being used.
        is_active: matches!(told.table_status.as_str(), "ACTIVE" | "UPDATING"),
        keys: keys(&told.key_schema)?,
        items_count: told.item_count,
        bytes: told.table_size_bytes,
        indexes: indexes
            .map(|index| Ok((index.index_name.clone(), keys(&index.key_schema)?)))
            .collect::<Result<_, Error>>()?,
    })
}

fn keys_of(schema: &[KeyPart], definitions: &[Definition]) -> Option<Keys> {
    let of = |kind: &str| {
        let part = schema.iter().find(|part| part.key_type == kind)?;
        let definition = definitions.iter().find(|one| one.attribute_name == part.attribute_name)?;
        let kind = match definition.attribute_type.as_str() {
            "N" => KeyKind::Number,
            "B" => KeyKind::Bytes,
            _ => KeyKind::Text,
        };
        Some(KeyAttribute { name: part.attribute_name.as_str().into(), kind })
    };
    Some(Keys { partition: of("HASH")?, sort: of("RANGE") })
}

/// Sees to it that the table is there and can be used; makes it where that is asked for.
pub(super) async fn ensure(client: &Client, table: &str, create: Option<&Create>) -> Result<Table, Error> {
    let found = match (describe(client, table).await, create) {
        (Err(Error::NoTable { .. }), Some(create)) => {
            make(client, table, create).await?;
            describe(client, table).await?
        }
        (found, _) => found?,
    };
    if let Some(create) = create
        && !is_wanted(&found.keys, create)
    {
        let (found, wanted) = (found.keys.words(), words(create));
        return Err(Error::OtherKey { table: table.to_owned(), found, wanted });
    }
    if found.is_active { Ok(found) } else { until_active(client, table).await }
}

/// The key of a table that is made; text where nobody knows better.
fn wanted(create: &Create) -> Keys {
    wanted_key(&create.key)
}

fn wanted_key(key: &[(String, Option<KeyKind>)]) -> Keys {
    let attribute = |(name, kind): &(String, Option<KeyKind>)| KeyAttribute {
        name: name.as_str().into(),
        kind: kind.unwrap_or(KeyKind::Text),
    };
    let mut keys = key.iter().map(attribute);
    let partition = keys.next().unwrap_or(KeyAttribute { name: "".into(), kind: KeyKind::Text });
    Keys { partition, sort: keys.next() }
}

fn is_wanted(found: &Keys, create: &Create) -> bool {
    let is_same = |(found, (name, kind)): (&KeyAttribute, &(String, Option<KeyKind>))| {
        *found.name == **name && kind.is_none_or(|kind| kind == found.kind)
    };
    found.all().count() == create.key.len() && found.all().zip(&create.key).all(is_same)
}

/// As `Keys::words`, without the kinds that are not said.
fn words(create: &Create) -> String {
    let word = |(name, kind): &(String, Option<KeyKind>)| match kind {
        Some(kind) => format!("{name} ({})", kind.word()),
        None => name.clone(),
    };
    create.key.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// A table that somebody else makes at the same moment is as good.
async fn make(client: &Client, table: &str, create: &Create) -> Result<(), Error> {
    let keys = wanted(create);
    let part = |(place, key): (usize, &KeyAttribute)| json!({ "AttributeName": &*key.name, "KeyType": if place == 0 { "HASH" } else { "RANGE" } });
    let definition =
        |key: &KeyAttribute| json!({ "AttributeName": &*key.name, "AttributeType": key.kind.word() });
    let schema = |keys: &Keys| keys.all().enumerate().map(part).collect::<Vec<Json>>();
    let indexes: Vec<Keys> = create.indexes.iter().map(|index| wanted_key(index)).collect();
    let mut attributes: Vec<&KeyAttribute> = Vec::new();
    for attribute in keys.all().chain(indexes.iter().flat_map(Keys::all)) {
        if !attributes.iter().any(|known| known.name == attribute.name) {
            attributes.push(attribute);
        }
    }
    let mut body = json!({
        "TableName": table,
        "KeySchema": schema(&keys),
        "AttributeDefinitions": attributes.into_iter().map(definition).collect::<Vec<Json>>(),
    });
    if !indexes.is_empty() {
        let index = |keys: &Keys| {
            let names: Vec<&str> = keys.all().map(|key| &*key.name).collect();
            let mut index = json!({
                "IndexName": format!("{}-index", names.join("-")),
                "KeySchema": schema(keys),
                "Projection": { "ProjectionType": "ALL" },
            });
            if let Billing::Provisioned { read_units, write_units } = create.billing {
                index["ProvisionedThroughput"] =
                    json!({ "ReadCapacityUnits": read_units, "WriteCapacityUnits": write_units });
            }
            index
        };
        body["GlobalSecondaryIndexes"] = indexes.iter().map(index).collect();
    }
    match create.billing {
        Billing::PayPerRequest => body["BillingMode"] = "PAY_PER_REQUEST".into(),
        Billing::Provisioned { read_units, write_units } => {
            body["BillingMode"] = "PROVISIONED".into();
            body["ProvisionedThroughput"] =
                json!({ "ReadCapacityUnits": read_units, "WriteCapacityUnits": write_units });
        }
    }
    match client.call("CreateTable", table, body.to_string()).await {
        Ok(_) => Ok(()),
        Err(error) if error.is("ResourceInUseException") => Ok(()),
        Err(Error::Refused { source, .. }) => {
            Err(Error::Create { table: table.to_owned(), source: source.into() })
        }
        Err(other) => Err(other),
    }
}

async fn until_active(client: &Client, table: &str) -> Result<Table, Error> {
    for _ in 0..LOOKS_COUNT_MAX {
        match describe(client, table).await {
            Ok(found) if found.is_active => return Ok(found),
            // AWS may not know a table yet that it has just begun to make.
            Ok(_) | Err(Error::NoTable { .. }) => tokio::time::sleep(LOOK_EVERY).await,
            Err(other) => return Err(other),
        }
    }
    Err(Error::Create {
        table: table.to_owned(),
        source: "it did not become active within five minutes".into(),
    })
}

/// Makes a table and waits until it can be used; one that is there with the same key is as good.
///
/// # Errors
/// `OtherKey`, `Create`, or why DynamoDB cannot be used.
pub async fn create(access: Access, table: &str, create: &Create) -> Result<(), Error> {
    ensure(&Client::new(access)?, table, Some(create)).await.map(|_| ())
}

/// Deletes every item and keeps the table; gives how many there were.
///
/// # Errors
/// `NoTable`, or why DynamoDB cannot be used.
pub async fn empty(access: Access, table: &str) -> Result<u64, Error> {
    let client = Client::new(access)?;
    let keys = describe(&client, table).await?.keys;
    let (mut count, mut after) = (0, None);
    loop {
        let page = source::keys_page(&client, table, &keys, after.as_deref()).await?;
        let rows = types::rows(page.items(), &keys).map_err(|source| Error::Answer {
            operation: "Scan",
            table: table.to_owned(),
            source: source.into(),
        })?;
        count += rows.len() as u64;
        batch::delete(&client, table, &keys, &rows).await?;
        after = page.last_key();
        if after.is_none() {
            return Ok(count);
        }
    }
}

/// Deletes a table and waits until it is gone; `false`: there was none.
///
/// # Errors
/// Why DynamoDB cannot be used.
pub async fn delete(access: Access, table: &str) -> Result<bool, Error> {
    let client = Client::new(access)?;
    match client.call("DeleteTable", table, json!({ "TableName": table }).to_string()).await {
        Ok(_) => {}
        Err(Error::NoTable { .. }) => return Ok(false),
        Err(other) => return Err(other),
    }
    for _ in 0..LOOKS_COUNT_MAX {
        match describe(&client, table).await {
            Err(Error::NoTable { .. }) => return Ok(true),
            Ok(_) => tokio::time::sleep(LOOK_EVERY).await,
            Err(other) => return Err(other),
        }
    }
    let refusal =
        super::errors::Refusal { kind: "Timeout".into(), message: "it is still there".into(), status: 408 };
    Err(Error::Refused { operation: "DeleteTable", table: table.to_owned(), source: refusal })
}

/// The names of all tables that begin so.
///
/// # Errors
/// Why DynamoDB cannot be used.
pub async fn list(access: Access, prefix: &str) -> Result<Vec<String>, Error> {
    const OPERATION: &str = "ListTables";
    let client = Client::new(access)?;
    let (mut names, mut after) = (Vec::new(), None::<String>);
    loop {
        let body = match &after {
            Some(after) => json!({ "ExclusiveStartTableName": after }),
            None => json!({}),
        };
        let answer = client.call(OPERATION, prefix, body.to_string()).await?;
        let listed: Listed = serde_json::from_slice(&answer).map_err(|source| Error::Answer {
            operation: OPERATION,
            table: prefix.to_owned(),
            source: source.into(),
        })?;
        names.extend(listed.table_names.into_iter().filter(|name| name.starts_with(prefix)));
        after = listed.last_evaluated_table_name;
        if after.is_none() {
            return Ok(names);
        }
    }
}
