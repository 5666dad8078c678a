//! Against the embedded endpoint, MiniStack and Moto: what each can show, in the same words.

mod busy;
mod sink;
mod source;
mod units;

use std::{collections::BTreeMap, sync::Arc};

use base::{Handle, Lease, Load, Place, Position, Split, Value};
use serde_json::{Value as Json, json};

use super::*;

/// A DynamoDB to test against.
#[derive(Clone)]
struct Peer {
    name: &'static str,
    endpoint: String,
}

/// Every DynamoDB there is on this machine; the embedded one lives as long as this.
struct Peers {
    _folder: tempfile::TempDir,
    _embedded: Handle,
    all: Vec<Peer>,
}

async fn peers() -> Peers {
    let folder = tempfile::tempdir().unwrap();
    let options = stores::dynamodb::Options::at(folder.path(), "127.0.0.1:0".parse().unwrap());
    let embedded = stores::dynamodb::Service::start(options).await.unwrap();
    let mut all = vec![Peer { name: "embedded", endpoint: format!("http://{}", embedded.addr) }];
    all.extend(testkit::ministack().map(|peer| Peer { name: "ministack", endpoint: peer.endpoint.clone() }));
    all.extend(testkit::moto().map(|peer| Peer { name: "moto", endpoint: peer.endpoint.clone() }));
    Peers { _folder: folder, _embedded: embedded, all }
}

impl Peers {
    fn embedded(&self) -> &Peer {
        &self.all[0]
    }
}

/// A name that no two tests of this run share.
fn fresh(start: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(1);
    format!("{start}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Peer {
    fn settings(&self, table: &str, more: &[(&str, &str)]) -> Settings {
        let own = [("endpoint", self.endpoint.as_str()), ("table", table), ("access_key", "key")];
        let own = own.into_iter().chain([("secret_key", "secret"), ("region", "us-east-1")]);
        own.chain(more.iter().copied()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn access(&self) -> Access {
        SourceConfig::read(&self.settings("any", &[])).unwrap().access
    }

    /// As another client would: straight HTTP.
    async fn call(&self, operation: &str, body: Json) -> Json {
        let client = client::Client::new(self.access()).unwrap();
        let operation: &'static str = Box::leak(operation.to_owned().into_boxed_str());
        let answer = client.call(operation, "test", body.to_string()).await;
        serde_json::from_slice(&answer.unwrap_or_else(|error| panic!("{}: {error:?}", self.name))).unwrap()
    }

    async fn create(&self, table: &str, key: &[(&str, KeyKind)]) {
        let key = key.iter().map(|(name, kind)| ((*name).to_owned(), Some(*kind))).collect();
        let create = Create { key, billing: Billing::default(), indexes: Vec::new() };
        tables::create(self.access(), table, &create).await.unwrap();
    }

    /// Puts items of DynamoDB's own JSON.
    async fn put(&self, table: &str, items: &[Json]) {
        for chunk in items.chunks(25) {
            let puts: Vec<Json> =
                chunk.iter().map(|item| json!({ "PutRequest": { "Item": item } })).collect();
            self.call("BatchWriteItem", json!({ "RequestItems": { table: puts } })).await;
        }
    }

    /// All items of a table, in DynamoDB's own JSON.
    async fn items(&self, table: &str) -> Vec<Json> {
        let (mut items, mut after) = (Vec::new(), Json::Null);
        loop {
            let mut body = json!({ "TableName": table });
            if !after.is_null() {
                body["ExclusiveStartKey"] = after;
            }
            let answer = self.call("Scan", body).await;
            items.extend(answer["Items"].as_array().unwrap().iter().cloned());
            after = answer["LastEvaluatedKey"].clone();
            if after.is_null() {
                return items;
            }
        }
    }

    fn sink(&self, table: &str, more: &[(&str, &str)]) -> Arc<dyn base::Sink> {
        super::sink(&self.settings(table, more)).unwrap()
    }

    fn source(&self, table: &str, more: &[(&str, &str)], selection: &Selection) -> Arc<dyn base::Source> {
        super::source(&self.settings(table, more), selection).unwrap()
    }
}

use tables::KeyKind;

fn load() -> Load {
    Load { id: "1".into(), transfer: "test".into() }
}

fn split(id: &str) -> Split {
    Split { id: id.into(), place: Arc::new(Place::Made { name: id.into() }) }
}

/// What a fault says, down to its reason.
fn told(fault: base::Fault) -> String {
    match fault.into_inner().downcast::<Error>() {
        Ok(error) => base::problem::plain(&*error),
        Err(error) => error.to_string(),
    }
}

/// A row of named values.
fn row(fields: &[(&str, Value)]) -> Value {
    Value::Struct(fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}
