use super::*;

/// `bytes` of one letter, packed.
fn pack(packing: Packing, bytes: usize) -> Vec<u8> {
    packing.pack(&vec![b'x'; bytes])
}

/// Bytes that are read of an index whose unpacked form the release does not list, and how reading
/// ended.
fn read(packing: Packing, packed: &[u8]) -> (u64, std::io::Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    std::fs::write(&path, packed).unwrap();
    let bytes_max = unlisted_max(packed.len() as u64);
    let index = LocalIndex { path, url: "http://mirror.example.org/x".into(), packing, bytes_max };
    let mut content = index.open().unwrap();
    let (mut read, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return (read, Ok(())),
            Ok(n) => read += n as u64,
            Err(error) => return (read, Err(error)),
        }
    }
}

#[test]
fn a_bomb_ends_at_a_hundred_times_its_size() {
    let bytes = usize::try_from(UNLISTED_BYTES_MIN).unwrap() + (1 << 20);
    for packing in [Packing::Zstd, Packing::Xz, Packing::Gzip] {
        let bomb = pack(packing, bytes);
        // A thousand times and more, but for gzip's least effort.
        assert!(bomb.len() * 100 < bytes, "{packing:?}: {}", bomb.len());
        let (read, ended) = read(packing, &bomb);
        let why = ended.unwrap_err().to_string();
        assert!(why.contains("more bytes than announced"), "{packing:?}: {why}");
        assert!(read <= unlisted_max(bomb.len() as u64), "{packing:?}: {read}");
    }
}

#[test]
fn a_bomb_in_pieces_ends_as_well() {
    // Each member of a file of several is small.
    let bomb: Vec<u8> = std::iter::repeat_n(pack(Packing::Gzip, 1 << 20), 17).flatten().collect();
    let (read, ended) = read(Packing::Gzip, &bomb);
    assert!(ended.is_err() && read <= UNLISTED_BYTES_MIN, "{read}");
}

#[test]
fn a_small_regular_index_is_read_whole() {
    let bytes = usize::try_from(UNLISTED_BYTES_MIN).unwrap();
    for packing in [Packing::Zstd, Packing::Xz, Packing::Gzip] {
        let (read, ended) = read(packing, &pack(packing, bytes));
        assert!(ended.is_ok() && read == UNLISTED_BYTES_MIN, "{packing:?}: {read}");
    }
}

#[test]
fn the_bound_is_a_hundred_times_between_its_ends() {
    for (packed, expected) in [
        (0, UNLISTED_BYTES_MIN),
        (1000, UNLISTED_BYTES_MIN),
        (1 << 20, 100 << 20),
        (PACKED_BYTES_MAX, UNPACKED_BYTES_MAX),
        (u64::MAX, UNPACKED_BYTES_MAX),
    ] {
        assert_eq!(unlisted_max(packed), expected, "{packed}");
    }
}
