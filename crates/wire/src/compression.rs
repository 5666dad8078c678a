//! The four codecs of record batches, with a bound on what comes out; how they pack is in `packing.rs`.
//!
//! Snappy is read raw and in xerial's blocks (what Java writes), and written in xerial's; LZ4 is the frame format.

mod packing;
#[cfg(test)]
mod tests;
mod unpacker;

use std::io::{self, BufRead, BufReader, Cursor, Read};

pub use packing::{Packed, Packing};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    #[error("{codec:?} data does not decompress: {reason}")]
    Corrupt { codec: Compression, reason: String },
    #[error("{codec:?} data gives more than {bytes_max} bytes")]
    TooLarge { codec: Compression, bytes_max: usize },
}

/// What every xerial stream begins with: its mark, version 1, compatible with 1.
const XERIAL_MAGIC: &[u8; 16] = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";
/// Only the first eight bytes are the mark; the versions behind it are not looked at, as in Java.
const XERIAL_MARK_BYTES: usize = 8;
/// What a reader unpacks at a time: fits a core's nearest memory.
const READ_BYTES: usize = 32 << 10;

impl Compression {
    /// The three lowest bits of a batch's attributes.
    pub fn from_attributes(attributes: i16) -> Option<Self> {
        Some(match attributes & 7 {
            0 => Compression::None,
            1 => Compression::Gzip,
            2 => Compression::Snappy,
            3 => Compression::Lz4,
            4 => Compression::Zstd,
            _ => return None,
        })
    }

    pub fn attribute_bits(self) -> i16 {
        self as i16
    }

    pub fn decompress(self, data: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
        match self {
            Compression::None if data.len() > bytes_max => {
                Err(CompressionError::TooLarge { codec: self, bytes_max })
            }
            Compression::None => Ok(data.to_vec()),
            Compression::Gzip | Compression::Lz4 | Compression::Zstd => {
                self.read_all(self.stream(data, bytes_max)?, data.len(), bytes_max)
            }
            Compression::Snappy => self.decompress_snappy(data, bytes_max),
        }
    }

    /// What `data` unpacks to, some KiB at a time. Only Snappy's, which cannot swell far, is unpacked as a whole, to at most `bytes_max`.
    pub(crate) fn reader(self, data: &[u8], bytes_max: usize) -> Result<impl BufRead + '_, CompressionError> {
        Ok(BufReader::with_capacity(READ_BYTES, self.stream(data, bytes_max)?))
    }

    fn stream<'a>(self, data: &'a [u8], bytes_max: usize) -> Result<Box<dyn Read + 'a>, CompressionError> {
        let corrupt = |error: io::Error| self.corrupt(error);
        Ok(match self {
            Compression::None => Box::new(data),
            Compression::Snappy => Box::new(Cursor::new(self.decompress_snappy(data, bytes_max)?)),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(data)),
            Compression::Lz4 => Box::new(lz4::Decoder::new(data).map_err(corrupt)?),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(data).map_err(corrupt)?),
        })
    }

    /// Grows with what really comes out: a stream's own word on its size is not believed.
    fn read_all(self, reader: impl Read, hint: usize, bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
        let mut out = Vec::with_capacity(hint.saturating_mul(2).min(bytes_max));
        let bounded = (bytes_max as u64).saturating_add(1);
        reader.take(bounded).read_to_end(&mut out).map_err(|error| self.corrupt(error))?;
        if out.len() > bytes_max {
            return Err(CompressionError::TooLarge { codec: self, bytes_max });
        }
        Ok(out)
    }

    fn decompress_snappy(self, data: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
        let mut out = Vec::new();
        for block in snappy_blocks(data) {
            self.snappy_block(block.map_err(|cut_off| self.corrupt(cut_off))?, &mut out, bytes_max)?;
        }
        Ok(out)
    }

    fn snappy_block(self, block: &[u8], out: &mut Vec<u8>, bytes_max: usize) -> Result<(), CompressionError> {
        let length = snap::raw::decompress_len(block).map_err(|error| self.corrupt(error))?;
        let start = out.len();
        if length > bytes_max - start {
            return Err(CompressionError::TooLarge { codec: self, bytes_max });
        }
        // Two bytes in can give 64 out at the very most, so a short block that claims megabytes lies.
        if length > block.len().saturating_mul(32) {
            return Err(self.corrupt("a block claims more than it can hold"));
        }
        out.resize(start + length, 0);
        snap::raw::Decoder::new()
            .decompress(block, &mut out[start..])
            .map_err(|error| self.corrupt(error))?;
        Ok(())
    }

    pub(crate) fn corrupt(self, reason: impl ToString) -> CompressionError {
        CompressionError::Corrupt { codec: self, reason: reason.to_string() }
    }
}

/// Xerial's blocks, or the one that it is without its mark.
fn snappy_blocks(data: &[u8]) -> impl Iterator<Item = Result<&[u8], &'static str>> {
    let is_xerial =
        data.len() >= XERIAL_MAGIC.len() && data[..XERIAL_MARK_BYTES] == XERIAL_MAGIC[..XERIAL_MARK_BYTES];
    let (mut raw, mut rest) = match is_xerial {
        true => (None, &data[XERIAL_MAGIC.len()..]),
        false => (Some(data), &[][..]),
    };
    std::iter::from_fn(move || {
        if let Some(raw) = raw.take() {
            return Some(Ok(raw));
        }
        if rest.is_empty() {
            return None;
        }
        let Some((length, after)) = std::mem::take(&mut rest).split_first_chunk::<4>() else {
            return Some(Err("a block's length is cut off"));
        };
        let Some((block, after)) = after.split_at_checked(u32::from_be_bytes(*length) as usize) else {
            return Some(Err("a block is cut off"));
        };
        rest = after;
        Some(Ok(block))
    })
}
