//! What tests put between the logs and the disk: a disk that is full, refuses, or fails; and one whose machine loses its power
//! at any step, after which only what was synced is sure to be there.
//!
//! The files are real. Beside them the layer keeps what a power cut would leave: the bytes of each file at its last sync, and
//! the names of each folder at its last sync, with the changes since, of which any number of the first may have come to the
//! disk (file systems with a journal keep their order).

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, RwLock, Weak},
};

use parking_lot::Mutex;
use testkit::Seeded;

use crate::log::files::Act;

static LAYERS: RwLock<Vec<(PathBuf, Weak<Layer>)>> = RwLock::new(Vec::new());

pub(crate) struct Layer {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    room: Option<usize>,
    refused: Option<(Act, ErrorKind)>,
    acts_left: Option<u64>,
    is_off: bool,
    /// The file behind each name now.
    names: BTreeMap<PathBuf, usize>,
    files: Vec<Kept>,
    folders: BTreeMap<PathBuf, Folder>,
}

/// A file, whatever it is called.
#[derive(Default)]
struct Kept {
    synced: Vec<u8>,
    /// Of one that has no name any more.
    last: Option<Vec<u8>>,
}

#[derive(Default)]
struct Folder {
    synced: BTreeMap<String, Entry>,
    since: Vec<Change>,
}

#[derive(Clone, Copy)]
enum Entry {
    File(usize),
    Folder,
}

enum Change {
    Put(String, Entry),
    Gone(String),
    Renamed(String, String),
}

fn over(path: &Path) -> Option<Arc<Layer>> {
    let layers = LAYERS.read().unwrap();
    layers.iter().filter(|(root, _)| path.starts_with(root)).find_map(|(_, layer)| layer.upgrade())
}

pub(crate) fn before(act: Act, path: impl Fn() -> PathBuf) -> io::Result<()> {
    let path = path();
    over(&path).map_or(Ok(()), |layer| layer.before(act, &path))
}

pub(crate) fn after(act: Act, path: impl Fn() -> PathBuf) {
    let path = path();
    if let Some(layer) = over(&path) {
        layer.state.lock().after(act, &path);
    }
}

pub(crate) fn renamed(from: &Path, to: &Path) {
    if let Some(layer) = over(to) {
        layer.state.lock().renamed(from, to);
    }
}

/// Whether a sync is to reach the real disk: below a layer nothing is gained by it, and much time lost.
pub(crate) fn is_real(path: impl Fn() -> PathBuf) -> bool {
    over(&path()).is_none()
}

/// How many of so many bytes have room.
pub(crate) fn room(path: impl Fn() -> PathBuf, bytes: usize) -> usize {
    let Some(layer) = over(&path()) else { return bytes };
    let mut state = layer.state.lock();
    let Some(room) = &mut state.room else { return bytes };
    let given = bytes.min(*room);
    *room -= given;
    given
}

impl Layer {
    /// Over a folder, all of which is on the disk.
    pub(crate) fn over(root: &Path) -> Arc<Layer> {
        let mut state = State::default();
        state.scan(root);
        let layer = Arc::new(Layer { root: root.to_owned(), state: Mutex::new(state) });
        let mut layers = LAYERS.write().unwrap();
        layers.retain(|(_, layer)| layer.strong_count() > 0);
        layers.push((root.to_owned(), Arc::downgrade(&layer)));
        layer
    }

    /// Only so many bytes can be written from now on; `None`: as many as one likes.
    pub(crate) fn set_room(&self, bytes: Option<usize>) {
        self.state.lock().room = bytes;
    }

    /// Acts of this kind fail.
    pub(crate) fn refuse(&self, refused: Option<(Act, ErrorKind)>) {
        self.state.lock().refused = refused;
    }

    /// The power goes at the act after so many.
    pub(crate) fn power_for(&self, acts: u64) {
        self.state.lock().acts_left = Some(acts);
    }

    pub(crate) fn is_off(&self) -> bool {
        self.state.lock().is_off
    }

    fn before(&self, act: Act, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if let Some(left) = &mut state.acts_left {
            *left = left.saturating_sub(1);
            state.is_off |= *left == 0;
        }
        if state.is_off {
            return Err(io::Error::other("there is no power"));
        }
        match state.refused {
            Some((refused, kind)) if refused == act => return Err(kind.into()),
            _ => {}
        }
        if matches!(act, Act::Remove | Act::Rename)
            && let Some(file) = state.names.get(path).copied()
        {
            state.files[file].last = fs::read(path).ok();
        }
        Ok(())
    }

    /// Writes what a power cut leaves into another folder.
    pub(crate) fn cut_power(&self, random: &mut Seeded, to: &Path) {
        let state = self.state.lock();
        state.leave(&self.root, to, random);
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

impl State {
    fn scan(&mut self, folder: &Path) {
        let mut found = Folder::default();
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.synced.insert(name_of(&path), Entry::Folder);
                self.scan(&path);
            } else {
                let file = self.file(&path);
                self.files[file].synced = fs::read(&path).unwrap();
                found.synced.insert(name_of(&path), Entry::File(file));
            }
        }
        self.folders.insert(folder.to_owned(), found);
    }

    fn file(&mut self, path: &Path) -> usize {
        self.files.push(Kept::default());
        self.names.insert(path.to_owned(), self.files.len() - 1);
        self.files.len() - 1
    }

    fn change(&mut self, path: &Path, change: Change) {
        self.folders.entry(path.parent().unwrap().to_owned()).or_default().since.push(change);
    }

    fn after(&mut self, act: Act, path: &Path) {
        match act {
            Act::MakeDir => {
                self.folders.entry(path.to_owned()).or_default();
                self.change(path, Change::Put(name_of(path), Entry::Folder));
            }
            Act::Create if !self.names.contains_key(path) => {
                let file = self.file(path);
                self.change(path, Change::Put(name_of(path), Entry::File(file)));
            }
            Act::Remove => {
                self.names.remove(path);
                self.change(path, Change::Gone(name_of(path)));
            }
            Act::Sync => {
                if let Some(file) = self.names.get(path) {
                    self.files[*file].synced = fs::read(path).unwrap();
                }
            }
            Act::SyncDir => {
                let folder = self.folders.entry(path.to_owned()).or_default();
                let since = std::mem::take(&mut folder.since);
                since.iter().for_each(|change| change.make(&mut folder.synced));
            }
            Act::Create | Act::Write | Act::Cut | Act::Rename => {}
        }
    }

    fn renamed(&mut self, from: &Path, to: &Path) {
        let Some(file) = self.names.remove(from) else { return };
        self.names.insert(to.to_owned(), file);
        self.change(to, Change::Renamed(name_of(from), name_of(to)));
    }

    fn leave(&self, folder: &Path, to: &Path, random: &mut Seeded) {
        fs::create_dir_all(to).unwrap();
        let Some(kept) = self.folders.get(folder) else { return };
        let mut entries = kept.synced.clone();
        let count = random.within(0..kept.since.len() as u64 + 1) as usize;
        kept.since[..count].iter().for_each(|change| change.make(&mut entries));
        for (name, entry) in entries {
            match entry {
                Entry::Folder => self.leave(&folder.join(&name), &to.join(&name), random),
                Entry::File(file) => fs::write(to.join(&name), self.bytes(file, random)).unwrap(),
            }
        }
    }

    /// What was synced, or a part of what came later, or its length with nothing in it.
    fn bytes(&self, file: usize, random: &mut Seeded) -> Vec<u8> {
        let Kept { synced, last } = &self.files[file];
        let name = self.names.iter().find(|(_, known)| **known == file);
        let now = name.map_or_else(|| last.clone(), |(path, _)| fs::read(path).ok()).unwrap_or_default();
        let more = now.len().saturating_sub(synced.len()) as u64;
        if more == 0 || !now.starts_with(synced) {
            return if random.within(0..2) == 0 { synced.clone() } else { now };
        }
        let mut left = now[..synced.len() + random.within(0..more + 1) as usize].to_vec();
        match random.within(0..4) {
            0 => synced.clone(),
            1 => now,
            2 => left,
            _ => {
                let sound = synced.len() + random.within(0..(left.len() - synced.len()) as u64 + 1) as usize;
                left[sound..].fill(0);
                left
            }
        }
    }
}

impl Change {
    fn make(&self, entries: &mut BTreeMap<String, Entry>) {
        match self {
            Change::Put(name, entry) => {
                entries.insert(name.clone(), *entry);
            }
            Change::Gone(name) => {
                entries.remove(name);
            }
            Change::Renamed(from, to) => {
                if let Some(entry) = entries.remove(from) {
                    entries.insert(to.clone(), entry);
                }
            }
        }
    }
}
