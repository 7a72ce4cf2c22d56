//! Source packages whose unpacking is the attack, and trees that are hard to remove.

use crate::trial::{Place, Trial};

const BYTES: &str = "head -c 3G /dev/zero >zeros\n";
const INODES: &str =
    "mkdir d; perl -e 'for (1..420000) { open(my $f, \">\", \"d/$_\") or die $! }'\n";
const SPARSE: &str = "truncate -s 5G image\n";
const MODES: &str = "mkdir -p a/b/c && touch a/b/c/f && chmod 000 a/b/c/f && chmod 500 a/b/c a/b\n";
const LINKS: &str = "ln -s /etc/passwd passwd; ln -s / root; ln -s ../../../../.. up; \
     ln -s loop loop; mkdir d; ln -s ../d d/d\n";
const NAMES: &str = "touch \"$(printf 'a\\nb')\" \"$(printf 'e\\033[2J')\" -- '--help' \
     \"$(printf '\\377\\376')\" \"$(perl -e 'print \"n\" x 250')\"\n";
/// Deeper than any path that a system call takes; made while the package is built.
const DEEP: &str = "perl -e 'for (1..30000) { mkdir \"d\" or last; chdir \"d\" or last }'\n";
const DEEP_MODES: &str = "perl -e 'for (1..3000) { mkdir \"d\" or last; chdir \"d\" or last } \
     for (1..3000) { chmod 0, \".\"; chdir \"..\" or last }'; chmod 000 d\n";
const MANY_LINKS: &str = "touch f; for i in $(seq 1 20000); do ln f l$i; done\n";

pub fn trials() -> Vec<Trial> {
    let source = |name, script, ends| Trial::new(name, Place::Source, script, ends);
    let build = |name, script, ends| Trial::new(name, Place::Build, script, ends);
    vec![
        source("source-bytes", BYTES, &["fault:DiskFull"]),
        source("source-inodes", INODES, &["fault:DiskFull"]),
        source("source-sparse", SPARSE, &["fault:DiskFull"]),
        source("source-modes", MODES, &["reproduced", "fault"]).quick(),
        source("source-links", LINKS, &["reproduced", "fault"]),
        source("source-names", NAMES, &["reproduced", "fault"]),
        build("deep", DEEP, &["reproduced"]).quick(),
        build("deep-modes", DEEP_MODES, &["reproduced"]),
        build("many-links", MANY_LINKS, &["reproduced"]),
        Trial::new("postinst-deep", Place::Dependency, DEEP, &["reproduced"]),
        Trial::new("base-deep", Place::Base, DEEP, &["reproduced", "fault"]),
    ]
}
