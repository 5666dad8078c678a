//! The sink: the engine's contract, then keys, deletes, inserts, tables that are made, and tables that are busy.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use arrow_array::BinaryViewArray;
use base::{Batch, Body, Envelope, Extent, Fault, Rejects, Sink};
use engine::contract::{self, SinkFixture};

use super::*;

pub(super) fn rows(rows: Vec<Value>) -> Batch {
    let place = Arc::new(Place::Made { name: "test".into() });
    let marks = Some((0..rows.len() as i64).collect());
    let envelope = Envelope { marks, ..Envelope::default() };
    let body = Body::Rows(rows.into());
    Batch { body, envelope, contract: None, place, end: Position::Start, lease: Lease::free() }
}

fn raw(records: &[(&str, Option<&str>)]) -> Batch {
    let values: BinaryViewArray = records.iter().map(|record| record.1.map(str::as_bytes)).collect();
    let keys = BinaryViewArray::from_iter_values(records.iter().map(|record| record.0.as_bytes()));
    let mut batch = rows(vec![Value::Null; records.len()]);
    batch.envelope.keys = Some(keys);
    Batch { body: Body::Raw(values), ..batch }
}

pub(super) async fn write(sink: &dyn Sink, batch: Batch) -> Rejects {
    try_write(sink, batch).await.map_err(told).unwrap()
}

async fn try_write(sink: &dyn Sink, batch: Batch) -> Result<Rejects, Fault> {
    sink.begin(&load()).await?;
    let mut writer = sink.writer(&split("a")).await?;
    let rejects = writer.write(&batch).await?;
    let (start, end) = (Position::Start, Position::Start);
    writer.commit(&Extent { split: split("a"), start, end, records_count: 0, bytes: 0 }).await?;
    Ok(rejects)
}

fn said(rejects: Rejects) -> Vec<String> {
    rejects
        .0
        .iter()
        .map(|reject| format!("{} × {}: {}", reject.code.id, reject.origin, reject.reason))
        .collect()
}

async fn contract_of(peer: &Peer, denying: &str) -> String {
    // One table for each rule: what is read back is that rule's own.
    let (start, rules) = (fresh("contract"), Arc::new(AtomicUsize::new(0)));
    let (current, opened, reader) = (rules.clone(), peer.clone(), peer.clone());
    let (busy, _) = super::busy::before(peer, 7).await;
    let (throttled, throttled_start, throttled_rule) = (busy, start.clone(), rules.clone());
    let table = |start: &str, rules: &AtomicUsize| format!("{start}-{}", rules.load(SeqCst));
    let made = [("create", "true"), ("key", "n"), ("key_types", "N")];
    let denying = Peer { name: "denying", endpoint: denying.to_owned() };
    let read_start = start.clone();
    let fixture = SinkFixture {
        open: Box::new(move || opened.sink(&table(&start, &current), &made)),
        read_back: Box::new(move |_| {
            let (reader, rules, table) = (reader.clone(), rules.clone(), table(&read_start, &rules));
            Box::pin(async move {
                let number = |item: &Json| item["n"]["N"].as_str().unwrap().parse().unwrap();
                let items = reader.items(&table).await;
                if !items.is_empty() {
                    rules.fetch_add(1, SeqCst);
                }
                items.iter().map(|item| contract::value(number(item))).collect()
            })
        }),
        value: contract::value,
        bad_value: Some(b"{\"n\":\"a text\"}".to_vec()),
        denied: Some(Box::new(move || denying.sink("denied", &made))),
        throttled: Some(Box::new(move || throttled.sink(&table(&throttled_start, &throttled_rule), &made))),
        cannot: &[],
    };
    contract::sink(&fixture).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_keeps_the_contract() {
    let Some(denying) = testkit::moto_that_denies() else { return };
    let peers = peers().await;
    let mut verdicts = BTreeMap::new();
    for peer in &peers.all {
        verdicts.insert(peer.name, contract_of(peer, &denying.endpoint).await);
    }
    insta::assert_snapshot!(verdicts["embedded"]);
    for (name, verdict) in &verdicts {
        assert!(!verdict.contains("broken"), "{name}:\n{verdict}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_stay_back_among_good_ones() {
    let peers = peers().await;
    for peer in &peers.all {
        let table = fresh("bad");
        let sink = peer.sink(&table, &[("create", "true"), ("key", "tailnum,year"), ("key_types", "S,N")]);
        let large = format!("{{\"tailnum\":\"N1\",\"year\":1,\"x\":\"{}\"}}", "x".repeat(410_000));
        let batch = raw(&[
            ("", Some(r#"{"tailnum":"N14228","year":1999,"seats":149}"#)),
            ("", Some(r#"{"tailnum":14228,"year":1999}"#)),
            ("", Some(r#"{"tailnum":"N14228"}"#)),
            ("", Some(r#"{"tailnum":"","year":1999}"#)),
            ("", Some(&large)),
            ("", Some(r#"["no","item"]"#)),
            ("", Some(r#"{"tailnum":"#)),
            ("", Some(r#"{"tailnum":"N2","year":1,"a":{"b":[1,{"":2}]}}"#)),
            ("", Some(r#"{"tailnum":"N24211","year":1998}"#)),
        ]);
        let lines = said(write(&*sink, batch).await);
        assert_eq!(peer.items(&table).await.len(), 2, "{}", peer.name);
        insta::assert_snapshot!("bad_records", lines.join("\n"));
    }
}

/// What only the server knows to be wrong: the key of an index. It refuses the whole request, and one record stays back.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_only_the_server_refuses_stays_back_too() {
    let peers = peers().await;
    let (peer, table) = (peers.embedded(), fresh("index"));
    let definition = |name: &str, kind: &str| json!({ "AttributeName": name, "AttributeType": kind });
    let key = |name: &str| json!([{ "AttributeName": name, "KeyType": "HASH" }]);
    let index = json!({ "IndexName": "by-year", "KeySchema": key("year"), "Projection": { "ProjectionType": "ALL" } });
    let body = json!({
        "TableName": table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": key("id"),
        "AttributeDefinitions": [definition("id", "S"), definition("year", "N")],
        "GlobalSecondaryIndexes": [index],
    });
    peer.call("CreateTable", body).await;
    let item = |id: &str, year: Value| row(&[("id", Value::string(id)), ("year", year)]);
    let items =
        vec![item("1", Value::Int(1999)), item("2", Value::string("1999")), item("3", Value::Int(2000))];
    let lines = said(write(&*peer.sink(&table, &[]), rows(items)).await);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("TM0747 × test/1: ValidationException: "), "{lines:?}");
    assert_eq!(peer.items(&table).await.len(), 2);
    // The index is read as a table is.
    let source = peer.source(&table, &[("index", "by-year")], &Selection::default());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let ask = base::Ask { bytes_max: 0, records_max: 0, deadline, lease: Lease::free() };
    assert!(matches!(source.discover(&ask).await.unwrap(), base::Discovery::Changed { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_a_key_wins_and_a_tombstone_deletes() {
    let peers = peers().await;
    for peer in &peers.all {
        let table = fresh("keys");
        let sink = peer.sink(&table, &[("create", "true"), ("key", "c,f"), ("key_types", "S,N")]);
        let batch = raw(&[
            ("", Some(r#"{"c":"UA","f":1,"v":"old"}"#)),
            ("", Some(r#"{"c":"UA","f":2,"v":"gone"}"#)),
            ("", Some(r#"{"c":"a|b","f":3,"v":"gone"}"#)),
            ("", Some(r#"{"c":"UA","f":1,"v":"new"}"#)),
            (r#"{"c":"UA","f":2}"#, None),
        ]);
        assert_eq!(said(write(&*sink, batch).await), Vec::<String>::new());
        let deletes = raw(&[("a\\|b|3", None), ("UA|no number", None), ("", None)]);
        assert_eq!(said(write(&*sink, deletes).await).len(), 2, "{}", peer.name);
        let items = peer.items(&table).await;
        assert_eq!(
            items.iter().map(|item| item["v"]["S"].clone()).collect::<Vec<_>>(),
            ["new"],
            "{}",
            peer.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn insert_refuses_what_is_there_already_but_not_itself() {
    let peers = peers().await;
    for peer in &peers.all {
        let table = fresh("insert");
        let sink = peer.sink(&table, &[("create", "true"), ("key", "id"), ("write", "insert")]);
        let first =
            raw(&[("", Some(r#"{"id":"1","v":[1.50,{"b":true}]}"#)), ("", Some(r#"{"id":"2","v":1}"#))]);
        assert!(write(&*sink, first.clone()).await.is_empty());
        // A second life sends the same again.
        assert!(write(&*sink, first).await.is_empty(), "{}", peer.name);
        let second = raw(&[
            ("", Some(r#"{"id":"2","v":2}"#)),
            ("", Some(r#"{"id":"3","v":1}"#)),
            ("", Some(r#"{"id":"3","v":2}"#)),
            ("", Some(r#"{"id":"3","v":1}"#)),
            ("1", None),
        ]);
        insta::assert_snapshot!("insert", said(write(&*sink, second).await).join("\n"));
        assert_eq!(peer.items(&table).await.len(), 3, "{}", peer.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_listed_emptied_and_deleted() {
    let peers = peers().await;
    for peer in &peers.all {
        let table = fresh("made");
        let settings =
            [("create", "true"), ("key", "pk,sk"), ("key_types", "S,B"), ("billing", "provisioned")];
        let units = [("read_capacity", "5"), ("write_capacity", "6")];
        let sink = peer.sink(&table, &[&settings[..], &units[..]].concat());
        sink.begin(&load()).await.unwrap();
        sink.begin(&load()).await.unwrap();
        let told_table = peer.call("DescribeTable", json!({ "TableName": table })).await["Table"].clone();
        assert_eq!(told_table["ProvisionedThroughput"]["WriteCapacityUnits"], 6, "{}", peer.name);
        assert_eq!(told_table["TableStatus"], "ACTIVE", "{}", peer.name);
        let other = peer.sink(&table, &[("create", "true"), ("key", "pk")]);
        let fault = told(try_write(&*other, rows(Vec::new())).await.unwrap_err());
        assert!(fault.starts_with("TM0748"), "{fault}");
        let sort = |number: i64| Value::Bytes(number.to_be_bytes().to_vec().into());
        let item = |number| row(&[("pk", Value::string("p")), ("sk", sort(number))]);
        assert!(write(&*sink, rows((0..120).map(item).collect())).await.is_empty());
        assert_eq!(tables::list(peer.access(), &table).await.unwrap(), [table.as_str()], "{}", peer.name);
        assert_eq!(tables::empty(peer.access(), &table).await.unwrap(), 120, "{}", peer.name);
        assert!(peer.items(&table).await.is_empty(), "{}", peer.name);
        assert!(tables::delete(peer.access(), &table).await.unwrap());
        assert!(!tables::delete(peer.access(), &table).await.unwrap());
        let fault = told(try_write(&*peer.sink(&table, &[]), rows(Vec::new())).await.unwrap_err());
        assert!(fault.starts_with("TM0741"), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_busy_table_leaves_undone_is_sent_again() {
    let peers = peers().await;
    let table = fresh("busy");
    peers.embedded().create(&table, &[("id", KeyKind::Number)]).await;
    let (peer, busy) = super::busy::before(peers.embedded(), 9).await;
    let item = |number| row(&[("id", Value::Int(number)), ("v", Value::string("x".repeat(100)))]);
    assert!(write(&*peer.sink(&table, &[]), rows((0..500).map(item).collect())).await.is_empty());
    assert_eq!(busy.refused.load(SeqCst), 9);
    assert_eq!(peers.embedded().items(&table).await.len(), 500);
}

/// A table that is made without saying what its key is gets what the first record has.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_record_says_what_the_key_is() {
    let peers = peers().await;
    for peer in &peers.all {
        let made = [("create", "true"), ("key", "id,at")];
        let (number, bytes) = (Value::Int(7), Value::Bytes(vec![1].into()));
        let keyless = row(&[("id", Value::Null)]);
        for (id, at, kinds) in [
            (number, Value::string("2024"), ["N", "S"]),
            (Value::string("a"), Value::Float(1.5), ["S", "N"]),
            (bytes, Value::Date(3), ["B", "S"]),
        ] {
            let table = fresh("told");
            let sink = peer.sink(&table, &made);
            let good = row(&[("id", id), ("at", at)]);
            let lines = said(write(&*sink, rows(vec![keyless.clone(), good.clone()])).await);
            assert_eq!(lines.len(), 1, "{}: {lines:?}", peer.name);
            let described = peer.call("DescribeTable", json!({ "TableName": table })).await;
            let kind = |name: &str| {
                let definitions = described["Table"]["AttributeDefinitions"].as_array().unwrap();
                let found = definitions.iter().find(|one| one["AttributeName"] == name).unwrap();
                found["AttributeType"].as_str().unwrap().to_owned()
            };
            assert_eq!([kind("id"), kind("at")], kinds, "{}", peer.name);
            // Another life finds it made.
            assert!(write(&*peer.sink(&table, &made), rows(vec![good])).await.is_empty());
        }
        // No record at all: it is there in the end.
        let table = fresh("told");
        let sink = peer.sink(&table, &made);
        assert!(write(&*sink, rows(Vec::new())).await.is_empty());
        sink.finish(&load()).await.unwrap();
        peer.call("DescribeTable", json!({ "TableName": table })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn update_changes_what_is_there_and_delete_takes_it_away() {
    let peers = peers().await;
    for peer in &peers.all {
        let table = fresh("update");
        let item = |id: &str, fields: &[(&str, Value)]| {
            let mut all = vec![("id", Value::string(id))];
            all.extend(fields.iter().cloned());
            row(&all)
        };
        let made = [("create", "true"), ("key", "id"), ("key_types", "S")];
        let first = vec![item("a", &[("n", Value::Int(1)), ("kept", Value::Boolean(true))]), item("b", &[])];
        write(&*peer.sink(&table, &made), rows(first)).await;
        let changes = vec![
            item("a", &[("n", Value::Int(2))]),
            item("a", &[("status", Value::string("late"))]),
            item("b", &[]),
            item("c", &[("n", Value::Int(3))]),
        ];
        let refused = said(write(&*peer.sink(&table, &[("write", "update")]), rows(changes)).await);
        assert_eq!(refused, ["TM1456 × test/3: there is no item that it could update"], "{}", peer.name);
        let mut items = peer.items(&table).await;
        items.sort_by_key(|item| item["id"]["S"].to_string());
        let expected = json!([
            { "id": { "S": "a" }, "n": { "N": "2" }, "kept": { "BOOL": true }, "status": { "S": "late" } },
            { "id": { "S": "b" } },
        ]);
        assert_eq!(Json::from(items), expected, "{}", peer.name);
        for _ in 0..2 {
            let gone = vec![item("a", &[("n", Value::Int(9))]), item("c", &[]), item("a", &[])];
            let refused = said(write(&*peer.sink(&table, &[("write", "delete")]), rows(gone)).await);
            assert!(refused.is_empty(), "{}: {refused:?}", peer.name);
        }
        assert_eq!(peer.items(&table).await.len(), 1, "{}", peer.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_made_with_its_sort_key_its_indexes_and_what_it_costs() {
    let peers = peers().await;
    for peer in &peers.all {
        let table = fresh("made");
        let made = [
            ("create", "true"),
            ("key", "carrier,flight"),
            ("key_types", "S,N"),
            ("indexes", "dest,year; origin"),
            ("index_types", "S;S"),
            ("billing", "provisioned"),
            ("read_capacity", "5"),
            ("write_capacity", "7"),
        ];
        // The kind of `year` is the record's to say.
        let flight = row(&[
            ("carrier", Value::string("UA")),
            ("flight", Value::Int(17)),
            ("dest", Value::string("SFO")),
            ("origin", Value::string("EWR")),
            ("year", Value::Int(2013)),
        ]);
        assert!(write(&*peer.sink(&table, &made), rows(vec![flight])).await.is_empty(), "{}", peer.name);
        let told = peer.call("DescribeTable", json!({ "TableName": table })).await["Table"].clone();
        let keys = |schema: &Json| {
            let name = |part: &Json| part["AttributeName"].as_str().unwrap().to_owned();
            schema.as_array().unwrap().iter().map(name).collect::<Vec<_>>().join(",")
        };
        let indexes = told["GlobalSecondaryIndexes"].as_array().unwrap().iter();
        let mut indexes: Vec<String> = indexes
            .map(|index| format!("{}: {}", index["IndexName"].as_str().unwrap(), keys(&index["KeySchema"])))
            .collect();
        indexes.sort();
        assert_eq!(keys(&told["KeySchema"]), "carrier,flight", "{}", peer.name);
        assert_eq!(indexes, ["dest-year-index: dest,year", "origin-index: origin"], "{}", peer.name);
        let kind = |name: &str| {
            let all = told["AttributeDefinitions"].as_array().unwrap().iter();
            let found = all.clone().find(|one| one["AttributeName"] == name);
            found.map(|one| one["AttributeType"].as_str().unwrap().to_owned())
        };
        assert_eq!(["flight", "year", "dest"].map(kind), ["N", "N", "S"].map(|kind| Some(kind.to_owned())));
        assert_eq!(told["ProvisionedThroughput"]["WriteCapacityUnits"], 7, "{}", peer.name);
    }
}
