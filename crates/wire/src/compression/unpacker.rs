//! What unpacks batch after batch on one thread: one buffer and one context for all of them, where they are not very large.
//!
//! Batches are looked at on the thread that answers their request, so there are few of these.

use std::{cell::Cell, io::Read};

use super::{Compression, snappy_blocks};

/// What is held for the next batch, once a thread has unpacked one; only what was written to of it takes memory. Clients end a batch
/// at 1 MB or less of records. A larger one is unpacked some KiB at a time.
const WHOLE_BYTES_MAX: usize = 1 << 20;

thread_local! {
    static UNPACKER: Cell<Option<Box<Unpacker>>> = const { Cell::new(None) };
}

#[derive(Default)]
struct Unpacker {
    buffer: Vec<u8>,
    zstd: zstd::bulk::Decompressor<'static>,
    snappy: snap::raw::Decoder,
}

impl Compression {
    /// Shows `read` what `data` unpacks to, in this thread's buffer; nothing where that is more than `bytes_max` or than the buffer
    /// holds, or cannot be unpacked: `reader` says which.
    pub(crate) fn unpack<R>(self, data: &[u8], bytes_max: usize, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        // Taken out meanwhile: whoever unpacks while he reads gets another.
        let mut unpacker = UNPACKER.take().unwrap_or_default();
        let said = read(unpacker.whole(self, data, bytes_max.min(WHOLE_BYTES_MAX)));
        UNPACKER.set(Some(unpacker));
        said
    }
}

impl Unpacker {
    fn whole(&mut self, codec: Compression, data: &[u8], bytes_max: usize) -> Option<&[u8]> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; WHOLE_BYTES_MAX];
        }
        let Unpacker { buffer, zstd, snappy } = self;
        let room = &mut buffer[..bytes_max];
        let bytes = match codec {
            Compression::None => {
                room.get_mut(..data.len())?.copy_from_slice(data);
                data.len()
            }
            Compression::Zstd if is_usual_zstd(data) => zstd.decompress_to_buffer(data, room).ok()?,
            Compression::Zstd => return None,
            Compression::Snappy => {
                let mut end = 0;
                for block in snappy_blocks(data) {
                    let block = block.ok()?;
                    let length = snap::raw::decompress_len(block).ok()?;
                    end += snappy.decompress(block, room[end..].get_mut(..length)?).ok()?;
                }
                end
            }
            Compression::Gzip | Compression::Lz4 => fill(codec.stream(data, bytes_max).ok()?, room)?,
        };
        Some(&buffer[..bytes])
    }
}

/// One frame, whose window every reader has the memory for: unpacked as a whole it needs none, and would be taken here alone.
fn is_usual_zstd(data: &[u8]) -> bool {
    const SINGLE_SEGMENT: u8 = 1 << 5;
    let [0x28, 0xB5, 0x2F, 0xFD, descriptor, window, ..] = data else { return false };
    // From 2^10 in steps of 2; 2^27 is the limit of a reader that is told none.
    let is_small = descriptor & SINGLE_SEGMENT != 0 || window >> 3 < 17;
    is_small && zstd::zstd_safe::find_frame_compressed_size(data) == Ok(data.len())
}

/// How many bytes there were; nothing where they do not fit.
fn fill(mut from: impl Read, room: &mut [u8]) -> Option<usize> {
    let mut end = 0;
    while end < room.len() {
        match from.read(&mut room[end..]).ok()? {
            0 => return Some(end),
            bytes => end += bytes,
        }
    }
    (from.read(&mut [0]).ok()? == 0).then_some(end)
}
