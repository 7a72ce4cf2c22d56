//! Where apt's configuration says that an archive is, and what a server says of a missing file.

use rebuilder_actors::port::IndexRead;
use rebuilder_actors::protocol::{Archive, IndexTrust};

use super::mirror_test::*;
use super::*;

fn archive() -> Mirror {
    let mirror = Mirror::new();
    mirror.deb("main", "hello_1.0-1_amd64.deb", "");
    mirror.publish("stable", DATE, ".xz");
    std::fs::create_dir_all(mirror.path("etc/sources.list.d")).unwrap();
    mirror
}

/// Reads what apt is configured for.
fn by_apt(mirror: &Mirror, sources: &str, release: &str) -> DebianReader {
    std::fs::write(mirror.path("etc/sources.list"), sources).unwrap();
    let mut settings = mirror.settings(&[release]);
    settings.source = "apt".to_owned();
    mirror.reader(settings)
}

fn archive_of(groups: &[rebuilder_actors::port::Group]) -> String {
    match &groups[0].archives[0] {
        Archive::Suite { url, .. } => url.to_string(),
        other @ Archive::Snapshot { .. } => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_list_of_mirrors_is_followed_to_the_first_that_has_the_suite() {
    let mirror = archive();
    let (gone, good) = (mirror.path("gone"), mirror.base());
    let list = mirror.path("mirrors.list");
    std::fs::write(&list, format!("file:{}\tpriority:1\nfile:{good}\n", gone.display())).unwrap();
    let sources = format!(
        "deb cdrom:[Debian 12]/ stable main\ndeb tor+http://x.example.org stable main\n\
         deb mirror+file:{} stable main\n",
        list.display()
    );
    let (_, groups) = read_new(&by_apt(&mirror, &sources, "stable")).await;
    assert_eq!(lines(&groups), ["hello 1.0-1 amd64 suite: hello_1.0-1_amd64.deb"]);
    assert_eq!(archive_of(&groups), format!("file:{good}"));
}

#[tokio::test]
async fn an_index_that_one_mirror_lacks_is_read_from_the_next() {
    let mirror = archive();
    // Half a mirror: the signed file has come already.
    let half = mirror.path("half/dists/stable");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::copy(mirror.path("archive/dists/stable/InRelease"), half.join("InRelease")).unwrap();
    let list = mirror.path("mirrors.list");
    let (half, good) = (mirror.path("half"), mirror.base());
    std::fs::write(&list, format!("file:{}\nfile:{good}\n", half.display())).unwrap();
    let sources = format!("deb mirror+file:{} stable main\n", list.display());
    let (_, groups) = read_new(&by_apt(&mirror, &sources, "stable")).await;
    assert_eq!(groups.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_followed_is_named_when_nothing_else_is_there() {
    let mirror = archive();
    for (sources, why) in [
        ("deb tor+http://x.example.org stable main\n", "through Tor"),
        ("deb cdrom:[Debian 12]/ stable main\n", "a disk is not followed"),
        ("deb mirror+file:/nonexistent/list stable main\n", "list of mirrors is not read"),
    ] {
        let error = read(&by_apt(&mirror, sources, "stable"), None).await.unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("suite stable"), "{error}");
    }
}

#[tokio::test]
async fn a_trusted_source_needs_no_signature_and_its_verdicts_say_so() {
    let mirror = archive();
    std::fs::remove_file(mirror.path("archive/dists/stable/InRelease")).unwrap();
    let base = mirror.base();
    let unsigned = format!("deb file:{base} stable main\n");
    assert!(read(&by_apt(&mirror, &unsigned, "stable"), None).await.is_err());
    let trusted = format!("deb [trusted=yes] file:{base} stable main\n");
    let (_, groups) = read_new(&by_apt(&mirror, &trusted, "stable")).await;
    assert_eq!(groups[0].index, IndexTrust::HashOnly);
}

#[tokio::test]
async fn an_expired_index_is_taken_where_apt_is_told_to() {
    let mirror = archive();
    let fields = "Suite: stable\nCodename: stable\nValid-Until: Sat, 10 Jan 2026 10:30:00 UTC\n";
    mirror.release("stable", DATE, fields);
    mirror.sign("stable", "signer");
    let base = mirror.base();
    let usual = format!("deb file:{base} stable main\n");
    let error = read(&by_apt(&mirror, &usual, "stable"), None).await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
    let lax = format!("deb [check-valid-until=no] file:{base} stable main\n");
    let reader = by_apt(&mirror, &lax, "stable");
    let (state, groups) = read_new(&reader).await;
    assert_eq!(groups.len(), 1);
    assert_eq!(read(&reader, Some(&state)).await.unwrap().0, IndexRead::Unchanged);
}

/// Makes a flat repository of the packages in `folder`, signed.
fn publish_flat(mirror: &Mirror, folder: &str) {
    let folder = mirror.path("archive").join(folder);
    let tool = |arguments: &[&str]| {
        let done = std::process::Command::new("apt-ftparchive")
            .args(arguments)
            .current_dir(&folder)
            .output()
            .unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    std::fs::write(folder.join("Packages"), tool(&["packages", "."])).unwrap();
    let release: String = tool(&["release", "."])
        .lines()
        .filter(|line| !line.starts_with("Date:"))
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(folder.join("Release"), format!("Date: {DATE}\n{release}")).unwrap();
    let (to, from) = (folder.join("InRelease"), folder.join("Release"));
    let arguments =
        ["--yes", "--output", to.to_str().unwrap(), "--clearsign", from.to_str().unwrap()];
    mirror.gpg("signer", &arguments);
}

#[tokio::test]
async fn a_flat_repository_is_followed_as_profile_and_by_apt() {
    let mirror = archive();
    publish_flat(&mirror, "pool/main");
    let base = format!("{}/pool/main", mirror.base());
    let expected = ["hello 1.0-1 amd64 suite: hello_1.0-1_amd64.deb"];
    for name in ["./", "/"] {
        let mut settings = mirror.settings(&[name]);
        settings.source = base.clone();
        let (_, groups) = read_new(&mirror.reader(settings)).await;
        assert_eq!(lines(&groups), expected, "{name}");
        assert_eq!(groups[0].artifacts[0].component, None);
        let url = &*groups[0].artifacts[0].url;
        assert_eq!(url, format!("file://{base}/hello_1.0-1_amd64.deb"));
    }
    // A folder below the archive's: names of files are from the archive's on.
    let mut settings = mirror.settings(&["main/"]);
    settings.source = format!("{}/pool", mirror.base());
    let (_, groups) = read_new(&mirror.reader(settings)).await;
    assert_eq!(lines(&groups), expected);
    let sources = format!("deb file:{base} ./\n");
    let (_, groups) = read_new(&by_apt(&mirror, &sources, "./")).await;
    assert_eq!(lines(&groups), expected);
    let expected = Archive::Suite {
        url: format!("file:{base}").into(),
        suite: "./".into(),
        components: vec![],
    };
    assert_eq!(groups[0].archives[0], expected);
}

/// Some servers answer 200 with a page for people where a file is missing.
#[tokio::test]
async fn a_page_for_people_is_not_the_index() {
    let mirror = archive();
    let folder = mirror.path("archive/dists/stable");
    let (to, from) = (folder.join("Release.gpg"), folder.join("Release"));
    let arguments =
        ["--yes", "--output", to.to_str().unwrap(), "--detach-sign", from.to_str().unwrap()];
    mirror.gpg("signer", &arguments);
    let page = "\n<!DOCTYPE html><html><body>Not found</body></html>\n";
    std::fs::write(folder.join("InRelease"), page).unwrap();
    // In the place of the best packing too: its size and digest are known.
    let packed = folder.join("main/binary-amd64/Packages.xz");
    std::fs::write(&packed, page).unwrap();
    let (_, groups) = read_new(&mirror.reader(mirror.settings(&["stable"]))).await;
    assert_eq!(groups.len(), 1);
    std::fs::write(folder.join("Release"), page).unwrap();
    let error = read(&mirror.reader(mirror.settings(&["stable"])), None).await.unwrap_err();
    assert!(error.to_string().contains("page for people"), "{error}");
}
