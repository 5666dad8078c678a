//! Gzip of bytes that lie together, by libdeflate: each piece is a member of its own, and readers join the members of a file. It takes
//! half of the time of a stream, which has to keep what it saw. Not here: streams that are one member (`compress`).

use std::cell::Cell;

use libdeflater::{CompressionLvl, Compressor};

use crate::Error;

/// Bytes of a piece: larger ones come out hardly smaller, and do not lie in a processor's cache.
pub const GZIP_MEMBER_BYTES: usize = 64 << 10;

thread_local! {
    /// The last one of this thread, with its level: some hundred KiB that need not be made for each member.
    static COMPRESSOR: Cell<Option<(i32, Compressor)>> = const { Cell::new(None) };
}

/// Appends `plain` as members of at most [`GZIP_MEMBER_BYTES`]; of nothing there is one, which is empty. `level` is 0-9, or -1 for
/// the usual one. The header has neither time nor name, so the same bytes give the same bytes.
///
/// # Errors
/// `Encoder`.
pub fn gzip_members(plain: &[u8], level: i32, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut compressor = match COMPRESSOR.take() {
        Some((of, compressor)) if of == level => compressor,
        _ => Compressor::new(CompressionLvl::new(level.min(9)).unwrap_or_default()),
    };
    let packed = match plain {
        [] => gzip_member(&mut compressor, plain, out),
        _ => plain.chunks(GZIP_MEMBER_BYTES).try_for_each(|piece| gzip_member(&mut compressor, piece, out)),
    };
    COMPRESSOR.set(Some((level, compressor)));
    packed
}

fn gzip_member(compressor: &mut Compressor, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    out.resize(start + compressor.gzip_compress_bound(piece.len()), 0);
    let packed = compressor.gzip_compress(piece, &mut out[start..]);
    let bytes = packed.map_err(|source| Error::Encoder { format: "gzip", source: source.into() })?;
    out.truncate(start + bytes);
    Ok(())
}

#[cfg(test)]
mod tests;
