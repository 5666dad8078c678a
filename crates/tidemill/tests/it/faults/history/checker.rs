//! What must be true of a history: who was told what, who read what, and what is there in the end.

use std::collections::{BTreeMap, BTreeSet};

use crate::transactions::fate::Fate;

/// A record is known by its producer and its number with him.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub producer: u32,
    pub number: u32,
}

/// Partition and offset.
pub type Place = (i32, i64);

#[derive(Debug, Clone, Default)]
pub struct History {
    /// Of producers without transactions: where each record was acknowledged.
    pub acknowledged: BTreeMap<Record, Place>,
    /// The transactions of each transactional producer, with their records.
    pub transactions: Vec<(Fate, Vec<Record>)>,
    /// What a reader of committed records saw while it all went on, in its order.
    pub observed: Vec<(Place, Record)>,
    /// What is there in the end for a reader of committed records.
    pub committed: BTreeMap<Place, Record>,
    /// Records of the input, by their places, and how often each place is named in the output.
    pub inputs: BTreeSet<Place>,
    pub outputs: BTreeMap<Place, u32>,
    /// The committed offsets of the group that makes outputs of inputs, as they were seen: by partition, in order.
    pub offsets: BTreeMap<i32, Vec<i64>>,
}

impl History {
    /// What is wrong with it; nothing where it is one that a log without faults could have.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut places: BTreeMap<Record, Vec<Place>> = BTreeMap::new();
        for (place, record) in &self.committed {
            places.entry(*record).or_default().push(*place);
        }
        self.each_once(&places, &mut faults);
        self.transactions_whole(&places, &mut faults);
        self.in_order(&mut faults);
        self.seen_is_there(&mut faults);
        self.each_input_once(&mut faults);
        faults
    }

    fn each_once(&self, places: &BTreeMap<Record, Vec<Place>>, faults: &mut Vec<String>) {
        for (record, found) in places.iter().filter(|(_, found)| found.len() > 1) {
            faults.push(format!("{record:?} is there more than once: {found:?}"));
        }
        for (record, place) in &self.acknowledged {
            let found = places.get(record).map_or(&[][..], Vec::as_slice);
            if !found.contains(place) {
                faults.push(format!("{record:?} was acknowledged at {place:?} and is at {found:?}"));
            }
        }
    }

    fn transactions_whole(&self, places: &BTreeMap<Record, Vec<Place>>, faults: &mut Vec<String>) {
        let mut known: BTreeSet<Record> = self.acknowledged.keys().copied().collect();
        for (fate, records) in &self.transactions {
            known.extend(records);
            let there = records.iter().filter(|record| places.contains_key(record)).count();
            let fits = match fate {
                Fate::Committed => there == records.len(),
                Fate::Aborted => there == 0,
                Fate::Unknown => there == 0 || there == records.len(),
            };
            if !fits {
                let of = records.len();
                faults
                    .push(format!("{there} of {of} records of a transaction that is {fate:?}: {records:?}"));
            }
        }
        for record in places.keys().filter(|record| !known.contains(record)) {
            faults.push(format!("nobody sent {record:?}"));
        }
    }

    /// Of each producer, in each partition.
    fn in_order(&self, faults: &mut Vec<String>) {
        let mut last: BTreeMap<(i32, u32), Record> = BTreeMap::new();
        for ((partition, offset), record) in &self.committed {
            if let Some(before) = last.insert((*partition, record.producer), *record)
                && before.number >= record.number
            {
                faults.push(format!("{record:?} at {partition}/{offset} comes after {before:?}"));
            }
        }
    }

    /// What was shown once stays, and a reader goes over all of it from its first record on.
    fn seen_is_there(&self, faults: &mut Vec<String>) {
        let mut seen: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for ((partition, offset), record) in &self.observed {
            let there = self.committed.get(&(*partition, *offset));
            if there != Some(record) {
                faults.push(format!("{record:?} was seen at {partition}/{offset}, where {there:?} is"));
            }
            seen.entry(*partition).or_default().push(*offset);
        }
        for (partition, offsets) in seen {
            let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { continue };
            let all = self.committed.range((partition, *first)..=(partition, *last));
            let all: Vec<i64> = all.map(|((_, offset), _)| *offset).collect();
            if offsets != all {
                let differs = offsets.iter().zip(&all).find(|(seen, there)| seen != there);
                faults.push(format!("partition {partition} was not seen from record to record: {differs:?}"));
            }
        }
    }

    fn each_input_once(&self, faults: &mut Vec<String>) {
        for place in &self.inputs {
            let count = self.outputs.get(place).copied().unwrap_or(0);
            if count != 1 {
                faults.push(format!("the input {place:?} has {count} outputs"));
            }
        }
        for place in self.outputs.keys().filter(|place| !self.inputs.contains(place)) {
            faults.push(format!("an output of {place:?}, which is no input"));
        }
        for (partition, offsets) in &self.offsets {
            if let Some(pair) = offsets.windows(2).find(|pair| pair[0] > pair[1]) {
                faults.push(format!("the committed offset of {partition} fell: {pair:?}"));
            }
        }
    }
}

fn record(producer: u32, number: u32) -> Record {
    Record { producer, number }
}

/// Two producers, a committed and an aborted transaction, three inputs: nothing is wrong.
fn sound() -> History {
    let committed = [
        ((0, 0), record(1, 0)),
        ((0, 1), record(2, 0)),
        ((0, 2), record(9, 0)),
        ((0, 5), record(1, 1)),
        ((1, 0), record(2, 1)),
        ((1, 1), record(9, 1)),
    ];
    let told = [0, 1, 3, 4].map(|at| (committed[at].1, committed[at].0));
    History {
        acknowledged: BTreeMap::from(told),
        transactions: vec![
            (Fate::Committed, vec![record(9, 0), record(9, 1)]),
            (Fate::Aborted, vec![record(9, 2), record(9, 3)]),
            (Fate::Unknown, vec![record(9, 4)]),
        ],
        observed: committed[1..].to_vec(),
        committed: BTreeMap::from(committed),
        inputs: BTreeSet::from([(0, 0), (0, 1), (1, 0)]),
        outputs: BTreeMap::from([((0, 0), 1), ((0, 1), 1), ((1, 0), 1)]),
        offsets: BTreeMap::from([(0, vec![0, 1, 1, 2]), (1, vec![1])]),
    }
}

#[test]
fn the_checker_finds_every_kind_of_fault() {
    assert_eq!(sound().faults(), Vec::<String>::new());
    #[track_caller]
    fn check(expected: &str, spoil: impl FnOnce(&mut History)) {
        let mut history = sound();
        spoil(&mut history);
        let faults = history.faults().join("\n");
        assert!(faults.contains(expected), "{expected}: {faults}");
    }
    check("and is at []", |history| {
        history.committed.remove(&(0, 5));
    });
    check("more than once", |history| {
        history.committed.insert((0, 6), record(1, 1));
    });
    check("comes after", |history| {
        history.committed.insert((0, 0), record(1, 1));
        history.committed.insert((0, 5), record(1, 0));
    });
    check("nobody sent", |history| {
        history.committed.insert((1, 7), record(3, 0));
    });
    check("is Aborted", |history| {
        history.committed.insert((1, 7), record(9, 2));
    });
    check("1 of 2 records", |history| {
        history.committed.remove(&(1, 1));
    });
    check("was seen at 1/7", |history| history.observed.push(((1, 7), record(9, 4))));
    check("from record to record", |history| {
        history.observed.remove(1);
    });
    check("has 2 outputs", |history| {
        history.outputs.insert((0, 1), 2);
    });
    check("has 0 outputs", |history| {
        history.outputs.remove(&(1, 0));
    });
    check("no input", |history| {
        history.outputs.insert((5, 5), 1);
    });
    check("fell", |history| history.offsets.get_mut(&0).unwrap().push(1));
}
