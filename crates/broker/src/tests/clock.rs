//! A clock that is set while clients are at work: their sessions and transactions notice nothing.

use std::{sync::Arc, time::Duration};

use base::ManualClock;
use rdkafka::{
    Message,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{Server, admin, produce};

const WAIT: Duration = Duration::from_secs(20);
const DAY_MS: i64 = 86_400_000;

#[tokio::test(flavor = "multi_thread")]
async fn time_outs_do_not_follow_a_clock_that_is_set() {
    let clock = ManualClock::at(1_700_000_000_000);
    let server = Server::start_by(Arc::new(clock.clone())).await;
    // Stamped by the broker: the client's own time is far from this clock's.
    let stamped = [("message.timestamp.type", "LogAppendTime"), ("retention.ms", "-1")];
    assert_eq!(admin::create(&server, "t", 1, &stamped).await, None);
    let (settings, kafka) = ([("transactional.id", "teller"), ("transaction.timeout.ms", "60000")], &server);
    let producer: BaseProducer = kafka.client(&settings).create().unwrap();
    let member = [("group.id", "g"), ("session.timeout.ms", "10000"), ("auto.offset.reset", "earliest")];
    let consumer: BaseConsumer = kafka.client(&member).create().unwrap();
    tokio::task::block_in_place(|| {
        producer.init_transactions(WAIT).unwrap();
        consumer.subscribe(&["t"]).unwrap();
        for jump_ms in [DAY_MS, -3 * DAY_MS, 2 * DAY_MS] {
            producer.begin_transaction().unwrap();
            let record = BaseRecord::<(), _>::to("t").partition(0).payload("in a transaction");
            producer.send(record).map_err(|(error, _)| error).unwrap();
            producer.flush(WAIT).unwrap();
            clock.jump_ms(jump_ms);
            // Longer than the coordinator takes to look for time-outs.
            testkit::poll::moment(700);
            producer.commit_transaction(WAIT).unwrap();
            // A poll also ends where only the group has changed.
            let read = (0..5).find_map(|_| consumer.poll(WAIT)).unwrap().unwrap();
            assert_eq!(read.partition(), 0);
            assert_eq!(consumer.assignment().unwrap().count(), 1, "it is still a member");
        }
    });
    assert_eq!(produce::read_all(&server, "t", 1).await.len(), 3);
    server.stop().await;
}
