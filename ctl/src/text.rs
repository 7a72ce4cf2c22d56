//! Text from elsewhere, made safe for a terminal: a package name or a build log must not be able to
//! move the cursor, rename the window or make a line look like another.

/// `text` on one line with everything that could steer a terminal, or turn the direction of the
/// text, replaced by `?`.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '?' } else { c }).collect()
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

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

/// Longest colour sequence that is passed on, bytes after `ESC [`; longer ones are dropped.
const SGR_BYTES_MAX: usize = 64;

/// Passes text and colours (SGR), drops every other escape sequence and control character.
///
/// A lone carriage return becomes a newline, so that a line cannot overwrite the one before.
#[derive(Debug, Default)]
pub struct TerminalFilter {
    state: State,
    /// Parameters of the control sequence so far.
    parameters: String,
    after_return: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and intermediate bytes: one more byte belongs to it.
    EscapeIntermediate,
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

    fn step(&mut self, c: char, out: &mut String) {
        if self.state == State::Text {
            self.text(c, out);
            return;
        }
        self.state = match (self.state, c) {
            (State::Command, '\u{1b}') => State::CommandEscape,
            (State::Command, '\u{7}' | '\u{9c}') => State::Text,
            (State::Command, _) => State::Command,
            (State::CommandEscape, '\\') => State::Text,
            (State::CommandEscape | State::Escape, '[') => {
                self.parameters.clear();
                State::Control
            }
            (State::CommandEscape | State::Escape, ']' | 'P' | 'X' | '^' | '_') => State::Command,
            (_, '\u{1b}') => State::Escape,
            // A newline ends what is malformed: a cut off sequence must not swallow the log.
            (_, '\n') => {
                out.push('\n');
                State::Text
            }
            (State::CommandEscape | State::Escape, ' '..='/') => State::EscapeIntermediate,
            (State::EscapeIntermediate, ' '..='/') => State::EscapeIntermediate,
            (State::Control, ' '..='?') => {
                if self.parameters.len() <= SGR_BYTES_MAX {
                    self.parameters.push(c);
                }
                State::Control
            }
            (State::Control, 'm') => {
                self.colour(out);
                State::Text
            }
            _ => State::Text,
        };
    }

    fn text(&mut self, c: char, out: &mut String) {
        let after_return = std::mem::replace(&mut self.after_return, c == '\r');
        if after_return && c != '\n' {
            out.push('\n');
        }
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => {}
            '\u{1b}' => self.state = State::Escape,
            '\u{9b}' => {
                self.parameters.clear();
                self.state = State::Control;
            }
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => self.state = State::Command,
            c if steers(c) => {}
            c => out.push(c),
        }
    }

    fn colour(&mut self, out: &mut String) {
        let plain = |c: char| c.is_ascii_digit() || matches!(c, ';' | ':');
        if self.parameters.len() <= SGR_BYTES_MAX && self.parameters.chars().all(plain) {
            out.push_str("\u{1b}[");
            out.push_str(&self.parameters);
            out.push('m');
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
    fn names_cannot_steer_a_terminal() {
        assert_eq!(printable("bash"), "bash");
        assert_eq!(printable("a\u{1b}[31mb\nc\u{9b}d\u{202e}e"), "a?[31mb?c?d?e");
        assert_eq!(printable("größe"), "größe");
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
        assert_eq!(filtered("cut \u{1b}[12\nnext"), "cut \nnext");
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
