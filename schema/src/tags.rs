//! Lists of tags: how one text becomes tags, and how tags become one text.

use std::borrow::Cow;
use std::fmt;

/// Tags in the order in which they are written.
///
/// A tag of a valid list is trimmed, not empty and holds no comma; [`TagList::parse`] can only make such tags. A list
/// that a program fills by [`TagList::new`] holds what the program put in; [`check_typed`](crate::check_typed) says
/// which of its tags could not be read back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TagList(Vec<String>);

impl TagList {
    /// A list of the given tags, as they are.
    pub fn new<I>(tags: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self(tags.into_iter().map(Into::into).collect())
    }

    /// The tags of a comma-separated text.
    ///
    /// White space around a tag is removed (any that Unicode knows), white space within one becomes a single space
    /// where XML would make it one (space, tab, line break), and empty places between commas are skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.split(',').map(collapse).filter(|tag| !tag.is_empty()).map(Cow::into_owned).collect())
    }

    /// The tags, first to last.
    pub fn iter(&self) -> std::slice::Iter<'_, String> {
        self.0.iter()
    }

    /// How many tags there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a tag at the end, as it is.
    pub fn push(&mut self, tag: impl Into<String>) {
        self.0.push(tag.into());
    }

    /// The tags as a plain vector.
    #[must_use]
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

/// `a, b`
impl fmt::Display for TagList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, tag) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str(", ")?;
            }
            formatter.write_str(tag)?;
        }
        Ok(())
    }
}

impl<'a> IntoIterator for &'a TagList {
    type Item = &'a String;
    type IntoIter = std::slice::Iter<'a, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for TagList {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: Into<String>> FromIterator<T> for TagList {
    fn from_iter<I: IntoIterator<Item = T>>(tags: I) -> Self {
        Self::new(tags)
    }
}

impl<T: Into<String>> Extend<T> for TagList {
    fn extend<I: IntoIterator<Item = T>>(&mut self, tags: I) {
        self.0.extend(tags.into_iter().map(Into::into));
    }
}

/// One line of text as `xs:token` reads it (runs of XML white space become one space), trimmed of any white space that
/// Unicode knows, so that an ideographic space at the end of a tag does not make it another tag.
pub(crate) fn collapse(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let is_collapsed = bytes.iter().enumerate().all(|(index, byte)| match byte {
        b'\t' | b'\n' | b'\r' => false,
        b' ' => bytes[index - 1] != b' ',
        _ => true,
    });
    if is_collapsed {
        return Cow::Borrowed(text);
    }
    let mut collapsed = String::with_capacity(text.len());
    let words = text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty());
    for word in words {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    Cow::Owned(collapsed)
}

/// `1、` or `一、` at the beginning of a line: the length of the number with its mark, and what follows.
fn numbered_with_comma(line: &str) -> Option<(usize, &str)> {
    let (number, behind) = line.split_once('、')?;
    is_list_number(number).then(|| (line.len() - behind.len(), behind))
}

/// Whether a text is a number of one or two digits: `12`, `十二`.
pub(crate) fn is_list_number(text: &str) -> bool {
    const NUMERALS: &[char] = &['一', '二', '三', '四', '五', '六', '七', '八', '九', '十'];
    let is_digit = |digit: char| digit.is_ascii_digit() || NUMERALS.contains(&digit);
    (1..=2).contains(&text.chars().take(3).count()) && text.chars().all(is_digit)
}

/// The length of a list's mark at the beginning of a line: `- `, `• `, `1. `, `(1) `, `① `, `一、`, `- [x] `.
pub(crate) fn list_mark(line: &str) -> usize {
    let mark = plain_list_mark(line);
    let behind = &line[mark..];
    let is_box = mark > 0 && ["[ ] ", "[x] ", "[X] "].iter().any(|mark| behind.starts_with(mark));
    let is_bare_box = line.starts_with(['☐', '☑', '✅', '✓', '✔', '→', '➤', '►', '⁃', '∙']);
    match () {
        () if is_box && behind.len() > 4 => mark + behind.len() - behind[4..].trim_start().len(),
        () if mark == 0 && is_bare_box => {
            let behind = line.trim_start_matches(|character: char| !character.is_whitespace());
            if behind.trim().is_empty() { 0 } else { line.len() - behind.trim_start().len() }
        }
        () => mark,
    }
}

fn plain_list_mark(line: &str) -> usize {
    let bullet = line.strip_prefix(['-', '*', '+', '•', '·', '・', '–', '—', '◦', '▪', '●', '‣']);
    if let Some(behind) = bullet {
        let blank = behind.len() - behind.trim_start().len();
        let is_mark = blank > 0 || !line.starts_with(['-', '*', '+']);
        return if is_mark && !behind.trim().is_empty() { line.len() - behind.len() + blank } else { 0 };
    }
    // `(1) `, `a) `, and numbers of one character or with `、`.
    let (first, rest) = line.split_at(line.chars().next().map_or(0, char::len_utf8));
    let is_circled = first.starts_with(|first: char| matches!(first, '①'..='⑳' | '⑴'..='⒇' | '❶'..='❿' | '➀'..='➓'));
    if is_circled && !rest.trim().is_empty() {
        return line.len() - rest.trim_start().len();
    }
    if let Some((number, behind)) = numbered_with_comma(line) {
        return if behind.trim().is_empty() { 0 } else { number + behind.len() - behind.trim_start().len() };
    }
    let inside = line.strip_prefix(['(', '（']).and_then(|inside| inside.split_once([')', '）']));
    let inside = inside
        .filter(|(number, _)| (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit()));
    if let Some((_, behind)) = inside.filter(|(_, behind)| behind.starts_with([' ', '\t']) && !behind.trim().is_empty())
    {
        return line.len() - behind.trim_start().len();
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let behind = line[digits..].strip_prefix(['.', ')', '、']).filter(|_| (1..=3).contains(&digits));
    let behind = behind.filter(|behind| behind.starts_with([' ', '\t', '\u{3000}']) && !behind.trim().is_empty());
    behind.map_or(0, |behind| line.len() - behind.trim_start().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_trimmed_tags() {
        let tags = TagList::parse(" long_hair,blue\n  eyes ,, \u{3000}fox_ears\u{a0},\t");
        assert_eq!(tags.iter().collect::<Vec<_>>(), ["long_hair", "blue eyes", "fox_ears"]);
        assert_eq!(tags.to_string(), "long_hair, blue eyes, fox_ears");
    }

    #[test]
    fn blank_texts_hold_no_tag() {
        for text in ["", " ", ",", " , \u{3000},\n"] {
            assert!(TagList::parse(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn collapsing_keeps_what_is_collapsed() {
        assert!(matches!(collapse(" a b\u{3000}c "), Cow::Borrowed("a b\u{3000}c")));
        assert_eq!(collapse("a\r\n b"), "a b");
        assert_eq!(collapse("  "), "");
    }
}
