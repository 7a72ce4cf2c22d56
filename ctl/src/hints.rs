//! What to write instead of what people try first: words of rebuilderd's client, and of habit.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What is typed, and what is meant by it.
const INSTEAD: &[(&str, &str)] = &[
    ("-H", "the coordinator's address is --endpoint HOST:PORT, or REBUILDER_ENDPOINT"),
    ("--host", "the coordinator's address is --endpoint HOST:PORT, or REBUILDER_ENDPOINT"),
    ("list", "lists are `worker ls`, `pkgs ls`, `queue ls`, `profile ls`"),
    (
        "sync-profile",
        "a profile is synced by `sync run PROFILE`; the coordinator does it by itself",
    ),
    ("sync-stdin", "packages come from the profiles in the coordinator's configuration"),
    ("delete", "a job leaves the queue by `queue drop`"),
    ("rm", "a job leaves the queue by `queue drop`; a worker loses its rights by `worker revoke`"),
    ("cancel", "a build that runs is cancelled by `queue drop`; `queue push` queues it again"),
    ("retry", "jobs are tried again by `queue push`, for example --status BAD"),
    ("requeue", "jobs are tried again by `queue push` or `pkgs requeue`"),
    ("logs", "a log is shown by `pkgs log NAME`"),
    ("log", "a log is shown by `pkgs log NAME`"),
    ("diff", "a difference is shown by `pkgs diffoscope NAME`"),
    ("packages", "packages are `pkgs`"),
    ("pkg", "packages are `pkgs`"),
    ("workers", "workers are listed by `worker ls`"),
    ("jobs", "jobs are listed by `queue ls`"),
    ("--reset", "`queue push` begins the count of retries anew by itself"),
];

/// What to do about a command line that was not understood; `None` where the message says it all.
pub fn of(error: &clap::Error) -> Option<&'static str> {
    let kind = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        _ => return None,
    };
    let Some(ContextValue::String(typed)) = error.get(kind) else { return None };
    INSTEAD.iter().find(|(word, _)| word == typed).map(|(_, instead)| *instead)
}

/// `help COMMAND…` as `COMMAND… --help`; everything else as it is.
pub fn help_last(mut arguments: Vec<std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    if arguments.get(1).is_some_and(|word| word == "help") {
        arguments.remove(1);
        arguments.push("--help".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let words = std::iter::once("rebuilder-ctl").chain(line.split_whitespace());
        Cli::try_parse_from(help_last(words.map(Into::into).collect()))
    }

    #[test]
    fn what_is_tried_first_is_answered_with_what_is_meant() {
        for (line, hint) in [
            ("-H http://127.0.0.1:8484 status", "--endpoint"),
            ("status --host x", "--endpoint"),
            ("pkgs sync-profile x", "sync run PROFILE"),
            ("queue delete x", "queue drop"),
            ("worker list", "`worker ls`"),
            ("packages ls", "`pkgs`"),
        ] {
            assert!(of(&parse(line).unwrap_err()).unwrap().contains(hint), "{line}");
        }
        assert_eq!(of(&parse("queue pull").unwrap_err()), None);
    }

    #[test]
    fn every_command_that_is_named_instead_is_one() {
        for (_, instead) in INSTEAD {
            for quoted in instead.split('`').skip(1).step_by(2) {
                let is_group = |noun: &str| parse(&format!("{noun} ls")).is_ok();
                let named = quoted == "ls"
                    || is_group(quoted)
                    || parse(quoted).is_ok_and(|_| true)
                    || parse(quoted).is_err_and(|e| e.kind() == ErrorKind::MissingRequiredArgument);
                assert!(named, "{quoted}");
            }
        }
    }

    #[test]
    fn help_is_a_word_too() {
        for line in ["help", "help queue push", "queue push --help", "help pkgs"] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DisplayHelp, "{line}");
        }
    }
}
