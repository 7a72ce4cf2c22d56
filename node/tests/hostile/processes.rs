//! Processes that do not end, stop, or kill whatever they may.

use crate::trial::{Place, Trial};

const DAEMON: &str = "perl -e 'use POSIX; fork and exit; POSIX::setsid(); fork and exit; \
     close STDIN; close STDOUT; close STDERR; sleep 86400'\n";
/// Keeps the pipe of the log open.
const KEEPS_OUTPUT: &str = "setsid sleep 86400 &\n";
const IGNORES_SIGNALS: &str = "perl -e '$SIG{$_} = \"IGNORE\" for qw(TERM INT HUP QUIT PIPE); \
     fork and exit; sleep 86400' &\n";
const STOPPED: &str = "kill -STOP $PPID; kill -STOP $$\n";
const STOPPED_CHILDREN: &str = "for i in 1 2 3; do (kill -STOP $(sh -c 'echo $PPID')) & done; \
     sleep 1; true\n";
const KILLS_ALL: &str = "kill -9 -1\n";
const TERMINATES_ALL: &str = "trap '' TERM; kill -TERM -1; sleep 1; exit 1\n";
const KILLS_FIRST: &str = "kill -9 1; kill -STOP 1; kill -SEGV 1; true\n";
const REMOVES_FOLDER: &str = "rm -rf /build 2>/dev/null; rm -rf \"$PWD\"\n";
const SLEEPS: &str = "sleep 86400\n";
const SPINS: &str = "while :; do :; done\n";

pub fn trials() -> Vec<Trial> {
    let build = |name, script, ends| Trial::new(name, Place::Build, script, ends);
    let dependency = |name, script, ends| Trial::new(name, Place::Dependency, script, ends);
    let base = |name, script, ends| Trial::new(name, Place::Base, script, ends);
    // A script that kills its own installer is no shortage of ours, but no verdict either: nothing
    // was built.
    let not_built: &[&str] = &["fault"];
    vec![
        build("daemon", DAEMON, &["reproduced"]).quick(),
        build("keeps-output", KEEPS_OUTPUT, &["reproduced"]),
        build("ignores-signals", IGNORES_SIGNALS, &["reproduced"]),
        build("stopped", STOPPED, &["fault:TimedOut"]),
        build("stopped-children", STOPPED_CHILDREN, &["reproduced"]),
        build("kills-all", KILLS_ALL, &["build-failed"]).quick(),
        build("terminates-all", TERMINATES_ALL, &["build-failed"]),
        build("kills-first", KILLS_FIRST, &["reproduced"]),
        build("removes-folder", REMOVES_FOLDER, &["build-failed"]),
        build("sleeps", SLEEPS, &["fault:TimedOut"]),
        build("spins", SPINS, &["fault:TimedOut"]),
        dependency("postinst-daemon", DAEMON, &["reproduced"]),
        dependency("postinst-keeps-output", KEEPS_OUTPUT, &["reproduced"]),
        dependency("postinst-kills-all", KILLS_ALL, not_built),
        dependency("postinst-kills-first", KILLS_FIRST, &["reproduced"]),
        dependency("postinst-stopped", STOPPED, &["fault:TimedOut"]),
        base("base-daemon", DAEMON, &["reproduced"]),
        base("base-keeps-output", KEEPS_OUTPUT, &["reproduced"]),
        base("base-kills-all", KILLS_ALL, not_built),
    ]
}
