use sha2::Digest as _;

macro_rules! digest {
    ($name:ident, $len:literal, $hasher:ty, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Digest of `bytes`.
            pub fn of(bytes: &[u8]) -> Self {
                Self(<$hasher>::digest(bytes).into())
            }
        }

        super::key::bytes_as_hex!($name, $len, ParseDigestError);
    };
}

digest!(Sha256, 32, sha2::Sha256, "A SHA-256 digest; text form is 64 lower-case hex digits.");
digest!(Sha512, 64, sha2::Sha512, "A SHA-512 digest; text form is 128 lower-case hex digits.");

/// A digest in text form that is not exactly `hex_digits` hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest of {hex_digits} hex digits")]
pub struct ParseDigestError {
    /// How many digits were expected.
    pub hex_digits: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_known_value_is_met() {
        let empty = Sha256::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(empty.to_string(), text);
        assert_eq!(text.parse(), Ok(empty));
        assert_eq!("e3".parse::<Sha256>(), Err(ParseDigestError { hex_digits: 64 }));
    }
}
