//! Tables for people: aligned columns, no borders, one line a row.

use comfy_table::{ColumnConstraint, Table, Width, presets};

use crate::text::printable;

/// Rows that are aligned together; further ones are aligned anew, never narrower. Bounds the memory
/// that a list of any length takes.
pub const BLOCK_ROWS_MAX: usize = 4096;
/// Spaces between columns.
const GAP: u16 = 2;

/// What the first column of a row says, as a colour; the words beside it say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// No colour.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Somebody should look.
    Bad,
    /// Not decided, or weak.
    Doubtful,
}

impl Tone {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Bad => Some("31"),
            Self::Doubtful => Some("33"),
        }
    }
}

/// Collects rows and renders them in blocks.
#[derive(Debug)]
pub struct Blocks {
    header: Option<Vec<&'static str>>,
    rows: Vec<(Vec<String>, Tone)>,
    widths: Vec<u16>,
    color: bool,
}

impl Blocks {
    /// A table with `header`, in colours or not.
    pub fn new(header: &[&'static str], color: bool) -> Self {
        Self { header: Some(header.to_vec()), rows: Vec::new(), widths: Vec::new(), color }
    }

    /// Adds a row, one cell for each column; the text may come from anybody. The rendered block
    /// when it is full.
    pub fn push(&mut self, cells: &[String], tone: Tone) -> Option<String> {
        self.rows.push((cells.iter().map(|cell| printable(cell)).collect(), tone));
        (self.rows.len() >= BLOCK_ROWS_MAX).then(|| self.render())
    }

    /// What was not rendered yet; empty when there was no row at all.
    pub fn finish(mut self) -> String {
        if self.rows.is_empty() { String::new() } else { self.render() }
    }

    fn render(&mut self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let header = self.header.take();
        if let Some(header) = &header {
            table.set_header(header.iter().copied());
        }
        for (cells, _) in &self.rows {
            table.add_row(cells);
        }
        let content = table.column_max_content_widths();
        self.widths.resize(content.len(), 0);
        for (width, content) in self.widths.iter_mut().zip(content) {
            *width = (*width).max(content.saturating_add(GAP));
        }
        for (column, width) in table.column_iter_mut().zip(&self.widths) {
            column.set_padding((0, GAP));
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(*width)));
        }
        let mut out = String::new();
        let tones = header.iter().map(|_| None).chain(self.rows.iter().map(Some));
        for (line, row) in table.lines().zip(tones) {
            let line = line.trim_end();
            match row {
                None => paint(&mut out, line, line.len(), self.color.then_some("1")),
                Some((cells, tone)) => {
                    let first = cells.first().map_or(0, String::len);
                    let code = if self.color { tone.code() } else { None };
                    paint(&mut out, line, first, code);
                }
            }
            out.push('\n');
        }
        self.rows.clear();
        out
    }
}

/// Appends `line`, its first `bytes` bytes in the colour `code`; without one as it is.
fn paint(out: &mut String, line: &str, bytes: usize, code: Option<&str>) {
    match (code, line.split_at_checked(bytes)) {
        (Some(code), Some((head, tail))) if !head.is_empty() => {
            out.extend(["\u{1b}[", code, "m", head, "\u{1b}[0m", tail]);
        }
        _ => out.push_str(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(a: &str, b: &str) -> [String; 2] {
        [a.to_owned(), b.to_owned()]
    }

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let mut blocks = Blocks::new(&["NAME", "NOTE"], false);
        assert_eq!(blocks.push(&row("größer", ""), Tone::Good), None);
        assert_eq!(blocks.push(&row("a", "x\ny"), Tone::Bad), None);
        assert_eq!(blocks.finish(), "NAME    NOTE\ngrößer\na       x?y\n");
        assert_eq!(Blocks::new(&["NAME"], false).finish(), "");
    }

    #[test]
    fn colour_is_on_the_first_column_only() {
        let mut blocks = Blocks::new(&["NAME", "NOTE"], true);
        blocks.push(&row("a", "x"), Tone::Bad);
        blocks.push(&row("b", "y"), Tone::Plain);
        let expected = "\u{1b}[1mNAME  NOTE\u{1b}[0m\n\u{1b}[31ma\u{1b}[0m     x\nb     y\n";
        assert_eq!(blocks.finish(), expected);
    }

    #[test]
    fn later_blocks_keep_the_widths_of_earlier_ones() {
        let mut blocks = Blocks::new(&["NAME", "NOTE"], false);
        for _ in 1..BLOCK_ROWS_MAX {
            assert_eq!(blocks.push(&row("a-long-name", "n"), Tone::Plain), None);
        }
        let first = blocks.push(&row("b", "n"), Tone::Plain).unwrap();
        assert_eq!(first.lines().count(), BLOCK_ROWS_MAX + 1);
        assert_eq!(first.lines().last(), Some("b            n"));
        blocks.push(&row("c", "n"), Tone::Plain);
        assert_eq!(blocks.finish(), "c            n\n");
    }
}
