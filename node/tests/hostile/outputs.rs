//! What a build leaves instead of the file that it should have made.

use crate::trial::{Place, Trial};

const SYMLINK: &str = "mv \"$DEB\" /tmp/x && ln -s /tmp/x \"$DEB\"\n";
const SYMLINK_AWAY: &str = "rm \"$DEB\" && ln -s /etc/passwd \"$DEB\"\n";
const SYMLINK_LOOP: &str = "rm \"$DEB\" && ln -s \"$DEB\" \"$DEB\"\n";
const PARENT: &str = "here=$PWD; cd / && mv \"$here\" \"$here.moved\" && ln -s /etc \"$here\"\n";
const FIFO: &str = "rm \"$DEB\" && mkfifo \"$DEB\"\n";
const SOCKET: &str = "rm \"$DEB\" && perl -MIO::Socket::UNIX -e \
     'IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1) or die' \"$DEB\"\n";
const DIRECTORY: &str = "rm \"$DEB\" && mkdir \"$DEB\" && touch \"$DEB/x\"\n";
const DEVICE: &str = "rm \"$DEB\" && mknod \"$DEB\" c 1 5 || mknod \"$DEB\" p\n";
const HARD_LINK: &str = "ln \"$DEB\" other.deb && ln \"$DEB\" /tmp/third\n";
const MODES: &str = "chmod 7755 \"$DEB\"\n";
const SPARSE: &str = "truncate -s 5G \"$DEB\" || exit 1\n";
const MANY: &str = "perl -e 'for (1..100000) { open(my $f, \">\", \"file$_.deb\") or die $! }'\n";
const REPLACED: &str = "setsid perl -e 'my $d = shift; open(my $f, \"<\", $d); local $/; \
     my $good = <$f>; while (1) { for my $b ($good, \"junk\") { open(my $o, \">\", \"$d.new\"); \
     print $o $b; close $o; rename(\"$d.new\", $d) } }' \"$DEB\" >/dev/null 2>&1 &\nsleep 1\n";
const EMPTY: &str = ": >\"$DEB\"\n";
const ABSENT: &str = "rm \"$DEB\"\n";
/// Says of itself that it is right.
const FORGED: &str = "good=$(sha256sum \"$DEB\" | cut -d' ' -f1); size=$(stat -c %s \"$DEB\")\n\
     echo junk >>\"$DEB\"\nbase=${DEB%.deb}\n\
     for f in \"$base.buildinfo\" \"$base.changes\"; do rm -f \"$f\"; printf \
     'Format: 1.0\\nChecksums-Sha256:\\n %s %s %s\\n' \"$good\" \"$size\" \"$DEB\" >\"$f\"; \
     chmod 444 \"$f\"; done\nmkdir -p \"$base.changes.d\"\n";
const LONG_NAME: &str = "n=$(perl -e 'print \"a\" x 250'); touch \"$n.deb\"; \
     touch \"$(printf 'line\\nbreak.deb')\" \"$(printf 'esc\\033[2J.deb')\"\n";

/// Files for diffoscope inside of a package that differs: `$1` is where they are made.
fn differing(make: &str) -> String {
    format!(
        "t=$(mktemp -d) && dpkg-deb -R \"$DEB\" $t && rm \"$DEB\" && mkdir -p $t/usr/share/b && \
         (cd $t/usr/share/b && {make}) && \
         dpkg-deb --root-owner-group -Znone -b $t \"$DEB\" && rm -rf $t\n"
    )
}

const NESTED_TAR: &str = "head -c 50M /dev/zero >f; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do \
     tar czf g f f f f; mv g f; done; mv f x.tar.gz";
/// Without a zip tool: gzip members inside of each other, 2 GB when unpacked.
const NESTED_GZIP: &str = "perl -e 'print \"\\0\" x (1 << 20) for 1..2000' | gzip -9 >x.gz; \
     for i in 1 2 3; do gzip -9 <x.gz >y.gz; mv y.gz x.gz; done";
const HUGE_TEXT: &str = "seq 1 12000000 >x.txt";
const LONG_LINE: &str = "head -c 90M /dev/zero | tr '\\0' x >x.txt";
const DEEP: &str = "perl -e 'for (1..400) { mkdir \"d\"; chdir \"d\" } open(my $f, \">\", \"x\")'";
const BROKEN_FILES: &str = "printf '\\177ELF\\2\\1\\1' >x.elf; head -c 4000 /dev/urandom >>x.elf; \
     printf '\\211PNG\\r\\n' >x.png; head -c 999 /dev/urandom >>x.png; \
     printf '!<arch>\\n\\377' >x.a";

pub fn trials() -> Vec<Trial> {
    let output = |name, script: &str, ends| Trial::new(name, Place::Output, script, ends);
    let differs = |name, make| Trial::new(name, Place::Output, &differing(make), &["differs"]);
    let absent: &[&str] = &["missing", "differs", "build-failed"];
    // dpkg-genbuildinfo reads what it lists, and waits for somebody to write into it.
    let waits: &[&str] = &["missing", "build-failed", "fault:TimedOut"];
    vec![
        output("output-symlink", SYMLINK, absent).quick(),
        output("output-symlink-away", SYMLINK_AWAY, absent),
        output("output-symlink-loop", SYMLINK_LOOP, absent),
        output("output-parent", PARENT, absent),
        output("output-fifo", FIFO, waits),
        output("output-socket", SOCKET, absent),
        output("output-directory", DIRECTORY, absent),
        output("output-device", DEVICE, waits),
        output("output-hard-link", HARD_LINK, &["reproduced", "missing"]),
        output("output-modes", MODES, &["reproduced"]),
        output("output-sparse", SPARSE, &["fault:DiskFull"]),
        output("output-many", MANY, &["reproduced", "fault"]),
        output("output-replaced", REPLACED, &["reproduced", "differs", "missing"]),
        output("output-empty", EMPTY, &["differs"]),
        output("output-absent", ABSENT, &["missing", "build-failed"]),
        output("output-forged", FORGED, &["differs", "build-failed"]).quick(),
        output("output-names", LONG_NAME, &["reproduced"]),
        differs("differs-nested-tar", NESTED_TAR),
        differs("differs-nested-gzip", NESTED_GZIP),
        differs("differs-huge-text", HUGE_TEXT),
        differs("differs-long-line", LONG_LINE),
        differs("differs-deep", DEEP),
        differs("differs-broken-files", BROKEN_FILES),
    ]
}
