//! The settings of this part: plain data.

use std::{net::SocketAddr, path::PathBuf};

pub use crate::groups::MigrationPolicy;
use crate::security::options::SecurityOptions;

/// When an append counts as written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// In the operating system's page cache, as Kafka does: survives kill -9, not a power cut.
    #[default]
    PageCache,
    /// On the disk, before the answer; appends that wait together are synced together.
    Fsync,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub listen: SocketAddr,
    /// Holds the logs, `topics.json` and `meta.properties`; one broker at a time.
    pub data_dir: PathBuf,
    /// `host:port` that clients are told to come back to; `None`: `listen`, or the loopback where that is every address.
    pub advertised: Option<String>,
    /// More listeners, TLS, SASL and ACLs.
    pub security: SecurityOptions,
    /// Partitions of a topic created without a number (`num.partitions`).
    pub partitions_default: i32,
    /// Whether a client's metadata request creates the topic it names (`auto.create.topics.enable`).
    pub auto_create_topics: bool,
    pub durability: Durability,
    /// Defaults for topics that do not set their own (`log.retention.ms`, `log.retention.bytes`; -1: for ever).
    pub retention_ms: i64,
    pub retention_bytes: i64,
    pub segment_bytes: u32,
    /// The largest record batch (`message.max.bytes`).
    pub batch_bytes_max: u32,
    /// The largest request (`socket.request.max.bytes`).
    pub request_bytes_max: u32,
    /// The most record bytes in one answer to Fetch (`fetch.max.bytes`); more is left for the next request.
    pub fetch_bytes_max: u32,
    /// Connections at once; one more is closed as soon as it is accepted (`max.connections`).
    pub connections_count_max: u32,
    /// The same from one address (`max.connections.per.ip`).
    pub connections_per_ip_count_max: u32,
    /// How long a connection may be silent with no request in hand (`connections.max.idle.ms`); -1: for ever.
    pub connections_idle_ms_max: i64,
    /// How long a client of a SASL listener has to prove who he is.
    pub authentication_ms_max: u32,
    /// Produce requests of one connection that wait for the log; no more is read from it until one is answered.
    pub requests_in_flight_count_max: u32,
    /// Memory for requests that are being read or worked on; a connection is not read from while it is spent
    /// (`queued.max.request.bytes`).
    pub request_memory_bytes_max: u32,
    /// Partitions of all topics but the internal ones.
    pub partitions_total_max: u32,
    /// Files of segments open at once; what nobody used for longest is closed, and opened again when asked for.
    pub open_files_count_max: u32,
    /// Partitions of `__consumer_offsets`; its directories are made when the first group asks for its coordinator.
    pub offsets_partitions: i32,
    /// The same for `__transaction_state`, when the first transactional id asks.
    pub transactions_partitions: i32,
    /// The longest time-out that a transactional producer may ask for (`transaction.max.timeout.ms`).
    pub transaction_timeout_ms_max: i32,
    /// How long a transactional id that nobody uses is kept (`transactional.id.expiration.ms`).
    pub transactional_id_retention_ms: i64,
    /// The longest metadata string of a committed offset (`offset.metadata.max.bytes`).
    pub offset_metadata_bytes_max: u32,
    /// How long the offsets of a group without members are kept (`offsets.retention.minutes`).
    pub offsets_retention_ms: i64,
    /// How long an empty group's first member waits for others, and again after each (`group.initial.rebalance.delay.ms`). With 20 ms a gap
    /// between two of 50 members was enough for a generation too few, and then a heartbeat of 3 s.
    pub initial_rebalance_delay_ms: u32,
    /// How long a member of a consumer group may be silent (`group.consumer.session.timeout.ms`).
    pub group_consumer_session_timeout_ms: u32,
    /// How often it is told to say that it is there (`group.consumer.heartbeat.interval.ms`).
    pub group_consumer_heartbeat_interval_ms: u32,
    /// How long a consumer group's assignment stays as it is before the next one (`group.consumer.assignment.interval.ms`).
    pub group_consumer_assignment_interval_ms: u32,
    /// Members of one consumer group (`group.consumer.max.size`).
    pub group_consumer_max_size: u32,
    /// Whether groups go from the classic protocol to the consumer protocol and back (`group.consumer.migration.policy`).
    pub group_consumer_migration_policy: MigrationPolicy,
    /// How long a member of a share group may be silent (`group.share.session.timeout.ms`).
    pub group_share_session_timeout_ms: u32,
    /// How often it is told to say that it is there (`group.share.heartbeat.interval.ms`).
    pub group_share_heartbeat_interval_ms: u32,
    /// How long a share group's assignment stays as it is before the next one (`group.share.assignment.interval.ms`).
    pub group_share_assignment_interval_ms: u32,
    /// Members of one share group (`group.share.max.size`).
    pub group_share_max_size: u32,
    /// How long a member of a share group may keep a record (`group.share.record.lock.duration.ms`).
    pub group_share_record_lock_duration_ms: u32,
    /// How often a record is delivered at most (`group.share.delivery.count.limit`).
    pub group_share_delivery_count_limit: u32,
    /// Records of a partition that a share group has in flight (`group.share.partition.max.record.locks`).
    pub group_share_partition_max_record_locks: u32,
    /// Share sessions at once (`group.share.max.share.sessions`).
    pub group_share_max_share_sessions: u32,
    /// How long a member of a streams group may be silent (`group.streams.session.timeout.ms`).
    pub group_streams_session_timeout_ms: u32,
    /// How often it is told to say that it is there (`group.streams.heartbeat.interval.ms`).
    pub group_streams_heartbeat_interval_ms: u32,
    /// How long a streams group's assignment stays as it is before the next one (`group.streams.assignment.interval.ms`).
    pub group_streams_assignment_interval_ms: u32,
    /// How long an empty streams group's first member waits for others (`group.streams.initial.rebalance.delay.ms`).
    pub group_streams_initial_rebalance_delay_ms: u32,
    /// Standby replicas of each stateful task (`group.streams.num.standby.replicas`).
    pub group_streams_num_standby_replicas: u32,
    /// Members of one streams group (`group.streams.max.size`).
    pub group_streams_max_size: u32,
    /// Partitions of `__share_group_state`, made when a share group first reads (`share.coordinator.state.topic.num.partitions`).
    pub share_state_partitions: i32,
    /// How often retention and compaction look at every log (`log.retention.check.interval.ms`).
    pub housekeeping_interval_ms: u64,
}

impl Options {
    /// Kafka's defaults, but for: an initial rebalance delay of 20 ms, groups of at most 10,000, and answers to Fetch of at
    /// most 8 MiB.
    pub fn at(data_dir: impl Into<PathBuf>, listen: SocketAddr) -> Self {
        Self {
            listen,
            data_dir: data_dir.into(),
            advertised: None,
            security: SecurityOptions::default(),
            partitions_default: 1,
            auto_create_topics: true,
            durability: Durability::PageCache,
            retention_ms: 7 * 24 * 60 * 60 * 1_000,
            retention_bytes: -1,
            segment_bytes: 1 << 30,
            batch_bytes_max: 1_048_588,
            request_bytes_max: 100 << 20,
            fetch_bytes_max: 8 << 20,
            connections_count_max: 4_096,
            connections_per_ip_count_max: u32::MAX,
            connections_idle_ms_max: 10 * 60 * 1_000,
            authentication_ms_max: 30_000,
            requests_in_flight_count_max: 64,
            request_memory_bytes_max: 256 << 20,
            partitions_total_max: 100_000,
            open_files_count_max: 4_096,
            offsets_partitions: 50,
            transactions_partitions: 50,
            transaction_timeout_ms_max: 15 * 60 * 1_000,
            transactional_id_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offset_metadata_bytes_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            initial_rebalance_delay_ms: 100,
            group_consumer_session_timeout_ms: 45_000,
            group_consumer_heartbeat_interval_ms: 5_000,
            group_consumer_assignment_interval_ms: 0,
            group_consumer_max_size: 10_000,
            group_consumer_migration_policy: MigrationPolicy::Bidirectional,
            group_share_session_timeout_ms: 45_000,
            group_share_heartbeat_interval_ms: 5_000,
            group_share_assignment_interval_ms: 0,
            group_share_max_size: 200,
            group_share_record_lock_duration_ms: 30_000,
            group_share_delivery_count_limit: 5,
            group_share_partition_max_record_locks: 2_000,
            group_share_max_share_sessions: 2_000,
            group_streams_session_timeout_ms: 45_000,
            group_streams_heartbeat_interval_ms: 5_000,
            group_streams_assignment_interval_ms: 0,
            group_streams_initial_rebalance_delay_ms: 100,
            group_streams_num_standby_replicas: 0,
            group_streams_max_size: 10_000,
            share_state_partitions: 50,
            housekeeping_interval_ms: 30_000,
        }
    }
}
