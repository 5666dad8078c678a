//! What is not in memory any more.

use std::{fs::File, io::ErrorKind, path::Path};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::{
    super::{
        files::{self, Wait},
        index::{Index, OffsetEntry, TimeEntry},
    },
    ALL, LogOptions, ReadLimit, World, append, batch, wait,
};

/// From now on it lies on the disk alone. Not every file system forgets what it is told to.
fn forget(path: &Path) -> File {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    file
}

#[test]
fn what_is_brought_is_there_for_a_read_that_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cold");
    let bytes: Vec<u8> = (0..3_u32 << 20).map(|at| (at >> 12) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let file = forget(&path);
    // Not from its beginning, and over its end.
    files::bring(&file, 5_000, bytes.len() as u64).unwrap();
    let read = files::read_at(&file, 5_000, bytes.len() - 5_000, Wait::No).unwrap();
    assert_eq!(read, bytes[5_000..]);
}

#[test]
fn an_index_that_lies_on_the_disk_alone_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut index = Index::at(path.clone(), folder.path().join("timeindex")).unwrap();
    for batch in 1..5_000 {
        let entry = OffsetEntry { offset: batch * 10 + 9, position: batch * 4_096 };
        index.push(entry, TimeEntry { time_ms: i64::from(batch), offset: entry.offset }).unwrap();
    }
    index.flush().unwrap();
    forget(&path);
    match index.position_before(30_000, Wait::No) {
        Ok(position) => assert_eq!(position, 2_999 * 4_096),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
    assert_eq!(index.position_before(30_000, Wait::ForDisk).unwrap(), 2_999 * 4_096);
    assert_eq!(index.position_before(30_000, Wait::No).unwrap(), 2_999 * 4_096, "now it is in memory");
}

#[test]
fn who_goes_on_is_shown_what_has_to_be_brought_first() {
    let world = World::new();
    let logs = world.start();
    let log = logs.log("t", 0, LogOptions::default()).unwrap();
    for number in 10..40 {
        append(&log, batch(&[&number.to_string().repeat(50_000)])).unwrap();
    }
    let limit = ReadLimit { bytes_max: 1 << 20, ..ALL };
    let stopped = wait(log.read(0, limit)).unwrap().next_offset;
    forget(&world.path(&world.files(".log")[0]));
    let found = wait(log.locate(stopped, limit)).unwrap();
    let read = wait(log.read(stopped, limit)).unwrap();
    assert_eq!((found.next_offset, found.slice.read().unwrap()), (read.next_offset, read.records));
    assert_eq!((stopped, found.next_offset), (10, 20));
}
