//! What a client says: one text message parsed into types that are only ever valid.
//!
//! Parsing neither answers nor keeps state. Size and nesting are bounded before and by the parser; unknown fields
//! are ignored; of a field that stands twice the last one counts; `null` counts as absent, but for `payload`.
//! What must come back or go on byte for byte (`t`, `payload`) is cut from the text itself, never written anew.
//!
//! Called by a shard, on its thread, once per message (rate-limited): one copy of the text, because the parser
//! unescapes in place, and a handful of short-lived allocations; with its answer a ping takes 1 µs, a subscribe to
//! two topics 2 µs.

use super::{Limits, Mode, OnLag, Rate, Resume};
use crate::event::{Class, Json, Pattern};
use bytes::Bytes;
use simd_json::Buffers;
use simd_json::prelude::{TypedScalarValue as _, ValueAsScalar as _, ValueIntoString as _};
use simd_json::tape::{Object, Value};
use std::borrow::Cow;
use std::collections::HashSet;

/// The `id` of a request, kept as the JSON text that answers carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// JSON text: an integer, or a string in quotes.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// Why a text is no message of the protocol at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Larger than the limit; nothing in it was looked at.
    TooBig,
    /// Not JSON, or nested too deep.
    NotJson,
    /// JSON, but not an object with a string `op`.
    NoOp,
    /// Not text.
    Binary,
}

/// A message with an `op`.
#[derive(Debug, PartialEq)]
pub(super) struct Message {
    /// What the answer echoes.
    pub(super) id: Option<RequestId>,
    /// What is asked, or why it cannot be.
    pub(super) request: Result<Request, Refusal>,
}

/// A request whose fields are all valid.
#[derive(Debug, PartialEq)]
pub(super) enum Request {
    /// To join topics.
    Subscribe(Asked),
    /// Distinct names in the order given.
    Unsubscribe(Vec<Named>),
    /// With `t` as JSON text.
    Ping(Option<Box<str>>),
    /// How the connection fares.
    Stats,
    /// A token, which nobody needs.
    Auth,
    /// To an exact topic.
    Publish { topic: String, class: Option<Class>, payload: Json },
}

/// The fields of a subscribe.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    /// Distinct names in the order given.
    pub(super) names: Vec<Named>,
    pub(super) mode: Mode,
    pub(super) wants_snapshot: bool,
    pub(super) from: Option<Resume>,
    pub(super) on_lag: Option<OnLag>,
}

/// One entry of `topics`.
pub(super) type Named = Result<Pattern, Rejected>;

/// An entry of `topics` that was not taken, and the code that says why.
pub(super) type Rejected = (String, &'static str);

/// Why a request is answered with an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Machine word.
    pub(super) code: &'static str,
    /// For people.
    pub(super) message: Cow<'static, str>,
}

fn refusal(code: &'static str, message: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal { code, message: message.into() }
}

fn bad_request(message: impl Into<Cow<'static, str>>) -> Refusal {
    refusal("bad_request", message)
}

/// Parses one text message.
pub(super) fn parse(text: &str, limits: &Limits) -> Result<Message, Unreadable> {
    if text.len() > limits.message_bytes {
        return Err(Unreadable::TooBig);
    }
    let mut scratch = text.as_bytes().to_vec();
    let mut buffers = Buffers::with_max_depth(scratch.len(), limits.nesting);
    let tape = simd_json::to_tape_with_buffers(&mut scratch, &mut buffers)
        .map_err(|_| Unreadable::NotJson)?;
    let object = tape.as_value().as_object().ok_or(Unreadable::NoOp)?;
    let fields = Fields::of(text, &object);
    let op = fields.op.and_then(|op| op.value.into_string()).ok_or(Unreadable::NoOp)?;
    Ok(match fields.id(limits) {
        Ok(id) => Message { id, request: fields.request(op, limits) },
        Err(refused) => Message { id: None, request: Err(refused) },
    })
}

/// A member of the message's object.
#[derive(Clone, Copy)]
struct Field<'t, 'i> {
    value: Value<'t, 'i>,
    /// Which member it is, from 0.
    place: usize,
}

/// The members that mean something.
#[derive(Default)]
struct Fields<'a, 't, 'i> {
    text: &'a str,
    op: Option<Field<'t, 'i>>,
    id: Option<Field<'t, 'i>>,
    topics: Option<Field<'t, 'i>>,
    mode: Option<Field<'t, 'i>>,
    max_hz: Option<Field<'t, 'i>>,
    token: Option<Field<'t, 'i>>,
    snapshot: Option<Field<'t, 'i>>,
    from: Option<Field<'t, 'i>>,
    on_lag: Option<Field<'t, 'i>>,
    t: Option<Field<'t, 'i>>,
    topic: Option<Field<'t, 'i>>,
    class: Option<Field<'t, 'i>>,
    payload: Option<Field<'t, 'i>>,
}

impl<'a, 't, 'i> Fields<'a, 't, 'i> {
    fn of(text: &'a str, object: &Object<'t, 'i>) -> Self {
        let mut fields = Self { text, ..Self::default() };
        for (place, (key, value)) in object.iter().enumerate() {
            let known = match key {
                "op" => &mut fields.op,
                "id" => &mut fields.id,
                "topics" => &mut fields.topics,
                "mode" => &mut fields.mode,
                "max_hz" => &mut fields.max_hz,
                "token" => &mut fields.token,
                "snapshot" => &mut fields.snapshot,
                "from" => &mut fields.from,
                "on_lag" => &mut fields.on_lag,
                "t" => &mut fields.t,
                "topic" => &mut fields.topic,
                "class" => &mut fields.class,
                "payload" => &mut fields.payload,
                _ => continue,
            };
            let is_absent = value.is_null() && key != "payload";
            *known = (!is_absent).then_some(Field { value, place });
        }
        fields
    }

    fn request(&self, op: &str, limits: &Limits) -> Result<Request, Refusal> {
        match op {
            "subscribe" => self.subscribe(limits),
            "unsubscribe" => Ok(Request::Unsubscribe(self.names(limits)?)),
            "ping" => Ok(Request::Ping(self.t(limits)?)),
            "publish" => self.publish(limits),
            "stats" => Ok(Request::Stats),
            "auth" => match self.token {
                Some(token) if token.value.is_str() => Ok(Request::Auth),
                _ => Err(bad_request("token is not a string")),
            },
            _ => Err(refusal(
                "unknown_op",
                "op is none of subscribe, unsubscribe, ping, stats, auth, publish",
            )),
        }
    }

    fn id(&self, limits: &Limits) -> Result<Option<RequestId>, Refusal> {
        let Some(Field { value, .. }) = self.id else { return Ok(None) };
        let json = if let Some(integer) = value.as_i64() {
            integer.to_string()
        } else if let Some(integer) = value.as_u64() {
            integer.to_string()
        } else if let Some(text) = value.as_str().filter(|text| text.len() <= limits.id_bytes) {
            let mut json = Vec::new();
            super::reply::string(&mut json, text);
            String::from_utf8(json).expect("escaped text is text")
        } else {
            let bytes = limits.id_bytes;
            return Err(bad_request(format!(
                "id is neither an integer nor a string of at most {bytes} bytes"
            )));
        };
        Ok(Some(RequestId(json.into())))
    }

    fn subscribe(&self, limits: &Limits) -> Result<Request, Refusal> {
        let wants_snapshot = match self.snapshot.map(|snapshot| snapshot.value.as_bool()) {
            None => true,
            Some(Some(wants)) => wants,
            Some(None) => return Err(bad_request("snapshot is neither true nor false")),
        };
        let on_lag = match self.on_lag.map(|on_lag| on_lag.value.into_string()) {
            None => None,
            Some(Some("gap")) => Some(OnLag::Gap),
            Some(Some("disconnect")) => Some(OnLag::Disconnect),
            Some(_) => return Err(bad_request("on_lag is neither gap nor disconnect")),
        };
        Ok(Request::Subscribe(Asked {
            names: self.names(limits)?,
            mode: self.mode()?,
            wants_snapshot,
            from: self.from()?,
            on_lag,
        }))
    }

    fn mode(&self) -> Result<Mode, Refusal> {
        let hz = self.max_hz.map(|hz| hz.value.as_u64().and_then(Rate::of_hz));
        let Some(rate) = hz.unwrap_or(Some(Rate::DEFAULT)) else {
            return Err(bad_request("max_hz is none of 1, 2, 5, 10, 20, 50, 100"));
        };
        match self.mode.map(|mode| mode.value.into_string()) {
            Some(Some("latest")) => Ok(Mode::Latest(rate)),
            None | Some(Some("all")) if self.max_hz.is_none() => Ok(Mode::All),
            None | Some(Some("all")) => Err(bad_request("max_hz is for mode latest alone")),
            Some(_) => Err(bad_request("mode is neither all nor latest")),
        }
    }

    fn from(&self) -> Result<Option<Resume>, Refusal> {
        let Some(Field { value, .. }) = self.from else { return Ok(None) };
        let wrong = || bad_request("from is not an object with a string epoch and an integer pos");
        let object = value.as_object().ok_or_else(wrong)?;
        let epoch = object.get("epoch").and_then(|epoch| epoch.into_string()).ok_or_else(wrong)?;
        let pos = object.get("pos").and_then(|pos| pos.as_u64()).ok_or_else(wrong)?;
        Ok(Some(Resume { epoch: epoch.into(), pos }))
    }

    fn names(&self, limits: &Limits) -> Result<Vec<Named>, Refusal> {
        let wrong = || bad_request("topics is not a list of one or more strings");
        let list = self.topics.and_then(|topics| topics.value.as_array()).ok_or_else(wrong)?;
        let names = list.iter().map(|name| name.into_string().ok_or_else(wrong));
        let names = names.collect::<Result<Vec<&str>, Refusal>>()?;
        if names.is_empty() {
            return Err(wrong());
        }
        let mut seen = HashSet::new();
        let distinct = names.into_iter().filter(|&name| seen.insert(name));
        Ok(distinct.map(|name| named(name, limits)).collect())
    }

    fn t(&self, limits: &Limits) -> Result<Option<Box<str>>, Refusal> {
        let Some(Field { value, place }) = self.t else { return Ok(None) };
        let json = member_value(self.text, place);
        if (value.is_number() || value.is_str()) && json.len() <= limits.id_bytes {
            return Ok(Some(json.into()));
        }
        let bytes = limits.id_bytes;
        Err(bad_request(format!(
            "t is neither a number nor a string, of at most {bytes} bytes as JSON"
        )))
    }

    fn publish(&self, limits: &Limits) -> Result<Request, Refusal> {
        let name = self.topic.and_then(|topic| topic.value.into_string());
        let name = name.ok_or_else(|| bad_request("topic is not a string"))?;
        match named(name, limits) {
            Ok(pattern) if pattern.is_exact() => {}
            Err((_, code @ "reserved")) => {
                return Err(refusal(code, "type of this topic is a word of the protocol"));
            }
            _ => return Err(refusal("bad_topic", "topic is not the name of a topic")),
        }
        let class = match self.class.map(|class| class.value.into_string()) {
            None => None,
            Some(Some("state")) => Some(Class::State),
            Some(Some("event")) => Some(Class::Event),
            Some(_) => return Err(bad_request("class is neither state nor event")),
        };
        let payload = self.payload.ok_or_else(|| bad_request("payload is missing"))?;
        let payload = member_value(self.text, payload.place);
        let payload = Json::parse(Bytes::copy_from_slice(payload.as_bytes()))
            .map_err(|_| bad_request("payload is not valid JSON"))?;
        Ok(Request::Publish { topic: name.to_owned(), class, payload })
    }
}

pub(super) fn named(name: &str, limits: &Limits) -> Named {
    let code = match Pattern::parse(name) {
        Ok(pattern) if name.len() <= limits.topic_bytes => {
            if !pattern.has_reserved_kind() {
                return Ok(pattern);
            }
            "reserved"
        }
        _ => "bad_topic",
    };
    Err((name.to_owned(), code))
}

/// The text of the value of the member at `place` (from 0) of the object that `text` is; the parser has accepted
/// `text`, so only strings and brackets have to be followed.
fn member_value(text: &str, place: usize) -> &str {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let (mut member, mut start) = (0, 0);
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b':' if depth == 1 => start = at + 1,
            b',' | b'}' if depth == 1 && member == place => return text[start..at].trim_ascii(),
            b',' if depth == 1 => member += 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    ""
}
