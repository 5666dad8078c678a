//! Taking rows out of a batch; the others keep their marks, and the batch its end.

use arrow_array::{BinaryViewArray, BooleanArray, cast::AsArray};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, ScalarBuffer};
use base::{Batch, Body, Envelope, Shared};

/// The rows for which `keep` is set.
pub(super) fn filter(batch: &Batch, keep: &[bool]) -> Batch {
    if keep.iter().all(|keep| *keep) {
        return batch.clone();
    }
    let body = match &batch.body {
        Body::Raw(values) => Body::Raw(filter_views(values, keep)),
        Body::Rows(rows) => Body::Rows(filter_shared(rows, keep)),
        Body::Columns(columns) => {
            let mask = BooleanArray::from(keep.to_vec());
            let kept = arrow_select::filter::filter_record_batch(columns, &mask);
            Body::Columns(kept.expect("a mask of the batch's length filters it"))
        }
    };
    let envelope = &batch.envelope;
    let envelope = Envelope {
        keys: envelope.keys.as_ref().map(|keys| filter_views(keys, keep)),
        headers: envelope.headers.as_ref().map(|headers| filter_shared(headers, keep)),
        timestamps_ms: envelope.timestamps_ms.as_ref().map(|times| filter_numbers(times, keep)),
        tombstones: envelope.tombstones.as_ref().map(|bits| {
            let kept = bits.iter().zip(keep).filter(|(_, keep)| **keep);
            BooleanBuffer::from_iter(kept.map(|(bit, _)| bit))
        }),
        marks: envelope.marks.as_ref().map(|marks| filter_numbers(marks, keep)),
        partitions: envelope.partitions.as_ref().map(|partitions| filter_numbers(partitions, keep)),
        came_as: envelope.came_as.as_ref().map(|rows| filter_numbers(rows, keep)),
    };
    Batch { body, envelope, ..batch.clone() }
}

fn filter_views(values: &BinaryViewArray, keep: &[bool]) -> BinaryViewArray {
    let mask = BooleanArray::from(keep.to_vec());
    let kept = arrow_select::filter::filter(values, &mask).expect("a mask of the array's length filters it");
    kept.as_binary_view().clone()
}

fn filter_shared<T: Clone>(rows: &Shared<T>, keep: &[bool]) -> Shared<T> {
    let kept = rows.iter().zip(keep).filter(|(_, keep)| **keep);
    kept.map(|(row, _)| row.clone()).collect::<Vec<T>>().into()
}

fn filter_numbers<T: ArrowNativeType>(numbers: &ScalarBuffer<T>, keep: &[bool]) -> ScalarBuffer<T> {
    let kept = numbers.iter().zip(keep).filter(|(_, keep)| **keep);
    kept.map(|(number, _)| *number).collect::<Vec<T>>().into()
}
