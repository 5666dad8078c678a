//! One environment a project folder. The lock is the operating system's, so it ends with its process, however that dies;
//! the file's content only tells who holds it.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Project};

/// Held as long as this value lives.
#[derive(Debug)]
pub struct ProjectLock {
    _file: File,
}

/// A look at the lock (`status`) holds it for microseconds; so long is waited for it.
const LOOKS_LAST: Duration = Duration::from_millis(200);

impl ProjectLock {
    /// Takes the lock. `since` is how the holder is to be introduced: `started 2026-01-02 03:04:05 UTC`.
    pub fn take(project: &Project, since: &str) -> Result<ProjectLock, Error> {
        project.state_folder()?;
        let path = path(project);
        let fault = |source| Error::State { path: path.clone(), source };
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fault)?;
        let deadline = Instant::now() + LOOKS_LAST;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(10))
                }
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    file.read_to_string(&mut holder).map_err(fault)?;
                    let holder = holder.lines().next().unwrap_or("").to_owned();
                    return Err(Error::Held { root: project.root.clone(), holder });
                }
                Err(TryLockError::Error(source)) => return Err(fault(source)),
            }
        }
        let content = format!("{}, {since}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(content.as_bytes()))
            .map_err(fault)?;
        Ok(ProjectLock { _file: file })
    }

    /// Whether a process holds it now.
    pub fn is_held(project: &Project) -> bool {
        let Ok(file) = File::open(path(project)) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// The process that holds it now.
    pub fn holder(project: &Project) -> Result<Option<u32>, Error> {
        if !Self::is_held(project) {
            return Ok(None);
        }
        let path = path(project);
        let text = fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
        Ok(text.split(',').next().and_then(|pid| pid.trim().parse().ok()))
    }
}

fn path(project: &Project) -> PathBuf {
    project.state_path("lock")
}
