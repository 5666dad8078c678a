//! Cutting a batch: rows, envelope and end positions stay together.

use super::*;
use proptest::prelude::*;

fn numbered(count: usize) -> Batch {
    let values: Vec<String> =
        (0..count).map(|row| format!("value {row}, long enough to need a buffer")).collect();
    Batch {
        body: Body::Raw(BinaryViewArray::from_iter_values(values.iter().map(String::as_bytes))),
        envelope: Envelope {
            marks: Some((0..count as i64).map(|row| 10 + 2 * row).collect::<Vec<_>>().into()),
            ..Envelope::default()
        },
        contract: None,
        place: Arc::new(Place::Topic { topic: "flights".into(), partition: 3 }),
        end: Position::Mark(10 + 2 * count as i64),
        lease: Lease::free(),
    }
}

proptest! {
    #[test]
    fn cut_anywhere_keeps_rows_and_positions(count in 0usize..40, at in 0usize..41) {
        let whole = numbered(count);
        let at = at.min(count);
        let (head, tail) = whole.split_at(at);
        prop_assert_eq!(head.len() + tail.len(), count);
        prop_assert_eq!(&tail.end, &whole.end);
        prop_assert_eq!(&head.end, &Position::Mark(10 + 2 * at as i64));
        if let (Body::Raw(values), true) = (&tail.body, at < count) {
            let expected = format!("value {},", at);
            prop_assert!(values.value(0).starts_with(expected.as_bytes()));
            prop_assert_eq!(tail.origin(0).to_string(), format!("flights/3/{}", 10 + 2 * at));
        }
    }
}

/// By a mark that no other has; without marks, by what was noted when the stages began.
#[test]
fn a_record_is_found_in_the_batch_that_came() {
    let marked = numbered(4);
    assert_eq!(
        (0..4).map(|row| marked.row_of(&marked.origin(row))).collect::<Vec<_>>(),
        [0, 1, 2, 3].map(Some)
    );
    let mut shared = marked.clone();
    shared.envelope.marks = Some(vec![1, 1, 2, 3].into());
    let found: Vec<_> = (0..4).map(|row| shared.row_of(&shared.origin(row))).collect();
    assert_eq!(found, [None, None, Some(2), Some(3)]);
    let (mut unmarked, mut left) = (marked.clone(), marked.slice(1..4));
    (unmarked.envelope.marks, left.envelope.marks) = (None, None);
    assert_eq!(unmarked.row_of(&unmarked.origin(1)), None);
    left.envelope.came_as = Some(vec![0, 2, 7].into());
    let left = left.slice(1..3);
    assert_eq!((unmarked.row_of(&left.origin(0)), unmarked.row_of(&left.origin(1))), (Some(2), None));
}
