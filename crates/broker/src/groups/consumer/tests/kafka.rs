//! A group as Apache Kafka 4.3.1 wrote it, read back by our own hand. In it: a static member with a regular expression, one
//! with names, and one of the classic protocol that joined last; then Kafka was killed.

use std::{collections::BTreeMap, fs, path::Path};

use bytes::Bytes;
use tokio::time::Instant;
use wire::batch::batches;

use super::{
    super::{Consumer, records::Part},
    LIMITS, StoredConsumer,
};

/// Key and value of each record, in their order.
fn records() -> Vec<(Bytes, Option<Bytes>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/groups/kafka-4.3.1.log");
    let bytes = fs::read(path).unwrap();
    let mut records = Vec::new();
    for batch in batches(&bytes) {
        for record in &batch.unwrap().records(1 << 20).unwrap() {
            let record = record.unwrap();
            let copy = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
            records.push((copy(record.key.unwrap()), record.value.map(copy)));
        }
    }
    records
}

fn stored() -> StoredConsumer {
    let mut stored = StoredConsumer::default();
    for (key, value) in records() {
        if let Some((group, part)) = Part::decode(&key) {
            assert_eq!(group, "flights-group");
            stored.apply(part, value.as_deref());
        }
    }
    stored
}

#[test]
fn the_group_goes_on_as_kafka_left_it() {
    let group = Consumer::restore(stored(), LIMITS, Instant::now());
    let mut text =
        format!("{} epoch {} target {}\n", group.state().word(), group.epoch, group.assignment_epoch);
    for (id, member) in &group.members {
        text += &format!("{id} {:#?}\n{:?}\n", member.profile, member.standing);
        text += &format!("target {:?}\n", group.targets[id]);
    }
    insta::assert_snapshot!(text);
}

/// What Kafka wrote, and what we make of it, are the same bytes; but for the order of topics, and for the times and empty
/// tags that only Kafka adds.
#[test]
fn our_bytes_are_kafkas() {
    let last: BTreeMap<Bytes, Bytes> =
        records().into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect();
    let group = Consumer::restore(stored(), LIMITS, Instant::now());
    let ours = super::encode("flights-group", &group, &group.parts());
    let (mut same, mut longer) = (0, 0);
    for (key, value) in ours {
        let (Some(theirs), Some(value)) = (last.get(&key), value) else { continue };
        if *theirs == value {
            same += 1;
        } else {
            longer += usize::from(theirs.len() >= value.len());
        }
    }
    insta::assert_snapshot!(format!(
        "{same} the same, {longer} with more from Kafka, of {}",
        group.parts().len()
    ));
}
