//! Text from elsewhere, made safe for a terminal: a package name or a build log must not be able to
//! move the cursor, rename the window or make a line look like another.

pub use rebuilder_actors::protocol::text::{printable, steers};

/// Decodes UTF-8 that arrives in pieces; what is no UTF-8 becomes U+FFFD.
#[derive(Debug, Default)]
pub struct Utf8Pieces {
    /// The beginning of a character whose end has not arrived, at most 3 bytes.
    carry: Vec<u8>,
}

impl Utf8Pieces {
    /// The text of everything that is complete.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.carry.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.carry);
        let mut text = String::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(std::str::from_utf8(valid).expect("valid up to here"));
                    let Some(length) = error.error_len() else {
                        self.carry = after.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &after[length..];
                }
            }
        }
    }

    /// What is left at the end: U+FFFD when a character was cut off, else nothing.
    pub fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.carry).is_empty() { "" } else { "\u{fffd}" }
    }
}

/// Characters after ESC that may belong to a sequence for the terminal: more, and it is text.
///
/// Longest that is in use: hyperlinks of compilers, which hold a path.
const SEQUENCE_CHARS_MAX: usize = 2048;
/// The same for control sequences (`ESC [`), the longest of which are colours.
const CONTROL_CHARS_MAX: usize = 64;

/// Passes text and colours (SGR), drops every other escape sequence and control character.
///
/// Only what is a whole sequence, on one line and no longer than sequences are, is dropped. The
/// rest of one that is cut off or never ends is shown as the text that it may be: a terminal would
/// wait for its end and hide all that follows. A lone carriage return becomes a newline, so that a
/// line cannot overwrite the one before.
#[derive(Debug, Default)]
pub struct TerminalFilter {
    state: State,
    /// What came after the introducer of the sequence under way, at most
    /// [`SEQUENCE_CHARS_MAX`].
    held: String,
    held_chars: usize,
    after_return: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC, and intermediate bytes.
    Escape,
    /// After `ESC [`.
    Control,
    /// Inside a string for the terminal (title, clipboard), until BEL or ST.
    Command,
    /// Inside such a string, after ESC.
    CommandEscape,
}

impl TerminalFilter {
    /// What may be shown of `text`, the next piece.
    pub fn push(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            self.step(c, &mut out);
        }
        out
    }

    /// What was held back as the beginning of a sequence, at the end of the text.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.give_up(&mut out);
        out
    }

    fn step(&mut self, c: char, out: &mut String) {
        match (self.state, c) {
            (State::Text, _) => self.text(c, out),
            (State::Command, '\u{7}' | '\u{9c}') | (State::CommandEscape, '\\') => self.done(),
            (State::Command, '\u{1b}') => self.state = State::CommandEscape,
            (State::Escape, '[') if self.held.is_empty() => self.begin(State::Control),
            (State::Escape, ']' | 'P' | 'X' | '^' | '_') if self.held.is_empty() => {
                self.begin(State::Command);
            }
            (State::Escape, '0'..='~') => self.done(),
            (State::Control, 'm') => {
                self.colour(out);
                self.done();
            }
            (State::Control, '@'..='~') => self.done(),
            (State::Escape, ' '..='/') | (State::Control, ' '..='?') => {
                self.hold(c, CONTROL_CHARS_MAX, out);
            }
            (State::Command, c) if !c.is_control() => self.hold(c, SEQUENCE_CHARS_MAX, out),
            // The string was never ended; this ESC begins a sequence of its own.
            (State::CommandEscape, _) => {
                self.give_up(out);
                self.begin(State::Escape);
                self.step(c, out);
            }
            // No sequence goes on like this: what seemed to be one is text, and this as well.
            _ => {
                self.give_up(out);
                self.text(c, out);
            }
        }
    }

    fn text(&mut self, c: char, out: &mut String) {
        let after_return = std::mem::replace(&mut self.after_return, c == '\r');
        if after_return && c != '\n' {
            out.push('\n');
        }
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => {}
            '\u{1b}' => self.begin(State::Escape),
            '\u{9b}' => self.begin(State::Control),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => self.begin(State::Command),
            c if steers(c) => {}
            c => out.push(c),
        }
    }

    fn begin(&mut self, state: State) {
        self.done();
        self.state = state;
    }

    /// The sequence is whole: nothing of it is shown.
    fn done(&mut self) {
        self.state = State::Text;
        self.held.clear();
        self.held_chars = 0;
    }

    /// One more character of the sequence, which has at most `max`.
    fn hold(&mut self, c: char, max: usize, out: &mut String) {
        self.held.push(c);
        self.held_chars += 1;
        if self.held_chars > max {
            self.give_up(out);
        }
    }

    /// What is held is no sequence. It is shown without being looked at again, so that a text of
    /// introducers takes no more time than any other.
    fn give_up(&mut self, out: &mut String) {
        out.extend(self.held.chars().filter(|c| !steers(*c)));
        self.done();
    }

    fn colour(&mut self, out: &mut String) {
        let plain = |c: char| c.is_ascii_digit() || matches!(c, ';' | ':');
        if self.held.chars().all(plain) {
            out.extend(["\u{1b}[", &self.held, "m"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(text: &str) -> String {
        TerminalFilter::default().push(text)
    }

    #[test]
    fn colours_pass_and_everything_else_does_not() {
        assert_eq!(filtered("\u{1b}[1;31mred\u{1b}[0m\n"), "\u{1b}[1;31mred\u{1b}[0m\n");
        assert_eq!(filtered("a\u{1b}[2Jb\u{1b}[10;5Hc\u{1b}[?25ld"), "abcd");
        assert_eq!(filtered("a\u{1b}]0;title\u{7}b\u{1b}]52;c;eA==\u{1b}\\c"), "abc");
        assert_eq!(filtered("a\u{1b}Pdevice\u{1b}\\b\u{1b}(0c\u{1b}cd\u{8}\u{7}e"), "abcde");
        assert_eq!(filtered("a\u{9b}2Jb\u{9d}0;t\u{9c}c"), "abc");
        assert_eq!(filtered("\u{1b}[>4;2mx\u{1b}[\u{1b}[31my"), "x\u{1b}[31my");
    }

    #[test]
    fn lines_cannot_overwrite_each_other() {
        assert_eq!(filtered("a\r\nb\rc\r\r\nd"), "a\nb\nc\n\nd");
        assert_eq!(filtered("cut \u{1b}[12\nnext"), "cut 12\nnext");
    }

    fn whole(text: &str) -> String {
        let mut filter = TerminalFilter::default();
        let shown = filter.push(text);
        shown + &filter.finish()
    }

    #[test]
    fn what_never_ends_hides_nothing() {
        for (text, shown) in [
            ("a\u{1b}]0;b\nc", "a0;b\nc"),
            ("a\u{1b}]0;b", "a0;b"),
            ("a\u{9d}b\nc", "ab\nc"),
            ("a\u{1b}Pb\u{1b}[31mc", "ab\u{1b}[31mc"),
            ("a\u{1b}]b\u{1b}]c\u{7}d", "abd"),
            ("a\u{1b}_b\rc", "ab\nc"),
            ("a\u{1b}[12", "a12"),
            ("a\u{1b}[1;2é", "a1;2é"),
            ("a\u{1b}é", "aé"),
            ("a\u{1b}(é", "a(é"),
            ("a\u{1b}", "a"),
        ] {
            assert_eq!(whole(text), shown, "{text:?}");
        }
        for introducer in ["\u{1b}]", "\u{1b}P", "\u{1b}X", "\u{1b}^", "\u{1b}_", "\u{90}"] {
            let long = "x".repeat(SEQUENCE_CHARS_MAX + 1);
            assert_eq!(filtered(&format!("{introducer}{long}\u{7}y")), format!("{long}y"));
        }
        let digits = "1".repeat(CONTROL_CHARS_MAX + 1);
        assert_eq!(filtered(&format!("\u{1b}[{digits}mx")), format!("{digits}mx"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_shown_steers(text in hostile()) {
            let shown = whole(&text);
            let mut rest = shown.as_str();
            while let Some(at) = rest.find(|c: char| steers(c) && !matches!(c, '\n' | '\t')) {
                let (sequence, _) = rest[at..].split_once('m').expect("a colour ends");
                let colour = sequence.strip_prefix("\u{1b}[").expect("only colours pass");
                let is_colour = colour.chars().all(|c| c.is_ascii_digit() || ";:".contains(c));
                proptest::prop_assert!(is_colour, "{:?}", shown);
                rest = &rest[at + sequence.len() + 1..];
            }
        }

        #[test]
        fn whatever_came_before_the_next_line_is_shown(text in hostile(), line in "[ -~é]{0,80}") {
            let shown = whole(&format!("{text}\n{line}"));
            proptest::prop_assert!(shown.ends_with(&format!("\n{line}")), "{:?}", shown);
        }

        #[test]
        fn an_unfinished_string_is_shown(
            text in hostile(),
            introducer in "[\u{90}\u{98}\u{9d}-\u{9f}]|\u{1b}[\\]PX^_]",
            rest in "[ -~é]{0,3000}",
        ) {
            let shown = whole(&format!("{text}\n{introducer}{rest}"));
            proptest::prop_assert!(shown.ends_with(&rest), "{:?}", shown);
        }

        #[test]
        fn pieces_do_not_matter(
            text in hostile(),
            at in proptest::prelude::any::<proptest::sample::Index>(),
        ) {
            let chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len() + 1);
            let mut filter = TerminalFilter::default();
            let mut shown = filter.push(&chars[..at].iter().collect::<String>());
            shown += &filter.push(&chars[at..].iter().collect::<String>());
            shown += &filter.finish();
            proptest::prop_assert_eq!(shown, whole(&text));
        }
    }

    /// Text with many introducers, parameters and ends in it.
    fn hostile() -> impl proptest::strategy::Strategy<Value = String> {
        let odd = "[\u{1b}\u{7}\u{8}\r\n\t\\[\\]\\\\PX^_0-9;:?m( \u{80}-\u{9f}\u{202e}]";
        proptest::string::string_regex(&format!("({odd}|[a-zé]){{0,60}}")).expect("a regex")
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        let whole = "x\u{1b}[1;31mré\u{1b}]0;t\u{1b}\\d\r\n\u{1b}[2J€😀";
        let mut utf8 = Utf8Pieces::default();
        let mut filter = TerminalFilter::default();
        let mut out = String::new();
        for byte in whole.as_bytes() {
            out.push_str(&filter.push(&utf8.push(&[*byte])));
        }
        assert_eq!(out, filtered(whole));
        assert_eq!(out, "x\u{1b}[1;31mréd\n€😀");
        assert_eq!(utf8.finish(), "");
    }

    #[test]
    fn what_is_no_utf8_is_replaced() {
        let mut utf8 = Utf8Pieces::default();
        assert_eq!(utf8.push(b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(utf8.finish(), "\u{fffd}");
    }
}
