use crate::environment::Step;
use std::collections::BTreeMap;

/// A command of Debian's own tools, as root, without network.
pub(super) fn root<'a>(directory: &'a str, command: impl IntoIterator<Item = &'a str>) -> Step<'a> {
    Step::root(directory, command, system_environment())
}

/// What package tools are run with.
fn system_environment() -> BTreeMap<String, String> {
    [
        ("PATH", PATH),
        ("LC_ALL", "C.UTF-8"),
        ("HOME", "/nonexistent"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// As the build daemons of Debian have it.
pub(super) const PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/games:/usr/games";
