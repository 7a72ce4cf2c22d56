//! Tables for people: aligned columns, no borders, one line a row, as wide as the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::text::printable;

/// Rows that are aligned together; further ones are aligned anew, never narrower. Bounds the memory
/// that a list of any length takes.
pub const BLOCK_ROWS_MAX: usize = 4096;
/// Spaces between columns.
const GAP: usize = 2;

/// One column, and what becomes of it where the terminal is too narrow for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its title in the first row, and its name in `--columns`.
    pub title: &'static str,
    /// Place in the order in which columns are left out, of which 1 is the first; 0: never.
    pub out: u8,
    /// Characters to which its cells may be cut; 0: never.
    pub cut: usize,
}

impl Column {
    /// A column that is always there, whole.
    pub const fn always(title: &'static str) -> Self {
        Self { title, out: 0, cut: 0 }
    }

    /// A column that is left out as the `out`-th.
    pub const fn out(title: &'static str, out: u8) -> Self {
        Self { title, out, cut: 0 }
    }

    /// The same, which may also be cut to `cut` characters.
    pub const fn cut(self, cut: usize) -> Self {
        Self { cut, ..self }
    }
}

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

/// How a table is laid out.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Whether statuses are coloured; `--color` decides.
    pub color: bool,
    /// Columns of the terminal; `None`: as wide as it gets.
    pub width: Option<usize>,
    /// Numbers of the columns to show, in this order; empty: all that fit.
    pub picked: Vec<usize>,
}

/// Collects rows and renders them in blocks.
#[derive(Debug)]
pub struct Blocks {
    columns: &'static [Column],
    layout: Layout,
    /// Columns that are shown and their widths; empty before the first block.
    shown: Vec<(usize, usize)>,
    rows: Vec<(Vec<String>, Tone)>,
}

impl Blocks {
    /// A table without rows.
    pub fn new(columns: &'static [Column], layout: Layout) -> Self {
        Self { columns, layout, shown: Vec::new(), rows: Vec::new() }
    }

    /// Adds a row, one cell for each column; the text may come from anybody. The rendered block
    /// when it is full.
    pub fn push(&mut self, cells: &[String], tone: Tone) -> Option<String> {
        self.rows.push((cells.iter().map(|cell| printable(cell)).collect(), tone));
        (self.rows.len() >= BLOCK_ROWS_MAX).then(|| self.render())
    }

    /// What was not rendered yet; empty when there was no row at all.
    pub fn finish(&mut self) -> String {
        if self.rows.is_empty() { String::new() } else { self.render() }
    }

    /// Titles of the columns that were left out for want of room.
    pub fn left_out(&self) -> Vec<&'static str> {
        if self.shown.is_empty() || !self.layout.picked.is_empty() {
            return Vec::new();
        }
        let is_shown = |number: usize| self.shown.iter().any(|(shown, _)| *shown == number);
        let numbered = self.columns.iter().enumerate();
        numbered.filter(|(number, _)| !is_shown(*number)).map(|(_, c)| c.title).collect()
    }

    fn render(&mut self) -> String {
        let first = self.shown.is_empty();
        if first {
            let all = (0..self.columns.len()).collect();
            let picked = &self.layout.picked;
            let numbers: Vec<usize> = if picked.is_empty() { all } else { picked.clone() };
            let widths = numbers.into_iter().map(|number| (number, self.content_width(number)));
            self.shown = widths.collect();
            if let Some(width) = self.layout.width {
                self.fit(width);
            }
        } else if self.layout.width.is_none() {
            for at in 0..self.shown.len() {
                let (number, width) = self.shown[at];
                self.shown[at].1 = width.max(self.content_width(number));
            }
        }
        let mut out = String::new();
        let color = self.layout.color;
        if first {
            let titles: Vec<&str> = self.columns.iter().map(|column| column.title).collect();
            let line = self.line(&titles);
            paint(&mut out, &line, line.len(), color.then_some("1"));
        }
        for (cells, tone) in &self.rows {
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            let line = self.line(&cells);
            let (number, width) = self.shown.first().copied().unwrap_or_default();
            // The colour is what the first of all columns says.
            let code = if color && number == 0 { tone.code() } else { None };
            let said = cut(cells.first().copied().unwrap_or_default(), width).len();
            paint(&mut out, &line, said, code);
        }
        self.rows.clear();
        out
    }

    fn content_width(&self, number: usize) -> usize {
        let cells = self.rows.iter().map(|(cells, _)| cells.get(number).map_or(0, |c| c.width()));
        cells.chain([self.columns[number].title.width()]).max().unwrap_or_default()
    }

    /// Leaves out columns, those that say the same in every row first, and cuts cells, until the
    /// table is at most `width` wide.
    fn fit(&mut self, width: usize) {
        let is_constant = |number: usize| {
            let mut cells = self.rows.iter().map(|(cells, _)| cells.get(number));
            let first = cells.next();
            cells.all(|cell| Some(cell) == first)
        };
        let out = |number: usize| self.columns[number].out;
        let may_leave = self.layout.picked.is_empty();
        let mut leaving: Vec<(bool, u8, usize)> = self
            .shown
            .iter()
            .filter(|(number, _)| may_leave && out(*number) > 0)
            .map(|(number, _)| (!is_constant(*number), out(*number), *number))
            .collect();
        leaving.sort_unstable();
        let mut leaving = leaving.into_iter().peekable();
        // What says nothing goes before anything is cut; what says something goes after.
        while total(&self.shown) > width {
            let Some((says_something, _, number)) = leaving.peek().copied() else { break };
            if says_something && self.least() <= width {
                break;
            }
            leaving.next();
            self.shown.retain(|(shown, _)| *shown != number);
        }
        while total(&self.shown) > width {
            let cuttable = |(_, (number, width)): &(usize, &(usize, usize))| {
                *width > self.least_width(*number)
            };
            let widest = self.shown.iter().enumerate().filter(cuttable);
            let Some((at, _)) = widest.max_by_key(|(_, (_, width))| *width) else { break };
            self.shown[at].1 -= 1;
        }
    }

    /// Width of the table when all is cut that may be.
    fn least(&self) -> usize {
        let cut = self.shown.iter().map(|(n, width)| (*n, self.least_width(*n).min(*width)));
        total(&cut.collect::<Vec<_>>())
    }

    /// Width below which a column is not cut.
    fn least_width(&self, number: usize) -> usize {
        let column = &self.columns[number];
        if column.cut == 0 { usize::MAX } else { column.cut.max(column.title.width()) }
    }

    fn line(&self, cells: &[&str]) -> String {
        let mut line = String::new();
        for (number, width) in &self.shown {
            let cell = cut(cells.get(*number).copied().unwrap_or_default(), *width);
            let padding = (width + GAP).saturating_sub(cell.width());
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(' ', padding));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

fn total(shown: &[(usize, usize)]) -> usize {
    shown.iter().map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
}

/// `text` in at most `width` columns, with `…` at its end where something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    kept + "…"
}

/// Appends `line`, its first `bytes` bytes in the colour `code`; without one as it is.
fn paint(out: &mut String, line: &str, bytes: usize, code: Option<&str>) {
    match (code, line.split_at_checked(bytes)) {
        (Some(code), Some((head, tail))) if !head.is_empty() => {
            out.extend(["\u{1b}[", code, "m", head, "\u{1b}[0m", tail]);
        }
        _ => out.push_str(line),
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[Column::always("NAME"), Column::always("NOTE")];
    const MANY: &[Column] = &[
        Column::always("STATUS"),
        Column::always("NAME").cut(8),
        Column::out("WHERE", 1),
        Column::out("WHEN", 2),
        Column::out("NOTE", 3).cut(10),
    ];

    fn row(a: &str, b: &str) -> [String; 2] {
        [a.to_owned(), b.to_owned()]
    }

    fn blocks(color: bool) -> Blocks {
        Blocks::new(COLUMNS, Layout { color, ..Layout::default() })
    }

    fn within(width: usize, picked: &[usize], rows: &[[&str; 5]]) -> (String, Vec<&'static str>) {
        let layout = Layout { color: false, width: Some(width), picked: picked.to_vec() };
        let mut blocks = Blocks::new(MANY, layout);
        for row in rows {
            blocks.push(&row.map(str::to_owned), Tone::Plain);
        }
        let text = blocks.finish();
        assert!(text.lines().all(|line| line.width() <= width), "{width}\n{text}");
        (text, blocks.left_out())
    }

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let mut table = blocks(false);
        assert_eq!(table.push(&row("größer", ""), Tone::Good), None);
        assert_eq!(table.push(&row("a", "x\ny"), Tone::Bad), None);
        assert_eq!(table.finish(), "NAME    NOTE\ngrößer\na       x?y\n");
        assert_eq!(blocks(false).finish(), "");
    }

    #[test]
    fn colour_is_on_the_first_column_only() {
        let mut blocks = blocks(true);
        blocks.push(&row("a", "x"), Tone::Bad);
        blocks.push(&row("b", "y"), Tone::Plain);
        let expected = "\u{1b}[1mNAME  NOTE\u{1b}[0m\n\u{1b}[31ma\u{1b}[0m     x\nb     y\n";
        assert_eq!(blocks.finish(), expected);
    }

    #[test]
    fn later_blocks_keep_the_widths_of_earlier_ones() {
        let mut blocks = blocks(false);
        for _ in 1..BLOCK_ROWS_MAX {
            assert_eq!(blocks.push(&row("a-long-name", "n"), Tone::Plain), None);
        }
        let first = blocks.push(&row("b", "n"), Tone::Plain).unwrap();
        assert_eq!(first.lines().count(), BLOCK_ROWS_MAX + 1);
        assert_eq!(first.lines().last(), Some("b            n"));
        blocks.push(&row("c", "n"), Tone::Plain);
        assert_eq!(blocks.finish(), "c            n\n");
    }

    #[test]
    fn a_narrow_terminal_gets_fewer_columns_and_shorter_cells() {
        let rows = [
            ["differs", "a-name-of-some-length", "sid", "monday", "a note that is long enough"],
            ["parked", "b", "sid", "tuesday", ""],
        ];
        let (text, out) = within(200, &[], &rows);
        assert!(text.contains("sid    monday   a note that is long enough"), "{text}");
        assert!(out.is_empty());
        // What is the same everywhere goes first, then cells are cut, then columns go.
        let (text, out) = within(60, &[], &rows);
        assert_eq!(out, ["WHERE"]);
        assert!(
            text.contains("differs  a-name-of-some-leng…  monday   a note that is long…"),
            "{text}"
        );
        let (_, out) = within(40, &[], &rows);
        assert_eq!(out, ["WHERE"]);
        let (text, out) = within(30, &[], &rows);
        assert_eq!(out, ["WHERE", "WHEN"]);
        assert!(text.contains("…  a note"), "{text}");
        let (text, _) = within(20, &[], &rows);
        assert_eq!(text.lines().nth(1), Some("differs  a-name-of-…"));
        let (text, out) = within(40, &[3, 1], &rows);
        assert_eq!(text.lines().next(), Some("WHEN     NAME"));
        assert!(out.is_empty(), "they were not asked for");
    }

    #[test]
    fn cells_are_cut_by_what_they_take_on_the_screen() {
        assert_eq!(cut("größer", 6), "größer");
        assert_eq!(cut("größer", 4), "grö…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("a bcd", 3), "a…");
    }
}
