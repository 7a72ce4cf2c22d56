//! Text of others, made safe to show: a package name, a worker's name or a mirror's answer must not
//! be able to move a cursor, rename a window, begin a line of a log, or turn the direction of what
//! stands beside it.

/// `text` on one line, with everything that could steer a terminal or a reader's eye replaced by
/// `?`.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '?' } else { c }).collect()
}

/// As [`printable`], of at most `chars_max` characters; `…` at the end says that there were more.
pub fn printable_within(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => printable(&text[..end]) + "…",
        None => printable(text),
    }
}

/// `1 job`, `2 jobs`, `0 jobs`; `noun` is one that forms its plural with an s.
pub fn counted(count: impl Into<u64>, noun: &str) -> String {
    match count.into() {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// As [`counted`], of things in memory.
pub fn counted_len(length: usize, noun: &str) -> String {
    counted(u64::try_from(length).unwrap_or(u64::MAX), noun)
}

/// True for what is not shown: control characters (C0 with newlines, DEL, C1), separators of lines,
/// and marks that turn the direction of a text (Unicode UAX 9), in place or from afar.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(printable("bash"), "bash");
        assert_eq!(printable("a\u{1b}[31mb\nc\u{9b}d\u{202e}e"), "a?[31mb?c?d?e");
        assert_eq!(printable("größe"), "größe");
        assert_eq!(printable("a\u{7f}\u{85}\u{61c}\u{2067}\u{e0041}"), "a?????");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(printable_within("größe", 5), "größe");
        assert_eq!(printable_within("größe", 4), "größ…");
        assert_eq!(printable_within("\u{1b}\u{1b}", 1), "?…");
        assert_eq!(printable_within("", 0), "");
    }
}
