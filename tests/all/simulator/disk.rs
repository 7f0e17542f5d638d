//! A disk in memory that fails, stops in mid-write and loses what was not synced.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use facelatch::disk::Disk;

use crate::watch::Random;

#[derive(Debug, Default)]
struct State {
    /// As the running system sees it: the content, and whether it is on the platter.
    files: BTreeMap<PathBuf, (Vec<u8>, bool)>,
    /// As it was at the last sync of the folder.
    names: BTreeMap<PathBuf, Vec<u8>>,
    /// Every operation fails.
    broken: bool,
    /// The process is killed after so many more operations.
    operations_left: Option<u64>,
}

/// A handle on a disk; clones see the same one.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

impl SimulatedDisk {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("one thread")
    }

    pub fn set_broken(&self, broken: bool) {
        self.state().broken = broken;
    }

    /// Kills the process in the middle of a later write.
    pub fn kill_after(&self, operations: u64) {
        self.state().operations_left = Some(operations);
    }

    /// True when the process was killed in the middle of a write; asked once.
    pub fn has_killed(&self) -> bool {
        let mut state = self.state();
        let killed = state.operations_left == Some(0);
        if killed {
            state.operations_left = None;
        }
        killed
    }

    /// The power fails: what was not synced may be there in part or not at all.
    pub fn lose_power(&self, random: &mut Random) {
        let mut state = self.state();
        let mut left = BTreeMap::new();
        for (path, (bytes, synced)) in &state.files {
            let known = state.names.get(path);
            // The folder's newer entry may have reached the platter or not.
            if known.is_some_and(|old| old != bytes) && random.once_in(2)
                || known.is_none() && random.once_in(2)
            {
                if let Some(old) = known {
                    left.insert(path.clone(), (old.clone(), true));
                }
                continue;
            }
            let kept = if *synced { bytes.len() } else { random.below(bytes.len() as u64 + 1) as usize };
            left.insert(path.clone(), (bytes[..kept].to_vec(), true));
        }
        for (path, old) in &state.names {
            left.entry(path.clone()).or_insert_with(|| (old.clone(), true));
        }
        state.names = left.iter().map(|(path, (bytes, _))| (path.clone(), bytes.clone())).collect();
        state.files = left;
        state.operations_left = None;
        state.broken = false;
    }

    fn operate<T>(&self, operation: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        match &mut state.operations_left {
            Some(0) => return Err(io::Error::other("the process is dead")),
            Some(left) => *left -= 1,
            None => {}
        }
        if state.broken { Err(io::Error::other("no space left")) } else { operation(&mut state) }
    }
}

impl Disk for SimulatedDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        if state.broken {
            return Err(io::Error::other("input/output error"));
        }
        state.files.get(path).map(|(bytes, _)| bytes.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.operate(|state| {
            state.files.insert(path.to_owned(), (bytes.to_vec(), false));
            Ok(())
        })
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.operate(|state| {
            state.files.get_mut(path).ok_or(io::ErrorKind::NotFound)?.1 = true;
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(|state| {
            let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.files.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        self.operate(|state| {
            let name = |(path, (bytes, synced)): (&PathBuf, &(Vec<u8>, bool))| {
                synced.then(|| (path.clone(), bytes.clone()))
            };
            state.names = state.files.iter().filter_map(name).collect();
            Ok(())
        })
    }
}
