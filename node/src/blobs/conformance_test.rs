//! Files do what every implementation of the ports must.

use rebuilder_actors::conformance;

use super::{FileContents, FileParts};
use crate::data_dir::DataDir;

#[test]
fn files_are_parts_and_contents() {
    let top = tempfile::tempdir().unwrap();
    let dir = DataDir::open(top.path()).unwrap();
    conformance::parts(&mut || Box::new(FileParts::open(&dir).unwrap()));
    conformance::contents(&mut || Box::new(FileContents::open(&dir).unwrap()));
    let left: Vec<_> = std::fs::read_dir(top.path().join("blobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.len() != 2)
        .collect();
    assert!(left.is_empty(), "half written: {left:?}");
}
