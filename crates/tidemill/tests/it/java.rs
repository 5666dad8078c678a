//! Apache Kafka's own console tools: topics, configs, groups, producer, consumer, both perf tools.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::shared::{name, shared};

fn feed(command: &mut Command, input: &str) -> String {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap() + &said
}

#[test]
fn the_console_tools_do_a_days_work() {
    let Some(java) = testkit::java_tools() else { return };
    let (_, parts) = shared();
    let kafka = parts.kafka();
    let (topic, group) = (name("java"), name("java-group"));
    let tool = |class: &str, args: &[&str]| {
        let all = [&["--bootstrap-server", kafka.as_str()], args].concat();
        java.tool(&format!("org.apache.kafka.tools.{class}"), &all).expect_success()
    };
    tool(
        "TopicCommand",
        &["--create", "--topic", &topic, "--partitions", "2", "--config", "retention.ms=3600000"],
    );
    let described = tool("TopicCommand", &["--describe", "--topic", &topic]);
    assert!(
        described.contains("PartitionCount: 2") && described.contains("retention.ms=3600000"),
        "{described}"
    );
    tool("TopicCommand", &["--alter", "--topic", &topic, "--partitions", "3"]);

    let mut producer = java.class("org.apache.kafka.tools.ConsoleProducer", 256);
    producer.args(["--bootstrap-server", &kafka, "--topic", &topic]);
    feed(
        producer.args(["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]),
        "a:1\nb:2\na:3\n",
    );
    let args = ["--topic", &topic, "--group", &group, "--from-beginning", "--max-messages", "3"];
    let more = ["--timeout-ms", "30000", "--formatter-property", "print.key=true"];
    let read = tool("consumer.ConsoleConsumer", &[&args[..], &more[..]].concat());
    let mut lines: Vec<&str> = read.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a\t1", "a\t3", "b\t2"]);

    let groups = "consumer.group.ConsumerGroupCommand";
    let described = tool(groups, &["--describe", "--group", &group]);
    let lag: Vec<&str> = described.lines().filter(|line| line.starts_with(&group)).collect();
    assert_eq!(lag.len(), 3, "{described}");
    let reset = ["--group", &group, "--reset-offsets", "--to-earliest", "--topic", &topic, "--execute"];
    let reset = tool(groups, &reset);
    assert_eq!(reset.lines().filter(|line| line.starts_with(&group)).count(), 3, "{reset}");
    let read =
        tool("consumer.ConsoleConsumer", &["--topic", &topic, "--group", &group, "--max-messages", "3"]);
    assert_eq!(read.lines().count(), 3, "{read}");
    assert!(tool(groups, &["--list"]).lines().any(|line| line == group));
}

#[test]
fn configs_are_changed_and_described() {
    let Some(java) = testkit::java_tools() else { return };
    let (world, parts) = shared();
    let (kafka, topic) = (parts.kafka(), name("java-configs"));
    world.ok(&["topic", "create", &topic]);
    let configs = |args: &[&str]| {
        let start = ["--bootstrap-server", &kafka, "--entity-type", "topics", "--entity-name", &topic];
        java.tool("kafka.admin.ConfigCommand", &[&start[..], args].concat()).expect_success()
    };
    configs(&["--alter", "--add-config", "cleanup.policy=compact,max.message.bytes=2000000"]);
    let described = configs(&["--describe"]);
    assert!(described.contains("cleanup.policy=compact"), "{described}");
    configs(&["--alter", "--delete-config", "cleanup.policy"]);
    let described = configs(&["--describe"]);
    assert!(!described.contains("cleanup.policy=compact") && described.contains("2000000"), "{described}");
}

#[test]
fn the_perf_tools_run() {
    let Some(java) = testkit::java_tools() else { return };
    let (_, parts) = shared();
    let (kafka, topic) = (parts.kafka(), name("java-perf"));
    let args = ["--topic", &topic, "--num-records", "20000", "--record-size", "200", "--throughput", "-1"];
    let said = java.tool(
        "org.apache.kafka.tools.ProducerPerformance",
        &[&args[..], &["--bootstrap-server", &kafka, "--command-property", "acks=all"]].concat(),
    );
    assert!(said.expect_success().contains("20000 records sent"));
    let args =
        ["--bootstrap-server", &kafka, "--topic", &topic, "--num-records", "20000", "--timeout", "30000"];
    let said = java.tool("org.apache.kafka.tools.ConsumerPerformance", &args).expect_success();
    assert!(said.contains(", 20000,"), "{said}");
}
