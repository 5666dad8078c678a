//! Kill -9 in the middle of transactions, at each named point and at random: each committed transaction is there whole and
//! once, with its offset; of an aborted one nothing is seen.

use std::{collections::BTreeMap, thread, time::Instant};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    producer::{BaseProducer, BaseRecord, Producer},
};
use testkit::{Seeded, World, crash_points, poll};

use super::fate::{CALL, Fate, PATIENCE, aborted, committed, patiently};
use crate::{lifecycle::fixed_ports, shared::world};

const TOPIC: &str = "accounts";
const GROUP: &str = "accounts-group";
const PARTITIONS: i32 = 3;
const RECORDS_PER_TRANSACTION: i32 = 6;

/// A producer that goes on whatever happens to the broker, and remembers what it was told.
struct Teller {
    kafka: String,
    group: BaseConsumer,
    producer: Option<BaseProducer>,
    fates: Vec<Fate>,
}

impl Teller {
    fn new(kafka: &str) -> Self {
        let mut client = ClientConfig::new();
        let group = client.set("bootstrap.servers", kafka).set("group.id", GROUP).create().unwrap();
        Self { kafka: kafka.to_owned(), group, producer: None, fates: Vec::new() }
    }

    /// A producer that has ended what its former life left open.
    fn connected(&self) -> BaseProducer {
        let start = Instant::now();
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.kafka).set("transactional.id", "teller").set("linger.ms", "0");
        client.set("reconnect.backoff.ms", "10").set("reconnect.backoff.max.ms", "50");
        let producer: BaseProducer = client.set("retry.backoff.ms", "10").create().unwrap();
        while let Err(error) = producer.init_transactions(CALL) {
            assert!(start.elapsed() < PATIENCE, "no producer: {error}");
        }
        producer
    }

    fn transact(&mut self, commit: bool) {
        let producer = self.producer.take().unwrap_or_else(|| self.connected());
        let number = self.fates.len();
        let (fate, goes_on) = match (self.write(&producer, number), commit) {
            (Ok(()), true) => committed(&producer),
            (Ok(()), false) | (Err(_), _) => (Fate::Aborted, aborted(&producer)),
        };
        self.fates.push(fate);
        if goes_on {
            self.producer = Some(producer);
        }
    }

    fn write(&self, producer: &BaseProducer, number: usize) -> KafkaResult<()> {
        producer.begin_transaction()?;
        for record in 0..RECORDS_PER_TRANSACTION {
            let value = format!("{number}:{record}");
            let record = BaseRecord::<(), _>::to(TOPIC).partition(record % PARTITIONS).payload(&value);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(TOPIC, 0, Offset::Offset(number as i64 + 1))?;
        let group = self.group.group_metadata().expect("the consumer has a group");
        patiently(|| producer.send_offsets_to_transaction(&offsets, &group, CALL))
    }

    /// Ends what is open, reads what is committed, and compares it with what the producer was told.
    fn check(&mut self, when: &str) {
        self.producer = None;
        self.connected();
        let found = committed_records(&self.kafka);
        for (number, fate) in self.fates.iter().enumerate() {
            let mut records = found.get(&number).cloned().unwrap_or_default();
            records.sort_unstable();
            let whole = records == (0..RECORDS_PER_TRANSACTION).collect::<Vec<_>>();
            let fits = match fate {
                Fate::Committed => whole,
                Fate::Aborted => records.is_empty(),
                Fate::Unknown => whole || records.is_empty(),
            };
            assert!(fits, "{when}: transaction {number} is {fate:?} and has {records:?}");
        }
        let mut asked = TopicPartitionList::new();
        asked.add_partition(TOPIC, 0);
        let offsets = self.group.committed_offsets(asked, PATIENCE).unwrap();
        let last = found.keys().max().map_or(Offset::Invalid, |last| Offset::Offset(*last as i64 + 1));
        assert_eq!(offsets.find_partition(TOPIC, 0).unwrap().offset(), last, "{when}");
    }
}

/// The numbers of the records of each transaction, as a reader of committed records sees them.
fn committed_records(kafka: &str) -> BTreeMap<usize, Vec<i32>> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", kafka).set("group.id", "reader").set("isolation.level", "read_committed");
    let consumer: BaseConsumer = client.set("enable.partition.eof", "true").create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut found, mut ended): (BTreeMap<usize, Vec<i32>>, _) = (BTreeMap::new(), 0);
    while ended < PARTITIONS {
        match consumer.poll(PATIENCE).expect("a record or an end within the time") {
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{error}"),
            Ok(message) => {
                let text = std::str::from_utf8(message.payload().unwrap()).unwrap();
                let (number, record) = text.split_once(':').unwrap();
                found.entry(number.parse().unwrap()).or_default().push(record.parse().unwrap());
            }
        }
    }
    found
}

/// Runs transactions while `disturb` may kill the broker; it is started again whenever it is found dead. Gives the deaths.
fn survive(world: &mut World, transactions: usize, when: &str, mut disturb: impl FnMut(&mut World)) -> u32 {
    fixed_ports(world);
    let parts = world.up_with(&["--only", "broker"]);
    world.unset("TIDEMILL_DIE_AT"); // for the first life, for nothing else
    let mut teller = Teller::new(&parts.kafka());
    world.ok(&["topic", "create", TOPIC, "--partitions", &PARTITIONS.to_string()]);
    let mut deaths = 0;
    thread::scope(|scope| {
        let telling = scope.spawn(|| (0..transactions).for_each(|number| teller.transact(number % 4 != 3)));
        while !telling.is_finished() {
            disturb(world);
            if world.process().is_none_or(|up| up.ended().is_some()) {
                deaths += 1;
                world.start(&["--only", "broker"]);
                world.ready();
            }
        }
    });
    teller.check(when);
    let count = |fate| teller.fates.iter().filter(|one| **one == fate).count();
    let [committed, aborted, unknown] = [Fate::Committed, Fate::Aborted, Fate::Unknown].map(count);
    eprintln!("{when}: {deaths} deaths, {committed} committed, {aborted} aborted, {unknown} unknown");
    assert!(committed > transactions / 4, "{when}: hardly anything was committed");
    deaths
}

#[test]
fn dying_at_each_named_point_halves_no_transaction() {
    let points = crash_points().into_iter().filter(|point| point.starts_with("broker.transaction."));
    let never_passed: Vec<String> = thread::scope(|scope| {
        let lives: Vec<_> = points
            .map(|point| {
                scope.spawn(move || {
                    let mut world = world();
                    world.set("TIDEMILL_DIE_AT", &format!("{point}:15"));
                    let deaths = survive(&mut world, 40, &point, |_| poll::moment(5));
                    (deaths == 0).then_some(point)
                })
            })
            .collect();
        assert!(!lives.is_empty());
        lives.into_iter().filter_map(|life| life.join().unwrap()).collect()
    });
    assert!(never_passed.is_empty(), "never passed: {never_passed:?}");
}

#[test]
fn kill_9_at_random_moments_halves_no_transaction() {
    let transactions = if testkit::deep() { 20_000 } else { 150 };
    for seed in testkit::seeds(1) {
        let (mut world, mut random) = (world(), Seeded::new(seed));
        let deaths = survive(&mut world, transactions, &format!("seed {seed}"), |world| {
            poll::moment(random.within(50..500));
            world.kill();
        });
        assert!(deaths > 2, "seed {seed}: {deaths} deaths");
    }
}
