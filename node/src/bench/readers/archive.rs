//! Archives as large as is asked for, made of the index that this machine's apt has: several suites
//! of the same packages, each with versions of its own, and more packages of each source.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::Path;

use rebuilder_actors::protocol::Sha256;

use super::super::mirror::put;
use crate::distribution::debian::format::control::{Stanza, Stanzas};
use crate::distribution::debian::format::names;
use crate::packing::Packing;

/// Build inputs of a hundred artifacts: the ratio that the bounds are for.
const INPUTS_PERCENT: usize = 36;

/// One source package in so many is another version in a changed suite.
const CHANGED_OF: u16 = 100;

/// What apt has, by what was built at one time.
#[derive(Debug, Default)]
pub(super) struct Index {
    builds: Vec<Vec<Package>>,
    /// The one that most packages are of, besides `all`.
    pub(super) architecture: String,
}

/// One binary package of a real index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
    source: String,
    source_version: String,
    architecture: String,
    /// All other fields, as they stand in the index.
    rest: Vec<u8>,
}

/// How much of an index each suite has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// Suites of one size.
    pub(super) suites: usize,
    /// Builds in each.
    builds: usize,
    /// Binary packages in each.
    packages: usize,
}

impl Index {
    /// Reads all `Packages` files in apt's folder of lists.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("read apt's lists in {}: {e}", folder.display());
        let mut packages = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((_, suffix)) = name.rsplit_once("_Packages") else { continue };
            let Some(packing) = Packing::of_suffix(suffix) else { continue };
            let file = BufReader::new(File::open(entry.path()).map_err(failed)?);
            let mut input = packing.unpack(file).map_err(failed)?;
            let mut stanzas = Stanzas::new(&mut *input);
            while let Some(stanza) = stanzas.next().map_err(failed)? {
                packages.extend(Package::read(&stanza));
            }
        }
        let index = Self::of(packages);
        if index.builds.is_empty() {
            let folder = folder.display();
            return Err(format!("{folder} has no packages: run apt-get update, or give --lists"));
        }
        Ok(index)
    }

    fn of(mut packages: Vec<Package>) -> Self {
        let mut counts = BTreeMap::<&str, usize>::new();
        for package in packages.iter().filter(|package| package.architecture != "all") {
            *counts.entry(&package.architecture).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        let architecture = most.map(|(name, _)| name.to_owned()).unwrap_or_default();
        packages.retain(|p| p.architecture == "all" || p.architecture == architecture);
        packages.sort_by(|a, b| (a.build(), &a.name).cmp(&(b.build(), &b.name)));
        let builds = packages.chunk_by(|a, b| a.build() == b.build()).map(<[Package]>::to_vec);
        Self { builds: builds.collect(), architecture }
    }

    /// How to make about so many artifacts of it.
    pub(super) fn scale(&self, artifacts: usize) -> Scale {
        let inputs = artifacts * INPUTS_PERCENT / 100;
        let all = self.builds.len();
        let suites = ((inputs + all / 2) / all).max(1);
        Scale { suites, builds: (inputs / suites).clamp(1, all), packages: artifacts / suites }
    }

    /// Names of binary packages that every suite has.
    pub(super) fn names(&self, scale: Scale) -> Vec<String> {
        self.kept(scale).flatten().map(|package| package.name.clone()).collect()
    }

    /// The builds that a suite has, spread over all of them.
    fn kept(&self, scale: Scale) -> impl Iterator<Item = &Vec<Package>> {
        let builds = self.builds.iter().enumerate();
        builds.filter(move |(n, _)| spread(*n, scale.builds, self.builds.len()) > 0).map(|(_, b)| b)
    }

    /// `Packages` and `Sources` of a suite.
    fn texts(&self, scale: Scale, suite: usize, is_changed: bool) -> (Vec<u8>, Vec<u8>) {
        let (mut packages, mut sources) = (Vec::new(), Vec::new());
        let (mut position, mut last) = (0, None);
        let kept = self.kept(scale).map(Vec::len).sum();
        for package in self.kept(scale).flatten() {
            let is_new = is_changed && is_among_changed(&package.source, suite);
            let version = versioned(&package.version, suite, is_new);
            let source_version = versioned(&package.source_version, suite, is_new);
            let copies = spread(position, scale.packages, kept).max(1);
            position += 1;
            for copy in 0..copies {
                let name = match copy {
                    0 => package.name.clone(),
                    more => format!("{}-twin{more}", package.name),
                };
                package.write(&mut packages, &name, (&version, &source_version));
            }
            // Builds of one source stand together.
            let source = Some((&package.source, source_version.clone()));
            if last != source {
                write_source(&mut sources, &package.source, &source_version);
                last = source;
            }
        }
        (packages, sources)
    }

    /// Writes the index files and the `Release` of a suite below `root`.
    pub(super) fn write(
        &self,
        root: &Path,
        scale: Scale,
        suite: usize,
        (is_changed, date): (bool, &str),
    ) -> Result<(), String> {
        let (packages, sources) = self.texts(scale, suite, is_changed);
        let folder = root.join("dists").join(name(suite));
        let paths = [format!("main/binary-{}/Packages", self.architecture), SOURCES.to_owned()];
        let mut listed = Vec::new();
        for (path, text) in paths.iter().zip([packages, sources]) {
            let packed = pack(&text).map_err(|e| format!("pack {path}: {e}"))?;
            let packed_path = format!("{path}{}", Packing::Xz.suffix());
            for (path, bytes) in [(path, &text), (&packed_path, &packed)] {
                listed.push(format!(" {} {} {path}\n", Sha256::of(bytes), bytes.len()));
            }
            put(&folder.join(packed_path), &packed)?;
        }
        let release = format!(
            "Origin: Bench\nSuite: {suite}\nCodename: {suite}\nDate: {date}\n\
             Architectures: all {}\nComponents: main\nNo-Support-for-Architecture-all: Packages\n\
             SHA256:\n{}",
            self.architecture,
            listed.concat(),
            suite = name(suite),
        );
        put(&folder.join("Release"), release.as_bytes())
    }
}

/// Gives the `Release` of a suite another date, as its archive does every few hours.
pub(super) fn sign_again(root: &Path, suite: usize, date: &str) -> Result<(), String> {
    let path = root.join("dists").join(name(suite)).join("Release");
    let release = std::fs::read_to_string(&path);
    let release = release.map_err(|e| format!("read {}: {e}", path.display()))?;
    put(&path, redated(&release, date).as_bytes())
}

/// Name of a suite, and of the profile that follows it.
pub(super) fn name(suite: usize) -> String {
    format!("bench-{suite}")
}

const SOURCES: &str = "main/source/Sources";

fn redated(release: &str, date: &str) -> String {
    let lines = release.lines().map(|line| match line.strip_prefix("Date: ") {
        Some(_) => format!("Date: {date}\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// Packed as archives publish it, and quickly.
fn pack(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut to = liblzma::write::XzEncoder::new(Vec::new(), 1);
    to.write_all(text)?;
    to.finish()
}

/// How many of `wanted` things the one at `position` of `all` gets, spread evenly.
fn spread(position: usize, wanted: usize, all: usize) -> usize {
    (position + 1) * wanted / all - position * wanted / all
}

fn is_among_changed(source: &str, suite: usize) -> bool {
    let digest = Sha256::of(format!("{source} {suite}").as_bytes()).0;
    u16::from_le_bytes([digest[0], digest[1]]).is_multiple_of(CHANGED_OF)
}

/// A version as a suite has it. What says that it was built again without a change of its source
/// stays at the end.
fn versioned(version: &str, suite: usize, is_new: bool) -> String {
    let is_count = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let at = version.rfind("+b").filter(|at| is_count(&version[at + 2..]));
    let (version, again) = version.split_at(at.unwrap_or(version.len()));
    format!("{version}~s{suite}{}{again}", if is_new { "+c1" } else { "" })
}

impl Package {
    /// `None`: its stanza cannot be read, which is for another measurement.
    fn read(stanza: &Stanza<'_>) -> Option<Self> {
        let [name, version, source, architecture] =
            stanza.fields(["Package", "Version", "Source", "Architecture"]).ok()?;
        let (name, version) = (name?.text()?, version?.text()?);
        let (source, source_version) =
            names::source(source.and_then(|source| source.text()), name, version).ok()?;
        let is_ours = |field: &[u8]| OURS.iter().any(|our| field.eq_ignore_ascii_case(our));
        let mut rest = Vec::new();
        for (field, value) in stanza.all().filter(|(field, _)| !is_ours(field)) {
            rest.extend([field, b": ", value.bytes(), b"\n"].concat());
        }
        Some(Self {
            name: name.to_owned(),
            version: version.to_owned(),
            source: source.to_owned(),
            source_version: source_version.to_owned(),
            architecture: architecture?.text()?.to_owned(),
            rest,
        })
    }

    /// Source, its version, and what tells builds of the same source apart.
    fn build(&self) -> (&str, &str, &str) {
        let again = self.version.rfind("+b").map_or("", |at| &self.version[at..]);
        let is_of_source = self.source_version.ends_with(again);
        (&self.source, &self.source_version, if is_of_source { "" } else { again })
    }

    fn write(&self, to: &mut Vec<u8>, name: &str, (version, source_version): (&str, &str)) {
        let (source, architecture) = (&self.source, &self.architecture);
        let file = format!("{name}_{}_{architecture}.deb", without_epoch(version));
        let path = format!("{}/{file}", folder(source));
        let head = format!(
            "Package: {name}\nSource: {source} ({source_version})\nVersion: {version}\n\
             Architecture: {architecture}\n"
        );
        let digest = Sha256::of(path.as_bytes());
        let tail = format!("Filename: {path}\nSHA256: {digest}\n\n");
        to.extend([head.as_bytes(), &self.rest, tail.as_bytes()].concat());
    }
}

/// Fields that are written anew.
const OURS: [&[u8]; 7] =
    [b"Package", b"Source", b"Version", b"Architecture", b"Filename", b"SHA256", b"MD5sum"];

fn write_source(to: &mut Vec<u8>, source: &str, version: &str) {
    let file = format!("{source}_{}.dsc", without_epoch(version));
    let (folder, digest) = (folder(source), Sha256::of(file.as_bytes()));
    to.extend(
        format!(
            "Package: {source}\nVersion: {version}\nDirectory: {folder}\nChecksums-Sha256:\n \
             {digest} 1500 {file}\n\n"
        )
        .into_bytes(),
    );
}

fn folder(source: &str) -> String {
    format!("pool/main/{}/{source}", source.get(..1).unwrap_or(source))
}

fn without_epoch(version: &str) -> &str {
    version.split_once(':').map_or(version, |(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Package: libacl1\nSource: acl (2.3-1)\nVersion: 2.3-1+b2\nArchitecture: amd64\nSize: 70\n\
Description: access control\n lists\nFilename: old\nSHA256: old\n\n\
Package: acl\nVersion: 2.3-1\nArchitecture: amd64\n\n\
Package: zsh\nVersion: 5:9-1\nArchitecture: amd64\n\n\
Package: zsh-doc\nSource: zsh\nVersion: 5:9-1\nArchitecture: all\n\n\
Package: other\nVersion: 1\nArchitecture: riscv64\n";

    fn index() -> Index {
        let mut input = TEXT.as_bytes();
        let mut stanzas = Stanzas::new(&mut input);
        let mut packages = Vec::new();
        while let Some(stanza) = stanzas.next().unwrap() {
            packages.extend(Package::read(&stanza));
        }
        Index::of(packages)
    }

    fn whole() -> Scale {
        Scale { suites: 1, builds: 3, packages: 6 }
    }

    #[test]
    fn builds_are_told_apart_by_source_version_and_rebuild() {
        let index = index();
        assert_eq!(index.architecture, "amd64");
        let names = |b: &Vec<Package>| b.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
        let builds: Vec<_> = index.builds.iter().map(names).collect();
        assert_eq!(builds, [vec!["acl"], vec!["libacl1"], vec!["zsh", "zsh-doc"]]);
    }

    #[test]
    fn as_many_suites_builds_and_packages_are_made_as_are_asked_for() {
        let index = Index { builds: vec![Vec::new(); 36_000], architecture: String::new() };
        let whole = Scale { suites: 5, builds: 36_000, packages: 100_000 };
        assert_eq!(index.scale(500_000), whole);
        let part = Scale { suites: 1, builds: 3_600, packages: 10_000 };
        assert_eq!(index.scale(10_000), part);
        for (wanted, all) in [(36, 100), (100, 100), (157, 100), (1, 7)] {
            let made: usize = (0..all).map(|n| spread(n, wanted, all)).sum();
            assert_eq!(made, wanted);
        }
    }

    #[test]
    fn each_suite_has_versions_of_its_own_and_what_changed_has_others() {
        assert_eq!(versioned("1.0-1", 2, false), "1.0-1~s2");
        assert_eq!(versioned("1.0-1+b12", 2, true), "1.0-1~s2+c1+b12");
        assert_eq!(versioned("1.0+beta", 0, false), "1.0+beta~s0");
        let changed = (0..10_000).filter(|n| is_among_changed(&format!("p{n}"), 3)).count();
        assert!((70..130).contains(&changed), "{changed} of 10,000");
    }

    #[test]
    fn stanzas_keep_what_is_not_written_anew() {
        let (packages, sources) = index().texts(whole(), 1, false);
        let packages = String::from_utf8(packages).unwrap();
        let digest = Sha256::of(b"pool/main/a/acl/libacl1_2.3-1~s1+b2_amd64.deb");
        let stanza = format!(
            "Package: libacl1\nSource: acl (2.3-1~s1)\nVersion: 2.3-1~s1+b2\nArchitecture: amd64\n\
             Size: 70\nDescription: access control\n lists\n\
             Filename: pool/main/a/acl/libacl1_2.3-1~s1+b2_amd64.deb\nSHA256: {digest}\n\n"
        );
        assert!(packages.contains(&stanza), "{packages}");
        assert_eq!(packages.matches("Package: ").count(), 6);
        assert_eq!(packages.matches("-twin1\n").count(), 2);
        let sources = String::from_utf8(sources).unwrap();
        assert_eq!(sources.matches("Package: ").count(), 2);
        assert!(sources.contains("zsh_9-1~s1.dsc\n"), "{sources}");
    }

    #[test]
    fn only_the_date_changes_when_it_is_signed_again() {
        let release = "Suite: a\nDate: Sat, 10 Jan 2026 10:00:00 UTC\nSHA256:\n x\n";
        assert_eq!(redated(release, "now"), "Suite: a\nDate: now\nSHA256:\n x\n");
    }
}
