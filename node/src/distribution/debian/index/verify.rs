use std::borrow::Cow;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rebuilder_actors::port::IndexError;

use crate::distribution::debian::format::signed::{self, CutOff};

/// A signed index as it was fetched.
pub(super) enum Signed<'a> {
    /// `InRelease`: text and signature in one.
    Inline(&'a [u8]),
    /// `Release` and `Release.gpg`.
    Detached { text: &'a [u8], signature: &'a [u8] },
}

/// The text of `signed` that a key of `keyring` signed: never anything outside the signature.
pub(super) async fn verified_text(
    signed: &Signed<'_>,
    url: &str,
    keyring: &Path,
) -> Result<Vec<u8>, IndexError> {
    let fault = |reason: String| IndexError::Signature {
        url: url.to_owned(),
        keyring: keyring.display().to_string(),
        reason,
    };
    let here = |reason: String| IndexError::Local { url: url.to_owned(), reason };
    if !keyring.is_file() {
        return Err(here(format!(
            "the keyring {} is not there: install the distribution's keyring package, or set \
             `keyring`",
            keyring.display()
        )));
    }
    let folder = tempfile::Builder::new().prefix("gpgv-").tempdir();
    let folder = folder.map_err(|error| {
        let place = std::env::temp_dir();
        here(format!("no folder for gpgv in {}: {error} (TMPDIR names another)", place.display()))
    })?;
    let output = folder.path().join("text");
    let mut gpgv = tokio::process::Command::new("gpgv");
    // Names of its own in a folder of its own: a path with a `:` is a kind of keyring to gpgv, and
    // what begins with a `-` an option.
    let link = folder.path().join("keyring");
    std::path::absolute(keyring)
        .and_then(|keyring| std::os::unix::fs::symlink(keyring, &link))
        .map_err(|error| here(format!("cannot make {}: {error}", link.display())))?;
    gpgv.env_clear().env("LC_ALL", "C").env("HOME", folder.path()).current_dir(folder.path());
    if let Some(path) = std::env::var_os("PATH") {
        gpgv.env("PATH", path);
    }
    gpgv.args(["--homedir", ".", "--weak-digest", "SHA1", "--status-fd", "1"]);
    gpgv.args(["--keyring", "./keyring"]);
    let files: &[(&str, &[u8])] = match signed {
        Signed::Inline(bytes) => &[("signed", bytes)],
        Signed::Detached { text, signature } => &[("signature", signature), ("signed", text)],
    };
    if matches!(signed, Signed::Inline(_)) {
        gpgv.args(["--output", "text"]);
    }
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes)
            .map_err(|error| here(format!("cannot write {}: {error}", path.display())))?;
        gpgv.arg(name);
    }
    gpgv.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let done = match tokio::time::timeout(GPGV_MAX, gpgv.output()).await {
        Err(_) => return Err(here("gpgv did not end".to_owned())),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(here("gpgv is not installed: install the package gpgv".to_owned()));
        }
        Ok(Err(error)) => return Err(here(format!("gpgv cannot be run: {error}"))),
        Ok(Ok(done)) => done,
    };
    if let Err(reason) = judge(&String::from_utf8_lossy(&done.stdout)) {
        let said = String::from_utf8_lossy(&done.stderr);
        let said: Vec<_> = said.lines().map(|line| line.trim_start_matches("gpgv: ")).collect();
        return Err(fault(format!("{reason} ({})", said.join("; "))));
    }
    match signed {
        Signed::Inline(_) => std::fs::read(&output)
            .map_err(|error| here(format!("gpgv gave no signed text: {error}"))),
        Signed::Detached { text, .. } => Ok(text.to_vec()),
    }
}

/// Reads gpgv's status lines. Its exit status does not do: an index signed with the keys of several
/// releases is good when one of them is known, as apt has it.
fn judge(status: &str) -> Result<(), &'static str> {
    let words = status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] "));
    let keywords: Vec<_> = words.filter_map(|line| line.split_whitespace().next()).collect();
    let has = |keyword| keywords.contains(&keyword);
    if has("BADSIG") {
        Err("the signature is wrong")
    } else if has("GOODSIG") && has("VALIDSIG") {
        Ok(())
    } else if has("EXPKEYSIG") || has("EXPSIG") {
        Err("the key or the signature expired")
    } else if has("REVKEYSIG") {
        Err("the key was revoked")
    } else if has("NO_PUBKEY") {
        Err("signed by other keys")
    } else {
        Err("no valid signature")
    }
}

/// The text of an `InRelease` without a look at its signature; a plain `Release` as it is.
pub(super) fn unverified_text<'a>(bytes: &'a [u8], url: &str) -> Result<Cow<'a, [u8]>, IndexError> {
    let fault =
        |error: CutOff| IndexError::Content { url: url.to_owned(), reason: error.to_string() };
    signed::text_of(bytes).map_err(fault)
}

/// Longest time that gpgv may take for a file of a few megabytes.
const GPGV_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_known_key_is_enough_and_one_wrong_signature_too_much() {
        let good = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG A x\n[GNUPG:] VALIDSIG A\n";
        let unknown = "[GNUPG:] ERRSIG B 1\n[GNUPG:] NO_PUBKEY B\n";
        assert_eq!(judge(good), Ok(()));
        assert_eq!(judge(&format!("{good}{unknown}")), Ok(()));
        assert_eq!(judge(unknown), Err("signed by other keys"));
        let bad = format!("{good}[GNUPG:] BADSIG C x\n");
        assert_eq!(judge(&bad), Err("the signature is wrong"));
        let expired = "[GNUPG:] EXPKEYSIG A x\n[GNUPG:] VALIDSIG A\n";
        assert_eq!(judge(expired), Err("the key or the signature expired"));
        assert_eq!(judge("GOODSIG VALIDSIG"), Err("no valid signature"));
    }
}
