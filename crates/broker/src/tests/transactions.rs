//! Transactions with librdkafka: what is committed is read, what is aborted is not, offsets go with it, a second producer
//! fences the first, and a crash changes none of it.

use std::time::{Duration, Instant};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{Server, admin, restart::copy_folder};

const WAIT: Duration = Duration::from_secs(20);

fn producer(server: &Server, id: &str, more: &[(&str, &str)]) -> BaseProducer {
    let settings = [&[("transactional.id", id), ("linger.ms", "1")], more].concat();
    let producer: BaseProducer = server.client(&settings).create().unwrap();
    producer.init_transactions(WAIT).unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, values: std::ops::Range<usize>) {
    for number in values {
        let (key, value) = (format!("key-{number}"), format!("{number}"));
        let record = BaseRecord::to(topic).partition((number % 2) as i32).key(&key).payload(&value);
        producer.send(record).unwrap_or_else(|(error, _)| panic!("{error}"));
    }
}

/// What a reader of this isolation level finds in both partitions, sorted.
fn read(server: &Server, topic: &str, isolation: &str) -> Vec<usize> {
    let more = [
        ("group.id", "reader"),
        ("isolation.level", isolation),
        ("enable.partition.eof", "true"),
        ("fetch.wait.max.ms", "10"),
        ("check.crcs", "true"),
    ];
    let consumer: BaseConsumer = server.client(&more).create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..2 {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut found, mut ends) = (Vec::new(), 0);
    while ends < 2 {
        match consumer.poll(WAIT).expect("an end within the time") {
            Ok(message) => {
                found.push(std::str::from_utf8(message.payload().unwrap()).unwrap().parse().unwrap());
            }
            Err(KafkaError::PartitionEOF(_)) => ends += 1,
            Err(error) => panic!("{error}"),
        }
    }
    found.sort_unstable();
    found
}

/// Of a transaction that is open it is not told, but for who does not mind: the others ask until it has ended.
fn committed(server: &Server, group: &str) -> Offset {
    let settings = [("group.id", group), ("isolation.level", "read_uncommitted")];
    let consumer: BaseConsumer = server.client(&settings).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition("t", 0);
    let committed = consumer.committed_offsets(list, WAIT).unwrap();
    committed.find_partition("t", 0).unwrap().offset()
}

fn send_offsets(server: &Server, producer: &BaseProducer, group: &str, offset: i64) {
    let consumer: BaseConsumer = server.client(&[("group.id", group)]).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(offset)).unwrap();
    let metadata = consumer.group_metadata().unwrap();
    producer.send_offsets_to_transaction(&list, &metadata, WAIT).unwrap();
}

async fn with_topic() -> Server {
    let server = Server::start().await;
    admin::create(&server, "t", 2, &[]).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_records_are_read_and_aborted_ones_are_not() {
    let server = with_topic().await;
    tokio::task::block_in_place(|| {
        let producer = producer(&server, "one", &[]);
        for round in 0..6 {
            producer.begin_transaction().unwrap();
            send(&producer, "t", round * 100..round * 100 + 100);
            match round % 2 {
                0 => producer.commit_transaction(WAIT).unwrap(),
                _ => {
                    producer.flush(WAIT).unwrap(); // so that there is something to abort
                    producer.abort_transaction(WAIT).unwrap();
                }
            }
        }
        producer.begin_transaction().unwrap();
        send(&producer, "t", 600..700);
        producer.flush(WAIT).unwrap();
        let expected: Vec<usize> = (0..600).filter(|number| number / 100 % 2 == 0).collect();
        assert_eq!(read(&server, "t", "read_committed"), expected);
        assert_eq!(read(&server, "t", "read_uncommitted"), (0..700).collect::<Vec<_>>());
        producer.commit_transaction(WAIT).unwrap();
        assert_eq!(read(&server, "t", "read_committed").len(), 400);
    });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_count_when_their_transaction_is_committed() {
    let server = with_topic().await;
    tokio::task::block_in_place(|| {
        let producer = producer(&server, "offsets", &[]);
        producer.begin_transaction().unwrap();
        send(&producer, "t", 0..10);
        send_offsets(&server, &producer, "group", 5);
        producer.flush(WAIT).unwrap();
        producer.abort_transaction(WAIT).unwrap();
        assert_eq!(committed(&server, "group"), Offset::Invalid);
        producer.begin_transaction().unwrap();
        send_offsets(&server, &producer, "group", 7);
        producer.commit_transaction(WAIT).unwrap();
        assert_eq!(committed(&server, "group"), Offset::Offset(7));
    });
    let server = Server::start_in(server.stop().await, |_| {}).await;
    tokio::task::block_in_place(|| assert_eq!(committed(&server, "group"), Offset::Offset(7)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_producer_fences_the_first() {
    let server = with_topic().await;
    tokio::task::block_in_place(|| {
        let first = producer(&server, "same", &[]);
        first.begin_transaction().unwrap();
        send(&first, "t", 0..10);
        first.flush(WAIT).unwrap();
        let second = producer(&server, "same", &[]);
        assert_eq!(read(&server, "t", "read_committed"), [0; 0]);
        let fenced = first.commit_transaction(WAIT).unwrap_err();
        let code = fenced.rdkafka_error_code();
        let expected = [RDKafkaErrorCode::Fenced, RDKafkaErrorCode::ProducerFenced];
        assert!(code.is_some_and(|code| expected.contains(&code)), "{fenced}");
        second.begin_transaction().unwrap();
        send(&second, "t", 10..20);
        second.commit_transaction(WAIT).unwrap();
        assert_eq!(read(&server, "t", "read_committed"), (10..20).collect::<Vec<_>>());
    });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_takes_too_long_is_aborted() {
    let server = with_topic().await;
    tokio::task::block_in_place(|| {
        let slow =
            producer(&server, "slow", &[("transaction.timeout.ms", "1000"), ("message.timeout.ms", "1000")]);
        slow.begin_transaction().unwrap();
        send(&slow, "t", 0..10);
        slow.flush(WAIT).unwrap();
        let other = producer(&server, "other", &[]);
        other.begin_transaction().unwrap();
        send(&other, "t", 10..20);
        other.commit_transaction(WAIT).unwrap();
        let deadline = Instant::now() + WAIT;
        while read(&server, "t", "read_committed").len() < 10 {
            assert!(Instant::now() < deadline, "what lies behind the slow one is not stable");
        }
        slow.commit_transaction(WAIT).unwrap_err();
    });
    server.stop().await;
}

/// A copy of the folder while the broker runs is what a kill -9 leaves.
#[tokio::test(flavor = "multi_thread")]
async fn open_transactions_are_found_again_after_a_crash() {
    let server = with_topic().await;
    let copy = tempfile::tempdir().unwrap();
    tokio::task::block_in_place(|| {
        let done = producer(&server, "done", &[]);
        done.begin_transaction().unwrap();
        send(&done, "t", 0..10);
        send_offsets(&server, &done, "group", 3);
        done.commit_transaction(WAIT).unwrap();
        let open = producer(&server, "open", &[]);
        open.begin_transaction().unwrap();
        send(&open, "t", 10..20);
        send_offsets(&server, &open, "group", 4);
        open.flush(WAIT).unwrap();
        copy_folder(server.path(), copy.path());
        open.commit_transaction(WAIT).unwrap();
    });
    server.stop().await;
    let server = Server::start_in(copy, |_| {}).await;
    tokio::task::block_in_place(|| {
        let ten: Vec<usize> = (0..10).collect();
        assert_eq!(read(&server, "t", "read_committed"), ten);
        assert_eq!(committed(&server, "group"), Offset::Offset(3));
        producer(&server, "open", &[]); // aborts what its former life left
        let other = producer(&server, "other", &[]);
        other.begin_transaction().unwrap();
        send(&other, "t", 20..30);
        other.commit_transaction(WAIT).unwrap();
        assert_eq!(read(&server, "t", "read_committed"), (0..10).chain(20..30).collect::<Vec<_>>());
        assert_eq!(committed(&server, "group"), Offset::Offset(3));
    });
    server.stop().await;
}
