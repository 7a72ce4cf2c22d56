//! Indexes that are read with success and say nothing of what a profile asks for.

use std::collections::BTreeMap;

use rebuilder_actors::port::Unread;

use super::settings::DebianSettings;

/// The notes about an index that was read whole.
pub(super) fn whole<'a>(
    settings: &DebianSettings,
    counted: impl Iterator<Item = &'a BTreeMap<String, u64>>,
    followed: usize,
) -> Unread {
    Unread { notes: of(settings, counted, Some(followed)), ..Unread::default() }
}

/// What is still to be said of an index that is as before.
pub(super) fn known(
    settings: &DebianSettings,
    counted: impl Iterator<Item = BTreeMap<String, u64>>,
) -> Vec<String> {
    of(settings, counted.collect::<Vec<_>>().iter(), None)
}

/// As [`warnings`], of a profile.
fn of<'a>(
    settings: &DebianSettings,
    counted: impl Iterator<Item = &'a BTreeMap<String, u64>>,
    followed: Option<usize>,
) -> Vec<String> {
    let releases = settings.releases.iter().map(|release| release.name.as_str());
    warnings(&releases.collect::<Vec<_>>(), &settings.architectures, counted, followed)
}

/// What somebody who wrote the profile would not expect. `counted`: stanzas of each file, of each
/// suite; `followed`: artifacts that the filters kept, `None` where that was not counted.
fn warnings<'a>(
    releases: &[&str],
    architectures: &[String],
    counted: impl Iterator<Item = &'a BTreeMap<String, u64>>,
    followed: Option<usize>,
) -> Vec<String> {
    let counted: Vec<&BTreeMap<String, u64>> = counted.collect();
    let of =
        if releases.is_empty() { String::new() } else { format!(" of {}", releases.join(", ")) };
    let mut warnings = Vec::new();
    for architecture in architectures {
        let folder = format!("/binary-{architecture}/Packages");
        let files =
            || counted.iter().copied().flatten().filter(|(path, _)| path.ends_with(&folder));
        // Without a file of its own the packages of `all` are in those of the others.
        let is_listed = files().next().is_some();
        let is_empty = files().all(|(_, count)| *count == 0);
        if is_empty && (is_listed || architecture != "all") && !counted.is_empty() {
            warnings.push(format!("the index{of} names no package for {architecture}"));
        }
    }
    let is_binary = |path: &str| path.contains("/binary-");
    let binaries = counted.iter().copied().flatten().filter(|(path, _)| is_binary(path));
    let named: u64 = binaries.map(|(_, count)| count).sum();
    if followed == Some(0) && named > 0 {
        warnings.push(format!("of {named} packages{of} the filters keep none"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(
        architectures: &[&str],
        files: &[(&str, u64)],
        followed: Option<usize>,
    ) -> Vec<String> {
        let architectures: Vec<String> = architectures.iter().map(|a| (*a).into()).collect();
        warnings(&["sid"], &architectures, counted(files).iter(), followed)
    }

    fn counted(files: &[(&str, u64)]) -> Vec<BTreeMap<String, u64>> {
        vec![files.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect()]
    }

    #[test]
    fn an_architecture_without_packages_is_named() {
        let both = ["amd64", "riscv64"];
        let files = [("main/binary-amd64/Packages", 9), ("main/binary-riscv64/Packages", 0)];
        let expected = ["the index of sid names no package for riscv64"];
        assert_eq!(found(&both, &files, Some(9)), expected);
        // A file that is not there at all says as little.
        assert_eq!(found(&both, &files[..1], None), expected);
        let files = [("main/binary-amd64/Packages", 9), ("contrib/binary-riscv64/Packages", 1)];
        assert_eq!(found(&both, &files, Some(9)), [""; 0]);
    }

    #[test]
    fn packages_of_all_may_be_among_the_others() {
        let both = ["amd64", "all"];
        let files = [("main/binary-amd64/Packages", 9), ("main/source/Sources", 0)];
        assert_eq!(found(&both, &files, Some(9)), [""; 0]);
        let files = [("main/binary-amd64/Packages", 9), ("main/binary-all/Packages", 0)];
        let expected = ["the index of sid names no package for all"];
        assert_eq!(found(&both, &files, Some(9)), expected);
    }

    #[test]
    fn filters_that_keep_nothing_are_named() {
        let files = [("main/binary-amd64/Packages", 9), ("main/source/Sources", 4)];
        let expected = ["of 9 packages of sid the filters keep none"];
        assert_eq!(found(&["amd64"], &files, Some(0)), expected);
        assert_eq!(found(&["amd64"], &files, None), [""; 0]);
    }
}
