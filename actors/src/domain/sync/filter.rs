use glob::Pattern;
use serde::{Deserialize, Serialize};

/// Which binary packages a profile follows. The rules are the peer's:
/// 1. `excludes` always wins;
/// 2. the first include rule that matches decides;
/// 3. without one, everything is kept when no rule of any kind was given; else what `maintainers`
///    or `pkgs` match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    include: Vec<IncludeRule>,
    maintainers: Vec<String>,
    pkgs: Vec<Pattern>,
    excludes: Vec<Pattern>,
}

/// One include rule: all conditions that it has must hold; without any it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncludeRule {
    exclude: bool,
    component: Option<String>,
    binary_pkgs: Vec<Pattern>,
    source_pkgs: Vec<Pattern>,
    maintainer: Option<String>,
}

/// A [`Filter`] as a configuration writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterSpec {
    /// Rules in order.
    pub include: Vec<IncludeSpec>,
    /// Starts of maintainers, as `Name <address>`.
    pub maintainers: Vec<String>,
    /// Globs on names of binary packages.
    pub pkgs: Vec<String>,
    /// Globs on names of binary packages that are never followed.
    pub excludes: Vec<String>,
}

/// An [`IncludeRule`] as a configuration writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IncludeSpec {
    /// True: what matches is dropped.
    pub exclude: bool,
    /// Exact component; `None`: any.
    pub component: Option<String>,
    /// Globs on the binary package's name, one of which must match; empty: any.
    pub binary_pkgs: Vec<String>,
    /// Globs on the source package's name, one of which must match; empty: any. Never matches
    /// where the distribution tells no source.
    pub source_pkgs: Vec<String>,
    /// Start of one of the maintainers; `None`: any.
    pub maintainer: Option<String>,
}

/// A pattern that is no glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` in {place} is not a glob pattern: {reason}")]
pub struct FilterError {
    /// As configured.
    pub pattern: String,
    /// Key, and number of the rule from 0: `include[2].source_pkgs`.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The binary package in question.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its name.
    pub name: &'a str,
    /// `None` where the distribution has none.
    pub component: Option<&'a str>,
    /// Source package; `None` where the distribution does not tell.
    pub source: Option<&'a str>,
    /// Everybody who maintains it: maintainer and uploaders.
    pub maintainers: &'a [&'a str],
}

impl Filter {
    /// Checks and compiles the patterns.
    ///
    /// # Errors
    /// The first pattern that is no glob, with its place.
    pub fn new(spec: &FilterSpec) -> Result<Self, FilterError> {
        let include = spec.include.iter().enumerate().map(|(n, rule)| IncludeRule::new(n, rule));
        Ok(Self {
            include: include.collect::<Result<_, _>>()?,
            maintainers: spec.maintainers.clone(),
            pkgs: patterns(&spec.pkgs, || "pkgs".to_owned())?,
            excludes: patterns(&spec.excludes, || "excludes".to_owned())?,
        })
    }

    /// Whether the package is followed.
    pub fn keeps(&self, subject: &Subject<'_>) -> bool {
        if any(&self.excludes, subject.name) {
            return false;
        }
        if let Some(rule) = self.include.iter().find(|rule| rule.matches(subject)) {
            return !rule.exclude;
        }
        if self.include.is_empty() && self.maintainers.is_empty() && self.pkgs.is_empty() {
            return true;
        }
        self.maintainers.iter().any(|prefix| maintained(subject, prefix))
            || any(&self.pkgs, subject.name)
    }

    /// Whether any rule looks at maintainers: a reader that can save the work may leave them out
    /// otherwise.
    pub fn reads_maintainers(&self) -> bool {
        !self.maintainers.is_empty() || self.include.iter().any(|rule| rule.maintainer.is_some())
    }
}

impl IncludeRule {
    fn new(n: usize, spec: &IncludeSpec) -> Result<Self, FilterError> {
        Ok(Self {
            exclude: spec.exclude,
            component: spec.component.clone(),
            binary_pkgs: patterns(&spec.binary_pkgs, || format!("include[{n}].binary_pkgs"))?,
            source_pkgs: patterns(&spec.source_pkgs, || format!("include[{n}].source_pkgs"))?,
            maintainer: spec.maintainer.clone(),
        })
    }

    fn matches(&self, subject: &Subject<'_>) -> bool {
        self.component.as_deref().is_none_or(|component| subject.component == Some(component))
            && (self.binary_pkgs.is_empty() || any(&self.binary_pkgs, subject.name))
            && (self.source_pkgs.is_empty()
                || subject.source.is_some_and(|source| any(&self.source_pkgs, source)))
            && self.maintainer.as_deref().is_none_or(|prefix| maintained(subject, prefix))
    }
}

fn patterns(globs: &[String], place: impl Fn() -> String) -> Result<Vec<Pattern>, FilterError> {
    let compile = |glob: &String| {
        Pattern::new(glob).map_err(|error| FilterError {
            pattern: glob.clone(),
            place: place(),
            reason: error.msg.to_owned(),
        })
    };
    globs.iter().map(compile).collect()
}

fn any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

fn maintained(subject: &Subject<'_>, prefix: &str) -> bool {
    subject.maintainers.iter().any(|maintainer| maintainer.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    fn subject<'a>(name: &'a str, source: &'a str) -> Subject<'a> {
        Subject {
            name,
            component: Some("main"),
            source: Some(source),
            maintainers: &["Debian Perl Group <perl@example.org>", "Jo Doe <jo@example.org>"],
        }
    }

    fn keeps(spec: &FilterSpec, name: &str, source: &str) -> bool {
        Filter::new(spec).unwrap().keeps(&subject(name, source))
    }

    #[test]
    fn nothing_given_keeps_all_and_excludes_always_win() {
        assert!(keeps(&FilterSpec::default(), "bash", "bash"));
        let spec = FilterSpec { excludes: strings(&["linux-*"]), ..FilterSpec::default() };
        assert!(keeps(&spec, "bash", "bash"));
        assert!(!keeps(&spec, "linux-doc", "linux"));
        let everything = IncludeSpec::default();
        let spec = FilterSpec { include: vec![everything], pkgs: strings(&["*"]), ..spec };
        assert!(!keeps(&spec, "linux-doc", "linux"));
    }

    #[test]
    fn the_first_matching_rule_decides_and_the_rest_is_denied() {
        let rule = |exclude, binary: &[&str], source: &[&str]| IncludeSpec {
            exclude,
            binary_pkgs: strings(binary),
            source_pkgs: strings(source),
            ..IncludeSpec::default()
        };
        let spec = FilterSpec {
            include: vec![
                rule(true, &["*-doc"], &["gcc-1?"]),
                rule(false, &[], &["gcc-*", "b[ao]*"]),
                rule(true, &[], &["zsh"]),
            ],
            pkgs: strings(&["zsh", "fish"]),
            ..FilterSpec::default()
        };
        for (name, source, kept) in [
            ("gcc-12-doc", "gcc-12", false),
            ("gcc-9-doc", "gcc-9", true),
            ("bash", "bash", true),
            ("zsh", "zsh", false),
            ("fish", "fish", true),
            ("dash", "dash", false),
        ] {
            assert_eq!(keeps(&spec, name, source), kept, "{name}");
        }
    }

    #[test]
    fn every_condition_of_a_rule_must_hold() {
        let rule = IncludeSpec {
            component: Some("main".to_owned()),
            source_pkgs: strings(&["lib*"]),
            maintainer: Some("Jo Doe".to_owned()),
            ..IncludeSpec::default()
        };
        let spec = FilterSpec { include: vec![rule], ..FilterSpec::default() };
        let filter = Filter::new(&spec).unwrap();
        assert!(filter.reads_maintainers());
        let fits = subject("perl-x", "libx-perl");
        assert!(filter.keeps(&fits));
        assert!(!filter.keeps(&Subject { component: Some("contrib"), ..fits }));
        assert!(!filter.keeps(&Subject { component: None, ..fits }));
        assert!(!filter.keeps(&Subject { source: Some("x"), ..fits }));
        assert!(!filter.keeps(&Subject { source: None, ..fits }));
        assert!(!filter.keeps(&Subject { maintainers: &["The Jo Doe"], ..fits }));
    }

    #[test]
    fn maintainers_match_by_their_start_or_else_packages_by_name() {
        let spec = FilterSpec {
            maintainers: strings(&["Debian Perl"]),
            pkgs: strings(&["bash"]),
            ..FilterSpec::default()
        };
        let filter = Filter::new(&spec).unwrap();
        let perl = subject("x", "x");
        assert!(filter.keeps(&perl));
        assert!(!filter.keeps(&Subject { maintainers: &["Perl Debian"], ..perl }));
        assert!(filter.keeps(&Subject { name: "bash", maintainers: &[], ..perl }));
    }

    #[test]
    fn a_bad_pattern_is_named_with_its_place() {
        let rule = IncludeSpec { source_pkgs: strings(&["ok", "a***"]), ..IncludeSpec::default() };
        let spec =
            FilterSpec { include: vec![IncludeSpec::default(), rule], ..FilterSpec::default() };
        let error = Filter::new(&spec).unwrap_err();
        assert_eq!((&*error.pattern, &*error.place), ("a***", "include[1].source_pkgs"));
        let spec = FilterSpec { pkgs: strings(&["[a"]), ..FilterSpec::default() };
        assert_eq!(Filter::new(&spec).unwrap_err().place, "pkgs");
    }

    proptest! {
        /// Excluding more never keeps more, and rules only decide what `excludes` leaves.
        #[test]
        fn excludes_are_final(
            names in proptest::collection::vec("[ab]{1,3}", 1..5),
            n in 0_usize..5,
        ) {
            let plain = FilterSpec { pkgs: strings(&["a*"]), ..FilterSpec::default() };
            let excluded = names[n % names.len()].clone();
            let narrower = FilterSpec { excludes: vec![excluded.clone()], ..plain.clone() };
            for name in &names {
                let expected = keeps(&plain, name, name) && *name != excluded;
                prop_assert_eq!(keeps(&narrower, name, name), expected);
            }
        }
    }
}
