use std::path::Path;

use rebuilder_actors::protocol::{Artifact, FileDigest, RemoteFile, Sha256};

use super::BuildError;
use crate::distribution::{self, Fit};
use crate::fetch::{FetchError, Fetcher};

/// Fetches the recorded input of a build to the path `to`: of the files under the names that its
/// record may have, the first whose checksums name what was built, or else the first there is.
/// Answers its digest and where it lay.
pub(crate) async fn fetch(
    fetcher: &Fetcher,
    (url, sha256): (&str, Option<Sha256>),
    artifacts: &[Artifact],
    bytes_max: u64,
    to: &Path,
) -> Result<(FileDigest, String), BuildError> {
    // What an index vouches for lies where the index says.
    let of = if sha256.is_some() { None } else { distribution::of_record(url) };
    let (format, candidates) =
        of.map_or_else(|| (None, vec![url.to_owned()]), |(d, p)| (Some(d), p));
    let trial = to.with_extension("trial");
    let mut best: Option<(Fit, FileDigest, String)> = None;
    let mut missing = None;
    for place in candidates {
        let file = RemoteFile { url: place.as_str().into(), size: None, sha256 };
        let digest = match fetcher.to_file(&file, bytes_max, &trial).await {
            Ok(digest) => digest,
            Err(error @ FetchError::NotFound { .. }) => {
                // The first one is what the operator knows.
                missing.get_or_insert(error);
                continue;
            }
            // A server that cannot be asked now may have it.
            Err(error) => return Err(error.into()),
        };
        let record = tokio::fs::read(&trial)
            .await
            .map_err(|error| BuildError::io("read", &trial, &error))?;
        // What is no record at all is not there, unless nothing else is.
        let fit = format.map_or(Fit::Same, |format| format.record_fit(&record, artifacts));
        if best.as_ref().is_none_or(|(known, ..)| fit > *known) {
            let kept = tokio::fs::rename(&trial, to).await;
            kept.map_err(|error| BuildError::io("rename", &trial, &error))?;
            best = Some((fit, digest, place));
        }
        if fit >= Fit::most(artifacts) {
            break;
        }
    }
    let _absent = tokio::fs::remove_file(&trial).await;
    match (best, missing) {
        (Some((_, digest, place)), _) => Ok((digest, place)),
        (None, Some(error)) => Err(error.into()),
        (None, None) => unreachable!("there is a place to ask at"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::testing;

    #[tokio::test]
    async fn the_record_that_names_the_file_wins() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let content = b"the package";
        let artifact = Artifact {
            name: "a-data".into(),
            version: "1".into(),
            component: None,
            architecture: "all".into(),
            file: "a-data_1_all.deb".into(),
            url: "/x".into(),
            size: None,
            sha256: Some(Sha256::of(content)),
        };
        let line = format!(" {} 11 a-data_1_all.deb\n", Sha256::of(content));
        let record = |files: &str| format!("Source: a\nChecksums-Sha256:\n{files}");
        let fetched = async || {
            let url = at("a_1_all.buildinfo").display().to_string();
            let artifacts = std::slice::from_ref(&artifact);
            let fetcher = testing::fetcher();
            let fetched = fetch(&fetcher, (&url, None), artifacts, 9999, &at("input")).await;
            let text = std::fs::read_to_string(at("input")).unwrap_or_default();
            fetched.map(|(_, place)| (place.rsplit('_').next().unwrap().to_owned(), text))
        };
        let error = fetched().await.unwrap_err();
        assert!(format!("{error:?}").contains("a_1_all.buildinfo"), "{error:?}");
        // One that says nothing of files is better than none.
        let native = distribution::debian::backend::native_architecture();
        let (native, both) = (format!("{native}.buildinfo"), format!("all-{native}.buildinfo"));
        std::fs::write(at(&format!("a_1_{native}")), "Source: a\n").unwrap();
        assert_eq!(fetched().await.unwrap().0, native);
        let names = record(&line);
        std::fs::write(at(&format!("a_1_{both}")), &names).unwrap();
        assert_eq!(fetched().await.unwrap(), (both.clone(), names.clone()));
        // A page for people, or a record of another build of the same packages, does not win.
        std::fs::write(at("a_1_all.buildinfo"), "<html>not found</html>").unwrap();
        assert_eq!(fetched().await.unwrap().0, both);
        let other = record(&line.replacen(|c: char| c.is_ascii_hexdigit(), "0", 8));
        std::fs::write(at("a_1_all.buildinfo"), &other).unwrap();
        assert_eq!(fetched().await.unwrap().0, both);
        std::fs::write(at("a_1_all.buildinfo"), &names).unwrap();
        assert_eq!(fetched().await.unwrap().0, "all.buildinfo");
        assert!(!at("input.trial").exists());
    }
}
