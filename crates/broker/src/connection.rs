//! One client's connection: frames in, answers out in the same order.
//!
//! One request at a time is worked on, except that a Produce whose records are queued lets the next Produce start. Nothing
//! is read ahead while a request is worked on, so a client that does not wait for answers fills its own socket.

use std::{
    collections::VecDeque,
    io::{ErrorKind, IoSlice},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, WriteHalf, split},
    net::{TcpStream, tcp::OwnedWriteHalf},
    time::{Instant, Sleep, sleep, sleep_until, timeout},
};
use wire::frame;

use crate::{
    api::{self, Chunk, Frame, Pending, Step, shapes::Malformed},
    broker::Broker,
    limits::{Lease, Limits},
    log::Slice,
    options::Options,
    security::{listeners::Listener, peer::Peer},
};

/// The read buffer at first, and the most that a length alone makes us reserve beyond what has arrived.
const READ_BYTES: usize = 32 << 10;
const RESERVE_BYTES_MAX: usize = 2 << 20;
/// Frames up to this size lie in the connection's own buffer, and ask for no memory.
const SMALL_FRAME_BYTES: usize = READ_BYTES / 2;
/// Chunks handed to one vectored write.
const CHUNKS_COUNT_MAX: usize = 64;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the client has gone")]
    Left,
    #[error("the broker stops")]
    Stopped,
    #[error("the client has been told why it cannot stay")]
    Dismissed,
    #[error("the client has not proven who it is in time")]
    Unproven,
    #[error("the client was silent for too long")]
    Silent,
    #[error("the client does not take its answers")]
    Stalled,
    #[error("a frame cannot be read: {0}")]
    Frame(#[from] frame::FrameError),
    #[error("a request cannot be answered: {0}")]
    Request(#[from] Malformed),
    #[error(transparent)]
    Socket(#[from] std::io::Error),
}

/// The halves are those of a TCP connection, or of TLS over one.
struct Connection<I, O> {
    broker: Arc<Broker>,
    peer: Arc<Peer>,
    input: I,
    output: O,
    buffer: BytesMut,
    /// The memory of the frame that is being read.
    arriving: Option<Lease>,
    /// The request being worked on, and whether it may go on before the queued ones are answered.
    current: Option<(bool, Work)>,
    queued: VecDeque<Work>,
    /// Until when nothing more is read: the client has taken more than its quota.
    muted_until: Option<Instant>,
    patience: Patience,
}

/// A request, and its share of the memory until it is answered.
struct Work {
    pending: Pending,
    lease: Option<Lease>,
}

/// How long a client may do nothing, or prove nothing.
struct Patience {
    /// When that is looked at next. It is not set anew with each request: looking late is cheaper.
    alarm: Pin<Box<Sleep>>,
    began: Instant,
    /// When the last frame came or the last answer went.
    active: Instant,
    /// What had come of a frame when it was looked at last.
    arrived_bytes: usize,
    authentication: Duration,
    silence: Option<Duration>,
}

impl Patience {
    fn new(options: &Options, is_proven: bool) -> Self {
        let authentication = Duration::from_millis(u64::from(options.authentication_ms_max));
        let silence = u64::try_from(options.connections_idle_ms_max).ok().map(Duration::from_millis);
        let first = if is_proven { silence.unwrap_or(authentication) } else { authentication };
        let now = Instant::now();
        let alarm = Box::pin(sleep(first));
        Self { alarm, began: now, active: now, arrived_bytes: 0, authentication, silence }
    }

    /// Whether it is at its end; if not, when to look again.
    fn look(&mut self, is_proven: bool, is_idle: bool, arrived_bytes: usize) -> Result<(), End> {
        let now = Instant::now();
        if !is_proven {
            let end = self.began + self.authentication;
            self.alarm.as_mut().reset(end);
            return if now < end { Ok(()) } else { Err(End::Unproven) };
        }
        let Some(silence) = self.silence else {
            self.alarm.as_mut().reset(now + self.authentication); // only to look at nothing again
            return Ok(());
        };
        if !is_idle || arrived_bytes != self.arrived_bytes {
            (self.active, self.arrived_bytes) = (now, arrived_bytes);
        }
        let end = self.active + silence;
        self.alarm.as_mut().reset(end);
        if now < end { Ok(()) } else { Err(End::Silent) }
    }
}

/// Serves until the client leaves, sends what cannot be answered, or the broker stops.
pub async fn run(stream: TcpStream, listener: Arc<Listener>, broker: Arc<Broker>) {
    let Ok(address) = stream.peer_addr() else { return };
    stream.set_nodelay(true).ok(); // an answer should not wait for the next one
    if stream.local_addr().is_ok_and(|local| is_near(local.ip(), address.ip())) {
        send_unpaced(&stream);
    }
    let peer = |listener, name| Arc::new(Peer::new(address.ip().to_canonical(), listener, name));
    let Some(endpoint) = listener.tls.clone() else {
        let (input, output) = stream.into_split();
        return serve(broker, peer(listener, None), address, input, output).await;
    };
    let shaken = tokio::select! {
        shaken = endpoint.accept(stream) => shaken,
        () = broker.stop.cancelled() => return,
    };
    match shaken {
        Ok((stream, subject)) => {
            let name = subject.as_deref().map(|subject| broker.security.mapping.name(subject));
            if name == Some(None) {
                tracing::info!(peer = %address, subject, "no rule says who the owner of the certificate is");
                return;
            }
            let name = name.flatten();
            let (input, output) = split(stream);
            serve(broker, peer(listener, name), address, input, output).await;
        }
        Err(error) => tracing::info!(peer = %address, listener = listener.name, %error, "no TLS connection"),
    }
}

/// Whether a client is on this machine.
fn is_near(local: IpAddr, client: IpAddr) -> bool {
    client.to_canonical().is_loopback() || local == client
}

/// Has the kernel send as the receiver takes it. BBR, where that is the system's choice, measures what a network may carry and sets a
/// timer for each packet: to a client on this machine that halves what it gets, and takes most of the time.
#[cfg(target_os = "linux")]
fn send_unpaced(stream: &TcpStream) {
    // Every Linux has it, and lets everybody choose it.
    SockRef::from(stream).set_tcp_congestion(b"reno").ok();
}

#[cfg(not(target_os = "linux"))]
fn send_unpaced(_: &TcpStream) {}

async fn serve<I, O>(broker: Arc<Broker>, peer: Arc<Peer>, address: SocketAddr, input: I, output: O)
where
    I: AsyncRead + Unpin,
    O: Output,
{
    let buffer = BytesMut::with_capacity(READ_BYTES);
    let mut connection = Connection {
        input,
        output,
        buffer,
        arriving: None,
        current: None,
        queued: VecDeque::new(),
        muted_until: None,
        patience: Patience::new(&broker.options, peer.is_proven()),
        broker,
        peer,
    };
    let peer = address;
    let served = connection.serve().await;
    let Connection { broker, peer: gone, .. } = &connection;
    broker.shares.disconnected(gone, |group| broker.groups.manner(group).limits);
    match served {
        Ok(()) | Err(End::Left | End::Stopped | End::Dismissed) => {}
        Err(error @ (End::Silent | End::Stalled)) => tracing::debug!(%peer, %error, "connection closed"),
        Err(End::Socket(error)) => tracing::debug!(%peer, %error, "connection lost"),
        Err(error @ (End::Unproven | End::Frame(_) | End::Request(_))) => {
            tracing::warn!(%peer, %error, "connection closed")
        }
    }
}

enum Event {
    Frame(Bytes),
    Current(Result<Step, Malformed>),
    Queued(Result<Step, Malformed>),
    Unmuted,
    Alarm,
}

impl<I: AsyncRead + Unpin, O: Output> Connection<I, O> {
    async fn serve(&mut self) -> Result<(), End> {
        loop {
            match self.next().await? {
                Event::Frame(frame) => {
                    self.patience.active = Instant::now();
                    let (pipelined, pending) = api::dispatch(&self.broker, frame, &self.peer)?;
                    self.current = Some((pipelined, Work { pending, lease: self.arriving.take() }));
                }
                Event::Current(step) => {
                    let lease = self.current.take().and_then(|(_, work)| work.lease);
                    match step? {
                        Step::Queued(pending) => self.queued.push_back(Work { pending, lease }),
                        answer if self.queued.is_empty() => self.send(answer).await?,
                        answer => {
                            let pending = Box::pin(async move { Ok(answer) });
                            self.queued.push_back(Work { pending, lease });
                        }
                    }
                }
                Event::Unmuted => self.muted_until = None,
                Event::Queued(step) => {
                    let lease = self.queued.pop_front().and_then(|work| work.lease);
                    match step? {
                        Step::Queued(pending) => self.queued.push_front(Work { pending, lease }),
                        answer => self.send(answer).await?,
                    }
                }
                Event::Alarm => {
                    let is_idle =
                        self.current.is_none() && self.queued.is_empty() && self.muted_until.is_none();
                    self.patience.look(self.peer.is_proven(), is_idle, self.buffer.len())?;
                }
            }
        }
    }

    /// What happens first. Each branch may be dropped unfinished: a frame stays in the buffer, a request in its place.
    async fn next(&mut self) -> Result<Event, End> {
        let stop = self.broker.stop.clone();
        let Connection {
            input, buffer, arriving, current, queued, broker, peer, muted_until, patience, ..
        } = self;
        let muted_until = *muted_until;
        let options = &broker.options;
        let bytes_max = peer.frame_bytes_max(options.request_bytes_max as usize);
        let may_go_on = current.as_ref().is_some_and(|(pipelined, _)| *pipelined) || queued.is_empty();
        let idle = current.is_none() && queued.is_empty();
        let has_room = queued.len() < options.requests_in_flight_count_max as usize;
        let may_read = current.is_none() && has_room && muted_until.is_none();
        tokio::select! {
            biased;
            step = async { match queued.front_mut() { Some(first) => (&mut first.pending).await, None => std::future::pending().await } },
                if !queued.is_empty() => Ok(Event::Queued(step)),
            step = async { match current { Some((_, work)) => (&mut work.pending).await, None => std::future::pending().await } },
                if may_go_on => Ok(Event::Current(step)),
            () = stop.cancelled(), if idle => Err(End::Stopped),
            () = async { match muted_until { Some(until) => sleep_until(until).await, None => std::future::pending().await } },
                if muted_until.is_some() => Ok(Event::Unmuted),
            frame = read_frame(input, buffer, arriving, &broker.limits, bytes_max), if may_read => Ok(Event::Frame(frame?)),
            () = &mut patience.alarm => Ok(Event::Alarm),
        }
    }

    async fn send(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Answer(Some(frame)) => {
                if frame.throttle_ms > 0 {
                    let until = Instant::now() + Duration::from_millis(u64::from(frame.throttle_ms));
                    self.muted_until = self.muted_until.max(Some(until));
                }
                self.write(frame).await
            }
            Step::Farewell(frame) => self.write(frame).await.and(Err(End::Dismissed)),
            Step::Answer(None) | Step::Queued(_) => Ok(()),
        }
    }

    async fn write(&mut self, frame: Frame) -> Result<(), End> {
        let written = write(&mut self.output, frame);
        match self.patience.silence {
            Some(silence) => timeout(silence, written).await.unwrap_or(Err(End::Stalled))?,
            None => written.await?,
        }
        self.patience.active = Instant::now();
        Ok(())
    }
}

/// The next frame; what has come of it stays in `buffer` if this is dropped, and its memory in `lease`.
async fn read_frame(
    input: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    lease: &mut Option<Lease>,
    limits: &Limits,
    bytes_max: usize,
) -> Result<Bytes, End> {
    loop {
        if let Some(frame) = frame::take_frame(buffer, bytes_max)? {
            return Ok(frame);
        }
        let whole = frame::frame_length(buffer, bytes_max)?.map_or(0, |length| frame::LENGTH_BYTES + length);
        if whole > SMALL_FRAME_BYTES && lease.is_none() {
            *lease = Some(limits.lease(whole).await);
        }
        let missing = whole.saturating_sub(buffer.len());
        // A claim alone reserves little; what has really arrived may be doubled.
        buffer.reserve(missing.min(RESERVE_BYTES_MAX.max(buffer.len())).max(READ_BYTES / 2));
        if input.read_buf(buffer).await? == 0 {
            return Err(End::Left);
        }
    }
}

/// Where answers go.
trait Output: AsyncWrite + Unpin {
    /// The socket, where it may be given a part of a file as it is.
    fn socket(&self) -> Option<&TcpStream>;
}

impl Output for OwnedWriteHalf {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self.as_ref())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Output for WriteHalf<T> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

async fn write(output: &mut impl Output, mut frame: Frame) -> Result<(), End> {
    frame.chunks.retain(|chunk| !chunk.is_empty());
    let mut chunks = VecDeque::from(frame.chunks);
    while let Some(first) = chunks.front_mut() {
        if let Chunk::File(slice) = first {
            send(output, slice).await?;
            chunks.pop_front();
            continue;
        }
        let in_memory = chunks.iter().map_while(|chunk| match chunk {
            Chunk::Memory(bytes) => Some(IoSlice::new(bytes)),
            Chunk::File(_) => None,
        });
        let slices: Vec<IoSlice<'_>> = in_memory.take(CHUNKS_COUNT_MAX).collect();
        let mut written = output.write_vectored(&slices).await?;
        if written == 0 {
            return Err(End::Left);
        }
        while let Some(Chunk::Memory(first)) = chunks.front_mut() {
            let taken = written.min(first.len());
            first.advance(taken);
            written -= taken;
            if !first.is_empty() {
                break;
            }
            chunks.pop_front();
        }
    }
    Ok(output.flush().await?) // TLS holds back what it has not encrypted yet; a socket holds nothing
}

/// A part of a file, by the kernel alone where the output is a socket.
async fn send(output: &mut impl Output, slice: &mut Slice) -> Result<(), End> {
    let Some(socket) = output.socket() else {
        let bytes = slice.read()?;
        return Ok(output.write_all(&bytes).await?);
    };
    while !slice.is_empty() {
        socket.writable().await?;
        match socket.try_io(Interest::WRITABLE, || slice.send(socket)) {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Err(error.into());
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_on_this_machine_is_near() {
        let near = |local: &str, client: &str| is_near(local.parse().unwrap(), client.parse().unwrap());
        assert!(
            near("127.0.0.1", "127.0.0.1")
                && near("::1", "::1")
                && near("::ffff:127.0.0.1", "::ffff:127.0.0.1")
        );
        assert!(near("10.0.0.5", "10.0.0.5"), "by the machine's own address");
        assert!(!near("10.0.0.5", "10.0.0.6") && !near("fd00::5", "fd00::6"));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn to_a_near_client_nothing_is_paced() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (stream, _client) = (accepted.unwrap().0, client.unwrap());
        send_unpaced(&stream);
        let chosen = SockRef::from(&stream).tcp_congestion().unwrap();
        assert_eq!(String::from_utf8_lossy(&chosen).trim_end_matches('\0'), "reno");
    }
}
