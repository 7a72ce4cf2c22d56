//! Everything that a machine has a limited amount of.

use crate::trial::{Place, Trial};

/// Fills the memory of the run by one process.
const MEMORY: &str = "perl -e 'my @a; push @a, \"x\" x 10000000 while 1'\n";
/// The same below a driver that swallows the kill and ends with a status of its own.
const MEMORY_SWALLOWED: &str = "perl -e 'my @a; push @a, \"x\" x 10000000 while 1' || \
     { echo 'g++: fatal error: Killed signal terminated program cc1plus'; exit 1; }\n";
/// The kill goes unnoticed, and what is built is not what was to be built.
const MEMORY_UNNOTICED: &str = "perl -e 'my @a; push @a, \"x\" x 10000000 while 1' || \
     echo otherwise >>\"$DEB\"\n";
const FORK: &str = "perl -e 'while (1) { fork }'\n";
const FORK_SWALLOWED: &str = "perl -e 'my @p; for (1..450) { my $p = fork; \
     die \"cannot fork: $!\" unless defined $p; if (!$p) { sleep 8; exit 0 } push @p, $p } \
     waitpid($_, 0) for @p'\n";
const THREADS: &str = "perl -e 'use Config; exit 0 unless $Config{useithreads}; require threads; \
     for (1..450) { threads->create(sub { sleep 9 }) or die \"cannot create: $!\" } exit 0' 2>&1 \
     || exit 1\n";
const SHM: &str = "head -c 4G /dev/zero >/dev/shm/full || exit 1\n";
const DISK: &str = "head -c 20G /dev/zero >full || exit 1\n";
const DISK_BY_MANY: &str = "i=0; while :; do head -c 20M /dev/zero >full.$i || exit 1; \
     i=$((i+1)); done\n";
/// Deleted at once: seen by no walk over the folder.
const DISK_DELETED: &str = "perl -e 'my @k; for my $i (1..400) { open(my $f, \">\", \"gone\") \
     or die $!; unlink \"gone\"; print $f \"x\" x (20 << 20) or die $!; $f->flush or die $!; \
     push @k, $f }'\n";
const INODES: &str = "mkdir d; perl -e 'for (my $i = 0; ; $i++) { open(my $f, \">\", \"d/$i\") \
     or die \"cannot create d/$i: $!\" }'\n";
const SPARSE: &str = "truncate -s 5G image || exit 1\n";
const ALLOCATED: &str = "fallocate -l 5G image || exit 1\n";
const LONG_FILE: &str = "perl -e 'open(my $f, \">\", \"image\") or die; \
     seek($f, 4 << 30, 0) or die; syswrite($f, \"x\") or die \"cannot write: $!\"'\n";

const ENDLESS_LINE: &str = "timeout 10 sh -c 'yes | tr -d \"\\n\"'; true\n";
const NULS: &str = "head -c 300M /dev/zero\n";
const LINES: &str = "yes '' | head -n 24000000\n";
const ESCAPES: &str = "printf '\\033]0;title'; printf '\\033[2J\\033[8m'; echo hidden\n";

const ANY_FAULT: &[&str] = &["fault"];
const NO_MEMORY: &[&str] = &["fault:OutOfMemory"];
const NO_DISK: &[&str] = &["fault:DiskFull"];
/// A file may be longer than the limit when nobody looks: what reproduces beside it counts, what
/// does not is a fault and no verdict.
const REPRODUCED_OR_NOT: &[&str] = &["reproduced", "fault:DiskFull"];

pub fn trials() -> Vec<Trial> {
    let build = |name, script, ends| Trial::new(name, Place::Build, script, ends);
    let dependency = |name, script, ends| Trial::new(name, Place::Dependency, script, ends);
    let base = |name, script, ends| Trial::new(name, Place::Base, script, ends);
    vec![
        build("memory", MEMORY, NO_MEMORY),
        build("memory-swallowed", MEMORY_SWALLOWED, NO_MEMORY).quick(),
        Trial::new("memory-unnoticed", Place::Output, MEMORY_UNNOTICED, NO_MEMORY),
        build("fork", FORK, ANY_FAULT),
        build("fork-swallowed", FORK_SWALLOWED, ANY_FAULT).quick(),
        build("threads", THREADS, ANY_FAULT),
        build("shm", SHM, ANY_FAULT),
        build("disk", DISK, NO_DISK),
        build("disk-by-many", DISK_BY_MANY, NO_DISK),
        build("disk-deleted", DISK_DELETED, NO_DISK),
        build("inodes", INODES, NO_DISK),
        build("sparse", SPARSE, REPRODUCED_OR_NOT),
        build("allocated", ALLOCATED, REPRODUCED_OR_NOT),
        build("long-file", LONG_FILE, REPRODUCED_OR_NOT),
        build("endless-line", ENDLESS_LINE, &["reproduced"]),
        build("nuls", NULS, &["reproduced"]),
        build("lines", LINES, &["reproduced"]),
        build("escapes", ESCAPES, &["reproduced"]),
        dependency("postinst-memory", MEMORY, ANY_FAULT),
        dependency("postinst-fork", FORK, ANY_FAULT),
        dependency("postinst-disk", DISK, ANY_FAULT),
        dependency("postinst-inodes", INODES, ANY_FAULT),
        dependency("postinst-shm", SHM, ANY_FAULT),
        dependency("postinst-lines", LINES, &["reproduced"]),
        base("base-memory", MEMORY, ANY_FAULT),
        base("base-fork", FORK, ANY_FAULT),
        base("base-disk", DISK, ANY_FAULT),
        base("base-lines", LINES, &["reproduced"]),
    ]
}
