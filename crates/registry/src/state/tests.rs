//! What the topic's records make of the state, without Kafka.

use super::*;

fn schema(subject: &str, version: i32, id: i32, text: &str) -> Entry {
    Entry::Schema(SchemaValue {
        subject: subject.to_owned(),
        version,
        id,
        schema_type: None,
        schema: text.to_owned(),
        deleted: false,
    })
}

fn state(entries: impl IntoIterator<Item = Entry>) -> State {
    let mut state = State::default();
    entries.into_iter().for_each(|entry| state.apply(entry));
    state
}

fn given(text: &str) -> Given {
    Given::parse("s", ContractKind::Avro, text, false).unwrap()
}

#[test]
fn the_order_of_the_topic_decides() {
    let deleted = Entry::SubjectDeleted { subject: "s".to_owned(), version: 1 };
    let state = state([schema("s", 1, 1, "\"int\""), deleted, schema("s", 2, 2, "\"long\"")]);
    assert_eq!(state.versions("s", false, false).unwrap(), [2]);
    assert_eq!(state.versions("s", false, true).unwrap(), [1]);
    assert_eq!(state.versions("s", true, false).unwrap(), [1, 2]);
}

#[test]
fn a_record_that_comes_twice_counts_once() {
    let again = || schema("s", 1, 1, "\"int\"");
    let gone = Entry::SchemaGone { subject: "s".to_owned(), version: 1 };
    let state = state([again(), again(), gone]);
    assert!(state.by_id(1).is_err() && state.subjects("", true, false).is_empty());
    assert_eq!(state.register("t", &given("\"int\""), None).unwrap().0, 2, "an id is not given twice");
}

#[test]
fn a_text_in_other_words_is_the_same_schema() {
    let kept = r#"{ "type" : "int" }"#;
    let state = state([schema("s", 1, 4, kept)]);
    assert_eq!(state.lookup("s", &given("\"int\""), false).unwrap().id, 4);
    assert_eq!(state.register("s", &given("\"int\""), None).unwrap(), (4, None));
}

#[test]
fn settings_fall_back_to_the_global_ones() {
    let config = |subject: Option<&str>, level: Option<&str>| Entry::Config {
        subject: subject.map(str::to_owned),
        level: level.map(str::to_owned),
    };
    let state = state([
        config(None, Some("FULL")),
        config(Some("s"), Some("NONE")),
        config(Some("t"), Some("NONE")),
        config(Some("t"), None),
    ]);
    assert_eq!(
        ["s", "t", "u"].map(|subject| state.level_that_holds(subject).name()),
        ["NONE", "FULL", "FULL"]
    );
    assert!(state.level(Some("t")).is_none());
}
