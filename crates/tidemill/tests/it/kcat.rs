//! kcat (librdkafka, C): both directions, keys, headers, all codecs, metadata and groups.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::shared::{name, shared};

fn kcat(args: &[&str], input: &str) -> Option<String> {
    let program = testkit::kcat()?;
    let (_, parts) = shared();
    let mut command = Command::new(program);
    command.args(["-b", &parts.kafka()]).args(args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kcat {args:?}: {said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn what_kcat_produces_kcat_consumes_with_keys_headers_and_every_codec() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = name("kcat");
        let sent: String = (0..100).map(|number| format!("k{number}\tvalue {number}\n")).collect();
        let produce = ["-P", "-t", &topic, "-K", "\t", "-H", "from=kcat", "-z", codec, "-X", "acks=all"];
        if kcat(&produce, &sent).is_none() {
            return;
        }
        let read =
            kcat(&["-C", "-t", &topic, "-o", "beginning", "-e", "-q", "-f", "%k\t%s\t%h\n"], "").unwrap();
        let expected: String =
            (0..100).map(|number| format!("k{number}\tvalue {number}\tfrom=kcat\n")).collect();
        assert_eq!(read, expected, "{codec}");
    }
}

#[test]
fn an_idempotent_producer_and_every_acks_setting_work() {
    let topic = name("kcat");
    for setting in ["enable.idempotence=true", "acks=0", "acks=1", "acks=all"] {
        if kcat(&["-P", "-t", &topic, "-X", setting], "one\ntwo\n").is_none() {
            return;
        }
    }
    let read = kcat(&["-C", "-t", &topic, "-o", "beginning", "-e", "-q"], "").unwrap();
    assert_eq!(read, "one\ntwo\n".repeat(4));
}

#[test]
fn kcat_lists_what_the_command_line_made() {
    let (world, parts) = shared();
    let topic = name("kcat");
    world.ok(&["topic", "create", &topic, "--partitions", "6"]);
    let Some(listed) = kcat(&["-L", "-t", &topic], "") else { return };
    assert!(listed.contains("with 6 partitions") && listed.contains(&parts.kafka()), "{listed}");
}

#[test]
fn a_group_of_kcats_reads_everything_once_and_goes_on_where_it_stopped() {
    let (world, _) = shared();
    let (topic, group) = (name("kcat"), name("group"));
    world.ok(&["topic", "create", &topic, "--partitions", "3"]);
    if kcat(&["-P", "-t", &topic], "a\nb\nc\nd\n").is_none() {
        return;
    }
    let read = |count: &str| {
        let args = ["-G", &group, "-q", "-c", count, "-X", "auto.offset.reset=earliest", &topic];
        let mut lines: Vec<String> = kcat(&args, "").unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(read("4"), ["a", "b", "c", "d"]);
    kcat(&["-P", "-t", &topic], "e\n");
    assert_eq!(read("1"), ["e"]);
}

#[test]
fn offsets_are_found_by_time() {
    let topic = name("kcat");
    if kcat(&["-P", "-t", &topic], "first\nsecond\n").is_none() {
        return;
    }
    let latest = kcat(&["-Q", "-t", &format!("{topic}:0:-1")], "").unwrap();
    assert!(latest.contains("[0] offset 2"), "{latest}");
    let earliest = kcat(&["-Q", "-t", &format!("{topic}:0:1")], "").unwrap();
    assert!(earliest.contains("[0] offset 0"), "{earliest}");
}
