//! The keys of each table, from the types that read them.

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::file;

/// Keys of each table by its header.
pub(super) fn tables() -> [(&'static str, &'static [&'static str]); 9] {
    [
        ("[coordinator]", keys::<file::Coordinator>()),
        ("[schedule]", keys::<file::Schedule>()),
        ("[limits]", keys::<file::Limits>()),
        ("[proxy]", keys::<file::Proxy>()),
        ("[profile.\"NAME\"]", keys::<file::Profile>()),
        ("[worker]", keys::<file::Worker>()),
        ("[debian]", keys::<file::Debian>()),
        ("[diffoscope]", keys::<file::Diffoscope>()),
        ("[backend.\"NAME\"]", keys::<file::Script>()),
    ]
}

/// The names of the fields with which `T` asks to be read.
pub(super) fn keys<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
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
