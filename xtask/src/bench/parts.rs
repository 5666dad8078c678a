//! The two sides of a bench: our release binary in a world of its own, and Apache Kafka with its Connect worker.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use testkit::{Child, World, free_ports, poll};

use super::measure;
use crate::{
    run::{cargo, quiet, root, show},
    services,
};

/// Builds the release binary and the perf program.
pub fn build() -> Result<()> {
    let args = ["build", "--release", "--quiet", "--workspace", "--bin", "tidemill", "--bin", "perf"];
    show(&mut cargo(&args))
}

static IS_DEBUG: AtomicBool = AtomicBool::new(false);

/// From now on the debug binaries, as they lie there.
pub fn use_debug() {
    IS_DEBUG.store(true, Ordering::Relaxed);
}

fn binary(name: &str) -> PathBuf {
    let profile = if IS_DEBUG.load(Ordering::Relaxed) { "debug" } else { "release" };
    root().join("target").join(profile).join(name)
}

pub fn tidemill() -> PathBuf {
    binary("tidemill")
}

/// An empty project, not up yet.
pub fn world() -> World {
    World::new(&tidemill().to_string_lossy())
}

/// Runs our librdkafka program and gives the line of JSON that it prints.
pub fn perf(args: &[&str]) -> Result<serde_json::Value> {
    let said = quiet(&mut perf_command(args), Duration::from_secs(600))?;
    Ok(serde_json::from_str(&said)?)
}

/// The same, not run yet.
pub fn perf_command(args: &[&str]) -> Command {
    let mut command = Command::new(binary("perf"));
    command.args(args);
    command
}

/// Apache Kafka, one KRaft node with the settings its own start script gives it.
pub struct Peer {
    pub bootstrap: String,
    folder: tempfile::TempDir,
    broker: Child,
    connect: Option<(Child, String)>,
    pub started_in: Duration,
}

impl Peer {
    /// Formats a log folder, starts the broker, and waits until it answers. With `connect`, the worker too.
    pub fn start(with_connect: bool) -> Result<Peer> {
        let folder = tempfile::tempdir()?;
        let ports = free_ports(3);
        let bootstrap = format!("127.0.0.1:{}", ports[0]);
        let file = folder.path().join("server.properties");
        fs::write(&file, broker_properties(&ports, folder.path()))?;
        let format = ["format", "-t", "dGlkZW1pbGwtYmVuY2gtMQ", "-c", &file.to_string_lossy()];
        quiet(java("256m", "256m", "kafka.tools.StorageTool").args(format), Duration::from_secs(60))?;
        let start = Instant::now();
        let mut command = java("1g", "1g", "kafka.Kafka");
        command.arg(&file);
        let broker = spawn(command, &folder.path().join("kafka.log"))?;
        let mut connect = None;
        if with_connect {
            let address = format!("127.0.0.1:{}", ports[2]);
            let file = folder.path().join("connect.properties");
            fs::write(&file, connect_properties(&bootstrap, &address))?;
            let mut command = java("256m", "2g", "org.apache.kafka.connect.cli.ConnectDistributed");
            command.arg(&file);
            command.envs([
                ("AWS_ACCESS_KEY_ID", testkit::ACCESS_KEY),
                ("AWS_SECRET_ACCESS_KEY", testkit::SECRET_KEY),
            ]);
            connect = Some((spawn(command, &folder.path().join("connect.log"))?, address));
        }
        poll::until("Apache Kafka answers", 60_000, || measure::kafka_answers(&bootstrap).then_some(()));
        if let Some((_, address)) = &connect {
            poll::until("Kafka Connect answers", 120_000, || {
                let (status, _) = measure::http("GET", address, "/connectors", "").ok()?;
                (status == 200).then_some(())
            });
        }
        Ok(Peer { bootstrap, folder, broker, connect, started_in: start.elapsed() })
    }

    pub fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.broker.pid()];
        pids.extend(self.connect.iter().map(|(child, _)| child.pid()));
        pids
    }

    /// Where the broker keeps its logs.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `host:port` of the worker.
    pub fn connect(&self) -> Result<&str> {
        self.connect.as_ref().map(|(_, address)| address.as_str()).context("started without Connect")
    }
}

fn broker_properties(ports: &[u16], folder: &Path) -> String {
    let (port, controller) = (ports[0], ports[1]);
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={}/data\nnum.partitions=1\noffsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n",
        folder.display()
    )
}

fn connect_properties(bootstrap: &str, address: &str) -> String {
    format!(
        "bootstrap.servers={bootstrap}\ngroup.id=peer\nlisteners=http://{address}\n\
         key.converter=org.apache.kafka.connect.storage.StringConverter\n\
         value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false\n\
         config.storage.topic=connect-configs\noffset.storage.topic=connect-offsets\n\
         status.storage.topic=connect-status\nconfig.storage.replication.factor=1\n\
         offset.storage.replication.factor=1\nstatus.storage.replication.factor=1\n\
         plugin.discovery=service_load\noffset.flush.interval.ms=10000\n"
    )
}

/// With the JVM settings of Kafka's own scripts.
pub fn java(heap_min: &str, heap_max: &str, class: &str) -> Command {
    let mut command = Command::new("java");
    command.args([format!("-Xms{heap_min}"), format!("-Xmx{heap_max}")]);
    command.args([
        "-server",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-XX:InitiatingHeapOccupancyPercent=35",
    ]);
    command.args(["-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"]);
    command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]);
    let folder = services::folder();
    let class_path = [folder.join("kafka/libs/*"), folder.join("peer/libs/*"), folder.join("peer/classes")]
        .map(|path| path.display().to_string());
    command.arg(class_path.join(":")).arg(class);
    command
}

fn spawn(mut command: Command, log: &Path) -> Result<Child> {
    let log = fs::File::create(log)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(testkit::tied_to_us(command)?)
}

/// Compiles the peer's S3 sink, and names it as a plugin.
pub fn compile_peer_sink() -> Result<()> {
    let classes = services::folder().join("peer/classes");
    let named = classes.join("META-INF/services");
    fs::create_dir_all(&named)?;
    fs::write(named.join("org.apache.kafka.connect.sink.SinkConnector"), "S3JsonSink\n")?;
    let libs = services::folder();
    let class_path = format!("{0}/kafka/libs/*:{0}/peer/libs/*", libs.display());
    let source = root().join("benches/peer/S3JsonSink.java");
    let mut javac = Command::new("javac");
    javac.args(["-nowarn", "-cp", &class_path, "-d"]).arg(&classes).arg(source);
    quiet(&mut javac, Duration::from_secs(120))?;
    ensure!(classes.join("S3JsonSink.class").is_file(), "javac made no class");
    Ok(())
}

/// Makes a topic, on either side.
pub fn create_topic(bootstrap: &str, topic: &str, partitions: u32) -> Result<()> {
    perf(&["create", "--bootstrap", bootstrap, "--topic", topic, "--partitions", &partitions.to_string()])?;
    Ok(())
}

pub fn delete_topic(bootstrap: &str, topic: &str) -> Result<()> {
    perf(&["delete", "--bootstrap", bootstrap, "--topic", topic])?;
    Ok(())
}
