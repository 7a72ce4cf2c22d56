use clap::{CommandFactory, Parser};
use rebuilder_actors::protocol::PublicKey;
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, PackageStatus};

use crate::args::{Cli, Command, PkgsCommand, QueueCommand, WorkerCommand};
use crate::filter::FilterArgs;

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
}

#[test]
fn all_filters_and_their_aliases_are_understood() {
    let line = "pkgs ls --name lib* --status build-failed --distro debian --release sid \
                --suite main --architecture amd64 --version 1:2-3";
    let Command::Pkgs(PkgsCommand::Ls { filter, .. }) = parse(line).unwrap().command else {
        panic!("another command");
    };
    let mut expected = PackageFilter {
        name: Some("lib*".into()),
        version: Some("1:2-3".into()),
        status: Some(PackageStatus::BuildFailed),
        distribution: Some("debian".into()),
        release: Some("sid".into()),
        component: Some("main".into()),
        architecture: Some("amd64".into()),
    };
    assert_eq!(filter.to_wire(), [expected.clone()]);
    expected = PackageFilter { name: Some("lib*".into()), ..PackageFilter::default() };
    assert_eq!(filter_of("pkgs ls lib*").to_wire(), [expected]);
    assert!(parse("pkgs ls --distribution debian --component main").is_ok());
    assert!(refused("pkgs ls --status NICE").contains("reproduced"));
    assert!(Cli::try_parse_from(["rebuilder-ctl", "pkgs", "ls", "--name", ""]).is_err());
}

fn filter_of(line: &str) -> FilterArgs {
    match parse(line).unwrap().command {
        Command::Pkgs(PkgsCommand::Ls { filter, .. }) => filter,
        other => panic!("{other:?}"),
    }
}

#[test]
fn statuses_are_understood_as_people_know_them_and_several_at_once() {
    use PackageStatus::{BuildFailed, Differs, Dropped, Missing, Parked, Reproduced, Unknown};
    for (given, expected) in [
        ("--status GOOD", vec![Reproduced]),
        ("--status bad", vec![Differs, Missing]),
        ("--status FAIL", vec![BuildFailed]),
        ("--status UNKWN", vec![Unknown, Parked, Dropped]),
        ("--status differs,missing", vec![Differs, Missing]),
        ("--status missing --status differs", vec![Differs, Missing]),
        ("--status BAD,FAIL --status differs", vec![Differs, Missing, BuildFailed]),
        ("--status=Dropped", vec![Dropped]),
    ] {
        let filters = filter_of(&format!("pkgs ls {given}")).to_wire();
        let statuses: Vec<_> = filters.iter().map(|filter| filter.status.unwrap()).collect();
        assert_eq!(statuses, expected, "{given}");
    }
    let filters = filter_of("pkgs ls bash --name dash --status BAD").to_wire();
    let pairs: Vec<_> = filters.iter().map(|f| (f.name.as_deref().unwrap(), f.status)).collect();
    let [differs, missing] = [Some(Differs), Some(Missing)];
    let expected = [("bash", differs), ("bash", missing), ("dash", differs), ("dash", missing)];
    assert_eq!(pairs, expected);
    let many = format!("pkgs ls {}", "a ".repeat(65));
    assert_eq!(filter_of(&many).to_several().unwrap_err().exit_code(), 2);
    for wrong in ["--status differs,", "--status ''", "--status BADD"] {
        refused(&format!("queue push {wrong}"));
    }
}

#[test]
fn one_package_is_named_where_one_is_shown() {
    let one = |line: &str| match parse(line).unwrap().command {
        Command::Pkgs(PkgsCommand::Log { filter, .. }) => filter.to_one(),
        other => panic!("{other:?}"),
    };
    assert_eq!(one("pkgs log bash").unwrap().name.as_deref(), Some("bash"));
    assert_eq!(one("pkgs log --name bash -f").unwrap().name.as_deref(), Some("bash"));
    for wrong in ["pkgs log", "pkgs log bash dash", "pkgs log bash --status BAD"] {
        assert_eq!(one(wrong).unwrap_err().exit_code(), 2, "{wrong}");
    }
}

#[test]
fn head_has_a_default_and_a_number() {
    let head = |line| match parse(line).unwrap().command {
        Command::Queue(QueueCommand::Ls { head, planned, .. }) => (head, planned),
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
        Command::Queue(QueueCommand::Push(push)) | Command::Pkgs(PkgsCommand::Requeue(push)) => {
            let filters = push.selection.to_wire("queue push");
            (filters.map_err(|failure| failure.exit_code()), push.priority)
        }
        other => panic!("{other:?}"),
    };
    let named = PackageFilter { name: Some("a".into()), ..PackageFilter::default() };
    assert_eq!(push("queue push --name a --priority -5"), (Ok(vec![named.clone()]), -5));
    assert_eq!(push("queue push --name a --priority=-5"), (Ok(vec![named.clone()]), -5));
    assert_eq!(push("queue push --all"), (Ok(vec![PackageFilter::default()]), 0));
    assert_eq!(push("queue push a"), (Ok(vec![named.clone()]), 0));
    assert_eq!(push("pkgs requeue a --priority 3"), (Ok(vec![named]), 3));
    assert_eq!(push("queue push"), (Err(2), 0));
    assert_eq!(push("pkgs requeue"), (Err(2), 0));
    assert_eq!(push("queue push --all --name a"), (Err(2), 0));
    let Command::Queue(QueueCommand::Drop { selection }) = parse("queue drop").unwrap().command
    else {
        panic!("another command");
    };
    assert!(selection.to_wire("queue drop").unwrap_err().to_string().contains("--all"));
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
