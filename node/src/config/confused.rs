//! Names that stand where names of another kind belong.

use rebuilder_actors::domain::sync::FilterSpec;

use super::file;

/// Names that are releases, or components, everywhere.
const RELEASES: [&str; 13] = [
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "sid",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
    "focal",
    "jammy",
    "noble",
];
const COMPONENTS: [&str; 9] = [
    "main",
    "contrib",
    "non-free",
    "non-free-firmware",
    "universe",
    "multiverse",
    "restricted",
    "core",
    "extra",
];

/// What to say of a profile that can be read, and hardly means what is written.
pub(super) fn suspicious(
    name: &str,
    releases: &[file::Release],
    components: &[String],
    filters: &FilterSpec,
) -> Vec<String> {
    let mut found = confused(name, releases, components);
    found.extend(useless_filters(name, filters, components));
    found
}

/// What to say of releases that are components, and of components that are releases: the peer's
/// configuration calls a component a suite, which is what an archive calls a release.
fn confused(name: &str, releases: &[file::Release], components: &[String]) -> Vec<String> {
    let releases = releases.iter().map(|release| release.name.as_str());
    let wrong = releases.filter(|release| COMPONENTS.contains(release)).map(|release| {
        format!(
            "profile `{name}`: `{release}` in `releases` is a component everywhere else: write \
             `components = [\"{release}\"]`"
        )
    });
    let is_release = |component: &&String| {
        RELEASES.iter().any(|known| {
            let rest = component.strip_prefix(known);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    };
    let components = components.iter().filter(is_release).map(|component| {
        format!(
            "profile `{name}`: the component `{component}` is a release everywhere else: write \
             `releases = [\"{component}\"]` (`suite` is the older spelling of a component)"
        )
    });
    wrong.chain(components).collect()
}

/// What to say of filters that can keep or drop nothing, because they hold names of another kind.
fn useless_filters(name: &str, filters: &FilterSpec, components: &[String]) -> Vec<String> {
    let rules = || filters.include.iter();
    let lists = [("pkgs", &filters.pkgs), ("excludes", &filters.excludes)].into_iter();
    let of_rules = rules()
        .flat_map(|rule| [("binary_pkgs", &rule.binary_pkgs), ("source_pkgs", &rule.source_pkgs)]);
    let patterns =
        lists.chain(of_rules).flat_map(|(key, globs)| globs.iter().map(move |g| (key, g)));
    let never = patterns.filter(|(_, glob)| !can_be_a_package(glob)).map(|(key, glob)| {
        format!(
            "profile `{name}`: `{glob}` in `{key}` matches nothing: names of packages are in small \
             letters, digits and `+-.`, without version, architecture or path"
        )
    });
    let absent = rules().filter_map(|rule| {
        let component = rule.component.as_ref()?;
        let is_followed = components.is_empty() || components.contains(component);
        (!is_followed).then(|| {
            format!(
                "profile `{name}`: a rule of `include` is for the component `{component}`, which \
                 is not one of its `components`"
            )
        })
    });
    never.chain(absent).collect()
}

/// Whether a glob can match a package's name; what stands in brackets and braces is not looked at.
fn can_be_a_package(glob: &str) -> bool {
    if glob.contains(['[', '{', '\\']) {
        return true;
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.*?".contains(c);
    !glob.is_empty() && glob.chars().all(fits)
}
