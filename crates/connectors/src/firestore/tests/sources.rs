//! The source: what is told, read and resumed, and what a selection passes down.

use super::*;
use crate::CursorRange;

fn source(world: &World, more: &[(&str, &str)], selection: &Selection) -> FirestoreSource {
    FirestoreSource::new(SourceConfig::read(&world.settings(more)).unwrap(), selection).unwrap()
}

#[tokio::test]
async fn documents_come_by_name_and_a_reader_goes_on_behind_any_of_them() {
    let Some(world) = World::new("by-name") else { return };
    let mut ids: Vec<String> = ["a", "b c", "B", "ü", "100", "20", "z%2F&=?"].map(str::to_owned).into();
    ids.extend((0..300).map(|number| format!("id-{number:03}")));
    world.put_numbers("users", &ids);
    let source = source(&world, &[("collection", "users")], &Selection::default());
    let mut found = Vec::new();
    for split in splits(&source).await {
        let all = read(&source, &split, &Position::Start, 7).await;
        for (place, (_, _, end)) in all.iter().enumerate().step_by(50) {
            let rest = read(&source, &split, end, 1_000).await;
            // A batch's end is behind its last row.
            let behind = all[place..].iter().take_while(|(_, _, other)| other == end).count() + place;
            assert_eq!(rest.len(), all.len() - behind, "behind {}", all[place].0);
            assert!(rest.iter().zip(&all[behind..]).all(|(one, other)| one.0 == other.0 && one.1 == other.1));
        }
        found.extend(all.into_iter().map(|(key, row, _)| (key, row)));
    }
    ids.sort();
    assert_eq!(keys(&found), ids);
    let one = ask(1, 1_000);
    let mut reader =
        source.open(&Split { id: "users".into(), place: split().place }, &Position::Start).await.unwrap();
    let Read::Batch(batch) = reader.read(&one).await.unwrap() else { panic!("a batch") };
    assert_eq!(batch.len(), 1, "a byte is one document");
}

#[tokio::test]
async fn strange_splits_and_positions_are_refused() {
    let Some(world) = World::new("strange") else { return };
    let source = source(&world, &[("collection", "users")], &Selection::default());
    let place = split().place;
    let open = async |id: &str, from: Position| {
        source.open(&Split { id: id.into(), place: place.clone() }, &from).await.map(drop)
    };
    assert!(open("users", Position::Start).await.is_ok());
    assert!(open("users", Position::Token("?".into())).await.is_err());
    assert!(open("users", Position::Mark(1)).await.is_err());
    assert!(open("orders", Position::Start).await.is_err());
    assert!(open("users?to=1&x=2", Position::Start).await.is_err());
}

#[test]
fn a_splits_id_holds_its_bounds() {
    use super::super::split::{Kind, Part};
    let cut = |kind: Kind, points: &[&str]| -> Vec<String> {
        let parts = Part::new("users", kind).cut(points.iter().map(|point| (*point).to_owned()).collect());
        assert!(parts.iter().all(|part| Part::parse(&part.id()).as_ref() == Some(part)));
        parts.iter().map(Part::id).collect()
    };
    assert_eq!(cut(Kind::Own, &[]), ["users"]);
    let bounded = ["users?to=users%2Fb", "users?from=users%2Fb&to=users%2Fm+n", "users?from=users%2Fm+n"];
    assert_eq!(cut(Kind::Own, &["users/m n", "users/b"]), bounded);
    assert_eq!(
        cut(Kind::Whole, &["users/b"]),
        ["users?below=*&to=users%2Fb", "users?below=*&from=users%2Fb"]
    );
    assert_eq!(cut(Kind::Below("orders".to_owned()), &[]), ["users?below=orders"]);
    assert_eq!(cut(Kind::Group, &["a/1/users/2"]).len(), 2);
    let odd = Part::new("a b/c?d/e=&", Kind::Own);
    assert_eq!(Part::parse(&odd.id()), Some(odd));
}

#[tokio::test]
async fn bounds_divide_a_collection_without_gap_or_overlap() {
    use super::super::split::{Kind, Part};
    let Some(world) = World::new("bounds") else { return };
    let ids: Vec<String> = (0..40).map(|number| format!("id-{number:02}")).collect();
    world.put_numbers("users", &ids);
    world.put("users/id-05/orders/1", json!({}));
    for (setting, kind, count) in [("none", Kind::Own, 40), ("all", Kind::Whole, 41)] {
        let source =
            source(&world, &[("collection", "users"), ("subcollections", setting)], &Selection::default());
        let mut found = Vec::new();
        for part in Part::new("users", kind).cut(vec!["users/id-11".to_owned(), "users/id-30".to_owned()]) {
            let split = Split { id: part.id().into(), place: split().place };
            found.extend(
                read(&source, &split, &Position::Start, 100).await.into_iter().map(|(key, _, _)| key),
            );
        }
        assert_eq!(found.len(), count);
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
    }
}

#[tokio::test]
async fn subcollections_come_all_by_name_or_as_a_group() {
    let Some(world) = World::new("below") else { return };
    for path in [
        "users/ada",
        "users/bob",
        "users/ada/orders/1",
        "users/ada/orders/1/lines/x",
        "users/bob/notes/n",
        "users/gone/orders/2",
        "users2/eve",
        "users2/eve/orders/3",
        "a/b/users/deep",
    ] {
        world.put(path, json!({}));
    }
    let found = async |more: &[(&str, &str)]| {
        let rows = read_all(&world, more, &Selection::default()).await;
        keys(&rows).join(" ")
    };
    let users = ("collection", "users");
    assert_eq!(found(&[users]).await, "ada bob");
    assert_eq!(
        found(&[users, ("subcollections", "all")]).await,
        "ada ada/orders/1 ada/orders/1/lines/x bob bob/notes/n gone/orders/2"
    );
    assert_eq!(
        found(&[users, ("subcollections", "orders, lines")]).await,
        "ada bob ada/orders/1 gone/orders/2 ada/orders/1/lines/x"
    );
    assert_eq!(found(&[("collection", "users/ada/orders")]).await, "1");
    assert_eq!(found(&[("collection", "users/ada/orders"), ("subcollections", "all")]).await, "1 1/lines/x");
    assert_eq!(
        found(&[("collection", "orders"), ("collection_group", "true")]).await,
        "users/ada/orders/1 users/gone/orders/2 users2/eve/orders/3"
    );
}

#[tokio::test]
async fn a_second_life_reads_the_parts_of_the_first_ones_plan() {
    let Some(world) = World::new("plan") else { return };
    world.put_numbers("users", &["a".to_owned(), "b".to_owned()]);
    let settings = [("collection", "users")];
    let first = source(&world, &settings, &Selection::default());
    let Discovery::Changed { assigned, .. } = first.discover(&ask(0, 0)).await.unwrap() else {
        panic!("a plan")
    };
    assert_eq!(&*assigned[0].id, "users?plan=true");
    let saved = Position::Token("users?to=users%2Fb users?from=users%2Fb".into());
    let second = source(&world, &settings, &Selection::default());
    second.discover(&ask(0, 0)).await.unwrap();
    let mut reader = second.open(&assigned[0], &saved).await.unwrap();
    assert!(matches!(reader.read(&ask(1, 1)).await.unwrap(), Read::End));
    let Discovery::Changed { assigned, .. } = second.discover(&ask(0, 0)).await.unwrap() else {
        panic!("splits")
    };
    let mut found = Vec::new();
    for split in &assigned {
        found.extend(read(&second, split, &Position::Start, 10).await.into_iter().map(|(key, _, _)| key));
    }
    assert_eq!((assigned.len(), found.join(" ").as_str()), (2, "a b"));
    assert!(matches!(second.discover(&ask(0, 0)).await.unwrap(), Discovery::Complete));
    for strange in [Position::Mark(1), Position::Token("orders".into()), Position::Token("users?x=1".into())]
    {
        let plan = Split { id: "users?plan=true".into(), place: split().place };
        assert!(second.open(&plan, &strange).await.is_err());
    }
}

fn range(field: &str, from: Option<Value>, to: Option<Value>) -> CursorRange {
    CursorRange { field: field.to_owned(), from, is_from_included: true, to, takes_missing: false }
}

#[tokio::test]
async fn a_selection_is_passed_down() {
    let Some(world) = World::new("selection") else { return };
    for number in 0..30 {
        let age = json!({ "integerValue": number.to_string() });
        let city = json!({ "stringValue": if number % 2 == 0 { "Oslo" } else { "Rome" } });
        let at = json!({ "mapValue": { "fields": { "day": { "integerValue": (number % 3).to_string() } } } });
        world.put(&format!("users/u{number:02}"), json!({ "age": age, "city": city, "at": at }));
    }
    world.put("users/x-null", json!({ "age": { "nullValue": null } }));
    world.put("users/x-text", json!({ "age": { "stringValue": "old" } }));
    world.put("users/x-none", json!({ "city": { "stringValue": "Oslo" } }));
    let found = async |selection: Selection| {
        let rows = read_all(&world, &[("collection", "users")], &selection).await;
        rows.into_iter().map(|(key, row)| (key, row.get("age").cloned())).collect::<Vec<_>>()
    };
    let filter = |text: &str| Selection { filter: Some(text.to_owned()), ..Selection::default() };
    assert_eq!(found(filter("[\"city\", \"==\", \"Oslo\"]")).await.len(), 16);
    assert_eq!(
        found(filter("{\"and\": [[\"city\", \"==\", \"Oslo\"], [\"age\", \">\", 19]]}")).await.len(),
        5
    );
    assert_eq!(found(filter("{\"or\": [[\"age\", \"==\", 3], [\"age\", \"in\", [5, 7]]]}")).await.len(), 3);
    assert_eq!(found(filter("[\"at.day\", \"==\", 1]")).await.len(), 10);
    assert_eq!(found(filter("[\"age\", \"==\", null]")).await[0].0, "x-null");
    let cursor = |cursor: CursorRange| Selection { cursor: Some(cursor), ..Selection::default() };
    let tens = range("age", Some(Value::Int(10)), Some(Value::Int(20)));
    let rows = found(cursor(tens.clone())).await;
    assert_eq!((rows.len(), &rows[0].0, &rows[9].0), (10, &"u10".to_owned(), &"u19".to_owned()));
    let open = CursorRange { is_from_included: false, ..tens.clone() };
    assert_eq!(found(cursor(open)).await.len(), 9);
    let with_missing = CursorRange { takes_missing: true, ..tens };
    assert_eq!(found(cursor(with_missing.clone())).await.len(), 13, "null, text and none cannot be compared");
    assert_eq!(found(cursor(range("age", None, None))).await.len(), 31, "with a value");
    assert_eq!(found(cursor(CursorRange { from: None, to: None, ..with_missing })).await.len(), 33);
}

#[tokio::test]
async fn a_cursors_order_is_resumed_behind_equal_values_and_fields_are_projected() {
    let Some(world) = World::new("equal") else { return };
    for number in 0..20 {
        let fields = json!({
            "at": { "timestampValue": format!("2024-01-0{}T00:00:00.000001Z", number / 5 + 1) },
            "n": { "integerValue": number.to_string() }, "left out": { "booleanValue": true },
        });
        world.put(&format!("events/e{number:02}"), fields);
    }
    let from = Some(Value::TimestampUs(1_704_153_600_000_001));
    let fields = vec!["n".to_owned()];
    let selection = Selection { cursor: Some(range("at", from, None)), fields, ..Selection::default() };
    let source = source(&world, &[("collection", "events")], &selection);
    let split = &splits(&source).await[0];
    let all = read(&source, split, &Position::Start, 1).await;
    assert_eq!(all.len(), 15);
    assert!(all.iter().all(|(_, row, _)| matches!(row, Value::Struct(fields) if fields.len() == 1)));
    for (place, (_, _, end)) in all.iter().enumerate() {
        let rest = read(&source, split, end, 100).await;
        assert!(
            rest.iter().map(|(key, _, _)| key).eq(all[place + 1..].iter().map(|(key, _, _)| key)),
            "{place}"
        );
    }
}

#[test]
fn a_filter_that_is_none_is_refused() {
    let settings = [("project", "p"), ("emulator", "127.0.0.1:1"), ("collection", "users")];
    let settings: Settings =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let refused = |filter: &str| {
        let selection = Selection { filter: Some(filter.to_owned()), ..Selection::default() };
        let source = FirestoreSource::new(SourceConfig::read(&settings).unwrap(), &selection);
        source.map(drop).unwrap_err().to_string()
    };
    let texts = ["age > 5", "[\"age\"]", "[\"age\", \"~\", 5]", "{\"xor\": []}", "[\"age\", \"<\"]", "5"];
    insta::assert_snapshot!(texts.map(refused).join("\n"));
}

#[tokio::test]
async fn a_dead_address_is_told_after_some_tries() {
    let settings = [("project", "p"), ("emulator", "127.0.0.1:1"), ("collection", "users")];
    let settings: Settings =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let sink =
        FirestoreSink::new(SinkConfig::read(&settings).unwrap(), Arc::new(ManualClock::at(0))).unwrap();
    let load = base::Load { id: "1".into(), transfer: "t".into() };
    let fault = sink.begin(&load).await.unwrap_err();
    assert!(
        matches!(&fault, base::Fault::Transient(error) if error.to_string().contains("does not answer at http://127.0.0.1:1")),
        "{fault:?}"
    );
}
