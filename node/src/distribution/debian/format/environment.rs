use std::collections::BTreeMap;

use super::dsc::ControlError;
use super::paragraph::Paragraph;

/// The recorded variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    /// What a build gets.
    pub(super) variables: BTreeMap<String, String>,
    /// What it does not get, for people: names, or the beginning of a line without one.
    pub(super) left_out: Vec<String>,
}

/// Reads the field `Environment`: lines `NAME="value"`, in which `\"` stands for a quote. What is
/// not among the variables that dpkg records, is given twice with two values, or has another form
/// is left out.
pub(super) fn recorded(paragraph: &Paragraph) -> Result<Recorded, ControlError> {
    let mut recorded = Recorded::default();
    let Some(text) = paragraph.get("Environment")? else {
        recorded.left_out.push("all (the field Environment is missing)".to_owned());
        return Ok(recorded);
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let shown = || line.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
        match variable(line) {
            Some((name, value)) if is_allowed(name) => {
                let before = recorded.variables.get(name);
                if before.is_some_and(|before| *before != value) {
                    recorded.variables.remove(name);
                    recorded.left_out.push(name.to_owned());
                } else if !recorded.left_out.iter().any(|known| known == name) {
                    recorded.variables.insert(name.to_owned(), value);
                }
            }
            Some((name, _)) => recorded.left_out.push(name.to_owned()),
            None => recorded.left_out.push(shown()),
        }
    }
    recorded.left_out.dedup();
    Ok(recorded)
}

fn variable(line: &str) -> Option<(&str, String)> {
    let (name, quoted) = line.split_once('=')?;
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        return None;
    }
    let value = quoted.strip_prefix('"')?.strip_suffix('"')?.replace("\\\"", "\"");
    let is_text = value.len() <= VALUE_BYTES_MAX && !value.chars().any(char::is_control);
    is_text.then_some((name, value))
}

/// What dpkg 1.22 records (`Dpkg::Build::Info`, `Dpkg::BuildInfo`), but for variables by which dpkg
/// itself reads files from elsewhere (`DPKG_ROOT`, `DPKG_ADMINDIR`, …): no build of an archive has
/// them set, and they would change what the tools of the environment do. `LD_LIBRARY_PATH` is the
/// build's own affair: it names folders of the build's root, whose files a package brought.
fn is_allowed(name: &str) -> bool {
    const TOOLS: [&str; 21] = [
        "CC", "CPP", "CXX", "OBJC", "OBJCXX", "OBJCPP", "PC", "FC", "M2C", "AS", "LD", "AR",
        "RANLIB", "STRIP", "NM", "OBJCOPY", "OBJDUMP", "MAKE", "AWK", "LEX", "YACC",
    ];
    const FLAGS: [&str; 13] = [
        "ASFLAGS",
        "CFLAGS",
        "CPPFLAGS",
        "CXXFLAGS",
        "OBJCFLAGS",
        "OBJCXXFLAGS",
        "GCJFLAGS",
        "DFLAGS",
        "FFLAGS",
        "FCFLAGS",
        "LDFLAGS",
        "ARFLAGS",
        "RUSTFLAGS",
    ];
    const OTHERS: [&str; 10] = [
        "MAKEFLAGS",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "DEB_BUILD_OPTIONS",
        "DEB_BUILD_PROFILES",
        "DEB_VENDOR",
        "DPKG_GENSYMBOLS_CHECK_LEVEL",
        "SOURCE_DATE_EPOCH",
        "TZ",
    ];
    const PREFIXES: [&str; 3] = ["LC_", "DEB_BUILD_MAINT_", "DEB_RULES_"];
    let is_flag = |name: &str| {
        name.starts_with("DEB_")
            && ["_SET", "_STRIP", "_APPEND", "_PREPEND"].iter().any(|end| name.ends_with(end))
    };
    // Of the machine that builds, where one is built for another.
    let plain = name.strip_suffix("_FOR_BUILD").unwrap_or(name);
    TOOLS.contains(&plain)
        || FLAGS.contains(&plain)
        || OTHERS.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || is_flag(name)
}

/// Characters of a line without a variable that a note shows.
const SHOWN_CHARS_MAX: usize = 80;

/// Longest value: compiler flags of the busiest packages have a few hundred bytes.
const VALUE_BYTES_MAX: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(lines: &str) -> Recorded {
        recorded(&Paragraph::parse(format!("Environment:\n{lines}").as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn recorded_variables_are_read() {
        let read = read(" DEB_BUILD_OPTIONS=\"nocheck parallel=2\"\n LANG=\"C\"\n LANG=\"C\"\n");
        assert_eq!(read.variables["DEB_BUILD_OPTIONS"], "nocheck parallel=2");
        assert_eq!(read.variables["LANG"], "C");
        assert_eq!(read.left_out, [""; 0]);
        for name in [
            "CFLAGS_FOR_BUILD",
            "LDFLAGS_FOR_BUILD",
            "CC_FOR_BUILD",
            "LD_LIBRARY_PATH",
            "DPKG_GENSYMBOLS_CHECK_LEVEL",
            "DEB_CFLAGS_APPEND",
            "DEB_CXXFLAGS_FOR_BUILD_SET",
            "LC_ALL",
        ] {
            let recorded = self::read(&format!(" {name}=\"-g -O2\"\n"));
            assert_eq!(recorded.variables.get(name).map(String::as_str), Some("-g -O2"), "{name}");
        }
    }

    #[test]
    fn other_variables_are_left_out_and_named() {
        for (lines, named) in [
            (" LD_PRELOAD=\"/x\"", "LD_PRELOAD"),
            (" PATH=\"/x\"", "PATH"),
            (" BASH_ENV=\"/x\"", "BASH_ENV"),
            (" DPKG_ROOT=\"/x\"", "DPKG_ROOT"),
            (" DPKG_ADMINDIR=\"/x\"", "DPKG_ADMINDIR"),
            (" PATH_FOR_BUILD=\"/x\"", "PATH_FOR_BUILD"),
            (" lang=\"C\"", "lang=\\\"C\\\""),
            (" LANG=C", "LANG=C"),
            (" LANG", "LANG"),
            (" LANG=\"C\"\n LANG=\"D\"", "LANG"),
            (" LANG=\"C\"\n LANG=\"D\"\n LANG=\"E\"", "LANG"),
        ] {
            let read = read(&format!("{lines}\n TZ=\"UTC\"\n"));
            assert_eq!(read.left_out, [named], "{lines}");
            assert_eq!(read.variables.keys().collect::<Vec<_>>(), ["TZ"], "{lines}");
        }
        let none = recorded(&Paragraph::parse(b"A: 1\n").unwrap()).unwrap();
        assert!(none.variables.is_empty() && none.left_out.len() == 1);
    }

    proptest! {
        #[test]
        fn values_have_no_control_characters(value in "\\PC{0,60}|[\\x00-\\x7f]{0,60}") {
            if let Some((_, value)) = variable(&format!("LANG=\"{value}\"")) {
                prop_assert!(!value.chars().any(char::is_control));
            }
        }
    }
}
