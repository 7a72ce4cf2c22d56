//! The keys of each table, from the types that read them.

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::file;
use crate::distribution::{Distribution, registry};

/// Keys of each table by its header.
pub(super) fn tables() -> Vec<(String, &'static [&'static str])> {
    let ours = [
        ("[coordinator]", keys::<file::Coordinator>()),
        ("[schedule]", keys::<file::Schedule>()),
        ("[limits]", keys::<file::Limits>()),
        ("[http]", keys::<file::Http>()),
        ("[auth]", keys::<file::Auth>()),
        ("[proxy]", keys::<file::Proxy>()),
        ("[profile.\"NAME\"]", keys::<file::Profile>()),
        ("[worker]", keys::<file::Worker>()),
        ("[diffoscope]", keys::<file::Diffoscope>()),
        ("[backend.\"NAME\"]", keys::<file::Script>()),
    ];
    let ours = ours.into_iter().map(|(header, keys)| (header.to_owned(), keys));
    let of = |distribution: &&dyn Distribution| {
        (format!("[{}]", distribution.name()), distribution.keys())
    };
    ours.chain(registry().iter().map(of)).collect()
}

/// Reads a table of a distribution; what is not written has its default.
pub(crate) fn table<T: for<'de> Deserialize<'de> + Default>(
    given: Option<Spanned<DeValue<'_>>>,
) -> Result<T, toml::de::Error> {
    given.map_or_else(|| Ok(T::default()), |given| T::deserialize(ValueDeserializer::from(given)))
}

/// The names of the fields with which `T` asks to be read.
pub(crate) fn keys<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut fields = None;
    // It never succeeds: only the question counts.
    let _ = T::deserialize(Fields(&mut fields)).map(drop);
    fields.expect("a table is a struct")
}

struct Fields<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = Some(fields);
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("only the fields are asked for"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
