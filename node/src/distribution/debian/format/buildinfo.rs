use std::collections::BTreeMap;

use super::dsc::{ControlError, SourceFile, checksums};
use super::environment;
use super::names;
use super::paragraph::Paragraph;

/// What a `.buildinfo` records, every field checked before anything uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buildinfo {
    /// Source package.
    pub source: String,
    /// Version of the source, without a binNMU's suffix.
    pub source_version: String,
    /// Version of the binaries.
    pub version: String,
    /// What was built: architectures, `all`, `source`.
    pub architectures: Vec<String>,
    /// Architecture on which it was built.
    pub build_architecture: String,
    /// Folder in which it was built; `None` where it is not recorded.
    pub build_path: Option<String>,
    /// What was set, as far as it is recorded and allowed.
    pub environment: BTreeMap<String, String>,
    /// Recorded variables that no build gets; empty: `environment` is all that is recorded.
    pub left_out: Vec<String>,
    /// What was installed, at most [`INSTALLED_MAX`].
    pub installed: Vec<Installed>,
    /// The changelog entry of a binNMU, ready to stand on top of `debian/changelog`; `None` for
    /// an ordinary build.
    pub binary_only_changes: Option<String>,
    /// What came out, the `.dsc` included where the source was built with it.
    pub files: Vec<SourceFile>,
}

/// One package of the recorded environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// `None`: the build's own architecture, or `all`.
    pub architecture: Option<String>,
    /// Its version.
    pub version: String,
}

impl Buildinfo {
    /// Reads a `.buildinfo`, clear-signed or not.
    ///
    /// # Errors
    /// When a needed field is missing or a field holds what it may not.
    pub fn parse(bytes: &[u8]) -> Result<Self, ControlError> {
        let paragraph = Paragraph::parse(bytes)?;
        let version = names::version(paragraph.need("Version")?)?.to_owned();
        let source = paragraph.need("Source")?;
        let (source, source_version) = names::source(Some(source), source, &version)?;
        let (source, source_version) = (source.to_owned(), source_version.to_owned());
        let mut architectures = Vec::new();
        for word in paragraph.need("Architecture")?.split_ascii_whitespace().take(16) {
            architectures.push(names::architecture(word)?.to_owned());
        }
        let build_path = paragraph.get("Build-Path")?;
        let build_path = build_path.map(|path| {
            let wrong = |why: String| ControlError::Field { field: "Build-Path", why };
            names::build_path(path.trim_end_matches('/')).map_err(|error| wrong(error.to_string()))
        });
        let environment::Recorded { variables, left_out } = environment::recorded(&paragraph)?;
        Ok(Self {
            source,
            source_version,
            version,
            architectures,
            build_architecture: names::architecture(paragraph.need("Build-Architecture")?)?
                .to_owned(),
            build_path: build_path.transpose()?.map(str::to_owned),
            environment: variables,
            left_out,
            installed: installed(&paragraph)?,
            binary_only_changes: paragraph
                .get("Binary-Only-Changes")?
                .map(changelog_entry)
                .transpose()?,
            files: checksums(&paragraph, "Checksums-Sha256")?,
        })
    }
}

/// `name[:architecture] (= version)`, separated by commas.
fn installed(paragraph: &Paragraph) -> Result<Vec<Installed>, ControlError> {
    let field = "Installed-Build-Depends";
    let wrong = |why: String| ControlError::Field { field, why };
    let mut all = Vec::new();
    for item in paragraph.need(field)?.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let parts = item.split_once(' ').and_then(|(name, rest)| {
            let version = rest.trim().strip_prefix("(=")?.strip_suffix(')')?;
            Some((name, version.trim()))
        });
        let shown = || item.chars().take(80).collect::<String>();
        let (name, version) = parts.ok_or_else(|| wrong(format!("item {:?}", shown())))?;
        let (name, architecture) = match name.split_once(':') {
            Some((name, architecture)) => {
                (name, Some(names::architecture(architecture)?.to_owned()))
            }
            None => (name, None),
        };
        if all.len() == INSTALLED_MAX {
            return Err(wrong(format!("more than {INSTALLED_MAX} packages")));
        }
        all.push(Installed {
            name: names::package(name)?.to_owned(),
            architecture,
            version: names::version(version)?.to_owned(),
        });
    }
    if all.is_empty() {
        return Err(wrong("no packages".to_owned()));
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// The folded entry as it stood in the changelog: a lone dot is an empty line.
fn changelog_entry(value: &str) -> Result<String, ControlError> {
    let wrong =
        |why: &str| ControlError::Field { field: "Binary-Only-Changes", why: why.to_owned() };
    if value.len() > ENTRY_BYTES_MAX {
        return Err(wrong("longer than 64 KiB"));
    }
    if value.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(wrong("control characters"));
    }
    let lines: Vec<&str> =
        value.trim_matches('\n').lines().map(|line| if line == "." { "" } else { line }).collect();
    let entry = lines.join("\n");
    let entry = entry.trim_matches('\n');
    if !entry.lines().any(|line| line.starts_with(" -- ")) {
        return Err(wrong("no line with name and date"));
    }
    Ok(format!("{entry}\n\n"))
}

/// Most packages of an environment that are accepted; the largest recorded ones have about 2,000.
pub(super) const INSTALLED_MAX: usize = 10_000;

/// Longest changelog entry of a binNMU; ordinary ones have 300 bytes.
const ENTRY_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
#[path = "buildinfo_test.rs"]
mod tests;
