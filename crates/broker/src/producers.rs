//! Ids for idempotent producers: each is given once, also over restarts. Blocks of ids are reserved on the disk, so that
//! most producers wait for no disk; a crash loses the rest of a block, nothing else.

use std::{fs, io, path::PathBuf};

use parking_lot::Mutex;

use crate::{errors::Error, topics::catalog::replace};

/// Kafka's `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`.
const BLOCK_COUNT: i64 = 1_000;
const FILE_NAME: &str = "producer-ids";

pub struct ProducerIds {
    path: PathBuf,
    block: Mutex<Block>,
}

struct Block {
    next: i64,
    end: i64,
}

impl ProducerIds {
    /// Reads where the last block ended. Blocks on the disk.
    pub fn open(data_dir: &std::path::Path) -> Result<ProducerIds, Error> {
        let path = data_dir.join(FILE_NAME);
        let end = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| Error::Unreadable {
                path: path.clone(),
                reason: "it should hold one number, the first producer id not yet given".to_owned(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(source) => return Err(Error::Disk { action: "read", path, source }),
        };
        Ok(ProducerIds { path, block: Mutex::new(Block { next: end, end }) })
    }

    /// An id nobody had before. Blocks on the disk once in a thousand.
    pub fn next(&self) -> Result<i64, Error> {
        let mut block = self.block.lock();
        if block.next == block.end {
            let end = block.end + BLOCK_COUNT;
            let disk = |source| Error::Disk { action: "write", path: self.path.clone(), source };
            replace(&self.path, end.to_string().as_bytes()).map_err(disk)?;
            block.end = end;
        }
        block.next += 1;
        Ok(block.next - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_comes_twice_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let first = ProducerIds::open(folder.path()).unwrap();
        assert_eq!([first.next().unwrap(), first.next().unwrap()], [0, 1]);
        let second = ProducerIds::open(folder.path()).unwrap();
        assert_eq!(second.next().unwrap(), 1_000);
    }
}
