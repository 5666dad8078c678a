//! Apache Kafka's Connect, distributed, with its three topics on our broker: a file goes in and comes out again, its worker is killed
//! in between, and with `exactly.once.source.support` every line is in the topic once.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use testkit::{Child, Java, http, poll, ran, tied_to_us, try_http};

use super::{PASSWORD, USER, place};
use crate::shared::name;

/// A worker, its files, and what it is called.
struct Cluster {
    java: Java,
    folder: PathBuf,
    group: String,
    url: String,
    worker: Option<Child>,
}

impl Cluster {
    fn new(java: Java, address: &str, is_secured: bool) -> Cluster {
        let (group, port) = (name("connect-cluster"), testkit::free_port());
        let folder = testkit::run_folder(&group).unwrap();
        let mut lines = format!(
            "bootstrap.servers={address}\ngroup.id={group}\nlisteners=http://127.0.0.1:{port}\n\
             config.storage.topic={group}-configs\noffset.storage.topic={group}-offsets\nstatus.storage.topic={group}-status\n\
             config.storage.replication.factor=1\noffset.storage.replication.factor=1\nstatus.storage.replication.factor=1\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             exactly.once.source.support=enabled\noffset.flush.interval.ms=300\nplugin.discovery=only_scan\n\
             session.timeout.ms=6000\nheartbeat.interval.ms=500\nscheduled.rebalance.max.delay.ms=0\n\
             consumer.session.timeout.ms=6000\nconsumer.heartbeat.interval.ms=500\n"
        );
        if is_secured {
            let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
            for prefix in ["", "producer.", "consumer.", "admin."] {
                lines += &format!(
                    "{prefix}security.protocol=SASL_SSL\n{prefix}sasl.mechanism=SCRAM-SHA-512\n\
                     {prefix}ssl.truststore.type=PEM\n{prefix}ssl.truststore.location={}\n\
                     {prefix}sasl.jaas.config={module} required username=\"{USER}\" password=\"{PASSWORD}\";\n",
                    place().certificate
                );
            }
        }
        fs::write(folder.join("worker.properties"), lines).unwrap();
        Cluster { java, folder, group, url: format!("http://127.0.0.1:{port}"), worker: None }
    }

    fn start(&mut self) {
        let mut command = self.java.class("org.apache.kafka.connect.cli.ConnectDistributed", 512);
        let log = fs::File::create(self.folder.join("worker.log")).unwrap();
        command.arg(self.folder.join("worker.properties")).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.worker = Some(tied_to_us(command).unwrap());
        poll::until("the worker has joined its group", 60_000, || {
            let ended = self.worker.as_mut().and_then(Child::ended);
            assert!(ended.is_none(), "{}", fs::read_to_string(self.folder.join("worker.log")).unwrap());
            // It listens before it has read its topics; until then there are no connectors to ask for.
            let url = format!("{}/connectors", self.url);
            try_http("GET", &url, "").ok().filter(|answer| answer.status == 200)
        });
    }

    fn ask(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        // 409: the group is rebalancing. 500: tasks that were stopped may not have left their group yet.
        let answer = poll::until("the worker has an answer", 30_000, || {
            let answer = http(method, &format!("{}/{path}", self.url), &body);
            Some(answer).filter(|answer| ![409, 500].contains(&answer.status))
        });
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap_or(Value::Null)
    }

    fn is_in_state(&self, connector: &str, state: &str) {
        poll::until("the connector is in its state", 30_000, || {
            let told = http("GET", &format!("{}/connectors/{connector}/status", self.url), "");
            let told: Value = serde_json::from_str(&told.body).ok()?;
            let mut tasks = told["tasks"].as_array()?.iter();
            let is_whole = told["connector"]["state"] == state && tasks.all(|task| task["state"] == state);
            is_whole.then_some(())
        });
    }

    fn append(&self, lines: std::ops::Range<usize>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.folder.join("in.txt")).unwrap();
        for line in lines {
            writeln!(file, "line {line:04}").unwrap();
        }
    }

    fn written(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("out.txt")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn wait_for(&self, count: usize) {
        poll::until("the lines have come out", 60_000, || {
            let distinct: BTreeSet<String> = self.written().into_iter().collect();
            (distinct.len() == count).then_some(())
        });
    }
}

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|line| format!("line {line:04}")).collect()
}

fn check(address: &str, is_secured: bool) {
    let (Some(java), Some(kcat)) = (testkit::java_tools(), testkit::kcat()) else { return };
    let plaintext = place().plaintext.as_str();
    let mut cluster = Cluster::new(java, address, is_secured);
    let topic = name("lines");
    let file = |name: &str| cluster.folder.join(name).display().to_string();
    let source = json!({"connector.class": "FileStreamSource", "file": file("in.txt"), "topic": topic, "tasks.max": "1",
        "exactly.once.support": "required"});
    let sink = json!({"connector.class": "FileStreamSink", "file": file("out.txt"), "topics": topic, "tasks.max": "1"});
    cluster.start();
    cluster.append(0..100);
    cluster.ask("PUT", "connectors/into/config", &source, 201);
    cluster.ask("PUT", "connectors/out/config", &sink, 201);
    cluster.wait_for(100);
    cluster.append(100..300);
    cluster.worker.as_mut().unwrap().kill();
    cluster.append(300..400);
    cluster.start();
    cluster.wait_for(400);
    let mut distinct = cluster.written();
    distinct.dedup();
    assert!(distinct.len() >= 400);

    let mut read = Command::new(&kcat);
    read.args(["-b", plaintext, "-C", "-t", &topic, "-e", "-q"]);
    let read = ran(&mut read, 30).expect_success();
    assert_eq!(read.lines().collect::<Vec<_>>(), lines(0..400), "each line once, in its order");
    let said = ran(Command::new(&kcat).args(["-b", plaintext, "-L"]), 30).expect_success();
    for (kind, count) in [("configs", 1), ("offsets", 25), ("status", 5)] {
        let line = format!("topic \"{}-{kind}\" with {count} partitions:", cluster.group);
        assert!(said.contains(&line), "{line} in {said}");
    }

    // What was read of the file is forgotten, the sink begins again; both are told by Kafka's own clients.
    let offsets = cluster.ask("GET", "connectors/into/offsets", &Value::Null, 200);
    assert_eq!(offsets["offsets"][0]["offset"]["position"], 4_000, "{offsets}");
    for connector in ["into", "out"] {
        cluster.ask("PUT", &format!("connectors/{connector}/stop"), &Value::Null, 204);
        cluster.is_in_state(connector, "STOPPED");
    }
    cluster.ask("DELETE", "connectors/into/offsets", &Value::Null, 200);
    let offsets = cluster.ask("GET", "connectors/into/offsets", &Value::Null, 200);
    assert_eq!(offsets["offsets"], json!([]));
    let first = json!({"offsets": [{"partition": {"kafka_topic": topic, "kafka_partition": 0}, "offset": {"kafka_offset": 0}}]});
    cluster.ask("PATCH", "connectors/out/offsets", &first, 200);
    fs::remove_file(cluster.folder.join("out.txt")).unwrap();
    cluster.ask("PUT", "connectors/out/resume", &Value::Null, 202);
    cluster.wait_for(400);
    assert_eq!(
        cluster.written()[..100],
        lines(0..100),
        "from the first line on; a sink may write some twice"
    );
    for connector in ["into", "out"] {
        cluster.ask("DELETE", &format!("connectors/{connector}"), &Value::Null, 204);
    }
    assert_eq!(cluster.ask("GET", "connectors", &Value::Null, 200), json!([]));
}

#[test]
fn connect_is_killed_and_loses_and_doubles_nothing() {
    check(&place().plaintext, false);
}

#[test]
fn connect_is_killed_and_loses_and_doubles_nothing_through_tls_and_scram() {
    check(&place().sasl_ssl, true);
}
