//! What the readers of TOML and of values say, in words of a configuration.

/// `message` without the words of the program's language. `written`: the text of the value that it
/// is about.
pub(super) fn plain(message: &str, written: &str) -> String {
    let message = message.trim_end().replace('\n', ", ");
    let invalid = ["invalid type: ", "invalid value: ", "invalid length "];
    if let Some((found, expected)) = invalid
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix))
        .and_then(|rest| rest.split_once(", expected "))
    {
        return format!("{} is needed here, not {}", wanted(expected), given(found, written));
    }
    // So it says of words, which could be tables with one key as well.
    if message.starts_with("wanted ") {
        return format!("a text in quotes is needed here, not {}", given(&message, written));
    }
    if let Some((variant, others)) =
        message.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected "))
    {
        let others = others.strip_prefix("one of ").unwrap_or(others);
        return format!("{variant} is none of {others}");
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("{field} is missing here");
    }
    message
}

/// What should be there.
fn wanted(expected: &str) -> String {
    let kind = expected.split([' ', '`']).next().unwrap_or_default();
    match expected {
        "a boolean" => "true or false".to_owned(),
        "a string" => "a text in quotes".to_owned(),
        "a sequence" => "a list, as [\"…\"],".to_owned(),
        "a map" | "map" => "a table".to_owned(),
        "i64" => "a whole number".to_owned(),
        "i32" => format!("a whole number from {} to {}", i32::MIN, i32::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        // Numbers of TOML are signed.
        "u64" => format!("a whole number from 0 to {}", i64::MAX),
        _ if kind == "struct" => "a table".to_owned(),
        other => other.to_owned(),
    }
}

/// What is there.
fn given(found: &str, written: &str) -> String {
    let quoted = found.split('`').nth(1).unwrap_or_default();
    match found.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        Some(("integer", _)) => format!("the number {quoted}"),
        Some(("floating", _)) if is_date(written) => format!("the date {written}"),
        Some(("floating", _)) => format!("the number {quoted}"),
        Some(("boolean", _)) => quoted.to_owned(),
        _ if found == "sequence" => "a list".to_owned(),
        _ if found == "map" => "a table".to_owned(),
        _ if is_date(written) => format!("the date {written}"),
        _ => written.to_owned(),
    }
}

/// A date or a time, as opposed to a fraction: `1979-05-27`, `07:32:00`; not `1e-7`.
fn is_date(written: &str) -> bool {
    let digits = written.bytes().take_while(u8::is_ascii_digit).count();
    matches!((digits, written.as_bytes().get(digits)), (4, Some(b'-')) | (2, Some(b':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_language_are_not_shown() {
        for (said, shown) in [
            (
                "invalid type: string \"4\", expected i64",
                "a whole number is needed here, not the text \"4\"",
            ),
            (
                "invalid type: string \"x\", expected a sequence",
                "a list, as [\"…\"], is needed here, not the text \"x\"",
            ),
            (
                "invalid type: integer `1`, expected a string",
                "a text in quotes is needed here, not the number 1",
            ),
            (
                "invalid type: sequence, expected a boolean",
                "true or false is needed here, not a list",
            ),
            (
                "invalid value: integer `-1`, expected u32",
                "a whole number from 0 to 4294967295 is needed here, not the number -1",
            ),
            (
                "invalid type: boolean `true`, expected struct Debian",
                "a table is needed here, not true",
            ),
            ("unknown variant `any`, expected one of `a`, `b`", "`any` is none of `a`, `b`"),
            ("unknown variant `any`, expected `a` or `b`", "`any` is none of `a` or `b`"),
            (
                "wanted exactly 1 element, found 0 elements",
                "a text in quotes is needed here, not {}",
            ),
            ("missing field `path`", "`path` is missing here"),
            ("5 is not between 30 and 86400\n", "5 is not between 30 and 86400"),
        ] {
            assert_eq!(plain(said, "{}"), shown);
        }
        let number = "invalid type: floating point `0.0`, expected i64";
        for (written, shown) in [("0.0", "the number 0.0"), ("1979-05-27", "the date 1979-05-27")] {
            assert!(plain(number, written).ends_with(shown), "{}", plain(number, written));
        }
    }

    #[test]
    fn dates_and_times_are_no_fractions() {
        for (written, is) in [
            ("1979-05-27", true),
            ("1979-05-27T07:32:00Z", true),
            ("07:32:00", true),
            ("1e-7", false),
            ("-1979.5", false),
            ("nan", false),
            ("1979.5", false),
        ] {
            assert_eq!(is_date(written), is, "{written}");
        }
    }
}
