//! Scripts that complete the command line in a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;

const PROGRAM: &str = "rebuilder-ctl";

/// The script for `shell`.
pub fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
    if shell != Shell::Bash {
        return script;
    }
    // The generator joins the words of a command with `__subcmd__` and then takes a `-` of the
    // program's name for such a place: what its states are called and what it looks for differ,
    // and nothing below the first word is completed (clap_complete 4.6).
    let joined = PROGRAM.replace('-', "__subcmd__");
    let text = String::from_utf8_lossy(&script).replace(&joined, &PROGRAM.replace('-', "__"));
    text.into_bytes()
}
