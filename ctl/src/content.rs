//! Logs, differences and attestations: bytes of any length, as they arrive.

use std::io::{self, IsTerminal, Write};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use rebuilder_actors::protocol::wire::v1::ctl::{Package, Response};

use crate::failure::Failure;
use crate::json::tame;
use crate::list::{Row, Rows, Show};
use crate::output::Output;
use crate::session::{Answer, misplaced};
use crate::text::{TerminalFilter, Utf8Pieces};

/// How bytes are shown.
#[derive(Debug)]
pub enum Form {
    /// As they are, for programs: `--raw`, and what is signed.
    Raw,
    /// Text and colours only: on a terminal, and in a pipe or file, which end on one as well.
    Terminal(Utf8Pieces, TerminalFilter),
    /// As the field `text` of one JSON object.
    Json(Utf8Pieces),
}

impl Form {
    /// For a terminal.
    pub fn terminal() -> Self {
        Self::Terminal(Utf8Pieces::default(), TerminalFilter::default())
    }

    /// For `--json`.
    pub fn json() -> Self {
        Self::Json(Utf8Pieces::default())
    }

    fn begin(&self) -> &'static str {
        if matches!(self, Self::Json(_)) { "{\"text\":\"" } else { "" }
    }

    fn piece(&mut self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Raw => bytes.to_vec(),
            Self::Terminal(utf8, filter) => filter.push(&utf8.push(bytes)).into_bytes(),
            Self::Json(utf8) => json_inner(&utf8.push(bytes)).into_bytes(),
        }
    }

    fn end(&mut self) -> String {
        match self {
            Self::Raw => String::new(),
            Self::Terminal(utf8, filter) => filter.push(utf8.finish()) + &filter.finish(),
            Self::Json(utf8) => format!("{}\"}}\n", utf8.finish()),
        }
    }
}

/// `text` as it stands between the quotes of a JSON string.
fn json_inner(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("every text can be written as JSON");
    tame(quoted[1..quoted.len() - 1].to_owned())
}

/// The first bytes of `answer`; `None` when there are none. Nothing is written before this, so
/// that no pager opens for a refusal.
///
/// # Errors
/// As [`Answer::next`]; [`Failure::Ambiguous`] after the matches were listed on standard error.
pub async fn first(answer: &mut Answer, choice: Show) -> Result<Option<Bytes>, Failure> {
    match answer.next().await? {
        Some(Response::Chunk(bytes)) => Ok(Some(bytes)),
        Some(Response::Ambiguous { matches }) => Err(ambiguous(answer, matches, choice).await),
        Some(other) => Err(misplaced(&other)),
        None => Ok(None),
    }
}

/// Writes `piece` and the bytes of `answer` that follow, at once when `prompt`. Empty pieces are
/// signs of life.
///
/// # Errors
/// As [`Answer::next`], or the output cannot be written.
pub async fn show(
    mut piece: Option<Bytes>,
    answer: &mut Answer,
    mut form: Form,
    prompt: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    output.write(form.begin().as_bytes()).await?;
    while let Some(bytes) = piece {
        output.write(&form.piece(&bytes)).await?;
        if prompt {
            output.flush().await?;
        }
        piece = match answer.next().await? {
            Some(Response::Chunk(bytes)) => Some(bytes),
            Some(other) => return Err(misplaced(&other)),
            None => None,
        };
    }
    output.write(form.end().as_bytes()).await
}

/// Lists what matches on standard error; the failure that says so.
pub async fn ambiguous(answer: &mut Answer, matches: u32, choice: Show) -> Failure {
    let mut rows = Rows::beside(Package::COLUMNS, Show { color: false, ..choice });
    let mut text = String::new();
    loop {
        match answer.next().await {
            Ok(Some(Response::Package(package))) => {
                text.extend(rows.push(&package));
            }
            Ok(Some(other)) => return misplaced(&other),
            Ok(None) => break,
            Err(failure) => return failure,
        }
        // A list that nobody would read to its end; the count below tells the whole.
        if text.len() > LISTED_BYTES_MAX {
            break;
        }
    }
    text.push_str(&rows.finish().0);
    // When standard error is gone nobody is there to be told.
    io::stderr().write_all(text.as_bytes()).ok();
    Failure::Ambiguous(matches)
}

/// Bytes of matches that are listed, when a vague filter matches a whole distribution.
const LISTED_BYTES_MAX: usize = 4 << 20;

/// The pager, when standard output is a terminal and `NOPAGER` is unset: `$PAGER`, or `less -R`.
/// `None`: there is none, or it cannot be started.
pub fn pager() -> Option<Child> {
    let wanted = std::env::var_os("NOPAGER").is_none() && io::stdout().is_terminal();
    if !wanted {
        return None;
    }
    let mut command = match std::env::var_os("PAGER").filter(|pager| !pager.is_empty()) {
        Some(pager) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(pager);
            shell
        }
        None => {
            let mut less = Command::new("less");
            less.arg("-R");
            less
        }
    };
    command.stdin(Stdio::piped()).spawn().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mut form: Form, pieces: &[&[u8]]) -> String {
        let mut out = form.begin().as_bytes().to_vec();
        for piece in pieces {
            out.extend(form.piece(piece));
        }
        out.extend(form.end().as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bytes_stay_as_they_are_where_no_terminal_is() {
        assert_eq!(shown(Form::Raw, &[b"\x1b[2J", b"", b"a"]), "\x1b[2Ja");
    }

    #[test]
    fn a_terminal_gets_text_and_colours() {
        let pieces: [&[u8]; 3] = [b"\x1b[3", b"1mred\x1b[2J", b"\xff\xe2"];
        assert_eq!(shown(Form::terminal(), &pieces), "\x1b[31mred\u{fffd}\u{fffd}");
    }

    #[test]
    fn json_is_one_object_whatever_the_pieces() {
        let pieces: [&[u8]; 4] = [b"a\"\\\n", "€".as_bytes().split_at(1).0, b"\x82\xac", b"\x1b"];
        let text = shown(Form::json(), &pieces);
        assert_eq!(text, "{\"text\":\"a\\\"\\\\\\n€\\u001b\"}\n");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        assert_eq!(shown(Form::json(), &[]), "{\"text\":\"\"}\n");
    }
}
