//! One client's connection: frames in, answers out in the same order.
//!
//! One request at a time is worked on, except that a Produce whose records are queued lets the next Produce start. Nothing
//! is read ahead while a request is worked on, so a client that does not wait for answers fills its own socket.

use std::{collections::VecDeque, io::IoSlice, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::TcpStream,
    time::{Instant, sleep_until},
};
use wire::frame;

use crate::{
    api::{self, Frame, Pending, Step, shapes::Malformed},
    broker::Broker,
    security::{listeners::Listener, peer::Peer, tls},
};

/// Requests of one connection whose records are queued and whose answers are still to come.
const QUEUED_COUNT_MAX: usize = 64;
/// The read buffer at first, and the most that a length alone makes us reserve beyond what has arrived.
const READ_BYTES: usize = 32 << 10;
const RESERVE_BYTES_MAX: usize = 2 << 20;
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
    /// The request being worked on, and whether it may go on before the queued ones are answered.
    current: Option<(bool, Pending)>,
    queued: VecDeque<Pending>,
    /// Until when nothing more is read: the client has taken more than its quota.
    muted_until: Option<Instant>,
}

/// Serves until the client leaves, sends what cannot be answered, or the broker stops.
pub async fn run(stream: TcpStream, listener: Arc<Listener>, broker: Arc<Broker>) {
    let Ok(address) = stream.peer_addr() else { return };
    stream.set_nodelay(true).ok(); // an answer should not wait for the next one
    let peer = |listener, subject| Arc::new(Peer::new(address.ip().to_canonical(), listener, subject));
    let Some(acceptor) = listener.tls.clone() else {
        let (input, output) = stream.into_split();
        return serve(broker, peer(listener, None), address, input, output).await;
    };
    let shaken = tokio::select! {
        shaken = tls::accept(&acceptor, stream) => shaken,
        () = broker.stop.cancelled() => return,
    };
    match shaken {
        Ok((stream, subject)) => {
            let (input, output) = split(stream);
            serve(broker, peer(listener, subject), address, input, output).await;
        }
        Err(error) => tracing::info!(peer = %address, listener = listener.name, %error, "no TLS connection"),
    }
}

async fn serve<I, O>(broker: Arc<Broker>, peer: Arc<Peer>, address: SocketAddr, input: I, output: O)
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
{
    let buffer = BytesMut::with_capacity(READ_BYTES);
    let mut connection = Connection {
        broker,
        peer,
        input,
        output,
        buffer,
        current: None,
        queued: VecDeque::new(),
        muted_until: None,
    };
    let peer = address;
    match connection.serve().await {
        Ok(()) | Err(End::Left | End::Stopped | End::Dismissed) => {}
        Err(End::Socket(error)) => tracing::debug!(%peer, %error, "connection lost"),
        Err(error @ (End::Frame(_) | End::Request(_))) => tracing::warn!(%peer, %error, "connection closed"),
    }
}

enum Event {
    Frame(Bytes),
    Current(Result<Step, Malformed>),
    Queued(Result<Step, Malformed>),
    Unmuted,
}

impl<I: AsyncRead + Unpin, O: AsyncWrite + Unpin> Connection<I, O> {
    async fn serve(&mut self) -> Result<(), End> {
        loop {
            match self.next().await? {
                Event::Frame(frame) => self.current = Some(api::dispatch(&self.broker, frame, &self.peer)?),
                Event::Current(step) => {
                    self.current = None;
                    match step? {
                        Step::Queued(rest) => self.queued.push_back(rest),
                        answer if self.queued.is_empty() => self.send(answer).await?,
                        answer => self.queued.push_back(Box::pin(async move { Ok(answer) })),
                    }
                }
                Event::Unmuted => self.muted_until = None,
                Event::Queued(step) => {
                    self.queued.pop_front();
                    match step? {
                        Step::Queued(rest) => self.queued.push_front(rest),
                        answer => self.send(answer).await?,
                    }
                }
            }
        }
    }

    /// What happens first. Each branch may be dropped unfinished: a frame stays in the buffer, a request in its place.
    async fn next(&mut self) -> Result<Event, End> {
        let stop = self.broker.stop.clone();
        let Connection { input, buffer, current, queued, broker, peer, muted_until, .. } = self;
        let muted_until = *muted_until;
        let bytes_max = peer.frame_bytes_max(broker.options.request_bytes_max as usize);
        let may_go_on = current.as_ref().is_some_and(|(pipelined, _)| *pipelined) || queued.is_empty();
        let idle = current.is_none() && queued.is_empty();
        let may_read = current.is_none() && queued.len() < QUEUED_COUNT_MAX && muted_until.is_none();
        tokio::select! {
            biased;
            step = async { match queued.front_mut() { Some(first) => first.await, None => std::future::pending().await } },
                if !queued.is_empty() => Ok(Event::Queued(step)),
            step = async { match current { Some((_, work)) => work.await, None => std::future::pending().await } },
                if may_go_on => Ok(Event::Current(step)),
            () = stop.cancelled(), if idle => Err(End::Stopped),
            () = async { match muted_until { Some(until) => sleep_until(until).await, None => std::future::pending().await } },
                if muted_until.is_some() => Ok(Event::Unmuted),
            frame = read_frame(input, buffer, bytes_max), if may_read => Ok(Event::Frame(frame?)),
        }
    }

    async fn send(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Answer(Some(frame)) => {
                if frame.throttle_ms > 0 {
                    let until = Instant::now() + Duration::from_millis(u64::from(frame.throttle_ms));
                    self.muted_until = self.muted_until.max(Some(until));
                }
                write(&mut self.output, frame).await
            }
            Step::Farewell(frame) => write(&mut self.output, frame).await.and(Err(End::Dismissed)),
            Step::Answer(None) | Step::Queued(_) => Ok(()),
        }
    }
}

/// The next frame; what has come of it stays in `buffer` if this is dropped.
async fn read_frame(
    input: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    bytes_max: usize,
) -> Result<Bytes, End> {
    loop {
        if let Some(frame) = frame::take_frame(buffer, bytes_max)? {
            return Ok(frame);
        }
        let whole = frame::frame_length(buffer, bytes_max)?.map_or(0, |length| frame::LENGTH_BYTES + length);
        let missing = whole.saturating_sub(buffer.len());
        // A claim alone reserves little; what has really arrived may be doubled.
        buffer.reserve(missing.min(RESERVE_BYTES_MAX.max(buffer.len())).max(READ_BYTES / 2));
        if input.read_buf(buffer).await? == 0 {
            return Err(End::Left);
        }
    }
}

async fn write(output: &mut (impl AsyncWrite + Unpin), mut frame: Frame) -> Result<(), End> {
    frame.chunks.retain(|chunk| !chunk.is_empty());
    let mut chunks = VecDeque::from(frame.chunks);
    while !chunks.is_empty() {
        let slices: Vec<IoSlice<'_>> =
            chunks.iter().take(CHUNKS_COUNT_MAX).map(|chunk| IoSlice::new(chunk)).collect();
        let mut written = output.write_vectored(&slices).await?;
        if written == 0 {
            return Err(End::Left);
        }
        while written > 0 {
            let Some(first) = chunks.front_mut() else { break };
            let taken = written.min(first.len());
            first.advance(taken);
            written -= taken;
            if first.is_empty() {
                chunks.pop_front();
            }
        }
    }
    Ok(output.flush().await?) // TLS holds back what it has not encrypted yet; a socket holds nothing
}
