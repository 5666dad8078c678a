//! Gzip and zstd around another encoder: no time and no name in the header, and fed in blocks of one size, so that the same
//! records give the same bytes. A part of a larger file is some gzip members or a zstd frame of its own.

use std::{
    io::{self, Write},
    mem,
    ops::Range,
};

use base::{Batch, Rejects};
use flate2::{Compression as Level, GzBuilder, write::GzEncoder};

use crate::{Compression, Encoder, Error, gzip_members};

/// The compressor sees blocks of exactly this size, whatever the batches were.
const BLOCK_BYTES: usize = 64 << 10;

enum Compressor {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Compressor {
    /// `None` for what stays as it is.
    fn new(compression: Compression) -> io::Result<Option<Self>> {
        Ok(match compression {
            Compression::None => None,
            Compression::Gzip { level } => {
                let level =
                    u32::try_from(level).map_or_else(|_| Level::default(), |level| Level::new(level.min(9)));
                // 255 in the header's OS field is "unknown": the same on every system.
                let builder = GzBuilder::new().mtime(0).operating_system(255);
                Some(Compressor::Gzip(builder.write(Vec::new(), level)))
            }
            Compression::Zstd { level } => {
                let encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
                Some(Compressor::Zstd(encoder))
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Compressor::Gzip(encoder) => encoder.write_all(bytes),
            Compressor::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn done(&mut self) -> &mut Vec<u8> {
        match self {
            Compressor::Gzip(encoder) => encoder.get_mut(),
            Compressor::Zstd(encoder) => encoder.get_mut(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Compressor::Gzip(encoder) => encoder.finish(),
            Compressor::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// Whole members, or a frame.
pub(crate) fn packed(compression: Compression, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    if let Compression::Gzip { level } = compression {
        let mut members = Vec::new();
        gzip_members(&bytes, level, &mut members)?;
        return Ok(members);
    }
    let Some(mut compressor) = Compressor::new(compression).map_err(failed)? else { return Ok(bytes) };
    compressor.write(&bytes).map_err(failed)?;
    compressor.finish().map_err(failed)
}

fn failed(source: io::Error) -> Error {
    Error::Encoder { format: "compression", source: source.into() }
}

pub(crate) struct Compressed {
    inner: Box<dyn Encoder>,
    plain: Vec<u8>,
    /// `None` once finished.
    compressor: Option<Compressor>,
}

impl Compressed {
    /// The encoder itself, where nothing is to be compressed.
    pub(crate) fn around(
        inner: Box<dyn Encoder>,
        compression: Compression,
    ) -> Result<Box<dyn Encoder>, Error> {
        Ok(match Compressor::new(compression).map_err(failed)? {
            None => inner,
            compressor => Box::new(Self { inner, plain: Vec::new(), compressor }),
        })
    }

    fn compress(&mut self, upto: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(compressor) = &mut self.compressor else { return Err(failed(io::Error::other("finished"))) };
        for block in self.plain[..upto].chunks(BLOCK_BYTES) {
            compressor.write(block).map_err(failed)?;
        }
        self.plain.drain(..upto);
        out.append(compressor.done());
        Ok(())
    }
}

impl Encoder for Compressed {
    fn append(&mut self, batch: &Batch, rows: Range<usize>, out: &mut Vec<u8>) -> Result<Rejects, Error> {
        let rejects = self.inner.append(batch, rows, &mut self.plain)?;
        let whole = self.plain.len() / BLOCK_BYTES * BLOCK_BYTES;
        if whole > 0 {
            self.compress(whole, out)?;
        }
        Ok(rejects)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.inner.finish(&mut self.plain)?;
        self.compress(self.plain.len(), out)?;
        let Some(compressor) = mem::take(&mut self.compressor) else { return Ok(()) };
        out.append(&mut compressor.finish().map_err(failed)?);
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        self.inner.held_bytes() + self.plain.len()
    }
}
