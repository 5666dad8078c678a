//! The services themselves: each that is there does its work.

use std::process::Command;

#[test]
fn apache_kafka_starts_and_its_tools_speak_to_it() {
    let Some(kafka) = testkit::kafka() else { return };
    let Some(java) = testkit::java_tools() else { return };
    let topic = |args: &[&str]| {
        let all = [&["--bootstrap-server", kafka.bootstrap.as_str()], args].concat();
        java.tool("org.apache.kafka.tools.TopicCommand", &all).expect_success()
    };
    topic(&["--create", "--topic", "proof", "--partitions", "3"]);
    assert!(topic(&["--list"]).lines().any(|line| line == "proof"));
}

#[test]
fn the_python_packages_can_be_imported() {
    let Some(python) = testkit::python() else { return };
    let said = testkit::run_python(
        &python,
        "import confluent_kafka.schema_registry.avro, confluent_kafka.schema_registry.json_schema, kafka, boto3\n\
         print('here')",
        &[],
    );
    assert_eq!(said, "here\n");
}

#[test]
fn kcat_and_the_aws_command_line_run() {
    for program in [testkit::kcat(), testkit::aws_cli()].into_iter().flatten() {
        let flag = if program.ends_with("kcat") { "-V" } else { "--version" };
        let output = Command::new(&program).arg(flag).output().unwrap();
        assert!(output.status.success(), "{}", program.display());
    }
}

#[test]
fn the_flights_are_all_there() {
    let Some(file) = testkit::flights_data("flights.csv") else { return };
    let rows = std::fs::read_to_string(file).unwrap().lines().count() - 1;
    assert_eq!(rows, 336_776);
}

#[test]
fn ports_are_free_and_differ() {
    let ports = testkit::free_ports(20);
    let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
    assert_eq!(distinct.len(), 20);
}
