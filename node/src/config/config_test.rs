use std::path::Path;

use rebuilder_actors::domain::queue::{ProfilePolicy, RetryPolicy};
use rebuilder_actors::protocol::{AttemptLimits, PublicKey};

use super::*;
use crate::distribution::debian::DebianConfig;
use crate::distribution::debian::index::DebianSettings;
use crate::index::{Environment, Release};

pub(super) const SECRET: &str = "correct-horse-battery-staple";

pub(super) fn parse(text: &str, role: Role) -> Result<Config, String> {
    Config::parse(text, Path::new("/x/node.toml"), role).map_err(|error| error.to_string())
}

pub(super) fn refused(text: &str) -> String {
    parse(text, Role::Coordinator).expect_err(text)
}

pub(super) fn profile(keys: &str) -> String {
    format!("[profile.p]\n{keys}\n")
}

pub(super) fn one_profile(keys: &str) -> (ProfileConfig, Vec<String>) {
    let config = parse(&profile(keys), Role::Coordinator).unwrap();
    let [profile] = <[_; 1]>::try_from(config.coordinator.unwrap().profiles).unwrap();
    (profile, config.warnings)
}

pub(super) const DEBIAN: &str = "distribution = 'debian'\n\
    source = 'https://mirror.example.org/debian/'\nreleases = ['bookworm']\n\
    components = ['main']\narchitectures = ['amd64', 'all']";

#[test]
fn nothing_configured_is_a_coordinator_with_the_defaults() {
    let config = parse("", Role::Coordinator).unwrap();
    let coordinator = config.coordinator.unwrap();
    assert_eq!(coordinator.listen.to_string(), "127.0.0.1:8485");
    assert_eq!(coordinator.data_dir, Path::new("/var/lib/rebuilder"));
    let settings = coordinator.queue_settings(PublicKey([7; 32]));
    assert_eq!(settings.lease.as_secs(), 900);
    assert_eq!(settings.retry, RetryPolicy::default());
    assert_eq!((settings.confirmations, settings.seed), (1, 0x0707_0707_0707_0707));
    assert_eq!(settings.limits, AttemptLimits::default());
    assert_eq!(settings.enrolment.coordinator, PublicKey([7; 32]));
    assert_eq!(settings.enrolment.signup_secret, None);
    assert!(config.worker.is_none() && config.warnings[0].contains("nothing is followed"));
}

#[test]
fn what_is_configured_reaches_the_queue() {
    let key = "ab".repeat(32);
    let text = format!(
        "[coordinator]\nauthorized_workers = ['{key}']\nsignup_secret = '{SECRET}'\n\
         [schedule]\nlease_secs = 60\nretry_delay_base = 2\nmax_retries = 0\ninitial_delay = 5\n\
         confirmations = 2\nseed = 9\n[limits]\nbuild_secs_max = 10\nstage_secs_max = 20\n\
         log_bytes_max = '5 MiB'\n[profile.p]\n{DEBIAN}\npriority = -3\nmax_retries = 1\n\
         initial_delay = 30\ntags = ['big']\ncheck_published = true\n"
    );
    let config = parse(&text, Role::Coordinator).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    let settings = config.coordinator.unwrap().queue_settings(PublicKey([1; 32]));
    assert_eq!(settings.lease.as_secs(), 60);
    assert_eq!(settings.retry.delay_base.as_secs(), 7200);
    assert_eq!(settings.retry.max_retries, Some(0));
    assert_eq!((settings.initial_delay.as_secs(), settings.confirmations), (5, 2));
    assert_eq!(settings.seed, 9);
    let limits = AttemptLimits { build_secs_max: 10, stage_secs_max: 20, log_bytes_max: 5 << 20 };
    assert_eq!(settings.limits, limits);
    assert!(settings.enrolment.authorized.contains(&PublicKey([0xab; 32])));
    assert_eq!(settings.enrolment.signup_secret.as_deref(), Some(SECRET.as_bytes()));
    let policy = ProfilePolicy {
        priority: Some(-3),
        initial_delay: Some(core::time::Duration::from_secs(30)),
        max_retries: Some(1),
        tags: vec!["big".to_owned()],
        check_published: true,
    };
    assert_eq!(settings.profiles.get("p"), Some(&policy));
}

#[test]
fn a_profile_reaches_the_reader() {
    let more = "\nkeyring = '/k.gpg'\nshrink_guard_percent = 10\nexcludes = ['*-dbgsym']\n\
        archives = [{ url = '/a', suite = './' }]";
    let (profile, warnings) = one_profile(&format!("{DEBIAN}{more}"));
    assert_eq!(warnings, [""; 0]);
    let settings = DebianSettings::of(&profile);
    assert_eq!((&*settings.profile, &*settings.distribution), ("p", "debian"));
    assert_eq!(settings.source, "https://mirror.example.org/debian");
    assert_eq!(
        settings.releases,
        [Release { name: "bookworm".to_owned(), source: None, pin: None }]
    );
    assert_eq!(settings.architectures, ["amd64", "all"]);
    let buildinfo_url = "https://buildinfos.debian.net/buildinfo-pool".to_owned();
    assert_eq!(settings.environment, Environment::Recorded { buildinfo_url });
    assert_eq!(settings.snapshots, [""; 0]);
    assert_eq!(settings.keyring.as_deref(), Some(Path::new("/k.gpg")));
    assert!(settings.check_signature);
    assert_eq!((settings.shrink_guard, settings.archives.len()), (10, 1));
    assert_eq!(profile.interval.as_secs(), 3600);
}

#[test]
fn the_older_spelling_of_a_profile_means_the_same() {
    let (older, warnings) = one_profile(
        "distro = 'debian'\nsync_method = 'debian'\nsource = 'https://mirror.example.org/debian'\n\
         suite = 'main'\nreleases = [{ name = 'bookworm' }]\narchitecture = 'amd64'",
    );
    let (newer, _) = one_profile(&DEBIAN.replace(", 'all'", ""));
    assert_eq!(older, newer);
    assert!(warnings[0].contains("leaves out packages for `all`"), "{warnings:?}");
    for (keys, said) in [
        ("distro = 'debian'", "`distro` is the older spelling of `distribution`"),
        ("suite = 'main'", "`suite` is the older spelling of `components`"),
        ("architecture = 'amd64'", "`architecture` is the older spelling of `architectures`"),
        ("index = 'debian'\nsync_method = 'debian'", "`sync_method` is the older spelling"),
    ] {
        let error = refused(&profile(&format!("{DEBIAN}\n{keys}")));
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn unknown_keys_are_shown_in_their_place() {
    let text = "[schedule]\nlease_secs = 60\n  retry_dealy_base = 3\n";
    let error = refused(text);
    let expected = "/x/node.toml:3:3: unknown key `retry_dealy_base`, expected one of \
        `lease_secs`, `retry_delay_base`, `max_retries`, `initial_delay`, `confirmations`, \
        `seed`\n 3 |   retry_dealy_base = 3\n   |   ^";
    assert_eq!(error, expected);
    for (text, said) in [
        ("[worker]\nidle_delay = 3", "2:1: unknown key `idle_delay`: remove it: work is pushed"),
        (
            "[coordinator]\ncookie = 'x'",
            "2:1: unknown key `cookie` here: it belongs in [auth]\n 2 | cookie = …",
        ),
        (
            "[http]\npost_body_size_limit = 1",
            "2:1: unknown key `post_body_size_limit`: it is `body",
        ),
        ("[profile.x]\nmirror = ''", "2:1: unknown key `mirror`: it is `source`"),
        ("[profile.x]\nreleases = [{ nam = 'x' }]", "2:15: unknown key `nam`"),
        ("[profile.x]\ninclude = [{ pkgs = [] }]", "2:14: unknown key `pkgs`, expected one of"),
        ("[backend.x]\npath = '/x'\nargs = []", "3:1: unknown key `args`"),
    ] {
        let error = refused(text);
        assert!(error.contains(&format!("/x/node.toml:{said}")), "{error}");
    }
}

#[test]
fn wrong_values_are_shown_in_their_place() {
    for (text, said) in [
        ("a", "1:2: "),
        ("[schedule]\nlease_secs = 5", "2:14: `lease_secs`: 5 is not between 30 and 86400"),
        ("[schedule]\nconfirmations = 0", "2:17: `confirmations`: 0 is not between 1 and 100"),
        ("[schedule]\nseed = 'x'", "2:8: `seed`: a whole number from 0 to"),
        (
            "[limits]\nlog_bytes_max = '9 elephants'",
            "2:17: `log_bytes_max`: a number of bytes, as 1048576",
        ),
        (
            "[limits]\nlog_bytes_max = 1",
            "2:17: `log_bytes_max`: a log needs at least 4194304 bytes",
        ),
        (
            "[coordinator]\nlisten = 'localhost'",
            "2:10: `listen`: `localhost` is not an IP address with port",
        ),
        ("[coordinator]\ndata_dir = 'data'", "2:12: `data_dir`: `data` is not an absolute path"),
        ("[coordinator]\nadmins = ['ab']", "2:11: `admins`: "),
        ("[worker]\ncoordinator = 'host'", "2:15: `coordinator`: `host` is not host:port"),
        ("[worker]\ncoordinator = 'a::b:1'", "2:15: `coordinator`: `a::b:1` is not host:port"),
        ("[worker]\nslots = 257", "2:9: `slots`: 257 is not between 1 and 256"),
        ("[profile.x]\nsource = 'ftp://x'", "2:10: `source`: `ftp://x` is neither a URL"),
        ("[profile.x]\nenvironment = 'any'", "2:15: `environment`: `any` is none of"),
        ("[profile.x]\nreleases = [1]", "2:13: `releases`: the name of a release or"),
        ("[profile.'a/b']", "1:10: `a/b` is not a name"),
        ("[profile.x]", "1:10: profile `x` has no `distribution`"),
        ("[profile.x]\ndistribution = 'hurd'", "1:10: there is no reader for the indexes of"),
        ("[profile.x]\ndistribution = 'd'\nindex = 'rpm'", "1:10: it is not known where `d`"),
    ] {
        let error = refused(text);
        assert!(error.contains(&format!("/x/node.toml:{said}")), "{error}");
    }
}

#[test]
fn filters_are_shown_in_the_order_in_which_they_decide() {
    let keys = "pkgs = ['hello*']\nexcludes = ['*-dbgsym']\nmaintainers = ['Jane']\n\
        include = [{ source_pkgs = ['linux*', 'gcc-*'], exclude = true }, { component = 'main' }]";
    let text = profile(&format!("{DEBIAN}\n{keys}"));
    let summary = parse(&text, Role::Coordinator).unwrap().summary();
    let shown = "  never                  binary packages called *-dbgsym\n  \
                 leaves out             source package called linux* or gcc-*\n  \
                 keeps                  component main\n  \
                 keeps                  maintainers Jane…\n  \
                 keeps                  binary packages called hello*\n";
    assert!(summary.contains(shown), "{summary}");
    let all = parse(&profile(DEBIAN), Role::Coordinator).unwrap().summary();
    assert!(all.contains("  packages               all\n"), "{all}");
}

#[test]
fn all_problems_of_meaning_are_told_at_once() {
    let text = profile(
        "distribution = 'debian'\nenvironment = 'suite'\nbuildinfos = '/b'\n\
        pkgs = ['ok', '[']\nsuite = 'bookworm'\nsource = '/m'",
    );
    let error = refused(&text);
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(
        lines[0],
        "/x/node.toml:1:10: profile `p` has no `releases` (`suite` is one of the \
        `components`)"
    );
    assert_eq!(lines[1..3], [" 1 | [profile.p]", "   |          ^"]);
    assert_eq!(lines[3], "and /x/node.toml:1:10: profile `p` has no `architectures`");
    assert!(lines[4].starts_with("and /x/node.toml:4:14: `buildinfos` is of no use"), "{error}");
    // The glob's own place: the first `[` after the name of the profile.
    assert!(lines[5].contains("`[` in pkgs is not a glob pattern"), "{error}");
    let besides = lines[6..].iter().filter(|line| !line.starts_with("besides, ")).count();
    assert_eq!(besides, 0, "{error}");
}

#[test]
fn secrets_are_never_shown() {
    let short = "[coordinator]\nsignup_secret = 'hunter2'\n";
    let error = refused(short);
    assert!(
        error.contains("2:17: `signup_secret`: the secret has 7 characters, at least 24"),
        "{error}"
    );
    assert!(error.contains("2 | signup_secret = …"), "{error}");
    let number = refused("[coordinator]\nsignup_secret = 123456789\n");
    let unfinished = refused("[worker]\ninvitation = 'hunter2\n");
    assert!(number.contains("must be a text in quotes"), "{number}");
    for error in [error, number, unfinished] {
        assert!(!error.contains("hunter2") && !error.contains("123456789"), "{error}");
    }
    let text =
        format!("[coordinator]\nsignup_secret = '{SECRET}'\n[worker]\ninvitation = '{SECRET}'");
    let config = parse(&text, Role::Standalone).unwrap();
    assert!(!config.summary().contains(SECRET) && !format!("{config:?}").contains(SECRET));
    assert!(config.summary().contains("a signup secret"));
    assert!(config.summary().contains("an invitation"));
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let text = format!("[coordinator]\nsignup_secret_file = '{}'\n", path.display());
    assert!(refused(&text).contains("2:22: cannot read the secret"), "{}", refused(&text));
    // A role that does not need it does not read it.
    parse(&format!("{text}[worker]\ncoordinator = 'c:1'"), Role::Worker).unwrap();
    write(&path, format!("{SECRET}\n")).unwrap();
    set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&text).contains("run `chmod 640 "), "{}", refused(&text));
    set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let coordinator = parse(&text, Role::Coordinator).unwrap().coordinator.unwrap();
    assert_eq!(coordinator.signup_secret.unwrap().reveal(), SECRET);
    write(&path, "short\n").unwrap();
    assert!(refused(&text).contains("the secret has 5 characters"), "{}", refused(&text));
    let both = format!("{text}signup_secret = '{SECRET}'\n");
    assert!(refused(&both).contains("are both given"), "{}", refused(&both));
}

#[test]
fn a_file_with_a_secret_for_everybody_to_read_is_warned_of() {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    let missing = Config::load(Some(&path), Role::Coordinator).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read the configuration"), "{missing}");
    write(&path, format!("[worker]\ncoordinator = 'c:1'\nsignup_secret = '{SECRET}'")).unwrap();
    for (mode, warnings) in [(0o644, 1), (0o640, 0)] {
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let config = Config::load(Some(&path), Role::Worker).unwrap();
        assert_eq!(config.warnings.len(), warnings, "{:?}", config.warnings);
    }
}

#[test]
fn a_worker_needs_somebody_to_work_for_and_something_to_work_with() {
    let said = parse("", Role::Worker).unwrap_err();
    assert!(said.starts_with("/x/node.toml: a worker needs `coordinator"), "{said}");
    let said = parse("[debian]\nenabled = false", Role::Standalone).unwrap_err();
    assert!(said.contains("this worker has no backend"), "{said}");
    let text = format!(
        "[worker]\ncoordinator = '[::1]:8485'\nname = 'w'\nslots = 2\ntags = ['t']\n\
         signup_secret = '{SECRET}'\nmemory_bytes_max = '1 GiB'\n[debian]\ntmpfs = '/run/x'\n\
         [diffoscope]\nenabled = true\ntimeout = 9\n[backend.tails]\npath = '/usr/bin/t'\n"
    );
    let worker = parse(&text, Role::Worker).unwrap().worker.unwrap();
    assert_eq!(worker.coordinator.as_deref(), Some("[::1]:8485"));
    assert_eq!((worker.slots, worker.bounds.memory_bytes_max), (2, Some(1 << 30)));
    assert_eq!(worker.enrolment, WorkerEnrolment::SignupSecret(Secret::new(SECRET.to_owned())));
    let debian: &dyn core::any::Any = &*worker.built_in["debian"];
    let debian = debian.downcast_ref::<DebianConfig>().unwrap();
    assert_eq!(debian.tmpfs.as_deref(), Some(Path::new("/run/x")));
    assert_eq!(worker.scripts["tails"].program, Path::new("/usr/bin/t"));
    assert_eq!((worker.diffoscope.enabled, worker.diffoscope.timeout.as_secs()), (true, 9));
    assert!(worker.architectures.iter().any(|name| name == std::env::consts::ARCH));
    let both = text.replace("name = 'w'", &format!("invitation = '{SECRET}'"));
    assert!(parse(&both, Role::Worker).unwrap_err().contains("needs no signup secret"));
    // A script takes the place of the built-in backend of its name.
    let replaced = parse(&text.replace("tails", "debian"), Role::Worker).unwrap().worker.unwrap();
    assert!(replaced.built_in.is_empty(), "{:?}", replaced.built_in);
}

#[test]
fn a_profile_without_signatures_is_loud() {
    let (unsigned, warnings) = one_profile(&format!("{DEBIAN}\ncheck_signature = false"));
    assert!(!unsigned.check_signature);
    assert!(warnings[0].contains("does not check signatures"), "{warnings:?}");
    let text = profile(&format!("{DEBIAN}\ncheck_signature = false"));
    let summary = parse(&text, Role::Coordinator).unwrap().summary();
    assert!(summary.contains("NOT CHECKED") && summary.contains("warning: profile `p`"));
}

#[test]
fn what_a_profile_waives_is_named() {
    let pin = "ab".repeat(32);
    let more =
        "\ncheck_valid_until = false\naccept_suite = ['stable']\nunreadable_guard_percent = 5";
    let (waiving, warnings) = one_profile(&format!("{DEBIAN}{more}"));
    let settings = DebianSettings::of(&waiving);
    assert!(!settings.check_valid_until && settings.accept_suite == ["stable"]);
    assert_eq!(settings.unreadable_guard, 5);
    assert!(warnings[0].contains("`check_valid_until = false`"), "{warnings:?}");
    let summary = parse(&profile(&format!("{DEBIAN}{more}")), Role::Coordinator).unwrap().summary();
    assert!(summary.contains("Valid-Until") && summary.contains("may call itself"), "{summary}");
    let (usual, _) = one_profile(DEBIAN);
    let settings = DebianSettings::of(&usual);
    assert!(settings.check_valid_until && settings.accept_suite.is_empty());
    assert_eq!((settings.unreadable_guard, settings.releases[0].pin), (50, None));
    let pinned = |pin: &str| {
        let release = format!("releases = [{{ name = 'bookworm', inrelease_sha256 = '{pin}' }}]");
        profile(DEBIAN).replace("releases = ['bookworm']", &release)
    };
    let read = parse(&pinned(&pin), Role::Coordinator).unwrap();
    let releases = &read.coordinator.unwrap().profiles[0].releases;
    assert_eq!(releases[0].pin.map(|pin| pin.to_string()), Some(pin.clone()));
    let error = parse(&pinned(&pin[1..]), Role::Coordinator).unwrap_err();
    assert!(error.contains("is not a SHA-256"), "{error}");
}
