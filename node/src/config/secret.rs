use core::fmt;

use serde::{Deserialize, Deserializer, de};

/// Characters below which a secret is refused: 24 of base64 hold 144 bits.
pub(super) const SECRET_CHARS_MIN: usize = 24;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for whoever must prove it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Checks its length.
    pub(super) fn check(&self) -> Result<(), String> {
        let chars = self.0.chars().count();
        if chars >= SECRET_CHARS_MIN {
            return Ok(());
        }
        Err(format!(
            "the secret has {chars} characters, at least {SECRET_CHARS_MIN} are needed: \
             make one with `openssl rand -base64 32`"
        ))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Read as anything first: the usual error would show the value.
        let toml::Value::String(text) = toml::Value::deserialize(deserializer)? else {
            return Err(de::Error::custom("a secret must be a text in quotes"));
        };
        let secret = Self(text);
        secret.check().map_err(de::Error::custom)?;
        Ok(secret)
    }
}
