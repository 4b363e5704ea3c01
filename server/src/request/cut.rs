//! Finds the place in a client's text where an encoder stops reading.
//!
//! Encoders read the canonical text, which differs from the one that was sent in blanks, escapes and the order of
//! elements; the text between two tags is the same in both. So the text that follows the cut is searched for in the
//! text that was sent.

use std::ops::Range;

/// Characters of the stretch, blanks left out: enough to be found once in any prompt that is long enough to be cut.
/// Shorter ones are tried for the last words of an element, which other words follow in the text that was sent.
const STRETCHES: [usize; 4] = [32, 16, 8, 4];

/// The place in `sent` of the first character that is not read. `read` is the text that the encoder was given, `lost` the
/// beginning of its part that was cut, and `expected` the approximate place of `lost` in `read`, which selects one of
/// several equal places.
pub(crate) fn place(sent: &str, read: &str, lost: &str, expected: usize) -> Option<usize> {
    let cut = read.match_indices(lost).map(|(at, _)| at).min_by_key(|at| at.abs_diff(expected))?;
    let (read, sent) = (Squeezed::of(read), Squeezed::of(sent));
    let cut = read.places.partition_point(|(at, _)| *at < cut);
    STRETCHES.iter().find_map(|length| {
        let end = (cut + length).min(read.places.len());
        let stretch = read.text.get(read.bytes(cut..end))?;
        if stretch.is_empty() {
            return None;
        }
        // Of several equal stretches, the one with the same number of equal stretches before it in both texts.
        let before = read.text[..read.bytes(cut..end).start].matches(stretch).count();
        let found = sent.text.match_indices(stretch).map(|(at, _)| at).nth(before)?;
        sent.origin(found)
    })
}

/// A text without blanks, its escapes resolved.
#[derive(Default)]
struct Squeezed {
    text: String,
    /// Of each character: its place in the original, and in `text`.
    places: Vec<(usize, usize)>,
}

impl Squeezed {
    fn of(original: &str) -> Self {
        const ESCAPES: [(&str, char); 7] = [
            ("&lt;", '<'),
            ("&gt;", '>'),
            ("&amp;", '&'),
            ("&quot;", '"'),
            ("&apos;", '\''),
            ("\\n", ' '),
            ("\\\"", '"'),
        ];
        let mut squeezed = Self::default();
        let mut at = 0;
        while let Some(character) = original[at..].chars().next() {
            let rest = &original[at..];
            let escape = ESCAPES.iter().find(|(written, _)| rest.starts_with(written));
            let (meant, length) =
                escape.map_or((character, character.len_utf8()), |(written, meant)| (*meant, written.len()));
            if !meant.is_whitespace() {
                squeezed.places.push((at, squeezed.text.len()));
                squeezed.text.push(meant);
            }
            at += length;
        }
        squeezed
    }

    /// The bytes of `text` that hold these characters.
    fn bytes(&self, characters: Range<usize>) -> Range<usize> {
        let byte = |index: usize| self.places.get(index).map_or(self.text.len(), |(_, byte)| *byte);
        byte(characters.start)..byte(characters.end)
    }

    /// The place in the original of the character at this byte of `text`.
    fn origin(&self, byte: usize) -> Option<usize> {
        let index = self.places.binary_search_by_key(&byte, |(_, byte)| *byte).ok()?;
        Some(self.places[index].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text from the place that is found.
    fn found<'t>(sent: &'t str, read: &str, lost: &str) -> Option<&'t str> {
        place(sent, read, lost, 0).map(|at| &sent[at..])
    }

    #[test]
    fn the_canonical_text_is_its_own_map() {
        let text = "<caption>A girl. She laughs at the sky.</caption>";
        assert_eq!(found(text, text, "She laughs"), Some("She laughs at the sky.</caption>"));
    }

    #[test]
    fn blanks_escapes_and_json_do_not_hide_the_place() {
        let read = "<general_tags>\n<style>anime, >_<, R&B, watercolor</style>\n</general_tags>";
        let sent = "<img>\n  <general_tags><style>anime,   &gt;_&lt;,R&amp;B,  watercolor</style></general_tags></img>";
        assert_eq!(found(sent, read, ">_<, R&B").map(|rest| &rest[..9]), Some("&gt;_&lt;"));
        let json = r#"{"tags": "<general_tags>\n<style>anime, >_<, R&B, watercolor</style></general_tags>"}"#;
        assert_eq!(found(json, read, "R&B, water").map(|rest| &rest[..3]), Some("R&B"));
    }

    #[test]
    fn elements_in_another_order_are_found() {
        let read = "<character_1>\n<n>a</n>\n<gender>1girl</gender>\n<appearance>red_eyes, long_hair</appearance>\n\
                    </character_1>";
        let sent =
            "<character_1><appearance>red_eyes, long_hair</appearance><n>a</n><gender>1girl</gender></character_1>";
        assert_eq!(found(sent, read, "long_hair</app").map(|rest| &rest[..9]), Some("long_hair"));
    }

    #[test]
    fn places_with_equal_text_are_distinguished() {
        let text = "red red red red red red";
        assert_eq!(place(text, text, "red", 11), Some(12));
    }

    #[test]
    fn what_is_not_there_has_no_place() {
        assert_eq!(place("", "abc def", "def", 0), None);
        assert_eq!(place("abc", "abc", "xyz", 0), None);
        assert_eq!(place("abc", "", "", 0), None);
    }
}
