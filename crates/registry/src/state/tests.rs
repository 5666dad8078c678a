//! What the topic's records make of the state, without Kafka.

use super::*;

fn value(subject: &str, version: i32, id: i32, text: &str) -> SchemaValue {
    SchemaValue {
        subject: subject.to_owned(),
        version,
        id,
        schema_type: None,
        references: None,
        metadata: None,
        rule_set: None,
        schema: text.to_owned(),
        deleted: false,
    }
}

fn schema(subject: &str, version: i32, id: i32, text: &str) -> Entry {
    Entry::Schema(Box::new(value(subject, version, id, text)))
}

fn state(entries: impl IntoIterator<Item = Entry>) -> State {
    let mut state = State::default();
    entries.into_iter().for_each(|entry| state.apply(entry));
    state
}

fn asked(text: &str) -> Asked {
    Asked {
        kind: ContractKind::Avro,
        text: Some(text.to_owned()),
        references: Vec::new(),
        metadata: None,
        rule_set: None,
        id: None,
        version: 0,
        tags: Tags::default(),
    }
}

/// Registers and applies what that makes.
fn register(state: &mut State, subject: &str, asked: Asked) -> Result<i32, Error> {
    let (registered, entries) = state.register(subject, asked, false)?;
    entries.into_iter().for_each(|entry| state.apply(entry));
    Ok(registered.id)
}

fn reference(name: &str, subject: &str) -> Reference {
    Reference { name: name.to_owned(), subject: subject.to_owned(), version: 1 }
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
    let mut state = state([again(), again(), gone]);
    assert!(state.by_id(1, "").is_err() && state.subjects("", true, false).is_empty());
    assert_eq!(register(&mut state, "t", asked("\"int\"")).unwrap(), 2, "an id is not given twice");
}

#[test]
fn a_text_in_other_words_is_the_same_schema() {
    let mut state = state([schema("s", 1, 4, r#"{ "type" : "int" }"#)]);
    assert_eq!(state.lookup("s", &asked("\"int\""), false, false).unwrap().id, 4);
    assert_eq!(register(&mut state, "s", asked("\"int\"")).unwrap(), 4);
    assert_eq!(state.versions("s", false, false).unwrap(), [1]);
}

#[test]
fn settings_fall_back_to_the_contexts_and_to_the_global_ones() {
    let config = |subject: Option<&str>, level: Option<&str>| Entry::Config {
        subject: subject.map(str::to_owned),
        config: level.map(|level| {
            Box::new(Config { compatibility_level: Some(level.to_owned()), ..Config::default() })
        }),
    };
    let state = state([
        config(None, Some("FULL")),
        config(Some("s"), Some("NONE")),
        config(Some("t"), Some("NONE")),
        config(Some("t"), None),
        config(Some(":.c:"), Some("FORWARD")),
    ]);
    assert_eq!(
        ["s", "t", "u", ":.c:s", ":.d:s"].map(|subject| state
            .config_that_holds(Some(subject))
            .rules()
            .level
            .name()),
        ["NONE", "FULL", "FULL", "FORWARD", "BACKWARD"]
    );
    assert!(state.config(Some("t")).is_none());
}

#[test]
fn a_mode_above_may_override_those_below() {
    let mode = |subject: Option<&str>, mode: &str| Entry::Mode {
        subject: subject.map(str::to_owned),
        mode: Some(mode.to_owned()),
    };
    let mut state = state([mode(None, "READONLY"), mode(Some("s"), "READWRITE")]);
    assert_eq!(state.mode_that_holds(Some("s")), Mode::ReadWrite);
    assert_eq!(state.mode_that_holds(Some("t")), Mode::ReadOnly);
    state.apply(mode(None, "READONLY_OVERRIDE"));
    assert_eq!(state.mode_that_holds(Some("s")), Mode::ReadOnlyOverride);
    assert!(register(&mut state, "s", asked("\"int\"")).is_err());
}

#[test]
fn each_context_has_its_ids() {
    let mut state = State::default();
    assert_eq!(register(&mut state, "s", asked("\"int\"")).unwrap(), 1);
    assert_eq!(register(&mut state, ":.c:s", asked("\"long\"")).unwrap(), 1);
    assert_eq!(register(&mut state, ":.c:t", asked("\"int\"")).unwrap(), 2);
    assert_eq!(state.contexts(), [".", ".c"]);
    assert_eq!(state.by_id(1, "").unwrap().text, "\"int\"");
    assert_eq!(state.by_id(1, ":.c:").unwrap().text, "\"long\"");
    // A bare subject finds the context that has it.
    assert_eq!(state.by_id(2, "t").unwrap().text, "\"int\"");
    assert!(state.by_id(2, "s").is_err());
    assert_eq!(state.subjects(":.c:", false, false), [":.c:s", ":.c:t"]);
    assert_eq!(state.subjects(":*:s", false, false), [":.c:s", "s"]);
    assert_eq!(state.lookup("t", &asked("\"int\""), false, false).unwrap().subject, ":.c:t");
}

const PLANE: &str =
    r#"{"type":"record","name":"Plane","namespace":"a","fields":[{"name":"seats","type":"int"}]}"#;
const FLIGHT: &str =
    r#"{"type":"record","name":"Flight","namespace":"a","fields":[{"name":"plane","type":"Plane"}]}"#;

#[test]
fn a_schema_that_is_referred_to_stays() {
    let mut state = State::default();
    assert_eq!(register(&mut state, "plane", asked(PLANE)).unwrap(), 1);
    let flight = Asked { references: vec![reference("a.Plane", "plane")], ..asked(FLIGHT) };
    assert_eq!(register(&mut state, "flight", flight.clone()).unwrap(), 2);
    assert_eq!(register(&mut state, "flight", flight.clone()).unwrap(), 2);
    assert_eq!(state.by_id(2, "").unwrap().text, FLIGHT);
    assert_eq!(state.referrers("plane", 1), [2]);
    let error = state.delete_version("plane", Wanted::Number(1), false).unwrap_err();
    assert_eq!(error.answer(), (422, 42206));
    assert_eq!(state.delete_subject("plane", false).unwrap_err().answer(), (422, 42206));
    // With everything in one schema it is the same.
    let whole = FLIGHT.replace("\"Plane\"", &PLANE.replace(r#","namespace":"a""#, ""));
    assert_eq!(state.lookup("flight", &asked(&whole), false, false).unwrap().id, 2);
    // A referrer that is deleted holds nothing.
    let (_, entries) = state.delete_subject("flight", false).unwrap();
    entries.into_iter().for_each(|entry| state.apply(entry));
    assert_eq!(state.delete_subject("plane", false).unwrap().0, [1]);
    let missing = Asked { references: vec![reference("a.Plane", "nobody")], ..flight };
    assert_eq!(register(&mut state, "other", missing).unwrap_err().answer(), (422, 42201));
}

#[test]
fn metadata_makes_a_version_and_the_next_one_inherits_it() {
    let mut state = State::default();
    let with = |key: &str, value: &str| Metadata {
        properties: [(key.to_owned(), value.to_owned())].into(),
        ..Metadata::default()
    };
    assert_eq!(register(&mut state, "s", asked("\"int\"")).unwrap(), 1);
    let owned = Asked { metadata: Some(with("owner", "me")), ..asked("\"int\"") };
    assert_eq!(register(&mut state, "s", owned).unwrap(), 2);
    assert_eq!(register(&mut state, "s", asked("\"long\"")).unwrap(), 3);
    assert_eq!(state.by_id(3, "").unwrap().metadata, Some(with("owner", "me")));
    let found = state.with_properties("s", &[("owner".to_owned(), "me".to_owned())], false).unwrap();
    assert_eq!(found.version, 3);
    // Without a text it is the latest one with other metadata; the number goes into it where one is given.
    let numbered = Asked { text: None, version: -1, ..asked("") };
    assert_eq!(register(&mut state, "s", numbered).unwrap(), 4);
    let latest = state.version("s", Wanted::Latest, false).unwrap();
    assert_eq!(latest.content.metadata.as_ref().unwrap().properties["confluent:version"], "4");
    assert_eq!(register(&mut state, "s", asked("\"long\"")).unwrap(), 4, "what is there already is found");
}

#[test]
fn a_group_is_compared_with_itself_alone() {
    let config = Config { compatibility_group: Some("major".to_owned()), ..Config::default() };
    let mut state = state([Entry::Config { subject: None, config: Some(Box::new(config)) }]);
    let of = |major: &str, text: &str| Asked {
        metadata: Some(Metadata {
            properties: [("major".to_owned(), major.to_owned())].into(),
            ..Metadata::default()
        }),
        ..asked(text)
    };
    register(&mut state, "s", of("1", "\"long\"")).unwrap();
    assert_eq!(register(&mut state, "s", of("1", "\"int\"")).unwrap_err().answer(), (409, 409));
    assert_eq!(register(&mut state, "s", of("2", "\"int\"")).unwrap(), 2);
}
