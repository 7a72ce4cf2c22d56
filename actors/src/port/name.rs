/// True for a name of 1 to 128 bytes of `[A-Za-z0-9._-]` that means no folder: parts of [`Parts`]
/// and entries of [`Spool`] have such names, so that an implementation can use them as names of
/// files.
///
/// [`Parts`]: super::Parts
/// [`Spool`]: super::Spool
pub fn is_plain_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=128).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for good in ["a", "job-12.epoch_3", "...", ".hidden", &"x".repeat(128)] {
            assert!(is_plain_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a\0", "ä", "a b", &"x".repeat(129)] {
            assert!(!is_plain_name(bad), "{bad:?}");
        }
    }
}
