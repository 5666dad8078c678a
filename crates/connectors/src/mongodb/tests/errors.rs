//! What goes wrong, as a person reads it, and which fault it is.

use base::{Ask, Problem, problem};
use insta::Settings as Filters;

use super::*;
use crate::CursorRange;

fn told(error: &base::BoxError) -> String {
    let error = error.downcast_ref::<Error>().expect("one of ours");
    problem::plain(error)
}

/// `kind: text` of a fault, with ports left out.
fn fault_text(fault: &Fault) -> String {
    match fault {
        Fault::Transient(error) => format!("transient\n{}", told(error)),
        Fault::Denied(error) => format!("denied\n{}", told(error)),
        Fault::Fatal(error) => format!("fatal\n{}", told(error)),
        Fault::Lost(error) => format!("lost\n{}", told(error)),
    }
}

async fn discover(settings: &Settings, selection: &Selection) -> Fault {
    let source = (CONNECTOR.source.expect("it has one"))(settings, selection).expect("opens");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let ask = Ask { bytes_max: 0, records_max: 0, deadline, lease: Lease::free() };
    source.discover(&ask).await.expect_err("it fails")
}

async fn sink_fault(world: &World, app: &str, code: i32) -> Fault {
    world.fail(app, "insert", 1, doc! { "errorCode": code }).await;
    let app = World { uri: format!("{}&appName={app}", world.uri), database: world.database.clone() };
    let sink = app.sink("orders", &[]);
    let mut writer = sink.writer(&split("orders")).await.expect("a writer");
    writer.write(&batch(vec![(None, row(&[]))])).await.expect_err("it fails")
}

fn assert_told(name: &str, text: &str) {
    let mut filters = Filters::clone_current();
    filters.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:27017");
    filters.bind(|| insta::assert_snapshot!(name, text));
}

fn settings(all: &[(&str, &str)]) -> Settings {
    all.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[test]
fn wrong_settings_are_refused_by_name() {
    let uri = "mongodb://127.0.0.1:27017/shop";
    let cases: &[&[(&str, &str)]] = &[
        &[("uri", uri)],
        &[("uri", "mongodb://127.0.0.1"), ("collection", "orders")],
        &[("collection", "orders")],
        &[("uri", uri), ("colection", "orders")],
        &[("uri", uri), ("collection", "orders"), ("zzz", "1")],
        &[("uri", "postgres://127.0.0.1"), ("collection", "orders")],
        &[("uri", "mongodb://me:secr@t/x@127.0.0.1:port/shop"), ("collection", "orders")],
        &[("uri", uri), ("collection", "orders"), ("write", "append")],
        &[("uri", uri), ("collection", "orders"), ("key", "a")],
        &[("uri", uri), ("collection", "orders"), ("ordered", "yes")],
    ];
    let refused = |case: &&[(&str, &str)]| match SinkConfig::read(&settings(case)) {
        Ok(config) => format!("taken: {config:?}"),
        Err(error) => problem::plain(&error),
    };
    let all: Vec<String> = cases.iter().map(refused).collect();
    assert!(!all.concat().contains("secr"), "{}", all.concat());
    assert_told("settings", &all.join("\n"));
}

#[test]
fn a_uri_is_never_printed() {
    let all = settings(&[("uri", "mongodb://me:secret@127.0.0.1/shop"), ("collection", "orders")]);
    let (source, sink) = (SourceConfig::read(&all).expect("reads"), SinkConfig::read(&all).expect("reads"));
    assert!(!format!("{source:?} {sink:?}").contains("secret"));
}

#[test]
fn wrong_queries_are_refused_before_the_server_is_asked() {
    let all = settings(&[("uri", "mongodb://127.0.0.1/shop"), ("collection", "orders")]);
    let cursor = |from: Value, to: Value| CursorRange {
        field: "at".to_owned(),
        from: Some(from),
        is_from_included: true,
        to: Some(to),
        takes_missing: false,
    };
    let selections = [
        Selection { filter: Some("{status: open}".to_owned()), ..everything() },
        Selection { cursor: Some(cursor(Value::Int(1), Value::TimestampMs(1))), ..everything() },
        Selection { cursor: Some(cursor(Value::List(vec![]), Value::Int(1))), ..everything() },
    ];
    let refused = |selection: &Selection| match source(&all, selection) {
        Ok(_) => "taken".to_owned(),
        Err(error) => told(&error),
    };
    assert_told("queries", &selections.iter().map(refused).collect::<Vec<_>>().join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_s_answers_are_told_apart() {
    let Some(world) = world("errors_told").await else { return };
    let _alone = FAIL_POINT.lock().await;
    world.put("orders", &[raw(&doc! { "_id": 1 })]).await;
    let mut all = Vec::new();
    let port = testkit::free_port();
    let nobody = format!("mongodb://127.0.0.1:{port}/shop?serverSelectionTimeoutMS=300");
    all.push(discover(&settings(&[("uri", &nobody), ("collection", "orders")]), &everything()).await);
    let wrong = world.uri.replace("mongodb://", "mongodb://somebody:wrong@") + "&authSource=admin";
    all.push(discover(&settings(&[("uri", &wrong), ("collection", "orders")]), &everything()).await);
    all.push(discover(&world.settings("ordres", &[]), &everything()).await);
    all.push(discover(&world.settings("zzz", &[]), &everything()).await);
    all.push(sink_fault(&world, "told_unauthorized", 13).await);
    all.push(sink_fault(&world, "told_primary", 10_107).await);
    all.push(sink_fault(&world, "told_disk", 14_031).await);
    let texts: Vec<String> = all.iter().map(fault_text).collect();
    assert_told("answers", &texts.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_refused_says_why() {
    let Some(world) = world("errors_refused").await else { return };
    world.put("planes", &[raw(&doc! { "_id": "N14228" })]).await;
    let mut records = batch(vec![
        (None, Some(Value::Int(5))),
        (None, row(&[("_id", Value::string("N14228")), ("seats", Value::Int(149))])),
    ]);
    records.place = Arc::new(Place::File { path: "planes.jsonl".into() });
    let sink = world.sink("planes", &[]);
    let mut writer = sink.writer(&split("planes")).await.expect("a writer");
    let rejects = writer.write(&records).await.expect("writes").0;
    let told = |reject: base::Reject| {
        problem::plain(&engine::Error::Rejected { reject: Box::new(reject), committed_count: 0 })
    };
    assert_told("refused", &rejects.into_iter().map(told).collect::<Vec<_>>().join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_says_which_query_position_and_document_it_is() {
    let Some(world) = world("errors_reading").await else { return };
    world.put("orders", &[raw(&doc! { "_id": 1 })]).await;
    let pipeline = vec![doc! { "$project": { "_id": 0, "a": 1 } }];
    world
        .database
        .create_collection("nameless")
        .view_on("orders".to_owned())
        .pipeline(pipeline)
        .await
        .expect("a view");
    let life = async |collection: &str, selection: Selection| {
        let fault =
            run(world.source(collection, &selection), Arc::new(Memory::default()), Arc::default(), 10).await;
        let Err(Fault::Fatal(error)) = fault else { panic!("it fails") };
        let engine::Error::Lane { source, .. } = error.downcast_ref::<engine::Error>().expect("a lane's")
        else {
            panic!("a lane's")
        };
        told(source)
    };
    let whole = Selection { splits_count: Some(1), ..everything() };
    let filter = Some(r#"{"a": {"$grater": 1}}"#.to_owned());
    let mut all = vec![
        life("orders", Selection { filter, ..whole.clone() }).await,
        life("nameless", whole.clone()).await,
    ];
    let fields = vec!["a.b".to_owned(), "a".to_owned()];
    all.push(life("orders", Selection { fields, ..whole.clone() }).await);
    let source = world.source("orders", &whole);
    for position in [Position::Mark(7), Position::Token(bytes::Bytes::from_static(b"?"))] {
        let orders = crate::mongodb::plan::whole_split("orders");
        let Err(fault) = source.open(&orders, &position).await else { panic!("it is refused") };
        all.push(fault_text(&fault));
    }
    all.push(problem::plain(&Error::Malformed {
        collection: "orders".to_owned(),
        after: Some("41".into()),
        reason: "its bytes are cut off".to_owned(),
    }));
    all.push(problem::plain(&Error::Form));
    let source =
        crate::mongodb::errors::Cause("the index options conflict (IndexOptionsConflict)".to_owned());
    let change = Error::Change { collection: "orders".to_owned(), what: "indexed", source };
    assert_eq!(change.code().id, "TM0739");
    all.push(problem::plain(&change));
    assert_told("reading", &all.join("\n"));
}
