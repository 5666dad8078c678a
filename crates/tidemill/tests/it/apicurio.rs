//! Apicurio Registry, a registry that others wrote: asked the same as ours, and in the place of ours.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};
use testkit::{Answer, Apicurio, http, poll};

use crate::{
    flow,
    shared::{name, shared, world},
};

/// What is asked of both: a method, a path, and a body's name below, where there is one. `{s}` is the subject, `{1}` the id that was seen
/// first.
const TALK: &str = include_str!("apicurio/talk.txt");

/// One of the two registries, and the ids that it has given, in the order in which they came.
struct Registry<F> {
    answer: F,
    ids: Vec<u64>,
}

impl<F: Fn(&str, &str, &str) -> Answer> Registry<F> {
    fn new(answer: F) -> Self {
        Self { answer, ids: Vec::new() }
    }

    /// What it answers, as far as both should: of an error the status and the number, of anything else all but the guid.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> String {
        let mut path = path.to_owned();
        for (at, id) in self.ids.iter().enumerate() {
            path = path.replace(&format!("{{{}}}", at + 1), &id.to_string());
        }
        let answer = (self.answer)(method, &path, body);
        match serde_json::from_str::<Value>(&answer.body) {
            Ok(error) if answer.status >= 400 => format!("{} {}", answer.status, error["error_code"]),
            Err(_) if answer.status >= 400 => answer.status.to_string(),
            Ok(mut value) => {
                self.tidy(&mut value, path.ends_with("/referencedby"));
                value.sort_all_objects();
                format!("{} {value}", answer.status)
            }
            Err(_) => format!("{} {}", answer.status, answer.body),
        }
    }

    /// Ids by when they were seen first, schemas without spaces, no guids.
    fn tidy(&mut self, value: &mut Value, are_ids: bool) {
        match value {
            Value::Object(members) => {
                members.remove("guid");
                for (member, value) in members.iter_mut() {
                    self.tidy(value, member == "id");
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.tidy(item, are_ids)),
            Value::Number(id) if are_ids => {
                let id = id.as_u64().unwrap();
                let known = self.ids.iter().position(|known| *known == id).unwrap_or_else(|| {
                    self.ids.push(id);
                    self.ids.len() - 1
                });
                *value = format!("{{{}}}", known + 1).into();
            }
            Value::String(text) => text.retain(|letter| !letter.is_whitespace()),
            _ => {}
        }
    }
}

/// The bodies of the talk, by the words before them.
fn bodies(subject: &str) -> BTreeMap<&'static str, String> {
    let body = |schema: &str, kind: &str, references: Value| {
        json!({"schema": schema, "schemaType": kind, "references": references}).to_string()
    };
    // A name that no other test has: which subjects have a schema is asked, too.
    let own = subject.replace('-', "_");
    let record = |fields: &str| {
        body(&format!(r#"{{"type":"record","name":"{own}","fields":[{fields}]}}"#), "AVRO", json!([]))
    };
    let line = "syntax = \"proto3\";\npackage a;\nmessage Line { string name = 1; }\n";
    let order =
        "syntax = \"proto3\";\npackage a;\nimport \"line.proto\";\nmessage Order { Line line = 1; }\n";
    let line_1 = json!([{"name": "line.proto", "subject": format!("{subject}-line"), "version": 1}]);
    let line_7 = json!([{"name": "line.proto", "subject": format!("{subject}-line"), "version": 7}]);
    BTreeMap::from([
        ("one field", record(r#"{"name":"a","type":"int"}"#)),
        ("with a default", record(r#"{"name":"a","type":"int"},{"name":"b","type":"int","default":0}"#)),
        ("without a default", record(r#"{"name":"a","type":"int"},{"name":"c","type":"int"}"#)),
        ("no JSON", body("{nope", "AVRO", json!([]))),
        ("no type", body(r#"{"type":"nope"}"#, "AVRO", json!([]))),
        ("half a body", "{".to_owned()),
        ("a bare word", body(r#""int""#, "AVRO", json!([]))),
        ("the word as an object", body(r#"{"type":"int"}"#, "AVRO", json!([]))),
        ("FULL", json!({"compatibility": "FULL"}).to_string()),
        ("NONE", json!({"compatibility": "NONE"}).to_string()),
        ("SOME", json!({"compatibility": "SOME"}).to_string()),
        ("line", body(line, "PROTOBUF", json!([]))),
        ("order", body(order, "PROTOBUF", line_1)),
        ("order without its line", body(order, "PROTOBUF", json!([]))),
        ("order with a line that is not there", body(order, "PROTOBUF", line_7)),
        ("an integer", body(r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#, "JSON", json!([]))),
        ("no JSON Schema", body("{nope", "JSON", json!([]))),
    ])
}

#[test]
fn asked_the_same_both_answer_alike_but_for_these() {
    let (_, parts) = shared();
    let Some(apicurio) = testkit::apicurio() else { return };
    let (subject, url) = (name("peer"), parts.registry());
    let bodies = bodies(&subject);
    let mut theirs = Registry::new(|method: &str, path: &str, body: &str| apicurio.ask(method, path, body));
    let mut ours =
        Registry::new(|method: &str, path: &str, body: &str| http(method, &format!("{url}{path}"), body));
    let (mut asked, mut differing, mut said) = (0, 0, String::new());
    for line in TALK.lines().filter(|line| !line.is_empty()) {
        let mut words = line.splitn(3, ' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else { panic!("{line}") };
        let body = words.next().map_or("", |name| &bodies[name]);
        let path = path.replace("{s}", &subject);
        let (theirs, ours) = (theirs.ask(method, &path, body), ours.ask(method, &path, body));
        asked += 1;
        if theirs != ours {
            differing += 1;
            writeln!(said, "{line}\n  Apicurio  {theirs}\n  Tidemill  {ours}").unwrap();
        }
    }
    writeln!(said, "{} of {asked} alike", asked - differing).unwrap();
    insta::assert_snapshot!(said.replace(&subject, "{s}"));
}

/// A contract of each kind, registered there, written by, read back, and read by a connector.
#[test]
fn commands_loads_and_connectors_use_it_as_they_use_ours() {
    let Some(Apicurio { url, .. }) = testkit::apicurio() else { return };
    let mut world = world();
    world.set("TIDEMILL_REGISTRY_EXTERNAL", url);
    let parts = world.up();
    assert_eq!(parts.registry(), *url);
    let [avro, json, protobuf] = ["avro", "json", "protobuf"].map(|kind| name(&format!("apicurio-{kind}")));
    let fields = r#"[{"name":"number","type":"long"},{"name":"item","type":"string"}]"#;
    world.write(
        &format!("contracts/{avro}.avsc"),
        format!(r#"{{"type":"record","name":"Order","fields":{fields}}}"#),
    );
    let properties = r#"{"number":{"type":"integer"},"item":{"type":"string"}}"#;
    world.write(
        &format!("contracts/{json}.json"),
        format!(r#"{{"type":"object","properties":{properties}}}"#),
    );
    let message = "syntax = \"proto3\";\nmessage Order {\n  int64 number = 1;\n  string item = 2;\n}\n";
    world.write(&format!("contracts/{protobuf}.proto"), message);
    let records = "{\"number\":1,\"item\":\"bread\"}\n{\"number\":2,\"item\":\"milk\"}\n";
    world.write("orders.jsonl", records);
    for (topic, converter) in [
        (&avro, "io.confluent.connect.avro.AvroConverter"),
        (&json, "io.confluent.connect.json.JsonSchemaConverter"),
        (&protobuf, "io.confluent.connect.protobuf.ProtobufConverter"),
    ] {
        let registered = world.ok(&["schema", "register", topic]);
        assert!(registered.contains("version 1 with id"), "{registered}");
        assert_eq!(world.ok(&["schema", "register", topic]), registered, "the same again");
        world.ok(&["schema", "check", topic]);
        world.ok(&["topic", "create", topic]);
        let target = format!("kafka://local/{topic}");
        world.ok(&["load", "orders.jsonl", &target, "--contract", topic]);
        world.ok(&["load", &target, &format!("{topic}.jsonl")]);
        assert_eq!(std::fs::read_to_string(world.path(&format!("{topic}.jsonl"))).unwrap(), records);
        let mut sink = flow::connector(&format!("{topic}-sink"), topic, &parts, 2);
        sink["config"]["value.converter"] = converter.into();
        sink["config"].as_object_mut().unwrap().remove("value.converter.schemas.enable");
        http("POST", &format!("{}/connectors", parts.connect()), &sink.to_string()).expect(201);
        let objects = flow::wait_for_objects(&world, topic, 1);
        assert_eq!(objects.into_values().collect::<Vec<_>>(), [records.as_bytes()]);
    }
    changed(&world, &avro);
    world.down();
}

/// A version that the one before does not go with is refused there, and is taken where nothing is compared.
fn changed(world: &testkit::World, contract: &str) {
    let subject = format!("{contract}-value");
    let fields = r#"[{"name":"number","type":"long"},{"name":"price","type":"double"}]"#;
    world.write(
        &format!("contracts/{contract}.avsc"),
        format!(r#"{{"type":"record","name":"Order","fields":{fields}}}"#),
    );
    world.run(&["schema", "check", contract]).expect_code(6);
    world.run(&["schema", "register", contract]).expect_code(6);
    world.ok(&["schema", "compatibility", "set", "NONE", &subject]);
    assert!(world.ok(&["schema", "compatibility", "get", &subject]).contains("NONE"));
    assert!(world.ok(&["schema", "register", contract]).contains("version 2 with id"));
    let versions = || world.ok(&["schema", "versions", &subject]);
    assert_eq!(versions().lines().count(), 3, "a head and two versions");
    world.ok(&["schema", "delete", &subject, "--version", "1"]);
    poll::until("one version is left", 5_000, || (versions().lines().count() == 2).then_some(()));
}
