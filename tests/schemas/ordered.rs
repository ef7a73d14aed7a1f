//! JSON whose keys keep their order and whose scalars keep their text.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A JSON value as it was written, but for white space between its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ordered {
    Object(Vec<(String, Self)>),
    Array(Vec<Self>),
    /// The text of a string, a number or a word.
    Scalar(String),
}

impl Ordered {
    /// Reads one value.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let text = text.trim_ascii();
        match text.as_bytes().first() {
            Some(b'{') => {
                let Pairs(pairs) = serde_json::from_str(text)?;
                let read = pairs.into_iter().map(|(key, raw)| Ok((key, Self::parse(raw.get())?)));
                Ok(Self::Object(read.collect::<Result<_, serde_json::Error>>()?))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                let read = items.into_iter().map(|raw| Self::parse(raw.get()));
                Ok(Self::Array(read.collect::<Result<_, serde_json::Error>>()?))
            }
            _ => Ok(Self::Scalar(serde_json::from_str::<&RawValue>(text)?.get().to_owned())),
        }
    }

    /// The member of an object.
    pub(crate) fn member(&self, key: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Replaces the scalars of every member of this name, at any depth.
    pub(crate) fn blank(&mut self, key: &str) {
        match self {
            Self::Object(members) => {
                for (name, value) in members {
                    match value {
                        Self::Scalar(text) if name == key => "_".clone_into(text),
                        value => value.blank(key),
                    }
                }
            }
            Self::Array(items) => items.iter_mut().for_each(|item| item.blank(key)),
            Self::Scalar(_) => {}
        }
    }
}

/// Without any white space between the parts.
impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(members) => {
                f.write_str("{")?;
                for (place, (key, value)) in members.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    write!(f, "{comma}\"{key}\":{value}")?;
                }
                f.write_str("}")
            }
            Self::Array(items) => {
                f.write_str("[")?;
                for (place, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if place == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Scalar(text) => f.write_str(text),
        }
    }
}

/// The members of an object in their order.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Pairs)
    }
}

#[test]
fn what_was_read_is_written_as_it_stood_without_white_space() {
    let text = r#" { "b" : [ 1.50 , -0 , {} ], "a" : "x \" y", "c" : { "n" : null } } "#;
    let mut value = Ordered::parse(text).expect("JSON");
    assert_eq!(value.to_string(), r#"{"b":[1.50,-0,{}],"a":"x \" y","c":{"n":null}}"#);
    value.blank("n");
    assert_eq!(value.member("c").map(ToString::to_string).as_deref(), Some(r#"{"n":_}"#));
    assert!(Ordered::parse("{\"a\":1,}").is_err() && Ordered::parse("").is_err());
}
