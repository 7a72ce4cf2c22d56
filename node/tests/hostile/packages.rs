//! The packages of trials: without debhelper, so that an attempt takes seconds.

use std::path::Path;

use crate::archive::{Archive, architecture};
use crate::tools::run;
use crate::trial::{Place, Trial};

/// The package that must reproduce whatever was built before.
pub const HONEST: &str = "aa-honest";

/// Makes the source package of a trial and what is published of it, which is what an honest build
/// would have made.
pub fn publish(archive: &Archive, folder: &Path, trial: &Trial) {
    let (mut build, mut output, mut depends) = ("true", "true", String::new());
    match trial.place {
        Place::Build => build = &trial.script,
        Place::Output => output = &trial.script,
        Place::Dependency => {
            let name = format!("{}-dependency", trial.name);
            binary(archive, folder, &name, "1.0", "all", "", Some(&trial.script));
            depends = format!("Build-Depends: {name}\n");
        }
        Place::Base => {
            let fields = "Depends: libc6-dev | libc-dev, gcc, g++, make, dpkg-dev\n";
            let script = Some(&*trial.script);
            binary(archive, folder, "build-essential", "99", &architecture(), fields, script);
        }
        Place::Source => {}
    }
    let tree = folder.join(format!("{}-1.0", trial.name));
    std::fs::create_dir_all(&tree).unwrap();
    if trial.place == Place::Source {
        run(&tree, &["sh", "-ec", &trial.script]);
    }
    source(archive, &tree, trial.name, &depends, build, output);
    run(folder, &["rm", "-rf", tree.to_str().unwrap()]);
}

/// Makes the package that every slot is asked for after a trial.
pub fn publish_honest(archive: &Archive, folder: &Path) {
    let tree = folder.join(format!("{HONEST}-1.0"));
    source(archive, &tree, HONEST, "", "true", "true");
    run(folder, &["rm", "-rf", tree.to_str().unwrap()]);
}

/// A source package, and its binary package as the real tools make it from the same tree.
fn source(archive: &Archive, tree: &Path, name: &str, depends: &str, build: &str, output: &str) {
    let debian = tree.join("debian");
    std::fs::create_dir_all(debian.join("source")).unwrap();
    let write = |file: &str, text: &str| std::fs::write(debian.join(file), text).unwrap();
    write("source/format", "3.0 (native)\n");
    let control = format!(
        "Source: {name}\nSection: misc\nPriority: optional\nMaintainer: Test <test@example.org>\n\
         Rules-Requires-Root: no\n{depends}Standards-Version: 4.6.2\n\n\
         Package: {name}\nArchitecture: any\nDescription: test\n test\n"
    );
    write("control", &control);
    write("changelog", &crate::package::entry(name, "1.0", "urgency=low", "01"));
    write("trial", build);
    write("finish", output);
    write("rules", &RULES.replace("@NAME@", name));
    run(&debian, &["chmod", "755", "rules"]);
    let pool = archive.pool();
    run(&pool, &["dpkg-source", "-b", tree.to_str().unwrap()]);
    // The same rules, without what is hostile in them.
    write("trial", "true\n");
    write("finish", "true\n");
    let made = "debian/rules build binary >&2 && mv ../*.deb \"$1\"";
    run(tree, &["sh", "-ec", made, "sh", pool.to_str().unwrap()]);
}

/// A binary package with one file, and a `postinst` if there is a script.
fn binary(
    archive: &Archive,
    folder: &Path,
    name: &str,
    version: &str,
    architecture: &str,
    fields: &str,
    script: Option<&str>,
) {
    let tree = folder.join(format!(".{name}"));
    let share = tree.join("usr/share").join(name);
    std::fs::create_dir_all(&share).unwrap();
    std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    std::fs::write(share.join("version"), version).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n\
         Maintainer: Test <test@example.org>\n{fields}Description: test\n"
    );
    std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
    if let Some(script) = script {
        let text = format!("#!/bin/sh\n{script}");
        std::fs::write(tree.join("DEBIAN/postinst"), text).unwrap();
        run(&tree, &["chmod", "755", "DEBIAN/postinst"]);
    }
    let pool = archive.pool();
    let tree_name = tree.to_str().unwrap();
    run(&pool, &["dpkg-deb", "--root-owner-group", "-Zxz", "-b", tree_name, "."]);
    std::fs::remove_dir_all(tree).unwrap();
}

/// Everything is in two files, so that no character of a trial means anything to make. With
/// `Rules-Requires-Root: no` dpkg-buildpackage asks for `binary-arch` alone.
const RULES: &str = r#"#!/usr/bin/make -f
build build-arch build-indep:
	/bin/sh debian/trial
clean:
	rm -rf debian/tmp debian/files
binary-indep:
binary-arch binary: build
	mkdir -p debian/tmp/DEBIAN debian/tmp/usr/share/@NAME@
	echo @NAME@ >debian/tmp/usr/share/@NAME@/content
	find debian/tmp -exec touch -d @1740000000 {} +
	chmod -R u=rwX,go=rX debian/tmp
	dpkg-gencontrol -Pdebian/tmp
	SOURCE_DATE_EPOCH=1740000000 dpkg-deb --root-owner-group -Zxz -b debian/tmp ..
	cd .. && DEB=@NAME@_1.0_`dpkg --print-architecture`.deb sh "$(CURDIR)/debian/finish"
.PHONY: build clean binary binary-arch
"#;
