//! Packs records by a codec, at a level: those that lie there, and those that another codec has packed.

use std::io::{self, BufRead, Read, Write};

use super::{Compression, CompressionError, XERIAL_MAGIC};

const XERIAL_BLOCK_BYTES: u64 = 32 << 10;

/// A codec, and how hard it tries: the higher, the smaller and the slower. `None` is the codec's own default (KIP-390).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    pub codec: Compression,
    pub level: Option<i32>,
}

/// What came out, where it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packed {
    Fits(Vec<u8>),
    TooLarge { bytes: usize },
}

impl Compression {
    pub fn compress(self, data: &[u8]) -> io::Result<Vec<u8>> {
        let packing = Packing { codec: self, level: None };
        let mut packed = Vec::new();
        packing.pack(data, &mut packed).map(|()| packed)
    }

    /// What this codec has packed, packed by another: some KiB at a time, so that neither what it unpacks to nor what does not fit
    /// takes memory. Only Snappy's is unpacked as a whole, to at most `bytes_max`.
    pub(crate) fn repack(
        self,
        data: &[u8],
        bytes_max: usize,
        packing: Packing,
        packed_bytes_max: usize,
    ) -> Result<Packed, CompressionError> {
        let mut kept = Kept { bytes: Vec::new(), bytes_max: packed_bytes_max, total: 0 };
        packing.pack(self.reader(data, bytes_max)?, &mut kept).map_err(|error| self.corrupt(error))?;
        Ok(match kept.total == kept.bytes.len() {
            true => Packed::Fits(kept.bytes),
            false => Packed::TooLarge { bytes: kept.total },
        })
    }
}

impl Packing {
    fn pack(self, mut plain: impl BufRead, mut out: impl Write) -> io::Result<()> {
        match self.codec {
            Compression::None => copy(plain, &mut out),
            Compression::Gzip => {
                let level = self.level.and_then(|level| u32::try_from(level).ok());
                let level = level.map_or(flate2::Compression::default(), flate2::Compression::new);
                let mut encoder = flate2::write::GzEncoder::new(out, level);
                copy(plain, &mut encoder)?;
                encoder.finish().map(drop)
            }
            Compression::Lz4 => {
                let builder = &mut lz4::EncoderBuilder::new();
                builder.block_mode(lz4::BlockMode::Independent).block_size(lz4::BlockSize::Max64KB);
                builder.level(self.level.and_then(|level| u32::try_from(level).ok()).unwrap_or_default());
                let mut encoder = builder.build(out)?;
                copy(plain, &mut encoder)?;
                encoder.finish().1
            }
            Compression::Zstd => {
                let level = self.level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
                let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
                copy(plain, &mut encoder)?;
                encoder.finish().map(drop)
            }
            Compression::Snappy => {
                out.write_all(XERIAL_MAGIC)?;
                let (mut encoder, mut block) = (snap::raw::Encoder::new(), Vec::new());
                while plain.by_ref().take(XERIAL_BLOCK_BYTES).read_to_end(&mut block)? > 0 {
                    let packed = encoder.compress_vec(&block).map_err(io::Error::other)?;
                    out.write_all(&(packed.len() as u32).to_be_bytes())?;
                    out.write_all(&packed)?;
                    block.clear();
                }
                Ok(())
            }
        }
    }
}

/// As `io::copy`, without a buffer between the two.
fn copy(mut from: impl BufRead, to: &mut impl Write) -> io::Result<()> {
    loop {
        let piece = from.fill_buf()?;
        if piece.is_empty() {
            return Ok(());
        }
        to.write_all(piece)?;
        let bytes = piece.len();
        from.consume(bytes);
    }
}

/// Keeps what fits, and counts all of it.
struct Kept {
    bytes: Vec<u8>,
    bytes_max: usize,
    total: usize,
}

impl Write for Kept {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = self.bytes_max - self.bytes.len();
        self.bytes.extend_from_slice(&data[..data.len().min(room)]);
        self.total += data.len();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
