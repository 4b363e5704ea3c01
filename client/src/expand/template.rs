//! [`Template`]: a text read into what stays and what is chosen.

use super::{ExpandError, MAX_BYTES, MAX_DEPTH};

/// A text with alternatives, read by [`Wildcards::read`](super::Wildcards::read).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub(super) pieces: Vec<Piece>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Ordinary text.
    Text(String),
    /// One of these is taken.
    Choice(Vec<Vec<Self>>),
    /// A line of this file is taken.
    Wildcard(String),
}

/// A brace that is open.
struct Frame {
    /// What stands between its bars so far.
    alternatives: Vec<Vec<Piece>>,
}

impl Template {
    /// Reads a text in one pass.
    pub(super) fn parse(text: &str) -> Result<Self, ExpandError> {
        if text.len() > MAX_BYTES {
            return Err(ExpandError::TooLong { when: "before it is expanded" });
        }
        // The last is the innermost brace; the first is the whole text, which is closed by its end.
        let mut frames = vec![Frame::new()];
        let last_close = text.rfind('}');
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let is_inside = frames.len() > 1;
            let mut taken = first.len_utf8();
            match first {
                '\\' => {
                    let escaped = ["{", "|", "}", "__"].into_iter().find(|special| rest[1..].starts_with(special));
                    taken += escaped.map_or(0, str::len);
                    push(&mut frames, escaped.unwrap_or("\\"));
                }
                '{' => {
                    if let Some(written) = several(&rest[1..]) {
                        let instead = "write one brace for each choice";
                        return Err(ExpandError::Unsupported { written: format!("{{{written}"), instead });
                    }
                    // A brace that is never closed is ordinary text.
                    let may_close = last_close.is_some_and(|at| at > text.len() - rest.len());
                    if frames.len() > MAX_DEPTH && may_close {
                        return Err(ExpandError::TooDeep);
                    }
                    frames.push(Frame::new());
                }
                '|' if is_inside => top(&mut frames).alternatives.push(Vec::new()),
                '}' if is_inside => {
                    let frame = frames.pop().unwrap_or_else(Frame::new);
                    let piece = frame.close()?;
                    last(&mut frames).extend(piece);
                }
                '_' => match wildcard(rest)? {
                    Some(name) => {
                        taken = name.len() + 4;
                        last(&mut frames).push(Piece::Wildcard(name.to_owned()));
                    }
                    None => {
                        taken = rest.len() - rest.trim_start_matches('_').len();
                        push(&mut frames, &rest[..taken]);
                    }
                },
                _ => {
                    let next = rest.find(['\\', '{', '|', '}', '_']).filter(|at| *at > 0);
                    taken = next.unwrap_or(if matches!(first, '|' | '}') { taken } else { rest.len() });
                    push(&mut frames, &rest[..taken]);
                }
            }
            rest = &rest[taken..];
        }
        Ok(Self { pieces: flatten(frames) })
    }
}

impl Frame {
    fn new() -> Self {
        Self { alternatives: vec![Vec::new()] }
    }

    /// What a closed brace stands for: a choice, or ordinary text if it has no bar.
    fn close(mut self) -> Result<Vec<Piece>, ExpandError> {
        if self.alternatives.len() > 1 {
            let weight = self.alternatives.iter().find_map(|alternative| weight(alternative));
            return match weight {
                Some(written) => Err(ExpandError::Unsupported {
                    written: written.to_owned(),
                    instead: "to choose an alternative more often, repeat it",
                }),
                None => Ok(vec![Piece::Choice(self.alternatives)]),
            };
        }
        let mut pieces = vec![Piece::Text("{".to_owned())];
        pieces.append(&mut self.alternatives.pop().unwrap_or_default());
        pieces.push(Piece::Text("}".to_owned()));
        Ok(pieces)
    }
}

/// What was read, with braces that are never closed as ordinary text.
fn flatten(frames: Vec<Frame>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (depth, frame) in frames.into_iter().enumerate() {
        if depth > 0 {
            pieces.push(Piece::Text("{".to_owned()));
        }
        for (place, mut alternative) in frame.alternatives.into_iter().enumerate() {
            if place > 0 {
                pieces.push(Piece::Text("|".to_owned()));
            }
            pieces.append(&mut alternative);
        }
    }
    pieces
}

/// The innermost brace. There is always one: the whole text is never popped.
fn top(frames: &mut Vec<Frame>) -> &mut Frame {
    if frames.is_empty() {
        frames.push(Frame::new());
    }
    let last = frames.len() - 1;
    &mut frames[last]
}

/// The alternative that is read.
fn last(frames: &mut Vec<Frame>) -> &mut Vec<Piece> {
    let alternatives = &mut top(frames).alternatives;
    if alternatives.is_empty() {
        alternatives.push(Vec::new());
    }
    let last = alternatives.len() - 1;
    &mut alternatives[last]
}

fn push(frames: &mut Vec<Frame>, text: &str) {
    match last(frames).last_mut() {
        Some(Piece::Text(before)) => before.push_str(text),
        _ => last(frames).push(Piece::Text(text.to_owned())),
    }
}

/// `2$$` and `1-2$$` of other programs, which take several alternatives.
fn several(inside: &str) -> Option<&str> {
    let end = inside.find(|character: char| !(character.is_ascii_digit() || character == '-'))?;
    (end > 0 && inside[end..].starts_with("$$")).then(|| &inside[..end + 2])
}

/// `0.5::` of other programs, which weighs an alternative.
fn weight(alternative: &[Piece]) -> Option<&str> {
    let Some(Piece::Text(text)) = alternative.first() else { return None };
    let text = text.trim_start();
    let end = text.find(|character: char| !(character.is_ascii_digit() || character == '.'))?;
    (end > 0 && text[end..].starts_with("::")).then(|| &text[..end + 2])
}

/// The name of the wildcard that a text begins with.
fn wildcard(text: &str) -> Result<Option<&str>, ExpandError> {
    const FAR: usize = 200;
    let Some(name) = text.strip_prefix("__") else { return Ok(None) };
    let near = &name[..name.floor_char_boundary(FAR)];
    let Some(name) = near.find("__").map(|end| &near[..end]) else { return Ok(None) };
    let is_name = name.starts_with(|first: char| first.is_alphanumeric() || matches!(first, '*' | '.' | '/'))
        && name.contains(|character: char| character.is_alphabetic() || character == '*')
        && name
            .chars()
            .all(|character| character.is_alphanumeric() || matches!(character, '_' | '/' | '-' | '*' | '.' | ' '));
    if is_name && name.contains('*') {
        let written = format!("__{name}__");
        return Err(ExpandError::Unsupported { written, instead: "a wildcard names one file" });
    }
    Ok(Some(name).filter(|_| is_name))
}
