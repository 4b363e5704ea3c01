//! A scan of JSON into places: nothing is copied, and depth is limited.

use std::ops::Range;

/// Deepest nesting that is read, whatever the caller allows: the scan is recursive.
const DEEPEST: usize = 128;

/// A JSON value by its place.
#[derive(Debug)]
pub(super) struct Value {
    /// The whole value.
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
    /// The inside of each key, and the value.
    pub(super) members: Vec<(Range<usize>, Value)>,
    /// What an array holds.
    pub(super) items: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Other,
}

impl Value {
    /// A string without its quotes.
    pub(super) fn inside(&self) -> Range<usize> {
        self.span.start + 1..self.span.end - 1
    }
}

/// Why a text is not JSON, and where.
#[derive(Debug)]
pub(super) enum Fault {
    Syntax(usize, &'static str),
    TooDeep(usize),
}

/// Reads one value from a text.
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    max_depth: usize,
    /// The first control character inside a string.
    pub(super) line_break: Option<usize>,
}

impl<'t> Scanner<'t> {
    /// A scanner at the offset `at`.
    pub(super) fn new(text: &'t str, at: usize, max_depth: usize) -> Self {
        Scanner { text, at, depth: 0, max_depth: max_depth.min(DEEPEST), line_break: None }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The value at the cursor. Recursion ends at the limit of depth.
    pub(super) fn value(&mut self) -> Result<Value, Fault> {
        self.skip_blanks();
        let start = self.at;
        let (mut members, mut items) = (Vec::new(), Vec::new());
        let kind = match self.peek() {
            Some(b'{') => {
                members = self.object()?;
                Kind::Object
            }
            Some(b'[') => {
                items = self.array()?;
                Kind::Array
            }
            Some(b'"') => {
                self.string()?;
                Kind::String
            }
            Some(_) => {
                self.word()?;
                Kind::Other
            }
            None => return Err(Fault::Syntax(start, "a value is missing at the end")),
        };
        Ok(Value { span: start..self.at, kind, members, items })
    }

    fn enter(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > self.max_depth {
            return Err(Fault::TooDeep(self.at));
        }
        self.at += 1;
        self.skip_blanks();
        Ok(())
    }

    fn object(&mut self) -> Result<Vec<(Range<usize>, Value)>, Fault> {
        self.enter()?;
        let mut members = Vec::new();
        if self.peek() != Some(b'}') {
            loop {
                self.skip_blanks();
                if self.peek() != Some(b'"') {
                    return Err(Fault::Syntax(self.at, "a member's name in quotes is expected"));
                }
                let key = self.at + 1;
                self.string()?;
                let key = key..self.at - 1;
                self.skip_blanks();
                if self.peek() != Some(b':') {
                    return Err(Fault::Syntax(self.at, "a `:` is expected after a member's name"));
                }
                self.at += 1;
                members.push((key, self.value()?));
                self.skip_blanks();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return Err(Fault::Syntax(self.at, "a `,` or a `}` is expected after a member")),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(members)
    }

    fn array(&mut self) -> Result<Vec<Value>, Fault> {
        self.enter()?;
        let mut items = Vec::new();
        if self.peek() != Some(b']') {
            loop {
                items.push(self.value()?);
                self.skip_blanks();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    _ => return Err(Fault::Syntax(self.at, "a `,` or a `]` is expected after a value")),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(items)
    }

    /// Leaves the cursor after the closing quote; every escape is checked, so that decoding cannot fail.
    fn string(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => match escaped(self.text, self.at) {
                    Some((_, end)) => self.at = end,
                    None => return Err(Fault::Syntax(self.at, "this escape does not exist")),
                },
                Some(byte) => {
                    if byte < b' ' && self.line_break.is_none() {
                        self.line_break = Some(self.at);
                    }
                    self.at += 1;
                }
                None => return Err(Fault::Syntax(start, "this string has no closing quote")),
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            self.at += 1;
        }
        let word = &self.text[start..self.at];
        let is_value = serde_json::from_str::<serde_json::Value>(word).is_ok();
        if is_value { Ok(()) } else { Err(Fault::Syntax(start, "a value is expected")) }
    }
}

/// The character of the escape at `at`, and its end. Half a surrogate pair is not a character and reads as U+FFFD.
pub(in crate::envelope) fn escaped(text: &str, at: usize) -> Option<(char, usize)> {
    let character = match text.as_bytes().get(at + 1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{C}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let high = hex(text, at + 2)?;
            if (0xD800..0xDC00).contains(&high)
                && text.get(at + 6..at + 8) == Some("\\u")
                && let Some(low) = hex(text, at + 8).filter(|low| (0xDC00..0xE000).contains(low))
            {
                let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                return Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), at + 12));
            }
            return Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), at + 6));
        }
        _ => return None,
    };
    Some((character, at + 2))
}

fn hex(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}
