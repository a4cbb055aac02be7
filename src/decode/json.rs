//! JSON as the decoders read it: objects only, text borrowed, faults told apart.
//!
//! Invariant: nothing here recurses with the input's depth, because only fields that are looked at
//! are entered; the rest is skipped by a loop. It does not know tweets.

use super::{Undecodable, lazy};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The object that `bytes` are. Nearly all of them need not be read whole; where that fails, the whole
/// reading decides, and says what is wrong.
pub(super) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Undecodable> {
    if let Ok(Object(value)) = lazy::from_slice(bytes) {
        return Ok(value);
    }
    match serde_json::from_slice(bytes) {
        Ok(Object(value)) => Ok(value),
        Err(error) if error.is_data() => Err(shape_or_json(bytes, error)),
        Err(error) => Err(Undecodable::Json(error)),
    }
}

/// A wrong shape ends the reading where it is found; behind it there may be no JSON at all.
fn shape_or_json(bytes: &[u8], shape: serde_json::Error) -> Undecodable {
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(_) => Undecodable::Shape(shape),
        Err(error) => Undecodable::Json(error),
    }
}

/// A JSON object. (serde's own structs would take an array as well, field by field.)
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(OnlyObjects(deserializer)).map(Object)
    }
}

/// A deserializer, or a visitor, that takes a struct from an object only. The fields' names are handed
/// on, so that whoever reads need not stop at others.
struct OnlyObjects<T>(T);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for OnlyObjects<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, OnlyObjects(visitor))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(OnlyObjects(visitor))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier option ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for OnlyObjects<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(map)
    }
}

/// One object, or an array of objects.
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for AnyVisitor<T> {
            type Value = OneOrMany<T>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object or an array of objects")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrMany<T>, A::Error> {
                let one = T::deserialize(MapAccessDeserializer::new(map))?;
                Ok(OneOrMany(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany<T>, A::Error> {
                let mut many = Vec::new();
                while let Some(Object(one)) = seq.next_element()? {
                    many.push(one);
                }
                Ok(OneOrMany(many))
            }
        }
        deserializer.deserialize_any(AnyVisitor(PhantomData))
    }
}

/// Text that is borrowed where it has no escapes. (serde's own `Option<Cow<str>>` always copies.)
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl Text<'_> {
    /// The id that the text spells.
    pub(super) fn id(&self) -> Option<u64> {
        self.0.parse().ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// An `id`: a number in the first API, a string in the second.
#[derive(Clone, Copy)]
pub(super) enum Id {
    /// A number.
    Number(u64),
    /// A string, whatever it holds.
    String,
}

impl Id {
    /// The number, where it is one.
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Id::Number(number) => Some(number),
            Id::String => None,
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an id")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Id, E> {
                Ok(Id::Number(number))
            }
            fn visit_str<E>(self, _: &str) -> Result<Id, E> {
                Ok(Id::String)
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}
