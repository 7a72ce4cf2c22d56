//! What honest builds do, with the host's own tools, behind the wall.

use std::path::{Path, PathBuf};

use rebuilder_node::sandbox::{Bind, Exit, Personality, User};

use crate::fixture::Fixture;

#[tokio::test]
async fn honest_programs_work_behind_the_wall() {
    let Some(mut fixture) = Fixture::new().await else { return };
    // Debian leads to `fakeroot` through the last one.
    let folders = ["/usr", "/lib", "/lib64", "/etc/alternatives"].map(PathBuf::from);
    let present = folders.into_iter().filter(|folder| folder.exists());
    let binds = present.map(|path| Bind { source: path.clone(), target: path, read_only: true });
    fixture.spec.binds.extend(binds);
    fixture.spec.environment.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    for (tool, script) in HONEST {
        if !Path::new(tool).exists() {
            eprintln!("SKIPPED: {tool} is not installed here");
            continue;
        }
        for user in [User::Builder, User::Root] {
            fixture.spec.user = user;
            let (exit, printed) = fixture.sh(script).await;
            assert_eq!(exit, Exit::Status(0), "{tool} as {user:?}: {printed}");
            assert!(printed.ends_with("good\n"), "{tool} as {user:?}: {printed}");
        }
    }
}

#[tokio::test]
async fn the_machine_is_that_of_the_job_and_not_of_the_caller() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let native = std::env::consts::ARCH;
    let narrow = match native {
        "x86_64" => "i686",
        "aarch64" => "armv8l",
        _ => native,
    };
    for user in [User::Builder, User::Root] {
        for (personality, machine) in
            [(Personality::Native, native), (Personality::Linux32, narrow)]
        {
            (fixture.spec.user, fixture.spec.personality) = (user, personality);
            let (exit, printed) = fixture.sh("uname -m; sh -c 'uname -m'").await;
            assert_eq!((exit, printed), (Exit::Status(0), format!("{machine}\n{machine}\n")));
        }
    }
}

/// What must be there, and a script whose last line is `good`.
const HONEST: &[(&str, &str)] = &[
    ("/usr/bin/gcc", GCC),
    ("/usr/bin/perl", PERL),
    ("/usr/bin/python3", PYTHON),
    ("/usr/bin/python3", PYTHON_SYSCALLS),
    ("/usr/bin/fakeroot", FAKEROOT),
    (
        "/usr/bin/strace",
        "strace -f -o /tmp/trace sh -c true && grep -q execve /tmp/trace && echo good",
    ),
    // The debugger stops its program, and starts it at fixed addresses.
    ("/usr/bin/gdb", "gdb -nx -q -batch -ex starti -ex kill /bin/busybox </dev/null && echo good"),
    ("/usr/bin/setarch", "setarch -R true && setarch linux32 uname -m && echo good"),
];

/// Threads, a fork with `vfork`'s speed, locks between processes, a program of its own.
const GCC: &str = r#"cd /tmp && cat >t.c <<'C'
#include <pthread.h>
#include <semaphore.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
static sem_t done;
static void *work(void *arg) { sem_post(&done); return arg; }
int main(void) {
    pthread_t all[8];
    sem_init(&done, 1, 0);
    for (int i = 0; i < 8; i++) if (pthread_create(&all[i], NULL, work, NULL)) return 1;
    for (int i = 0; i < 8; i++) { pthread_join(all[i], NULL); sem_wait(&done); }
    pid_t child;
    char *arguments[] = {"true", NULL}, *none[] = {NULL};
    if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, none)) return 2;
    int status;
    waitpid(child, &status, 0);
    if (status) return 3;
    FILE *pipe = popen("echo good", "r");
    char line[8];
    fputs(fgets(line, 8, pipe), stdout);
    return pclose(pipe);
}
C
gcc -O1 -pthread -o t t.c && ./t"#;

const PERL: &str = r#"perl -MIO::Socket::INET -MIO::Socket::UNIX -MSocket -e '
    my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die "inet: $!";
    my $local = IO::Socket::UNIX->new(Local => "/tmp/socket.$$", Listen => 1) or die "unix: $!";
    socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "pair: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $server->sockport) or die "$!";
        syswrite $a, "good\n"; exit 0;
    }
    $server->accept or die "accept: $!";
    sysread $b, my $line, 5; waitpid $pid, 0; unlink "/tmp/socket.$$";
    print $line; exit $?'"#;

const PYTHON: &str = r#"cat >/tmp/m.py <<'P'
import asyncio, ctypes, mmap, multiprocessing, os, select, signal, socket, subprocess, threading
from multiprocessing import shared_memory
def double(n): return n * 2
async def spawn():
    process = await asyncio.create_subprocess_exec("true")
    return await process.wait()
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        assert pool.map(double, [1, 2]) == [2, 4]
    shared = shared_memory.SharedMemory(create=True, size=64)
    shared.close(); shared.unlink()
    assert asyncio.run(spawn()) == 0
    one, two = socket.socketpair()
    socket.send_fds(one, [b"x"], [0])
    assert len(socket.recv_fds(two, 1, 1)[1]) == 1
    six = socket.create_server(("::1", 0), family=socket.AF_INET6)
    select.epoll().close()
    os.memfd_create("x")
    assert socket.getaddrinfo("127.0.0.1", 80)
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    thread = threading.Thread(target=double, args=(1,)); thread.start(); thread.join()
    assert subprocess.run(["true"]).returncode == 0
    print("good")
P
python3 /tmp/m.py"#;

/// System V's queues, shared memory and semaphores, as `fakeroot` uses them; unsharing what is no
/// namespace; a filter of system calls of the build's own.
const PYTHON_SYSCALLS: &str = r#"python3 -c '
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
def ok(name, result):
    assert result >= 0, (name, os.strerror(ctypes.get_errno()))
    return result
ok("msgget", libc.msgget(0, 0o1600))
ok("shmget", libc.shmget(0, 4096, 0o1600))
ok("semget", libc.semget(0, 1, 0o1600))
ok("unshare", libc.unshare(0x200 | 0x400))
ok("personality", libc.personality(0xffffffff))
ok("inotify", libc.inotify_init1(0))
ok("timerfd", libc.timerfd_create(1, 0))
ok("prctl", libc.prctl(38, 1, 0, 0, 0))
allow = struct.pack("HBBI", 6, 0, 0, 0x7fff0000)
program = ctypes.create_string_buffer(allow)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
ok("seccomp", libc.prctl(22, 2, ctypes.byref(Program(1, ctypes.addressof(program))), 0, 0))
print("good")'"#;

/// With the host's tools by their paths: busybox's shell has its own, which nothing can be put in
/// front of.
const FAKEROOT: &str = "fakeroot /usr/bin/sh -c '/usr/bin/touch /tmp/mine && \
    /usr/bin/chown 0:0 /tmp/mine && test $(/usr/bin/stat -c %u /tmp/mine) = 0' && echo good";
