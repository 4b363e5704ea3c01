//! The meaning of the members of a JSON object.

use std::ops::Range;

use super::scan::{Kind, Value};
use super::{Piece, for_each_piece, write_string};
use crate::grammar::TextKind;
use crate::names::{self, Place, Target};
use crate::phrases;
use crate::source::{Source, SourceBuilder};

/// The members of an object by their meaning.
#[derive(Debug, Default)]
pub(super) struct Members<'v> {
    /// The prompt as a text.
    tags: Option<&'v Value>,
    /// Elements of the prompt with their names; the key's place is absent for an entry of `characters`.
    elements: Vec<Element<'v>>,
    pub(super) caption: Option<&'v Value>,
    /// The negative prompts; more than one is a fault.
    pub(super) negative: Vec<&'v Value>,
    /// What may be a negative prompt, with its path.
    pub(super) doubtful: Vec<(&'v Value, String)>,
    pub(super) system_prompt: Option<&'v Value>,
    /// Second prompts.
    pub(super) second: Vec<Range<usize>>,
    /// What is not read, with its path.
    others: Vec<(&'v Value, String)>,
}

#[derive(Debug)]
struct Element<'v> {
    name: String,
    key: Range<usize>,
    value: &'v Value,
    path: String,
}

/// Names of a text that holds the prompt.
const PROMPTS: &[&str] = &[
    "tags",
    "prompt",
    "positive",
    "positive_prompt",
    "xml",
    "xml_prompt",
    "text",
    "content",
    "output",
    "final_prompt",
];

/// Members that are not about the picture.
const REMARKS: &[&str] = &[
    "reasoning",
    "thoughts",
    "thinking",
    "explanation",
    "analysis",
    "notes",
    "note",
    "comment",
    "comments",
    "title",
    "id",
    "model",
    "checkpoint",
    "sampler",
    "sampler_name",
    "sampler_index",
    "scheduler",
    "version",
    "type",
    "format",
    "language",
    "translation",
    "role",
    "status",
    "created",
    "name",
    "vae",
    "size",
    "aspect_ratio",
    "ratio",
    "seed",
    "steps",
    "cfg",
    "cfg_scale",
    "width",
    "height",
    "$schema",
    "lang",
];

impl<'v> Members<'v> {
    /// Collects what an object says of a prompt, nested objects included.
    pub(super) fn read(text: &str, object: &'v Value) -> Self {
        let mut members = Members::default();
        members.walk(text, object, "");
        members
    }

    /// Whether nothing was found that could be drawn or avoided.
    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_none() && self.elements.is_empty() && self.caption.is_none()
    }

    /// Whether the blocks are made of members, so that no fix can be written into the JSON.
    pub(super) fn is_typed(&self) -> bool {
        !self.elements.is_empty() && self.tags.is_none()
    }

    fn walk(&mut self, text: &str, object: &'v Value, path: &str) {
        for (key, value) in &object.members {
            let written = &text[key.clone()];
            let name = snake_case(written);
            let inner = if path.is_empty() { written.to_owned() } else { format!("{path}.{written}") };
            self.member(text, key, &name, value, inner, path.is_empty());
        }
    }

    fn member(&mut self, text: &str, key: &Range<usize>, name: &str, value: &'v Value, path: String, is_top: bool) {
        if is_null(text, value) {
            return;
        }
        let has_text = value.kind != Kind::Other;
        if phrases::is_negative_name(name) && has_text {
            return self.negative.push(value);
        }
        if names::is_perhaps_negative(name) && holds_text(value) {
            return self.doubtful.push((value, path));
        }
        match (name, value.kind) {
            ("system_prompt" | "system", Kind::String) if self.system_prompt.is_none() => {
                self.system_prompt = Some(value)
            }
            ("caption" | "description", Kind::String) => match self.caption {
                None => self.caption = Some(value),
                Some(_) => self.second.push(value.span.clone()),
            },
            ("characters", Kind::Array) => self.characters(text, value, &path),
            ("characters", Kind::Object) => {
                for (number, (key, character)) in (1..).zip(&value.members) {
                    let name = block_name(&text[key.clone()], number, has_name(text, character));
                    self.character(text, name, key.clone(), character, format!("{path}.{}", &text[key.clone()]));
                }
            }
            (name, Kind::String) if PROMPTS.contains(&name) => match self.tags {
                None => self.tags = Some(value),
                Some(_) => self.second.push(value.span.clone()),
            },
            (name, Kind::Array) if PROMPTS.contains(&name) && name == "tags" => {
                self.elements.push(Element { name: "general_tags".to_owned(), key: key.clone(), value, path });
            }
            _ => match names::meaning(Place::Top, name).map(|meaning| meaning.target) {
                Some(Target::Character(_)) if value.kind == Kind::Object => {
                    self.elements.push(Element { name: name.to_owned(), key: key.clone(), value, path });
                }
                Some(Target::Element(place, decl))
                    if has_text && is_block_or_list(place, decl.children().len(), value) =>
                {
                    let is_size = decl.name == "resolution" && is_size(text, value);
                    match is_size {
                        true => self.others.push((value, path)),
                        false => self.elements.push(Element { name: name.to_owned(), key: key.clone(), value, path }),
                    }
                }
                _ if value.kind == Kind::Object && is_top => self.walk(text, value, &path),
                _ => self.others.push((value, path)),
            },
        }
    }

    fn characters(&mut self, text: &str, array: &'v Value, path: &str) {
        for (number, item) in (1..).zip(&array.items) {
            let key = item.span.start..item.span.start + 1;
            self.character(text, format!("character_{number}"), key, item, format!("{path}.{}", number - 1));
        }
    }

    fn character(&mut self, text: &str, name: String, key: Range<usize>, value: &'v Value, path: String) {
        if value.kind == Kind::Object {
            self.elements.push(Element { name, key, value, path });
        } else if !is_null(text, value) {
            self.others.push((value, path));
        }
    }

    /// Writes the prompt as XML; returns where it stands.
    pub(super) fn write_blocks(&self, source: &Source<'_>, builder: &mut SourceBuilder) -> Range<usize> {
        if let Some(tags) = self.tags {
            return write_string(source, tags, builder);
        }
        let start = builder.len();
        for element in &self.elements {
            write_element(source, &element.name, element.key.clone(), element.value, builder);
        }
        start..builder.len()
    }

    /// What was not read: its place, its path, and whether it says something about the picture.
    pub(super) fn unread(&self, text: &str, written: &str) -> Vec<(Range<usize>, String, bool)> {
        let mut unread = Vec::new();
        for (value, path) in &self.others {
            let key = snake_case(path.rsplit('.').next().unwrap_or(path));
            let is_lost = holds_text(value) || is_field(&key);
            let is_remark = REMARKS.contains(&key.as_str()) || is_size(text, value);
            unread.push((value.span.clone(), path.clone(), is_lost && !is_remark));
        }
        for element in &self.elements {
            match self.tags {
                // The same character as in the XML: what the XML says too is not lost.
                Some(_) => duplicates(text, element.value, &element.path, written, &mut unread),
                None => numbers(text, element.value, &element.path, &mut unread),
            }
        }
        unread.sort_by_key(|(span, ..)| span.start);
        unread
    }
}

/// Members of an element next to a text that holds the prompt.
fn duplicates(text: &str, value: &Value, path: &str, written: &str, unread: &mut Vec<(Range<usize>, String, bool)>) {
    match value.kind {
        Kind::Object => {
            for (key, member) in &value.members {
                duplicates(text, member, &format!("{path}.{}", &text[key.clone()]), written, unread);
            }
        }
        Kind::String => {
            let said = super::decoded(text, value.inside());
            if !said.trim().is_empty() && !written.contains(said.trim()) {
                unread.push((value.span.clone(), path.to_owned(), true));
            }
        }
        Kind::Other if is_null(text, value) => {}
        Kind::Array | Kind::Other => unread.push((value.span.clone(), path.to_owned(), holds_text(value))),
    }
}

/// Numbers and lists of numbers inside an element, such as a bounding box.
fn numbers(text: &str, value: &Value, path: &str, unread: &mut Vec<(Range<usize>, String, bool)>) {
    for (key, member) in &value.members {
        let path = format!("{path}.{}", &text[key.clone()]);
        match member.kind {
            _ if is_null(text, member) => {}
            Kind::Array if holds_text(member) => {
                let items = member.items.iter().enumerate();
                for (place, item) in items.filter(|(_, item)| item.kind != Kind::String && !is_null(text, item)) {
                    unread.push((item.span.clone(), format!("{path}.{place}"), true));
                }
            }
            // The words of a field have no names: `{"hair": "long"}` would become the tag `long`, `{"smile": 1.2}` nothing.
            Kind::Object if is_list_field(&snake_case(&text[key.clone()])) && !is_tag_list(text, member) => {
                unread.push((member.span.clone(), path, !member.members.is_empty()));
            }
            Kind::Object if !is_tag_list(text, member) => numbers(text, member, &path, unread),
            _ if holds_text(member) || member.items.is_empty() && member.kind == Kind::Array => {}
            _ => {
                let name = snake_case(&text[key.clone()]);
                // `"blonde_hair": true` is a tag.
                let is_tag = &text[member.span.clone()] == "true" && !REMARKS.contains(&name.as_str());
                unread.push((member.span.clone(), path, is_field(&name) || is_tag));
            }
        }
    }
}

/// Whether a character has its own name.
fn has_name(text: &str, value: &Value) -> bool {
    value.members.iter().any(|(key, member)| matches!(&text[key.clone()], "n" | "name") && holds_text(member))
}

/// The name of the block of a character in an object of characters: its key is its name, unless it is a number or the
/// character has its own name.
fn block_name(key: &str, number: usize, has_name: bool) -> String {
    let name = snake_case(key);
    let is_number =
        matches!(names::meaning(Place::Top, &name), Some(meaning) if matches!(meaning.target, Target::Character(_)));
    let is_plain = key.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    let begins_with_letter = key.starts_with(char::is_alphabetic);
    match (is_number, has_name) {
        (true, _) => name,
        (false, false) if begins_with_letter && is_plain => key.to_owned(),
        (false, false) if begins_with_letter => name,
        _ => format!("character_{number}"),
    }
}

/// Whether a key names a field of the prompt, whose value has to be text.
fn is_field(key: &str) -> bool {
    let is_in = |place: Place| names::is_field_of(place, key);
    key == "caption" || is_in(Place::Character) || is_in(Place::General)
}

/// Whether a key names a field of tags. A position may be a box of numbers.
fn is_list_field(key: &str) -> bool {
    let decl = |place: Place| match names::meaning(place, key).map(|meaning| meaning.target) {
        Some(Target::Element(home, decl)) if home == place => decl.text(),
        _ => None,
    };
    let text = decl(Place::Character).or_else(|| decl(Place::General));
    text.is_some_and(|text| text.kind == TextKind::Tags) && key != "position" && is_field(key)
}

fn is_block_or_list(place: Place, children: usize, value: &Value) -> bool {
    match (place, children > 0) {
        (Place::Top, true) => true,
        (Place::Top, false) => value.kind == Kind::String,
        _ => matches!(value.kind, Kind::String | Kind::Array) && holds_text(value),
    }
}

/// Whether a value holds a string, at any depth.
fn holds_text(value: &Value) -> bool {
    match value.kind {
        Kind::String => value.span.len() > 2,
        Kind::Other => false,
        Kind::Array => value.items.iter().any(holds_text),
        Kind::Object => value.members.iter().any(|(_, member)| holds_text(member)),
    }
}

fn is_null(text: &str, value: &Value) -> bool {
    value.kind == Kind::Other && &text[value.span.clone()] == "null"
}

/// `1024x1536`
fn is_size(text: &str, value: &Value) -> bool {
    let inside = text[value.span.clone()].trim_matches('"');
    inside.split_once(['x', 'X', '×', '*', ':']).is_some_and(|(width, height)| {
        let is_number = |side: &str| !side.trim().is_empty() && side.trim().bytes().all(|byte| byte.is_ascii_digit());
        is_number(width) && is_number(height)
    })
}

/// `{"tags": ["a", "b"]}`, as protobuf writes a list.
fn is_tag_list(text: &str, value: &Value) -> bool {
    matches!(value.members.as_slice(), [(key, list)] if &text[key.clone()] == "tags" && list.kind == Kind::Array)
}

/// Writes the text of a negative prompt; returns where it stands.
pub(super) fn write_negative(source: &Source<'_>, value: &Value, builder: &mut SourceBuilder) -> Range<usize> {
    let start = builder.len();
    match value.kind {
        Kind::String => {
            write_string(source, value, builder);
        }
        Kind::Array => write_list(source, value, builder, false),
        _ => {
            for (key, member) in &value.members {
                let name = snake_case(&source.text[key.clone()]);
                write_element(source, &name, key.clone(), member, builder);
            }
        }
    }
    start..builder.len()
}

/// Writes a value as an element. What is not text is left out; it was reported.
fn write_element(source: &Source<'_>, name: &str, key: Range<usize>, value: &Value, builder: &mut SourceBuilder) {
    if !holds_text(value) && value.kind != Kind::Object && !(value.kind == Kind::String && name == "n") {
        return;
    }
    builder.insert(source, &format!("<{name}>"), key);
    match value.kind {
        Kind::String => write_escaped(source, value.inside(), builder),
        Kind::Array => write_list(source, value, builder, true),
        _ if is_tag_list(&source.text, value) => {
            for (_, list) in &value.members {
                write_list(source, list, builder, true);
            }
        }
        _ => {
            for (key, member) in &value.members {
                let name = snake_case(&source.text[key.clone()]);
                write_element(source, &name, key.clone(), member, builder);
            }
        }
    }
    builder.insert(source, &format!("</{name}>"), value.span.end..value.span.end);
}

fn write_list(source: &Source<'_>, list: &Value, builder: &mut SourceBuilder, is_escaped: bool) {
    let mut is_first = true;
    for item in list.items.iter().filter(|item| item.kind == Kind::String) {
        if !is_first {
            builder.insert(source, ", ", item.span.start..item.span.start);
        }
        is_first = false;
        match is_escaped {
            true => write_escaped(source, item.inside(), builder),
            false => {
                write_string(source, item, builder);
            }
        }
    }
}

/// Writes a string so that XML reads it as it is.
fn write_escaped(source: &Source<'_>, inside: Range<usize>, builder: &mut SourceBuilder) {
    let escaped = |character: char| match character {
        '<' => Some("&lt;"),
        '&' => Some("&amp;"),
        '>' => Some("&gt;"),
        _ => None,
    };
    for_each_piece(&source.text, inside, |piece| match piece {
        Piece::Verbatim(range) => {
            let mut copied = range.start;
            for (offset, character) in source.text[range.clone()].char_indices() {
                let at = range.start + offset;
                if let Some(reference) = escaped(character) {
                    builder.copy(source, copied..at);
                    copied = at + character.len_utf8();
                    builder.insert(source, reference, at..copied);
                }
            }
            builder.copy(source, copied..range.end);
        }
        Piece::Escape(character, range) => {
            let mut buffer = [0; 4];
            let text = escaped(character).unwrap_or_else(|| character.encode_utf8(&mut buffer));
            builder.insert(source, text, range);
        }
    });
}

/// A key as an element's name: `generalTags` and `general tags` are `general_tags`.
fn snake_case(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 4);
    let mut before = ' ';
    for character in key.chars().take(64) {
        if character.is_ascii_uppercase() {
            if before.is_ascii_lowercase() || before.is_ascii_digit() {
                name.push('_');
            }
            name.push(character.to_ascii_lowercase());
        } else if character.is_alphanumeric() || character == '_' {
            name.push(character);
        } else {
            name.push('_');
        }
        before = character;
    }
    if !name.starts_with(|first: char| first.is_alphabetic() || first == '_') {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_names() {
        for (key, name) in [
            ("generalTags", "general_tags"),
            ("general tags", "general_tags"),
            ("Character 1", "character_1"),
            ("1", "_1"),
            ("外观", "外观"),
        ] {
            assert_eq!(snake_case(key), name);
        }
    }
}
