use clap::{CommandFactory, Parser};
use rebuilder_actors::protocol::PublicKey;
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, PackageStatus};

use crate::args::{Cli, Command, PkgsCommand, QueueCommand, WorkerCommand};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("rebuilder-ctl").chain(line.split_whitespace()))
}

fn refused(line: &str) -> String {
    let error = parse(line).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{line}");
    error.to_string()
}

#[test]
fn the_definition_is_consistent_and_help_teaches() {
    Cli::command().debug_assert();
    let help = Cli::command().render_long_help().to_string();
    for taught in ["Examples:", "Exit codes:", "ctl.key", "REBUILDER_ENDPOINT", "--json"] {
        assert!(help.contains(taught), "{taught}\n{help}");
    }
    assert!(!help.contains("--timeout"), "{help}");
}

#[test]
fn all_filters_and_their_aliases_are_understood() {
    let line = "pkgs ls --name lib* --status build-failed --distro debian --release sid \
                --suite main --architecture amd64 --version 1:2-3";
    let Command::Pkgs(PkgsCommand::Ls { filter }) = parse(line).unwrap().command else {
        panic!("another command");
    };
    let expected = PackageFilter {
        name: Some("lib*".into()),
        version: Some("1:2-3".into()),
        status: Some(PackageStatus::BuildFailed),
        distribution: Some("debian".into()),
        release: Some("sid".into()),
        component: Some("main".into()),
        architecture: Some("amd64".into()),
    };
    assert_eq!(filter.to_wire(), expected);
    assert!(parse("pkgs ls --distribution debian --component main").is_ok());
    assert!(refused("pkgs ls --status GOOD").contains("reproduced"));
    assert!(Cli::try_parse_from(["rebuilder-ctl", "pkgs", "ls", "--name", ""]).is_err());
}

#[test]
fn head_has_a_default_and_a_number() {
    let head = |line| match parse(line).unwrap().command {
        Command::Queue(QueueCommand::Ls { head, planned }) => (head, planned),
        other => panic!("{other:?}"),
    };
    assert_eq!(head("queue ls"), (None, false));
    assert_eq!(head("queue ls --head"), (Some(25), false));
    assert_eq!(head("queue ls --head 3 --planned"), (Some(3), true));
    assert_eq!(head("queue ls --head --planned"), (Some(25), true));
    refused("queue ls --head 0");
}

#[test]
fn orders_need_a_filter_or_all() {
    let push = |line| match parse(line).unwrap().command {
        Command::Queue(QueueCommand::Push { selection, priority }) => {
            (selection.to_wire("push").map_err(|failure| failure.exit_code()), priority)
        }
        other => panic!("{other:?}"),
    };
    let named = PackageFilter { name: Some("a".into()), ..PackageFilter::default() };
    assert_eq!(push("queue push --name a --priority -5"), (Ok(named.clone()), -5));
    assert_eq!(push("queue push --name a --priority=-5"), (Ok(named), -5));
    assert_eq!(push("queue push --all"), (Ok(PackageFilter::default()), 0));
    assert_eq!(push("queue push"), (Err(2), 0));
    assert_eq!(push("queue push --all --name a"), (Err(2), 0));
    let Command::Queue(QueueCommand::Drop { selection }) = parse("queue drop").unwrap().command
    else {
        panic!("another command");
    };
    assert!(selection.to_wire("drop").unwrap_err().to_string().contains("--all"));
}

#[test]
fn global_options_stand_anywhere() {
    let key = "0a".repeat(32);
    let line = format!("--json worker ls -v --coordinator {key} --endpoint [::1]:9 --color never");
    let cli = parse(&line).unwrap();
    assert!(cli.global.json);
    assert_eq!(cli.global.verbose, 1);
    assert_eq!(cli.global.coordinator, Some(PublicKey([10; 32])));
    assert_eq!(cli.global.endpoint, "[::1]:9");
    assert!(refused("status --coordinator 0a").contains("64 hex digits"));
    refused("");
    refused("status --colour maybe");
}

#[test]
fn invitations_have_a_time() {
    let ttl = |line| match parse(line).unwrap().command {
        Command::Worker(WorkerCommand::Invite { ttl }) => ttl.as_secs(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ttl("worker invite"), 3600);
    assert_eq!(ttl("worker invite --ttl 2d"), 172_800);
    assert!(refused("worker invite --ttl 5").contains("1h30m"));
}
