//! Transactions with clients of three kinds: confluent-kafka and kafka-python, whose transactions are of version 1, and Apache
//! Kafka's own, whose are of version 2; and kill -9 in the middle of them.

pub mod fate;
mod killed;

use std::fs;

use testkit::run_python;

use crate::shared::{name, shared};

const EXACTLY_ONCE: &str = r#"
import sys
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
bootstrap, source = sys.argv[1:]
target, group = source + "-doubled", source + "-group"
admin = AdminClient({"bootstrap.servers": bootstrap})
for future in admin.create_topics([NewTopic(source, 2), NewTopic(target, 2)]).values(): future.result(20)
plain = Producer({"bootstrap.servers": bootstrap})
for n in range(500): plain.produce(source, key=str(n), value=str(n), partition=n % 2)
assert plain.flush(30) == 0
def transactional():
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": source, "linger.ms": 1})
    producer.init_transactions(20)
    return producer
def reader():
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "isolation.level": "read_committed"})
    consumer.subscribe([source])
    return consumer
producer, consumer, done, round = transactional(), reader(), 0, 0
while done < 500:
    messages = consumer.consume(50, 20)
    assert messages and all(message.error() is None for message in messages)
    producer.begin_transaction()
    for message in messages:
        producer.produce(target, key=message.key(), value=str(int(message.value()) * 2))
    producer.send_offsets_to_transaction(consumer.position(consumer.assignment()), consumer.consumer_group_metadata())
    round += 1
    if round % 3 == 2:
        producer.flush(20)
        producer.abort_transaction(20)
        consumer.close()
        consumer = reader()  # begins again where the last committed transaction ended
    else:
        producer.commit_transaction(20)
        done += len(messages)
consumer.close()
producer.begin_transaction()
producer.produce(target, key="late", value="-1", partition=0)
producer.flush(20)
def ends(isolation):
    asked = admin.list_offsets({TopicPartition(target, p): OffsetSpec.latest() for p in (0, 1)}, isolation_level=isolation)
    return sum(future.result(20).offset for future in asked.values())
assert ends(IsolationLevel.READ_COMMITTED) < ends(IsolationLevel.READ_UNCOMMITTED)
def values(isolation):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": target, "enable.partition.eof": True,
                         "isolation.level": isolation})
    consumer.assign([TopicPartition(target, p, 0) for p in (0, 1)])
    found, ended = [], 0
    while ended < 2:
        message = consumer.poll(20)
        assert message is not None
        if message.error() and message.error().code() == KafkaError._PARTITION_EOF: ended += 1
        else: found.append(int(message.value()))
    return sorted(found)
assert values("read_committed") == [n * 2 for n in range(500)], "not once each"
assert len(values("read_uncommitted")) > 501, "what was aborted lies there too"
second = transactional()
try:
    producer.commit_transaction(20)
    raise SystemExit("a fenced producer may commit")
except KafkaException as error:
    assert error.args[0].fatal() and error.args[0].code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED), error
second.begin_transaction()
second.produce(target, value="-2", partition=0)
second.commit_transaction(20)
assert values("read_committed") == [-2] + [n * 2 for n in range(500)]
print("once each")
"#;

#[test]
fn confluent_kafka_consumes_and_produces_exactly_once() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    assert_eq!(run_python(&python, EXACTLY_ONCE, &[&parts.kafka(), &name("exactly")]), "once each\n");
}

const KAFKA_PYTHON: &str = r#"
import sys
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
bootstrap, topic = sys.argv[1:]
producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic)
producer.init_transactions()
for round in range(4):
    producer.begin_transaction()
    for n in range(10): producer.send(topic, b"%d" % (round * 10 + n))
    producer.flush(20)
    producer.commit_transaction() if round % 2 else producer.abort_transaction()
consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", consumer_timeout_ms=5000)
consumer.assign([TopicPartition(topic, 0)])
consumer.seek_to_beginning()
read = []
for record in consumer:
    read.append(int(record.value))
    if len(read) == 20: break
print(read == list(range(10, 20)) + list(range(30, 40)))
"#;

#[test]
fn kafka_python_commits_and_aborts() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    assert_eq!(run_python(&python, KAFKA_PYTHON, &[&parts.kafka(), &name("python-txn")]), "True\n");
}

const LEFT_OPEN: &str = r#"
import os, sys
from confluent_kafka import Producer
bootstrap, topic, id = sys.argv[1:]
producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": id, "transaction.timeout.ms": 120000})
producer.init_transactions(20)
producer.begin_transaction()
producer.produce(topic, value="never committed", partition=0)
assert producer.flush(20) == 0
print("open", flush=True)
os._exit(0)  # without a word to the broker
"#;

#[test]
fn kafkas_own_clients_consume_and_produce_exactly_once() {
    let Some(java) = testkit::java_tools() else { return };
    let (world, parts) = shared();
    let (kafka, source, target) = (parts.kafka(), name("java-source"), name("java-target"));
    for topic in [&source, &target] {
        world.ok(&["topic", "create", topic, "--partitions", "2"]);
    }
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/transactions/ExactlyOnce.java");
    let said = java.tool(program, &[&kafka, &source, &target]).expect_success();
    assert_eq!(said, "once each\n");
}

/// The Java clients of Kafka 4 take the broker's word that transactions are of version 2.
#[test]
fn kafkas_own_tools_write_read_and_show_transactions() {
    let (Some(java), Some(python)) = (testkit::java_tools(), testkit::python()) else { return };
    let (world, parts) = shared();
    let (kafka, topic) = (parts.kafka(), name("java-txn"));
    let (writer, open) = (format!("{topic}-writer"), format!("{topic}-open"));
    world.ok(&["topic", "create", &topic, "--partitions", "1"]);
    let args = ["--topic", &topic, "--num-records", "2000", "--record-size", "50", "--throughput", "-1"];
    let ids =
        ["--transactional-id", &writer, "--transaction-duration-ms", "20", "--bootstrap-server", &kafka];
    let said = java.tool("org.apache.kafka.tools.ProducerPerformance", &[&args[..], &ids].concat());
    assert!(said.expect_success().contains("2000 records sent"));
    assert_eq!(run_python(&python, LEFT_OPEN, &[&kafka, &topic, &open]), "open\n");

    let tool = |args: &[&str]| {
        let all = [&["--bootstrap-server", kafka.as_str()], args].concat();
        java.tool("org.apache.kafka.tools.TransactionsCommand", &all).expect_success()
    };
    let listed = tool(&["list"]);
    let state = |id: &str| {
        let line = listed.lines().find(|line| line.split_whitespace().next() == Some(id));
        line.unwrap_or_else(|| panic!("{id} is not in {listed}"))
            .split_whitespace()
            .last()
            .unwrap()
            .to_owned()
    };
    assert_eq!((state(&writer).as_str(), state(&open).as_str()), ("CompleteCommit", "Ongoing"));
    let described = tool(&["describe", "--transactional-id", &writer]);
    let epoch = described.lines().nth(1).and_then(|line| line.split_whitespace().nth(3).map(str::to_owned));
    let epoch: i32 = epoch.and_then(|epoch| epoch.parse().ok()).unwrap_or_else(|| panic!("{described}"));
    assert!(epoch > 1, "every commit raises the epoch (KIP-890): {described}");
    let producers = tool(&["describe-producers", "--topic", &topic, "--partition", "0"]);
    let begun = producers.lines().skip(1).filter(|line| !line.trim_end().ends_with("None")).count();
    assert_eq!(begun, 1, "{producers}");

    let args = ["--bootstrap-server", &kafka, "--topic", &topic, "--from-beginning", "--timeout-ms", "3000"];
    let all = [&args[..], &["--isolation-level", "read_committed"]].concat();
    let read = java.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &all).stdout;
    assert_eq!(read.lines().count(), 2_000);
    tool(&["forceTerminateTransaction", "--transactionalId", &open]);
    let folder = world.path(".tidemill/broker");
    let dump = |log: &str, file: &str, more: &[&str]| {
        let file = folder.join(log).join(format!("00000000000000000000.{file}")).display().to_string();
        java.tool("org.apache.kafka.tools.DumpLogSegments", &[&["--files", &file], more].concat())
            .expect_success()
    };
    let decided = (0..50).find_map(|partition| {
        let log = format!("__transaction_state-{partition}");
        let text = fs::read(folder.join(&log).join("00000000000000000000.log")).ok()?;
        text.windows(writer.len()).any(|window| window == writer.as_bytes()).then_some(log)
    });
    let decided = dump(&decided.expect("the id is in a log"), "log", &["--transaction-log-decoder"]);
    for state in [1, 2, 4] {
        // ongoing, prepared to commit, committed; as Kafka's own decoder reads them
        let found = decided.lines().any(|line| {
            line.contains(&writer)
                && line.contains(&format!("\"transactionStatus\":{state},"))
                && line.contains("\"clientTransactionVersion\":2")
        });
        assert!(found, "no state {state} of {writer}: {decided}");
    }
    let markers = dump(&format!("{topic}-0"), "log", &["--print-data-log"]);
    assert!(markers.contains("endTxnMarker: COMMIT") && markers.contains("endTxnMarker: ABORT"), "{markers}");
    let aborted = dump(&format!("{topic}-0"), "txnindex", &[]);
    assert_eq!(aborted.matches("producerId").count(), 1, "{aborted}");
}

/// What a producer left in a partition can be ended there (WriteTxnMarkers), without its coordinator.
#[test]
fn kafkas_tool_aborts_what_is_left_in_a_partition() {
    let (Some(java), Some(python)) = (testkit::java_tools(), testkit::python()) else { return };
    let (world, parts) = shared();
    let (kafka, topic) = (parts.kafka(), name("java-abort"));
    world.ok(&["topic", "create", &topic, "--partitions", "1"]);
    let open = format!("{topic}-open");
    assert_eq!(run_python(&python, LEFT_OPEN, &[&kafka, &topic, &open]), "open\n");
    let tool = |class: &str, args: &[&str]| {
        let all = [&["--bootstrap-server", kafka.as_str()], args].concat();
        java.tool(&format!("org.apache.kafka.tools.{class}"), &all).expect_success()
    };
    let transactions = |args: &[&str]| tool("TransactionsCommand", args);
    let listed = transactions(&["list", "--transactional-id-pattern", &format!("{topic}-o.*")]);
    let ids: Vec<&str> = listed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(ids, [open.as_str()], "{listed}");
    let place = ["--topic", topic.as_str(), "--partition", "0"];
    let left_open = || {
        let producers = transactions(&[&["describe-producers"], &place[..]].concat());
        producers.lines().skip(1).filter(|line| !line.trim_end().ends_with("None")).count()
    };
    assert_eq!(left_open(), 1);
    transactions(&[&["abort"], &place[..], &["--start-offset", "0"]].concat());
    assert_eq!(left_open(), 0);
    let args = ["--topic", &topic, "--num-records", "1", "--record-size", "9", "--throughput", "-1"];
    tool("ProducerPerformance", &args);
    let args = ["--topic", &topic, "--from-beginning", "--max-messages", "1", "--timeout-ms", "20000"];
    let read =
        tool("consumer.ConsoleConsumer", &[&args[..], &["--isolation-level", "read_committed"]].concat());
    assert_eq!((read.lines().count(), read.contains("never committed")), (1, false), "{read}");
}
