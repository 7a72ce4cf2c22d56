use std::path::{Path, PathBuf};

use base64::Engine as _;
use rebuilder_actors::port::IndexError;

use super::apt::SignedBy;

/// The keys that must have signed an index, as one binary keyring that gpgv reads.
pub(super) struct Keyring {
    pub(super) path: PathBuf,
    /// Keeps a keyring that was made for this read.
    _made: Option<tempfile::TempDir>,
}

impl Keyring {
    /// Files are used as they are; armoured ones, keys written in the sources and several files
    /// are first made into one.
    pub(super) fn open(signed_by: &SignedBy, url: &str) -> Result<Self, IndexError> {
        let fault = |path: &Path, reason: String| IndexError::Signature {
            url: url.to_owned(),
            keyring: path.display().to_string(),
            reason,
        };
        let mut keys = Vec::new();
        match signed_by {
            SignedBy::Files(paths) => {
                for path in paths {
                    let bytes = std::fs::read(path).map_err(|error| {
                        fault(path, format!("cannot read the keyring: {error}"))
                    })?;
                    let armoured = bytes.starts_with(b"-----BEGIN");
                    if !armoured && paths.len() == 1 {
                        return Ok(Self { path: path.clone(), _made: None });
                    }
                    if armoured {
                        let text = String::from_utf8_lossy(&bytes);
                        let bare = dearmour(&text);
                        keys.extend(bare.ok_or_else(|| fault(path, BAD_ARMOUR.to_owned()))?);
                    } else {
                        keys.extend(bytes);
                    }
                }
            }
            SignedBy::Key(text) => {
                let bare = dearmour(text);
                let path = Path::new("Signed-By of the apt sources");
                keys.extend(bare.ok_or_else(|| fault(path, BAD_ARMOUR.to_owned()))?);
            }
        }
        let made = |error: std::io::Error| fault(Path::new("made"), error.to_string());
        let folder = tempfile::Builder::new().prefix("keyring-").tempdir().map_err(made)?;
        let path = folder.path().join("keyring.gpg");
        std::fs::write(&path, keys).map_err(made)?;
        Ok(Self { path, _made: Some(folder) })
    }
}

/// The bytes of every armoured block of `text`; `None` when one is broken or there is none.
fn dearmour(text: &str) -> Option<Vec<u8>> {
    let mut keys = Vec::new();
    let mut blocks = 0;
    let mut lines = text.lines().map(str::trim);
    while lines.any(|line| line == "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        // Headers end with an empty line, which apt's sources write as a dot.
        lines.find(|line| line.is_empty() || *line == ".")?;
        let mut body = String::new();
        loop {
            match lines.next()? {
                "-----END PGP PUBLIC KEY BLOCK-----" => break,
                // The checksum of the armour, which nothing needs.
                line if line.starts_with('=') => {}
                line => body.push_str(line),
            }
        }
        keys.extend(base64::engine::general_purpose::STANDARD.decode(body).ok()?);
        blocks += 1;
    }
    (blocks > 0).then_some(keys)
}

const BAD_ARMOUR: &str = "the armour of the keyring is broken";
