use rebuilder_actors::domain::sync::{FilterSpec, IncludeSpec};
use rebuilder_actors::port::IndexRead;
use rebuilder_actors::protocol::{Archive, BuildInput, IndexTrust, Sha256};

use super::mirror_test::*;
use super::*;

/// One source with native and `all` packages, one rebuilt binary, one without its source.
fn archive() -> Mirror {
    let mirror = Mirror::new();
    mirror.source("hello", "1.0-1");
    mirror.deb("main", "hello_1.0-1_amd64.deb", "");
    mirror.deb("main", "hello-doc_1.0-1_all.deb", "Source: hello\n");
    mirror.source("libfoo", "2%3a2.0".replace("%3a", "~").as_str());
    mirror.deb("main", "libfoo1_2~2.0+b3_amd64.deb", "Source: libfoo (2~2.0)\n");
    mirror.deb("main", "libfoo-dev_2~2.0_all.deb", "Source: libfoo\n");
    mirror.deb("main", "orphan_1%3a3_amd64.deb", "");
    mirror.deb("main", "hello_1.0-1_arm64.deb", "");
    mirror
}

#[tokio::test]
async fn a_suite_is_read_whole_in_every_packing() {
    let mirror = archive();
    for packing in [".xz", ".gz", ".zst", ""] {
        mirror.publish("stable", DATE, packing);
        if !packing.is_empty() {
            // Only the packed files are there, as in real archives.
            let base = mirror.path("archive/dists/stable/main");
            std::fs::remove_file(base.join("binary-amd64/Packages")).unwrap();
            std::fs::remove_file(base.join("source/Sources")).unwrap();
        }
        let _ = std::fs::remove_dir_all(mirror.path("cache"));
        let (state, groups) = read_new(&mirror.reader(mirror.settings(&["stable"]))).await;
        assert_eq!(
            lines(&groups),
            [
                "hello 1.0-1 amd64 suite: hello-doc_1.0-1_all.deb hello_1.0-1_amd64.deb",
                "libfoo 2~2.0 all suite: libfoo-dev_2~2.0_all.deb",
                "libfoo 2~2.0+b3 amd64 suite: libfoo1_2~2.0+b3_amd64.deb",
                "orphan 1:3 amd64 suite: orphan_1_3_amd64.deb",
            ],
            "{packing}"
        );
        assert_eq!(state.releases.len(), 1);
        assert_eq!(state.releases[0].name, "stable");
    }
}

#[tokio::test]
async fn groups_carry_what_a_build_needs() {
    let mirror = archive();
    mirror.publish("stable", DATE, ".xz");
    let mut settings = mirror.settings(&["stable"]);
    settings.snapshots = vec!["http://snapshot.example.org".to_owned()];
    let (state, groups) = read_new(&mirror.reader(settings)).await;
    let hello = &groups[0];
    let base = format!("file://{}", mirror.base());
    assert_eq!(
        *hello.archives,
        [
            Archive::Suite {
                url: base.as_str().into(),
                suite: "stable".into(),
                components: vec!["main".into()]
            },
            Archive::Snapshot { url: "http://snapshot.example.org".into() },
        ]
    );
    let inrelease = std::fs::read(mirror.path("archive/dists/stable/InRelease")).unwrap();
    assert_eq!(hello.index_sha256, Some(Sha256::of(&inrelease)));
    assert_eq!(state.releases[0].sha256, Sha256::of(&inrelease));
    assert_eq!(hello.index, IndexTrust::Signed);
    assert_eq!(hello.release.as_deref(), Some("stable"));
    let dsc = std::fs::read(mirror.path("archive/pool/main/hello_1.0-1.dsc")).unwrap();
    let source = hello.source_file.as_ref().unwrap();
    assert_eq!(&*source.url, format!("{base}/pool/main/hello_1.0-1.dsc"));
    assert_eq!((source.size, source.sha256), (Some(dsc.len() as u64), Some(Sha256::of(&dsc))));
    let deb = std::fs::read(mirror.path("archive/pool/main/hello_1.0-1_amd64.deb")).unwrap();
    let artifact = &hello.artifacts[1];
    assert_eq!(&*artifact.url, format!("{base}/pool/main/hello_1.0-1_amd64.deb"));
    assert_eq!(artifact.sha256, Some(Sha256::of(&deb)));
    assert_eq!(artifact.component.as_deref(), Some("main"));
    // A binNMU is built from the source of the version without the suffix.
    assert!(groups[2].source_file.as_ref().unwrap().url.ends_with("/libfoo_2~2.0.dsc"));
    assert_eq!(groups[3].source_file, None);
}

#[tokio::test]
async fn recorded_builds_are_one_for_each_architecture() {
    let mirror = archive();
    mirror.publish("stable", DATE, ".xz");
    let mut settings = mirror.settings(&["stable"]);
    let base = "http://buildinfos.example.org/pool".to_owned();
    settings.environment = Environment::Recorded { buildinfo_url: base };
    let (_, groups) = read_new(&mirror.reader(settings.clone())).await;
    let urls: Vec<_> = groups
        .iter()
        .map(|group| match &group.input {
            BuildInput::Recorded { url, sha256: None } => &**url,
            other => panic!("{other:?}"),
        })
        .collect();
    let at = |rest: &str| format!("http://buildinfos.example.org/pool/{rest}");
    assert_eq!(
        urls,
        [
            at("h/hello/hello_1.0-1_amd64.buildinfo"),
            at("h/hello/hello_1.0-1_all.buildinfo"),
            at("libf/libfoo/libfoo_2~2.0_all.buildinfo"),
            at("libf/libfoo/libfoo_2~2.0+b3_amd64.buildinfo"),
            at("o/orphan/orphan_3_amd64.buildinfo"),
        ]
    );
    assert_eq!(
        lines(&groups)[1],
        "hello 1.0-1 all hello_1.0-1_all.buildinfo: hello-doc_1.0-1_all.deb"
    );

    // Where a local folder tells that nothing was recorded, the suite is assumed.
    let infos = mirror.path("infos/hello");
    std::fs::create_dir_all(&infos).unwrap();
    std::fs::write(infos.join("1.0-1-amd64"), "").unwrap();
    settings.environment = Environment::RecordedOrSuite {
        buildinfo_url: format!(
            "{}/{{source}}/{{version}}-{{architecture}}",
            mirror.path("infos").display()
        ),
    };
    let (_, groups) = read_new(&mirror.reader(settings)).await;
    let inputs: Vec<_> = groups.iter().map(|group| &*group.input_name).collect();
    assert_eq!(inputs, ["hello_1.0-1_amd64.buildinfo", "suite", "suite", "suite", "suite"]);
}

#[tokio::test]
async fn filters_choose_by_name_source_and_everybody_who_maintains() {
    let mirror = archive();
    mirror.publish("stable", DATE, ".xz");
    let mut settings = mirror.settings(&["stable"]);
    let rule = |rule| FilterSpec { include: vec![rule], ..FilterSpec::default() };
    let source = IncludeSpec {
        source_pkgs: vec!["lib*".to_owned()],
        binary_pkgs: vec!["*1".to_owned()],
        ..IncludeSpec::default()
    };
    let maintained =
        |name: &str| FilterSpec { maintainers: vec![name.to_owned()], ..FilterSpec::default() };
    for (spec, count) in [
        (rule(source), 1),
        (maintained("Jo Doe <jo@"), 5),
        // Of `Sources` only: the package without source has none.
        (maintained("Up Loader"), 4),
        (maintained("Nobody"), 0),
        (FilterSpec { excludes: vec!["hello*".to_owned()], ..FilterSpec::default() }, 3),
    ] {
        settings.filter = filter(&spec);
        let (_, groups) = read_new(&mirror.reader(settings.clone())).await;
        let artifacts: usize = groups.iter().map(|group| group.artifacts.len()).sum();
        assert_eq!(artifacts, count, "{spec:?}");
    }
}

#[tokio::test]
async fn architectures_and_components_are_followed_as_listed() {
    let mirror = archive();
    mirror.deb("main+debian-installer", "hello-udeb_1.0-1_amd64.udeb", "Source: hello\n");
    mirror.publish("stable", DATE, ".xz");
    let mut settings = mirror.settings(&["stable"]);
    settings.components = vec!["main/debian-installer".to_owned()];
    settings.components.push("main".to_owned());
    settings.architectures = vec!["amd64".to_owned()];
    let (_, groups) = read_new(&mirror.reader(settings.clone())).await;
    assert_eq!(
        lines(&groups)[0],
        "hello 1.0-1 amd64 suite: hello-udeb_1.0-1_amd64.udeb hello_1.0-1_amd64.deb"
    );
    assert_eq!(groups[0].artifacts[0].component.as_deref(), Some("main/debian-installer"));
    let Archive::Suite { components, .. } = &groups[0].archives[0] else { panic!("no suite") };
    assert_eq!(**components, ["main".into()]);

    // Where `all` is not announced its packages are with the others: its own file is not read.
    mirror.release("stable", DATE, "Suite: stable\nArchitectures: amd64 arm64\n");
    mirror.sign("stable", "signer");
    let separate = mirror.path("archive/dists/stable/main/binary-all");
    std::fs::rename(&separate, mirror.path("away")).unwrap();
    settings.architectures.push("all".to_owned());
    let (_, groups) = read_new(&mirror.reader(settings.clone())).await;
    assert_eq!(groups[0].artifacts.len(), 3);
    std::fs::rename(mirror.path("away"), &separate).unwrap();

    settings.architectures = vec!["all".to_owned()];
    let (_, groups) = read_new(&mirror.reader(settings.clone())).await;
    assert_eq!(lines(&groups).len(), 2);
    assert!(groups.iter().all(|group| &*group.architecture == "all"));

    settings.architectures = vec!["arm64".to_owned(), "all".to_owned(), "amd64".to_owned()];
    let (_, groups) = read_new(&mirror.reader(settings)).await;
    assert_eq!(
        lines(&groups)[..2],
        [
            "hello 1.0-1 arm64 suite: hello-doc_1.0-1_all.deb hello_1.0-1_arm64.deb",
            "hello 1.0-1 amd64 suite: hello-udeb_1.0-1_amd64.udeb hello_1.0-1_amd64.deb",
        ]
    );
}

#[tokio::test]
async fn by_hash_is_asked_for_first_and_the_name_next() {
    let mirror = archive();
    mirror.index("stable", ".xz");
    mirror.release("stable", DATE, "Suite: stable\nAcquire-By-Hash: yes\n");
    mirror.sign("stable", "signer");
    let reader = mirror.reader(mirror.settings(&["stable"]));
    assert_eq!(read_new(&reader).await.1.len(), 4);

    // The archive moves on under the reader's feet: the named file is of tomorrow.
    std::fs::remove_dir_all(mirror.path("cache")).unwrap();
    let folder = mirror.path("archive/dists/stable/main/binary-amd64");
    let bytes = std::fs::read(folder.join("Packages.xz")).unwrap();
    std::fs::write(folder.join("Packages.xz"), "tomorrow").unwrap();
    let plain = std::fs::read(folder.join("Packages")).unwrap();
    std::fs::remove_file(folder.join("Packages")).unwrap();
    let error = read(&reader, None).await.unwrap_err().to_string();
    assert!(error.contains("Packages.xz: the release names"), "{error}");
    // Another packing may still be of today.
    std::fs::write(folder.join("Packages"), plain).unwrap();
    assert_eq!(read_new(&reader).await.1.len(), 4);
    std::fs::remove_file(folder.join("Packages")).unwrap();
    std::fs::remove_dir_all(mirror.path("cache")).unwrap();
    std::fs::create_dir_all(folder.join("by-hash/SHA256")).unwrap();
    let named = folder.join("by-hash/SHA256").join(Sha256::of(&bytes).to_string());
    std::fs::write(named, bytes).unwrap();
    assert_eq!(read_new(&reader).await.1.len(), 4);
}

#[tokio::test]
async fn nothing_is_read_again_while_nothing_changes() {
    let mirror = archive();
    mirror.publish("stable", DATE, ".xz");
    let settings = mirror.settings(&["stable"]);
    let reader = mirror.reader(settings.clone());
    let (state, _) = read_new(&reader).await;
    // Not even looked at: it would be refused.
    std::fs::remove_dir_all(mirror.path("archive/dists/stable/main")).unwrap();
    let (again, groups) = read(&reader, Some(&state)).await.unwrap();
    assert_eq!((again, groups.len()), (IndexRead::Unchanged, 0));

    // Other settings need the whole again, which the cache still has.
    let narrower = DebianSettings { architectures: vec!["amd64".to_owned()], ..settings };
    let (changed, groups) = read(&mirror.reader(narrower), Some(&state)).await.unwrap();
    assert!(matches!(changed, IndexRead::Changed(_)));
    assert_eq!(groups.len(), 3);
}

#[tokio::test]
async fn of_several_suites_only_the_newest_is_followed() {
    let mirror = archive();
    mirror.publish("bookworm", DATE, ".xz");
    mirror.source("hello", "1.0-1+deb12u1");
    mirror.deb("main", "hello_1.0-1+deb12u1_amd64.deb", "");
    mirror.publish("bookworm-security", DATE, ".gz");
    // A stranger with the same name of a suite.
    mirror.deb("main", "stranger_9_amd64.deb", "");
    mirror.index("bookworm-updates", ".xz");
    mirror.release("bookworm-updates", DATE, "Suite: bookworm-updates\n");
    mirror.edit("dists/bookworm-updates/Release", |text| {
        text.replace("Origin: Debian", "Origin: Stranger")
    });
    mirror.sign("bookworm-updates", "signer");
    std::fs::create_dir_all(mirror.path("etc")).unwrap();
    std::fs::write(mirror.path("os-release"), "ID=debian\nVERSION_CODENAME=bookworm\n").unwrap();
    let base = mirror.base();
    let keyring = mirror.path("signer.gpg");
    let list = format!(
        "deb [signed-by={0}] file:{base} bookworm main\n\
         deb [signed-by={0}] file:{base} bookworm-updates bookworm-updates main\n\
         deb [signed-by={0}] file:{base} bookworm-security main\n\
         deb [signed-by={0}] file:{base} bookworm-backports main\n",
        keyring.display()
    );
    std::fs::write(mirror.path("etc/sources.list"), list).unwrap();
    let mut settings = mirror.settings(&[]);
    settings.source = "apt".to_owned();
    settings.components = Vec::new();
    settings.keyring = None;
    settings.check_signature = true;
    let reader = mirror.reader(settings.clone());
    let (state, groups) = read_new(&reader).await;
    assert_eq!(
        lines(&groups)[..2],
        [
            "hello 1.0-1 all suite: hello-doc_1.0-1_all.deb",
            "hello 1.0-1+deb12u1 amd64 suite: hello_1.0-1+deb12u1_amd64.deb",
        ]
    );
    assert_eq!(groups.len(), 5);
    assert!(groups.iter().all(|group| group.release.as_deref() == Some("bookworm")));
    assert_eq!(groups[0].archives.len(), 3);
    assert_ne!(groups[0].index_sha256, groups[1].index_sha256);
    assert_eq!(state.releases.len(), 3);
    assert_eq!(read(&reader, Some(&state)).await.unwrap().0, IndexRead::Unchanged);

    settings.releases =
        vec![Release { name: "bookworm-security".to_owned(), source: None, pin: None }];
    let (_, groups) = read_new(&mirror.reader(settings.clone())).await;
    assert!(groups.iter().all(|group| group.release.as_deref() == Some("bookworm-security")));
    settings.releases = vec![Release { name: "sid".to_owned(), source: None, pin: None }];
    let error = read(&mirror.reader(settings), None).await.unwrap_err().to_string();
    assert!(error.contains("apt is not configured for suite sid"), "{error}");
}
