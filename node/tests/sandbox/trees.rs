//! Tarballs in, files out, trees away.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rebuilder_node::sandbox::{Exit, User, open_file, remove_tree};
use tokio_util::sync::CancellationToken;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_tarball_keeps_owners_and_setuid_bits_in_shifted_ids() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let source = fixture.path("source");
    fs::create_dir_all(source.join("dev")).unwrap();
    fs::create_dir(source.join("usr")).unwrap();
    fs::write(source.join("usr/su"), "x").unwrap();
    fs::write(source.join("dev/leftover"), "x").unwrap();
    std::os::unix::fs::chown(source.join("usr/su"), Some(0), Some(42)).unwrap();
    fs::set_permissions(source.join("usr/su"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::write(source.join("usr/mine"), "y").unwrap();
    std::os::unix::fs::chown(source.join("usr/mine"), Some(1000), Some(1000)).unwrap();
    for (option, name) in [("-c", "r.tar"), ("-cz", "r.tar.gz"), ("-cJ", "r.tar.xz")] {
        let tar = fixture.path(name);
        let mut made = Command::new("tar");
        made.arg(option).arg("-f").arg(&tar).arg("-C").arg(&source).arg(".");
        assert!(made.status().unwrap().success());
        let into = fixture.path(&format!("{name}.root"));
        fixture.sandbox.import_tar(&tar, &into).await.unwrap();
        let su = fs::metadata(into.join("usr/su")).unwrap();
        let root = fixture.sandbox.root_id();
        assert_eq!((su.uid(), su.gid()), (root, root + 42));
        assert_eq!(su.mode() & 0o7777, 0o4755);
        assert!(!into.join("dev/leftover").exists());
        fixture.spec.root.lowers.insert(0, into);
    }
    fixture.spec.user = User::Root;
    let (_, printed) = fixture.sh("stat -c '%u:%g %a' /usr/su /usr/mine").await;
    assert_eq!(printed, "0:42 4755\n1000:1000 644\n");
}

#[tokio::test]
async fn a_damaged_tarball_is_an_error() {
    let Some(fixture) = Fixture::new().await else { return };
    let tar = fixture.path("broken.tar");
    fs::write(&tar, [7; 5000]).unwrap();
    let error = fixture.sandbox.import_tar(&tar, &fixture.path("into")).await.unwrap_err();
    assert!(error.reason.contains("tar"), "{error}");
    let mut zstd = zstd::encode_all(&[7_u8; 5000][..], 3).unwrap();
    zstd.truncate(zstd.len() / 2);
    fs::write(&tar, zstd).unwrap();
    assert!(fixture.sandbox.import_tar(&tar, &fixture.path("into")).await.is_err());
    assert!(
        fixture.sandbox.import_tar(&fixture.path("absent"), &fixture.path("into")).await.is_err()
    );
}

#[tokio::test]
async fn hostile_trees_are_read_with_care_and_deleted_whole() {
    let Some(fixture) = Fixture::new().await else { return };
    let secret = fixture.path("secret");
    fs::write(&secret, "TOP-SECRET").unwrap();
    let path = secret.display();
    let script = format!(
        "cd /tmp; echo fine > file; ln -s {path} link; ln -s / up; mknod pipe p; \
         for top in 1 2 3 4; do cd /tmp; i=0; mkdir $top; cd $top; while [ $i -lt 900 ]; do \
         mkdir abc && cd abc || exit 1; i=$((i+1)); done; \
         [ $top = 1 ] || mv /tmp/$((top-1)) .; done; chmod 0 /tmp/4"
    );
    let (exit, printed) = fixture.sh(&script).await;
    assert_eq!(exit, Exit::Status(0), "{printed}");
    let upper = &fixture.spec.root.upper;
    let mut text = String::new();
    open_file(upper, Path::new("tmp/file")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "fine\n");
    for refused in ["tmp/link", "tmp/up/tmp/file", "../secret", "tmp/pipe", "tmp"] {
        let error = open_file(upper, Path::new(refused)).unwrap_err();
        assert_ne!(error.kind(), io::ErrorKind::NotFound, "{refused}: {error}");
    }
    remove_tree(upper).await.unwrap();
    assert!(!upper.exists() && secret.exists());
    remove_tree(upper).await.unwrap();
}

#[tokio::test]
async fn links_that_were_left_behind_do_not_lead_a_bind_out() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let outside = fixture.path("outside");
    fs::create_dir(&outside).unwrap();
    let lower = fixture.spec.root.lowers[0].clone();
    symlink(&outside, lower.join("trap")).unwrap();
    fixture.spec.binds = vec![rebuilder_node::sandbox::Bind {
        source: fixture.path("lower"),
        target: "/trap/made".into(),
        read_only: true,
    }];
    // The link's target does not exist inside: it is refused, not followed on the host.
    let error = fixture.try_sh("true", &CancellationToken::new()).await.unwrap_err();
    assert!(error.action.contains("/trap/made"), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}
