//! Many byte strings as one column: views into a few large buffers.

use arrow_array::{BinaryViewArray, builder::make_view};
use arrow_buffer::{Buffer, NullBuffer, ScalarBuffer};
use base::BoxError;

/// Binary values of many records in a few buffers.
#[derive(Default)]
pub(crate) struct Column {
    buffers: Vec<Buffer>,
    open: Vec<u8>,
    views: Vec<u128>,
    valid: Vec<bool>,
    nulls_count: usize,
}

/// A view's offset has 31 bits; far below that, so that a buffer never has to grow by much.
const BUFFER_BYTES_MAX: usize = 16 << 20;

impl Column {
    pub(crate) fn push(&mut self, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else {
            self.views.push(0);
            self.valid.push(false);
            self.nulls_count += 1;
            return;
        };
        self.valid.push(true);
        if bytes.len() <= 12 {
            self.views.push(make_view(bytes, 0, 0));
            return;
        }
        if !self.open.is_empty() && self.open.len() + bytes.len() > BUFFER_BYTES_MAX {
            self.buffers.push(Buffer::from_vec(std::mem::take(&mut self.open)));
        }
        let (block, offset) = (self.buffers.len() as u32, self.open.len() as u32);
        self.views.push(make_view(bytes, block, offset));
        self.open.extend_from_slice(bytes);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.open.len() + self.buffers.iter().map(Buffer::len).sum::<usize>() + self.views.len() * 16
    }

    pub(crate) fn reserve(&mut self, records: usize, bytes: usize) {
        self.views.reserve(records);
        self.valid.reserve(records);
        self.open.reserve(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.views.len()
    }

    pub(crate) fn has_nulls(&self) -> bool {
        self.nulls_count > 0
    }

    pub(crate) fn valid(&self) -> &[bool] {
        &self.valid
    }

    pub(crate) fn is_all_null(&self) -> bool {
        self.nulls_count == self.views.len()
    }

    pub(crate) fn finish(mut self) -> Result<BinaryViewArray, BoxError> {
        if !self.open.is_empty() {
            self.buffers.push(Buffer::from_vec(self.open));
        }
        let nulls = (self.nulls_count > 0).then(|| NullBuffer::from(self.valid));
        Ok(BinaryViewArray::try_new(ScalarBuffer::from(self.views), self.buffers, nulls)?)
    }
}
