//! Lists: each row as it arrives into one JSON array, or into a table.

use std::cmp::Ordering;

use clap::Args;
use rebuilder_actors::protocol::UtcMillis;
use rebuilder_actors::protocol::wire::v1::ctl::Response;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::{Answer, misplaced};
use crate::table::{Blocks, Column, Layout, Tone};

/// A message that is a row of a list.
pub trait Row: Sized {
    /// The columns of the table.
    const COLUMNS: &'static [Column];
    /// Titles of the columns by which a table is sorted unless asked otherwise; none: as the
    /// coordinator sends it.
    const SORTED: &'static [&'static str] = &[];
    /// What is said where a table would have no rows.
    const NOTHING: &'static str;

    /// The row in `response`.
    ///
    /// # Errors
    /// The response, when it is something else.
    fn from_response(response: Response) -> Result<Self, Box<Response>>;

    /// One cell for each column; `now` is for ages.
    fn cells(&self, now: UtcMillis) -> Vec<String>;

    /// What a column is sorted by, where its text does not sort; `None`: its text.
    fn number(&self, _column: &str) -> Option<i64> {
        None
    }

    /// Colour of the first cell.
    fn tone(&self) -> Tone {
        Tone::Plain
    }

    /// One line of JSON.
    fn json(&self) -> String;
}

/// How a list is shown.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of the list")]
pub struct ListArgs {
    /// Every column, whole, however wide the terminal is
    #[arg(long)]
    pub wide: bool,
    /// Only these columns, in this order: titles of the table, with commas between them
    #[arg(long, value_name = "TITLES", value_delimiter = ',', conflicts_with = "json")]
    pub columns: Vec<String>,
    /// At most so many rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// By these columns; one with `-` before it the other way round
    #[arg(long, value_name = "TITLES", value_delimiter = ',', allow_hyphen_values = true)]
    pub sort: Vec<String>,
}

/// How everything is shown.
#[derive(Clone, Copy, Debug)]
pub struct Show {
    /// As JSON instead of tables.
    pub json: bool,
    /// In colours.
    pub color: bool,
    /// For ages.
    pub now: UtcMillis,
    /// Columns of the terminal; `None`: tables are as wide as they get.
    pub width: Option<usize>,
}

/// What a list came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// Rows that were shown.
    pub count: u64,
    /// Columns that were left out for want of room.
    pub left_out: Vec<&'static str>,
}

/// Writes the rows of `answer` and counts them; `json` makes the line of each in JSON. Nothing is
/// written before the first frame, so a refusal leaves standard output empty; a connection lost
/// midway leaves the array unclosed, so that nobody takes a part for the whole.
///
/// # Errors
/// As [`Answer::next`], a column that is not there, or the output cannot be written.
pub async fn list<R: Row>(
    answer: &mut Answer,
    show: Show,
    how: &ListArgs,
    json: &dyn Fn(&R) -> String,
    output: &mut Output,
) -> Result<Listed, Failure> {
    let order = order::<R>(how, show.json)?;
    let mut rows = Rows::new(R::COLUMNS, show, how)?;
    let limit = how.limit.unwrap_or(u64::MAX);
    let mut waiting = Vec::new();
    while let Some(response) = answer.next().await? {
        let row = R::from_response(response).map_err(|other| misplaced(&other))?;
        if !order.is_empty() {
            waiting.push(row);
        } else if let Some(text) = rows.push_as(&row, json) {
            output.write(text.as_bytes()).await?;
        }
        if rows.count >= limit {
            break;
        }
    }
    sort(&mut waiting, &order, show.now);
    for row in waiting.iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        if let Some(text) = rows.push_as(row, json) {
            output.write(text.as_bytes()).await?;
        }
    }
    let (text, listed) = rows.finish();
    output.write(text.as_bytes()).await?;
    Ok(listed)
}

/// A column by which rows are sorted, and whether the other way round.
type By = (usize, bool);

/// What rows are sorted by. JSON is written as it arrives, unless asked otherwise.
fn order<R: Row>(how: &ListArgs, json: bool) -> Result<Vec<By>, Failure> {
    if how.sort.is_empty() {
        let usual = if json { &[] } else { R::SORTED };
        return usual.iter().map(|title| Ok((number_of(R::COLUMNS, title)?, false))).collect();
    }
    let by = |title: &String| match title.strip_prefix('-') {
        Some(title) => Ok((number_of(R::COLUMNS, title)?, true)),
        None => Ok((number_of(R::COLUMNS, title)?, false)),
    };
    how.sort.iter().map(by).collect()
}

/// Number of the column with this title, however it is written.
fn number_of(columns: &[Column], title: &str) -> Result<usize, Failure> {
    let plain = |text: &str| text.trim().replace(['-', '_'], " ").to_uppercase();
    let found = columns.iter().position(|column| column.title == plain(title));
    found.ok_or_else(|| {
        let titles: Vec<String> =
            columns.iter().map(|column| column.title.to_lowercase().replace(' ', "-")).collect();
        Failure::Usage(format!("there is no column `{title}`: it has {}", titles.join(", ")))
    })
}

fn sort<R: Row>(rows: &mut Vec<R>, order: &[By], now: UtcMillis) {
    let mut keyed: Vec<(Vec<String>, R)> = std::mem::take(rows)
        .into_iter()
        .map(|row| {
            let cells = row.cells(now);
            (order.iter().map(|(column, _)| cells[*column].clone()).collect(), row)
        })
        .collect();
    keyed.sort_by(|(a, x), (b, y)| {
        let compared = order.iter().enumerate().map(|(at, (column, reversed))| {
            let title = R::COLUMNS[*column].title;
            let ordering = match (x.number(title), y.number(title)) {
                (Some(x), Some(y)) => x.cmp(&y),
                _ => natural(&a[at], &b[at]),
            };
            if *reversed { ordering.reverse() } else { ordering }
        });
        compared.fold(Ordering::Equal, Ordering::then)
    });
    rows.extend(keyed.into_iter().map(|(_, row)| row));
}

/// Text in the order in which people look for it: numbers by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let digits =
            |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (x, y) = (digits(a), digits(b));
        if x > 0 && y > 0 {
            let (m, n) = (a[..x].trim_start_matches('0'), b[..y].trim_start_matches('0'));
            let by_value = m.len().cmp(&n.len()).then_with(|| m.cmp(n));
            if by_value.is_ne() {
                return by_value;
            }
            (a, b) = (&a[x..], &b[y..]);
            continue;
        }
        match (a.chars().next(), b.chars().next()) {
            (Some(m), Some(n)) if m == n => (a, b) = (&a[m.len_utf8()..], &b[n.len_utf8()..]),
            (m, n) => return m.cmp(&n),
        }
    }
}

/// Turns rows into text.
#[derive(Debug)]
pub struct Rows {
    show: Show,
    blocks: Blocks,
    count: u64,
}

impl Rows {
    /// Nothing yet.
    ///
    /// # Errors
    /// A column was asked for that is not there.
    pub fn new(columns: &'static [Column], show: Show, how: &ListArgs) -> Result<Self, Failure> {
        let picked = how.columns.iter().map(|title| number_of(columns, title));
        let layout = Layout {
            color: show.color,
            width: show.width.filter(|_| !how.wide),
            picked: picked.collect::<Result<_, _>>()?,
        };
        Ok(Self { show, blocks: Blocks::new(columns, layout), count: 0 })
    }

    /// A table beside other text: as wide as the terminal.
    pub fn beside(columns: &'static [Column], show: Show) -> Self {
        let layout = Layout { color: show.color, width: show.width, picked: Vec::new() };
        let show = Show { json: false, ..show };
        Self { show, blocks: Blocks::new(columns, layout), count: 0 }
    }

    /// Takes a row. The text that can be written now.
    pub fn push<R: Row>(&mut self, row: &R) -> Option<String> {
        self.push_as(row, &R::json)
    }

    /// As [`Rows::push`], with the row's JSON from elsewhere.
    pub fn push_as<R: Row>(&mut self, row: &R, json: &dyn Fn(&R) -> String) -> Option<String> {
        self.count += 1;
        if self.show.json {
            let before = if self.count == 1 { "[\n" } else { ",\n" };
            Some(format!("{before}{}", json(row)))
        } else {
            self.blocks.push(&row.cells(self.show.now), row.tone())
        }
    }

    /// The rest of the text, and what it all came to.
    pub fn finish(mut self) -> (String, Listed) {
        let text = match (self.show.json, self.count) {
            (true, 0) => "[]\n".to_owned(),
            (true, _) => "\n]\n".to_owned(),
            (false, _) => self.blocks.finish(),
        };
        let left_out = if self.show.json { Vec::new() } else { self.blocks.left_out() };
        (text, Listed { count: self.count, left_out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_text_sort_by_their_value() {
        let mut names = ["a10", "a9", "a", "b1", "a09x", "1.10-2", "1.9-1"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["1.9-1", "1.10-2", "a", "a9", "a09x", "a10", "b1"]);
    }

    #[test]
    fn a_column_is_found_however_it_is_written() {
        const COLUMNS: &[Column] = &[Column::always("NAME"), Column::always("FREE DISK")];
        for title in ["free disk", "FREE-DISK", "free_disk"] {
            assert_eq!(number_of(COLUMNS, title).unwrap(), 1);
        }
        let failure = number_of(COLUMNS, "disk").unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().ends_with("it has name, free-disk"), "{failure}");
    }
}
