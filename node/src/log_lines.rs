//! The node's log on standard error: one line for each event, whatever it tells of.
//!
//! Names, reasons and addresses come from mirrors, workers and strangers. They are filtered here
//! once, for every event, as no place that logs can be relied on to remember it: a newline would
//! forge a line, an escape sequence would steer the terminal of whoever reads.

use std::io::{self, Write};

use rebuilder_actors::protocol::text::printable_within;

/// Writes each event, which comes in one piece, as one line.
#[derive(Debug)]
pub struct Lines<W> {
    to: W,
    color: bool,
}

impl<W: Write> Lines<W> {
    /// Writes to `to`, levels in colour or not.
    pub fn new(to: W, color: bool) -> Self {
        Self { to, color }
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = printable_within(text.strip_suffix('\n').unwrap_or(&text), CHARS_MAX);
        if self.color {
            paint(&mut line);
        }
        line.push('\n');
        self.to.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Colours the level, the second word after the time.
fn paint(line: &mut String) {
    let Some((time, rest)) = line.split_once(' ') else { return };
    let word = rest.trim_start();
    let Some((level, _)) = word.split_once(' ') else { return };
    let color = match level {
        "ERROR" => "31",
        "WARN" => "33",
        "INFO" => "32",
        _ => return,
    };
    let at = time.len() + 1 + (rest.len() - word.len());
    line.replace_range(at..at + level.len(), &format!("\u{1b}[{color}m{level}\u{1b}[0m"));
}

/// Characters of one line; the longest of our own, which name what a profile misses, are shorter.
const CHARS_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &str, color: bool) -> String {
        let mut out = Vec::new();
        Lines::new(&mut out, color).write_all(event.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_event_is_one_line_and_steers_nothing() {
        let event =
            "2026-01-01T00:00:00Z  WARN worker x\n2026 INFO forged \u{1b}]0;t\u{9b}2J\u{202e}\n";
        let shown = "2026-01-01T00:00:00Z  WARN worker x?2026 INFO forged ?]0;t?2J?\n";
        assert_eq!(written(event, false), shown);
        let colored = shown.replacen("WARN", "\u{1b}[33mWARN\u{1b}[0m", 1);
        assert_eq!(written(event, true), colored);
        assert_eq!(written("\n", true), "\n");
        assert_eq!(written("one\n", true), "one\n");
    }

    #[test]
    fn an_endless_line_is_cut() {
        let line = written(&"é".repeat(1 << 20), false);
        assert_eq!(line.chars().count(), CHARS_MAX + 2);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut out = Vec::new();
        Lines::new(&mut out, false).write_all(b"a\xff\xfe\x00b\n").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\u{fffd}\u{fffd}?b\n");
    }
}
