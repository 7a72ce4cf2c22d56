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
}
