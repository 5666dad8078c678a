//! Connections from every place, and the same texts read by Airflow itself.

use std::{fs, process::Command};

use base::problem::plain;
use serde_json::{Value, json};
use testkit::Seeded;

use super::*;
use crate::{Outside, settings::text_file};

fn project(files: &[(&str, &str)], variables: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("writes");
    }
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let outside = Outside { variables, ..Outside::default() };
    let project = Project::open(folder.path(), &outside).expect("it opens");
    (folder, project)
}

/// Each connection in a line: id, where from, its URI.
fn listed(connections: &Connections) -> String {
    let line = |id: &String| match connections.get(id) {
        Ok(connection) => format!("{id}  {}  {}\n", connection.origin, connection.uri().reveal()),
        Err(error) => plain(&error),
    };
    connections.ids().iter().map(line).collect()
}

const YAML: &str = "\
lake:
  conn_type: mongo
  host: db.example.com
  login: reader
  password: 0815
  port: 27017
  schema: flights
  extra:
    ssl: yes
    readPreference: secondary
warehouse: postgresql://me:p%40ss@pg.example.com:5432/air
one_in_a_list:
  - http://https%3A%2F%2Fexample.com/
nothing: []
";

#[test]
fn each_of_airflows_file_formats_is_read() {
    let json = r#"{"lake": {"conn_type": "mongo", "host": "db.example.com", "login": "reader", "password": "0815",
"port": "27017", "schema": "flights", "extra": "{\"ssl\": true, \"readPreference\": \"secondary\"}"},
"warehouse": "postgresql://me:p%40ss@pg.example.com:5432/air", "one_in_a_list": ["http://https%3A%2F%2Fexample.com/"]}"#;
    let env = "# all of them\nlake=mongo://reader:0815@db.example.com:27017/flights?__extra__=%7B%22ssl%22%3A+true%2C+%22readPreference%22%3A+%22secondary%22%7D\n\nwarehouse=postgresql://me:p%40ss@pg.example.com:5432/air\none_in_a_list=http://https%3A%2F%2Fexample.com/\n";
    let mut texts = Vec::new();
    for file in [("connections.yaml", YAML), ("connections.json", json), ("connections.env", env)] {
        let (_folder, project) = project(&[file], &[]);
        texts.push(listed(&project.connections().expect("a file")));
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn the_environment_wins_over_dotenv_over_the_file() {
    let dotenv = "AIRFLOW_CONN_LAKE=mongo://dotenv\nAIRFLOW_CONN_ONLY_HERE={\"conn_type\": \"google-cloud-platform\", \"extra\": {\"project\": \"p 1\"}}\nAIRFLOW_CONN_QUOTED='aws://?region_name=eu-central-1'\n";
    let (_folder, project) = project(
        &[("connections.yaml", "lake: mongo://file\nother: http://file\n"), (".env", dotenv)],
        &[("AIRFLOW_CONN_LAKE", "mongo://environment"), ("AIRFLOW_CONN_EMPTY", "")],
    );
    let connections = project.connections().expect("a file");
    insta::assert_snapshot!(listed(&connections));
    let origins: Vec<String> = connections.origins("lake").iter().map(Origin::to_string).collect();
    insta::assert_snapshot!(origins.join("\n"));
}

#[test]
fn what_is_wrong_with_a_connection_is_said_when_it_is_asked_for() {
    let yaml = "\
no_type: {host: a}
no_key: {conn_type: http, hots: a}
port: {conn_type: http, port: http}
extra: {conn_type: http, extra: \"[1]\"}
both: {uri: 'http://a', host: b}
twice: [http://a, http://b]
named: {conn_id: other, conn_type: http}
number: 1
good: http://fine
";
    let env = [
        ("AIRFLOW_CONN_TYPE", "google_cloud_platform://?a=b"),
        ("AIRFLOW_CONN_COLON", "mysql://me:se:cret/1@host/db"),
        ("AIRFLOW_CONN_JSON", "{\"conn_type\": "),
        ("AIRFLOW_CONN_THREE", "a://b://c://d"),
    ];
    let (_folder, project) = project(&[("connections.yaml", yaml)], &env);
    let connections = project.connections().expect("a file");
    let text = listed(&connections) + &plain(&connections.get("godo").expect_err("none"));
    assert!(!text.contains("cret"), "{text}");
    insta::assert_snapshot!(text + &plain(&connections.get("elsewhere").expect_err("none")));
}

#[test]
fn a_file_that_cannot_be_read_is_said_with_its_place_and_never_its_text() {
    let files: [&[(&str, &str)]; 5] = [
        &[("connections.yaml", "a: http://x\n  secret: [\n")],
        &[("connections.json", "{\"a\": \"http://secret\",\n}")],
        &[("connections.env", "a=http://x\nsecret\n")],
        &[("connections.yaml", "- secret\n")],
        &[("connections.yaml", ""), ("connections.json", "{}")],
    ];
    let mut texts = String::new();
    for files in files {
        let (_folder, project) = project(files, &[]);
        texts += &plain(&project.connections().err().expect("refused"));
    }
    assert!(!texts.contains("secret"), "{texts}");
    insta::assert_snapshot!(texts);
}

#[test]
fn a_connection_is_never_printed_with_its_secrets() {
    let (_folder, project) =
        project(&[], &[("AIRFLOW_CONN_A", "mysql://me:hunter2@host/db?token=hunter2&port=1")]);
    let connection = project.connections().expect("none").get("a").expect("it is there");
    let debug = format!("{connection:?} {project:?} {} {}", connection.uri(), connection.json());
    assert!(!debug.contains("hunter2"), "{debug}");
    assert_eq!(connection.password().expect("one").reveal(), "hunter2");
    assert_eq!(connection.extra_text("port").as_deref(), Some("1"));
}

/// What we make of a text, in the form that `airflow.py` prints.
fn ours(form: &str, text: &str) -> Value {
    let connection = match form {
        "file" => {
            let file = text_file("connections.json", format!("{{\"c\": {text}}}"));
            let entries = given::entries(What::Connections, &file);
            entries.and_then(|entries| from_file("c", &entries[0]))
        }
        _ => Connection::parse("c", &Secret::new(text), &Origin::Env("AIRFLOW_CONN_C".to_owned())),
    };
    match connection {
        Ok(connection) => {
            let json: Value = serde_json::from_str(connection.json().reveal()).expect("our JSON");
            json!({"uri": connection.uri().reveal(), "json": json})
        }
        Err(_) => Value::Null,
    }
}

const URIS: [&str; 44] = [
    "mongo://host",
    "mongo://user:pass@host:27017/db?ssl=true&x=1.5&y=a%20b&z",
    "postgresql://u:p@h/s",
    "POSTGRES://User:Pass@HOST:5432/Schema",
    "google-cloud-platform://?extra__google_cloud_platform__key_path=%2Fkeys%2Fkey.json&num_retries=5",
    "google_cloud_platform://?a=b",
    "aws://AKIA:se%2Fcr%2Bet@/?region_name=eu-central-1&role_arn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx",
    "aws://?region_name=eu-central-1",
    "aws:///?__extra__=%7B%22assume_role_kwargs%22%3A+%7B%22DurationSeconds%22%3A+900%7D%7D",
    "http://https%3A%2F%2Fexample.com",
    "http://https%3A%2F%2FExample.com%2Fpath",
    "http://https://example.com:8443/path",
    "http://https://user:pass@example.com:8443/path?timeout=5",
    "http://http://example.com/",
    "https://https://example.com/",
    "my-type://https://example.com",
    "http://example.com/https",
    "http://a://b://c",
    "http://user@host://b",
    "type://:pass@host",
    "type://user:@host",
    "type://user@host",
    "type://@host",
    "type://@:80",
    "type://host:",
    "type://host:0/x",
    "type://host:65536",
    "type://host:abc",
    "type://user:p:a:s@host",
    "type://user:p@s@host",
    "type://user:p/ss@host/db",
    "type://host/a/b/c",
    "type://host/%2Fa%20b",
    "type://host/a?b=c#d",
    "type://host/?__extra__=[1]",
    "type://host/?__extra__=",
    "type://host/?__extra__=%7B%7D",
    "type://host/?a=%7B%22b%22%3A%5B1%2Cnull%5D%7D&a=2&c=%22t%22&d=null&e=",
    "type://[::1]:80/x",
    "type://[nonsense]:80/x",
    "type://ho%2Fst:80/x",
    "type://UPPER%2Fcase@Ho%2FsT/x",
    "type:host",
    "",
];

const JSONS: [&str; 14] = [
    r#"{"conn_type": "mongo", "host": "h", "login": "l", "password": "p", "schema": "s", "port": 1, "extra": {"a": "b"}}"#,
    r#"{"conn_type": "mongo", "port": "27017", "extra": "{\"a\": [1, true, null]}", "description": "d"}"#,
    r#"{"conn_type": "postgresql", "host": ""}"#,
    r#"{"conn_type": "google-cloud-platform", "extra": {}}"#,
    r#"{"conn_type": "http", "host": "https://example.com", "schema": "https"}"#,
    r#"{"conn_type": "https", "host": "https://example.com/a b"}"#,
    r#"{"conn_type": "a_b", "login": "", "password": ""}"#,
    r#"{"conn_type": "x", "extra": "no json"}"#,
    r#"{"conn_type": "x", "extra": [1]}"#,
    r#"{"conn_type": "x", "hots": "y"}"#,
    r#"{"host": "y"}"#,
    r#"{"uri": "mongo://user@host/x"}"#,
    r#"{"uri": "mongo://user@host/x", "host": "y"}"#,
    r#"{"conn_type": "x", "port": 0, "extra": {"ü": "ß ☃ 𝄞", "n": {"m": 1.0}}}"#,
];

/// Texts with every character that means something in a URI.
fn random_text(chance: &mut Seeded, length_max: u64) -> String {
    const CHARACTERS: [&str; 28] = [
        "a", "b", "Z", "0", "9", "_", "-", ".", "~", "/", ":", "@", "%", "?", "#", "&", "=", "+", " ", "[",
        "]", "\"", "\\", "ü", "☃", "%41", "://", "{",
    ];
    let length = chance.within(0..length_max + 1);
    (0..length).map(|_| CHARACTERS[chance.within(0..CHARACTERS.len() as u64) as usize]).collect()
}

fn random_cases(seed: u64, count: usize) -> Vec<(&'static str, String)> {
    let mut chance = Seeded::new(seed);
    let types = ["mongo", "postgresql", "http", "aws", "google-cloud-platform", "a_b", "Kafka"];
    let mut cases = Vec::with_capacity(count);
    while cases.len() < count {
        let conn_type = types[chance.within(0..types.len() as u64) as usize];
        let mut part = |length_max| random_text(&mut chance, length_max);
        let (host, login, password, schema) = (part(6), part(4), part(4), part(3));
        let (name, value) = (part(3), part(4));
        let extra = match chance.within(0..5) {
            0 => Value::Null,
            1 => json!({ name.clone(): value }),
            2 => json!({ name.clone(): value, "n": chance.within(0..9), "deep": {"a": [null, true, "x"]} }),
            3 => Value::String(json!({ name.clone(): [value] }).to_string()),
            _ => json!({}),
        };
        let mut all = json!({"conn_type": conn_type, "extra": extra});
        for (key, text) in [("host", &host), ("login", &login), ("password", &password), ("schema", &schema)]
        {
            if chance.within(0..4) > 0 {
                all[key] = Value::String(text.clone());
            }
        }
        if chance.within(0..2) == 0 {
            all["port"] = chance.within(0..65_536).into();
        }
        cases.push(("file", all.to_string()));
        cases.push(("text", all.to_string()));
        // Wholly random, and well-formed.
        let port =
            if chance.within(0..2) == 0 { format!(":{}", chance.within(0..70_000)) } else { String::new() };
        cases
            .push(("text", format!("{conn_type}://{login}:{password}@{host}{port}/{schema}?{name}={value}")));
        let (host, login) = (crate::python::quote(&host), crate::python::quote(&login));
        cases.push((
            "text",
            format!("{conn_type}://{login}@{host}{port}?{name}={value}&x={}", chance.within(0..99)),
        ));
    }
    cases
}

/// Airflow and ours read the same texts; what both accept is the same connection, URI and JSON.
#[test]
fn airflow_reads_the_same() {
    let Some(python) = testkit::venv_python("airflow") else { return };
    let mut cases: Vec<(&str, String)> = URIS.iter().map(|uri| ("text", (*uri).to_owned())).collect();
    cases.extend(URIS.iter().map(|uri| ("file", Value::from(*uri).to_string())));
    cases.extend(JSONS.iter().flat_map(|json| ["file", "text"].map(|form| (form, (*json).to_owned()))));
    let seeds = testkit::seeds(if testkit::deep() { 10 } else { 1 });
    cases.extend(seeds.into_iter().flat_map(|seed| random_cases(seed, 20_000)));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cases.jsonl");
    let lines = cases.iter().map(|(form, text)| json!({"form": form, "text": text}).to_string() + "\n");
    fs::write(&path, lines.collect::<String>()).expect("writes");
    let mut command = Command::new(python);
    command.arg("-c").arg(include_str!("airflow.py")).arg(&path).env("AIRFLOW_HOME", folder.path());
    let answers = testkit::ran(&mut command, 300).expect_success();
    let answers: Vec<&str> =
        answers.lines().filter(|line| line.starts_with('{') || *line == "null").collect();
    assert_eq!(answers.len(), cases.len());
    let (mut accepted_count, mut differing) = (0, Vec::new());
    for ((form, text), answer) in cases.iter().zip(answers) {
        let mut theirs: Value = serde_json::from_str(answer).expect("their JSON");
        // A port that a file has as a text stays one in Airflow; here it is a number.
        if let Some(port) = theirs.pointer_mut("/json/port")
            && let Some(number) = port.as_str().and_then(|text| text.parse::<u16>().ok())
        {
            *port = number.into();
        }
        accepted_count += usize::from(!theirs.is_null());
        let ours = ours(form, text);
        if ours != theirs {
            differing.push(format!("{form}: {text}\n  ours   {ours}\n  theirs {theirs}"));
        }
    }
    let count = differing.len();
    assert!(differing.is_empty(), "{count} differ:\n{}", differing[..count.min(12)].join("\n"));
    assert!(accepted_count > cases.len() / 3, "{accepted_count} of {}", cases.len());
}
