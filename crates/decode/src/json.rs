//! JSON as the decoders read it: text borrowed, faults told apart, and nothing asked of a value but
//! what is needed of it.
//!
//! One rule for every field. An empty object or array, null and a missing key all say nothing. A
//! number may be written as a number, as digits in a text, as a float without fraction (up to 2⁵³,
//! where floats begin to round), or as extended JSON's `{"$numberLong": "…"}`. What is none of that
//! is told apart, so that the caller can decide what it costs.
//!
//! Invariant: nothing here recurses with the input's depth, because only fields that are looked at
//! are entered; the rest is skipped by a loop. It does not know tweets.

use super::{Undecodable, lazy};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Above it a float may stand for several whole numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The object that `bytes` are.
pub(super) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Undecodable> {
    // A struct would be read from an array as well, field by field.
    let is_object = bytes.starts_with(b"{") || bytes.trim_ascii_start().starts_with(b"{");
    let read = if is_object { lazy::from_slice(bytes).ok() } else { None };
    read.ok_or_else(|| refusal::<Part<T>>(bytes))
}

/// The objects of an array.
pub(super) fn parse_list<'a, T: Deserialize<'a>>(list: Raw<'a>) -> Result<List<T>, Undecodable> {
    lazy::from_slice(list.0).map_err(|_| refusal::<List<T>>(list.0))
}

/// Why `bytes` are no such value.
#[cold]
fn refusal<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Undecodable {
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(bytes) {
        return Undecodable::Json(error);
    }
    let what = lazy::explain::<T>(bytes);
    Undecodable::Shape(what.unwrap_or_else(|| "it is not an object".to_owned()).into())
}

/// What stands where an object may stand.
#[derive(Debug, Default)]
pub(super) enum Part<T> {
    /// There is no such key.
    #[default]
    Absent,
    /// Null, or an empty object or array.
    Nothing,
    /// An object.
    Read(T),
    /// Something else.
    Odd,
}

impl<T> Part<T> {
    /// The object, if there is one.
    pub(super) fn read(&self) -> Option<&T> {
        match self {
            Part::Read(value) => Some(value),
            Part::Absent | Part::Nothing | Part::Odd => None,
        }
    }

    /// The object, if something is said; a fault where that is none.
    pub(super) fn object(&self, name: &str) -> Result<Option<&T>, Undecodable> {
        match self {
            Part::Read(value) => Ok(Some(value)),
            Part::Absent | Part::Nothing => Ok(None),
            Part::Odd => Err(Undecodable::Shape(format!("{name}: it is not an object").into())),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PartVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for PartVisitor<T> {
            type Value = Part<T>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                object: D,
            ) -> Result<Part<T>, D::Error> {
                T::deserialize(object).map(Part::Read)
            }
            fn visit_some<D: Deserializer<'de>>(self, array: D) -> Result<Part<T>, D::Error> {
                IgnoredAny::deserialize(array).map(|_| Part::Odd)
            }
            fn visit_unit<E>(self) -> Result<Part<T>, E> {
                Ok(Part::Nothing)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Part<T>, E> {
                Ok(Part::Odd)
            }
        }
        deserializer.deserialize_newtype_struct(lazy::PART, PartVisitor(PhantomData))
    }
}

/// The objects of an array, without those that say nothing; none where nothing is said.
pub(super) struct List<T>(pub(super) Vec<Part<T>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<T> List<T> {
    /// The objects; a fault where something is none.
    pub(super) fn objects(&self, name: &str) -> Result<impl Iterator<Item = &T>, Undecodable> {
        if self.0.iter().any(|part| matches!(part, Part::Odd)) {
            return Err(Undecodable::Shape(format!("{name}: one is not an object").into()));
        }
        Ok(self.0.iter().filter_map(Part::read))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ListVisitor { takes_one: false, element: PhantomData };
        deserializer.deserialize_newtype_struct(lazy::PART, visitor)
    }
}

/// One object, or an array of objects.
pub(super) struct OneOrMany<T>(pub(super) List<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        OneOrMany(List::default())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ListVisitor { takes_one: true, element: PhantomData };
        deserializer.deserialize_newtype_struct(lazy::PART, visitor).map(OneOrMany)
    }
}

struct ListVisitor<T> {
    takes_one: bool,
    element: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = if self.takes_one { "an object or " } else { "" };
        write!(formatter, "{one}an array of objects")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, object: D) -> Result<List<T>, D::Error> {
        if self.takes_one {
            return T::deserialize(object).map(|one| List(vec![Part::Read(one)]));
        }
        Err(D::Error::custom("an object where an array of objects belongs"))
    }

    fn visit_some<D: Deserializer<'de>>(self, array: D) -> Result<List<T>, D::Error> {
        array.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<List<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(part) = array.next_element::<Part<T>>()? {
            if !matches!(part, Part::Nothing) {
                list.push(part);
            }
        }
        Ok(List(list))
    }

    fn visit_unit<E>(self) -> Result<List<T>, E> {
        Ok(List::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<List<T>, E> {
        Err(E::custom(format_args!("it is not {}", &self as &dyn serde::de::Expected)))
    }
}

/// The bytes of a value that is not null.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl<'a> Raw<'a> {
    pub(super) fn is_text(self) -> bool {
        self.0.starts_with(b"\"")
    }

    /// The text that it is.
    pub(super) fn text(self) -> Result<Cow<'a, str>, Undecodable> {
        match lazy::from_slice(self.0) {
            Ok(Leaf::Text(text)) => Ok(text),
            _ => Err(Undecodable::Shape("a text is not valid".into())),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawVisitor;
        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }
            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Raw<'de>, E> {
                Ok(Raw(bytes))
            }
        }
        deserializer.deserialize_newtype_struct(lazy::RAW, RawVisitor)
    }
}

/// Whether a value says something: it is neither null nor an empty object or array.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given(pub(super) bool);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GivenVisitor;
        impl<'de> Visitor<'de> for GivenVisitor {
            type Value = Given;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, it: D) -> Result<Given, D::Error> {
                IgnoredAny::deserialize(it).map(|_| Given(true))
            }
            fn visit_some<D: Deserializer<'de>>(self, it: D) -> Result<Given, D::Error> {
                IgnoredAny::deserialize(it).map(|_| Given(true))
            }
            fn visit_unit<E>(self) -> Result<Given, E> {
                Ok(Given(false))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Given, E> {
                Ok(Given(true))
            }
        }
        deserializer.deserialize_newtype_struct(lazy::PART, GivenVisitor)
    }
}

/// What stands where a text, a number or a truth belongs; no other value is a fault.
#[derive(Clone, Debug, Default)]
pub(super) enum Leaf<'a> {
    /// Nothing is said.
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Whole(u64),
    Negative(i64),
    Float(f64),
    Truth(bool),
    /// A container with something in it.
    Odd,
}

impl Leaf<'_> {
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Leaf::Absent)
    }

    /// The id that it is.
    pub(super) fn id(&self) -> Option<u64> {
        match self {
            Leaf::Whole(number) => Some(*number),
            Leaf::Float(float) => exact(*float).and_then(|number| u64::try_from(number).ok()),
            Leaf::Text(text) => lazy::digits(text.as_bytes()).or_else(|| padded(text)),
            Leaf::Absent | Leaf::Negative(_) | Leaf::Truth(_) | Leaf::Odd => None,
        }
    }

    /// Whether it was an id before it became a float.
    pub(super) fn is_rounded(&self) -> bool {
        matches!(self, Leaf::Float(float) if *float > EXACT)
    }

    /// The count that it is, `Ok(None)` where nothing is said; an error where something else is.
    pub(super) fn count(&self) -> Result<Option<i64>, ()> {
        let count = match self {
            Leaf::Absent => return Ok(None),
            Leaf::Whole(number) => i64::try_from(*number).ok(),
            Leaf::Negative(number) => Some(*number),
            Leaf::Float(float) => exact(*float),
            Leaf::Text(text) => {
                let digits = text.trim_ascii();
                let digits = digits.strip_suffix(".0").unwrap_or(digits);
                digits.parse().ok().filter(|_| !digits.starts_with('+'))
            }
            Leaf::Truth(_) | Leaf::Odd => None,
        };
        count.map(Some).ok_or(())
    }

    /// The truth that it is.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Leaf::Truth(truth) => Some(*truth),
            Leaf::Whole(number @ (0 | 1)) => Some(*number == 1),
            Leaf::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Leaf::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// The text that it is.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Leaf::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The id that a text holds, if it is not written as shortly as it can be.
#[cold]
fn padded(text: &str) -> Option<u64> {
    let digits = text.trim_ascii();
    // `parse` takes a plus sign as well.
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_plain)
}

/// The whole number that a float is, where no other one becomes the same float.
#[expect(clippy::cast_possible_truncation, reason = "it has no fraction, and is small")]
fn exact(float: f64) -> Option<i64> {
    let is_exact = float.abs() <= EXACT && float.fract() == 0.0;
    is_exact.then_some(float as i64)
}

impl<'de: 'a, 'a> Deserialize<'de> for Leaf<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        LeafSeed { depth: 2 }.deserialize(deserializer)
    }
}

/// Reads a leaf, which may stand in so many objects of extended JSON.
struct LeafSeed {
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for LeafSeed {
    type Value = Leaf<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Leaf<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LeafSeed {
    type Value = Leaf<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Leaf<'de>, E> {
        Ok(u64::try_from(number).map_or(Leaf::Negative(number), Leaf::Whole))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Float(float))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Truth(truth))
    }

    fn visit_unit<E>(self) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Leaf<'de>, A::Error> {
        let mut leaf = Leaf::Absent;
        while array.next_element::<IgnoredAny>()?.is_some() {
            leaf = Leaf::Odd;
        }
        Ok(leaf)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Leaf<'de>, A::Error> {
        let mut leaf = Leaf::Absent;
        while let Some(key) = object.next_key::<&[u8]>()? {
            let is_wrapped = self.depth > 0 && matches!(leaf, Leaf::Absent) && is_type(key);
            if is_wrapped {
                leaf = object.next_value_seed(LeafSeed { depth: self.depth - 1 })?;
            } else {
                object.next_value::<IgnoredAny>()?;
                leaf = Leaf::Odd;
            }
        }
        Ok(leaf)
    }
}

/// Whether a key names a type of extended JSON that is a leaf here.
fn is_type(key: &[u8]) -> bool {
    matches!(key, b"$numberLong" | b"$numberInt" | b"$numberDouble" | b"$date")
}
