//! Colours for XML prompts.

use console::Style;

use sakuga_client::proto::text::lines;

/// `xml` with its tags coloured, safe for a terminal.
pub(crate) fn xml(xml: &str, style: &Style) -> String {
    let tag_style = style.clone().cyan();
    let mut coloured = String::with_capacity(xml.len() * 2);
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        let (text, from_tag) = rest.split_at(start);
        coloured.push_str(&lines(text));
        // A `<` that opens no tag, as in `>_<`, is text.
        let end = from_tag.find('>').filter(|end| is_tag(&from_tag[..=*end]));
        let (tag, after) = from_tag.split_at(end.map_or(1, |end| end + 1));
        match end {
            Some(_) => coloured.push_str(&tag_style.apply_to(tag).to_string()),
            None => coloured.push_str(tag),
        }
        rest = after;
    }
    coloured.push_str(&lines(rest));
    coloured
}

fn is_tag(text: &str) -> bool {
    let name = text.trim_start_matches('<').trim_start_matches('/').trim_end_matches('>');
    !name.is_empty() && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_are_coloured() {
        let style = Style::new().force_styling(true);
        assert_eq!(xml("<n>a</n>", &style), "\u{1b}[36m<n>\u{1b}[0ma\u{1b}[36m</n>\u{1b}[0m");
        assert_eq!(xml("1 < 2 >_< ", &style), "1 < 2 >_< ");
        assert_eq!(xml("a\u{1b}[2J<", &style), "a\u{fffd}[2J<");
        assert_eq!(xml("猫<", &style), "猫<");
    }
}
