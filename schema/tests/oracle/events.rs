//! The XML events of a text, as the generated readers want them.
//!
//! They need a root, which most prompts do not have, and they ignore text after the root, attributes, references and
//! marked sections between elements, document types and namespaces. This reader adds the root and refuses the rest; the
//! elements that it hands out have no attributes any more.

use std::borrow::Cow;
use std::fmt;

use quick_xml::escape::unescape;
use xsd_parser_types::quick_xml::{
    BytesCData, BytesEnd, BytesStart, BytesText, Error, Event, SliceReader, XmlReader, XmlReaderSync,
};

use sakuga_schema::grammar::{AttributeDecl, Content, ElementDecl};

/// Events of one document, root included.
pub(super) struct Events<'a> {
    reader: SliceReader<'a>,
    root: &'static ElementDecl,
    state: State<'a>,
    /// The elements that are open, the root excluded where it was added; `None` for one that the XSD does not know, which
    /// the generated reader refuses.
    open: Vec<Option<&'static ElementDecl>>,
}

enum State<'a> {
    /// No element has been seen.
    Before,
    /// The root is in the text.
    Document,
    /// The root was added; the event that followed it is still to be handed out.
    Siblings(Option<Event<'a>>),
}

/// Something that the XSD, or XML itself, has no place for.
#[derive(Debug, thiserror::Error)]
enum Misplaced {
    #[error("text has no place between elements")]
    Text,
    #[error("a reference has no place between elements")]
    Reference,
    #[error("a CDATA section has no place between elements")]
    Section,
    #[error("a document type has no place in a prompt")]
    DocumentType,
    #[error("the name `{0}` has a namespace; prompts have none")]
    Namespace(String),
    #[error("the attribute `{0}` has no place there")]
    Attribute(String),
    #[error("the attribute `{name}` can only be \"{fixed}\": leave it out")]
    Fixed { name: &'static str, fixed: &'static str },
    #[error("the attributes cannot be read: {0}")]
    Attributes(String),
    #[error("the element `{0}` is not closed")]
    Unclosed(&'static str),
    #[error("the text ends inside an element that is not known")]
    UnclosedUnknown,
    #[error("`]]>` must be written `]]&gt;` in text")]
    SectionEnd,
    #[error("the character U+{0:04X} has no place in XML")]
    Character(u32),
    #[error("only comments may follow the end of the document")]
    Trailing,
}

impl<'a> Events<'a> {
    pub(super) fn new(text: &'a str, root: &'static ElementDecl) -> Self {
        Self { reader: SliceReader::new(text), root, state: State::Before, open: Vec::new() }
    }

    /// Reads what follows the root.
    ///
    /// # Errors
    ///
    /// If anything but white space, comments and processing instructions does.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if matches!(self.state, State::Siblings(_)) {
            // The root was closed because the text had ended.
            return Ok(());
        }
        loop {
            match self.next_event()? {
                Event::Eof => return Ok(()),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if is_blank(&text) => {}
                _ => return Err(self.extend_error(Error::custom(Misplaced::Trailing))),
            }
        }
    }

    /// The next event of the text itself.
    fn next_event(&mut self) -> Result<Event<'a>, Error> {
        self.reader.read_event().map_err(|error| self.reader.extend_error(error))
    }

    fn decl(&self) -> Option<&'static ElementDecl> {
        match self.open.last() {
            Some(decl) => *decl,
            None => Some(self.root),
        }
    }

    fn holds_text(&self) -> bool {
        matches!(self.decl(), Some(ElementDecl { content: Content::Text(_), .. }))
    }

    /// Follows the event and refuses what has no place; what is merely unknown is left to the generated reader.
    fn admit(&mut self, event: Event<'a>) -> Result<Event<'a>, Misplaced> {
        match &event {
            Event::Start(tag) => {
                let decl = self.child(tag)?;
                self.open.push(decl);
                if has_attributes(tag) {
                    return Ok(Event::Start(without_attributes(tag)));
                }
            }
            Event::Empty(tag) => {
                self.child(tag)?;
                if has_attributes(tag) {
                    return Ok(Event::Empty(without_attributes(tag)));
                }
            }
            Event::End(_) => {
                self.open.pop();
            }
            Event::Text(text) => {
                if text.windows(3).any(|window| window == b"]]>") {
                    return Err(Misplaced::SectionEnd);
                }
                if !self.holds_text() && !is_blank(text) {
                    return Err(Misplaced::Text);
                }
                if let Some(text) = with_line_feeds(text)? {
                    return Ok(Event::Text(BytesText::from_escaped(text)));
                }
            }
            Event::CData(section) => {
                if !self.holds_text() {
                    return if is_blank(section) { Ok(blank()) } else { Err(Misplaced::Section) };
                }
                if let Some(text) = with_line_feeds(section)? {
                    return Ok(Event::CData(BytesCData::new(text)));
                }
            }
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(' ' | '\t' | '\n' | '\r')) if !self.holds_text() => return Ok(blank()),
                _ if !self.holds_text() => return Err(Misplaced::Reference),
                Ok(Some(character)) if !is_xml_char(character) => return Err(Misplaced::Character(character.into())),
                // What is not a reference at all is refused by the generated reader.
                _ => {}
            },
            Event::DocType(_) => return Err(Misplaced::DocumentType),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::Eof => {}
        }
        Ok(event)
    }

    /// The grammar of an element that opens here, if the XSD knows it.
    fn child(&self, tag: &BytesStart<'_>) -> Result<Option<&'static ElementDecl>, Misplaced> {
        let name = String::from_utf8_lossy(tag.name().0);
        if name.contains(':') {
            return Err(Misplaced::Namespace(name.into_owned()));
        }
        let is_root = self.open.is_empty() && matches!(self.state, State::Document);
        let decl = if is_root { Some(self.root) } else { self.decl().and_then(|decl| decl.child(&name)) };
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| Misplaced::Attributes(error.to_string()))?;
            let key = String::from_utf8_lossy(attribute.key.0).into_owned();
            if key == "xmlns" && !attribute.value.is_empty() {
                return Err(Misplaced::Namespace(name.into_owned()));
            }
            if key == "xmlns" || key.starts_with("xmlns:") || (is_root && names_schema(&key)) {
                continue;
            }
            let Some(AttributeDecl { name, fixed: Some(fixed), .. }) = decl.and_then(|decl| decl.attribute(&key))
            else {
                return Err(Misplaced::Attribute(key));
            };
            let value = String::from_utf8_lossy(&attribute.value);
            let value = unescape(&value).map_err(|error| Misplaced::Attributes(error.to_string()))?;
            if !is_same_number(&value, fixed) {
                return Err(Misplaced::Fixed { name, fixed });
            }
        }
        Ok(decl)
    }
}

/// How a document says where its schema is, by the prefix that everyone gives to the namespace of XML Schema instances.
fn names_schema(attribute: &str) -> bool {
    matches!(attribute, "xsi:noNamespaceSchemaLocation" | "xsi:schemaLocation")
}

/// Whether two texts are the same `xs:positiveInteger`.
fn is_same_number(text: &str, fixed: &str) -> bool {
    let number = |text: &str| text.trim_matches([' ', '\t', '\n', '\r']).parse::<u64>().ok();
    number(text).is_some() && number(text) == number(fixed)
}

fn has_attributes(tag: &BytesStart<'_>) -> bool {
    tag.name().0.len() < tag.len()
}

fn without_attributes(tag: &BytesStart<'_>) -> BytesStart<'static> {
    BytesStart::new(String::from_utf8_lossy(tag.name().0).into_owned())
}

/// A blank between elements.
fn blank() -> Event<'static> {
    Event::Text(BytesText::from_escaped(" "))
}

impl<'a> XmlReaderSync<'a> for Events<'a> {
    fn read_event(&mut self) -> Result<Event<'a>, Error> {
        let pending = if let State::Siblings(pending) = &mut self.state { pending.take() } else { None };
        let event = match pending {
            Some(event) => event,
            None => self.next_event()?,
        };
        if matches!(self.state, State::Before) {
            match event {
                Event::Start(ref tag) | Event::Empty(ref tag) if tag.name().0 == self.root.name.as_bytes() => {
                    self.state = State::Document;
                }
                Event::Start(_) | Event::Empty(_) | Event::Eof => {
                    self.state = State::Siblings(Some(event));
                    return Ok(Event::Start(BytesStart::new(self.root.name)));
                }
                Event::Text(ref text) if !is_blank(text) => return Err(Error::custom(Misplaced::Text)),
                _ => {}
            }
        }
        let event = self.admit(event).map_err(Error::custom)?;
        if !matches!(event, Event::Eof) {
            return Ok(event);
        }
        match (self.open.last(), &self.state) {
            (Some(Some(decl)), _) => Err(Error::custom(Misplaced::Unclosed(decl.name))),
            (Some(None), _) => Err(Error::custom(Misplaced::UnclosedUnknown)),
            (None, State::Siblings(_)) => Ok(Event::End(BytesEnd::new(self.root.name))),
            (None, _) => Ok(event),
        }
    }
}

impl XmlReader for Events<'_> {
    fn extend_error(&self, error: Error) -> Error {
        if error.position.is_some() { error } else { self.reader.extend_error(error) }
    }
}

impl fmt::Debug for Events<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Events").field("root", &self.root.name).field("open", &self.open.len()).finish()
    }
}

/// White space as XML has it.
fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

/// The text with its line ends as XML reads them (section 2.11), if it has any carriage return.
fn with_line_feeds(text: &[u8]) -> Result<Option<Cow<'static, str>>, Misplaced> {
    let text = String::from_utf8_lossy(text);
    if let Some(character) = text.chars().find(|character| !is_xml_char(*character)) {
        return Err(Misplaced::Character(character.into()));
    }
    Ok(text.contains('\r').then(|| Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))))
}

/// Char of XML 1.0, production 2.
fn is_xml_char(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}
