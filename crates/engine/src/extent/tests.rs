//! Where extents end: the same places however the records come in batches.

use arrow_array::BinaryViewArray;
use base::{Envelope, Lease, Place};
use proptest::prelude::*;

use super::*;
use crate::Boundary;

type Records = [(i64, i64)]; // mark, timestamp_ms

fn batch(records: &Records, end: i64) -> Batch {
    let values =
        BinaryViewArray::from_iter_values(records.iter().map(|(mark, _)| mark.to_string().into_bytes()));
    let envelope = Envelope {
        marks: Some(records.iter().map(|(mark, _)| *mark).collect()),
        timestamps_ms: Some(records.iter().map(|(_, time)| *time).collect()),
        ..Envelope::default()
    };
    let place = Arc::new(Place::Made { name: "test".into() });
    Batch {
        body: Body::Raw(values),
        envelope,
        contract: None,
        place,
        end: Position::Mark(end),
        lease: Lease::free(),
    }
}

fn split() -> Split {
    Split { id: "test".into(), place: Arc::new(Place::Made { name: "test".into() }) }
}

/// All extents, the last one with what is left, from records that come in batches of these sizes.
fn cut_batched(cuts: &Cuts, records: &Records, sizes: &[usize]) -> Vec<String> {
    let start = Position::Mark(records.first().map_or(0, |record| record.0));
    let (mut open, mut extents) = (Open::at(&split(), start), Vec::new());
    let (mut rest, mut sizes) = (records, sizes.iter().cycle());
    while !rest.is_empty() {
        let size = (*sizes.next().expect("cycled")).clamp(1, rest.len());
        let (head, tail) = rest.split_at(size);
        let end = tail.first().map_or(head[size - 1].0 + 1, |record| record.0);
        let mut measured = Measured::new(batch(head, end), cuts);
        while !measured.is_spent() {
            let is_cut = match open.take(&mut measured, cuts, usize::MAX) {
                Taken::Rows(_) => false,
                Taken::Last(_) | Taken::CutBefore => true,
            };
            if is_cut {
                let extent = open.closed();
                open = Open::at(&split(), extent.end.clone());
                extents.push(format!("{extent}"));
            }
        }
        rest = tail;
    }
    if open.records_count > 0 {
        extents.push(format!("{}", open.closed()));
    }
    extents
}

#[track_caller]
fn check(cuts: Cuts, records: &Records, expected: &str) {
    assert_eq!(cut_batched(&cuts, records, &[usize::MAX]).join(" "), expected, "{cuts:?}");
}

#[test]
fn extents_end_by_count_or_by_record_time() {
    let four = [(10, 0), (11, 500), (14, 900), (15, 2_000)]; // marks have gaps
    check(Cuts::records(3), &four, "10..15 15..16");
    check(Cuts::interval_ms(1_000), &four, "10..15 15..16");
    check(Cuts { bytes_max: Some(3), ..Cuts::default() }, &four, "10..14 14..16");
    check(Cuts::default(), &four, "10..16");
}

struct Odd;
impl Boundary for Odd {
    fn times_ms(&self, batch: &Batch) -> ScalarBuffer<i64> {
        batch.envelope.timestamps_ms.clone().expect("the test gives times")
    }
    fn group_ids(&self, batch: &Batch) -> Option<Vec<u64>> {
        Some(batch.envelope.marks.as_ref()?.iter().map(|mark| (mark / 10) as u64).collect())
    }
}

#[test]
fn another_group_ends_an_extent() {
    let cuts = Cuts { boundary: Some(Arc::new(Odd)), ..Cuts::interval_ms(1_000_000) };
    check(cuts, &[(8, 0), (9, 0), (10, 0), (25, 0), (26, 0)], "8..10 10..25 25..27");
}

#[test]
fn a_batch_without_marks_is_not_cut_inside() {
    let mut whole = batch(&[(0, 0), (1, 0), (2, 0)], 3);
    whole.envelope.marks = None;
    let cuts = Cuts::records(2);
    let (mut open, mut measured) = (Open::at(&split(), Position::Start), Measured::new(whole, &cuts));
    assert_eq!(open.take(&mut measured, &cuts, usize::MAX), Taken::Last(0..3));
    assert_eq!((open.records_count, open.upto), (3, Position::Mark(3)));
}

proptest! {
    #[test]
    fn cuts_do_not_depend_on_batches(
        steps in prop::collection::vec((1i64..4, -300i64..900), 1..120),
        sizes in prop::collection::vec(1usize..40, 1..6),
        count_max in prop::option::of(1u64..20),
        interval_ms in prop::option::of(1i64..3_000),
        bytes_max in prop::option::of(1u64..40),
    ) {
        let records: Vec<(i64, i64)> = steps
            .iter()
            .scan((0, 0), |(mark, time), (gap, step)| {
                *mark += gap;
                *time += step;
                Some((*mark, *time))
            })
            .collect();
        let cuts = Cuts {
            records_count_max: count_max,
            interval_ms,
            bytes_max,
            boundary: Some(Arc::new(Odd)),
            ..Cuts::default()
        };
        prop_assert_eq!(cut_batched(&cuts, &records, &[usize::MAX]), cut_batched(&cuts, &records, &sizes));
    }
}

#[test]
fn records_of_one_mark_are_never_parted() {
    let lines = [(1, 0), (1, 0), (1, 0), (2, 0), (2, 0), (3, 0)];
    for sizes in [&[1][..], &[2], &[4, 1], &[6]] {
        assert_eq!(cut_batched(&Cuts::records(2), &lines, sizes).join(" "), "1..2 2..3 3..4", "{sizes:?}");
    }
}
