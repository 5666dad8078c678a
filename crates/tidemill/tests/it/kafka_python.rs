//! kafka-python: a client written without librdkafka, so that its ways of asking differ.

use testkit::run_python;

use crate::shared::{name, shared};

const ROUND: &str = r#"
import sys
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
bootstrap, topic = sys.argv[1:]
admin = KafkaAdminClient(bootstrap_servers=bootstrap)
admin.create_topics([NewTopic(topic, 2, 1)])
producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type="gzip", linger_ms=5)
sent = {}
for n in range(300):
    meta = producer.send(topic, key=b"k%d" % (n % 7), value=b"v%d" % n, headers=[("n", b"%d" % n)])
    sent[n] = meta
producer.flush(30)
places = {n: (meta.get(20).partition, meta.get(20).offset) for n, meta in sent.items()}
consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=topic, auto_offset_reset="earliest",
                         enable_auto_commit=False, consumer_timeout_ms=20000)
read = {}
for record in consumer:
    n = int(record.headers[0][1])
    assert record.value == b"v%d" % n and record.key == b"k%d" % (n % 7)
    read[n] = (record.partition, record.offset)
    if len(read) == 300: break
assert read == places, "offsets differ from those acknowledged"
consumer.commit()
assert sum(consumer.committed(TopicPartition(topic, p)) or 0 for p in (0, 1)) == 300
assert consumer.beginning_offsets([TopicPartition(topic, 0)])[TopicPartition(topic, 0)] == 0
ends = consumer.end_offsets([TopicPartition(topic, p) for p in (0, 1)])
assert sum(ends.values()) == 300
consumer.close()
admin.delete_topics([topic])
print("read", len(read))
"#;

#[test]
fn produce_consume_commit_and_admin() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    assert_eq!(run_python(&python, ROUND, &[&parts.kafka(), &name("python")]), "read 300\n");
}

const AUTO_CREATE: &str = r#"
import sys
from kafka import KafkaConsumer, KafkaProducer
bootstrap, topic = sys.argv[1:]
producer = KafkaProducer(bootstrap_servers=bootstrap)
print(producer.send(topic, b"first").get(20).offset)
"#;

#[test]
fn a_topic_is_made_when_it_is_first_written_to() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    assert_eq!(run_python(&python, AUTO_CREATE, &[&parts.kafka(), &name("made")]), "0\n");
}
