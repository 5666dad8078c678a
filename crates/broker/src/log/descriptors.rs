//! The descriptors of segments' files: opened when they are first needed, so many at once and no more. The one that nobody
//! used for longest gives way (by second chance), and is opened again when it is asked for.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, ErrorKind},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

/// A file that may be open.
#[derive(Default)]
pub(crate) struct Slot {
    file: Mutex<Option<Arc<File>>>,
    used: AtomicBool,
    /// Its files may be gone, or be another segment's by now: nothing is opened any more.
    retired: AtomicBool,
}

pub(crate) struct Descriptors {
    count_max: usize,
    /// What was opened, the oldest first; some of it may be closed since.
    open: Mutex<VecDeque<Weak<Slot>>>,
}

impl Descriptors {
    pub(crate) fn new(count_max: usize) -> Arc<Self> {
        Arc::new(Self { count_max: count_max.max(1), open: Mutex::default() })
    }

    /// The open file. `NotFound` once the slot is retired.
    pub(crate) fn get(
        &self,
        slot: &Arc<Slot>,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        slot.used.store(true, Ordering::Relaxed);
        let mut held = slot.file.lock();
        if let Some(file) = &*held {
            return Ok(file.clone());
        }
        let file = Arc::new(open()?);
        // Looked at after opening: a segment is retired before another file takes its name.
        if slot.retired.load(Ordering::SeqCst) {
            return Err(ErrorKind::NotFound.into());
        }
        *held = Some(file.clone());
        drop(held);
        self.make_room_for(slot);
        Ok(file)
    }

    fn make_room_for(&self, slot: &Arc<Slot>) {
        let mut open = self.open.lock();
        open.push_back(Arc::downgrade(slot));
        let mut looks_left = 2 * open.len(); // the first may only take the marks away
        while open.len() > self.count_max && looks_left > 0 {
            looks_left -= 1;
            let Some(first) = open.pop_front() else { return };
            let Some(slot) = first.upgrade() else { continue };
            let Some(mut held) = slot.file.try_lock() else {
                open.push_back(first);
                continue;
            };
            if held.is_some() && slot.used.swap(false, Ordering::Relaxed) {
                open.push_back(first);
            } else {
                *held = None;
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn open_count(&self) -> usize {
        let open = self.open.lock();
        open.iter().filter_map(Weak::upgrade).filter(|slot| slot.file.lock().is_some()).count()
    }
}

impl Slot {
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    /// Closes the file if nobody asked for it since the last call. Says whether nobody did.
    pub(crate) fn close_if_idle(&self) -> bool {
        let is_idle = !self.used.swap(false, Ordering::Relaxed);
        if is_idle {
            *self.file.lock() = None;
        }
        is_idle
    }
}
