//! One Apache Kafka for the whole run: a single KRaft node on free loopback ports.

use std::{fs, io, process::Stdio, sync::OnceLock};

use crate::{
    absent,
    children::{Child, tied_to_us},
    java_tools, ports, run_folder,
};

/// A running Apache Kafka.
#[derive(Debug)]
pub struct Kafka {
    /// `127.0.0.1:PORT`
    pub bootstrap: String,
    _process: Child,
}

static KAFKA: OnceLock<Option<Kafka>> = OnceLock::new();

/// Starts it at the first call.
pub fn kafka() -> Option<&'static Kafka> {
    KAFKA
        .get_or_init(|| start().unwrap_or_else(|error| absent(&format!("Apache Kafka that starts: {error}"))))
        .as_ref()
}

fn start() -> io::Result<Option<Kafka>> {
    let Some(java) = java_tools() else { return Ok(None) };
    let folder = run_folder("kafka")?;
    let ports = ports::free_ports(2);
    let (port, controller) = (ports[0], ports[1]);
    let data = folder.join("data");
    let properties = format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={}\nnum.partitions=1\noffsets.topic.num.partitions=4\n\
         offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\ntransaction.state.log.num.partitions=4\n\
         group.initial.rebalance.delay.ms=0\n\
         share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
         share.coordinator.state.topic.num.partitions=4\n\
         group.share.min.record.lock.duration.ms=1000\ngroup.share.record.lock.duration.ms=3000\n\
         group.share.min.heartbeat.interval.ms=500\ngroup.share.heartbeat.interval.ms=500\n\
         group.streams.min.heartbeat.interval.ms=500\ngroup.streams.heartbeat.interval.ms=500\n\
         group.streams.initial.rebalance.delay.ms=0\n\
         group.consumer.min.heartbeat.interval.ms=200\ngroup.consumer.heartbeat.interval.ms=200\n",
        data.display()
    );
    let file = folder.join("server.properties");
    fs::write(&file, properties)?;
    let file = file.to_string_lossy().into_owned();
    let format = ["format", "-t", "dGlkZW1pbGwtdGVzdHMtMQ", "-c", &file];
    java.tool("kafka.tools.StorageTool", &format).expect_success();
    let mut command = java.class("kafka.Kafka", 512);
    let log = fs::File::create(folder.join("kafka.log"))?;
    command.arg(&file).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut process = tied_to_us(command)?;
    let bootstrap = format!("127.0.0.1:{port}");
    process.answers("Apache Kafka", 60_000, &folder.join("kafka.log"), || {
        std::net::TcpStream::connect(&bootstrap).ok()
    });
    Ok(Some(Kafka { bootstrap, _process: process }))
}
