//! Topics of Protobuf as sources, written by confluent-kafka's serializer; and registries that want to know who asks.

use std::{
    fs,
    process::{Command, Stdio},
};

use testkit::{Child, World, poll, tied_to_us};

use super::{beside, name};
use crate::snapshot;

/// Writes three records of two messages of one file, one of whose imports the registry has.
const WRITE: &str = include_str!("write_protobuf.py");
/// A registry that lets in who has a name and a password, or a token, over TLS: it passes on what it is asked.
const GUARD: &str = include_str!("guard.py");

#[test]
fn a_topic_of_protobuf_is_read_by_its_schema() {
    let (world, parts) = beside();
    let Some(python) = testkit::python() else { return };
    let topic = name("protobuf");
    testkit::run_python(&python, WRITE, &[&parts.kafka(), &parts.registry(), &topic]);
    let source = format!("kafka://{}/{topic}", parts.kafka());
    world.ok(&["load", &source, "orders.jsonl"]);
    let rows = fs::read_to_string(world.path("orders.jsonl")).unwrap();
    snapshot!(&world, "rows", rows);
    // To another topic under another contract, and from there again.
    world.write(
        "contracts/of-order.avsc",
        r#"{"type":"record","name":"Order","fields":[{"name":"id","type":["null","long"],"default":null},
        {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null},
        {"name":"size","type":["null","string"],"default":null}]}"#,
    );
    let other = format!("kafka://{}/{}", parts.kafka(), name("avro-of-protobuf"));
    world.ok(&["load", &source, &other, "--create", "--contract", "of-order"]);
    world.ok(&["load", &other, "of-avro.jsonl"]);
    snapshot!(&world, "rows of avro", fs::read_to_string(world.path("of-avro.jsonl")).unwrap());
    let Some(server) = testkit::mongod() else { return };
    let Some(python) = testkit::venv_python("dlt") else { return };
    let collection = name("orders");
    let target = format!("mongodb://{}/protobuf/{collection}?replicaSet=tests", server.address);
    world.ok(&["load", &source, &target]);
    let script = "import sys, pymongo\n\
        for order in pymongo.MongoClient(sys.argv[1]).protobuf[sys.argv[2]].find().sort('_id'):\n\
        \x20   print({name: value for name, value in sorted(order.items()) if name != '_id'})";
    snapshot!(&world, "documents", testkit::run_python(&python, script, &[&server.uri(""), &collection]));
}

struct Guarded {
    url: String,
    ca: String,
    _guard: Child,
}

impl Guarded {
    fn start(world: &World, registry: &str) -> Option<Self> {
        let python = testkit::python()?;
        world.write("tls/README", "made by a test");
        let tls = world.path("tls");
        testkit::certificates(&tls);
        let (script, log) = (world.write("guard.py", GUARD), world.path("guard.log"));
        let mut command = Command::new(python);
        command.arg(script).args([&*tls.to_string_lossy(), registry]);
        command.env("PYTHONUNBUFFERED", "1").stdin(Stdio::null());
        let file = fs::File::create(&log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let guard = tied_to_us(command).unwrap();
        let port = poll::until("the guard has a port", 20_000, || {
            fs::read_to_string(&log).ok()?.strip_prefix("port ")?.lines().next()?.parse::<u16>().ok()
        });
        let ca = tls.join("ca.pem").to_string_lossy().into_owned();
        Some(Self { url: format!("https://localhost:{port}"), ca, _guard: guard })
    }
}

#[test]
fn a_registry_that_asks_who_comes_is_told() {
    let (mut world, parts) = beside();
    let Some(guarded) = Guarded::start(&world, &parts.registry()) else { return };
    world.write("contracts/n.json", r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#);
    world.write("n.jsonl", "{\"n\":1}\n");
    let ca = format!("ssl.ca.location={}", guarded.ca);
    let user = "basic.auth.user.info=ada:secret: with colon";
    let of = |who: &'static str| ["--registry-property", who];
    let named = ["--registry", &guarded.url, "--registry-property", &ca];
    let write = |topic: &str, more: &[&str]| {
        let target = format!("kafka://{}/{topic}", parts.kafka());
        let load = ["load", "n.jsonl", &target, "--create", "--contract", "n"];
        world.run(&[&load[..], more].concat())
    };
    let topic = name("guarded");
    write(&topic, &[&named[..], &of(user)].concat()).expect_code(0);
    let source = format!("kafka://{}/{topic}", parts.kafka());
    for who in [user, "schema.registry.bearer.auth.token=token of ada"] {
        let read = [&["load", &source, "read.jsonl"], &named[..], &of(who)].concat();
        world.ok(&read);
        assert_eq!(fs::read_to_string(world.path("read.jsonl")).unwrap(), "{\"n\":1}\n", "{who}");
    }
    let mut text = write(&topic, &named).expect_code(4).shown();
    text += &world.run(&[&["load", &source, "read.jsonl"], &named[..]].concat()).expect_code(4).shown();
    text += &write(&topic, &["--registry-property", "basic.auth.user=ada"]).expect_code(3).shown();
    text += &write(&topic, &["--registry", &guarded.url]).expect_code(5).shown();
    let text = text.replace(&topic, "TOPIC");
    let text: String = text
        .lines()
        .filter(|line| !line.contains(" records  "))
        .fold(String::new(), |text, line| text + line + "\n");
    snapshot!(&world, "who comes", text);
    // The project's own registry, by its settings.
    world.set("TIDEMILL_REGISTRY_EXTERNAL", &guarded.url);
    world.set("TIDEMILL_REGISTRY_PROPERTIES_SSL_CA_LOCATION", &guarded.ca);
    assert!(world.run(&["schema", "list"]).stderr.contains("Unauthorized"));
    world.set("TIDEMILL_REGISTRY_PROPERTIES_BASIC_AUTH_USER_INFO", "ada:secret: with colon");
    assert!(world.ok(&["schema", "list"]).contains(&format!("{topic}-value")));
    world.ok(&["load", &source, "read.jsonl"]);
    assert!(!world.ok(&["config", "show"]).contains("secret: with"));
}
