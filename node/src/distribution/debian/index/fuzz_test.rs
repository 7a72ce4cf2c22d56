//! Bytes that nobody means, for as long as `FUZZ_SECS` says: `make fuzz`.
//!
//! Each test mutates a small corpus of real forms and keeps some of what it made. A panic fails the
//! test and names the file with the input.

use core::time::Duration;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use rebuilder_actors::port::Clock as _;
use rebuilder_actors::port::Monotonic;
use rebuilder_actors::protocol::UtcMillis;
use rebuilder_actors::protocol::wire::{self, v1};

use super::bare_test::stanza;
use super::packages::{Binaries, Wanted};
use super::release::ReleaseFile;
use super::sources::Sources;
use super::verify::unverified_text;
use crate::clock::SystemClock;
use crate::distribution::debian::format::{Buildinfo, SourceControl, identity, made};

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What formats give a meaning to.
const WORDS: [&[u8]; 24] = [
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\n \n",
    b" ",
    b"\t",
    b":",
    b"(",
    b")",
    b"=",
    b",",
    b"\"",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"..",
    b"/",
    b"-1",
    b"18446744073709551616",
    b"\n- ",
    b"#",
    b"-----BEGIN PGP SIGNED MESSAGE-----\n\n",
    b"\n-----BEGIN PGP SIGNATURE-----\n",
    b"\x80\x80",
];

struct Fuzz {
    random: ChaCha8Rng,
    corpus: Vec<Vec<u8>>,
    first: usize,
}

impl Fuzz {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.next_u64() % bound.max(1) as u64).expect("below a usize")
    }

    fn input(&mut self) -> Vec<u8> {
        let n = self.below(self.corpus.len());
        let mut bytes = self.corpus[n].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(40)).min(bytes.len());
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                3 | 4 => {
                    let n = self.below(WORDS.len());
                    bytes.splice(at..at, WORDS[n].iter().copied());
                }
                5 => {
                    let other = self.below(self.corpus.len());
                    let from = self.below(self.corpus[other].len() + 1);
                    let tail = self.corpus[other][from..].to_vec();
                    bytes.splice(at.., tail);
                }
                _ => bytes.truncate(at),
            }
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }
}

/// Gives inputs to `target` until the time is up.
fn run(name: &str, corpus: Vec<Vec<u8>>, target: impl Fn(&[u8])) {
    let number = |name: &str, usual: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    let clock = SystemClock::new();
    // Another run tries other inputs; the seed of one that failed is printed with it.
    let seed = number("FUZZ_SEED", clock.utc().0.unsigned_abs());
    let until = Monotonic(Duration::from_secs(number("FUZZ_SECS", 600)));
    let first = corpus.len();
    let mut fuzz = Fuzz { random: ChaCha8Rng::seed_from_u64(seed), corpus, first };
    fuzz.corpus.clone().iter().for_each(|input| target(input));
    let mut count = 0_u64;
    while clock.monotonic() < until {
        for _ in 0..256 {
            let input = fuzz.input();
            if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
                let path = std::env::temp_dir().join(format!("fuzz-{name}-{seed}.input"));
                std::fs::write(&path, &input).expect("the input can be kept");
                panic!("{name} panics (FUZZ_SEED={seed}): {}", path.display());
            }
            count += 1;
            // Of the newest a few, so that faults can build on each other.
            if fuzz.below(64) == 0 {
                match fuzz.corpus.len() {
                    length if length < fuzz.first + KEPT_MAX => fuzz.corpus.push(input),
                    length => {
                        let n = fuzz.first + fuzz.below(length - fuzz.first);
                        fuzz.corpus[n] = input;
                    }
                }
            }
        }
    }
    assert!(count > 0);
    {
        eprintln!("{name}: {count} inputs, FUZZ_SEED={seed}");
    }
}

#[test]
#[ignore = "make fuzz"]
fn fuzz_control_files() {
    let packages = stanza("one", "pool/one.deb") + "\n" + &stanza("two", "./pool/two.deb");
    let sources = format!(
        "Package: b\nVersion: 2\nDirectory: pool/b\nMaintainer: M <m@x>\n\
         Uploaders: U <u@x>,\n V <v@x>\nChecksums-Sha256:\n \
         {DIGEST} 1 b.tar.xz\n {DIGEST} 9 b_2.dsc\n\nPackage: a\nVersion: 1:1\n"
    );
    let wanted =
        Wanted { architectures: vec!["amd64".to_owned()], maintainers: true, packages_max: 99 };
    let corpus =
        vec![packages.clone().into_bytes(), sources.into(), packages.replace('\n', "\r\n").into()];
    run("control files", corpus, |bytes| {
        if let Ok(read) = Binaries::read(&mut &*bytes, "u", &wanted) {
            assert!(read.rows.len() as u64 + read.unread.len() as u64 <= read.stanzas);
        }
        let _either = Sources::read(&mut &*bytes, "u", &wanted);
    });
}

#[test]
#[ignore = "make fuzz"]
fn fuzz_releases() {
    let release = format!(
        "Origin: Debian\nLabel: x\nSuite: stable\nCodename: bookworm\n\
         Date: Sat, 01 Mar 2025 10:00:00 UTC\nValid-Until: Sat, 08 Mar 2025 10:00:00 +0000\n\
         Acquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\n\
         Architectures: amd64 all\nComponents: main contrib\nSHA256:\n \
         {DIGEST} 12 main/binary-amd64/Packages\n \
         {DIGEST} 7 ./main/source/Sources.xz\n"
    );
    let signed = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{release}\
         -----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n"
    );
    run("releases", vec![release.into(), signed.into()], |bytes| {
        if let Ok(text) = unverified_text(bytes, "u")
            && let Ok(release) = ReleaseFile::parse(&text, "u")
        {
            let _either = release.check_expiry("u", true, UtcMillis(i64::MAX));
            let _either = release.has_component("main");
        }
    });
}

#[test]
#[ignore = "make fuzz"]
fn fuzz_dsc() {
    let dsc = format!(
        "Format: 3.0 (quilt)\nSource: hello\nBinary: hello\nVersion: 1:2.10-3\n\
         Maintainer: M <m@x>\nChecksums-Sha256:\n {DIGEST} 12 hello_2.10.orig.tar.gz\n \
         {DIGEST} 3 hello_2.10-3.debian.tar.xz\n"
    );
    run("dsc", vec![dsc.into()], |bytes| drop(SourceControl::parse(bytes)));
}

#[test]
#[ignore = "make fuzz"]
fn fuzz_buildinfo() {
    let record = format!(
        "Format: 1.0\nSource: libcap2 (1:2.66-4)\nBinary: libcap2\nArchitecture: amd64\n\
         Version: 1:2.66-4+b1\nBinary-Only-Changes:\n libcap2 (1:2.66-4+b1) x; urgency=low\n .\n   \
         * Binary-only.\n .\n  -- B <b@x>  Sat, 01 Mar 2025 10:00:00 +0000\n\
         Checksums-Sha256:\n {DIGEST} 9 libcap2_2.66_amd64.deb\nBuild-Architecture: amd64\n\
         Build-Path: /build/x-1/libcap2\nInstalled-Build-Depends:\n autoconf (= 2.71-3),\n \
         gcc-12:i386 (= 12.2.0-14)\nEnvironment:\n LC_ALL=\"C.UTF-8\"\n \
         SOURCE_DATE_EPOCH=\"1740000000\"\n"
    );
    run("buildinfo", vec![record.into()], |bytes| drop(Buildinfo::parse(bytes)));
}

#[test]
#[ignore = "make fuzz"]
fn fuzz_packages() {
    let corpus = vec![
        made::package("epoch", "1:2", "all", b"data"),
        made::ar(&[("control.tar", &made::tar("./control", b"Package: a\nVersion: 1\n"))]),
    ];
    run("packages", corpus, |bytes| drop(identity(&mut Cursor::new(bytes))));
}

#[test]
#[ignore = "make fuzz"]
fn fuzz_frames() {
    let corpus = vec![
        wire::encode(&v1::ctl::Request::Packages(v1::ctl::PackageFilter {
            name: Some("hello*".to_owned()),
            ..Default::default()
        }))
        .to_vec(),
        wire::encode(&v1::ctl::Request::Invite { ttl_secs: 600 }).to_vec(),
        vec![0; 64],
        (0..=255).collect(),
    ];
    run("frames", corpus, |bytes| {
        let _either = wire::decode::<wire::Hello>(bytes);
        let _either = wire::decode::<v1::ctl::Request>(bytes);
        let _either = wire::decode::<v1::ctl::Response>(bytes);
        let _either = wire::decode::<v1::worker::Message>(bytes);
        let _either = wire::decode::<v1::coordinator::Message>(bytes);
        let _either = wire::decode::<v1::upload::Start>(bytes);
        let _either = wire::decode::<v1::upload::Resume>(bytes);
    });
}

/// Of one input: a few stanzas.
const BYTES_MAX: usize = 16 * 1024;
/// Inputs that are kept besides those of the corpus.
const KEPT_MAX: usize = 64;
