//! The signed file of a suite: where it is fetched, and what it must be.

use rebuilder_actors::port::IndexError;
use rebuilder_actors::protocol::{ReleaseState, Sha256, UtcMillis, Waived};

use super::download::refused;
use super::fetched::FetchedRelease;
use super::keyring::Keyring;
use super::plan::SuitePlan;
use super::reader::{DebianReader, NO_DATE};
use super::release::{ReleaseFile, shown};
use super::verify::{Signed, unverified_text, verified_text};
use crate::fetch::{FetchError, Fetched, Validator};

impl DebianReader {
    /// From the first mirror that has it, which is asked first from then on.
    pub(super) async fn fetch_release(
        &self,
        suite: &mut SuitePlan,
    ) -> Result<FetchedRelease, IndexError> {
        let mut last = None;
        for (mirror, folder) in suite.folders().iter().enumerate() {
            match self.fetch_release_at(suite, folder).await {
                Ok(fetched) => {
                    suite.prefer(mirror);
                    return Ok(fetched);
                }
                Err(error) => {
                    tracing::debug!(%error, "the next mirror is asked, if there is one");
                    last = last.or(Some(error));
                }
            }
        }
        Err(last.expect("a suite has a mirror"))
    }

    async fn fetch_release_at(
        &self,
        suite: &SuitePlan,
        folder: &str,
    ) -> Result<FetchedRelease, IndexError> {
        let url = format!("{folder}/InRelease");
        let cached = self.cache.release(&url);
        let since = cached.as_ref().map(|(_, remembered)| &remembered.validator);
        let since = since.filter(|validator| **validator != Validator::default());
        let fetched = match self.fetcher.get_if_changed(&url, since, RELEASE_BYTES_MAX).await {
            Ok(Fetched::Unchanged) => {
                let (bytes, remembered) = cached.expect("a validator came from the cache");
                (bytes, remembered.validator)
            }
            // Some servers have a page for people where a file is missing, with status 200.
            Ok(Fetched::Changed(bytes, _)) if is_page(&bytes) => {
                return self.fetch_detached(suite, folder).await;
            }
            Ok(Fetched::Changed(bytes, validator)) => (bytes, validator),
            Err(FetchError::NotFound { .. }) => return self.fetch_detached(suite, folder).await,
            Err(error) => return Err(refused(error)),
        };
        let (bytes, validator) = fetched;
        Ok(FetchedRelease { url, sha256: Sha256::of(&bytes), bytes, signature: None, validator })
    }

    /// `Release` and `Release.gpg`, of archives without `InRelease`.
    async fn fetch_detached(
        &self,
        suite: &SuitePlan,
        folder: &str,
    ) -> Result<FetchedRelease, IndexError> {
        let url = format!("{folder}/Release");
        let bytes = self.fetcher.get(&url, RELEASE_BYTES_MAX).await.map_err(refused)?;
        if is_page(&bytes) {
            let reason = "it is a page for people, and so is InRelease beside it".to_owned();
            return Err(IndexError::Fetch { url, reason });
        }
        let signature = if suite.check_signature {
            let url = format!("{url}.gpg");
            Some(self.fetcher.get(&url, RELEASE_BYTES_MAX).await.map_err(refused)?)
        } else {
            None
        };
        let validator = Validator::default();
        Ok(FetchedRelease { url, sha256: Sha256::of(&bytes), bytes, signature, validator })
    }

    /// The release's signed content, checked against everything that is known before.
    pub(super) async fn release_file(
        &self,
        suite: &SuitePlan,
        fetched: &FetchedRelease,
        before: Option<&ReleaseState>,
        now: UtcMillis,
    ) -> Result<(ReleaseFile, Waived), IndexError> {
        let url = &fetched.url;
        let refused = |reason| Err(IndexError::Refused { url: url.clone(), reason });
        if let Some(pin) = suite.pin.filter(|pin| *pin != fetched.sha256) {
            let found = fetched.sha256;
            return refused(format!("its SHA-256 is {found}, and the profile pins {pin}"));
        }
        let text = if suite.check_signature {
            let keyring = Keyring::open(&suite.signed_by, url)?;
            let signed = match &fetched.signature {
                None => Signed::Inline(&fetched.bytes),
                Some(signature) => Signed::Detached { text: &fetched.bytes, signature },
            };
            verified_text(&signed, url, &keyring.path).await?
        } else {
            tracing::warn!(profile = self.settings.profile, %url, "the signature is not checked");
            unverified_text(&fetched.bytes, url)?.into_owned()
        };
        let file = ReleaseFile::parse(&text, url)?;
        let waived = file.check(url, suite, &self.settings.accept_suite, now)?;
        let Some(before) = before else { return Ok((file, waived)) };
        let Some(date) = file.date else {
            if before.date != NO_DATE {
                let date = shown(before.date);
                return refused(format!("it has no Date, and what was read before is of {date}"));
            }
            // Without a date only this tells an old index from a new one.
            let known = self.cache.release(url).map(|(_, remembered)| remembered.seen);
            if known.is_some_and(|seen| seen.contains(&fetched.sha256)) {
                return refused(
                    "it has no Date, and was replaced by another one before".to_owned(),
                );
            }
            return Ok((file, waived));
        };
        if date < before.date {
            let dates = format!("{} is older than {}", shown(date), shown(before.date));
            return refused(format!("its Date {dates}, which was read before"));
        }
        let is_other = date == before.date && fetched.sha256 != before.sha256;
        if is_other && !self.was_signed_again(url, before, &file) {
            return refused("its Date is that of an index with other content".to_owned());
        }
        Ok((file, waived))
    }

    /// A second signature on the same content changes the file, not what it says.
    fn was_signed_again(&self, url: &str, before: &ReleaseState, file: &ReleaseFile) -> bool {
        let Some((bytes, _)) = self.cache.release(url) else { return false };
        Sha256::of(&bytes) == before.sha256
            && unverified_text(&bytes, url)
                .and_then(|text| ReleaseFile::parse(&text, url))
                .is_ok_and(|before| before == *file)
    }
}

/// A Release file begins with the name of a field, or with the line of a signature.
fn is_page(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"<")
}

/// Largest `InRelease`: some twenty times Debian's.
const RELEASE_BYTES_MAX: u64 = 4 << 20;
