//! What of the recorded calls is on the medium, and what may be.
//!
//! - A write is durable when a sync of its file ended well that began after it; where the file has
//!   the attribute `S` ([`Medium::Synchronous`]), when it ended. Until then each of its sectors is
//!   on the medium or not. Neither says anything of the file's name.
//! - A name (new, renamed, removed) is durable when a sync of its folder ended that began after the
//!   change. Until then it happened or not, in any order but for changes of one name. A rename in
//!   one folder is atomic; one between folders is a new name here and a removed one there.
//! - A new length is like a write; the attribute `S` alone does not make it durable. One that
//!   writes beyond the end make may be any up to there; one that a call gave is there or not.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::image::Node;
use super::trace::{Call, Event};

/// What the attribute `S` of a file is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// What Linux says: a write that ended is durable.
    Synchronous,
    /// Nothing: as on a file system that does not have it.
    Cached,
}

/// A change that may not have reached the medium.
#[derive(Clone, Debug)]
pub struct Pending<C> {
    id: u64,
    /// False while the call is running.
    ended: bool,
    pub change: C,
}

#[derive(Clone, Debug)]
pub enum FileChange {
    Write { at: usize, bytes: Bytes },
    Resize { to: usize },
}

#[derive(Clone, Debug)]
pub enum NameChange {
    Put { name: String, inode: usize },
    Remove { name: String },
    Rename { from: String, to: String, inode: usize },
}

#[derive(Clone, Debug)]
pub enum Inode {
    File { durable: Vec<u8>, pending: Vec<Pending<FileChange>>, synchronous: bool, length: usize },
    Folder { durable: Names, pending: Vec<Pending<NameChange>>, live: Names },
}

pub type Names = BTreeMap<String, usize>;

#[derive(Clone, Debug)]
enum Running {
    Change { inode: usize, id: u64 },
    Sync { inode: usize, covered: Vec<u64> },
    Other(Call),
}

#[derive(Clone, Debug)]
struct Descriptor {
    offset: usize,
    append: bool,
}

/// The files below one folder while a recording plays.
#[derive(Clone, Debug)]
pub struct Disk {
    root: String,
    medium: Medium,
    /// A sync of such a path is not believed: a planted bug.
    deaf_to: Option<String>,
    pub(super) inodes: Vec<Inode>,
    descriptors: BTreeMap<u32, Descriptor>,
    /// By thread.
    running: BTreeMap<u32, Running>,
    changes: u64,
}

pub(super) const ROOT: usize = 0;

impl Disk {
    /// The folder `root` with what is durable in it.
    pub fn new(root: &str, start: &Node, medium: Medium, deaf_to: Option<String>) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            medium,
            deaf_to,
            inodes: Vec::new(),
            descriptors: BTreeMap::new(),
            running: BTreeMap::new(),
            changes: 0,
        };
        disk.add(start);
        disk
    }

    fn add(&mut self, node: &Node) -> usize {
        let index = self.inodes.len();
        match node {
            Node::File(bytes) => self.inodes.push(new_file(bytes.clone())),
            Node::Folder(children) => {
                self.inodes.push(new_folder());
                let names: Names =
                    children.iter().map(|(name, child)| (name.clone(), self.add(child))).collect();
                let pending = Vec::new();
                let live = names.clone();
                self.inodes[index] = Inode::Folder { durable: names, pending, live };
            }
        }
        index
    }

    /// True when something is not durable.
    pub fn is_uncertain(&self) -> bool {
        self.inodes.iter().any(|inode| match inode {
            Inode::File { pending, .. } => !pending.is_empty(),
            Inode::Folder { pending, .. } => !pending.is_empty(),
        })
    }

    pub fn play(&mut self, event: &Event) {
        match event {
            Event::Started => {
                assert!(
                    self.running.is_empty(),
                    "a process left running calls: {:?}",
                    self.running
                );
                self.descriptors.clear();
            }
            Event::Began { thread, call } => self.begin(*thread, call),
            Event::Ended { thread, result } => {
                if let Some(running) = self.running.remove(thread) {
                    self.end(running, *result);
                }
            }
            Event::Told(_) => {}
        }
    }

    fn begin(&mut self, thread: u32, call: &Call) {
        let running = match call {
            Call::Write { fd, path, at, bytes } => self.find(path).map(|inode| {
                let end = self.length(inode);
                let descriptor = self.descriptors.get_mut(fd);
                let at = match (at, descriptor) {
                    (Some(at), _) => usize::try_from(*at).expect("a file fits into memory"),
                    (None, Some(descriptor)) => {
                        let at = if descriptor.append { end } else { descriptor.offset };
                        descriptor.offset = at + bytes.len();
                        at
                    }
                    (None, None) => panic!("{path} is written through an unknown descriptor {fd}"),
                };
                let change = FileChange::Write { at, bytes: bytes.clone() };
                Running::Change { inode, id: self.change_file(inode, change) }
            }),
            Call::Resize { path, to } => self.find(path).map(|inode| {
                let to = usize::try_from(*to).expect("a file fits into memory");
                Running::Change { inode, id: self.change_file(inode, FileChange::Resize { to }) }
            }),
            Call::Sync { path } => {
                let heard = !self.deaf_to.as_deref().is_some_and(|deaf| fits(path, deaf));
                let inode = self.find(path).filter(|_| heard);
                inode.map(|inode| Running::Sync { inode, covered: self.ended(inode) })
            }
            Call::Unknown { name, paths } => {
                let ours = paths.iter().any(|path| path.starts_with(&self.root));
                assert!(!ours, "the model does not know the call `{name}` on {paths:?}");
                None
            }
            other => Some(Running::Other(other.clone())),
        };
        if let Some(running) = running {
            self.running.insert(thread, running);
        }
    }

    fn end(&mut self, running: Running, result: Option<u64>) {
        match (running, result) {
            (Running::Change { inode, id }, Some(result)) => self.changed(inode, id, result),
            (Running::Change { inode, id }, None) => {
                let Inode::File { pending, .. } = &mut self.inodes[inode] else { return };
                pending.retain(|p| p.id != id);
            }
            (Running::Sync { inode, covered }, Some(_)) => self.settle(inode, &covered),
            (Running::Other(call), Some(result)) => self.done(call, result),
            (Running::Sync { .. } | Running::Other(_), None) => {}
        }
    }

    /// A write or a new length ended well.
    fn changed(&mut self, inode: usize, id: u64, result: u64) {
        let Inode::File { pending, synchronous, .. } = &mut self.inodes[inode] else { return };
        // It is durable already where a sync showed that it had happened.
        let Some(change) = pending.iter_mut().find(|p| p.id == id) else { return };
        change.ended = true;
        let FileChange::Write { bytes, .. } = &mut change.change else { return };
        let written = usize::try_from(result).expect("no more than was given");
        bytes.truncate(written);
        if self.medium == Medium::Synchronous && *synchronous {
            // It is as if `fdatasync` of these bytes followed, which saves the length too.
            let is_length = |p: &Pending<FileChange>| {
                p.ended && p.id < id && matches!(p.change, FileChange::Resize { .. })
            };
            let covered = covered(pending, |p| p.id == id || is_length(p));
            self.settle(inode, &covered);
        }
    }

    /// A call that changed names, attributes or descriptors ended well.
    fn done(&mut self, call: Call, result: u64) {
        let fd = || u32::try_from(result).expect("a descriptor is small");
        match call {
            Call::Open { path, create, truncate, append } => {
                if create && self.find(&path).is_none() {
                    self.create(&path, new_file(Vec::new()));
                } else if let Some(inode) = self.find(&path).filter(|_| truncate) {
                    let id = self.change_file(inode, FileChange::Resize { to: 0 });
                    self.changed(inode, id, 0);
                }
                self.descriptors.insert(fd(), Descriptor { offset: 0, append });
            }
            Call::MakeDir { path } => self.create(&path, new_folder()),
            Call::Rename { from, to } => self.rename(&from, &to),
            Call::Remove { path } => {
                if let Some((folder, name)) = self.place(&path) {
                    self.change_name(folder, NameChange::Remove { name });
                }
            }
            Call::Seek { fd } => {
                if let Some(descriptor) = self.descriptors.get_mut(&fd) {
                    descriptor.offset = usize::try_from(result).expect("a file fits into memory");
                }
            }
            Call::Attributes { path, synchronous: wanted } => {
                let inode = self.find(&path);
                if let Some(Inode::File { synchronous, .. }) = inode.map(|i| &mut self.inodes[i]) {
                    *synchronous = wanted;
                }
            }
            other => unreachable!("{other:?} is followed elsewhere"),
        }
    }

    fn create(&mut self, path: &str, inode: Inode) {
        let Some((folder, name)) = self.place(path) else { return };
        self.inodes.push(inode);
        let inode = self.inodes.len() - 1;
        self.change_name(folder, NameChange::Put { name, inode });
    }

    fn rename(&mut self, from: &str, to: &str) {
        let Some(inode) = self.find(from) else { return };
        let ((old, from), (new, to)) = (
            self.place(from).expect("it was found"),
            self.place(to).expect("files stay below the folder"),
        );
        if old == new {
            self.change_name(old, NameChange::Rename { from, to, inode });
        } else {
            self.change_name(new, NameChange::Put { name: to, inode });
            self.change_name(old, NameChange::Remove { name: from });
        }
    }

    fn change_name(&mut self, folder: usize, change: NameChange) {
        self.changes += 1;
        let Inode::Folder { pending, live, .. } = &mut self.inodes[folder] else { return };
        change.apply(live);
        pending.push(Pending { id: self.changes, ended: true, change });
    }

    fn change_file(&mut self, inode: usize, change: FileChange) -> u64 {
        self.changes += 1;
        let Inode::File { pending, length, .. } = &mut self.inodes[inode] else {
            panic!("a folder is written")
        };
        *length = match &change {
            FileChange::Write { at, bytes } => (*length).max(at + bytes.len()),
            FileChange::Resize { to } => *to,
        };
        pending.push(Pending { id: self.changes, ended: false, change });
        self.changes
    }

    /// The changes of `inode` that a sync which begins now covers.
    fn ended(&self, inode: usize) -> Vec<u64> {
        match &self.inodes[inode] {
            Inode::File { pending, .. } => covered(pending, |p| p.ended),
            Inode::Folder { pending, .. } => {
                pending.iter().filter(|p| p.ended).map(|p| p.id).collect()
            }
        }
    }

    /// Makes these changes durable, in their order.
    fn settle(&mut self, inode: usize, covered: &[u64]) {
        match &mut self.inodes[inode] {
            Inode::File { durable, pending, .. } => pending.retain(|p| {
                let settled = covered.contains(&p.id);
                if settled {
                    p.change.apply(durable);
                }
                !settled
            }),
            Inode::Folder { durable, pending, .. } => pending.retain(|p| {
                let settled = covered.contains(&p.id);
                if settled {
                    p.change.apply(durable);
                }
                !settled
            }),
        }
    }

    /// The ends that `strace` did not see of calls that a kill interrupted, as lines of a trace:
    /// each happened as far as `real` shows it, and every new length.
    pub fn ends_of_running(&self, real: &Node) -> Vec<String> {
        let mut lines = Vec::new();
        for (thread, running) in &self.running {
            let result = match running {
                Running::Change { inode, id } => self.changed_as_far(*inode, *id, real),
                Running::Other(call) => self.happened(call, real).then_some(0),
                Running::Sync { .. } => None,
            };
            let result = result.map_or("-1 EINTR".to_owned(), |length| length.to_string());
            lines.push(format!("{thread} <... interrupted resumed>) = {result}"));
        }
        lines
    }

    /// How much of a write `real` has; `None` when it has nothing of it. A new length is 0: it is
    /// not played where it did not happen.
    fn changed_as_far(&self, inode: usize, id: u64, real: &Node) -> Option<usize> {
        let Inode::File { pending, .. } = &self.inodes[inode] else { return None };
        let found = self.real_file(ROOT, inode, real)?;
        match &pending.iter().find(|p| p.id == id)?.change {
            FileChange::Resize { .. } => Some(0),
            FileChange::Write { at, bytes } => {
                let same = found.get(*at..)?.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                (same > 0).then_some(same)
            }
        }
    }

    /// True when `real` shows that this change of names happened. An open file that nobody will
    /// use any more counts as opened only where it was made.
    fn happened(&self, call: &Call, real: &Node) -> bool {
        let is_there = |path: &str| {
            let below = path.strip_prefix(&self.root);
            below.is_some_and(|below| real.find(below).is_some())
        };
        match call {
            Call::Open { path, create, .. } => {
                *create && self.find(path).is_none() && is_there(path)
            }
            Call::MakeDir { path } => self.find(path).is_none() && is_there(path),
            Call::Remove { path } => self.find(path).is_some() && !is_there(path),
            Call::Rename { from, .. } => self.find(from).is_some() && !is_there(from),
            _ => false,
        }
    }

    fn real_file<'a>(&self, folder: usize, wanted: usize, real: &'a Node) -> Option<&'a [u8]> {
        let (Inode::Folder { live, .. }, Node::Folder(children)) = (&self.inodes[folder], real)
        else {
            return None;
        };
        live.iter().find_map(|(name, inode)| match children.get(name)? {
            Node::File(bytes) if *inode == wanted => Some(&bytes[..]),
            child => self.real_file(*inode, wanted, child),
        })
    }

    fn length(&self, inode: usize) -> usize {
        match &self.inodes[inode] {
            Inode::File { length, .. } => *length,
            Inode::Folder { .. } => 0,
        }
    }

    /// What `path` names now; `None` when it is not below the folder or not there.
    fn find(&self, path: &str) -> Option<usize> {
        let below = path.strip_prefix(&self.root)?;
        if !below.is_empty() && !below.starts_with('/') {
            return None;
        }
        let mut names = below.split('/').filter(|name| !name.is_empty() && *name != ".");
        names.try_fold(ROOT, |inode, name| match &self.inodes[inode] {
            Inode::Folder { live, .. } => live.get(name).copied(),
            Inode::File { .. } => None,
        })
    }

    /// The folder of `path`, and its last name; `None` when it is not below ours.
    fn place(&self, path: &str) -> Option<(usize, String)> {
        let (folder, name) = path.trim_end_matches('/').rsplit_once('/')?;
        Some((self.find(folder)?, name.to_owned()))
    }
}

impl FileChange {
    /// True when the other order would give another file.
    fn matters_before(&self, later: &Self) -> bool {
        let end = |at: &usize, bytes: &Bytes| at + bytes.len();
        match (self, later) {
            (Self::Resize { .. }, Self::Resize { .. }) => true,
            (Self::Resize { to }, Self::Write { at, bytes })
            | (Self::Write { at, bytes }, Self::Resize { to }) => end(at, bytes) > *to,
            (Self::Write { .. }, Self::Write { .. }) => false,
        }
    }

    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*at..end].copy_from_slice(bytes);
            }
            Self::Resize { to } => content.resize(*to, 0),
        }
    }
}

impl NameChange {
    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            Self::Put { name, inode } => drop(names.insert(name.clone(), *inode)),
            Self::Remove { name } => drop(names.remove(name)),
            Self::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }

    pub(super) fn names(&self) -> [&str; 2] {
        match self {
            Self::Put { name, .. } | Self::Remove { name } => [name, name],
            Self::Rename { from, to, .. } => [from, to],
        }
    }
}

/// The changes that are durable when those are which `is_durable` says: also every earlier one
/// whose place before one of them matters, as it has happened then although nobody saw its end.
fn covered(
    pending: &[Pending<FileChange>],
    is_durable: impl Fn(&Pending<FileChange>) -> bool,
) -> Vec<u64> {
    let mut covered: Vec<&Pending<FileChange>> = Vec::new();
    for earlier in pending.iter().rev() {
        let shows = |later: &&Pending<FileChange>| earlier.change.matters_before(&later.change);
        if is_durable(earlier) || covered.iter().any(shows) {
            covered.push(earlier);
        }
    }
    covered.iter().map(|p| p.id).collect()
}

/// True when `path` ends with `pattern`, or has what stands before the pattern's final `*`.
fn fits(path: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(path.ends_with(pattern), |part| path.contains(part))
}

fn new_file(durable: Vec<u8>) -> Inode {
    let length = durable.len();
    Inode::File { durable, pending: Vec::new(), synchronous: false, length }
}

fn new_folder() -> Inode {
    Inode::Folder { durable: Names::new(), pending: Vec::new(), live: Names::new() }
}
