//! Against Google's emulator: the contract suite, every type, parts and positions, selections, every way to write.
//!
//! Documents are put there and looked at by the emulator's REST API, so not by our own client.

mod copies;
mod sinks;
mod sources;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base::{
    Ask, Batch, Body, Discovery, Envelope, Lease, ManualClock, Place, Position, Read, Shared, Source, Split,
    Value,
};
use serde_json::{Value as Json, json};
use testkit::Firestore;

use super::{ramp::Ramp, *};

/// A project of the test's own in the emulator.
struct World {
    server: &'static Firestore,
    project: &'static str,
}

impl World {
    fn new(project: &'static str) -> Option<Self> {
        Some(Self { server: testkit::firestore_emulator()?, project })
    }

    fn settings(&self, more: &[(&str, &str)]) -> Settings {
        let own = [("project", self.project), ("emulator", &self.server.address)];
        own.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn connection(&self) -> Connection {
        Connection::read(&self.settings(&[])).unwrap()
    }

    fn put(&self, path: &str, fields: Json) {
        let body = json!({ "fields": fields }).to_string();
        self.server.rest("PATCH", self.project, "(default)", &format!("/{path}"), &body).expect(200);
    }

    /// Many documents `ID`, each with its number.
    fn put_numbers(&self, collection: &str, ids: &[String]) {
        let root = format!("projects/{}/databases/(default)/documents", self.project);
        for (chunk, ids) in ids.chunks(500).enumerate() {
            let write = |(place, id): (usize, &String)| {
                let number = (chunk * 500 + place).to_string();
                json!({ "update": { "name": format!("{root}/{collection}/{id}"), "fields": { "n": { "integerValue": number } } } })
            };
            let writes: Vec<Json> = ids.iter().enumerate().map(write).collect();
            let body = json!({ "writes": writes }).to_string();
            self.server.rest("POST", self.project, "(default)", ":commit", &body).expect(200);
        }
    }

    fn get(&self, path: &str) -> Option<Json> {
        let answer = self.server.rest("GET", self.project, "(default)", &format!("/{path}"), "");
        (answer.status == 200).then(|| answer.json()["fields"].clone())
    }

    /// The documents of a collection: id and fields.
    fn list(&self, database: &str, collection: &str) -> Vec<(String, Json)> {
        let (mut documents, mut page) = (Vec::new(), String::new());
        loop {
            let path = format!("/{collection}?pageSize=300{page}");
            let answer = self.server.rest("GET", self.project, database, &path, "").expect(200).json();
            for document in answer["documents"].as_array().into_iter().flatten() {
                let id = document["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
                documents.push((id, document["fields"].clone()));
            }
            match answer["nextPageToken"].as_str() {
                Some(token) => page = format!("&pageToken={token}"),
                None => return documents,
            }
        }
    }
}

fn ask(bytes_max: u64, records_max: usize) -> Ask {
    let deadline = Instant::now() + Duration::from_secs(10);
    Ask { bytes_max, records_max, deadline, lease: Lease::free() }
}

/// The splits, as the engine hears of them: those of the plan after it was read and saved.
async fn splits(source: &dyn Source) -> Vec<Split> {
    let mut all = Vec::new();
    while let Discovery::Changed { assigned, .. } = source.discover(&ask(0, 0)).await.unwrap() {
        for split in assigned {
            if split.id.ends_with("?plan=true") {
                let plan = plan(source, &split, &Position::Start).await;
                source.covered(&split, &plan).await.unwrap();
            } else {
                all.push(split);
            }
        }
    }
    all
}

/// The position that a plan is.
async fn plan(source: &dyn Source, split: &Split, from: &Position) -> Position {
    let mut reader = source.open(split, from).await.unwrap();
    let Read::Batch(batch) = reader.read(&ask(1, 1)).await.unwrap() else { panic!("a position") };
    assert!(batch.is_empty() && matches!(reader.read(&ask(1, 1)).await.unwrap(), Read::End));
    batch.end
}

/// Everything from a position on: key, row, and the position behind each batch.
async fn read(
    source: &dyn Source,
    split: &Split,
    from: &Position,
    records_max: usize,
) -> Vec<(String, Value, Position)> {
    let mut reader = source.open(split, from).await.unwrap();
    let mut all = Vec::new();
    loop {
        match reader.read(&ask(1 << 20, records_max)).await.unwrap() {
            Read::Batch(batch) => {
                let Body::Rows(rows) = &batch.body else { panic!("rows") };
                for (place, row) in rows.iter().enumerate() {
                    let key = String::from_utf8(batch.envelope.key(place).unwrap().to_vec()).unwrap();
                    all.push((key, row.clone(), batch.end.clone()));
                }
            }
            Read::Idle => {}
            Read::End => return all,
        }
    }
}

async fn read_all(world: &World, more: &[(&str, &str)], selection: &Selection) -> Vec<(String, Value)> {
    let source = FirestoreSource::new(SourceConfig::read(&world.settings(more)).unwrap(), selection).unwrap();
    let mut all = Vec::new();
    for split in splits(&source).await {
        all.extend(
            read(&source, &split, &Position::Start, 100).await.into_iter().map(|(key, row, _)| (key, row)),
        );
    }
    all
}

fn keys(rows: &[(String, Value)]) -> Vec<&str> {
    rows.iter().map(|(key, _)| key.as_str()).collect()
}

fn split() -> Split {
    Split { id: "made".into(), place: Arc::new(Place::Made { name: "made".into() }) }
}

fn rows(values: Vec<Value>, keys: Option<&[Option<&str>]>) -> Batch {
    let count = values.len() as i64;
    let keys = keys.map(|keys| keys.iter().map(|key| key.map(str::as_bytes)).collect());
    Batch {
        body: Body::Rows(Shared::from(values)),
        envelope: Envelope { keys, marks: Some((0..count).collect()), ..Envelope::default() },
        contract: None,
        place: split().place,
        end: Position::Mark(count),
        lease: Lease::free(),
    }
}

fn row(fields: &[(&str, Value)]) -> Value {
    Value::Struct(fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

#[test]
fn settings_that_do_not_fit_are_refused_by_name() {
    let base = [("project", "p"), ("emulator", "127.0.0.1:1"), ("collection", "users")];
    let refused = |more: &[(&str, &str)]| {
        let mut settings: Settings =
            base.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let error = match more[0].0 {
            "write" | "key" | "ramp" | "colection" => SinkConfig::read(&settings).map(drop),
            _ => SourceConfig::read(&settings).map(drop),
        };
        let error = error.unwrap_err().downcast::<Error>().unwrap();
        base::problem::plain(&*error)
    };
    let all = [
        refused(&[("colection", "users")]),
        refused(&[("subcolections", "all")]),
        refused(&[("write", "replace")]),
        refused(&[("ramp", "maybe")]),
        refused(&[("collection", "users/ada")]),
        refused(&[("collection", "__users__")]),
        refused(&[("collection_group", "true"), ("subcollections", "all")]),
        refused(&[("emulator", "ftp://x")]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn errors_say_what_why_and_what_to_do() {
    let status = |code, message| {
        Error::of_status(
            &tonic::Status::new(code, message),
            "https://firestore.googleapis.com",
            "projects/p/databases/d",
            "users",
        )
    };
    let errors = [
        Error::setting("write", "`replace` is not upsert, insert or merge"),
        Error::UnknownSetting { key: "colection".to_owned(), nearest: "collection".to_owned() },
        status(tonic::Code::Unavailable, "connection refused"),
        status(tonic::Code::PermissionDenied, "Missing or insufficient permissions."),
        status(tonic::Code::NotFound, "The database d does not exist"),
        status(tonic::Code::FailedPrecondition, "The query requires an index. You can create it here: …"),
        status(tonic::Code::ResourceExhausted, "Quota exceeded."),
        Error::Position { position: "the position 3f".to_owned(), collection: "users".to_owned() },
    ];
    let all: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn the_ramp_allows_500_a_second_and_half_as_many_more_every_five_minutes() {
    let clock = ManualClock::at(0);
    let ramp = Ramp::new(Arc::new(clock.clone()));
    let waits = |count: usize| ramp.reserve(count).as_millis();
    assert_eq!([waits(500), waits(500), waits(250), waits(1)], [0, 1_000, 2_000, 2_500]);
    clock.advance_ms(5 * 60_000);
    assert_eq!([waits(750), waits(750)], [0, 1_000]);
    clock.advance_ms(5 * 60_000);
    assert_eq!([waits(1_125), waits(1)], [0, 1_000]);
}

#[tokio::test]
async fn a_collection_is_emptied_with_all_below_it() {
    let Some(world) = World::new("emptied") else { return };
    let ids: Vec<String> = (0..1_203).map(|number| format!("d{number}")).collect();
    world.put_numbers("users", &ids);
    world.put("users/d1/orders/o1", json!({}));
    world.put("users/gone/orders/o2", json!({}));
    world.put("users2/d1", json!({}));
    assert_eq!(empty(&world.connection(), "users").await.unwrap(), 1_205);
    assert_eq!(empty(&world.connection(), "users").await.unwrap(), 0);
    assert!(world.list("(default)", "users/d1/orders").is_empty());
    assert_eq!(world.list("(default)", "users2").len(), 1);
}
