//! What real archives have, and apt reads.

use rebuilder_actors::domain::sync::{Filter, FilterSpec};
use rebuilder_actors::port::{Doubt, IndexReader as _};
use rebuilder_actors::protocol::{IndexTrust, Sha256, Sha512, Waived};

use super::bare_test::{Bare, stanza};
use crate::packing::Packing;

#[tokio::test]
async fn one_version_as_two_files_is_two_artifacts() {
    let stanzas = [
        stanza("twice", "pool/twice_1_amd64.deb"),
        stanza("twice", "pool/b/twice_1_amd64.deb"),
        stanza("twice", "pool/twice_1_vendor.deb"),
        // The same once more is the same.
        stanza("twice", "pool/twice_1_amd64.deb"),
        stanza("once", "pool/once_1_amd64.deb"),
    ];
    let files = ["once 1 once_1_amd64.deb", "twice 1 twice_1_amd64.deb"];
    let expected = [files[0], files[1], files[1], "twice 1 twice_1_vendor.deb"];
    assert_eq!(Bare::new(stanzas.join("\n")).followed().await, expected);
}

fn two() -> [String; 2] {
    [stanza("one", "pool/one_1_amd64.deb"), stanza("two", "pool/two_1_amd64.deb")]
}

const BOTH: [&str; 2] = ["one 1 one_1_amd64.deb", "two 1 two_1_amd64.deb"];

#[tokio::test]
async fn paths_may_begin_as_people_write_them() {
    for before in ["./", "/", ".//", "././"] {
        let text = two().join("\n").replace("pool/two", &format!("{before}pool/two"));
        assert_eq!(Bare::new(text).followed().await, BOTH, "{before}");
    }
}

#[tokio::test]
async fn line_ends_and_stray_lines_are_not_of_the_packages() {
    let plain = two().join("\n");
    let [one, two] = two();
    for text in [
        plain.replace('\n', "\r\n"),
        format!("\u{feff}{plain}"),
        format!("\n\r\n\n{one}\n\r\n{two}"),
        format!("{one} \n more\n\n{two}\n\n\n"),
        format!("stray\n{one}<!-- stray -->\n\n# comment\n{two}"),
        plain.replace("Description: x", "Description: x\n \n text after a blank\nSection: misc"),
    ] {
        assert_eq!(Bare::new(&text).followed().await, BOTH, "{text:?}");
    }
}

#[tokio::test]
async fn names_of_people_may_have_any_encoding() {
    for people in
        [&b"Ren\xe9 <r@example.org>"[..], b"\x93\xfa\x96\x7b <jp@example.org>", b"\xff\xfe\0"]
    {
        let [one, two] = two();
        let (head, tail) = two.split_once("Jo Doe <jo@example.org>").unwrap();
        let uploaders = [b"Uploaders: ", people, b"\n"].concat();
        let text = [one.as_bytes(), b"\n", head.as_bytes(), people, tail.as_bytes(), &uploaders];
        let mut bare = Bare::new(text.concat());
        bare.fields = bare.fields.replace("Origin: Debian", "Origin: Debian\nLabel: x");
        assert_eq!(bare.followed().await, BOTH, "{people:?}");
        // What can be decoded of a name can be filtered by.
        let maintainers = vec!["Ren".to_owned(), "Jo".to_owned()];
        let spec = FilterSpec { maintainers, ..FilterSpec::default() };
        bare.settings.filter = Filter::new(&spec).unwrap();
        let count = if people.starts_with(b"Ren") { 2 } else { 1 };
        assert_eq!(bare.followed().await, BOTH[..count], "{people:?}");
    }
}

#[tokio::test]
async fn labels_of_a_release_may_have_any_encoding() {
    let bare = Bare::new(two().join("\n"));
    bare.publish();
    let release = std::fs::read(bare.folder().join("Release")).unwrap();
    let odd = b"Label: D\xe9p\xf4t\nDescription: \xff\n";
    bare.write("Release", [&odd[..], &release].concat());
    let (_, groups) = bare.read(None).await.unwrap();
    assert_eq!(groups.len(), 2);
}

#[tokio::test]
async fn any_packing_alone_will_do() {
    let text = two().join("\n");
    for packing in [Packing::Bzip2, Packing::Lzma, Packing::Lz4, Packing::Zstd, Packing::None] {
        for is_listed in [true, false] {
            let bare = Bare::new(&text);
            let plain = bare.folder().join("main/binary-amd64/Packages");
            if packing != Packing::None {
                let name = format!("main/binary-amd64/Packages{}", packing.suffix());
                bare.write(&name, packing.pack(text.as_bytes()));
                if !is_listed {
                    std::fs::remove_file(&plain).unwrap();
                }
            }
            bare.publish();
            if packing != Packing::None && is_listed {
                std::fs::remove_file(&plain).unwrap();
            }
            let (_, groups) = bare.read(None).await.unwrap_or_else(|e| panic!("{packing:?}: {e}"));
            assert_eq!(groups.len(), 2, "{packing:?}, listed: {is_listed}");
        }
    }
}

fn trusts(groups: &[rebuilder_actors::port::Group]) -> Waived {
    let waived = groups[0].index.waived();
    assert!(groups.iter().all(|group| group.index.waived() == waived));
    waived
}

#[tokio::test]
async fn a_release_without_a_date_is_followed_and_never_goes_back() {
    let [one, two] = two();
    let mut bare = Bare::new(&one);
    bare.fields = bare.fields.replace("Date: Sat, 01 Mar 2025 10:00:00 UTC\n", "");
    bare.publish();
    let read = bare.read(None).await.unwrap();
    let expected = Waived { date: true, ..Waived::default() };
    assert_eq!(trusts(&read.1), expected);
    assert_eq!(read.1[0].index, IndexTrust::HashOnlyWaiving(expected));
    let rebuilder_actors::port::IndexRead::Changed(first) = read.0 else { panic!("changed") };
    let reader = bare.reader();
    let _unchanged = reader
        .read(Some(&first), super::mirror_test::NOW, &mut |_| panic!("nothing changed"))
        .await
        .unwrap();
    let notes = reader.unread().notes;
    assert!(notes[0].contains("has no Date"), "{notes:?}");
    let old = std::fs::read(bare.folder().join("Release")).unwrap();
    bare.write("main/binary-amd64/Packages", [one.as_str(), &two].join("\n"));
    bare.publish();
    let read = bare.read(Some(&first)).await.unwrap();
    let rebuilder_actors::port::IndexRead::Changed(second) = read.0 else { panic!("changed") };
    bare.write("Release", old);
    bare.write("main/binary-amd64/Packages", &one);
    let error = bare.read(Some(&second)).await.unwrap_err().to_string();
    assert!(error.contains("was replaced by another one before"), "{error}");
    // From an index with a date there is no way to one without.
    let mut dated = second;
    dated.releases[0].date = super::mirror_test::NOW;
    let error = bare.read(Some(&dated)).await.unwrap_err().to_string();
    assert!(error.contains("it has no Date"), "{error}");
}

#[tokio::test]
async fn an_expired_release_is_followed_where_the_profile_says_so() {
    let mut bare = Bare::new(two().join("\n"));
    bare.fields += "Valid-Until: Sun, 02 Mar 2025 10:00:00 UTC\n";
    bare.publish();
    let error = bare.read(None).await.unwrap_err().to_string();
    assert!(error.contains("expired") && error.contains("check_valid_until"), "{error}");
    bare.settings.check_valid_until = false;
    let (_, groups) = bare.read(None).await.unwrap();
    assert_eq!(trusts(&groups), Waived { valid_until: true, ..Waived::default() });
    // One that is in time waives nothing.
    bare.fields = bare.fields.replace("02 Mar 2025", "02 Mar 2036").replace("Sun,", "");
    bare.publish();
    let (_, groups) = bare.read(None).await.unwrap();
    assert_eq!(groups[0].index, IndexTrust::HashOnly);
}

#[tokio::test]
async fn a_release_that_calls_itself_otherwise_needs_a_word() {
    let named = "Suite: test\nCodename: test\n";
    let mut bare = Bare::new(two().join("\n"));
    let fields = bare.fields.clone();
    for (other, accept, expected) in [
        ("Suite: oldtest\nCodename: tester\n", None, None),
        ("Suite: oldtest\nCodename: tester\n", Some("other"), None),
        ("Suite: oldtest\nCodename: tester\n", Some("oldtest"), Some(true)),
        ("Suite: oldtest\nCodename: tester\n", Some("tester"), Some(true)),
        ("Suite: oldtest\nCodename: test\n", Some("oldtest"), Some(false)),
        ("Codename: test\n", None, Some(false)),
        ("", None, Some(true)),
    ] {
        bare.fields = fields.replace(named, other);
        bare.settings.accept_suite = accept.into_iter().map(str::to_owned).collect();
        bare.publish();
        match (bare.read(None).await, expected) {
            (Ok((_, groups)), Some(suite)) => {
                assert_eq!(trusts(&groups), Waived { suite, ..Waived::default() }, "{other:?}");
            }
            (Err(error), None) => assert!(error.to_string().contains("accept_suite"), "{error}"),
            (read, _) => panic!("{other:?} {accept:?}: {read:?}"),
        }
    }
}

#[tokio::test]
async fn a_pinned_index_is_followed_and_no_other() {
    let mut bare = Bare::new(two().join("\n"));
    bare.fields = bare.fields.replace("Suite: test\nCodename: test\n", "");
    bare.publish();
    let digest = Sha256::of(&std::fs::read(bare.folder().join("Release")).unwrap());
    bare.settings.releases[0].pin = Some(digest);
    let (_, groups) = bare.read(None).await.unwrap();
    let expected = Waived { is_pinned: true, suite: true, ..Waived::default() };
    assert_eq!(trusts(&groups), expected);
    assert!(IndexTrust::SignedWaiving(expected).is_gate_grade());
    bare.settings.releases[0].pin = Some(Sha256::of(b"other"));
    let error = bare.read(None).await.unwrap_err().to_string();
    assert!(error.contains("the profile pins"), "{error}");
}

#[tokio::test]
async fn bad_stanzas_cost_themselves_up_to_a_share() {
    let bad =
        |n: usize| stanza(&format!("bad{n}"), "pool/x.deb").replace("Version: 1", "Version: 1_0");
    let all = |good: usize, count: usize| -> String {
        let good = (0..good).map(|n| stanza(&format!("good{n}"), &format!("pool/good{n}.deb")));
        good.chain((0..count).map(bad)).collect::<Vec<_>>().join("\n")
    };
    for (good, count, is_read) in [(1, 1, true), (30, 30, true), (30, 31, false), (0, 1, false)] {
        let bare = Bare::new(all(good, count));
        bare.publish();
        let reader = bare.reader();
        let mut artifacts = 0;
        let mut sink = |group: rebuilder_actors::port::Group| artifacts += group.artifacts.len();
        match reader.read(None, super::mirror_test::NOW, &mut sink).await {
            Ok(_) if is_read => {
                let unread = reader.unread();
                assert_eq!((artifacts, unread.stanzas), (good, count as u64));
                assert_eq!(unread.doubts.len(), count);
                assert!(unread.notes.len() <= 21);
                let first = &unread.notes[0];
                assert!(first.contains("binary-amd64/Packages: stanza at line "), "{first}");
                assert!(first.contains("package bad0: version \"1_0\""), "{first}");
            }
            Err(error) if !is_read => {
                assert!(error.to_string().contains("`unreadable_guard_percent`"), "{error}");
            }
            other => panic!("{good} {count}: {other:?}"),
        }
    }
    let mut bare = Bare::new(all(1, 9));
    bare.settings.unreadable_guard = 100;
    assert_eq!(bare.followed().await.len(), 1);
}

#[tokio::test]
async fn what_may_be_meant_by_a_bad_stanza_is_in_doubt() {
    let known = stanza("known", "pool/known.deb");
    let texts = [
        known.clone(),
        known.replace("Version: 1", "Version: 2_0"),
        stanza("lost", "pool/../lost.deb"),
        known.replace("Package: known\n", ""),
        // Of no architecture that is followed.
        stanza("foreign", "../x").replace("amd64", "riscv64"),
        stanza("other", "pool/other.deb"),
    ];
    let bare = Bare::new(texts.join("\n"));
    bare.publish();
    let reader = bare.reader();
    let _read = reader.read(None, super::mirror_test::NOW, &mut |_| {}).await.unwrap();
    let doubt = |package: Option<&str>| Doubt {
        release: Some("test".into()),
        package: package.map(Into::into),
    };
    let unread = reader.unread();
    assert_eq!(unread.doubts, [doubt(None), doubt(Some("lost"))]);
    assert_eq!(unread.stanzas, 3);
}

#[tokio::test]
async fn a_release_may_name_its_files_by_sha512_alone() {
    let digest: fn(&[u8]) -> String = |bytes| Sha512::of(bytes).to_string();
    for by_hash in [false, true] {
        let mut bare = Bare::new(two().join("\n"));
        bare.publish_by("SHA512", digest);
        if by_hash {
            let bytes = std::fs::read(bare.folder().join("main/binary-amd64/Packages")).unwrap();
            bare.fields.push_str("Acquire-By-Hash: yes\n");
            bare.publish_by("SHA512", digest);
            // apt's order: the file may have been replaced under its plain name already.
            bare.write("main/binary-amd64/Packages", "later");
            bare.write(&format!("main/binary-amd64/by-hash/SHA512/{}", digest(&bytes)), &bytes);
        }
        let (_, groups) = bare.read(None).await.unwrap();
        assert_eq!(groups.len(), 2);
        // From the cache as well.
        assert_eq!(bare.read(None).await.unwrap().1.len(), 2);
    }
    let bare = Bare::new(two().join("\n"));
    for (kind, wrong) in [
        (
            "SHA512",
            (|bytes| Sha512::of(&[bytes, b"x"].concat()).to_string()) as fn(&[u8]) -> String,
        ),
        ("SHA512", |bytes| Sha256::of(bytes).to_string()),
        ("SHA1", digest),
    ] {
        bare.publish_by(kind, wrong);
        assert!(bare.read(None).await.is_err(), "{kind}");
    }
}
