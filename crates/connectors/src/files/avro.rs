//! Avro's object container files: blocks of records, read one at a time; a position counts records, and what lies before it is
//! passed by the blocks' own counts. They become columns where those are wanted, and values else.
//!
//! Source: Avro 1.12 specification, "Object Container Files". Sizes from the file are checked before use.

mod columns;

use std::{
    collections::HashMap,
    io::{self, BufReader, Read as _},
    sync::Arc,
};

use arrow_schema::SchemaRef;
use base::{Body, Lease, Read, Value};
use columns::Columns;
use contracts::avro::Decoder;

use super::{Error, rows::Rows, stream::Stream};

const MAGIC: &[u8; 4] = b"Obj\x01";
/// Far beyond what writers make of a block (16 KiB to 4 MiB), packed and unpacked.
const BLOCK_BYTES_MAX: u64 = 256 << 20;
/// The schema and what else stands at the head.
const HEAD_BYTES_MAX: u64 = 16 << 20;
const READ_BYTES: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstd,
    Bzip2,
}

pub(super) struct AvroReader {
    stream: BufReader<Stream>,
    decoder: Decoder,
    codec: Codec,
    sync: [u8; 16],
    rows: Rows,
    /// The block that is read: its bytes, how far, and the records left.
    block: Vec<u8>,
    at: usize,
    block_left: u64,
    packed: Vec<u8>,
    /// What records are to be read as; `None`: values.
    pub(super) columns: Option<SchemaRef>,
}

/// Records that were read.
enum Made {
    Rows(Vec<Value>),
    Columns(Columns),
}

impl AvroReader {
    pub(super) fn open(stream: Stream, rows: Rows) -> Result<Self, Error> {
        let mut stream = BufReader::with_capacity(READ_BYTES, stream);
        let head = head(&mut stream, &rows.path)?;
        let text = head.meta.get("avro.schema").map(Vec::as_slice).unwrap_or_default();
        let refuse =
            |reason: String| Error::Broken { path: rows.path.clone(), record: 1, format: "Avro", reason };
        let text =
            std::str::from_utf8(text).map_err(|error| refuse(format!("its schema is no text: {error}")))?;
        let decoder =
            Decoder::of_file(&rows.path, text).map_err(|error| refuse(format!("its schema: {error}")))?;
        let codec = match head.meta.get("avro.codec").map(Vec::as_slice) {
            None | Some(b"null" | b"") => Codec::Null,
            Some(b"deflate") => Codec::Deflate,
            Some(b"snappy") => Codec::Snappy,
            Some(b"zstandard") => Codec::Zstd,
            Some(b"bzip2") => Codec::Bzip2,
            Some(other) => {
                return Err(refuse(format!("its codec {} is not known", String::from_utf8_lossy(other))));
            }
        };
        let (block, packed) = (Vec::new(), Vec::new());
        let (at, block_left, columns) = (0, 0, None);
        Ok(Self { stream, decoder, codec, sync: head.sync, rows, block, at, block_left, packed, columns })
    }

    /// What columns its records can be; `None`: they can only be values.
    pub(super) fn schema(&self) -> Option<SchemaRef> {
        columns::schema(self.decoder.step())
    }

    fn broken(&self, reason: impl Into<String>) -> Error {
        Error::Broken {
            path: self.rows.path.clone(),
            record: self.rows.number,
            format: "Avro",
            reason: reason.into(),
        }
    }

    fn cut_off(&self, source: io::Error) -> Error {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return self.broken("the file ends inside a block");
        }
        Error::broken(self.rows.path.clone(), 1, source, self.rows.is_remote)
    }

    /// The next block; `false`: there is none. Blocks before the position are passed as they are.
    fn next_block(&mut self) -> Result<bool, Error> {
        loop {
            let Some(count) = long(&mut self.stream, true).map_err(|error| self.cut_off(error))? else {
                return Ok(false);
            };
            let size = long(&mut self.stream, false).map_err(|error| self.cut_off(error))?.unwrap_or(0);
            let (Ok(count), Some(size)) =
                (u64::try_from(count), u64::try_from(size).ok().filter(|size| *size <= BLOCK_BYTES_MAX))
            else {
                return Err(self.broken(format!("a block of {count} records in {size} bytes")));
            };
            let is_passed = self.rows.number + count <= self.rows.from && self.rows.left_count >= count;
            self.packed.clear();
            let mut taken = (&mut self.stream).take(size);
            let read = match is_passed {
                true => io::copy(&mut taken, &mut io::sink()).map(|count| count as usize),
                false => taken.read_to_end(&mut self.packed),
            };
            let read = read.map_err(|error| self.cut_off(error))?;
            let mut sync = [0; 16];
            if read as u64 == size {
                self.stream.read_exact(&mut sync).map_err(|error| self.cut_off(error))?;
            }
            if sync != self.sync {
                return Err(
                    self.broken("the file ends inside a block, or the block does not end where it says")
                );
            }
            if is_passed {
                self.rows.number += count;
                self.rows.left_count -= count;
                continue;
            }
            self.unpack()?;
            if count > self.block.len() as u64 + EMPTY_RECORDS_COUNT_MAX {
                return Err(self.broken(format!("a block of {count} records in {} bytes", self.block.len())));
            }
            (self.at, self.block_left) = (0, count);
            if count > 0 {
                return Ok(true);
            }
        }
    }

    fn unpack(&mut self) -> Result<(), Error> {
        self.block.clear();
        let packed = &self.packed[..];
        let limited = |reader: &mut dyn io::Read, block: &mut Vec<u8>| {
            reader.take(BLOCK_BYTES_MAX + 1).read_to_end(block).map(|_| ())
        };
        let done = match self.codec {
            Codec::Null => {
                std::mem::swap(&mut self.block, &mut self.packed);
                return Ok(());
            }
            Codec::Deflate => limited(&mut flate2::read::DeflateDecoder::new(packed), &mut self.block),
            Codec::Zstd => zstd::stream::read::Decoder::new(packed)
                .and_then(|mut decoder| limited(&mut decoder, &mut self.block)),
            Codec::Bzip2 => limited(&mut bzip2::read::MultiBzDecoder::new(packed), &mut self.block),
            Codec::Snappy => unsnap(packed, &mut self.block),
        };
        done.map_err(|error| self.broken(format!("a block cannot be unpacked: {error}")))?;
        if self.block.len() as u64 > BLOCK_BYTES_MAX {
            return Err(self.broken(format!("a block unpacks to more than {BLOCK_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    pub(super) fn read(
        &mut self,
        bytes_max: usize,
        records_max: usize,
        lease: &Arc<Lease>,
    ) -> Result<Read, Error> {
        let mut made = match &self.columns {
            Some(schema) => Made::Columns(Columns::new(schema)),
            None => Made::Rows(Vec::new()),
        };
        let mut bytes = 0;
        while made.len() < records_max && bytes < bytes_max && self.rows.left_count > 0 {
            if self.block_left == 0 && !self.next_block()? {
                break;
            }
            let mut rest = &self.block[self.at..];
            let before = rest.len();
            let is_kept = self.rows.number >= self.rows.from;
            let read = match &mut made {
                Made::Columns(columns) if is_kept => columns.read(self.decoder.step(), &mut rest),
                Made::Rows(values) if is_kept => {
                    self.decoder.decode_next(&mut rest).map(|value| values.push(value))
                }
                Made::Columns(_) | Made::Rows(_) => self.decoder.decode_next(&mut rest).map(drop),
            };
            read.map_err(|error| self.broken(error.to_string()))?;
            let used = before - rest.len();
            self.at += used;
            self.block_left -= 1;
            if self.block_left == 0 && self.at < self.block.len() {
                return Err(
                    self.broken(format!("{} bytes of a block are left over", self.block.len() - self.at))
                );
            }
            if self.rows.take() {
                bytes += used;
            }
        }
        let body = match made {
            Made::Rows(values) => Body::Rows(values.into()),
            Made::Columns(columns) => {
                let columns = columns.finish();
                Body::Columns(columns.map_err(|error| self.broken(error.to_string()))?)
            }
        };
        Ok(self.rows.batch(body, lease))
    }
}

impl Made {
    fn len(&self) -> usize {
        match self {
            Made::Rows(values) => values.len(),
            Made::Columns(columns) => columns.len(),
        }
    }
}

/// Records without a byte that one block may have.
const EMPTY_RECORDS_COUNT_MAX: u64 = 4_096;

/// Snappy's plain format, and the sum of what was packed, big-endian.
fn unsnap(packed: &[u8], block: &mut Vec<u8>) -> io::Result<()> {
    let (packed, sum) = packed.split_last_chunk::<4>().ok_or(io::ErrorKind::UnexpectedEof)?;
    let size = snap::raw::decompress_len(packed)?;
    if size as u64 > BLOCK_BYTES_MAX {
        return Err(io::Error::other(format!("it unpacks to {size} bytes")));
    }
    block.resize(size, 0);
    snap::raw::Decoder::new().decompress(packed, block)?;
    let mut crc = flate2::Crc::new();
    crc.update(block);
    if crc.sum() != u32::from_be_bytes(*sum) {
        return Err(io::Error::other("its checksum is another"));
    }
    Ok(())
}

struct Head {
    meta: HashMap<String, Vec<u8>>,
    sync: [u8; 16],
}

fn head(stream: &mut BufReader<Stream>, path: &Arc<str>) -> Result<Head, Error> {
    let mut limited = stream.take(HEAD_BYTES_MAX);
    let mut read = || {
        let mut magic = [0; 4];
        limited.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(io::Error::other("it is no Avro container file"));
        }
        let mut meta = HashMap::new();
        loop {
            let mut count = long(&mut limited, false)?.unwrap_or(0);
            if count == 0 {
                break;
            }
            if count < 0 {
                long(&mut limited, false)?;
                count = count.checked_neg().unwrap_or(0);
            }
            for _ in 0..count {
                let name = sized(&mut limited)?;
                meta.insert(String::from_utf8_lossy(&name).into_owned(), sized(&mut limited)?);
            }
        }
        let mut sync = [0; 16];
        limited.read_exact(&mut sync)?;
        Ok(Head { meta, sync })
    };
    read().map_err(|error| {
        let is_cut = error.kind() == io::ErrorKind::UnexpectedEof;
        let reason = if is_cut { "the file ends inside its head".to_owned() } else { error.to_string() };
        Error::Broken { path: path.clone(), record: 1, format: "Avro", reason }
    })
}

fn sized(stream: &mut impl io::Read) -> io::Result<Vec<u8>> {
    let length = long(stream, false)?.and_then(|length| u64::try_from(length).ok());
    let length = length.filter(|length| *length <= HEAD_BYTES_MAX).ok_or(io::ErrorKind::InvalidData)?;
    let mut bytes = Vec::new();
    if stream.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Zig-zag, seven bits a byte, lowest first; `None` at the end of the file, where it may be.
fn long(stream: &mut impl io::Read, may_end: bool) -> io::Result<Option<i64>> {
    let mut raw = 0u64;
    for index in 0..10 {
        let mut byte = [0];
        if index == 0 && may_end {
            if stream.read(&mut byte)? == 0 {
                return Ok(None);
            }
        } else {
            stream.read_exact(&mut byte)?;
        }
        raw |= u64::from(byte[0] & 0x7f) << (7 * index);
        if byte[0] & 0x80 == 0 {
            return Ok(Some((raw >> 1) as i64 ^ -((raw & 1) as i64)));
        }
    }
    Err(io::Error::other("a number of over ten bytes"))
}
