//! Loads that go on: inputs that lie elsewhere and have changed meanwhile, and records that an earlier life has inserted after its last
//! checkpoint.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use testkit::World;

use crate::{
    shared::{name, shared, world},
    snapshot,
};

const RECORDS: usize = 8_000;

fn numbers(count: usize) -> String {
    (0..count).map(|number| format!("{{\"_id\":{number},\"n\":{number},\"day\":\"2013-01-31\"}}\n")).collect()
}

/// A load that commits each second, and dies when it has written its second extent but has not said so.
fn dies(world: &World, source: &str, target: &str, more: &[&str]) {
    let load = [&["load", source, target, "--rate", "3000/s"], more].concat();
    let mut command = world.command(&load);
    command.env("TIDEMILL_DIE_AT", "engine.commit.before_checkpoint:2");
    let ran = testkit::ran(&mut command, 60);
    assert_eq!(ran.code, None, "{}", ran.shown());
}

fn resumed(world: &World, code: i32) -> String {
    let text = world.run(&["load", "--resume"]).expect_code(code).shown();
    text.lines().filter(|line| !line.contains(" records  ")).map(|line| line.to_owned() + "\n").collect()
}

/// What a server says of its one file.
#[derive(Debug, Clone, Default)]
struct Told {
    body: String,
    etag: Option<&'static str>,
    modified: Option<&'static str>,
}

/// Serves one file until the process ends.
fn serve(told: Arc<Mutex<Told>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                line.clear();
            }
            let Told { body, etag, modified } = told.lock().unwrap().clone();
            let mut head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len());
            head += &etag.map_or(String::new(), |etag| format!("ETag: {etag}\r\n"));
            head += &modified.map_or(String::new(), |time| format!("Last-Modified: {time}\r\n"));
            // Whoever leaves has read what it wanted.
            write!(stream, "{head}Connection: close\r\n\r\n{body}").ok();
        }
    });
    format!("http://{address}/numbers.jsonl")
}

#[test]
fn a_file_of_the_web_that_has_changed_is_not_gone_on_with() {
    let (_, parts) = shared();
    let world = world();
    let first = Told { body: numbers(RECORDS), etag: Some("\"one\""), modified: None };
    let dated = Told { etag: None, modified: Some("Sat, 28 Nov 2026 20:00:00 GMT"), ..first.clone() };
    let cases = [
        ("another tag", first.clone(), Told { etag: Some("\"two\""), ..first.clone() }),
        (
            "another time",
            dated.clone(),
            Told { modified: Some("Sat, 28 Nov 2026 21:00:00 GMT"), ..dated.clone() },
        ),
        ("another length", first.clone(), Told { body: numbers(RECORDS + 1), ..first.clone() }),
    ];
    let mut text = String::new();
    for (case, was, is) in cases {
        let told = Arc::new(Mutex::new(was.clone()));
        let (url, topic) = (serve(told.clone()), name("of-the-web"));
        world.ok(&["topic", "create", &topic, "--brokers", &parts.kafka()]);
        let target = format!("kafka://{}/{topic}", parts.kafka());
        dies(&world, &url, &target, &[]);
        *told.lock().unwrap() = is;
        text += &format!("-- {case}\n{}", resumed(&world, 6).replace(&topic, "TOPIC"));
        *told.lock().unwrap() = was;
        resumed(&world, 0);
    }
    snapshot!(&world, "web", text);
}

#[test]
fn an_object_that_was_replaced_is_not_gone_on_with() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let (mut world, key) = (world(), format!("{}.jsonl", name("replaced")));
    world.set("TIDEMILL_S3_EXTERNAL", &parts.s3());
    let put = |count: usize| {
        let script = "import sys, boto3\n\
            s3 = boto3.client('s3', endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3], region_name='us-east-1')\n\
            s3.put_object(Bucket='lake', Key=sys.argv[4], Body=open(sys.argv[5], 'rb').read())\n";
        // The same length, other bytes: only its tag tells.
        let body = numbers(RECORDS).replace("2013-01-31", &format!("2013-01-{count:02}"));
        let path = world.write("body", body).to_string_lossy().into_owned();
        let args = [&*parts.s3(), testkit::ACCESS_KEY, testkit::SECRET_KEY, &key, &path];
        testkit::run_python(&python, script, &args);
    };
    put(1);
    let topic = name("of-object");
    world.ok(&["topic", "create", &topic, "--brokers", &parts.kafka()]);
    let target = format!("kafka://{}/{topic}", parts.kafka());
    dies(&world, &format!("s3://lake/{key}"), &target, &[]);
    put(2);
    let said = resumed(&world, 6);
    let is_told = said.contains("TM1471") && said.contains("it is version") && said.contains(&key);
    assert!(is_told, "{said}");
    put(1);
    resumed(&world, 0);
}

/// By its id: it has more records than the load had read.
#[test]
fn a_topic_that_was_made_anew_is_not_gone_on_with() {
    let (_, parts) = shared();
    let mut brokers = vec![parts.kafka()];
    brokers.extend(testkit::kafka().map(|kafka| kafka.bootstrap.clone()));
    for broker in brokers {
        let (world, topic) = (world(), name("made-anew"));
        let source = format!("kafka://{broker}/{topic}");
        let fill = |count: usize| {
            world.write("numbers.jsonl", numbers(count));
            world.ok(&["load", "numbers.jsonl", &source, "--create", "--partitions", "1"]);
        };
        fill(RECORDS);
        let target = name("of-made-anew");
        world.ok(&["topic", "create", &target, "--brokers", &parts.kafka()]);
        dies(&world, &source, &format!("kafka://{}/{target}", parts.kafka()), &[]);
        world.ok(&["topic", "delete", &topic, "--brokers", &broker]);
        fill(RECORDS + 1_000);
        let said = resumed(&world, 3);
        assert!(said.contains("TM1524") && said.contains("made anew"), "{said}");
        world.ok(&["load", "--resume", "--accept-changes"]);
    }
}

#[test]
fn an_object_of_googles_is_known_by_its_generation() {
    let Some(google) = testkit::fake_gcs() else { return };
    let (_, parts) = shared();
    let (mut world, bucket) = (world(), name("resumed"));
    google.create_bucket(&bucket);
    world.set("STORAGE_EMULATOR_HOST", &google.endpoint);
    world.write("numbers.jsonl", numbers(RECORDS));
    let address = format!("gs://{bucket}/numbers.jsonl");
    world.ok(&["load", "numbers.jsonl", &address]);
    let topic = name("of-gs");
    world.ok(&["topic", "create", &topic, "--brokers", &parts.kafka()]);
    let target = format!("kafka://{}/{topic}", parts.kafka());
    dies(&world, &address, &target, &[]);
    // The same bytes again are another generation.
    world.ok(&["load", "numbers.jsonl", &address]);
    let said = resumed(&world, 6);
    assert!(said.contains("TM1471") && said.contains("it is version"), "{said}");
    let id = world.ok(&["load", "--list"]).split_whitespace().next().unwrap().to_owned();
    world.ok(&["load", "--resume", &id, "--accept-changes"]);
    assert_eq!(world.ok(&["load", "--list"]), "every load has ended\n");
}

/// Inserted by the first life after its checkpoint: the second one finds them there, equal to its own, and counts them as written.
#[test]
fn what_an_earlier_life_has_inserted_is_no_error() {
    let Some(server) = testkit::mongod() else { return };
    let (_, parts) = shared();
    let mut world = world();
    world.set("TIDEMILL_DYNAMODB_EXTERNAL", &parts.dynamodb());
    world.write("numbers.jsonl", numbers(RECORDS));
    let mut targets = vec![
        (
            format!("mongodb://{}/inserted/{}?replicaSet=tests", server.address, name("insert")),
            vec!["--stamp", "loaded"],
        ),
        (
            format!("dynamodb://local/{}", name("insert")),
            vec!["--key", "_id", "--create", "--stamp", "loaded"],
        ),
    ];
    if let Some(firestore) = testkit::firestore_emulator() {
        world.set("FIRESTORE_EMULATOR_HOST", &firestore.address);
        targets.push((
            format!("firestore://tidemill/{}", name("insert")),
            vec!["--key", "_id", "--stamp", "loaded"],
        ));
    }
    for (target, more) in targets {
        let more = [&["--write", "insert"], &more[..]].concat();
        dies(&world, "numbers.jsonl", &target, &more);
        let said = world.ok(&["load", "--resume", "--output", "json"]);
        let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!(last["rejected_count"], 0, "{target}: {said}");
        // Another load finds others there.
        let again = [&["load", "numbers.jsonl", &target, "--limit", "200"], &more[..]].concat();
        let ran = world.run(&again).expect_code(6);
        assert!(ran.stderr.contains("TM07"), "{target}: {}", ran.shown());
        fs::remove_dir_all(world.path(".tidemill/loads")).ok();
        let (read, count) = (world.path("read.jsonl"), RECORDS);
        world.ok(&["load", &target, "read.jsonl"]);
        let text = fs::read_to_string(&read).unwrap();
        assert_eq!(text.lines().count(), count, "{target}");
    }
}
