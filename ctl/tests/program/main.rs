//! The program as it is installed, against a coordinator of canned answers over real QUIC.
#![expect(clippy::unwrap_used, reason = "a test fails by it, in helpers too")]

mod coordinator;
mod examples;

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::process::{Command, Stdio};

use coordinator::{Coordinator, MANY, Ran, program};
use rebuilder_transport::key_file::{self, Access};

#[test]
fn a_long_list_is_one_json_document_and_so_is_an_empty_one() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run(&["pkgs", "ls", "--name", "many", "--json"]);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    let rows: Vec<serde_json::Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(rows.len(), MANY);
    assert_eq!(rows[MANY - 1]["name"], format!("package-{}", MANY - 1));
    for list in ["worker", "profile", "queue", "pkgs"] {
        let ran = coordinator.run(&[list, "ls", "--json"]);
        assert_eq!((ran.code, &*ran.out, &*ran.err), (Some(0), "[]\n", ""), "{list}");
    }
    assert_eq!(rows[0]["first_seen_at"], "1970-01-01T00:00:00.000Z");
    let ran = coordinator.run(&["pkgs", "ls", "--name", "earlier", "--json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(rows.len(), 1, "a coordinator that knows no times is asked without");
    assert_eq!((&rows[0]["name"], rows[0]["first_seen_at"].is_null()), (&"package-0".into(), true));
    let ran = coordinator.run(&["pkgs", "ls", "--name", "many"]);
    assert_eq!(ran.out.lines().count(), MANY + 1);
    assert!(ran.out.starts_with("STATUS   NAME          VERSION"), "{}", &ran.out[..80]);
    coordinator.stop();
}

#[test]
fn refusals_have_their_exit_codes_and_leave_stdout_empty() {
    let coordinator = Coordinator::start();
    let cases: [(&[&str], i32, &str); 9] = [
        (&["worker", "invite"], 4, "this key may only read\nhint: this needs the admin key"),
        (&["pkgs", "log", "--name", "absent"], 5, "error: no job matches?[2J\n"),
        (&["pkgs", "ls", "--name", "nothing"], 5, "error: no package matches\n"),
        (&["queue", "push", "--name", "nothing"], 5, "error: no job matches\n"),
        (&["worker", "revoke", "oak"], 2, "error: two workers have this name\n"),
        (&["sync", "run", "sid"], 1, "error: the store is gone\n"),
        (&["quarantine", "ls"], 1, "a choice that does not answer the request"),
        (&["queue", "push"], 2, "give a filter such as --name, or --all"),
        (&["pkgs", "log", "--name", "two"], 6, "error: 2 packages match"),
    ];
    for (arguments, code, said) in cases {
        let ran = coordinator.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?} {ran:?}");
        assert!(ran.err.contains(said), "{arguments:?} {ran:?}");
        assert_eq!(ran.out, "", "{arguments:?}");
    }
    let ran = coordinator.run(&["pkgs", "log", "--name", "two"]);
    assert!(ran.err.starts_with("STATUS   NAME       VERSION"), "{ran:?}");
    assert!(ran.err.contains("unknown  package-1  1"), "{ran:?}");
    coordinator.stop();
}

#[test]
fn orders_say_what_they_did() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run(&["queue", "push", "--name", "bash", "--priority", "-5"]);
    assert_eq!((ran.code, &*ran.out), (Some(0), "bash -5\n"), "{ran:?}");
    let ran = coordinator.run(&["queue", "push", "--all", "--json"]);
    assert_eq!((ran.code, &*ran.out), (Some(0), "{\"affected\":1,\"text\":\" 0\"}\n"), "{ran:?}");
    let ran = coordinator.run(&["queue", "push", "--name", "nothing", "--json"]);
    let expected = "{\"affected\":0,\"text\":\"no job matches\"}\n";
    assert_eq!((ran.code, &*ran.out), (Some(5), expected), "{ran:?}");
    coordinator.stop();
}

#[test]
fn a_log_in_a_pipe_is_filtered_unless_its_bytes_are_asked_for() {
    let coordinator = Coordinator::start();
    let output = coordinator.command(&["pkgs", "log", "--name", "a", "--raw"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"one \x1b[2J\xff\ntwo\n");
    let ran = coordinator.run(&["pkgs", "log", "--name", "a"]);
    assert_eq!(ran.out, "one \u{fffd}\ntwo\n");
    let ran = coordinator.run(&["pkgs", "log", "--name", "a", "--json"]);
    assert_eq!(ran.out, "{\"text\":\"one \\u001b[2J\u{fffd}\\ntwo\\n\"}\n");
    coordinator.stop();
}

#[test]
fn a_log_on_a_terminal_is_paged_and_cannot_steer_it() {
    let coordinator = Coordinator::start();
    let on_terminal = |variable: &str, value: &str| {
        let program = coordinator.command(&["pkgs", "log", "--name", "a"]);
        let line = format!("{} pkgs log --name a", program.get_program().display());
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &line, "/dev/null"]).stdin(Stdio::null());
        script.env("REBUILDER_ENDPOINT", &coordinator.address).env_remove("NOPAGER");
        Ran::from(script.env(variable, value).output().unwrap())
    };
    let ran = on_terminal("PAGER", "sed s/^/paged:/");
    assert_eq!((ran.code, &*ran.out), (Some(0), "paged:one \u{fffd}\r\npaged:two\r\n"));
    let ran = on_terminal("NOPAGER", "1");
    assert_eq!((ran.code, &*ran.out), (Some(0), "one \u{fffd}\r\ntwo\r\n"));
    coordinator.stop();
}

#[test]
fn a_followed_log_comes_at_once_and_ends_at_an_interrupt() {
    let coordinator = Coordinator::start();
    let mut child = coordinator
        .command(&["pkgs", "log", "--name", "a", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    out.read_until(b'\n', &mut lines).unwrap();
    out.read_until(b'\n', &mut lines).unwrap();
    assert!(lines.ends_with(b"two\n"));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, &*ran.err), (Some(130), ""));
    coordinator.stop();
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let coordinator = Coordinator::start();
    let mut child = coordinator
        .command(&["pkgs", "ls", "--name", "many", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    coordinator.stop();
}

#[test]
fn an_answer_that_breaks_off_is_no_valid_document() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run(&["pkgs", "ls", "--name", "lost", "--json"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("disk full"), "{ran:?}");
    assert!(ran.out.contains("package-9"), "{ran:?}");
    assert!(serde_json::from_str::<serde_json::Value>(&ran.out).is_err());
    coordinator.stop();
}

#[test]
fn a_coordinator_that_is_not_there_is_3_with_what_to_check() {
    // Bound and silent, so that nobody answers and nothing refuses.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let ran =
        Ran::from(program(&["status", "--timeout", "1", "--endpoint", &address]).output().unwrap());
    assert_eq!((ran.code, &*ran.out), (Some(3), ""));
    assert!(ran.err.contains(&address) && ran.err.contains("no firewall drops UDP"), "{ran:?}");
    assert!(ran.err.starts_with("waiting for") || !ran.err.contains("waiting"), "{ran:?}");
    drop(silent);
    let output = program(&["status", "--endpoint", &address]).output().unwrap();
    let ran = Ran::from(output);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("nobody listens on UDP port"), "{ran:?}");
    assert!(ran.err.matches(" .").count() <= 2, "within two seconds: {ran:?}");
    let name = "no-such-host.invalid";
    let ran = Ran::from(program(&["status", "--endpoint", name]).output().unwrap());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("no-such-host.invalid:8485"), "{ran:?}");
}

#[test]
fn only_the_pinned_coordinator_is_talked_to() {
    let coordinator = Coordinator::start();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("ctl.key");
    let made = key_file::load_or_create(&key, Access::Group).unwrap();
    let list = |pin: &str| {
        std::fs::write(folder.path().join("coordinator.pub"), pin).unwrap();
        let mut command = coordinator.command(&["worker", "ls", "-v"]);
        // Where the peer keeps its cookie.
        command.env("REBUILDERD_COOKIE_PATH", folder.path().join("auth-cookie"));
        Ran::from(command.output().unwrap())
    };
    let ran = list(&format!("{}\n", coordinator.key));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains(&made.public_key().to_string()), "{ran:?}");
    assert!(ran.err.contains("we may only read"), "{ran:?}");
    let ran = list(&format!("{}\n", "0a".repeat(32)));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains(&coordinator.key.to_string()), "{ran:?}");
    assert!(ran.err.contains("somebody else answers"), "{ran:?}");
    assert_eq!(list("junk").code, Some(2));
    let ran = coordinator.run(&["status", "--key", "/nonexistent/ctl.key"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    coordinator.stop();
}

#[test]
fn a_refused_connection_says_why() {
    let coordinator = Coordinator::start();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    // The canned coordinator takes this key for that of an old release.
    std::fs::write(&key, format!("{}\n", "09".repeat(32))).unwrap();
    let status = Command::new("chmod").arg("600").arg(&key).status().unwrap();
    assert!(status.success());
    let ran = coordinator.run(&["status", "--key", key.to_str().unwrap()]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("no protocol version in common"), "{ran:?}");
    assert!(ran.err.contains("upgrade the older side"), "{ran:?}");
    coordinator.stop();
}

#[test]
fn an_empty_list_says_so_beside_the_data() {
    let coordinator = Coordinator::start();
    for (list, said) in [
        ("worker", "no worker was ever let in"),
        ("profile", "no profile is configured"),
        ("queue", "nothing is ready or running"),
        ("pkgs", "no packages are known yet"),
    ] {
        let ran = coordinator.run(&[list, "ls"]);
        assert_eq!((ran.code, &*ran.out), (Some(0), ""), "{ran:?}");
        assert!(ran.err.contains(said), "{ran:?}");
    }
    let ran = coordinator.run(&["queue", "ls", "--planned"]);
    assert!(ran.err.contains("the queue is empty"), "{ran:?}");
    coordinator.stop();
}

#[test]
fn a_table_is_sorted_cut_and_limited_as_asked() {
    let coordinator = Coordinator::start();
    let names = |arguments: &[&str]| {
        let ran = coordinator.run(&[&["pkgs", "ls", "many"], arguments].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out
    };
    let text = names(&["--limit", "3", "--columns", "version,name"]);
    assert_eq!(text, "VERSION  NAME\n1        package-0\n1        package-1\n1        package-2\n");
    let text = names(&["--limit", "2", "--sort=-name", "--columns=name"]);
    assert_eq!(text, "NAME\npackage-2499\npackage-2498\n");
    let text = names(&["--limit", "2", "--sort=-name", "--json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!((rows.len(), &rows[1]["name"]), (2, &"package-2498".into()));
    let ran = coordinator.run(&["pkgs", "ls", "many", "--columns", "nmae"]);
    assert_eq!((ran.code, ran.err.contains("it has status, name")), (Some(2), true), "{ran:?}");
    for width in ["60", "80", "200"] {
        let mut command = coordinator.command(&["pkgs", "ls", "many", "--limit", "9"]);
        let ran = Ran::from(command.env("COLUMNS", width).output().unwrap());
        let longest = ran.out.lines().map(str::len).max().unwrap();
        assert!(ran.out.lines().count() == 10 && longest <= width.parse().unwrap(), "{ran:?}");
    }
    coordinator.stop();
}

#[test]
fn shells_complete_below_the_first_word() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, ask) in [
        (
            "bash",
            // As bash does it: the words so far, and the function that is registered for them.
            "source \"$1\"; shift; COMP_WORDS=(rebuilder-ctl \"$@\"); COMP_CWORD=$#; \
             registered=$(complete -p rebuilder-ctl | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             $registered rebuilder-ctl \"${!#}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
             printf '%s\\n' \"${COMPREPLY[@]}\"",
        ),
        ("fish", "source $argv[1]; complete -C \"rebuilder-ctl $argv[2..]\""),
        ("zsh", include_str!("complete.zsh")),
    ] {
        if Command::new(shell).arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("{shell} is not installed here");
            continue;
        }
        let script = folder.path().join(shell);
        std::fs::write(&script, Ran::from(program(&["completions", shell]).output().unwrap()).out)
            .unwrap();
        let offered = |words: &[&str]| {
            let mut command = Command::new(shell);
            command.arg("-c").arg(ask);
            // Only fish takes no word for $0.
            command.args((shell != "fish").then_some(shell)).arg(&script).args(words);
            command.stdin(Stdio::null());
            let ran = Ran::from(command.output().unwrap());
            ran.out.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        for (words, expected) in [
            (&["que"][..], "queue"),
            (&["queue", ""], "push"),
            (&["queue", "push", "--st"], "--status"),
            (&["queue", "push", "--status", ""], "build-failed"),
            (&["completions", "z"], "zsh"),
        ] {
            let offered = offered(words);
            assert!(offered.iter().any(|word| word == expected), "{shell} {words:?}: {offered:?}");
        }
    }
}

#[test]
fn completions_need_no_coordinator() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = Ran::from(program(&["completions", shell]).output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.contains("diffoscope"), "{shell}");
    }
}
