//! Packages of the tests' own, made by the real tools.

use std::path::Path;

use crate::tools::run;

/// A native source package, version 1.0, that makes one binary package of its own name.
pub struct Source {
    pub name: &'static str,
    /// Besides debhelper.
    pub depends: &'static str,
    /// What its rules have besides `dh`.
    pub rules: String,
    /// Further files.
    pub files: Vec<(&'static str, String)>,
}

impl Source {
    /// One whose rules run `build` (a line of shell) and put `$out/content` into the package.
    pub fn new(name: &'static str, build: &str) -> Self {
        let out = format!("debian/{name}/usr/share/{name}");
        let rules = format!(
            "override_dh_auto_install:\n\tmkdir -p {out}\n\tout={out}; {}\n",
            build.replace('$', "$$")
        );
        Self { name, depends: "", rules, files: Vec::new() }
    }

    /// Has dpkg-source make its files in `into`.
    pub fn make(&self, into: &Path) {
        let Self { name, depends, rules, .. } = self;
        let tree = into.join(format!("{name}-1.0"));
        let debian = tree.join("debian");
        std::fs::create_dir_all(debian.join("source")).unwrap();
        let write = |file: &str, text: &str| std::fs::write(debian.join(file), text).unwrap();
        write("source/format", "3.0 (native)\n");
        let comma = if depends.is_empty() { "" } else { ", " };
        let control = format!(
            "Source: {name}\nSection: misc\nPriority: optional\n\
             Maintainer: Test <test@example.org>\nRules-Requires-Root: no\n\
             Build-Depends: debhelper-compat (= 13){comma}{depends}\n\
             Standards-Version: 4.6.2\n\nPackage: {name}\nArchitecture: any\n\
             Depends: ${{shlibs:Depends}}, ${{misc:Depends}}\nDescription: test\n test\n"
        );
        write("control", &control);
        write("changelog", &entry(name, "1.0", "urgency=low", "01"));
        write("rules", &format!("#!/usr/bin/make -f\n%:\n\tdh $@\n\n{rules}"));
        for (file, text) in &self.files {
            std::fs::write(tree.join(file), text).unwrap();
        }
        run(&debian, &["chmod", "755", "rules"]);
        run(into, &["dpkg-source", "-b", tree.to_str().unwrap()]);
        std::fs::remove_dir_all(tree).unwrap();
    }
}

/// An entry of a changelog, of that day of March 2025.
pub fn entry(name: &str, version: &str, options: &str, day: &str) -> String {
    format!(
        "{name} ({version}) unstable; {options}\n\n  * Made.\n\n \
         -- Test <test@example.org>  Sat, {day} Mar 2025 10:00:00 +0000\n\n"
    )
}

/// A binary package without any program in it, as `NAME_VERSION_ARCHITECTURE.deb`; its name.
pub fn binary(into: &Path, name: &str, version: &str, architecture: &str) -> String {
    let tree = into.join(format!(".{name}-{version}"));
    let share = tree.join("usr/share").join(name);
    std::fs::create_dir_all(&share).unwrap();
    std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    std::fs::write(share.join("version"), format!("{version}\n")).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMulti-Arch: foreign\n\
         Maintainer: Test <test@example.org>\nDescription: test\n"
    );
    std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let file = format!("{name}_{version}_{architecture}.deb");
    let folder = tree.to_str().unwrap();
    run(into, &["dpkg-deb", "--root-owner-group", "-Zxz", "-b", folder, &file]);
    std::fs::remove_dir_all(tree).unwrap();
    file
}

/// Alters one byte of a package: a digit of the time of its first member, so that it stays one.
pub fn alter(deb: &Path) {
    let mut bytes = std::fs::read(deb).unwrap();
    assert_eq!(&bytes[8..21], b"debian-binary", "the first member of {}", deb.display());
    let at = 8 + 16 + 9;
    bytes[at] = if bytes[at] == b'7' { b'3' } else { b'7' };
    std::fs::write(deb, bytes).unwrap();
}
