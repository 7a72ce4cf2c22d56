use core::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use debversion::Version;
use rebuilder_actors::domain::sync::Subject;
use rebuilder_actors::port::{Group, IndexError};
use rebuilder_actors::protocol::{
    Archive, Artifact, BuildInput, IndexTrust, RemoteFile, Sha256, Waived,
};

use super::packages::{Binaries, Binary, nmu_suffix};
use super::settings::DebianSettings;
use super::sources::{Source, Sources, people};
use super::text::join;
use crate::distribution::debian::records::places;
use crate::fetch::local_path;
use crate::index::Environment;

/// One suite, read whole.
pub(super) struct LoadedSuite {
    pub(super) base: String,
    pub(super) inrelease: Sha256,
    /// Rules that its index breaks.
    pub(super) waived: Waived,
    /// Its signature was checked.
    pub(super) is_signed: bool,
    /// With the component of each; empty in a flat repository, which has none.
    pub(super) binaries: Vec<(String, Binaries)>,
    pub(super) sources: Vec<Sources>,
}

/// Puts the packages of one release together as they were built.
pub(super) struct Grouping<'a> {
    pub(super) settings: &'a DebianSettings,
    pub(super) release: &'a str,
    pub(super) suites: &'a [LoadedSuite],
    pub(super) archives: Arc<Vec<Archive>>,
}

/// One binary package with where it is from.
#[derive(Clone, Copy)]
struct Row<'a> {
    suite: &'a LoadedSuite,
    component: &'a str,
    table: &'a Binaries,
    binary: &'a Binary,
}

impl<'a> Row<'a> {
    fn name(&self) -> &'a str {
        self.table.texts.get(self.binary.name)
    }

    fn version(&self) -> &'a str {
        self.table.texts.get(self.binary.version)
    }

    /// What tells published files of one version apart: name and digest, where one is known.
    fn file(&self) -> (&'a str, Option<Sha256>) {
        let path = self.table.texts.get(self.binary.path);
        let name = path.rsplit('/').next().unwrap_or(path);
        (if self.binary.sha256.is_some() { name } else { path }, self.binary.sha256)
    }

    fn source(&self) -> (&'a str, &'a str) {
        let texts = &self.table.texts;
        (texts.get(self.binary.source), texts.get(self.binary.source_version))
    }

    /// In order of what is published: name, architecture, version, file. Most rows differ in the
    /// first, and what comes later costs a search in a text.
    fn by_file(&self, other: &Self) -> Ordering {
        let name = self.name().cmp(other.name());
        name.then_with(|| self.binary.architecture.cmp(&other.binary.architecture))
            .then_with(|| self.version().cmp(other.version()))
            .then_with(|| self.file().cmp(&other.file()))
    }

    /// In order of [`Row::build`], of which most rows differ in the source.
    fn by_build(&self, other: &Self) -> Ordering {
        let source = self.source().cmp(&other.source());
        source.then_with(|| self.build().cmp(&other.build()))
    }

    /// Source, its version, binNMU suffix: what was built at one time.
    fn build(&self) -> (&'a str, &'a str, &'a str) {
        let (source, source_version) = self.source();
        (source, source_version, nmu_suffix(self.version(), source_version))
    }
}

impl<'a> Grouping<'a> {
    /// Gives every group to `sink`.
    pub(super) fn emit(&self, sink: &mut (dyn FnMut(Group) + Send)) -> Result<(), IndexError> {
        let mut rows = self.rows()?;
        rows.retain(|row| self.keeps(row));
        rows.sort_unstable_by(|a, b| {
            let build = a.by_build(b);
            build
                .then_with(|| a.binary.architecture.cmp(&b.binary.architecture))
                .then_with(|| a.name().cmp(b.name()))
        });
        for build in rows.chunk_by(|a, b| a.by_build(b).is_eq()) {
            self.emit_build(build, sink);
        }
        Ok(())
    }

    /// Every package once; of several suites only the newest version of each. One version that is
    /// published as two files is two rows, and each is judged.
    fn rows(&self) -> Result<Vec<Row<'a>>, IndexError> {
        let mut rows = Vec::new();
        for suite in self.suites {
            for (component, table) in &suite.binaries {
                rows.extend(table.rows.iter().map(|binary| Row {
                    suite,
                    component,
                    table,
                    binary,
                }));
            }
        }
        // Stable: of equal files the one of the suite that was configured first stays first.
        rows.sort_by(Row::by_file);
        rows.dedup_by(|a, b| a.by_file(b).is_eq());
        if self.suites.len() == 1 {
            return Ok(rows);
        }
        let mut newest = Vec::with_capacity(rows.len());
        let same = |a: &Row<'_>, b: &Row<'_>| {
            (a.name(), a.binary.architecture) == (b.name(), b.binary.architecture)
        };
        for versions in rows.chunk_by(same) {
            let mut best = versions[0];
            for row in &versions[1..] {
                if row.version() != best.version() && parse(row)? > parse(&best)? {
                    best = *row;
                }
            }
            newest.extend(versions.iter().filter(|row| row.version() == best.version()));
        }
        Ok(newest)
    }

    fn keeps(&self, row: &Row<'a>) -> bool {
        let filter = &self.settings.filter;
        let (source, version) = row.source();
        let mut maintainers = Vec::new();
        if filter.reads_maintainers() {
            maintainers.extend(people(row.table.texts.get(row.binary.maintainer)));
            if let Some((_, table, found)) = self.find_source(source, version) {
                maintainers.extend(table.texts.get(found.maintainers).lines());
            }
        }
        filter.keeps(&Subject {
            name: row.name(),
            component: some(row.component),
            source: Some(source),
            maintainers: &maintainers,
        })
    }

    fn find_source(
        &self,
        name: &str,
        version: &str,
    ) -> Option<(&'a LoadedSuite, &'a Sources, &'a Source)> {
        let tables =
            self.suites.iter().flat_map(|suite| suite.sources.iter().map(move |t| (suite, t)));
        tables
            .filter_map(|(suite, table)| Some((suite, table, table.find(name, version)?)))
            // The first with a `.dsc`: suites stand in the order of preference.
            .min_by_key(|(_, _, source)| source.dsc.is_none())
    }

    /// `rows`: what was built of one source at one time, sorted by architecture.
    fn emit_build(&self, rows: &[Row<'a>], sink: &mut (dyn FnMut(Group) + Send)) {
        let mut assumed = Vec::new();
        for rows in rows.chunk_by(|a, b| a.binary.architecture == b.binary.architecture) {
            let architecture = self.architecture(&rows[0]);
            match self.recorded(&rows[0], architecture) {
                Some((file, url)) => {
                    let input = BuildInput::Recorded { url: url.into(), sha256: None };
                    sink(self.group(rows, architecture, &file, input));
                }
                None => assumed.push((architecture, rows.to_vec())),
            }
        }
        // A build from the suite makes the `all` packages together with native ones.
        if let Some(at) = assumed.iter().position(|(architecture, _)| *architecture == "all")
            && assumed.len() > 1
        {
            let (_, all) = assumed.remove(at);
            assumed[0].1.extend(all);
        }
        for (architecture, rows) in assumed {
            sink(self.group(&rows, architecture, "suite", BuildInput::Suite));
        }
    }

    /// File name and URL of the `.buildinfo`; `None` where nothing is recorded.
    fn recorded(&self, row: &Row<'a>, architecture: &str) -> Option<(String, String)> {
        let (template, look) = match &self.settings.environment {
            Environment::Suite => return None,
            Environment::Recorded { buildinfo_url } => (buildinfo_url, false),
            Environment::RecordedOrSuite { buildinfo_url } => (buildinfo_url, true),
        };
        let (source, source_version, suffix) = row.build();
        let full = format!("{source_version}{suffix}");
        let version = full.split_once(':').map_or(&*full, |(_, version)| version);
        let file = format!("{source}_{version}_{architecture}.buildinfo");
        // As in the pool: four characters for libraries, else one.
        let prefix = if source.starts_with("lib") { source.get(..4) } else { source.get(..1) };
        let prefix = prefix.unwrap_or(source);
        let url = if template.contains('{') {
            [
                ("{prefix}", prefix),
                ("{source}", source),
                ("{version}", version),
                ("{architecture}", architecture),
                ("{file}", &file),
            ]
            .iter()
            .fold(template.clone(), |url, (name, value)| url.replace(name, value))
        } else {
            join(template, &format!("{prefix}/{source}/{file}"))
        };
        if !look {
            return Some((file, url));
        }
        // A record of both may have another name than that of one architecture.
        let native = self.settings.architectures.iter().find(|name| *name != "all");
        let is_there = |url: &String| local_path(url).is_none_or(|path| Path::is_file(&path));
        let found =
            places(&url, native.map_or("all", String::as_str)).into_iter().find(is_there)?;
        // A template may have other names of files altogether.
        let other = (found != url).then(|| found.rsplit('/').next().map(str::to_owned)).flatten();
        Some((other.unwrap_or(file), found))
    }

    fn group(
        &self,
        rows: &[Row<'a>],
        architecture: &str,
        input_name: &str,
        input: BuildInput,
    ) -> Group {
        let first = &rows[0];
        let (source, source_version, suffix) = first.build();
        let mut artifacts: Vec<_> = rows.iter().map(|row| self.artifact(row)).collect();
        artifacts.sort_unstable_by(|a, b| (&a.file, a.sha256).cmp(&(&b.file, b.sha256)));
        let source_file =
            self.find_source(source, source_version).and_then(|(suite, table, found)| {
                let dsc = found.dsc?;
                Some(RemoteFile {
                    url: join(&suite.base, table.texts.get(dsc.path)).into(),
                    size: Some(dsc.size),
                    sha256: Some(dsc.sha256),
                })
            });
        let is_hashed = rows.iter().all(|row| row.binary.sha256.is_some());
        let waived = rows.iter().map(|row| row.suite.waived).fold(first.suite.waived, Waived::or);
        let one_index = rows.iter().all(|row| row.suite.inrelease == first.suite.inrelease);
        Group {
            distribution: self.settings.distribution.as_str().into(),
            release: Some(self.release.into()),
            source: source.into(),
            version: format!("{source_version}{suffix}").into(),
            architecture: architecture.into(),
            input_name: input_name.into(),
            input,
            source_file,
            archives: Arc::clone(&self.archives),
            artifacts,
            index: match (is_hashed, rows.iter().all(|row| row.suite.is_signed)) {
                (true, true) => IndexTrust::Signed,
                (true, false) => IndexTrust::HashOnly,
                (false, _) => IndexTrust::None,
            }
            .waiving(waived),
            // No single index vouches for a group that two suites share.
            index_sha256: one_index.then_some(first.suite.inrelease),
        }
    }

    fn artifact(&self, row: &Row<'a>) -> Artifact {
        let path = row.table.texts.get(row.binary.path);
        let file = path.rsplit('/').next().unwrap_or(path);
        Artifact {
            name: row.name().into(),
            version: row.version().into(),
            component: some(row.component).map(Into::into),
            architecture: self.architecture(row).into(),
            file: file.into(),
            url: join(&row.suite.base, path).into(),
            size: row.binary.size,
            sha256: row.binary.sha256,
        }
    }

    fn architecture(&self, row: &Row<'_>) -> &'a str {
        &self.settings.architectures[usize::from(row.binary.architecture)]
    }
}

fn some(component: &str) -> Option<&str> {
    (!component.is_empty()).then_some(component)
}

fn parse(row: &Row<'_>) -> Result<Version, IndexError> {
    row.version().parse().map_err(|_| IndexError::Content {
        url: row.suite.base.clone(),
        reason: format!("package {}: `{}` is not a version", row.name(), row.version()),
    })
}
