use proptest::prelude::*;

use super::*;

const NMU: &str = "Format: 1.0
Source: libcap2 (1:2.66-4+deb12u3)
Binary: libcap2
Architecture: amd64
Version: 1:2.66-4+deb12u3+b1
Binary-Only-Changes:
 libcap2 (1:2.66-4+deb12u3+b1) bookworm; urgency=low, binary-only=yes
 .
   * Binary-only non-maintainer upload for amd64; no source changes.
 .
  -- Build Daemon <buildd@example.org>  Sat, 01 Mar 2025 10:00:00 +0000
Checksums-Sha256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 9 libcap2_2.66_amd64.deb
Build-Origin: Debian
Build-Architecture: amd64
Build-Path: /build/reproducible-path/libcap2-2.66
Installed-Build-Depends:
 autoconf (= 2.71-3),
 gcc-12:i386 (= 12.2.0-14)
Environment:
 DEB_BUILD_OPTIONS=\"parallel=2\"
 LC_ALL=\"C.UTF-8\"
";

fn with(from: &str, to: &str) -> Result<Buildinfo, ControlError> {
    assert!(NMU.contains(from), "{from}");
    Buildinfo::parse(NMU.replace(from, to).as_bytes())
}

#[test]
fn every_field_is_read() {
    let read = Buildinfo::parse(NMU.as_bytes()).unwrap();
    assert_eq!(read.source, "libcap2");
    assert_eq!(read.source_version, "1:2.66-4+deb12u3");
    assert_eq!(read.version, "1:2.66-4+deb12u3+b1");
    assert_eq!(read.installed.len(), 2);
    assert_eq!(read.installed[1].architecture.as_deref(), Some("i386"));
    assert_eq!(read.build_path.as_deref(), Some("/build/reproducible-path/libcap2-2.66"));
    assert_eq!(
        read.binary_only_changes.as_deref(),
        Some(
            "libcap2 (1:2.66-4+deb12u3+b1) bookworm; urgency=low, binary-only=yes\n\n  * \
             Binary-only non-maintainer upload for amd64; no source changes.\n\n -- Build Daemon \
             <buildd@example.org>  Sat, 01 Mar 2025 10:00:00 +0000\n\n"
        )
    );
}

#[test]
fn hostile_fields_are_refused() {
    for (from, to) in [
        ("/build/reproducible-path/libcap2-2.66", "/build/../etc/cron.d"),
        ("/build/reproducible-path/libcap2-2.66", "/proc/self/cwd"),
        ("/build/reproducible-path/libcap2-2.66", "/dev/shm/x"),
        ("/build/reproducible-path/libcap2-2.66", "/sys"),
        ("/build/reproducible-path/libcap2-2.66", "relative/path"),
        ("autoconf (= 2.71-3)", "--force-yes (= 2.71-3)"),
        ("autoconf (= 2.71-3)", "autoconf (= 2.71-3;id)"),
        ("autoconf (= 2.71-3)", "autoconf (>= 2.71-3)"),
        ("autoconf (= 2.71-3)", "autoconf"),
        ("gcc-12:i386", "gcc-12:../x"),
        ("libcap2_2.66_amd64.deb", "../../etc/passwd"),
        ("Source: libcap2 (1:2.66-4+deb12u3)", "Source: libcap2 1:2.66"),
        ("Source: libcap2", "Source: ../libcap2"),
        ("Architecture: amd64\nV", "Architecture: $(id)\nV"),
        ("  -- Build", "  no trailer"),
        ("Format: 1.0\n", "Format: 1.0\nVersion: 1\n"),
    ] {
        assert!(with(from, to).is_err(), "{to}");
    }
}

#[test]
fn a_dangerous_variable_is_left_out_and_a_forbidden_path_named() {
    let read = with(" LC_ALL=\"C.UTF-8\"", " LD_PRELOAD=\"/tmp/x.so\"").unwrap();
    assert_eq!(read.left_out, ["LD_PRELOAD"]);
    assert_eq!(read.environment.keys().collect::<Vec<_>>(), ["DEB_BUILD_OPTIONS"]);
    let error = with("/build/reproducible-path/libcap2-2.66", "/proc/1/root").unwrap_err();
    assert!(error.to_string().contains("Build-Path"), "{error}");
}

#[test]
fn the_number_of_packages_is_bounded() {
    let many: String = (0..=INSTALLED_MAX).map(|n| format!(" p{n} (= 1),\n")).collect();
    let text = format!("{many} autoconf (= 1),\n");
    assert!(with(" autoconf (= 2.71-3),\n", &text).is_err());
}

proptest! {
    #[test]
    fn one_changed_byte_never_passes_unchecked(at in 0..NMU.len(), byte in any::<u8>()) {
        let mut bytes = NMU.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(read) = Buildinfo::parse(&bytes) {
            for installed in &read.installed {
                prop_assert!(names::package(&installed.name).is_ok());
                prop_assert!(names::version(&installed.version).is_ok());
            }
            if let Some(path) = &read.build_path {
                prop_assert!(names::build_path(path).is_ok());
            }
        }
    }
}
