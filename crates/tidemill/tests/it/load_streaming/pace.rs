//! Rate, interval, rounds, duration, limit, Ctrl-C, and folders that are watched.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::json;
use testkit::{World, poll, tied_to_us};

use super::{beside, events, finished, kcat, numbers};
use crate::{shared::name, snapshot};

fn count(broker: &str, topic: &str) -> Option<usize> {
    kcat(broker, topic, "%k", "read_committed").map(|lines| lines.len())
}

#[test]
fn a_load_is_as_fast_and_as_long_as_it_is_told() {
    let (world, parts) = beside();
    world.write("a.jsonl", numbers(30));
    world.write("b.jsonl", numbers(30));
    let both: &[&str] = &["a.jsonl", "b.jsonl"];
    // Sources, options, records, seconds at least.
    let cases: [(&[&str], &[&str], usize, f64); 9] = [
        (both, &[], 60, 0.0),
        (both, &["--limit", "40"], 40, 0.0),
        (both, &["--loop", "3"], 180, 0.0),
        (both, &["--loop", "--limit", "100"], 100, 0.0),
        (&["generate:users?count=20"], &["--loop", "2"], 40, 0.0),
        (both, &["--rate", "60/s"], 60, 0.8),
        (both, &["--rate", "1200/m", "--limit", "15"], 15, 0.6),
        (both, &["--rate", "2KB/s"], 60, 0.7),
        (
            both,
            &["--interval", "200ms", "--batch-records", "10", "--jitter", "10%", "--limit", "50"],
            50,
            0.7,
        ),
    ];
    for (sources, options, records, seconds) in cases {
        let topic = name("paced");
        let target = format!("kafka://local/{topic}");
        let args = [&["load"], sources, &[&target, "--create", "--output", "json"], options].concat();
        let told = finished(&world.ok(&args));
        assert_eq!(told["records_count"], json!(records), "{options:?}");
        assert!(told["seconds"].as_f64().unwrap() >= seconds, "{options:?}: {told}");
        let Some(found) = count(&parts.kafka(), &topic) else { return };
        assert_eq!(found, records, "{options:?}");
        assert!(!world.path(".tidemill/loads").exists(), "nothing is left of {options:?}");
    }
    let topic = name("paced");
    let target = format!("kafka://local/{topic}");
    let args = ["load", "a.jsonl", &target, "--create", "--loop", "--rate", "100/s", "--duration", "1500ms"];
    let told = finished(&world.ok(&[&args[..], &["--output", "json"]].concat()));
    let (records, seconds) = (told["records_count"].as_u64().unwrap(), told["seconds"].as_f64().unwrap());
    assert!((120..=190).contains(&records) && seconds >= 1.4, "{told}");
    assert_eq!(count(&parts.kafka(), &topic), Some(records as usize));
}

#[test]
fn what_is_no_pace_is_refused() {
    let (world, _) = beside();
    world.write("a.jsonl", numbers(3));
    let cases: [&[&str]; 8] = [
        &["a.jsonl", "kafka://local/a", "--rate", "fast"],
        &["a.jsonl", "kafka://local/a", "--interval", "5"],
        &["a.jsonl", "kafka://local/a", "--jitter", "2"],
        &["a.jsonl", "kafka://local/a", "--duration", "soon"],
        &["a.jsonl", "kafka://local/a", "--rate", "5MB/s", "--interval", "5s"],
        &["-", "kafka://local/a", "--format", "jsonl", "--loop"],
        &["a.jsonl", "kafka://local/a", "--watch", "inbox"],
        &["kafka://local/a", "--watch", "inbox"],
    ];
    let mut text: Vec<String> = cases
        .iter()
        .map(|args| {
            let ran = world.run(&[&["load"], *args].concat());
            assert_ne!(ran.code, Some(0), "{args:?}");
            format!("-- {}\n{}", args.join(" "), ran.shown())
        })
        .collect();
    text.push(world.run(&["load", "kafka://local/a"]).expect_code(2).shown());
    snapshot!(&world, "refused", text.join("\n"));
    assert!(!world.path(".tidemill/loads").exists());
}

/// A load as a process, with what it says in `load.log`.
fn spawn(world: &World, args: &[&str]) -> testkit::Child {
    let log = fs::File::create(world.path("load.log")).unwrap();
    let mut command = world.command(args);
    command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
    tied_to_us(command).unwrap()
}

#[test]
fn ctrl_c_ends_a_stream_with_its_summary() {
    let (world, parts) = beside();
    world.write("a.jsonl", numbers(5));
    let topic = name("stream");
    let target = format!("kafka://local/{topic}");
    world.ok(&["topic", "create", &topic]);
    let mut load =
        spawn(&world, &["load", "a.jsonl", &target, "--loop", "--rate", "50/s", "--output", "json"]);
    let Some(kcat) = testkit::kcat() else { return };
    // It would wait for the end of what has none.
    let mut some = Command::new(kcat);
    some.args(["-b", &parts.kafka(), "-C", "-t", &topic, "-c", "20", "-q"]);
    testkit::ran(&mut some, 60).expect_success();
    load.interrupt();
    let status = poll::until("the load ends", 10_000, || load.ended());
    let said = fs::read_to_string(world.path("load.log")).unwrap();
    assert_eq!(status.code(), Some(0), "{said}");
    let told = events(&said);
    assert_eq!(told[0]["event"], json!("started"));
    let last = told.last().unwrap();
    assert_eq!(last["event"], json!("finished"));
    assert_eq!(
        last["records_count"],
        json!(count(&parts.kafka(), &topic).unwrap()),
        "all that was sent is told"
    );
}

#[test]
fn a_watched_folder_is_loaded_once_over_several_lives() {
    let (world, parts) = beside();
    fs::create_dir(world.path("inbox")).unwrap();
    let topic = name("inbox");
    let target = format!("kafka://local/{topic}");
    world.ok(&["topic", "create", &topic]);
    if testkit::kcat().is_none() {
        return;
    }
    let watch = ["load", "--watch", "inbox", &target, "--key", "n"];
    let arrived = |wanted: usize| {
        poll::until("the files", 30_000, || (count(&parts.kafka(), &topic)? >= wanted).then_some(()));
        assert_eq!(count(&parts.kafka(), &topic), Some(wanted));
    };
    world.write("inbox/a.jsonl", numbers(7));
    world.write("inbox/b.csv", "n\n100\n101\n");
    world.write("inbox/c.jsonl.part", numbers(50));
    let mut first = spawn(&world, &watch);
    arrived(9);
    // All three lie there; the second life knows two of them.
    first.kill();
    fs::rename(world.path("inbox/c.jsonl.part"), world.path("inbox/c.jsonl")).unwrap();
    let mut second = spawn(&world, &watch);
    arrived(59);
    world.write("inbox/d.jsonl", numbers(1));
    arrived(60);
    second.interrupt();
    let status = poll::until("the load ends", 10_000, || second.ended());
    let said = fs::read_to_string(world.path("load.log")).unwrap();
    assert_eq!(status.code(), Some(0), "{said}");
    let listed = world.ok(&["load", "--list"]);
    assert!(listed.contains("-watch-"), "{listed}");
}
