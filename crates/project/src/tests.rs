//! Settings layer by layer, folders, locks, documents; every error's text.

use std::{fs, path::Path};

use base::problem::plain;

use crate::{settings::text_file, *};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn open(path: &Path, env: &[(&str, &str)], flags: &[&str]) -> Result<Project, Error> {
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Project::open(path, &Outside { folder: None, variables: variables(env), flags })
}

#[test]
fn every_key_has_a_comment_a_kind_and_a_default_of_that_kind() {
    for (key, setting) in Settings::defaults().iter() {
        assert!(setting.doc.ends_with('.'), "{key}: {}", setting.doc);
        let (_, text) = setting.value();
        assert!(text.is_empty() || setting.kind.takes(text), "{key}: {text}");
    }
}

/// Each layer over the one below it.
#[test]
fn a_flag_wins_over_the_environment_over_dotenv_over_the_file_over_the_default() {
    let yaml = ("tidemill.yaml", "broker:\n  listen: 127.0.0.1:9001\n");
    let dotenv = (".env", "# keys\nOTHER=1\nTIDEMILL_BROKER_LISTEN=127.0.0.1:9002\n");
    let env = ("TIDEMILL_BROKER_LISTEN", "127.0.0.1:9003");
    let flag = "broker.listen=127.0.0.1:9004";
    let read = |files: &[(&str, &str)], env: &[(&str, &str)], flags: &[&str]| {
        let folder = folder(files);
        let project = open(folder.path(), env, flags).expect("it opens");
        let (origin, text) = project.settings.get("broker.listen").expect("a key").value();
        format!("{text} {origin}")
    };
    assert_eq!(read(&[], &[], &[]), "127.0.0.1:9092 default");
    assert_eq!(read(&[yaml], &[], &[]), "127.0.0.1:9001 tidemill.yaml:2:11");
    assert_eq!(read(&[yaml, dotenv], &[], &[]), "127.0.0.1:9002 .env:3");
    assert_eq!(
        read(&[yaml, dotenv], &[env], &[]),
        "127.0.0.1:9003 TIDEMILL_BROKER_LISTEN in the environment"
    );
    assert_eq!(read(&[yaml, dotenv], &[env], &[flag]), "127.0.0.1:9004 --set broker.listen");
}

#[test]
fn explain_tells_every_layer() {
    let folder = folder(&[("tidemill.yaml", "broker:\n  listen: 127.0.0.1:9094\n")]);
    let project =
        open(folder.path(), &[("TIDEMILL_BROKER_LISTEN", "127.0.0.1:9093")], &[]).expect("it opens");
    insta::assert_snapshot!(explain(&project.settings, "broker.listen").expect("a key"), @r"
    broker.listen = 127.0.0.1:9093    TIDEMILL_BROKER_LISTEN in the environment
       not 127.0.0.1:9094             tidemill.yaml:2:11
       not 127.0.0.1:9092             default: Where the Kafka listener is.
    ");
}

#[test]
fn a_secret_is_never_shown() {
    let set = ["s3.secret_key=hunter2", "broker.properties.sasl.password=hunter2"];
    let folder = folder(&[]);
    let project = open(folder.path(), &[], &set).expect("it opens");
    let shown = show(&project.settings) + &show_json(&project.settings).to_string();
    assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
    assert_eq!(project.settings.secret("s3.secret_key").reveal(), "hunter2");
}

#[test]
fn client_properties_are_an_open_map() {
    let text = "broker:\n  external: kafka:9092\n  properties:\n    security.protocol: SASL_SSL\n    sasl.username: me\n";
    let folder = folder(&[("tidemill.yaml", text)]);
    let env = [("TIDEMILL_BROKER_PROPERTIES_SASL_USERNAME", "you")];
    let project = open(folder.path(), &env, &[]).expect("it opens");
    let properties = project.settings.properties("broker.properties");
    let expected = [("sasl.username", "you"), ("security.protocol", "SASL_SSL")];
    assert_eq!(properties.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
}

#[test]
fn users_are_an_open_map_of_secrets() {
    let folder =
        folder(&[("tidemill.yaml", "broker:\n  users:\n    alice: hunter2\n    bob.the-first: hunter3\n")]);
    let env = [("TIDEMILL_BROKER_USERS_CAROL", "hunter4")];
    let project = open(folder.path(), &env, &["broker.users.alice=hunter5"]).expect("it opens");
    let users = project.settings.secrets("broker.users");
    let expected = [("alice", "hunter5"), ("bob.the-first", "hunter3"), ("carol", "hunter4")];
    assert_eq!(
        users.iter().map(|(user, secret)| (user.as_str(), secret.reveal())).collect::<Vec<_>>(),
        expected
    );
    let shown =
        show(&project.settings) + &explain(&project.settings, "broker.users.alice").expect("it is one");
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn typed_values_take_units() {
    let folder = folder(&[]);
    let flags =
        ["broker.retention_ms=90 min", "broker.segment_bytes=64MiB", "environment.parts=broker, registry,"];
    let settings = open(folder.path(), &[], &flags).expect("it opens").settings;
    assert_eq!(settings.milliseconds("broker.retention_ms").expect("a time"), 5_400_000);
    assert_eq!(settings.bytes("broker.segment_bytes").expect("a size"), 64 << 20);
    assert_eq!(settings.bytes("broker.retention_bytes").expect("a size"), -1);
    assert_eq!(settings.list("environment.parts"), ["broker", "registry"]);
    assert!(settings.boolean("broker.auto_create_topics").expect("a boolean"));
    assert_eq!(settings.count("broker.partitions_count").expect("a count"), 1);
    assert_eq!(settings.address("broker.listen").expect("an address").port(), 9092);
}

#[test]
fn a_file_of_comments_and_empty_sections_sets_nothing() {
    let folder = folder(&[("tidemill.yaml", "# all of it\nbroker:\n  # listen: 1\nregistry: {}\n")]);
    let settings = open(folder.path(), &[], &[]).expect("it opens").settings;
    assert_eq!(settings.text("broker.listen"), "127.0.0.1:9092");
}

#[test]
fn somebody_elses_variables_are_left_alone_and_a_misspelt_one_is_not() {
    let folder = folder(&[]);
    open(folder.path(), &[("TIDEMILL_PROJECT", "x"), ("TIDEMILL_DIE_AT", "y"), ("PATH", "z")], &[])
        .expect("it opens");
    for name in ["TIDEMILL_BROKER_LISTN", "TIDEMILL_BROKR_LISTEN"] {
        let error = open(folder.path(), &[(name, "127.0.0.1:1")], &[]).expect_err("no such setting");
        assert!(plain(&error).contains("write `broker.listen` instead"), "{}", plain(&error));
    }
}

#[test]
fn the_project_is_the_nearest_folder_upward() {
    let outer = folder(&[("tidemill.yaml", ""), ("a/b/note.txt", "")]);
    let project = open(&outer.path().join("a/b"), &[], &[]).expect("it opens");
    assert_eq!(project.root, fs::canonicalize(outer.path()).expect("a path"));
}

#[test]
fn a_second_holder_is_told_who_holds_the_folder() {
    let folder = folder(&[]);
    let project = open(folder.path(), &[], &[]).expect("it opens");
    assert!(!ProjectLock::is_held(&project));
    let lock = ProjectLock::take(&project, "started now").expect("it is free");
    assert!(ProjectLock::is_held(&project));
    let error = ProjectLock::take(&project, "started later").expect_err("it is held");
    assert!(error.to_string().ends_with(&format!("process {}, started now", std::process::id())), "{error}");
    drop(lock);
    ProjectLock::take(&project, "started later").expect("it is free again");
}

#[test]
fn what_a_killed_environment_left_is_not_running() {
    let folder = folder(&[]);
    let project = open(folder.path(), &[], &[]).expect("it opens");
    let lock = ProjectLock::take(&project, "started now").expect("it is free");
    let mut running = Running::new(17, 5);
    running
        .parts
        .insert("broker".to_owned(), RunningPart { address: "127.0.0.1:9092".to_owned(), external: false });
    running.write(&project).expect("written");
    assert_eq!(Running::read(&project).expect("readable"), Some(running));
    drop(lock); // the file is still there, as after kill -9
    assert_eq!(Running::read(&project).expect("readable"), None);
}

#[test]
fn a_secret_key_is_made_once_and_only_its_owner_can_read_it() {
    let folder = folder(&[]);
    let project = open(folder.path(), &[], &[]).expect("it opens");
    let key = project.s3_secret_key().expect("made");
    assert_eq!(key.reveal().len(), 64);
    assert_eq!(project.s3_secret_key().expect("read"), key);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode =
            fs::metadata(project.state_path("s3-secret-key")).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn connectors_come_in_both_forms_and_know_where_each_value_stands() {
    let files = [
        ("connectors/a.json", "{\n  \"name\": \"a\",\n  \"config\": {\"tasks.max\": 2, \"x\": true}\n}\n"),
        ("connectors/b.json", "{\"name\": \"b\", \"topics\": \"flights\"}"),
        ("contracts/flights.json", "{\"properties\": {\"tailnum\": {\"type\": \"string\"}}}"),
    ];
    let folder = folder(&files);
    let project = open(folder.path(), &[], &[]).expect("it opens");
    let connectors: Vec<_> = project.connectors().expect("a folder").into_iter().flatten().collect();
    assert_eq!(connectors[0].get("tasks.max"), Some("2"));
    assert_eq!(connectors[0].get("x"), Some("true"));
    assert_eq!(connectors[0].spot("tasks.max", "").to_string(), "connectors/a.json:3:27");
    assert_eq!((connectors[1].name.as_str(), connectors[1].get("topics")), ("b", Some("flights")));
    let contracts: Vec<_> = project.contracts().expect("a folder").into_iter().flatten().collect();
    assert_eq!(contracts[0].spot("properties.tailnum.type", "").to_string(), "contracts/flights.json:1:37");
}

/// One of each, as a person gets to read it.
fn every_error() -> Vec<Error> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let yaml =
        |text: &str| Settings::defaults().read_yaml(&text_file("tidemill.yaml", text)).expect_err("refused");
    let made = folder(&[
        ("connectors/a.json", "{\"name\": \"a\",\n  \"config\": [1]}"),
        ("contracts/b.json", "{\"type\": \"object\",\n  \"properties\": }"),
        (".env", "TIDEMILL_BROKER_LISTEN=127.0.0.1:1\nnot a pair\n"),
    ]);
    let dotenv = open(made.path(), &[], &[]).expect_err("refused");
    fs::remove_file(made.path().join(".env")).expect("removed");
    let project = open(made.path(), &[], &[]).expect("it opens");
    vec![
        Error::Read { path: "connectors/a.json".into(), source: missing() },
        Error::TooLarge { path: "tidemill.yaml".into(), bytes: 5 << 20, bytes_max: 1 << 20 },
        yaml("broker:\n  listen: [unclosed\n"),
        yaml("broker:\n  listen: a:1\n  listen: b:2\n"),
        yaml("broker:\n  listn: 127.0.0.1:9092\n"),
        yaml("nothing_like_it: 1\n"),
        yaml("broker:\n  durability: sometimes\n"),
        Settings::defaults().read_flags(&["broker.listen".to_owned()]).expect_err("refused"),
        dotenv,
        Error::NoFolder { path: "elsewhere".into() },
        Error::State { path: ".tidemill".into(), source: std::io::ErrorKind::PermissionDenied.into() },
        Error::Held { root: "work".into(), holder: "4711, started 2026-01-02 03:04:05 UTC".to_owned() },
        project.contracts().expect("a folder").remove(0).expect_err("not JSON"),
        project.connectors().expect("a folder").remove(0).expect_err("not a connector"),
        Error::NoConnection { id: "lake".to_owned(), nearest: Some("lakes".to_owned()) },
    ]
}

#[test]
fn every_error_says_what_where_why_and_what_to_do() {
    let texts: Vec<String> = every_error().iter().map(|error| plain(error)).collect();
    insta::assert_snapshot!(texts.join("\n"));
}
