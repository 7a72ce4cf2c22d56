//! Each test starts this program once more, as somebody odd would, and has it settle there.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::*;

/// What a program sees that a settled process starts.
const LOOK: &str = "echo umask $(umask); grep -E '^Sig(Blk|Ign|Cgt):' /proc/self/status; \
     echo files $(ulimit -S -n) size $(ulimit -S -f); echo machine $(uname -m); \
     echo open $(ls /proc/self/fd | tr '\\n' ' '); echo folder $(pwd -P); \
     echo path $PATH; echo tmp ${TMPDIR-none}; : >${TMPDIR-/tmp}/x.$$ && rm ${TMPDIR-/tmp}/x.$$";

/// What the settled process says and what it starts sees, as lines.
fn settled(prepare: impl FnOnce(&mut Command)) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--ignored", "--nocapture", "inherited::tests::in_a_child"]);
    child.env_remove("TMPDIR");
    prepare(&mut child);
    let output = child.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "is run by the tests below, in a process of its own"]
fn in_a_child() {
    for said in settle() {
        println!("said {said}");
    }
    let output = Command::new("/bin/sh").args(["-c", LOOK]).output().unwrap();
    print!("{}", String::from_utf8(output.stdout).unwrap());
    assert!(output.status.success());
}

fn line<'a>(lines: &'a [String], word: &str) -> &'a str {
    let found = lines.iter().find_map(|line| line.strip_prefix(word));
    found.unwrap_or_else(|| panic!("{word}: {lines:?}")).trim()
}

#[expect(unsafe_code, reason = "what runs between fork and exec: system calls, no allocation")]
fn before(command: &mut Command, odd: impl Fn() + Send + Sync + 'static) {
    // SAFETY: the callers make system calls only.
    unsafe {
        command.pre_exec(move || {
            odd();
            Ok(())
        });
    }
}

#[test]
#[expect(unsafe_code, reason = "signal(2) and dup(2)")]
fn umask_signals_limits_files_and_personality_are_our_own() {
    for mask in [0o077, 0o000, 0o777] {
        let lines = settled(|child| {
            before(child, move || {
                umask(Mode::from_bits_truncate(mask));
                for signal in 1..=libc::SIGRTMAX() {
                    // SAFETY: no handler is installed.
                    unsafe { libc::signal(signal, libc::SIG_IGN) };
                }
                SigSet::all().thread_block().unwrap();
                let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
                setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
                let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
                setrlimit(Resource::RLIMIT_FSIZE, 1 << 20, hard).unwrap();
                // SAFETY: the numbers are of nobody yet, and stay open.
                assert!([17, 50].iter().all(|to| unsafe { libc::dup2(0, *to) } == *to));
                Personality::Linux32.take().unwrap();
            });
        });
        assert_eq!(line(&lines, "umask"), "0022", "{mask:o}");
        assert_eq!(line(&lines, "SigBlk:"), "0000000000000000");
        let ignored = u64::from_str_radix(line(&lines, "SigIgn:"), 16).unwrap();
        // Of SIGHUP the node takes care when it catches it; 32 and 33 are the C library's own.
        let others = !(1 | 1 << 31 | 1 << 32);
        assert_eq!(ignored & others, 0, "{ignored:x}");
        let files: u64 = line(&lines, "files").split(' ').next().unwrap().parse().unwrap();
        assert!(files > 64, "{lines:?}");
        assert!(line(&lines, "files").ends_with("size unlimited"), "{lines:?}");
        assert_eq!(line(&lines, "open"), "0 1 2 3", "the fourth is the folder that is listed");
        assert_eq!(line(&lines, "machine"), std::env::consts::ARCH);
    }
}

#[test]
fn a_deleted_folder_a_missing_path_and_a_bad_tmpdir_are_said_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let full = Path::new("/proc/self");
    let absent = folder.path().join("gone");
    for (tmp, why) in [
        (&*absent, "No such file or directory"),
        (&*file, "Not a directory"),
        (Path::new("relative"), "not an absolute path"),
        (full, "cannot be used"),
    ] {
        let lines = settled(|child| {
            child.env("TMPDIR", tmp);
        });
        let said = line(&lines, "said");
        assert!(said.starts_with(&format!("TMPDIR names {}, which", tmp.display())), "{said}");
        assert!(said.contains(why), "{said}");
        assert_eq!(line(&lines, "tmp"), "none");
    }
    let lines = settled(|child| {
        child.env("TMPDIR", folder.path()).env_remove("PATH").env("HOME", "/nowhere");
    });
    assert_eq!(line(&lines, "tmp"), folder.path().display().to_string());
    assert!(line(&lines, "said").starts_with("PATH is not set"), "{lines:?}");
    assert_eq!(line(&lines, "path"), PATH);
    let lines = settled(|child| {
        let gone = folder.path().join("folder");
        std::fs::create_dir(&gone).unwrap();
        child.current_dir(&gone);
        let name = std::ffi::CString::new(gone.as_os_str().as_encoded_bytes()).unwrap();
        before(child, move || {
            // Allocates nothing: the name has its zero already.
            rustix::fs::rmdir(&*name).unwrap();
        });
    });
    assert!(line(&lines, "said").starts_with("the working directory cannot be used"), "{lines:?}");
    assert_eq!(line(&lines, "folder"), "/");
}

#[test]
fn an_ordinary_caller_is_told_nothing_and_keeps_its_choices() {
    let folder = tempfile::tempdir().unwrap();
    let lines = settled(|child| {
        child.current_dir(folder.path()).env("PATH", "/usr/bin:/bin").env("TMPDIR", folder.path());
    });
    assert!(!lines.iter().any(|line| line.starts_with("said")), "{lines:?}");
    let here = folder.path().canonicalize().unwrap();
    assert_eq!(line(&lines, "folder"), here.display().to_string());
    assert_eq!(line(&lines, "path"), "/usr/bin:/bin");
}
