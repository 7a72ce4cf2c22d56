//! Which of the built files is a published one.
//!
//! What a package says of itself decides: its name, version and architecture. Archives and build
//! tools disagree on file names (an epoch is left out, kept, or written as `%3a`), and an archive
//! may publish one version under two names. A name alone decides only where no format says more.

use std::io;
use std::path::Path;

use rebuilder_actors::protocol::Artifact;

use crate::distribution::{self, Identity, identity};
use crate::sandbox;

/// Files that may be published ones, of one build; the largest source packages make some hundreds.
/// Beyond it only the published names are looked at.
const CANDIDATES_MAX: usize = 8192;

/// A file that a build left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Built {
    /// Its name in the folder of outputs.
    pub(crate) name: String,
    /// `None`: not of a format that says so.
    pub(crate) identity: Option<Identity>,
}

impl Built {
    fn is(&self, artifact: &Artifact) -> bool {
        self.identity.as_ref().is_some_and(|identity| {
            *identity.package == *artifact.name
                && *identity.version == *artifact.version
                && *identity.architecture == *artifact.architecture
        })
    }
}

/// The file among `built` (sorted by name) that is to be compared with `artifact`: where the format
/// says nothing of it, the one of its name; one that is this package, of several the one of its
/// name; else the one of its name, be it another package; else one of an unknown format whose name
/// is the same but for the epoch. `None`: there is none.
pub(crate) fn of<'a>(artifact: &Artifact, built: &'a [Built]) -> Option<&'a Built> {
    let named = built.iter().find(|file| *file.name == *artifact.file);
    let plain = plain(&artifact.file);
    let is_likely = |file: &&Built| file.identity.is_none() && self::plain(&file.name) == plain;
    named
        .filter(|file| file.is(artifact) || !is_read(&file.name))
        .or_else(|| built.iter().find(|file| file.is(artifact)))
        .or(named)
        .or_else(|| built.iter().find(is_likely))
}

/// The files in `folder` of `tree`, which was written inside a sandbox, that may be one of
/// `artifacts`, sorted by name. Only regular files count, no link is followed, and of hostile ones
/// little is read.
///
/// # Errors
/// Those of the worker's own file system.
pub(crate) fn look(tree: &Path, folder: &Path, artifacts: &[Artifact]) -> io::Result<Vec<Built>> {
    let listed = match sandbox::list_folder(tree, folder) {
        Err(error) if is_absence(&error) => Vec::new(),
        listed => listed?,
    };
    let mut names: Vec<String> =
        listed.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| is_candidate(name, artifacts));
    names.sort_unstable();
    if names.len() > CANDIDATES_MAX {
        names.retain(|name| artifacts.iter().any(|artifact| *artifact.file == **name));
    }
    let mut built = Vec::new();
    for name in names {
        match sandbox::open_file(tree, &folder.join(&name)) {
            Ok(mut file) => built.push(Built { identity: identity(&mut file), name }),
            Err(error) if is_absence(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(built)
}

/// Not there, a link, or something that is not a file: the build did not make it.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotADirectory, NotFound};
    use nix::libc::{ELOOP, ENODEV, ENXIO};
    // A link, a socket, a device without a driver.
    let is_odd = matches!(error.raw_os_error(), Some(ELOOP | ENODEV | ENXIO));
    is_odd || matches!(error.kind(), NotFound | NotADirectory | InvalidInput)
}

/// Whether a file of this name may be the artifact, before anything is read of it: those whose
/// formats are read have to be looked at, whatever they are called.
pub(crate) fn is_candidate(name: &str, artifacts: &[Artifact]) -> bool {
    is_read(name)
        || artifacts
            .iter()
            .any(|artifact| *artifact.file == *name || plain(&artifact.file) == plain(name))
}

/// Whether files of this name are of a format that says which package they are.
fn is_read(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(distribution::has_identity)
}

/// A file name without what archives write differently: `%3a` for `:`, and the epoch before it.
fn plain(name: &str) -> String {
    let name = name.replace("%3a", ":").replace("%3A", ":");
    let Some((head, rest)) = name.split_once(':') else { return name };
    // The epoch is the number before the colon; what stands before it begins with a name.
    let before = head.trim_end_matches(|c: char| c.is_ascii_digit());
    if before.len() == head.len() || !before.ends_with(['_', '-']) {
        return name;
    }
    format!("{before}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(file: &str) -> Artifact {
        Artifact {
            name: "epoch".into(),
            version: "1:2".into(),
            component: None,
            architecture: "all".into(),
            file: file.into(),
            url: format!("http://mirror.example.org/pool/{file}").into(),
            size: None,
            sha256: None,
        }
    }

    fn package(name: &str, of: (&str, &str, &str)) -> Built {
        let (package, version, architecture) = of;
        let [package, version, architecture] = [package, version, architecture].map(str::to_owned);
        Built { name: name.to_owned(), identity: Some(Identity { package, version, architecture }) }
    }

    fn unknown(name: &str) -> Built {
        Built { name: name.to_owned(), identity: None }
    }

    const IT: (&str, &str, &str) = ("epoch", "1:2", "all");

    #[test]
    fn a_package_is_found_whatever_its_file_is_called() {
        let built = [
            package("aa_2_all.deb", ("aa", "1:2", "all")),
            package("epoch_2_all.deb", IT),
            package("epoch_2_amd64.deb", ("epoch", "1:2", "amd64")),
            package("epoch_3_all.deb", ("epoch", "1:3", "all")),
        ];
        for file in ["epoch_1%3a2_all.deb", "epoch_1:2_all.deb", "epoch_2_all.deb", "x.deb"] {
            let found = of(&artifact(file), &built).map(|file| &*file.name);
            assert_eq!(found, Some("epoch_2_all.deb"), "{file}");
        }
        assert_eq!(of(&artifact("epoch_1%3a2_all.deb"), &built[2..]), None);
    }

    #[test]
    fn of_two_such_files_the_one_of_its_name_counts() {
        let built = [package("a.deb", IT), package("b.deb", IT)];
        assert_eq!(of(&artifact("b.deb"), &built), Some(&built[1]));
        assert_eq!(of(&artifact("c.deb"), &built), Some(&built[0]));
        // One built file, published under two names: each is compared with it.
        assert_eq!(of(&artifact("b.deb"), &built[..1]), Some(&built[0]));
    }

    #[test]
    fn a_name_decides_where_nothing_else_does() {
        let other = package("epoch_2_all.deb", ("epoch", "2", "all"));
        // It is compared, and differs: nobody may say that nothing of this name was made.
        assert_eq!(of(&artifact("epoch_2_all.deb"), core::slice::from_ref(&other)), Some(&other));
        assert_eq!(of(&artifact("epoch_1%3a2_all.deb"), core::slice::from_ref(&other)), None);
        let cases = [
            ("tool-1:2-1-any.pkg.tar.zst", "tool-1%3A2-1-any.pkg.tar.zst"),
            ("tool-1:2-1-any.pkg.tar.zst", "tool-2-1-any.pkg.tar.zst"),
            ("epoch_1%3a2_all.deb", "epoch_2_all.deb"),
        ];
        for (published, left) in cases {
            let built = [unknown("another.file"), unknown(left)];
            assert_eq!(of(&artifact(published), &built), Some(&built[1]), "{published}");
            assert!(is_candidate(left, &[artifact(published)]));
        }
        // A record of this package is not the package.
        let built = [package("epoch_2_all.deb", IT), unknown("epoch_2_all.buildinfo")];
        assert_eq!(of(&artifact("epoch_2_all.buildinfo"), &built), Some(&built[1]));
        let broken = [package("a.deb", IT), unknown("epoch_2_all.deb")];
        assert_eq!(of(&artifact("epoch_2_all.deb"), &broken), Some(&broken[0]));
        assert_eq!(of(&artifact("tool-2.tar"), &[unknown("tool-3.tar"), unknown("tool")]), None);
    }

    #[test]
    fn only_epochs_are_left_out_of_names() {
        for (name, expected) in [
            ("a_1%3a2_all.deb", "a_2_all.deb"),
            ("a_1%3A2:3_all.deb", "a_2:3_all.deb"),
            ("a-12:2-1-any.pkg", "a-2-1-any.pkg"),
            ("a_2_all.deb", "a_2_all.deb"),
            ("a:b.deb", "a:b.deb"),
            ("12:b", "12:b"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }
}
