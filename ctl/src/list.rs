//! Lists: each row as it arrives into one JSON array, or into a table.

use rebuilder_actors::port::UtcMillis;
use rebuilder_actors::protocol::wire::v1::ctl::Response;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::{Answer, misplaced};
use crate::table::{Blocks, Tone};

/// A message that is a row of a list.
pub trait Row: Sized {
    /// Titles of the columns.
    const HEADER: &'static [&'static str];

    /// The row in `response`.
    ///
    /// # Errors
    /// The response, when it is something else.
    fn from_response(response: Response) -> Result<Self, Box<Response>>;

    /// One cell for each column; `now` is for ages.
    fn cells(&self, now: UtcMillis) -> Vec<String>;

    /// Colour of the first cell.
    fn tone(&self) -> Tone {
        Tone::Plain
    }

    /// One line of JSON.
    fn json(&self) -> String;
}

/// How lists are shown.
#[derive(Clone, Copy, Debug)]
pub struct Show {
    /// As JSON instead of tables.
    pub json: bool,
    /// In colours.
    pub color: bool,
    /// For ages.
    pub now: UtcMillis,
}

/// Writes all rows of `answer` and counts them. Nothing is written before the first frame, so a
/// refusal leaves standard output empty; a connection lost midway leaves the array unclosed, so
/// that nobody takes a part for the whole.
///
/// # Errors
/// As [`Answer::next`], or the output cannot be written.
pub async fn list<R: Row>(
    answer: &mut Answer,
    show: Show,
    output: &mut Output,
) -> Result<u64, Failure> {
    let mut rows = Rows::new(R::HEADER, show);
    while let Some(response) = answer.next().await? {
        let row = R::from_response(response).map_err(|other| misplaced(&other))?;
        if let Some(text) = rows.push(&row) {
            output.write(text.as_bytes()).await?;
        }
    }
    let count = rows.count;
    output.write(rows.finish().as_bytes()).await?;
    Ok(count)
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
    pub fn new(header: &[&'static str], show: Show) -> Self {
        Self { show, blocks: Blocks::new(header, show.color), count: 0 }
    }

    /// Takes a row. The text that can be written now.
    pub fn push<R: Row>(&mut self, row: &R) -> Option<String> {
        self.count += 1;
        if self.show.json {
            let before = if self.count == 1 { "[\n" } else { ",\n" };
            Some(format!("{before}{}", row.json()))
        } else {
            self.blocks.push(&row.cells(self.show.now), row.tone())
        }
    }

    /// The rest of the text.
    pub fn finish(self) -> String {
        match (self.show.json, self.count) {
            (true, 0) => "[]\n".to_owned(),
            (true, _) => "\n]\n".to_owned(),
            (false, _) => self.blocks.finish(),
        }
    }
}
