use std::io::{BufReader, Read, Seek, SeekFrom};

use super::Paragraph;
use crate::distribution::Identity;
use crate::packing::Packing;

/// Reads the `control` of a `.deb` or `.udeb` (deb(5)), which stands before the packed content: a
/// few kilobytes are read. The file may be hostile: what is read of it and unpacked is bounded.
/// `None`: it is no such package, or says too little of itself.
pub(crate) fn identity<F: Read + Seek>(file: &mut F) -> Option<Identity> {
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).ok()?;
    if magic != *MAGIC {
        return None;
    }
    for _ in 0..MEMBERS_MAX {
        let (name, size) = member(file)?;
        if let Some(suffix) = name.strip_prefix("control.tar") {
            let packed = BufReader::new(file.take(size));
            let mut tar = Packing::of_suffix(suffix)?.unpack(packed).ok()?.take(CONTROL_BYTES_MAX);
            let paragraph = Paragraph::parse(&control(&mut tar)?).ok()?;
            let word = |field| Some(paragraph.get(field).ok()??.to_owned());
            return Some(Identity {
                package: word("Package")?,
                version: word("Version")?,
                architecture: word("Architecture")?,
            });
        }
        // Members are padded to an even length.
        let padded = i64::try_from(size.checked_add(size % 2)?).ok()?;
        file.seek(SeekFrom::Current(padded)).ok()?;
    }
    None
}

/// Name and size of the next member of an `ar` archive.
fn member(file: &mut impl Read) -> Option<(String, u64)> {
    let mut header = [0; 60];
    file.read_exact(&mut header).ok()?;
    if header[58..] != *b"`\n" {
        return None;
    }
    let text = |bytes: &[u8]| Some(core::str::from_utf8(bytes).ok()?.trim_end().to_owned());
    // GNU's `ar` ends names with a slash.
    let name = text(&header[..16])?.trim_end_matches('/').to_owned();
    Some((name, text(&header[48..58])?.parse().ok()?))
}

/// The file `control` of a tar archive.
fn control(tar: &mut impl Read) -> Option<Vec<u8>> {
    loop {
        let mut header = [0; 512];
        tar.read_exact(&mut header).ok()?;
        let end = header[..100].iter().position(|byte| *byte == 0).unwrap_or(100);
        let size = core::str::from_utf8(&header[124..136]).ok()?;
        let size = u64::from_str_radix(size.trim_matches(['\0', ' ']), 8).ok()?;
        let is_file = matches!(header[156], b'0' | 0);
        let is_it = matches!(&header[..end], b"./control" | b"control");
        if is_file && is_it {
            let mut text = Vec::new();
            tar.take(size).read_to_end(&mut text).ok()?;
            return (text.len() as u64 == size).then_some(text);
        }
        let padded = size.checked_next_multiple_of(512)?;
        let skipped = std::io::copy(&mut tar.take(padded), &mut std::io::sink()).ok()?;
        if skipped != padded {
            return None;
        }
    }
}

const MAGIC: &[u8; 8] = b"!<arch>\n";
/// Members before `control.tar`: `debian-binary`, and what signs the package.
const MEMBERS_MAX: usize = 16;
/// Unpacked `control.tar` as far as it is read; those with the longest scripts have about 1 MiB.
const CONTROL_BYTES_MAX: u64 = 16 << 20;

/// Packages as `dpkg-deb` makes them, without content, for tests.
#[cfg(test)]
pub(crate) mod made {
    use std::io::Write as _;

    /// A package with this `control`, packed by `xz`, and `rest` behind it.
    pub(crate) fn deb(control: &str, rest: &[u8]) -> Vec<u8> {
        let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 6);
        packed.write_all(&tar("./control", control.as_bytes())).unwrap();
        let control = packed.finish().unwrap();
        let members = [("debian-binary", &b"2.0\n"[..]), ("control.tar.xz", &control)];
        ar(&[&members[..], &[("data.tar", rest)]].concat())
    }

    /// A package of this name, version and architecture.
    pub(crate) fn package(name: &str, version: &str, architecture: &str, rest: &[u8]) -> Vec<u8> {
        let fields = format!("Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n");
        deb(&(fields + "Maintainer: Ren\u{e9} <r@example.org>\n"), rest)
    }

    pub(crate) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = super::MAGIC.to_vec();
        for (name, content) in members {
            let size = content.len();
            writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`", 0, 0, 0, 100_644)
                .unwrap();
            bytes.extend_from_slice(content);
            bytes.extend((size % 2 == 1).then_some(b'\n'));
        }
        bytes
    }

    pub(crate) fn tar(name: &str, content: &[u8]) -> Vec<u8> {
        let mut header = vec![0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        let size = format!("{:011o}\0", content.len());
        header[124..136].copy_from_slice(size.as_bytes());
        header[156] = b'0';
        let mut all = [header, content.to_vec()].concat();
        all.resize(all.len().next_multiple_of(512), 0);
        all
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use proptest::prelude::*;

    use super::made::{ar, deb, package, tar};
    use super::*;

    fn read(bytes: &[u8]) -> Option<(String, String, String)> {
        let found = identity(&mut Cursor::new(bytes))?;
        Some((found.package, found.version, found.architecture))
    }

    fn expected() -> Option<(String, String, String)> {
        Some(("epoch".to_owned(), "1:2".to_owned(), "all".to_owned()))
    }

    const CONTROL: &str = "Package: epoch\nVersion: 1:2\nArchitecture: all\n";

    #[test]
    fn packages_say_what_they_are() {
        assert_eq!(read(&package("epoch", "1:2", "all", b"")), expected());
        let latin = b"Package: epoch\nVersion: 1:2\nArchitecture: all\nMaintainer: Ren\xe9\n";
        for (suffix, packed) in [
            ("", tar("control", latin)),
            (".zst", zstd::stream::encode_all(&*tar("./control", latin), 3).unwrap()),
            (".gz", {
                let mut to = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                let first = tar("./postinst", &[b'#'; 700]);
                to.write_all(&[first, tar("./control", latin)].concat()).unwrap();
                to.finish().unwrap()
            }),
        ] {
            let name = format!("control.tar{suffix}");
            let bytes = ar(&[("debian-binary", b"2.0\n"), ("_signed", b"odd"), (&name, &packed)]);
            assert_eq!(read(&bytes), expected(), "{name}");
        }
    }

    #[test]
    fn what_is_no_package_says_nothing() {
        let whole = deb(CONTROL, b"");
        for bytes in [&b""[..], b"!<arch>\n", b"same", &whole[..whole.len() / 2]] {
            assert_eq!(read(bytes), None);
        }
        assert_eq!(read(&deb("Package: a\nVersion: 1\n", b"")), None);
        assert_eq!(read(&ar(&[("control.tar.rar", b"x")])), None);
        let bomb = zstd::stream::encode_all(&*tar("./x", &vec![0; 20 << 20]), 3).unwrap();
        let long = [&bomb[..], &zstd::stream::encode_all(&*tar("./control", b""), 3).unwrap()];
        assert_eq!(read(&ar(&[("control.tar.zst", &long.concat())])), None);
    }

    proptest! {
        #[test]
        fn damage_is_survived(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = package("epoch", "1:2", "all", b"data");
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _either = read(&bytes);
        }
    }
}
