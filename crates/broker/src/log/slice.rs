//! A part of a segment's file that the kernel hands to a socket itself: records that do not pass through our memory.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::fd::AsFd,
    sync::Arc,
};

use bytes::Bytes;

use super::files::{self, Wait};

/// Whole record batches in a file. What is visible of a segment never changes, and an open file outlives its name, so this
/// stays what it was whatever retention and compaction do.
#[derive(Debug, Clone)]
pub struct Slice {
    file: Arc<File>,
    position: u64,
    bytes: usize,
}

impl Slice {
    pub(crate) fn new(file: Arc<File>, position: u64, bytes: usize) -> Self {
        Self { file, position, bytes }
    }

    pub fn len(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Gives the socket as much as it takes, and forgets that. `WouldBlock`: it takes nothing now.
    #[cfg(target_os = "linux")]
    pub fn send(&mut self, socket: impl AsFd) -> io::Result<()> {
        let mut position = i64::try_from(self.position).map_err(io::Error::other)?;
        let sent = nix::sys::sendfile::sendfile64(socket, &*self.file, Some(&mut position), self.bytes)?;
        if sent == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file is shorter than it was"));
        }
        self.position += sent as u64;
        self.bytes -= sent;
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    pub fn send(&mut self, _: impl AsFd) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    /// All of it, which waits for the disk.
    pub fn read(&self) -> io::Result<Bytes> {
        files::read_at(&self.file, self.position, self.bytes, Wait::ForDisk).map(Into::into)
    }
}
