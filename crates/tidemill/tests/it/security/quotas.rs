//! Quotas of ips and of controller mutations, set and shown by Kafka's own tools, on an environment of their own.

use testkit::{Java, World, run_python};

use crate::shared::world;

struct Quotas {
    java: Java,
    kafka: String,
    world: World,
}

impl Quotas {
    fn start() -> Option<Quotas> {
        let java = testkit::java_tools()?;
        let mut world = world();
        let kafka = world.up_with(&["--only", "broker"]).kafka();
        Some(Quotas { java, kafka, world })
    }

    fn configs(&self, entity: &[&str], args: &[&str]) -> testkit::Ran {
        let start = ["--bootstrap-server", &self.kafka];
        self.java.tool("kafka.admin.ConfigCommand", &[&start[..], entity, args].concat())
    }

    fn topics(&self, client: &str, args: &[&str]) -> testkit::Ran {
        let file =
            self.world.write("client.properties", format!("client.id={client}\n")).display().to_string();
        let start = ["--bootstrap-server", &self.kafka, "--command-config", &file];
        self.java.tool("org.apache.kafka.tools.TopicCommand", &[&start[..], args].concat())
    }
}

/// Opens connections from two addresses of the loopback; prints how many of each are still there after a while.
const CONNECT: &str = r#"
import select, socket, sys, time
host, port = sys.argv[1].split(":")
def open_from(ip, count):
    return [socket.create_connection((host, int(port)), source_address=(ip, 0)) for _ in range(count)]
limited, free = open_from("127.0.0.2", 30), open_from("127.0.0.3", 30)
deadline = time.time() + 10
gone = set()
while time.time() < deadline and len(gone) < 20:
    for one in select.select([each for each in limited + free if each not in gone], [], [], 0.5)[0]:
        assert one.recv(1) == b""
        gone.add(one)
print(len([one for one in limited if one not in gone]), len([one for one in free if one not in gone]))
"#;

#[test]
fn an_ip_may_open_so_many_connections_a_second() {
    let Some(quotas) = Quotas::start() else { return };
    let Some(python) = testkit::python() else { return };
    let ip = ["--entity-type", "ips", "--entity-name", "127.0.0.2"];
    let default = ["--entity-type", "ips", "--entity-default"];
    quotas.configs(&ip, &["--alter", "--add-config", "connection_creation_rate=1"]).expect_success();
    quotas.configs(&default, &["--alter", "--add-config", "connection_creation_rate=500"]).expect_success();
    let told = quotas.configs(&ip, &["--describe"]).expect_success();
    assert_eq!(told, "Quota configs for ip '127.0.0.2' are connection_creation_rate=1.0\n");
    let told = quotas.configs(&["--entity-type", "ips"], &["--describe"]).expect_success();
    assert!(told.contains("Quota configs for the default ip are connection_creation_rate=500.0"), "{told}");
    // Ten seconds' worth of connections comes in at once.
    assert_eq!(run_python(&python, CONNECT, &[&quotas.kafka]), "10 30\n");
    let wrong = quotas.configs(&ip, &["--alter", "--add-config", "producer_byte_rate=1"]);
    assert_ne!(wrong.code, Some(0), "{}", wrong.shown());
    quotas.configs(&ip, &["--alter", "--delete-config", "connection_creation_rate"]).expect_success();
    assert_eq!(quotas.configs(&ip, &["--describe"]).expect_success().trim(), "");
}

#[test]
fn who_changes_too_many_partitions_waits() {
    let Some(quotas) = Quotas::start() else { return };
    let client = ["--entity-type", "clients", "--entity-name", "maker"];
    quotas.configs(&client, &["--alter", "--add-config", "controller_mutation_rate=0.5"]).expect_success();
    let told = quotas.configs(&client, &["--describe"]).expect_success();
    assert_eq!(told, "Quota configs for client-id 'maker' are controller_mutation_rate=0.5\n");
    // There are tokens for 5.5 partitions: what is begun with them goes through, and what follows waits for a minute.
    quotas.topics("maker", &["--create", "--topic", "first", "--partitions", "40"]).expect_success();
    let ran = quotas.topics("maker", &["--create", "--topic", "second", "--partitions", "1"]);
    let said = ran.shown();
    assert!(ran.code != Some(0) && said.contains("The throttling quota has been exceeded."), "{said}");
    quotas.topics("another", &["--create", "--topic", "second", "--partitions", "1"]).expect_success();
    // A client that knows no such error gets what it wants: librdkafka asks in an older version.
    if let Some(python) = testkit::python() {
        let made = run_python(&python, OLDER, &[&quotas.kafka]);
        assert_eq!(made, "made\n");
    }
    quotas.configs(&client, &["--alter", "--delete-config", "controller_mutation_rate"]).expect_success();
    quotas.topics("maker", &["--delete", "--topic", "first"]).expect_success();
}

const OLDER: &str = r#"
import sys
from confluent_kafka.admin import AdminClient, NewTopic
admin = AdminClient({"bootstrap.servers": sys.argv[1], "client.id": "maker"})
admin.create_topics([NewTopic("third", 1, 1)])["third"].result(20)
print("made")
"#;
