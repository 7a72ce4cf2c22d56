//! Orders in which calls that ran at the same time may have happened.
//!
//! sled gives space back with an `ftruncate` in a thread of its own, or in several at once, while
//! others write over what is free. A trace shows when each call began and ended, as the tracer came
//! to see it: the call happened at some time between. Writes that run together have the same
//! result in any order, since no two have a byte in common; a new length and a write have not. What
//! is there in the end tells which order it was.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::trace::{Call, Event};

/// As many orders are looked at.
const ORDERS: usize = 50_000;
/// Calls that a kill interrupted and that may have happened or not, at most. A power of two of
/// this is tried.
const INTERRUPTED: usize = 6;

/// A call that writes to a place in a file, or gives it a length.
struct Change<'a> {
    path: &'a str,
    what: What,
    /// The line where it begins.
    begin: usize,
    /// The line where it ends; `None` when it was interrupted.
    end: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Length(u64),
    /// A write of bytes up to here.
    Write(u64),
}

impl Change<'_> {
    fn is_length(&self) -> bool {
        matches!(self.what, What::Length(_))
    }

    /// True when it can have happened when what begins in line `other` had begun.
    fn reaches(&self, other: usize) -> bool {
        self.begin == other || self.end.is_none_or(|end| end > other)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.path == other.path && self.reaches(other.begin) && other.reaches(self.begin)
    }
}

/// The orders of the `lines` of a trace in which files get the lengths that `length` says (`None`:
/// no matter which), as their numbers: the order of the trace first, then those in which ever more
/// calls happened later than others that they ran together with. A new length that a kill
/// interrupted may be left out.
pub fn possible<'a>(
    lines: &'a [Vec<Event>],
    length: &'a dyn Fn(&str) -> Option<u64>,
) -> impl Iterator<Item = Vec<usize>> + 'a {
    let all = changes(lines);
    let is_open = |change: &&Change| change.is_length() && change.end.is_none();
    let open: Vec<usize> = all.iter().filter(is_open).map(|change| change.begin).collect();
    let choices = 0..1_usize << open.len().min(INTERRUPTED);
    let without = choices.map(move |choice| {
        let left_out = open.iter().enumerate().filter(move |(at, _)| choice >> at & 1 == 1);
        left_out.map(|(_, line)| *line).collect::<BTreeSet<usize>>()
    });
    without.flat_map(move |left_out| {
        let mut orders = Orders::new(lines, left_out);
        std::iter::from_fn(move || {
            loop {
                let order = orders.next()?;
                if orders.fits(&order, length) {
                    return Some(orders.lines(&order));
                }
            }
        })
    })
}

fn changes(lines: &[Vec<Event>]) -> Vec<Change<'_>> {
    let mut changes: Vec<Change> = Vec::new();
    let mut running = BTreeMap::new();
    for (line, event) in
        lines.iter().enumerate().flat_map(|(n, all)| all.iter().map(move |e| (n, e)))
    {
        match event {
            Event::Began { thread, call } => {
                let (path, what) = match call {
                    Call::Resize { path, to } => (path, What::Length(*to)),
                    Call::Write { path, at: Some(at), bytes, .. } => {
                        (path, What::Write(at + bytes.len() as u64))
                    }
                    _ => continue,
                };
                running.insert(*thread, changes.len());
                changes.push(Change { path, what, begin: line, end: None });
            }
            Event::Ended { thread, .. } => {
                if let Some(at) = running.remove(thread) {
                    changes[at].end = Some(line);
                }
            }
            Event::Started | Event::Told(_) => {}
        }
    }
    changes
}

/// The files that calls change which have no [`Change`].
fn others(lines: &[Vec<Event>]) -> BTreeSet<&str> {
    let mut others = BTreeSet::new();
    for event in lines.iter().flatten() {
        let Event::Began { call, .. } = event else { continue };
        match call {
            Call::Open { path, truncate: true, .. }
            | Call::Write { path, at: None, .. }
            | Call::Remove { path } => drop(others.insert(path.as_str())),
            Call::Rename { from, to } => others.extend([from.as_str(), to.as_str()]),
            _ => {}
        }
    }
    others
}

/// Orders of those changes that run together with a new length of their file, nearest to the
/// recorded order first.
struct Orders<'a> {
    count: usize,
    /// Lines that have no place in any order.
    left_out: BTreeSet<usize>,
    changes: Vec<Change<'a>>,
    /// Files that other calls change as well.
    others: BTreeSet<&'a str>,
    next: VecDeque<Vec<usize>>,
    seen: BTreeSet<Vec<usize>>,
}

impl<'a> Orders<'a> {
    fn new(lines: &'a [Vec<Event>], left_out: BTreeSet<usize>) -> Self {
        let mut changes = changes(lines);
        changes.retain(|change| !left_out.contains(&change.begin));
        let is_uncertain = |at: &usize| {
            let change = &changes[*at];
            let mut others = changes.iter().enumerate().filter(|(other, _)| other != at);
            others.any(|(_, o)| (change.is_length() || o.is_length()) && change.overlaps(o))
        };
        let first: Vec<usize> = (0..changes.len()).filter(is_uncertain).collect();
        let (next, seen) = (VecDeque::from([first.clone()]), BTreeSet::from([first]));
        Self { count: lines.len(), left_out, changes, others: others(lines), next, seen }
    }

    fn next(&mut self) -> Option<Vec<usize>> {
        let order = self.next.pop_front()?;
        // The last ones matter most: they are moved first.
        for from in (0..order.len()).rev() {
            for to in from + 1..order.len() {
                let (one, other) = (&self.changes[order[from]], &self.changes[order[to]]);
                if one.path != other.path || !(one.is_length() || other.is_length()) {
                    continue;
                }
                let mut moved = order.clone();
                moved[from..=to].rotate_left(1);
                let is_new = self.seen.len() < ORDERS && !self.seen.contains(&moved);
                if is_new && self.is_possible(&moved) {
                    self.seen.insert(moved.clone());
                    self.next.push_back(moved);
                }
            }
        }
        Some(order)
    }

    /// True when each change can have happened after those before it.
    fn is_possible(&self, order: &[usize]) -> bool {
        self.moments(order).all(|(at, moment)| self.changes[at].reaches(moment))
    }

    /// The changes of `order` with the line after whose begin they happen, as early as they can.
    fn moments<'o>(&'o self, order: &'o [usize]) -> impl Iterator<Item = (usize, usize)> + 'o {
        order.iter().scan(0, |latest, at| {
            *latest = self.changes[*at].begin.max(*latest);
            Some((*at, *latest))
        })
    }

    /// All lines, where the changes of `order` begin as late as it wants.
    fn lines(&self, order: &[usize]) -> Vec<usize> {
        let mut places: Vec<(usize, usize)> = (0..self.count).map(|line| (line, 0)).collect();
        for (rank, (at, moment)) in self.moments(order).enumerate() {
            places[self.changes[at].begin] = (moment, rank + 1);
        }
        let stays = |line: &usize| !self.left_out.contains(line);
        let mut lines: Vec<usize> = (0..self.count).filter(stays).collect();
        lines.sort_by_key(|line| places[*line]);
        lines
    }

    /// True when every file that was given a length ends with the one that it has.
    fn fits(&self, order: &[usize], length: &dyn Fn(&str) -> Option<u64>) -> bool {
        let mut places: Vec<(usize, usize)> = self.changes.iter().map(|c| (c.begin, 0)).collect();
        for (rank, (at, moment)) in self.moments(order).enumerate() {
            places[at] = (moment, rank + 1);
        }
        let mut all: Vec<usize> = (0..self.changes.len()).collect();
        all.sort_by_key(|at| places[*at]);
        let mut lengths = BTreeMap::new();
        for change in all.iter().map(|at| &self.changes[*at]) {
            match change.what {
                What::Length(to) => drop(lengths.insert(change.path, (to, to))),
                What::Write(to) => {
                    if let Some((least, most)) = lengths.get_mut(change.path) {
                        *most = to.max(*most);
                        // What was interrupted happened whole, in part, or not at all.
                        if change.end.is_some() {
                            *least = to.max(*least);
                        }
                    }
                }
            }
        }
        let mut known = lengths.iter().filter(|(path, _)| !self.others.contains(*path));
        known
            .all(|(path, (least, most))| length(path).is_none_or(|l| (*least..=*most).contains(&l)))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::disk::{Disk, FileChange, Medium};
    use super::super::image::Node;
    use super::super::random::Numbers;
    use super::super::trace;
    use super::*;

    fn events(lines: &[&str]) -> Vec<Vec<Event>> {
        lines.iter().map(|line| trace::events(line)).collect()
    }

    /// All orders, whatever the length.
    fn all(lines: &[&str]) -> Vec<Vec<usize>> {
        possible(&events(lines), &|_| None).collect()
    }

    #[test]
    fn only_what_ran_together_can_change_places() {
        let lines = [
            "1 ftruncate(4<\\x66>, 1) = 0",
            "1 ftruncate(4<\\x66>, 2 <unfinished ...>",
            "2 pwrite64(4<\\x66>, \"\\x00\", 1, 2 <unfinished ...>",
            "1 <... ftruncate resumed>) = 0",
            "3 ftruncate(4<\\x66>, 4) = 0",
            "2 <... pwrite64 resumed>) = 1",
        ];
        // The third thread began after the first had ended, and before the second did.
        let orders = [[0, 1, 2, 3, 4, 5], [0, 1, 3, 4, 2, 5], [0, 2, 1, 3, 4, 5]];
        assert_eq!(all(&lines), orders);
        // The second began while the first ran.
        assert_eq!(all(&lines[..4]), [[0, 1, 2, 3], [0, 2, 1, 3]]);
        assert_eq!(all(&["1 fsync(4) = 0"]), [[0]]);
    }

    #[test]
    fn the_length_tells_the_order_of_many() {
        // Two lengths and two writes at once: each write may be before both, between, or after.
        let lines = [
            "1 ftruncate(4<\\x66>, 8 <unfinished ...>",
            "2 ftruncate(4<\\x66>, 4 <unfinished ...>",
            "3 pwrite64(4<\\x66>, \"\\x00\\x00\", 2, 4 <unfinished ...>",
            "4 pwrite64(4<\\x66>, \"\\x00\\x00\", 2, 14 <unfinished ...>",
            "1 <... ftruncate resumed>) = 0",
            "2 <... ftruncate resumed>) = 0",
            "3 <... pwrite64 resumed>) = 2",
            "4 <... pwrite64 resumed>) = 2",
        ];
        let events = events(&lines);
        for (wanted, last) in [(16, 3), (8, 0), (4, 1), (6, 2)] {
            let length = |_: &str| Some(wanted);
            let order = possible(&events, &length).next().unwrap();
            let begins: Vec<usize> = order.iter().copied().filter(|line| *line < 4).collect();
            assert!(begins.contains(&last) && order.len() == lines.len(), "{wanted}: {order:?}");
        }
        assert_eq!(possible(&events, &|_| Some(5)).next(), None);
    }

    #[test]
    fn a_new_length_that_was_interrupted_happened_or_not() {
        let lines = [
            "1 pwrite64(4<\\x66>, \"\\x00\\x00\", 2, 14) = 2",
            "1 ftruncate(4<\\x66>, 8) = 0",
            "2 ftruncate(4<\\x66>, 4 <unfinished ...>",
            "1 pwrite64(4<\\x66>, \"\\x00\\x00\", 2, 4) = 2",
        ];
        let events = events(&lines);
        let first = |length: u64| possible(&events, &|_| Some(length)).next();
        // Before the last write, after it, and never.
        assert_eq!(first(6), Some(vec![0, 1, 2, 3]));
        assert_eq!(first(4), Some(vec![0, 1, 3, 2]));
        assert_eq!(first(8), Some(vec![0, 1, 3]));
        assert_eq!(first(16), None);
    }

    /// A call of a thread, which happens at some moment while it runs: a new length or a byte, or
    /// a sync, which changes nothing.
    struct Ran {
        begin: usize,
        moment: usize,
        end: usize,
        text: String,
        change: Option<FileChange>,
    }

    fn ran(random: &mut Numbers, thread: usize, number: usize, after: usize) -> Ran {
        let begin = after + 1 + random.below(20);
        let moment = begin + 1 + random.below(20);
        let end = moment + 1 + random.below(20);
        // No two writes have a byte in common.
        let at = 4 * (thread + 4 * random.below(4) + 16 * number);
        let path = "4<\\x2f\\x64\\x2f\\x66>";
        let (text, change) = match random.below(6) {
            0 => (format!("fsync({path}"), None),
            1 | 2 => (format!("ftruncate({path}, {at}"), Some(FileChange::Resize { to: at })),
            _ => {
                let bytes = Bytes::from_static(b"\x01");
                let text = format!("pwrite64({path}, \"\\x01\", 1, {at}");
                (text, Some(FileChange::Write { at, bytes }))
            }
        };
        Ran { begin, moment, end, text, change }
    }

    const SYNCHRONOUS: &str = "9 ioctl(4<\\x2f\\x64\\x2f\\x66>, FS_IOC_SETFLAGS, [FS_SYNC_FL]) = 0";

    #[test]
    fn whatever_happened_is_found() {
        let mut unlike_the_trace = 0;
        for seed in 0..300 {
            let mut random = Numbers::new(seed);
            let (mut seen, mut happened) = (Vec::new(), Vec::new());
            for thread in 1..=4 {
                let mut time = random.below(20);
                for number in 0..2 {
                    let call = ran(&mut random, thread, number, time);
                    time = call.end;
                    seen.push((
                        call.begin,
                        thread,
                        format!("{thread} {} <unfinished ...>", call.text),
                    ));
                    let result = u8::from(call.text.starts_with("pwrite64"));
                    seen.push((call.end, thread, format!("{thread} <... resumed>) = {result}")));
                    happened.push((call.moment, thread, call.change));
                }
            }
            seen.sort();
            happened.sort_by_key(|(moment, thread, _)| (*moment, *thread));
            let mut content = Vec::new();
            let changes = happened.iter().filter_map(|(_, _, change)| change.as_ref());
            changes.for_each(|change| change.apply(&mut content));

            let events: Vec<_> = seen.iter().map(|(_, _, line)| trace::events(line)).collect();
            let file = |content| Node::Folder([("f".to_owned(), Node::File(content))].into());
            let real = file(content.clone());
            let length = |_: &str| Some(content.len() as u64);
            let medium = [Medium::Cached, Medium::Synchronous][random.below(2)];
            let found = possible(&events, &length).find(|order| {
                let mut disk = Disk::new("/d", &file(Vec::new()), medium, None);
                trace::events(SYNCHRONOUS).iter().for_each(|event| disk.play(event));
                order.iter().flat_map(|line| &events[*line]).for_each(|event| disk.play(event));
                disk.live() == real
            });
            let found = found.unwrap_or_else(|| panic!("seed {seed}: {seen:#?}"));
            unlike_the_trace += usize::from(!found.is_sorted());
        }
        assert!(unlike_the_trace > 60, "only {unlike_the_trace} of 300 were put in order");
    }
}
