//! The thread that writes for all logs: it takes all that waits, writes each log's share with one call, syncs once, answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    errors::LogError,
    partition::{Appended, Log, Writer},
};

/// Appends that share a write and a sync.
const APPENDS_PER_ROUND_MAX: usize = 512;

pub(crate) struct Append {
    pub(crate) log: Arc<Log>,
    pub(crate) records: Bytes,
    pub(crate) leader_epoch: i32,
    pub(crate) writer: Writer,
    pub(crate) done: oneshot::Sender<Result<Appended, LogError>>,
    /// Its share of the queue, given back when it is answered.
    pub(crate) _permit: OwnedSemaphorePermit,
}

pub(crate) enum Message {
    Append(Append),
    Stop,
}

/// The way to the appender. Bounded by bytes.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    bytes_max: u32,
    /// Long work in the background gives up when this is set.
    stopping: Arc<AtomicBool>,
}

impl Queue {
    pub(crate) fn new(bytes_max: u32) -> (Self, mpsc::Receiver<Message>) {
        let (sender, inbox) = mpsc::channel();
        let room = Arc::new(Semaphore::new(bytes_max as usize));
        (Self { sender, room, bytes_max, stopping: Arc::default() }, inbox)
    }

    /// Waits for room, first come, first served. What is larger than the queue goes through alone.
    pub(crate) async fn room(&self, bytes: usize) -> OwnedSemaphorePermit {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.bytes_max);
        self.room.clone().acquire_many_owned(bytes).await.expect("the queue's semaphore is never closed")
    }

    pub(crate) fn send(&self, append: Append) -> Result<(), ()> {
        self.sender.send(Message::Append(append)).map_err(|_| ())
    }

    /// After what is queued already the appender ends.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.sender.send(Message::Stop).ok();
    }

    pub(crate) fn check_running(&self, log: &Arc<str>) -> Result<(), LogError> {
        match self.stopping.load(Ordering::SeqCst) {
            true => Err(LogError::Closed { log: log.clone() }),
            false => Ok(()),
        }
    }
}

pub(crate) fn start(inbox: mpsc::Receiver<Message>) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("broker-appender".into()).spawn(move || run(&inbox))
}

fn run(inbox: &mpsc::Receiver<Message>) {
    while let Ok(first) = inbox.recv() {
        let mut stopping = false;
        let mut groups: Vec<(Arc<Log>, Vec<Append>)> = Vec::new();
        for message in std::iter::once(first).chain(inbox.try_iter().take(APPENDS_PER_ROUND_MAX - 1)) {
            match message {
                Message::Stop => stopping = true,
                Message::Append(append) => {
                    match groups.iter_mut().find(|(log, _)| Arc::ptr_eq(log, &append.log)) {
                        Some((_, appends)) => appends.push(append),
                        None => groups.push((append.log.clone(), vec![append])),
                    }
                }
            }
        }
        let written: Vec<_> = groups.iter().map(|(log, appends)| log.write(appends)).collect();
        for ((log, appends), answers) in groups.into_iter().zip(written) {
            let published = if answers.iter().any(Result::is_ok) { log.publish() } else { Ok(()) };
            for (append, answer) in appends.into_iter().zip(answers) {
                let answer = answer.and_then(|appended| published.clone().map(|()| appended));
                append.done.send(answer).ok(); // a client that left is no error
            }
        }
        if stopping {
            return;
        }
    }
}
