//! One Rust file as the rules see it: its text, and two masks of the same length in which either everything but
//! the code or everything but the comments is blank. Not a parser: it knows comments, literals and braces, no types.

use std::ops::Range;

/// A file and what was cut out of it.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path below the workspace root, with `/`.
    pub(crate) path: String,
    /// The file.
    pub(crate) text: String,
    /// The file with comments and the inside of literals blank; offsets are those of `text`.
    pub(crate) code: String,
    /// The file with everything but comments blank; offsets are those of `text`.
    pub(crate) comments: String,
    /// Where items under `#[cfg(test)]` stand.
    tests: Vec<Range<usize>>,
    /// Whether another file declares this one under `#[cfg(test)]`.
    pub(crate) is_test_file: bool,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Where `fn` stands.
    pub(crate) at: usize,
    /// Lines from `fn` to the closing brace.
    pub(crate) lines: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl Source {
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let kinds = classify(text.as_bytes());
        let code = keep(&text, &kinds, Kind::Code);
        let comments = keep(&text, &kinds, Kind::Comment);
        let tests = test_items(&code);
        Self { path: path.into(), text, code, comments, tests, is_test_file: false }
    }

    /// The line of an offset, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count()
    }

    /// Whether an offset lies in code that only tests see.
    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.is_test_file || self.tests.iter().any(|item| item.contains(&at))
    }

    /// Every function that has a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        words(&self.code, "fn").filter_map(|at| self.function(at)).collect()
    }

    fn function(&self, at: usize) -> Option<Function> {
        let name = identifier(self.code[at + 2..].trim_start())?.to_owned();
        let body = body(&self.code, at)?;
        let lines = self.text[at..body.end].lines().count();
        Some(Function { name, at, lines })
    }
}

/// Where `word` stands in `text` as a word of its own.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|&byte| is_identifier_byte(byte));
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = at.checked_sub(1).and_then(|before| text.as_bytes().get(before));
        !is_part(before) && !is_part(text.as_bytes().get(at + word.len()))
    })
}

/// The identifier that `text` begins with.
pub(crate) fn identifier(text: &str) -> Option<&str> {
    let end = text.bytes().position(|byte| !is_identifier_byte(byte)).unwrap_or(text.len());
    (end > 0 && !text.as_bytes()[0].is_ascii_digit()).then(|| &text[..end])
}

fn is_identifier_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The braces, with what they hold, of the item whose head stands at `at`; none if a semicolon ends it.
fn body(code: &str, at: usize) -> Option<Range<usize>> {
    let mut depth = 0_i32;
    let mut start = None;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            b'{' => {
                start = start.or((depth == 0).then_some(offset));
                depth += 1;
            }
            b'}' => {
                depth -= 1;
                if let Some(start) = start.filter(|_| depth == 0) {
                    return Some(start..offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Items behind an attribute such as `#[cfg(test)]` or `#[cfg(all(test, not(x)))]`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    for (at, _) in code.match_indices("#[cfg(") {
        let Some(length) = code[at..].find(']') else { continue };
        let attribute = &code[at..at + length];
        if words(attribute, "test").next().is_none() || attribute.contains("not(test") {
            continue;
        }
        let item = after_attributes(code, at + length + 1);
        let end = body(code, item).map_or_else(
            || code[item..].find(';').map_or(code.len(), |length| item + length),
            |braces| braces.end,
        );
        items.push(at..end);
    }
    items
}

fn after_attributes(code: &str, mut at: usize) -> usize {
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if !code[at..].starts_with("#[") {
            return at;
        }
        at += code[at..].find(']').map_or(code.len() - at, |length| length + 1);
    }
}

fn keep(text: &str, kinds: &[Kind], kept: Kind) -> String {
    let bytes = text.bytes().zip(kinds);
    let masked = bytes.map(|(byte, &kind)| if kind == kept || byte == b'\n' { byte } else { b' ' });
    String::from_utf8(masked.collect()).expect("only whole characters are blanked")
}

fn classify(text: &[u8]) -> Vec<Kind> {
    let mut kinds = vec![Kind::Code; text.len()];
    let mut at = 0;
    while at < text.len() {
        let (end, kind) = token(text, at);
        kinds[at..end].fill(kind);
        at = end;
    }
    kinds
}

/// The end and the kind of the token at `at`.
fn token(text: &[u8], at: usize) -> (usize, Kind) {
    let rest = &text[at..];
    match rest {
        [b'/', b'/', ..] => (at + position(rest, |byte| byte == b'\n'), Kind::Comment),
        [b'/', b'*', ..] => (at + block_comment(rest), Kind::Comment),
        [b'"', ..] => (at + string(rest), Kind::Literal),
        [b'\'', ..] => {
            character(rest).map_or((at + 1, Kind::Code), |length| (at + length, Kind::Literal))
        }
        [byte, ..] if is_identifier_byte(*byte) => {
            let length = position(rest, |byte| !is_identifier_byte(byte));
            let raw = matches!(&rest[..length], b"r" | b"br" | b"cr")
                .then(|| raw_string(&rest[length..]));
            raw.flatten()
                .map_or((at + length, Kind::Code), |raw| (at + length + raw, Kind::Literal))
        }
        _ => (at + 1, Kind::Code),
    }
}

fn position(bytes: &[u8], found: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| found(byte)).unwrap_or(bytes.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `#"…"#` behind an `r`, with any number of `#`.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = position(rest, |byte| byte != b'#');
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let inside = &rest[hashes + 1..];
    let length = inside.windows(close.len()).position(|end| end == close);
    Some(length.map_or(rest.len(), |length| hashes + 1 + length + close.len()))
}

/// A character literal; `None` for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return Some((3 + position(rest.get(3..)?, |byte| byte == b'\'') + 1).min(rest.len()));
    }
    let character = std::str::from_utf8(&rest[1..rest.len().min(5)]);
    let valid = match &character {
        Ok(text) => text.chars().next(),
        Err(error) => {
            let valid = &rest[1..=error.valid_up_to()];
            std::str::from_utf8(valid).ok().and_then(|text| text.chars().next())
        }
    };
    let end = 1 + valid?.len_utf8();
    (rest.get(end) == Some(&b'\'')).then_some(end + 1)
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    let text = concat!(
        "let a = \"fn b() { // no\"; // fn c() {\n",
        "let d = r#\"unsafe \" {\"#; /* a /* b */ unsafe */ let e: &'static str = x;\n",
        "let f = ('{', '\\'', '\"', 'é', b'{'); let r#type = br\"}\";\n",
    );
    let source = Source::new("x.rs", text);
    assert_eq!(source.code.len(), text.len());
    for hidden in ["no", "unsafe", "é", "{", "}"] {
        assert!(!source.code.contains(hidden), "{hidden} in {}", source.code);
    }
    for shown in ["let d", "let e", "'static str = x", "let f", "r#type"] {
        assert!(source.code.contains(shown), "{shown} not in {}", source.code);
    }
    assert!(source.comments.contains("fn c() {") && source.comments.contains("/* b */ unsafe"));
    assert!(!source.comments.contains("fn b()"));
}

#[test]
fn functions_end_at_their_own_brace() {
    let text = "trait T { fn none(&self) -> [u8; 2]; }\nfn two(f: fn(u8)) {\n}\nfn four<'a>() {\n  '}';\n  \"}\"\n}\n";
    let functions = Source::new("x.rs", text).functions();
    let found: Vec<_> =
        functions.iter().map(|function| (function.name.as_str(), function.lines)).collect();
    assert_eq!(found, [("two", 2), ("four", 4)]);
}

#[test]
fn test_items_are_known_by_their_attribute() {
    let text = "use a;\n#[cfg(test)]\n#[allow(x)]\nmod tests { use b; }\n#[cfg(not(test))]\nuse c;\n#[cfg(test)]\nmod more;\nuse d;";
    let source = Source::new("x.rs", text);
    let is_test = |what: &str| source.is_test(text.find(what).expect("it is in the text"));
    assert!(is_test("use b") && is_test("mod more"));
    assert!(!is_test("use a") && !is_test("use c") && !is_test("use d"));
}
