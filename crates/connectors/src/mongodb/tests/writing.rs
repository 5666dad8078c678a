//! The sink: insert, upsert and replace, in order or not, with its limits and what it refuses.

use std::sync::atomic::AtomicUsize;

use engine::contract::{self, Rule, SinkFixture};
use mongodb::bson::{Bson, oid::ObjectId};

use super::{
    values::{every_type, with_pointer},
    *,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_from_collection_to_collection_as_it_was() {
    let Some(world) = world("writing_types").await else { return };
    let mut documents = vec![with_pointer(&every_type())];
    documents.extend((1..2_000).map(|number| raw(&order(number))));
    world.put("from", &documents).await;
    for write in ["insert", "replace", "upsert"] {
        let target = format!("to_{write}");
        let selection = Selection { splits_count: Some(2), ..everything() };
        let sink = world.sink(&target, &[("write", write)]);
        run(world.source("from", &selection), sink, Arc::default(), 700).await.expect("runs");
        let (from, to) = (world.documents("from").await, world.documents(&target).await);
        if write == "upsert" {
            // `$set` keeps the fields and their bytes, but the server orders new ones by name.
            assert_eq!(to.len(), from.len());
            let sorted = |document: &RawDocumentBuf| {
                let mut fields: Vec<String> = document
                    .iter_elements()
                    .map(|field| format!("{:?}", field.expect("a field").value()))
                    .collect();
                fields.sort();
                fields
            };
            assert!(from.iter().zip(&to).all(|(from, to)| sorted(from) == sorted(to)));
        } else {
            assert!(from == to, "{write}: the documents differ");
        }
    }
}

/// More than a megabyte goes in parts beside each other: of two rows with one `_id` in different parts, either may come first.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_goes_in_parts_and_its_rows_stay_what_they_are() {
    let Some(world) = world("writing_parts").await else { return };
    let filler = "x".repeat(400);
    let document = |id: i64, place: i64| {
        let fields = [("_id", id), ("place", place)].map(|(name, number)| (name, Value::Int(number)));
        (None, row(&[&fields[..], &[("filler", Value::string(filler.as_str()))]].concat()))
    };
    let mut rows: Vec<_> = (0..3_000).map(|id| document(id, id)).collect();
    rows.push(document(0, 3_000));
    let refused = write(&*world.sink("parts", &[("write", "insert")]), &batch(rows)).await;
    let stored = world.documents("parts").await;
    let first = stored[0].get_i64("place").or_else(|_| stored[0].get_i32("place").map(i64::from));
    let lost = 3_000 - first.expect("a place");
    assert_eq!((stored.len(), refused.len()), (3_000, 1));
    assert!(refused[0].contains(&format!("{}/0/{lost}:", "orders")), "{} for {lost}", refused[0]);
}

fn fixture(world: Arc<World>, write: &'static str, cannot: &'static [(Rule, &'static str)]) -> SinkFixture {
    // A collection for each rule: what is read back is that rule's own.
    let rules = Arc::new(AtomicUsize::new(0));
    let name = move |rule: usize| format!("contract_{write}_{rule}");
    let (open, current) = (world.clone(), rules.clone());
    let denied = world.uri.replace("mongodb://", "mongodb://somebody:wrong@") + "&authSource=admin";
    let denied = World { uri: denied, database: world.database.clone() };
    let app = format!("throttled_{write}");
    let slow = World { uri: format!("{}&appName={app}", world.uri), database: world.database.clone() };
    let throttled_rule = rules.clone();
    SinkFixture {
        open: Box::new(move || open.sink(&name(current.load(SeqCst)), &[("write", write)])),
        read_back: Box::new(move |_| {
            let (world, rules) = (world.clone(), rules.clone());
            Box::pin(async move {
                let documents = world.documents(&name(rules.load(SeqCst))).await;
                if !documents.is_empty() {
                    rules.fetch_add(1, SeqCst);
                }
                let value = |document: &RawDocumentBuf| match document.get("n") {
                    Ok(Some(n)) => format!("{{\"n\":{}}}", n.as_i32().expect("a number")).into_bytes(),
                    _ => b"row".to_vec(),
                };
                documents.iter().map(value).collect()
            })
        }),
        value: contract::value,
        bad_value: Some(b"{oops".to_vec()),
        denied: Some(Box::new(move || denied.sink("denied", &[]))),
        throttled: Some(Box::new(move || {
            let point = doc! {
                "configureFailPoint": "failCommand", "mode": { "times": 2 },
                "data": { "failCommands": ["insert", "update"], "appName": app.as_str(), "errorCode": 462 },
            };
            let admin = slow.database.client().database("admin");
            let handle = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| handle.block_on(async { admin.run_command(point).await }))
                .expect("fail points are there");
            slow.sink(&name(throttled_rule.load(SeqCst)), &[("write", write)])
        })),
        cannot,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_keeps_the_contract() {
    let Some(world) = world("writing_contract").await else { return };
    let _alone = FAIL_POINT.lock().await;
    let fixture = fixture(Arc::new(world), "insert", &[]);
    insta::assert_snapshot!(contract::sink(&fixture).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_keeps_the_contract() {
    let Some(world) = world("writing_contract_replace").await else { return };
    let _alone = FAIL_POINT.lock().await;
    let cannot = &[(Rule::KeyTwiceInABatch, "records of one key are one document: the last one wins")];
    let fixture = fixture(Arc::new(world), "replace", cannot);
    insta::assert_snapshot!(contract::sink(&fixture).await);
}

async fn stored(world: &World, collection: &str) -> String {
    let documents = world.documents(collection).await;
    documents
        .iter()
        .map(|document| Document::try_from(document.as_ref()).expect("BSON").to_string())
        .collect::<Vec<_>>()
        .join("\n")
}

fn int(number: i64) -> Value {
    Value::Int(number)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_id_gets_one_that_is_the_same_in_every_life() {
    let Some(world) = world("writing_ids").await else { return };
    let records =
        batch(vec![(Some("k"), row(&[("a", int(1))])), (None, row(&[("a", int(2)), ("_id", int(7))]))]);
    for _ in 0..2 {
        assert!(write(&*world.sink("inserted", &[]), &records).await.is_empty());
        assert!(write(&*world.sink("replaced", &[("write", "replace")]), &records).await.is_empty());
    }
    assert_eq!(
        stored(&world, "inserted").await,
        "{ \"_id\": 7, \"a\": 2 }\n{ \"_id\": \"orders:0\", \"a\": 1 }"
    );
    assert_eq!(stored(&world, "replaced").await, "{ \"_id\": 7, \"a\": 2 }\n{ \"_id\": \"k\", \"a\": 1 }");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_record_with_an_id_is_refused_and_the_same_one_is_not() {
    let Some(world) = world("writing_duplicates").await else { return };
    let one = batch(vec![(None, row(&[("_id", int(1)), ("a", int(1))])), (None, row(&[("_id", int(2))]))]);
    assert!(write(&*world.sink("orders", &[]), &one).await.is_empty());
    let two = batch(vec![
        (None, row(&[("_id", int(1)), ("a", int(2))])),
        (None, row(&[("_id", int(2))])),
        (None, row(&[("_id", int(3))])),
    ]);
    for ordered in ["false", "true"] {
        let refused = write(&*world.sink("orders", &[("ordered", ordered)]), &two).await;
        insta::assert_snapshot!("duplicate", refused.join("\n"));
    }
    assert_eq!(world.documents("orders").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_sets_fields_and_replace_takes_the_place() {
    let Some(world) = world("writing_modes").await else { return };
    let seed = [raw(&doc! { "_id": 1, "a": 1, "kept": true })];
    for write_as in ["upsert", "replace"] {
        world.put(write_as, &seed).await;
        let records = batch(vec![
            (None, row(&[("_id", int(1)), ("a", int(2))])),
            (Some("new"), row(&[("a", int(1)), ("b", int(1))])),
            (Some("new"), row(&[("a", int(9))])),
            (Some("gone"), row(&[("a", int(1))])),
            (Some("gone"), None),
            (None, row(&[("_id", int(5))])),
        ]);
        assert!(write(&*world.sink(write_as, &[("write", write_as)]), &records).await.is_empty());
    }
    insta::assert_snapshot!(format!(
        "upsert\n{}\nreplace\n{}",
        stored(&world, "upsert").await,
        stored(&world, "replace").await
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn key_fields_tell_which_document_it_is() {
    let Some(world) = world("writing_keys").await else { return };
    world
        .put(
            "planes",
            &[raw(&doc! { "_id": 1, "tail": { "num": "N1" }, "country": "US", "seats": 2, "kept": 1 })],
        )
        .await;
    let tail = |number: &str| Value::Struct(vec![("num".into(), Value::string(number))]);
    let records = batch(vec![
        (None, row(&[("tail", tail("N1")), ("country", Value::string("US")), ("seats", int(4))])),
        (None, row(&[("tail", tail("N2")), ("country", Value::string("US")), ("_id", int(2))])),
        (None, row(&[("tail", tail("N3"))])),
    ]);
    let settings = [("write", "upsert"), ("key", "tail.num, country")];
    for _ in 0..2 {
        let refused = write(&*world.sink("planes", &settings), &records).await;
        assert_eq!(refused, ["TM0737 orders/0/2: it has no country, which is its key"]);
    }
    insta::assert_snapshot!(stored(&world, "planes").await);
    let records = batch(vec![(Some("4"), None), (Some("N9"), None)]);
    assert!(
        write(&*world.sink("planes", &[("write", "replace"), ("key", "seats")]), &records).await.is_empty()
    );
    assert_eq!(world.documents("planes").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_deletes_by_text_object_id_or_number() {
    let Some(world) = world("writing_tombstones").await else { return };
    let id = ObjectId::from_bytes([0xab; 12]);
    let ids = [Bson::ObjectId(id), Bson::String("text".to_owned()), Bson::Int64(42), Bson::Int32(1)];
    world.put("orders", &ids.map(|id| raw(&doc! { "_id": id }))).await;
    let records =
        batch(vec![(Some(&id.to_hex()), None), (Some("text"), None), (Some("42"), None), (None, None)]);
    let refused = write(&*world.sink("orders", &[("write", "replace")]), &records).await;
    assert_eq!(refused, ["TM0737 orders/0/3: it has neither value nor key"]);
    assert_eq!(stored(&world, "orders").await, "{ \"_id\": 1 }");
    let refused = write(&*world.sink("orders", &[]), &batch(vec![(Some("1"), None)])).await;
    assert_eq!(refused, ["TM0737 orders/0/0: it has no value, and write=insert deletes nothing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_batches_are_cut_and_documents_that_are_too_large_refused() {
    let Some(world) = world("writing_limits").await else { return };
    let text = |mib: usize| Value::string("x".repeat(mib << 20));
    let mut rows: Vec<_> =
        (0..3).map(|number| (None, row(&[("_id", int(number)), ("text", text(15))]))).collect();
    rows.push((None, row(&[("_id", int(3)), ("text", text(16))])));
    let largest = "x".repeat((16 << 20) - 4 - 1 - (1 + 4 + 4) - (1 + 5 + 4 + 1));
    rows.push((None, row(&[("_id", int(4)), ("text", Value::string(largest))])));
    for write_as in ["insert", "replace", "upsert"] {
        let refused = write(&*world.sink(write_as, &[("write", write_as)]), &batch(rows.clone())).await;
        assert_eq!(refused.len(), 1, "{write_as}: {refused:?}");
        assert!(refused[0].starts_with("TM0738 orders/0/3: 167772"), "{write_as}: {}", refused[0]);
        assert_eq!(world.documents(write_as).await.len(), 4);
    }
    let small = (0..50_000).map(|number| (None, row(&[("n", int(number))]))).collect();
    assert!(write(&*world.sink("small", &[]), &batch(small)).await.is_empty());
    let count = world.database.collection::<Document>("small").count_documents(doc! {}).await;
    assert_eq!(count.expect("counts"), 50_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_leaves_with_its_reason() {
    let Some(world) = world("writing_refused").await else { return };
    let validator = doc! { "seats": { "$gt": 0 } };
    world.database.create_collection("planes").validator(validator).await.expect("creates");
    let records = batch(vec![
        (None, row(&[("_id", int(1)), ("seats", int(2))])),
        (None, row(&[("_id", int(2)), ("seats", int(0))])),
        (None, row(&[("_id", Value::List(vec![])), ("seats", int(2))])),
        (None, row(&[("_id", int(4)), ("$seats", int(2)), ("seats", int(2))])),
        (None, row(&[("_id", int(5)), ("a.b", int(2)), ("seats", int(2))])),
        (None, Some(int(6))),
        (None, row(&[("_id", int(7)), ("seats", int(7))])),
    ]);
    let mut all = Vec::new();
    for settings in [
        [("write", "insert"), ("ordered", "true")],
        [("write", "replace"), ("ordered", "false")],
        [("write", "upsert"), ("ordered", "true")],
    ] {
        let refused = write(&*world.sink("planes", &settings), &records).await;
        all.push(format!("{settings:?}\n{}", refused.join("\n")));
        world.database.collection::<Document>("planes").delete_many(doc! {}).await.expect("empties");
    }
    insta::assert_snapshot!(all.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_stored_as_documents() {
    let Some(world) = world("writing_json").await else { return };
    let lines: Vec<&[u8]> = vec![br#"{"a":{"$oid":"650102030405060708090aff"},"b":[1,2.5]}"#, b"[1]", b"{}"];
    let mut records = batch(vec![(None, row(&[])); 3]);
    records.body = Body::Raw(lines.into_iter().map(Some).collect());
    let refused = write(&*world.sink("orders", &[]), &records).await;
    assert_eq!(refused.len(), 1);
    insta::assert_snapshot!(format!("{}\n{}", refused[0], stored(&world, "orders").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_are_made_emptied_indexed_and_dropped() {
    let Some(world) = world("writing_collections").await else { return };
    let collections = Collections::of(uri_secret(&world), "writing_collections".to_owned());
    collections.ping().await.expect("answers");
    for name in ["shop_b", "shop_a", "shop_a", "other"] {
        collections.create(name).await.expect("creates");
    }
    assert_eq!(collections.names("shop_").await.expect("lists"), ["shop_a", "shop_b"]);
    world.put("shop_a", &[raw(&doc! { "_id": 1, "tail": 1 }), raw(&doc! { "_id": 2, "tail": 1 })]).await;
    let tail = ["tail".to_owned()];
    let Err(Fault::Fatal(error)) = collections.index("shop_a", &tail, true).await else {
        panic!("not unique")
    };
    assert_eq!(error.to_string(), "the collection shop_a cannot be indexed");
    assert_eq!(collections.empty("shop_a").await.expect("empties"), 2);
    for _ in 0..2 {
        collections.index("shop_a", &tail, true).await.expect("indexes");
        collections.drop("shop_b").await.expect("drops");
    }
    assert_eq!(collections.names("").await.expect("lists"), ["other", "shop_a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn update_changes_what_is_there_and_delete_takes_it_away() {
    let Some(world) = world("writing_update").await else { return };
    let named = |id: i64, name: &str| row(&[("_id", Value::Int(id)), ("name", Value::string(name))]);
    let first = batch((0..40).map(|id| (None, named(id, "first"))).collect());
    write(&*world.sink("planes", &[("write", "replace")]), &first).await;
    // Every third is not there, and one has nothing but its `_id`.
    let mut rows: Vec<_> = (0..60).step_by(3).map(|id| (None, named(id, "second"))).collect();
    rows.push((None, row(&[("_id", Value::Int(1))])));
    rows.push((None, row(&[("_id", Value::Int(99))])));
    rows.push((None, row(&[("name", Value::string("keyless"))])));
    let refused = write(&*world.sink("planes", &[("write", "update")]), &batch(rows)).await;
    let missing = refused.iter().filter(|text| text.contains("TM1456")).count();
    assert_eq!((missing, refused.len()), (7, 8), "{refused:?}");
    let text = stored(&world, "planes").await;
    assert_eq!((text.lines().count(), text.matches("second").count()), (40, 14), "{text}");
    assert!(text.contains(r#"{ "_id": 1, "name": "first" }"#), "{text}");
    // By a key that is no `_id`: each finds its own.
    let by_name = row(&[("name", Value::string("second")), ("seen", Value::Boolean(true))]);
    let sink = world.sink("planes", &[("write", "update"), ("key", "name")]);
    assert_eq!(write(&*sink, &batch(vec![(None, by_name)])).await, Vec::<String>::new());
    assert_eq!(stored(&world, "planes").await.matches("seen").count(), 1);
    // Twice, with one that is not there: nothing is refused.
    for _ in 0..2 {
        let rows = (0..60).map(|id| (None, row(&[("_id", Value::Int(id))]))).collect();
        let sink = world.sink("planes", &[("write", "delete")]);
        assert_eq!(write(&*sink, &batch(rows)).await, Vec::<String>::new());
    }
    assert_eq!(stored(&world, "planes").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_and_indexes_are_made_before_the_first_record() {
    let Some(world) = world("writing_indexes").await else { return };
    let more = [
        ("create", "true"),
        ("index", "year,seats; model"),
        ("unique_index", "tailnum"),
        ("write", "upsert"),
    ];
    for _ in 0..2 {
        world.sink("made", &more).begin(&load()).await.expect("makes it");
    }
    let indexes = world.database.collection::<Document>("made").list_index_names().await.expect("lists");
    assert_eq!(indexes, ["_id_", "year_1_seats_1", "model_1", "tailnum_1"]);
    let same = |id: i64| row(&[("_id", Value::Int(id)), ("tailnum", Value::string("N1"))]);
    let refused = write(&*world.sink("made", &more), &batch(vec![(None, same(1)), (None, same(2))])).await;
    assert!(refused.len() == 1 && refused[0].contains("duplicate key"), "{refused:?}");
    let settings = world.settings("made", &[("index", "a,,b")]);
    assert!(SinkConfig::read(&settings).is_err());
}
