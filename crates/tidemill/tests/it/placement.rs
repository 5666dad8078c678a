//! Apache Kafka's tools for where partitions lie and who leads them, against a cluster of one node.

use crate::shared::{name, shared};

#[test]
fn kafkas_tools_find_everything_in_its_place() {
    let Some(java) = testkit::java_tools() else { return };
    let (world, parts) = shared();
    let (kafka, topic) = (parts.kafka(), name("placed"));
    world.ok(&["topic", "create", &topic, "--partitions", "3"]);
    let tool = |class: &str, args: &[&str]| {
        let all = [&["--bootstrap-server", kafka.as_str()], args].concat();
        java.tool(&format!("org.apache.kafka.tools.{class}"), &all).expect_success()
    };
    let described = tool("TopicCommand", &["--describe", "--topic", &topic]);
    let partitions = described.lines().filter(|line| line.contains("Leader: 1") && line.contains("Isr: 1"));
    assert_eq!(partitions.count(), 3, "{described}");
    let dirs = tool("LogDirsCommand", &["--describe", "--topic-list", &topic]);
    assert!(dirs.contains(&format!("\"{topic}-2\"")) && dirs.contains("\"size\":0"), "{dirs}");
    let elect = ["--election-type", "preferred", "--topic", &topic, "--partition", "0"];
    let elected = tool("LeaderElectionCommand", &elect);
    assert!(elected.contains("already elected"), "{elected}");
    let plan =
        format!(r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":0,"replicas":[1]}}]}}"#);
    let plan = world.write("reassign.json", plan).display().to_string();
    let execute = ["--execute", "--reassignment-json-file", &plan];
    let executed = tool("reassign.ReassignPartitionsCommand", &execute);
    assert!(executed.contains("Successfully started"), "{executed}");
    assert!(tool("reassign.ReassignPartitionsCommand", &["--list"]).contains("No partition reassignments"));
}
