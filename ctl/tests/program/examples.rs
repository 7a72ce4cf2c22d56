//! Every example that people are shown, of the help and of the documents, is run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::coordinator::{Coordinator, Ran, program};

const PROGRAM: &str = "rebuilder-ctl ";

#[test]
fn every_example_of_the_help_and_of_the_documents_works() {
    let mut examples = BTreeSet::new();
    let mut commands = vec![Vec::new()];
    while let Some(command) = commands.pop() {
        let help = help(&command);
        examples.extend(help.lines().filter_map(|line| example(line.trim_start())));
        let nested = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        for line in nested.take_while(|line| !line.is_empty()) {
            // A line of its own, or the next one of a description.
            if let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
                let name = name.split_whitespace().next().unwrap().to_owned();
                commands.push([command.clone(), vec![name]].concat());
            }
        }
    }
    let in_help = examples.len();
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices(PROGRAM) {
            let line = text[at..].lines().next().unwrap();
            // Inline code ends at its quote; a name of a section is no command.
            let inline = text[..at].ends_with('`');
            let line = if inline { line.split('`').next().unwrap() } else { line };
            let in_block = text[..at]
                .lines()
                .next_back()
                .is_none_or(|before| before.trim().is_empty() || before.trim_end().ends_with('$'));
            if inline || in_block {
                examples.extend(example(line));
            }
        }
    }
    assert!(in_help >= 15 && examples.len() > in_help, "{in_help} {}", examples.len());
    let coordinator = Coordinator::start();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hello_2.10-3_amd64.deb"), "no package").unwrap();
    for line in &examples {
        let words = words(line);
        let mut command =
            coordinator.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        command.current_dir(folder.path()).env("HOME", folder.path());
        let ran = Ran::from(command.output().unwrap());
        // A sentence may name a command without what it is about.
        let is_named = ran.err.contains("required arguments were not provided");
        // Hosts of examples are nowhere.
        let is_elsewhere = line.contains("example.org") && ran.code == Some(3);
        let understood = is_named || is_elsewhere || matches!(ran.code, Some(0 | 4 | 5));
        assert!(understood, "`{PROGRAM}{line}` as it is documented: {ran:?}");
    }
    coordinator.stop();
}

fn help(command: &[String]) -> String {
    let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    arguments.push("--help");
    let ran = Ran::from(program(&arguments).output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.out
}

/// README, and everything below `docs/` that is no record of a decision.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    docs.filter(|path| path.is_file()).chain([root.join("README.md")]).collect()
}

/// The arguments in `rebuilder-ctl ARGUMENTS   # or what it is for`.
fn example(line: &str) -> Option<String> {
    let rest = line.strip_prefix(PROGRAM)?;
    let end = [" | ", " > ", "   ", " #", "; "].iter().filter_map(|mark| rest.find(mark)).min();
    let command = rest[..end.unwrap_or(rest.len())].trim_end();
    // A synopsis, and what stands for any command.
    let is_whole = !command.contains(['[', '…', '\\']) && !command.is_empty();
    is_whole.then(|| command.to_owned())
}

/// Split as a shell does, with single and double quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => words.extend(Some(std::mem::take(&mut word)).filter(|w| !w.is_empty())),
            _ => word.push(c),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}
