//! Starting, running and draining the broker. It owns every task of the crate.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base::{BoxError, Clock, Handle, SystemClock};
use kafka_protocol::protocol::StrBytes;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{self, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::Broker,
    cluster, connection,
    errors::Error,
    groups::{
        Groups,
        configs::GroupConfigs,
        journal::{self, Entry, OFFSETS_TOPIC},
    },
    limits::{Files, Limits},
    log::{self, Logs, LogsOptions},
    options::{Durability, Options},
    producers::ProducerIds,
    quotas::Quotas,
    security::{
        Security,
        listeners::{self, Listener},
        sasl::oauth::Tokens,
    },
    sessions::Sessions,
    shares::{self, STATE_TOPIC, Shares},
    topics::Topics,
    transactions::{Command, TRANSACTIONS_TOPIC, Transactions, coordinator, replay},
};

/// How long connections have to send what they are working on when the broker stops.
const DRAIN: Duration = Duration::from_millis(1_000);

pub struct Service {
    listeners: Vec<(TcpListener, Arc<Listener>)>,
    broker: Arc<Broker>,
    inboxes: Inboxes,
}

/// What the broker's own tasks read from.
struct Inboxes {
    journal: mpsc::UnboundedReceiver<Entry>,
    coordinator: mpsc::Receiver<Command>,
    shares: mpsc::UnboundedReceiver<shares::journal::Entry>,
    snapshots: shares::journal::Snapshots,
}

impl Service {
    /// Ready means: the ports are bound, every log is open and recovered, every group and transaction is read back.
    pub async fn start(options: Options) -> Result<Handle, Error> {
        Self::start_with(options, Arc::new(SystemClock)).await
    }

    pub(crate) async fn start_with(options: Options, clock: Arc<dyn Clock>) -> Result<Handle, Error> {
        let bound = listeners::bind(&options).await?;
        let known: Vec<Arc<Listener>> = bound.iter().map(|(_, listener)| listener.clone()).collect();
        let addr = known[0].address; // there is always the one of `listen`
        let tokens = Tokens::open(&options).await?;
        let opened = task::spawn_blocking(move || open(options, clock, known, tokens)).await;
        let (broker, inboxes) =
            opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        Ok(Handle::spawn("broker", addr, |stop| Service { listeners: bound, broker, inboxes }.run(stop)))
    }

    async fn run(self, stop: CancellationToken) -> Result<(), BoxError> {
        let Service { listeners, broker, inboxes } = self;
        let _stop_waiting = broker.stop.clone().drop_guard(); // also when this task is cut off
        let ticker = tokio::spawn({
            let broker = broker.clone();
            async move { broker.groups.tick_until(broker.stop.clone()).await }
        });
        let keys = tokio::spawn({
            let broker = broker.clone();
            async move {
                if let Some(tokens) = &broker.security.tokens {
                    tokens.refresh_until(broker.stop.clone()).await;
                }
            }
        });
        let writer = tokio::spawn(journal::run(broker.clone(), inboxes.journal));
        let coordinator = tokio::spawn(coordinator::run(broker.clone(), inboxes.coordinator));
        let sharer = tokio::spawn(shares::journal::run(broker.clone(), inboxes.shares, inboxes.snapshots));
        let mut doors = JoinSet::new();
        for (socket, listener) in listeners {
            doors.spawn(door(socket, listener, broker.clone(), stop.clone()));
        }
        stop.cancelled().await;
        let mut connections = doors.join_all().await;
        broker.stop.cancel();
        broker.groups.close();
        let drained = async {
            for connections in &mut connections {
                while connections.join_next().await.is_some() {}
            }
        };
        if timeout(DRAIN, drained).await.is_err() {
            for connections in &mut connections {
                connections.shutdown().await;
            }
        }
        ticker.await.ok();
        keys.await.ok();
        broker.transactions.finish();
        coordinator.await.ok();
        broker.groups.finish(); // ends the writer once it has written what is queued
        writer.await.ok();
        broker.shares.finish();
        sharer.await.ok();
        broker.blocking(|broker| broker.logs.close()).await?;
        Ok(())
    }
}

/// Lets clients in at one listener until the broker stops; gives those that are still there.
async fn door(
    socket: TcpListener,
    listener: Arc<Listener>,
    broker: Arc<Broker>,
    stop: CancellationToken,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return connections,
            accepted = socket.accept() => match accepted {
                Ok((stream, from)) => serve(stream, from, &listener, &broker, &mut connections),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await; // out of file descriptors, most likely
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

fn serve(
    stream: TcpStream,
    from: SocketAddr,
    listener: &Arc<Listener>,
    broker: &Arc<Broker>,
    connections: &mut JoinSet<()>,
) {
    let place = match broker.limits.admit(from.ip().to_canonical()) {
        Ok(place) => place,
        Err(refused) => {
            if broker.limits.is_to_be_told() {
                tracing::warn!("{}", base::problem::plain(&refused));
            }
            return;
        }
    };
    let (broker, listener) = (broker.clone(), listener.clone());
    let held_ms = broker.quotas.connect(from.ip().to_canonical());
    if held_ms > 0 {
        // As in Kafka: closed after a moment, so that who comes again at once does not come again at once.
        tracing::debug!(%from, held_ms, "a connection came too soon for the quota of its ip");
        connections.spawn(async move {
            let held = Duration::from_millis(u64::from(held_ms));
            timeout(held, broker.stop.cancelled()).await.ok();
            drop((stream, place));
        });
        return;
    }
    connections.spawn(async move {
        connection::run(stream, listener, broker).await;
        drop(place);
    });
}

/// Everything that start has to read. Blocks on the disk.
fn open(
    options: Options,
    clock: Arc<dyn Clock>,
    listeners: Vec<Arc<Listener>>,
    tokens: Option<Tokens>,
) -> Result<(Arc<Broker>, Inboxes), Error> {
    let durability = match options.durability {
        Durability::PageCache => log::Durability::PageCache,
        Durability::Fsync => log::Durability::Fsync,
    };
    let files = Files::shared_out(&options);
    let logs_options = LogsOptions {
        durability,
        open_files_count_max: files.segments_count_max,
        tend_interval_ms: options.housekeeping_interval_ms,
        ..LogsOptions::at(&options.data_dir)
    };
    let logs = Arc::new(Logs::open(logs_options, clock.clone())?);
    let cluster_id = StrBytes::from_string(cluster::cluster_id(&options.data_dir)?);
    let limits = Limits::new(&options, &files);
    let options = Arc::new(options);
    let security = Security::open(&options, tokens)?;
    let quotas = Quotas::open(&options.data_dir)?;
    let topics = Topics::open(logs.clone(), options.clone())?;
    let producers = Arc::new(ProducerIds::open(&options.data_dir)?);
    let topics = Arc::new(topics);
    let configs = GroupConfigs::open(&options.data_dir)?;
    let (shares, shares_inbox) = Shares::new(clock.clone(), options.group_share_max_share_sessions);
    let shares = Arc::new(shares);
    let (groups, journal) = Groups::new(clock.clone(), &options, configs, topics.clone(), shares.clone());
    if let Some(topic) = topics.get(OFFSETS_TOPIC) {
        journal::replay(&topic, &groups)?;
    }
    let snapshots = match topics.get(STATE_TOPIC) {
        Some(topic) => shares::journal::replay(&topic, &shares)?,
        None => Default::default(),
    };
    let (transactions, coordinator) = Transactions::new();
    if let Some(topic) = topics.get(TRANSACTIONS_TOPIC) {
        replay::replay(&topic, &transactions)?;
    }
    let stop = CancellationToken::new();
    let broker = Broker {
        options,
        limits,
        cluster_id,
        listeners,
        security,
        quotas,
        topics,
        groups,
        shares,
        producers,
        transactions,
        sessions: Sessions::default(),
        logs,
        clock,
        stop,
    };
    Ok((Arc::new(broker), Inboxes { journal, coordinator, shares: shares_inbox, snapshots }))
}
