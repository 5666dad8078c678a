//! An input as a stream of plain bytes: opened, unpacked, and brought to UTF-8.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom},
    sync::Arc,
};

use encoding_rs::{Decoder, DecoderResult, Encoding};
use parking_lot::Mutex;

use super::{
    Error, Packing,
    input::{Input, Kind},
    remote::Remote,
};

pub(super) type Stream = Box<dyn Read + Send>;

/// Bytes of standard input that may be looked at before it is read.
const LOOK_BYTES_MAX: usize = 16 << 20;
const READ_BYTES: usize = 256 << 10;

/// Standard input: what was looked at is kept, and read again.
#[derive(Debug, Clone, Default)]
pub(super) struct Stdin(Arc<Mutex<Tape>>);

#[derive(Debug, Default)]
struct Tape {
    bytes: Vec<u8>,
    is_end: bool,
    is_gone: bool,
}

impl Stdin {
    /// From the start, without taking anything away; ends where too much would have to be kept.
    pub(super) fn look(&self) -> impl Read + Send + use<> {
        Looking { stdin: self.clone(), at: 0 }
    }

    /// All of it, once.
    pub(super) fn take(&self) -> io::Result<impl Read + Send + use<>> {
        let mut tape = self.0.lock();
        if std::mem::replace(&mut tape.is_gone, true) {
            return Err(io::Error::other("standard input can be read only once"));
        }
        Ok(Cursor::new(std::mem::take(&mut tape.bytes)).chain(io::stdin()))
    }
}

struct Looking {
    stdin: Stdin,
    at: usize,
}

impl Read for Looking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut tape = self.stdin.0.lock();
        if tape.is_gone {
            return Err(io::Error::other("standard input can be read only once"));
        }
        if self.at == tape.bytes.len() && !tape.is_end && self.at < LOOK_BYTES_MAX {
            let mut more = vec![0; READ_BYTES];
            let count = io::stdin().read(&mut more)?;
            tape.is_end = count == 0;
            tape.bytes.extend_from_slice(&more[..count]);
        }
        let count = buffer.len().min(tape.bytes.len() - self.at);
        buffer[..count].copy_from_slice(&tape.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Its bytes as they are. `is_look`: it will be read again.
pub(super) fn raw(input: &Input, stdin: &Stdin, is_look: bool) -> Result<Stream, Error> {
    let open = |source| Error::Open { path: input.name.clone(), source };
    Ok(match &input.kind {
        Kind::File(path) => {
            let file = File::open(path).map_err(open)?;
            if file.metadata().map_err(open)?.is_dir() {
                return Err(open(io::ErrorKind::IsADirectory.into()));
            }
            Box::new(file)
        }
        Kind::Stdin if is_look => Box::new(stdin.look()),
        Kind::Stdin => Box::new(stdin.take().map_err(open)?),
        Kind::Object { .. } | Kind::Web(_) => {
            Box::new(Remote::new(input.name.clone(), input.kind.clone())?.stream(0))
        }
    })
}

pub(super) fn unpacked(raw: Stream, packing: Option<Packing>) -> io::Result<Stream> {
    Ok(match packing {
        None => raw,
        Some(Packing::Gzip) => {
            Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, raw)))
        }
        Some(Packing::Zstd) => Box::new(zstd::stream::read::Decoder::new(raw)?),
        Some(Packing::Bzip2) => {
            Box::new(bzip2::read::MultiBzDecoder::new(BufReader::with_capacity(READ_BYTES, raw)))
        }
        Some(Packing::Snappy) => Box::new(snap::read::FrameDecoder::new(raw)),
    })
}

/// As a file that can be read from its end: the file itself, or a copy that goes with us.
pub(super) fn seekable(
    input: &Input,
    packing: Option<Packing>,
    stdin: &Stdin,
    is_look: bool,
) -> Result<File, Error> {
    let open = |source| Error::Open { path: input.name.clone(), source };
    if let (Kind::File(path), None) = (&input.kind, packing) {
        return File::open(path).map_err(open);
    }
    let copy = || {
        let mut stream = unpacked(raw(input, stdin, is_look).map_err(io::Error::other)?, packing)?;
        let mut file = tempfile::tempfile()?;
        io::copy(&mut stream, &mut file)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    };
    copy().map_err(|source: io::Error| Error::Read { path: input.name.clone(), line: 1, source })
}

/// The encoding that a byte order mark names, and its length.
pub(super) fn marked(head: &[u8]) -> Option<(&'static Encoding, usize)> {
    Encoding::for_bom(head)
}

/// Texts of another encoding as UTF-8. What cannot be read is an error, and no question mark.
pub(super) struct Utf8 {
    stream: Stream,
    decoder: Decoder,
    encoding: &'static Encoding,
    read: Vec<u8>,
    at: usize,
    is_end: bool,
    /// Decoded and not yet given: `text[given..]`.
    text: Vec<u8>,
    given: usize,
    then: Then,
}

/// What follows the decoded text.
#[derive(PartialEq, Eq)]
enum Then {
    More,
    Flaw,
    End,
}

impl Utf8 {
    pub(super) fn new(stream: Stream, encoding: &'static Encoding) -> Self {
        Self {
            stream,
            decoder: encoding.new_decoder_without_bom_handling(),
            encoding,
            read: Vec::new(),
            at: 0,
            is_end: false,
            text: Vec::new(),
            given: 0,
            then: Then::More,
        }
    }

    fn decode(&mut self) -> io::Result<()> {
        if self.at == self.read.len() && !self.is_end {
            self.read.resize(READ_BYTES, 0);
            self.at = 0;
            let count = self.stream.read(&mut self.read);
            self.read.truncate(*count.as_ref().unwrap_or(&0));
            self.is_end = count? == 0;
        }
        self.given = 0;
        self.text.resize(READ_BYTES, 0);
        let bytes = &self.read[self.at..];
        let (result, taken, written) =
            self.decoder.decode_to_utf8_without_replacement(bytes, &mut self.text, self.is_end);
        self.at += taken;
        self.text.truncate(written);
        self.then = match result {
            // What was good before it is given first, so that its line is known.
            DecoderResult::Malformed(..) => Then::Flaw,
            DecoderResult::InputEmpty if self.is_end => Then::End,
            DecoderResult::InputEmpty | DecoderResult::OutputFull => Then::More,
        };
        Ok(())
    }
}

impl Read for Utf8 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            match self.then {
                Then::More => self.decode()?,
                Then::End => return Ok(0),
                Then::Flaw => {
                    let text = format!("a text is not written in {}", self.encoding.name());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
        let count = buffer.len().min(self.text.len() - self.given);
        buffer[..count].copy_from_slice(&self.text[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}
