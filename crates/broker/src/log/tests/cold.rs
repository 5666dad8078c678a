//! What is not in memory any more.

use std::fs::File;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::super::files::{self, Wait};

#[test]
fn what_is_brought_is_there_for_a_read_that_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cold");
    let bytes: Vec<u8> = (0..3_u32 << 20).map(|at| (at >> 12) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let file = File::open(&path).unwrap();
    file.sync_all().unwrap();
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    // Not from its beginning, and over its end.
    files::bring(&file, 5_000, bytes.len() as u64);
    let read = files::read_at(&file, 5_000, bytes.len() - 5_000, Wait::No).unwrap();
    assert_eq!(read, bytes[5_000..]);
}
