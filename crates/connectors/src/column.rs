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

/// So many bytes stand in the view itself.
const VIEW_BYTES: usize = 12;
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
        if bytes.len() <= VIEW_BYTES {
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

    /// The value is what `write` appends, in its place at once; null where it gives no value; none at all where it fails.
    pub(crate) fn write<T, E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
        is_null: impl FnOnce(&T) -> bool,
    ) -> Result<T, E> {
        if self.open.len() > BUFFER_BYTES_MAX {
            self.buffers.push(Buffer::from_vec(std::mem::take(&mut self.open)));
        }
        let start = self.open.len();
        let written = write(&mut self.open);
        match &written {
            Ok(told) if !is_null(told) => {
                let bytes = &self.open[start..];
                self.views.push(make_view(bytes, self.buffers.len() as u32, start as u32));
                self.valid.push(true);
                if bytes.len() <= VIEW_BYTES {
                    self.open.truncate(start);
                }
            }
            Ok(_) => {
                self.open.truncate(start);
                self.push(None);
            }
            Err(_) => self.open.truncate(start),
        }
        written
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

#[cfg(test)]
mod tests {
    use arrow_array::Array as _;

    use super::*;

    #[test]
    fn values_are_written_in_place_or_leave_nothing() {
        let mut column = Column::default();
        let long = "a value that no view has room for";
        for (text, is_kept, is_null) in [
            (long, true, false),
            ("refused, and longer than a view", false, false),
            ("short", true, false),
            (long, true, true),
            (long, true, false),
        ] {
            let write = |out: &mut Vec<u8>| {
                out.extend_from_slice(text.as_bytes());
                if is_kept { Ok(is_null) } else { Err(()) }
            };
            assert_eq!(column.write(write, |is_null| *is_null), if is_kept { Ok(is_null) } else { Err(()) });
        }
        assert_eq!(column.bytes(), 2 * long.len() + 4 * 16);
        let found = column.finish().unwrap();
        let texts: Vec<Option<&[u8]>> = found.iter().collect();
        assert_eq!(texts, [Some(long.as_bytes()), Some(b"short"), None, Some(long.as_bytes())]);
        assert_eq!(found.null_count(), 1);
    }
}
