//! Names of architectures: distributions and the peer's workers call the same one differently.

/// All names of the architecture that `name` is one of, `name` included; empty when it has no
/// other.
pub fn aliases(name: &str) -> &'static [&'static str] {
    ALIASES.iter().find(|names| names.contains(&name)).copied().unwrap_or_default()
}

/// Whether a worker that offers `offered` builds for `asked`: under that name, under another name
/// of the same architecture, or because it offers `*`, which is any.
pub fn offers<S: AsRef<str>>(offered: &[S], asked: &str) -> bool {
    let names = aliases(asked);
    offered
        .iter()
        .map(AsRef::as_ref)
        .any(|name| name == asked || name == "*" || names.contains(&name))
}

/// The names of the 32-bit architectures whose programs a processor of `machine` runs as its own,
/// where its kernel lets it; empty when there is none.
pub fn narrower(machine: &str) -> &'static [&'static str] {
    let names = aliases(machine);
    let is_this = |name: &str| name == machine || names.contains(&name);
    NARROW.iter().find(|(wide, _)| is_this(wide)).map_or(&[], |(_, narrow)| *narrow)
}

/// Whether `name` is an architecture of 32 bits whose builds belong under the 32-bit personality
/// (setarch(8)): its build daemons are 64-bit machines or could be, and `uname -m` must not say so.
pub fn is_narrow(name: &str) -> bool {
    NARROW.iter().any(|(_, narrow)| narrow.contains(&name))
}

/// 64-bit machines, and the 32-bit architectures of the same family under the names that
/// distributions give them. x32 is not among them: its `uname -m` is `x86_64`.
const NARROW: &[(&str, &[&str])] = &[
    ("x86_64", &["i386", "x86", "i486", "i586", "i686", "pentium4"]),
    (
        "aarch64",
        &["armhf", "armel", "arm", "armv5", "armv6", "armv6h", "armv7", "armv7h", "armv7hl"],
    ),
    ("powerpc64", &["powerpc", "ppc"]),
    ("mips64", &["mips"]),
    ("mips64el", &["mipsel"]),
    ("s390x", &["s390"]),
    ("sparc64", &["sparc"]),
];

/// Each line: names of one architecture.
const ALIASES: &[&[&str]] =
    &[&["x86", "i386"], &["x86_64", "amd64"], &["aarch64", "arm64"], &["powerpc64", "ppc64"]];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_is_offered_under_each_of_its_names() {
        for (offered, asked, expected) in [
            (&["x86_64"][..], "amd64", true),
            (&["amd64"], "x86_64", true),
            (&["x86_64"], "x86_64", true),
            (&["x86"], "i386", true),
            (&["arm64"], "aarch64", true),
            (&["ppc64"], "powerpc64", true),
            (&["x86_64"], "i386", false),
            (&["amd64"], "all", false),
            (&["amd64", "all"], "all", true),
            (&["armhf"], "armhf", true),
            (&["*"], "riscv64", true),
            (&[], "amd64", false),
            (&["amd64"], "*", false),
        ] {
            assert_eq!(offers(offered, asked), expected, "{offered:?} {asked}");
        }
        assert_eq!(aliases("amd64"), ["x86_64", "amd64"]);
        assert!(aliases("armhf").is_empty());
    }

    #[test]
    fn a_narrow_architecture_is_one_of_its_wide_machine() {
        for (machine, name, expected) in [
            ("x86_64", "i386", true),
            ("amd64", "i386", true),
            ("amd64", "i686", true),
            ("aarch64", "armhf", true),
            ("arm64", "armel", true),
            ("arm64", "armv7h", true),
            ("ppc64", "powerpc", true),
            ("amd64", "armhf", false),
            ("amd64", "amd64", false),
            ("amd64", "x32", false),
            ("arm64", "i386", false),
            ("i386", "i386", false),
            ("riscv64", "riscv64", false),
        ] {
            assert_eq!(narrower(machine).contains(&name), expected, "{machine} {name}");
            assert!(!expected || is_narrow(name), "{name}");
        }
        for name in ["amd64", "x86_64", "arm64", "aarch64", "all", "any", "x32", "riscv64", "*"] {
            assert!(!is_narrow(name), "{name}");
        }
    }
}
