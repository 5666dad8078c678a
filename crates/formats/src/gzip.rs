//! Gzip around another encoder: no time and no name in the header, and fed in blocks of one size, so that the same
//! records give the same bytes.

use std::{io::Write, mem, ops::Range};

use base::{Batch, Rejects};
use flate2::{Compression as Level, GzBuilder, write::GzEncoder};

use crate::{Encoder, Error};

/// The compressor sees blocks of exactly this size, whatever the batches were.
const BLOCK_BYTES: usize = 64 << 10;

pub(crate) struct Gzip {
    inner: Box<dyn Encoder>,
    plain: Vec<u8>,
    /// `None` once finished.
    compressor: Option<GzEncoder<Vec<u8>>>,
}

impl Gzip {
    pub(crate) fn new(inner: Box<dyn Encoder>, level: i32) -> Self {
        let level = u32::try_from(level).map_or_else(|_| Level::default(), |level| Level::new(level.min(9)));
        // 255 in the header's OS field is "unknown": the same on every system.
        let compressor = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), level);
        Self { inner, plain: Vec::new(), compressor: Some(compressor) }
    }

    fn compress(&mut self, upto: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let failed = |source: std::io::Error| Error::Encoder { format: "gzip", source: source.into() };
        let Some(compressor) = &mut self.compressor else {
            return Err(failed(std::io::Error::other("finished")));
        };
        for block in self.plain[..upto].chunks(BLOCK_BYTES) {
            compressor.write_all(block).map_err(failed)?;
        }
        self.plain.drain(..upto);
        out.append(compressor.get_mut());
        Ok(())
    }
}

impl Encoder for Gzip {
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
        let rest =
            compressor.finish().map_err(|source| Error::Encoder { format: "gzip", source: source.into() })?;
        out.extend_from_slice(&rest);
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        self.inner.held_bytes() + self.plain.len()
    }
}
