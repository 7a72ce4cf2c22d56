//! Reads what `strace -f -y -xx` writes.

use bytes::Bytes;

/// The calls that are traced: all that change files, and what is needed to follow them.
pub const CALLS: &str = "openat,open,creat,mkdir,mkdirat,write,pwrite64,writev,pwritev,pwritev2,\
    ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,unlink,\
    unlinkat,rmdir,link,linkat,symlink,symlinkat,lseek,ioctl,copy_file_range,sendfile";

/// What a child writes to its standard output before what it acknowledges.
pub const TOLD: &str = "acknowledged ";

/// What a system call asks for. Paths are absolute; empty for a file that has no name any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Open {
        path: String,
        create: bool,
        truncate: bool,
        append: bool,
    },
    MakeDir {
        path: String,
    },
    /// `at`: `None` where the descriptor stands.
    Write {
        fd: u32,
        path: String,
        at: Option<u64>,
        bytes: Bytes,
    },
    Resize {
        path: String,
        to: u64,
    },
    /// `fsync` and `fdatasync`: the model has no metadata that only the first would save.
    Sync {
        path: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        path: String,
    },
    Seek {
        fd: u32,
    },
    Attributes {
        path: String,
        synchronous: bool,
    },
    /// Something that the model would have to know if it happened to a file of ours.
    Unknown {
        name: String,
        paths: Vec<String>,
    },
}

/// What happened, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A process without open files began.
    Started,
    Began {
        thread: u32,
        call: Call,
    },
    /// `result`: `None` when the call failed.
    Ended {
        thread: u32,
        result: Option<u64>,
    },
    /// The process acknowledged this.
    Told(String),
}

/// Reads one line; most lines of no interest give nothing.
pub fn events(line: &str) -> Vec<Event> {
    let Some((thread, call)) = line.split_once(' ') else { return vec![] };
    let thread: u32 = thread.parse().expect("strace -f starts lines with the thread");
    let call = call.trim_start();
    if call.starts_with("+++") || call.starts_with("---") {
        return vec![];
    }
    let ended = || {
        let (_, result) = call.rsplit_once(" = ").expect("a call that ended has a result");
        Event::Ended { thread, result: number(result) }
    };
    // `= ?` and `<detached ...>` are of calls that their process did not see the end of.
    let unfinished = call.ends_with(" ...>") || call.ends_with("= ?");
    if call.starts_with("<... ") {
        return if unfinished { vec![] } else { vec![ended()] };
    }
    let Some((name, rest)) = call.split_once('(') else { return vec![] };
    let arguments = match rest.rsplit_once(" = ") {
        Some((arguments, _)) => arguments.trim_end().trim_end_matches(')'),
        None => rest.rsplit_once(" <").map_or(rest, |(arguments, _)| arguments),
    };
    let Some(call) = parse(name, &split(arguments)) else { return vec![] };
    if let Call::Write { fd: 1, bytes, .. } = &call {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let told = text.lines().filter_map(|line| line.strip_prefix(TOLD));
        return told.map(|what| Event::Told(what.to_owned())).collect();
    }
    let mut events = vec![Event::Began { thread, call }];
    if !unfinished {
        events.push(ended());
    }
    events
}

fn parse(name: &str, arguments: &[&str]) -> Option<Call> {
    let path = |index: usize| quoted(arguments[index]);
    let at = |index: usize| beside(arguments[index], &quoted(arguments[index + 1]));
    let of_fd = || in_brackets(arguments[0]);
    let fd = || arguments[0].split('<').next().and_then(|fd| fd.parse().ok());
    let last = || number(arguments.last()?);
    Some(match name {
        "openat" | "open" => {
            let flags = arguments[if name == "open" { 1 } else { 2 }];
            let has = |flag| flags.split('|').any(|f| f == flag);
            Call::Open {
                path: if name == "open" { path(0) } else { at(0) },
                create: has("O_CREAT"),
                truncate: has("O_TRUNC"),
                append: has("O_APPEND"),
            }
        }
        "mkdir" => Call::MakeDir { path: path(0) },
        "mkdirat" => Call::MakeDir { path: at(0) },
        "write" | "pwrite64" => {
            let bytes: Bytes = unescape(arguments[1].trim_matches('"')).into();
            let length = number(arguments[2])?;
            assert_eq!(length, bytes.len() as u64, "strace cut a string short");
            let at = if name == "write" { None } else { Some(last()?) };
            Call::Write { fd: fd()?, path: of_fd(), at, bytes }
        }
        "ftruncate" => Call::Resize { path: of_fd(), to: last()? },
        "fsync" | "fdatasync" => Call::Sync { path: of_fd() },
        "rename" => Call::Rename { from: path(0), to: path(1) },
        "renameat" | "renameat2" => Call::Rename { from: at(0), to: at(2) },
        "unlink" | "rmdir" => Call::Remove { path: path(0) },
        "unlinkat" => Call::Remove { path: at(0) },
        "lseek" => Call::Seek { fd: fd()? },
        "ioctl" if arguments.get(1) == Some(&"FS_IOC_SETFLAGS") => {
            let synchronous = arguments[2].contains("FS_SYNC_FL");
            Call::Attributes { path: of_fd(), synchronous }
        }
        // Begins to write, promises nothing.
        "ioctl" | "sync_file_range" => return None,
        _ => {
            let paths = arguments.iter().flat_map(|a| [quoted(a), in_brackets(a)]).collect();
            Call::Unknown { name: name.to_owned(), paths }
        }
    })
}

/// The number that begins `text`; `None` when it is negative or none.
fn number(text: &str) -> Option<u64> {
    let digits = text.trim().split(|c: char| !c.is_ascii_digit() && c != '-').next()?;
    digits.parse().ok()
}

/// A path beside an open folder.
fn beside(folder: &str, name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("{}/{name}", in_brackets(folder)) }
}

/// A string argument; empty when it is none.
fn quoted(argument: &str) -> String {
    let inner = argument.strip_prefix('"').and_then(|a| a.strip_suffix('"'));
    String::from_utf8_lossy(&unescape(inner.unwrap_or_default())).into_owned()
}

/// The path that `-y` prints with a descriptor; empty when the file has no name any more.
fn in_brackets(argument: &str) -> String {
    let path = argument.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    match path {
        Some((path, "")) if path.starts_with("\\x") => {
            String::from_utf8_lossy(&unescape(path)).into_owned()
        }
        _ => String::new(),
    }
}

/// Splits at `, `. Long strings, which have none, are stepped over: most of a trace is in them.
fn split(arguments: &str) -> Vec<&str> {
    match arguments.split_once('"').and_then(|(before, rest)| Some((before, rest.split_once('"')?)))
    {
        Some((before, (string, after))) if string.len() > 1 << 10 => {
            let mut all: Vec<&str> = before.trim_end_matches(", ").split(", ").collect();
            all.push(string);
            all.extend(after.trim_start_matches(", ").split(", "));
            all
        }
        _ => arguments.split(", ").collect(),
    }
}

/// The bytes of `\xab\xcd…`. Traces are long, and this is not optimised in tests: hence the plain
/// loop.
fn unescape(text: &str) -> Vec<u8> {
    const DIGITS: [u8; 256] = digits();
    let text = text.as_bytes();
    assert!(text.len().is_multiple_of(4), "strace -xx prints every byte in hex");
    let mut bytes = vec![0; text.len() / 4];
    let (mut from, mut to) = (2, 0);
    while to < bytes.len() {
        bytes[to] = DIGITS[text[from] as usize] << 4 | DIGITS[text[from + 1] as usize];
        from += 4;
        to += 1;
    }
    bytes
}

const fn digits() -> [u8; 256] {
    let mut digits = [0; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hexed(text: &str) -> String {
        text.bytes().map(|b| format!("\\x{b:02x}")).collect()
    }

    fn one(line: &str) -> Call {
        match events(line).into_iter().next() {
            Some(Event::Began { call, .. }) => call,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn writes_are_read_with_their_bytes() {
        let path = hexed("/d/db");
        let line = format!("7 pwrite64(5<{path}>, \"\\x00\\xff\", 2, 4096) = 2");
        let (path, bytes) = ("/d/db".to_owned(), Bytes::from_static(&[0, 255]));
        let call = Call::Write { fd: 5, path, at: Some(4096), bytes };
        let began = Event::Began { thread: 7, call };
        let ended = Event::Ended { thread: 7, result: Some(2) };
        assert_eq!(events(&line), [began.clone(), ended.clone()]);
        for unfinished in [" <unfinished ...>", " <detached ...>", ") = ?"] {
            assert_eq!(events(&line.replace(") = 2", unfinished)), std::slice::from_ref(&began));
        }
        assert_eq!(events("7 <... pwrite64 resumed>)         = 2"), [ended]);
        assert_eq!(events("7 <... pwrite64 resumed>) = ?"), []);
        assert_eq!(events("7 +++ killed by SIGKILL +++"), []);
    }

    #[test]
    fn names_are_read() {
        let (dir, name) = (hexed("/d"), hexed("x"));
        let line = format!(
            "1 openat(AT_FDCWD<{dir}>, \"{name}\", O_WRONLY|O_CREAT|O_APPEND, 0640) = 3<{dir}>"
        );
        let open = Call::Open { path: "/d/x".into(), create: true, truncate: false, append: true };
        assert_eq!(one(&line), open);
        assert_eq!(events(&line)[1], Event::Ended { thread: 1, result: Some(3) });
        let refused = "1 <... openat resumed>) = -1 ENOENT (No such file or directory)";
        assert_eq!(events(refused), [Event::Ended { thread: 1, result: None }]);
        let line = format!("1 rename(\"{}\", \"{}\") = 0", hexed("/d/a"), hexed("/d/b"));
        assert_eq!(one(&line), Call::Rename { from: "/d/a".into(), to: "/d/b".into() });
        let line = format!("1 unlinkat(4<{dir}>, \"{name}\", 0) = 0");
        assert_eq!(one(&line), Call::Remove { path: "/d/x".into() });
        let line = format!("1 ftruncate(4<{dir}>(deleted), 512) = 0");
        assert_eq!(one(&line), Call::Resize { path: String::new(), to: 512 });
    }

    #[test]
    fn what_makes_durable_is_read() {
        let db = hexed("/d/db");
        assert_eq!(one(&format!("1 fdatasync(4<{db}>) = 0")), Call::Sync { path: "/d/db".into() });
        let line = format!("1 ioctl(4<{db}>, FS_IOC_SETFLAGS, [FS_SYNC_FL|FS_EXTENT_FL]) = 0");
        assert_eq!(one(&line), Call::Attributes { path: "/d/db".into(), synchronous: true });
        assert_eq!(events(&format!("1 sync_file_range(4<{db}>, 0, 96, 7) = 0")), []);
        let line = format!("1 fallocate(4<{db}>, 0, 0, 4096) = 0");
        assert!(matches!(one(&line), Call::Unknown { .. }));
    }

    #[test]
    fn acknowledgements_are_read_at_their_begin() {
        let text = hexed("noise\nacknowledged 7 a\n");
        let line = format!("1 write(1<pipe:[2]>, \"{text}\", 23 <unfinished ...>");
        assert_eq!(events(&line), [Event::Told("7 a".into())]);
    }
}
