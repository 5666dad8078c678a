//! The few ways in which logs touch the disk, and the names of their files.
//!
//! A folder `<topic>-<partition>` has, for each segment, `<base offset>.log`, `.index` and `.timeindex` (and `.txnindex`); for producers
//! `<offset>.snapshot`; and small text files with one number each (`start-offset`, `recovery-point`, `cleaned-to`).
//!
//! All that changes the disk goes through here, so that tests can stand in between (`tests/layer.rs`): a disk that is full,
//! that fails, or whose machine loses its power.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, IoSlice, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use bytes::BytesMut;

use super::errors::{LogError, SYNC};
#[cfg(test)]
use super::tests::layer;

pub(crate) const LOG: &str = "log";
pub(crate) const INDEX: &str = "index";
pub(crate) const TIME_INDEX: &str = "timeindex";
/// Aborted transactions; only where there are some.
pub(crate) const TXN_INDEX: &str = "txnindex";
pub(crate) const SNAPSHOT: &str = "snapshot";
/// A rewritten segment that is not finished, and one that is but does not stand in its place yet.
pub(crate) const CLEANED: &str = "cleaned";
pub(crate) const SWAP: &str = "swap";
/// A folder whose topic is deleted.
pub(crate) const DELETED: &str = ".deleted";

/// What a user may give a pipe (Linux's `pipe-max-size`, unless somebody has changed it), and what it has by itself.
#[cfg(target_os = "linux")]
const PIPE_BYTES: i32 = 1 << 20;
#[cfg(target_os = "linux")]
const PIPE_BYTES_MIN: i32 = 64 << 10;
/// What a kernel takes in one `writev` (Linux's `UIO_MAXIOV`).
const SLICES_MAX: usize = 1_024;

/// Whether a read may wait for the disk, or gives `WouldBlock` instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    ForDisk,
    No,
}

pub(crate) fn offset_path(dir: &Path, offset: i64, kind: &str) -> PathBuf {
    dir.join(format!("{offset:020}.{kind}"))
}

/// The offset that a file's name begins with, and what follows its dot.
pub(crate) fn parse_name(name: &str) -> Option<(i64, &str)> {
    let (digits, kind) = name.split_once('.')?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, kind))
}

/// Reads exactly `bytes` bytes at `position`, into memory that is not zeroed first.
pub(crate) fn read_at(file: &File, position: u64, bytes: usize, wait: Wait) -> io::Result<BytesMut> {
    let mut buffer = BytesMut::with_capacity(bytes);
    while buffer.len() < bytes {
        let missing = bytes - buffer.len();
        match read_some(file, position + buffer.len() as u64, &mut buffer, missing, wait) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file is shorter than it was")),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "std has neither a read into spare capacity nor RWF_NOWAIT")]
fn read_some(
    file: &File,
    position: u64,
    buffer: &mut BytesMut,
    missing: usize,
    wait: Wait,
) -> io::Result<usize> {
    let spare = &mut buffer.spare_capacity_mut()[..missing];
    let slice = libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: spare.len() };
    let flags = match wait {
        Wait::ForDisk => 0,
        Wait::No => libc::RWF_NOWAIT,
    };
    let position = libc::off64_t::try_from(position).map_err(io::Error::other)?;
    // SAFETY: `slice` is the one element of the vector and points to `missing` writable bytes that outlive the call.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const slice, 1, position, flags) };
    let Ok(read) = usize::try_from(read) else {
        let error = io::Error::last_os_error();
        let refused = matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL));
        let error = if wait == Wait::No && refused { ErrorKind::WouldBlock.into() } else { error };
        return Err(error);
    };
    // SAFETY: the kernel has filled `read` bytes behind the buffer's length, within its capacity.
    unsafe { buffer.set_len(buffer.len() + read) };
    Ok(read)
}

#[cfg(not(target_os = "linux"))]
fn read_some(
    file: &File,
    position: u64,
    buffer: &mut BytesMut,
    missing: usize,
    wait: Wait,
) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    if wait == Wait::No {
        return Err(ErrorKind::WouldBlock.into());
    }
    let start = buffer.len();
    buffer.resize(start + missing, 0);
    let read = file.read_at(&mut buffer[start..], position);
    buffer.truncate(start + *read.as_ref().unwrap_or(&0));
    read
}

/// Brings these bytes into the page cache, and waits for the disk. A pipe takes them, as it would for a reader that goes on and on, and
/// they are sent nowhere: nothing is copied, the kernel reads ahead in large pages, and it asks the disk for as much at once as the pipe
/// has room for. Told by `posix_fadvise` it reads page by page, and `sendfile` has a pipe of 64 KiB. After an error a part may be there.
#[cfg(target_os = "linux")]
pub(crate) fn bring(file: &File, position: u64, mut bytes: u64) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};

    static NOWHERE: OnceLock<Option<File>> = OnceLock::new();
    let nowhere = NOWHERE.get_or_init(|| OpenOptions::new().write(true).open("/dev/null").ok());
    let nowhere = nowhere.as_ref().ok_or(ErrorKind::NotFound)?;
    let mut position = i64::try_from(position).map_err(io::Error::other)?;
    let (end, beginning) = io::pipe()?;
    // A user has room for so many bytes in pipes; behind that they stay small.
    let room = fcntl(&beginning, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)).unwrap_or(PIPE_BYTES_MIN);
    let room = u64::from(room.unsigned_abs());
    while bytes > 0 {
        let want = bytes.min(room) as usize;
        let mut inside = splice(file, Some(&mut position), &beginning, None, want, SpliceFFlags::empty())?;
        if inside == 0 {
            break; // the file's end
        }
        bytes = bytes.saturating_sub(inside as u64);
        while inside > 0 {
            inside -= splice(&end, None, nowhere, None, inside, SpliceFFlags::empty())?;
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn bring(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// A change of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    MakeDir,
    Create,
    Write,
    Cut,
    Sync,
    SyncDir,
    Rename,
    Remove,
}

/// Nothing stands between a log and its disk but in tests.
#[cfg(not(test))]
mod layer {
    use super::{Act, Path, PathBuf, io};

    pub(super) fn before(_: Act, _: impl Fn() -> PathBuf) -> io::Result<()> {
        Ok(())
    }
    pub(super) fn after(_: Act, _: impl Fn() -> PathBuf) {}
    pub(super) fn renamed(_: &Path, _: &Path) {}
    pub(super) fn is_real(_: impl Fn() -> PathBuf) -> bool {
        true
    }
    pub(super) fn room(_: impl Fn() -> PathBuf, bytes: usize) -> usize {
        bytes
    }
}

fn done<T>(act: Act, path: &Path, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    layer::before(act, || path.to_owned())?;
    let made = change()?;
    layer::after(act, || path.to_owned());
    Ok(made)
}

/// Writes all slices at the file's end (it is open for appending) with as few calls as the kernel allows. If it fails, a
/// part of them may be in the file.
pub(crate) fn append_all(
    mut file: &File,
    slices: &mut [IoSlice<'_>],
    path: impl Fn() -> PathBuf,
) -> io::Result<()> {
    layer::before(Act::Write, &path)?;
    let bytes = slices.iter().map(|slice| slice.len()).sum();
    let room = layer::room(&path, bytes);
    if room < bytes {
        let whole: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(room).collect();
        file.write_all(&whole)?;
        return Err(ErrorKind::StorageFull.into());
    }
    let mut rest = slices;
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        let count = rest.len().min(SLICES_MAX);
        match file.write_vectored(&rest[..count]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    layer::after(Act::Write, &path);
    Ok(())
}

pub(crate) fn append(file: &File, bytes: &[u8], path: &Path) -> io::Result<()> {
    append_all(file, &mut [IoSlice::new(bytes)], || path.to_owned())
}

/// Opens for reading and appending; makes the file if it is missing and may be made.
pub(crate) fn open_append(path: &Path, create: bool) -> io::Result<File> {
    let open = |create| OpenOptions::new().read(true).append(true).create(create).open(path);
    match open(false) {
        Err(error) if error.kind() == ErrorKind::NotFound && create => done(Act::Create, path, || open(true)),
        opened => opened,
    }
}

/// A new file, or an old one emptied.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    done(Act::Create, path, || File::create(path))
}

/// Cuts the file off after so many bytes.
pub(crate) fn cut(file: &File, bytes: u64, path: &Path) -> io::Result<()> {
    done(Act::Cut, path, || file.set_len(bytes))
}

/// What was written is on the disk when it returns.
pub(crate) fn sync(file: &File, path: impl Fn() -> PathBuf) -> io::Result<()> {
    layer::before(Act::Sync, &path)?;
    if layer::is_real(&path) {
        file.sync_data()?;
    }
    layer::after(Act::Sync, &path);
    Ok(())
}

pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    match path.is_dir() {
        true => Ok(()),
        false => done(Act::MakeDir, path, || fs::create_dir_all(path)),
    }
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    layer::before(Act::Rename, || to.to_owned())?;
    fs::rename(from, to)?;
    layer::renamed(from, to);
    Ok(())
}

/// Puts `bytes` under `path` so that a crash leaves the old file or the new one; with `sync` it is the new one once this
/// returns.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], sync_it: bool) -> Result<(), LogError> {
    let unfinished = path.with_extension("tmp");
    let written = (|| {
        let file = create(&unfinished)?;
        append(&file, bytes, &unfinished)?;
        if sync_it {
            sync(&file, || unfinished.clone())?;
        }
        rename(&unfinished, path)
    })();
    if let Err(error) = written {
        remove(&unfinished).ok(); // it may be what fills the disk
        return Err(LogError::disk("write", path, error));
    }
    match path.parent() {
        Some(dir) if sync_it => sync_dir(dir),
        _ => Ok(()),
    }
}

/// The number in a small text file; `None` where it is missing or is none, as after a power cut.
pub(crate) fn read_number(path: &Path) -> Option<i64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Makes created, renamed and removed names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), LogError> {
    let synced = done(Act::SyncDir, dir, || match layer::is_real(|| dir.to_owned()) {
        true => File::open(dir).and_then(|dir| dir.sync_all()),
        false => Ok(()),
    });
    synced.map_err(|error| LogError::disk(SYNC, dir, error))
}

/// Removes a file; one that is gone already is no error.
pub(crate) fn remove(path: &Path) -> Result<(), LogError> {
    match done(Act::Remove, path, || fs::remove_file(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(LogError::disk("remove", path, error)),
        _ => Ok(()),
    }
}

/// Differs after each start of the machine; `None` where the system does not say.
pub(crate) fn boot_id() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}
