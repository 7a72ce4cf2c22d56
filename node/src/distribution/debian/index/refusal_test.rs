use base64::Engine as _;
use rebuilder_actors::port::{IndexError, IndexRead, IndexReader as _};
use rebuilder_actors::protocol::IndexTrust;

use super::mirror_test::*;

fn small() -> Mirror {
    let mirror = Mirror::new();
    mirror.source("hello", "1");
    for name in ["hello", "hello-a", "hello-b", "hello-c"] {
        let source = if name == "hello" { "" } else { "Source: hello\n" };
        mirror.deb("main", &format!("{name}_1_amd64.deb"), source);
    }
    mirror.publish("stable", DATE, ".xz");
    mirror
}

#[tokio::test]
async fn what_nobody_trusted_signed_is_refused() {
    let mirror = small();
    let settings = mirror.settings(&["stable"]);
    let reader = mirror.reader(settings.clone());
    let good = std::fs::read_to_string(mirror.path("archive/dists/stable/InRelease")).unwrap();

    mirror.edit("dists/stable/InRelease", |text| text.replace("Suite: stable", "Suite: stablE"));
    let error = read(&reader, None).await.unwrap_err();
    assert!(
        matches!(&error, IndexError::Signature { reason, .. } if reason.contains("wrong")),
        "{error}"
    );

    // Text before the signed part is not of the index, whatever it says.
    mirror.edit("dists/stable/InRelease", |_| format!("Origin: Evil\nSuite: evil\n\n{good}"));
    let (_, groups) = read_new(&reader).await;
    assert_eq!(groups[0].artifacts.len(), 4);

    mirror.make_key("other");
    mirror.sign("stable", "other");
    let error = read(&reader, None).await.unwrap_err();
    assert!(
        matches!(&error, IndexError::Signature { reason, .. } if reason.contains("other keys")),
        "{error}"
    );

    let mut missing = settings.clone();
    missing.keyring = Some(mirror.path("nowhere.gpg"));
    let error = read(&mirror.reader(missing), None).await.unwrap_err().to_string();
    assert!(error.contains("nowhere.gpg") && error.contains("keyring"), "{error}");

    let mut blind = settings;
    blind.check_signature = false;
    let (_, groups) = read_new(&mirror.reader(blind)).await;
    assert_eq!(groups[0].index, IndexTrust::HashOnly);
}

#[tokio::test]
async fn an_armoured_keyring_and_a_detached_signature_do() {
    let mirror = small();
    let mut settings = mirror.settings(&["stable"]);
    let key = std::fs::read(mirror.path("signer.gpg")).unwrap();
    let armour = base64::engine::general_purpose::STANDARD.encode(key);
    let text = format!(
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: x\n\n{armour}\n=AAAA\n\
         -----END PGP PUBLIC KEY BLOCK-----\n"
    );
    std::fs::write(mirror.path("signer.asc"), text).unwrap();
    settings.keyring = Some(mirror.path("signer.asc"));
    let reader = mirror.reader(settings);
    let (inline, _) = read_new(&reader).await;

    let folder = mirror.path("archive/dists/stable");
    std::fs::remove_file(folder.join("InRelease")).unwrap();
    let (to, from) = (folder.join("Release.gpg"), folder.join("Release"));
    let (to, from) = (to.to_str().unwrap(), from.to_str().unwrap());
    mirror.gpg("signer", &["--output", to, "--detach-sign", from]);
    let (state, groups) = read_new(&reader).await;
    assert_eq!(groups.len(), 1);
    assert_ne!(state, inline);
    assert_eq!(read(&reader, Some(&state)).await.unwrap().0, IndexRead::Unchanged);
    mirror.edit("dists/stable/Release", |text| text.replace("Codename: stable", "Codename: x"));
    assert!(matches!(read(&reader, None).await, Err(IndexError::Signature { .. })));
}

#[tokio::test]
async fn time_only_goes_forward() {
    let mirror = small();
    let reader = mirror.reader(mirror.settings(&["stable"]));
    let refused = async |since| match read(&reader, since).await {
        Err(IndexError::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    mirror.publish("stable", LATER, ".xz");
    let (state, _) = read_new(&reader).await;

    // Signed once more: the file differs, what it says does not.
    mirror.edit("dists/stable/Release", |text| text.clone() + "Description: x\n");
    mirror.edit("dists/stable/Release", |text| text.replace("Description: x\n", ""));
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    mirror.sign("stable", "signer");
    let (again, _) = read(&reader, Some(&state)).await.unwrap();
    let IndexRead::Changed(state) = again else { panic!("the file changed") };

    mirror.deb("main", "more_1_amd64.deb", "");
    mirror.publish("stable", LATER, ".xz");
    let reason = refused(Some(&state)).await;
    assert!(reason.contains("other content"), "{reason}");
    mirror.publish("stable", DATE, ".xz");
    let reason = refused(Some(&state)).await;
    assert!(reason.contains("2026-01-10T10:00:00Z is older than 2026-01-10T11:00:00Z"), "{reason}");

    let expiry = |until| format!("Suite: stable\nValid-Until: {until}\n");
    mirror.release("stable", LATER, &expiry("Sat, 10 Jan 2026 11:59:59 UTC"));
    mirror.sign("stable", "signer");
    let reason = refused(None).await;
    assert!(reason.starts_with("it expired at 2026-01-10T11:59:59Z"), "{reason}");
    mirror.release("stable", LATER, &expiry("Sat, 10 Jan 2026 12:00:01 UTC"));
    mirror.sign("stable", "signer");
    let (state, _) = read_new(&reader).await;

    // It expires even when nobody publishes anything.
    let later = NOW.plus(std::time::Duration::from_secs(2));
    let error = reader.read(Some(&state), later, &mut |_| {}).await;
    assert!(matches!(error, Err(IndexError::Refused { .. })));

    mirror.publish("stable", "Mon, 12 Jan 2026 12:00:00 UTC", ".xz");
    assert!(refused(None).await.contains("in the future"));
}

#[tokio::test]
async fn another_suite_component_or_architecture_is_refused() {
    let mirror = small();
    mirror.release("stable", DATE, "Suite: unstable\nCodename: sid\n");
    mirror.sign("stable", "signer");
    let settings = mirror.settings(&["stable"]);
    let error = read(&mirror.reader(settings.clone()), None).await.unwrap_err().to_string();
    assert!(error.contains("it is suite unstable, codename sid, not stable"), "{error}");

    let fields = "Suite: stable\nComponents: updates/main\nArchitectures: amd64\n";
    mirror.release("stable", DATE, fields);
    mirror.sign("stable", "signer");
    assert_eq!(read_new(&mirror.reader(settings.clone())).await.1.len(), 1);
    let mut typo = settings.clone();
    typo.components = vec!["mian".to_owned()];
    let error = read(&mirror.reader(typo), None).await.unwrap_err().to_string();
    assert!(error.contains("no component mian"), "{error}");
    let mut typo = settings.clone();
    typo.architectures = vec!["all".to_owned(), "amd46".to_owned()];
    let error = read(&mirror.reader(typo), None).await.unwrap_err().to_string();
    assert!(error.contains("no architecture amd46: it has amd64"), "{error}");
    let mut absent = settings;
    absent.releases[0].name = "nowhere".to_owned();
    let error = read(&mirror.reader(absent), None).await.unwrap_err();
    assert!(matches!(error, IndexError::Fetch { .. }), "{error}");
}

#[tokio::test]
async fn half_written_and_foreign_files_change_nothing() {
    let mirror = small();
    let reader = mirror.reader(mirror.settings(&["stable"]));
    let path = mirror.path("archive/dists/stable/main/binary-amd64/Packages.xz");
    std::fs::remove_file(path.with_extension("")).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut other = whole.clone();
    other[whole.len() / 2] ^= 1;
    for broken in [&whole[..whole.len() / 2], &other, b""] {
        std::fs::write(&path, broken).unwrap();
        let error = read(&reader, None).await.unwrap_err();
        assert!(
            matches!(&error, IndexError::Content { reason, .. } if reason.contains("names")),
            "{error}"
        );
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(read_new(&reader).await.1.len(), 1);

    // A cached file that rotted is fetched again.
    for file in std::fs::read_dir(mirror.path("cache")).unwrap() {
        for file in std::fs::read_dir(file.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[10] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
    }
    assert_eq!(read_new(&reader).await.1.len(), 1);
}

#[tokio::test]
async fn a_signed_index_may_still_not_lie_about_its_size() {
    let mirror = small();
    mirror.edit("dists/stable/Release", |text| {
        let length =
            std::fs::metadata(mirror.path("archive/dists/stable/main/binary-amd64/Packages"))
                .unwrap()
                .len();
        text.replace(
            &format!(" {length} main/binary-amd64/Packages\n"),
            " 9 main/binary-amd64/Packages\n",
        )
    });
    mirror.sign("stable", "signer");
    let error = read(&mirror.reader(mirror.settings(&["stable"])), None).await.unwrap_err();
    assert!(error.to_string().contains("more bytes than announced"), "{error}");
}

#[tokio::test]
async fn a_sudden_loss_of_packages_is_refused() {
    let mirror = small();
    let mut settings = mirror.settings(&["stable"]);
    let reader = mirror.reader(settings.clone());
    let (state, _) = read_new(&reader).await;
    for name in ["hello-a", "hello-b", "hello-c"] {
        std::fs::remove_file(mirror.path(&format!("archive/pool/main/{name}_1_amd64.deb")))
            .unwrap();
    }
    mirror.publish("stable", LATER, ".xz");
    let error = read(&reader, Some(&state)).await.unwrap_err().to_string();
    assert!(error.contains("it lost 3 of 5 packages, more than 50 %"), "{error}");
    // Refused again: what was refused is not what was last read.
    assert!(read(&reader, Some(&state)).await.is_err());
    settings.shrink_guard = 60;
    let (read, groups) = read(&mirror.reader(settings), Some(&state)).await.unwrap();
    assert!(matches!(read, IndexRead::Changed(_)));
    assert_eq!(groups.len(), 1);
}

#[tokio::test]
async fn hostile_stanzas_are_named_and_cost_themselves() {
    let mirror = small();
    mirror.edit("dists/stable/main/binary-amd64/Packages", |text| {
        text.replace("pool/main/hello-b_1", "pool/../../hello-b_1")
    });
    let folder = mirror.path("archive/dists/stable/main/binary-amd64");
    std::fs::remove_file(folder.join("Packages.xz")).unwrap();
    mirror.release("stable", DATE, "Suite: stable\n");
    mirror.sign("stable", "signer");
    let reader = mirror.reader(mirror.settings(&["stable"]));
    let (_, groups) = read(&reader, None).await.unwrap();
    assert_eq!(groups[0].artifacts.len(), 3);
    let unread = reader.unread();
    assert_eq!(unread.stanzas, 1);
    let text = &unread.notes[0];
    assert!(text.contains("main/binary-amd64/Packages: stanza at line "), "{text}");
    assert!(text.contains("package hello-b: path"), "{text}");
}
