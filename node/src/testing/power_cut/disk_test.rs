//! What the model says of small histories.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::disk::{Disk, Medium};
use super::image::Node;
use super::random::Numbers;
use super::trace::{Call, Event};

fn file(content: &[u8]) -> Node {
    Node::File(content.to_vec())
}

fn folder(children: &[(&str, Node)]) -> Node {
    let children = children.iter().map(|(name, node)| ((*name).to_owned(), node.clone()));
    Node::Folder(children.collect::<BTreeMap<_, _>>())
}

fn disk(start: &Node, medium: Medium) -> Disk {
    Disk::new("/r", start, medium, None)
}

fn call(disk: &mut Disk, call: Call, result: Option<u64>) {
    disk.play(&Event::Began { thread: 1, call });
    disk.play(&Event::Ended { thread: 1, result });
}

fn write(path: &str, at: u64, bytes: &[u8]) -> Call {
    let bytes = Bytes::copy_from_slice(bytes);
    Call::Write { fd: 9, path: path.into(), at: Some(at), bytes }
}

fn sync(disk: &mut Disk, path: &str) {
    call(disk, Call::Sync { path: path.into() }, Some(0));
}

fn rename(disk: &mut Disk, from: &str, to: &str) {
    call(disk, Call::Rename { from: from.into(), to: to.into() }, Some(0));
}

fn create(disk: &mut Disk, path: &str) {
    let open = Call::Open { path: path.into(), create: true, truncate: true, append: false };
    call(disk, open, Some(9));
}

/// What 500 cuts leave, as text, so that a set can hold it.
fn cuts(disk: &Disk) -> BTreeSet<String> {
    (0..500).map(|seed| format!("{:?}", disk.cut(&mut Numbers::new(seed)))).collect()
}

fn only(node: &Node) -> BTreeSet<String> {
    [format!("{node:?}")].into()
}

fn has(found: &BTreeSet<String>, node: &Node) -> bool {
    found.contains(&format!("{node:?}"))
}

#[test]
fn a_write_is_uncertain_until_a_sync_that_began_after_it() {
    let mut disk = disk(&folder(&[("f", file(&[0; 1024]))]), Medium::Cached);
    disk.play(&Event::Began { thread: 2, call: Call::Sync { path: "/r/f".into() } });
    call(&mut disk, write("/r/f", 0, &[1; 1024]), Some(1024));
    disk.play(&Event::Ended { thread: 2, result: Some(0) });
    let found = cuts(&disk);
    let torn = [[1; 512], [0; 512]].concat();
    for content in
        [vec![0; 1024], vec![1; 1024], torn.clone(), [&torn[512..], &torn[..512]].concat()]
    {
        assert!(has(&found, &folder(&[("f", file(&content))])), "{content:?} was not found");
    }
    assert_eq!(found.len(), 4, "sectors are whole");
    call(&mut disk, Call::Sync { path: "/r/f".into() }, None);
    assert_eq!(cuts(&disk).len(), 4, "a sync that failed saves nothing");
    sync(&mut disk, "/r/f");
    assert_eq!(cuts(&disk), only(&folder(&[("f", file(&[1; 1024]))])));
}

#[test]
fn a_sector_never_has_a_later_write_without_the_one_before() {
    let mut disk = disk(&folder(&[("f", file(&[0; 512]))]), Medium::Cached);
    call(&mut disk, write("/r/f", 0, &[1; 8]), Some(8));
    call(&mut disk, write("/r/f", 8, &[2; 8]), Some(8));
    let found = cuts(&disk);
    let with = |first: u8, second: u8| {
        let content = [[first; 8].to_vec(), [second; 8].to_vec(), vec![0; 496]].concat();
        folder(&[("f", file(&content))])
    };
    let expected = [with(0, 0), with(1, 0), with(1, 2)].map(|node| format!("{node:?}"));
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn a_synchronous_file_is_uncertain_only_while_it_is_written() {
    let mut disk = disk(&folder(&[("f", file(&[0; 512]))]), Medium::Synchronous);
    call(&mut disk, Call::Attributes { path: "/r/f".into(), synchronous: true }, Some(0));
    disk.play(&Event::Began { thread: 1, call: write("/r/f", 0, &[1; 512]) });
    assert_eq!(cuts(&disk).len(), 2);
    disk.play(&Event::Ended { thread: 1, result: Some(512) });
    assert_eq!(cuts(&disk), only(&folder(&[("f", file(&[1; 512]))])));
    // A new length is not a write.
    call(&mut disk, Call::Resize { path: "/r/f".into(), to: 0 }, Some(0));
    assert_eq!(cuts(&disk).len(), 2);
    // A write saves it, as the length goes with it.
    call(&mut disk, write("/r/f", 0, &[3; 4]), Some(4));
    assert_eq!(cuts(&disk), only(&folder(&[("f", file(&[3; 4]))])));
}

#[test]
fn a_name_needs_the_sync_of_its_folder() {
    let mut disk = disk(&folder(&[("d", folder(&[]))]), Medium::Synchronous);
    create(&mut disk, "/r/d/new");
    call(&mut disk, write("/r/d/new", 0, &[1; 4]), Some(4));
    sync(&mut disk, "/r/d/new");
    let (none, there) = (folder(&[]), folder(&[("new", file(&[1; 4]))]));
    let expected = [&none, &there].map(|d| format!("{:?}", folder(&[("d", d.clone())])));
    assert_eq!(cuts(&disk), BTreeSet::from(expected));
    sync(&mut disk, "/r/d");
    assert_eq!(cuts(&disk), only(&folder(&[("d", there)])));
}

#[test]
fn a_rename_is_atomic_in_one_folder_and_not_between_two() {
    let start = folder(&[("a", file(b"new")), ("b", file(b"old")), ("d", folder(&[]))]);
    let mut one = disk(&start, Medium::Cached);
    rename(&mut one, "/r/a", "/r/b");
    let after = folder(&[("b", file(b"new")), ("d", folder(&[]))]);
    let expected = [&start, &after].map(|node| format!("{node:?}"));
    assert_eq!(cuts(&one), BTreeSet::from(expected));

    let mut two = disk(&folder(&[("a", file(b"x")), ("d", folder(&[]))]), Medium::Cached);
    rename(&mut two, "/r/a", "/r/d/b");
    let found = cuts(&two);
    assert_eq!(found.len(), 4, "both names, either, or none");
    sync(&mut two, "/r/d");
    sync(&mut two, "/r");
    assert_eq!(cuts(&two), only(&folder(&[("d", folder(&[("b", file(b"x"))]))])));
}

#[test]
fn names_change_in_any_order_but_for_one_name() {
    let mut disk = disk(&folder(&[("old", file(b"1"))]), Medium::Cached);
    create(&mut disk, "/r/new");
    call(&mut disk, Call::Remove { path: "/r/old".into() }, Some(0));
    // The removal may be there without the new name.
    assert!(has(&cuts(&disk), &folder(&[])));
    sync(&mut disk, "/r");
    call(&mut disk, Call::Remove { path: "/r/new".into() }, Some(0));
    create(&mut disk, "/r/new");
    call(&mut disk, write("/r/new", 0, b"2"), Some(1));
    sync(&mut disk, "/r/new");
    let second = folder(&[("new", file(b"2"))]);
    let expected = [folder(&[]), folder(&[("new", file(b""))]), second].map(|n| format!("{n:?}"));
    assert_eq!(cuts(&disk), BTreeSet::from(expected));
}

#[test]
fn a_file_may_be_shorter_or_longer_than_what_was_written() {
    let mut disk = disk(&folder(&[("f", file(b""))]), Medium::Cached);
    call(&mut disk, write("/r/f", 0, &[7; 2048]), Some(2048));
    let lengths: BTreeSet<usize> = (0..500)
        .map(|seed| match disk.cut(&mut Numbers::new(seed)) {
            Node::Folder(children) => match &children["f"] {
                Node::File(content) => content.len(),
                Node::Folder(_) => 0,
            },
            Node::File(_) => 0,
        })
        .collect();
    assert!(lengths.contains(&0) && lengths.contains(&2048), "{lengths:?}");
    assert!(lengths.iter().any(|length| length % 512 != 0), "{lengths:?}");
}

#[test]
fn a_length_that_a_call_gave_is_there_or_not_and_none_between() {
    for (to, at) in [(4000, 3000), (1500, 1400), (700, 100)] {
        let mut disk = disk(&folder(&[("f", file(&[7; 1000]))]), Medium::Cached);
        call(&mut disk, Call::Resize { path: "/r/f".into(), to }, Some(0));
        call(&mut disk, write("/r/f", at, &[1; 90]), Some(90));
        let lengths: BTreeSet<usize> = (0..300)
            .map(|seed| match disk.cut(&mut Numbers::new(seed)).find("f").unwrap() {
                Node::File(bytes) => bytes.len(),
                Node::Folder(_) => panic!("it is a file"),
            })
            .collect();
        assert_eq!(lengths, BTreeSet::from([1000, usize::try_from(to).unwrap()]));
    }
}

#[test]
fn plain_writes_go_where_the_descriptor_stands() {
    let mut disk = disk(&folder(&[("log", file(b"abc"))]), Medium::Cached);
    let open = Call::Open { path: "/r/log".into(), create: false, truncate: false, append: true };
    call(&mut disk, open, Some(5));
    for bytes in [&b"de"[..], b"f"] {
        let bytes = Bytes::copy_from_slice(bytes);
        let length = bytes.len() as u64;
        let write = Call::Write { fd: 5, path: "/r/log".into(), at: None, bytes };
        call(&mut disk, write, Some(length));
    }
    assert_eq!(disk.live(), folder(&[("log", file(b"abcdef"))]));
}

#[test]
fn a_write_that_a_kill_interrupted_happened_as_far_as_the_file_shows() {
    let mut disk = disk(&folder(&[("f", file(&[0; 8]))]), Medium::Cached);
    disk.play(&Event::Began { thread: 3, call: write("/r/f", 2, &[1; 6]) });
    let real = folder(&[("f", file(&[0, 0, 1, 1, 1, 0, 0, 0]))]);
    let lines = disk.ends_of_running(&real);
    assert_eq!(lines, ["3 <... interrupted resumed>) = 3"]);
    lines.iter().flat_map(|line| super::trace::events(line)).for_each(|event| disk.play(&event));
    assert_eq!(disk.live(), real);
}

#[test]
fn a_new_length_that_later_writes_show_is_as_durable_as_they() {
    for later in [2, 6] {
        let mut disk = disk(&folder(&[("f", file(&[7; 8]))]), Medium::Cached);
        let resize = Call::Resize { path: "/r/f".into(), to: 4 };
        disk.play(&Event::Began { thread: 3, call: resize });
        call(&mut disk, write("/r/f", later, &[1]), Some(1));
        sync(&mut disk, "/r/f");
        // A write within the new length says nothing of it.
        let cut = folder(&[("f", file(&[7, 7, 1, 7]))]);
        let before = folder(&[("f", file(&[7, 7, 1, 7, 7, 7, 7, 7]))]);
        let after = folder(&[("f", file(&[7, 7, 7, 7, 0, 0, 1]))]);
        let expected = if later == 2 { vec![before, cut] } else { vec![after] };
        let expected: BTreeSet<String> = expected.iter().map(|n| format!("{n:?}")).collect();
        assert_eq!(cuts(&disk), expected);
        disk.play(&Event::Ended { thread: 3, result: Some(0) });
        assert!(disk.is_uncertain() == (later == 2));
    }
}

#[test]
fn other_calls_that_a_kill_interrupted_happened_where_the_files_show_it() {
    let start = folder(&[("old", file(b"")), ("gone", file(b""))]);
    let calls = [
        Call::Rename { from: "/r/old".into(), to: "/r/new".into() },
        Call::Remove { path: "/r/gone".into() },
        Call::MakeDir { path: "/r/folder".into() },
    ];
    let after = folder(&[("new", file(b"")), ("folder", folder(&[]))]);
    for real in [&start, &after] {
        let mut disk = disk(&start, Medium::Cached);
        for (thread, call) in (1..).zip(calls.clone()) {
            disk.play(&Event::Began { thread, call });
        }
        let lines = disk.ends_of_running(real);
        lines.iter().flat_map(|l| super::trace::events(l)).for_each(|event| disk.play(&event));
        assert_eq!(disk.live(), *real);
    }
}

#[test]
#[should_panic(expected = "does not know the call `fallocate`")]
fn an_unknown_call_is_not_passed_over() {
    let mut disk = disk(&folder(&[("f", file(b""))]), Medium::Cached);
    let paths = vec!["/r/f".to_owned()];
    call(&mut disk, Call::Unknown { name: "fallocate".into(), paths }, Some(0));
}
