//! What parts of the engine answer over HTTP: routes that describe themselves.
//!
//! A part makes its [`Route`]s and hands them to the gateway (`http`), which serves them and writes the OpenAPI document
//! from them, so that a route cannot exist without its description. Never: sockets, headers, or how a body is sent.
//!
//! An answer is made on the edge's one thread: it takes no lock that a writer holds for long, and whatever may block (a
//! file) says so with [`Route::is_blocking`] and is then called on a thread of its own.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One path and what it answers. All are `GET`.
#[derive(Clone)]
pub struct Route {
    /// Such as `/api/agents/{name}/history`; a segment in braces is a parameter and has no `/` in it.
    pub path: &'static str,
    /// One sentence for people who read the list of routes.
    pub summary: &'static str,
    /// What may be asked, in the path and in the query.
    pub parameters: Vec<Parameter>,
    /// An answer as it looks like; the schema of the document is taken from it.
    pub example: Value,
    /// Whether the answer may wait for a file.
    pub is_blocking: bool,
    /// Makes the answer.
    pub answer: Answer,
}

/// What a part answers that is off, or that nobody has told anything: with status 200, for that is no error.
#[must_use]
pub fn not_available() -> Value {
    serde_json::json!({ "status": "not_available" })
}

/// What makes an answer of what was asked.
pub type Answer = Arc<dyn Fn(&Asked) -> Result<Value, Refusal> + Send + Sync>;

/// A parameter of a route.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// As it is written in the query or between the braces of the path.
    pub name: &'static str,
    /// What it means, with its unit, range and default.
    pub meaning: &'static str,
    /// Whether there is no answer without it. Those of the path always are.
    pub is_required: bool,
    /// What it may be.
    pub shape: Shape,
}

/// The values a parameter may have.
#[derive(Debug, Clone)]
pub enum Shape {
    /// Any text.
    Text,
    /// One of these words.
    Words(&'static [&'static str]),
    /// An integer from the first to the second, both included.
    Integer(u64, u64),
}

/// Parameters that fit their shapes.
#[derive(Debug, Clone, Default)]
pub struct Asked(BTreeMap<&'static str, String>);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The parameters are not as they have to be: 400, with what is wrong and what is allowed.
    Bad(String),
    /// There is no such thing: 404, with what is not there.
    Unknown(String),
    /// It cannot be told at this time: 503, with why.
    Unavailable(String),
}

impl Asked {
    /// Checks what was asked against a route's parameters; of one that stands twice the last counts, and what the route
    /// does not know is passed over.
    ///
    /// # Errors
    /// [`Refusal::Bad`] with the parameter, its value and what it may be.
    pub fn check<'a>(
        parameters: &[Parameter],
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Refusal> {
        let mut found = BTreeMap::new();
        for (name, value) in given {
            if let Some(parameter) = parameters.iter().find(|parameter| parameter.name == name) {
                parameter.check(value)?;
                found.insert(parameter.name, value.to_owned());
            }
        }
        let is_missing =
            |parameter: &&Parameter| parameter.is_required && !found.contains_key(parameter.name);
        match parameters.iter().find(is_missing) {
            Some(Parameter { name, meaning, .. }) => {
                Err(Refusal::Bad(format!("{name} is missing: {meaning}")))
            }
            None => Ok(Self(found)),
        }
    }

    /// A parameter's text, if it was given.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of an integer parameter, if it was given.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(|text| text.parse().ok())
    }
}

impl Parameter {
    fn check(&self, value: &str) -> Result<(), Refusal> {
        let name = self.name;
        match self.shape {
            Shape::Text => Ok(()),
            Shape::Words(words) if words.contains(&value) => Ok(()),
            Shape::Words(words) => {
                let words = words.join(", ");
                Err(Refusal::Bad(format!("{name} is {value:?}, and not one of {words}")))
            }
            Shape::Integer(least, most) => {
                let number =
                    Some(value).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let number = number.and_then(|text| text.parse::<u64>().ok());
                match number.filter(|number| (least..=most).contains(number)) {
                    Some(_) => Ok(()),
                    None => Err(Refusal::Bad(format!(
                        "{name} is {value:?}, and not an integer from {least} to {most}"
                    ))),
                }
            }
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Parameter, Refusal, Shape};
    use proptest::prelude::*;

    fn parameters() -> Vec<Parameter> {
        let parameter = |name, is_required, shape| Parameter {
            name,
            meaning: "what the test asks for",
            is_required,
            shape,
        };
        vec![
            parameter("symbol", true, Shape::Text),
            parameter("interval", false, Shape::Words(&["1s", "10s"])),
            parameter("limit", false, Shape::Integer(1, 5_000)),
        ]
    }

    fn check(given: &[(&str, &str)]) -> Result<Asked, Refusal> {
        Asked::check(&parameters(), given.iter().copied())
    }

    #[test]
    fn what_fits_is_taken_and_the_last_of_two_counts() {
        let given = [("limit", "7"), ("symbol", "A"), ("limit", "5000"), ("x", "y")];
        let asked = check(&given).expect("it fits");
        assert_eq!((asked.text("symbol"), asked.integer("limit")), (Some("A"), Some(5_000)));
        assert_eq!((asked.text("interval"), asked.text("x")), (None, None));
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_would() {
        let message = |given: &[(&str, &str)]| match check(given) {
            Err(Refusal::Bad(message)) => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(message(&[]), "symbol is missing: what the test asks for");
        let interval = message(&[("symbol", "A"), ("interval", "2s")]);
        assert_eq!(interval, "interval is \"2s\", and not one of 1s, 10s");
        for limit in ["0", "5001", "-1", "+1", "1.0", "", "99999999999999999999"] {
            let expected = format!("limit is {limit:?}, and not an integer from 1 to 5000");
            assert_eq!(message(&[("symbol", "A"), ("limit", limit)]), expected);
        }
        for limit in ["1", "2", "4999", "5000"] {
            assert!(check(&[("symbol", "A"), ("limit", limit)]).is_ok());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(name in ".{0,8}", value in ".{0,8}") {
            let _ = Asked::check(&parameters(), [(&*name, &*value), ("limit", &*value)]);
        }
    }
}
