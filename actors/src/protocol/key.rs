/// An ed25519 public key: the whole identity of a node (32 bytes; text form is 64 hex digits).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// True when `signature` over `message` was made by this key: see [`Verifier::verifies`].
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        Verifier::new(self).verifies(message, signature)
    }
}

/// A public key made ready for several verifications: a tenth of the work of one is done once.
#[derive(Clone, Debug)]
pub struct Verifier(Option<ed25519_dalek::VerifyingKey>);

impl Verifier {
    /// Of a key that is none, or of one of small order, nothing verifies.
    pub fn new(key: &PublicKey) -> Self {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key.0).ok();
        Self(key.filter(|key| !key.is_weak()))
    }

    /// True when the key made `signature` over `message`: RFC 8032 §5.1.7 without the cofactor,
    /// and `S` below the group's order, exactly as OpenSSL decides it. A key of small order, for
    /// which one signature would fit many messages, was refused before.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        use ed25519_dalek::Verifier as _;

        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.as_ref().is_some_and(|key| key.verify(message, &signature).is_ok())
    }
}

/// An ed25519 signature (64 bytes).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

macro_rules! bytes_as_hex {
    ($name:ident, $len:literal, $error:ident) => {
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let mut digits = [0; 2 * $len];
                hex::encode_to_slice(self.0, &mut digits).expect("two digits for each byte");
                f.write_str(core::str::from_utf8(&digits).expect("hex digits are ASCII"))
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }

        impl core::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| $error { hex_digits: 2 * $len })?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::protocol::key::deserialize_bytes_or_text(deserializer).map(Self)
            }
        }
    };
}

bytes_as_hex!(PublicKey, 32, ParseKeyError);
bytes_as_hex!(Signature, 64, ParseKeyError);

pub(super) use bytes_as_hex;

/// A key or signature in text form that is not exactly `hex_digits` hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key of {hex_digits} hex digits")]
pub struct ParseKeyError {
    /// How many digits were expected.
    pub hex_digits: usize,
}

/// Reads `N` bytes: raw from binary formats, hex digits from readable ones.
pub(super) fn deserialize_bytes_or_text<'de, D, const N: usize>(de: D) -> Result<[u8; N], D::Error>
where
    D: serde::Deserializer<'de>,
{
    if de.is_human_readable() {
        de.deserialize_str(BytesVisitor::<N>)
    } else {
        de.deserialize_bytes(BytesVisitor::<N>)
    }
}

struct BytesVisitor<const N: usize>;

impl<const N: usize> serde::de::Visitor<'_> for BytesVisitor<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{N} bytes or {} hex digits", 2 * N)
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<[u8; N], E> {
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))?;
        Ok(bytes)
    }
}
