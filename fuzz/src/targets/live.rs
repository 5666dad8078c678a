//! Whole requests to a broker that runs: shape, codec, handler, answer. A panic in one of its tasks ends nothing here; the hook of
//! `main.rs` sees it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Mutex,
    time::Duration,
};

use base::Handle;
use broker::{Options, Service};
use bytes::{Buf, BytesMut};
use kafka_protocol::{
    messages::{CreateTopicsRequest, TopicName, create_topics_request::CreatableTopic},
    protocol::{Encodable, Request, StrBytes},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::requests;

/// The topic that the corpus speaks of.
const TOPIC: &str = "frames";
/// Requests that wait for something, or want no answer, are left to themselves after this.
const PATIENCE: Duration = Duration::from_millis(15);
/// A connection that was left may be worked on for as long as its request said: then a new broker begins.
const CONNECTIONS_COUNT_MAX: u32 = 3_000;
const ANSWER_BYTES_MAX: usize = 64 << 20;

static LIVE: Mutex<Option<Live>> = Mutex::new(None);

struct Live {
    address: SocketAddr,
    connected: Option<TcpStream>,
    connections_count: u32,
    // In the order in which they have to go.
    _handle: Handle,
    _runtime: Runtime,
    _folder: TempDir,
}

impl Live {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let mut options = Options::at(folder.path(), ([127, 0, 0, 1], 0).into());
        options.partitions_total_max = 200;
        options.offsets_partitions = 2;
        options.transactions_partitions = 2;
        options.housekeeping_interval_ms = 1_000;
        let handle = runtime.block_on(Service::start(options)).expect("a broker starts");
        let address = handle.addr;
        let mut live = Live {
            address,
            connected: None,
            connections_count: 0,
            _handle: handle,
            _runtime: runtime,
            _folder: folder,
        };
        let topic = CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
            .with_num_partitions(2)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000);
        let mut body = BytesMut::new();
        request.encode(&mut body, 5).expect("it is sound");
        live.ask(CreateTopicsRequest::KEY, 5, true, &body);
        live
    }

    /// Sends it and takes the answer, if there is one in time.
    fn ask(&mut self, key: i16, version: i16, flexible: bool, body: &[u8]) {
        let mut frame = vec![0; 4];
        frame.extend_from_slice(&key.to_be_bytes());
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(b"\x00\x00\x00\x01\x00\x04fuzz");
        frame.extend_from_slice(if flexible { &[0] } else { &[] });
        frame.extend_from_slice(body);
        let length = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        let connected = self.connected.take().or_else(|| self.connect());
        self.connected = connected.and_then(|stream| exchange(stream, &frame));
    }

    fn connect(&mut self) -> Option<TcpStream> {
        self.connections_count += 1;
        let stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(stream)
    }
}

/// Gives the connection back where it was answered.
fn exchange(mut stream: TcpStream, frame: &[u8]) -> Option<TcpStream> {
    stream.write_all(frame).ok()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let length = (&length[..]).get_u32() as usize;
    assert!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).ok()?;
    Some(stream)
}

/// As for `requests`: a byte for the key, one for the version, the body.
pub(super) fn ask(input: &[u8]) {
    let [which, version, body @ ..] = input else { return };
    let (handler, version) = requests::chosen(*which, *version);
    let mut held = LIVE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if held.as_ref().is_some_and(|live| live.connections_count > CONNECTIONS_COUNT_MAX) {
        *held = None;
    }
    let live = held.get_or_insert_with(Live::start);
    live.ask(handler.key, version, version >= handler.shape.flexible_since, body);
}
