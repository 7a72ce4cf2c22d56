//! Scripts that complete the command line in a shell.

use clap::{CommandFactory, ValueEnum as _};
use clap_complete::Shell;

use crate::args::Cli;

const PROGRAM: &str = "rebuilder-ctl";

/// The script for `shell`.
pub fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
    if shell == Shell::Fish {
        // The generator leaves out the values of what has no option's name (clap_complete 4.6).
        let shells: Vec<String> = Shell::value_variants().iter().map(Shell::to_string).collect();
        let condition = "__fish_rebuilder_ctl_using_subcommand completions";
        let line =
            format!("complete -c {PROGRAM} -n \"{condition}\" -f -a \"{}\"\n", shells.join(" "));
        script.extend_from_slice(line.as_bytes());
    }
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
