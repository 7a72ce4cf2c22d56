//! What may be found on the medium after the power went.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::disk::{Disk, FileChange, Inode, NameChange, Names, Pending, ROOT};
use super::random::Numbers;

const SECTOR: usize = 512;

/// A file with its content, or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    File(Vec<u8>),
    Folder(BTreeMap<String, Node>),
}

impl Node {
    pub fn empty() -> Self {
        Self::Folder(BTreeMap::new())
    }

    /// Reads a real file or folder.
    pub fn read(path: &Path) -> io::Result<Self> {
        if !path.is_dir() {
            return fs::read(path).map(Self::File);
        }
        let mut children = BTreeMap::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            children.insert(name, Self::read(&entry.path())?);
        }
        Ok(Self::Folder(children))
    }

    /// Writes it to `path`, where nothing is.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::File(bytes) => fs::write(path, bytes),
            Self::Folder(children) => {
                fs::create_dir(path)?;
                children.iter().try_for_each(|(name, child)| child.write(&path.join(name)))
            }
        }
    }

    /// What stands at `path` below this folder, if anything.
    pub fn find(&self, path: &str) -> Option<&Self> {
        let mut names = path.split('/').filter(|name| !name.is_empty() && *name != ".");
        names.try_fold(self, |node, name| match node {
            Self::Folder(children) => children.get(name),
            Self::File(_) => None,
        })
    }

    /// The names of files that differ, for messages.
    pub fn differences(&self, other: &Self, at: &str) -> Vec<String> {
        match (self, other) {
            (Self::Folder(one), Self::Folder(two)) => {
                let mut names: Vec<&String> = one.keys().chain(two.keys()).collect();
                names.sort_unstable();
                names.dedup();
                let differ = |name: &&String| match (one.get(*name), two.get(*name)) {
                    (Some(a), Some(b)) => a.differences(b, &format!("{at}/{name}")),
                    (Some(_), None) => vec![format!("{at}/{name} is only in the first")],
                    (None, _) => vec![format!("{at}/{name} is only in the second")],
                };
                names.iter().flat_map(differ).collect()
            }
            (a, b) if a == b => vec![],
            (Self::File(a), Self::File(b)) => {
                let first = a.iter().zip(b).position(|(x, y)| x != y);
                let (a, b) = (a.len(), b.len());
                vec![format!("{at} has {a} and {b} bytes, and differs at {first:?}")]
            }
            _ => vec![format!("{at} is a file and a folder")],
        }
    }
}

/// What the medium made of the changes that were not durable.
#[derive(Clone, Copy, Debug)]
enum Style {
    /// All or nothing of everything.
    All,
    None,
    /// Each whole, by chance.
    Mixed,
    /// Each whole, not at all, or sector by sector.
    Torn,
    /// The first ones, and the beginning of the next.
    InOrder,
    /// The last ones, and the end of the one before.
    Backwards,
}

const STYLES: [Style; 8] = [
    Style::All,
    Style::None,
    Style::Mixed,
    Style::Torn,
    Style::Torn,
    Style::Torn,
    Style::InOrder,
    Style::Backwards,
];

/// Which sectors of one change are on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    /// Each by chance.
    Sectors,
    /// This many of 1,000 from the beginning.
    First(usize),
    /// From the end.
    Last(usize),
}

impl Disk {
    /// What the process sees.
    pub fn live(&self) -> Node {
        self.node(ROOT, &mut BTreeMap::new(), &mut |_| (Style::All, Numbers::new(0)))
    }

    /// What may be there after a power cut now.
    pub fn cut(&self, random: &mut Numbers) -> Node {
        let mut choose = |_| (STYLES[random.below(STYLES.len())], Numbers::new(random.next()));
        self.node(ROOT, &mut BTreeMap::new(), &mut choose)
    }

    /// `made`: an inode with two names has one content.
    fn node(
        &self,
        inode: usize,
        made: &mut BTreeMap<usize, Node>,
        choose: &mut dyn FnMut(usize) -> (Style, Numbers),
    ) -> Node {
        if let Some(node) = made.get(&inode) {
            return node.clone();
        }
        let (style, mut random) = choose(inode);
        let node = match &self.inodes[inode] {
            Inode::File { durable, pending, .. } => {
                Node::File(content(durable, pending, style, &mut random))
            }
            Inode::Folder { durable, pending, .. } => {
                let names = names(durable, pending, style, &mut random);
                let child = |(name, inode)| (name, self.node(inode, made, choose));
                Node::Folder(names.into_iter().map(child).collect())
            }
        };
        made.insert(inode, node.clone());
        node
    }
}

fn fates(count: usize, style: Style, random: &mut Numbers) -> Vec<Fate> {
    let edge = random.below(count + 1);
    let part = random.below(1000);
    let mut fate = |index: usize| match style {
        Style::All => Fate::Kept,
        Style::None => Fate::Lost,
        Style::Mixed => [Fate::Lost, Fate::Kept][random.below(2)],
        Style::Torn => [Fate::Lost, Fate::Kept, Fate::Sectors, Fate::Sectors][random.below(4)],
        Style::InOrder if index == edge => Fate::First(part),
        Style::InOrder => [Fate::Kept, Fate::Lost][usize::from(index > edge)],
        Style::Backwards if index == edge => Fate::Last(part),
        Style::Backwards => [Fate::Lost, Fate::Kept][usize::from(index > edge)],
    };
    (0..count).map(&mut fate).collect()
}

/// A sector holds what the page cache held when it was written: all changes up to some one.
fn content(
    durable: &[u8],
    pending: &[Pending<FileChange>],
    style: Style,
    random: &mut Numbers,
) -> Vec<u8> {
    let mut found = durable.to_vec();
    if pending.is_empty() {
        return found;
    }
    let mut cache = durable.to_vec();
    let (mut lengths, mut grows_by_writes) = (BTreeSet::from([durable.len()]), false);
    for (pending, fate) in pending.iter().zip(fates(pending.len(), style, random)) {
        let before = cache.len();
        pending.change.apply(&mut cache);
        match &pending.change {
            FileChange::Resize { to } => drop(lengths.insert(*to)),
            FileChange::Write { .. } => grows_by_writes |= cache.len() > before,
        }
        match &pending.change {
            FileChange::Resize { to } if fate != Fate::Lost => found.resize(*to, 0),
            FileChange::Resize { .. } => {}
            FileChange::Write { at, bytes } => {
                let sectors = at / SECTOR..(at + bytes.len()).div_ceil(SECTOR);
                let first = sectors.start;
                let count = sectors.len();
                for sector in sectors {
                    if fate.has(sector - first, count, random) {
                        keep_sector(&mut found, &cache, sector);
                    }
                }
            }
        }
    }
    let whole = matches!(style, Style::All | Style::None);
    if !whole && !grows_by_writes {
        found.resize(given_length(found.len(), &lengths, random), 0);
    } else if !whole && found.len() > durable.len() && random.once_in(4) {
        // The length is metadata: it may be behind what was written.
        found.truncate(durable.len() + random.below(found.len() - durable.len()));
    } else if !whole && found.len() < cache.len() && random.once_in(4) {
        // Or before it.
        found.resize(cache.len(), 0);
    }
    found
}

/// Where only `ftruncate` changes it, a length is a number in the inode that a transaction of the
/// file system sets: the medium has one that a call gave, whatever it has of the writes, and none
/// between. What was written beyond it cannot be seen.
fn given_length(found: usize, lengths: &BTreeSet<usize>, random: &mut Numbers) -> usize {
    let shorter: Vec<usize> = lengths.range(..=found).copied().collect();
    match lengths.range(found..).next() {
        Some(fits) if shorter.is_empty() || !random.once_in(4) => *fits,
        _ => shorter[random.below(shorter.len())],
    }
}

impl Fate {
    fn has(self, sector: usize, count: usize, random: &mut Numbers) -> bool {
        match self {
            Self::Lost => false,
            Self::Kept => true,
            Self::Sectors => random.once_in(2),
            Self::First(part) => sector * 1000 < count * part,
            Self::Last(part) => (count - sector) * 1000 <= count * part,
        }
    }
}

fn keep_sector(found: &mut Vec<u8>, cache: &[u8], sector: usize) {
    let from = sector * SECTOR;
    let to = cache.len().min(from + SECTOR);
    if to > from {
        found.resize(found.len().max(to), 0);
        found[from..to].copy_from_slice(&cache[from..to]);
    }
}

/// Changes of one name keep their order; others do not.
fn names(
    durable: &Names,
    pending: &[Pending<NameChange>],
    style: Style,
    random: &mut Numbers,
) -> Names {
    let mut found = durable.clone();
    let mut lost: Vec<&str> = Vec::new();
    for (pending, fate) in pending.iter().zip(fates(pending.len(), style, random)) {
        let names = pending.change.names();
        let happened = fate == Fate::Kept || fate != Fate::Lost && random.once_in(2);
        if happened && !names.iter().any(|name| lost.contains(name)) {
            pending.change.apply(&mut found);
        } else {
            lost.extend(names);
        }
    }
    found
}
