use std::collections::BTreeMap;

use super::dsc::ControlError;
use super::paragraph::Paragraph;

/// Reads the field `Environment`: lines `NAME="value"`, in which `\"` stands for a quote.
///
/// # Errors
/// When a line has another form, or a variable is not among those that a build may depend on:
/// leaving one out would be another environment than the recorded one.
pub(super) fn recorded(paragraph: &Paragraph) -> Result<BTreeMap<String, String>, ControlError> {
    let field = "Environment";
    let mut variables = BTreeMap::new();
    for line in paragraph.need(field)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = variable(line).ok_or_else(|| ControlError::Field {
            field,
            why: format!("line {:?}", line.chars().take(80).collect::<String>()),
        })?;
        if !is_allowed(name) {
            let why = format!("variable {name:?} is not among those that may be set");
            return Err(ControlError::Field { field, why });
        }
        if variables.insert(name.to_owned(), value).is_some() {
            return Err(ControlError::Field { field, why: format!("{name} is given twice") });
        }
    }
    Ok(variables)
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

/// The names that dpkg records (its manual, dpkg-genbuildinfo), but for those that make dpkg or
/// the dynamic linker read files from elsewhere, which no archive's build sets.
fn is_allowed(name: &str) -> bool {
    const EXACT: [&str; 44] = [
        "CC",
        "CPP",
        "CXX",
        "OBJC",
        "OBJCXX",
        "OBJCPP",
        "PC",
        "FC",
        "M2C",
        "AS",
        "LD",
        "AR",
        "RANLIB",
        "STRIP",
        "NM",
        "OBJCOPY",
        "OBJDUMP",
        "MAKE",
        "AWK",
        "LEX",
        "YACC",
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
        "MAKEFLAGS",
        "RUSTFLAGS",
        "LANG",
        "LANGUAGE",
        "DEB_BUILD_OPTIONS",
        "DEB_BUILD_PROFILES",
        "DEB_VENDOR",
        "DPKG_GENSYMBOLS_CHECK_LEVEL",
        "SOURCE_DATE_EPOCH",
        "TZ",
        "CPP_FOR_BUILD",
    ];
    const PREFIXES: [&str; 3] = ["LC_", "DEB_BUILD_MAINT_", "DEB_RULES_"];
    let is_flag = |name: &str| {
        name.starts_with("DEB_")
            && ["_SET", "_STRIP", "_APPEND", "_PREPEND"].iter().any(|end| name.ends_with(end))
    };
    EXACT.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || is_flag(name)
}

/// Longest value: compiler flags of the busiest packages have a few hundred bytes.
const VALUE_BYTES_MAX: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(lines: &str) -> Result<BTreeMap<String, String>, ControlError> {
        recorded(&Paragraph::parse(format!("Environment:\n{lines}").as_bytes()).unwrap())
    }

    #[test]
    fn recorded_variables_are_read() {
        let read = read(" DEB_BUILD_OPTIONS=\"nocheck parallel=2\"\n LANG=\"C\"\n").unwrap();
        assert_eq!(read["DEB_BUILD_OPTIONS"], "nocheck parallel=2");
        assert_eq!(read["LANG"], "C");
    }

    #[test]
    fn other_variables_are_refused() {
        for line in [
            " LD_PRELOAD=\"/x\"",
            " LD_LIBRARY_PATH=\"/usr/lib/libeatmydata\"",
            " PATH=\"/x\"",
            " BASH_ENV=\"/x\"",
            " DPKG_ROOT=\"/x\"",
            " lang=\"C\"",
            " LANG=C",
            " LANG",
            " LANG=\"C\"\n LANG=\"D\"",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
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
