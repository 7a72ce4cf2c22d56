//! Looks for what nothing that a package brings may see or reach. Each script fails, and with it
//! the build, where it gets at anything.

use crate::trial::{Place, Trial};

/// System calls by number, as this machine has them: name, amd64, arm64, arguments. `!` before a
/// name is for those that must be refused even to root of the sandbox.
const CALLS: &str = r#"
my $arm = `uname -m` =~ /aarch64/;
my @bad;
sub refused {
    my ($name, $amd64, $arm64, @arguments) = @_;
    my $number = $arm ? $arm64 : $amd64;
    return if $number < 0;
    $! = 0;
    my $result = syscall($number, @arguments);
    push @bad, "$name gave $result" if $result >= 0;
    print "$name: $!\n";
}
my $zeros = "\0" x 256;
"#;

const KERNEL: &str = r#"
refused('add_key', 248, 217, my $type = "user", my $name = "x", my $value = "y", 1, -3);
refused('keyctl', 250, 219, 0, -3, 1);
refused('bpf', 321, 280, 0, $zeros, 128);
refused('perf_event_open', 298, 241, $zeros, 0, -1, -1, 0);
refused('userfaultfd', 323, 282, 0);
refused('userfaultfd for user mode', 323, 282, 1);
refused('io_uring_setup', 425, 425, 4, $zeros);
refused('kexec_load', 246, 104, 0, 0, $zeros, 0);
refused('init_module', 175, 105, $zeros, 0, my $no = "");
refused('swapon', 167, 224, my $swap = "/swap", 0);
refused('reboot', 169, 142, 0xfee1dead, 672274793, 0);
refused('open_by_handle_at', 304, 265, -100, $zeros, 0);
refused('unshare of the user', 272, 97, 0x10000000);
refused('setns', 308, 268, 0, 0);
refused('quotactl', 179, 60, 0, my $device = "x", 0, $zeros);
refused('acct', 163, 89, my $file = "acct");
refused('settimeofday', 164, 170, $zeros, 0);
refused('syslog', 103, 116, 3, my $room = $zeros, 256);
refused('move_pages of another', 279, 239, 1, 0, 0, 0, 0, 0);
"#;

const SOCKETS: &str = r#"
use Socket;
for my $family (0 .. 50) {
    next if grep { $_ == $family } (1, 2, 10, 16);
    for my $kind (1, 2, 3, 5) {
        my $made = socket(my $socket, $family, $kind, 0);
        push @bad, "socket family $family kind $kind" if $made;
    }
}
for my $peer ('127.0.0.1', '192.0.2.1', '169.254.169.254', '10.0.0.1') {
    for my $port (22, 80, 443, 8484, 8485) {
        socket(my $socket, AF_INET, SOCK_STREAM, 0) or next;
        push @bad, "connected to $peer:$port"
            if connect($socket, sockaddr_in($port, inet_aton($peer)));
    }
}
socket(my $raw, AF_INET, SOCK_RAW, 255) and $< and push @bad, 'a raw socket';
"#;

const FILES: &str = r#"
for my $path (glob('/proc/[0-9]*/environ /proc/[0-9]*/cmdline')) {
    open(my $file, '<', $path) or next;
    local $/;
    my $text = <$file> // '';
    push @bad, "secret in $path" if $text =~ /E2E_SECRET|secret-of-/;
}
for my $root ('/', glob('/proc/[0-9]*/root/')) {
    for my $path ('etc/shadow', 'root/.ssh', 'root/.cargo', 'root/.rustup') {
        next if $root eq '/' && $path eq 'etc/shadow';
        push @bad, "$root$path" if -r "$root$path" && $root ne '/' && -d "${root}sys/kernel";
    }
}
my $names = '-name worker.key -o -name ctl.key -o -name coordinator.key';
my $keys = `find / -xdev \\( $names \\) -size +0 2>/dev/null`;
push @bad, "keys: $keys" if $keys ne '';
my $processes = () = glob('/proc/[0-9]*');
push @bad, "$processes processes" if $processes > 60;
for my $path ('/dev/mem', '/dev/kmem', '/dev/kmsg', '/dev/sda', '/dev/vda', '/dev/loop0',
    '/dev/fuse', '/dev/kvm', '/proc/kcore', '/proc/sysrq-trigger', '/proc/sys/kernel/core_pattern',
    '/proc/sys/kernel/modprobe', '/sys/kernel/uevent_helper', '/proc/self/oom_score_adj_none') {
    push @bad, "opened $path to write" if sysopen(my $file, $path, 1);
}
for my $path ('/proc/1/mem', '/proc/1/environ', '/proc/1/exe', '/proc/1/root/etc') {
    next unless $<;
    push @bad, "opened $path" if sysopen(my $file, $path, 0);
}
"#;

const MOUNTS: &str = r#"
mkdir 'm';
push @bad, 'mounted a tmpfs' if system('mount -t tmpfs none m 2>/dev/null') == 0 && $<;
push @bad, 'unshared' if system('unshare -Ur true 2>/dev/null') == 0;
push @bad, 'unshared and mounted' if system('unshare -Urm mount -t tmpfs none m 2>/dev/null') == 0;
push @bad, 'a memory device'
    if system('mknod mem c 1 1 2>/dev/null') == 0 && sysopen(my $memory, 'mem', 0);
push @bad, 'a disk device'
    if system('mknod disk b 254 0 2>/dev/null') == 0 && sysopen(my $disk, 'disk', 0);
push @bad, 'remounted' if system('mount -o remount,rw / 2>/dev/null') == 0 && $<;
push @bad, 'the first process was traced' if system('kill -0 1 2>/dev/null') == 0 && $<
    && syscall(`uname -m` =~ /aarch64/ ? 117 : 101, 16, 1, 0, 0) == 0;
"#;

const VERDICT: &str = "print \"REACHED $_\\n\" for @bad;\nexit(@bad ? 1 : 0);\n";

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, dependency, base, perl) in [
        ("kernel", "postinst-kernel", "base-kernel", KERNEL),
        ("sockets", "postinst-sockets", "base-sockets", SOCKETS),
        ("files", "postinst-files", "base-files-seen", FILES),
        ("mounts", "postinst-mounts", "base-mounts", MOUNTS),
    ] {
        // In a folder of its own: the place is the source's, or the root of the file system.
        let script = format!(
            "d=$(mktemp -d) && cd \"$d\" && cat >look.pl <<'LOOK'\n{CALLS}{perl}{VERDICT}LOOK\n\
             perl look.pl; status=$?; cd /; rm -rf \"$d\"; exit $status\n"
        );
        trials.push(Trial::new(name, Place::Build, &script, REPRODUCED).quick());
        trials.push(Trial::new(dependency, Place::Dependency, &script, REPRODUCED));
        trials.push(Trial::new(base, Place::Base, &script, REPRODUCED));
    }
    trials
}

const REPRODUCED: &[&str] = &["reproduced"];
