//! Typed to XML and back without loss, for any prompt.

mod support;

mod oracle;

use proptest::prelude::*;
use sakuga_schema::{Character, Gender, GeneralTags, NegativePrompt, Prompt, TagList};

/// Pieces of text that XML, tag lists or people find hard.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z_]{1,8}",
        2 => prop::sample::select(vec![
            "<", "&", ">", "]]>", "\"", "'", "&amp;", "&lt;", "<n>", "</caption>", "<!--", "<![CDATA[", "<?", "{", "}",
            ">_<", "<3", "R&B", "\\(", "(a:1.2)", "\u{3000}", "\u{a0}", "\u{85}", "\u{2028}", " ", "髪", "レイン", "🎉",
            "\u{feff}", "\u{fffd}", "#", "$", "caption:",
        ]).prop_map(str::to_owned),
        2 => "\\PC{0,6}",
    ]
}

/// A line of text as a tag or a name holds it: no comma, single spaces, trimmed. May be empty.
fn line() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..5).prop_map(|pieces| {
        let line = pieces.concat().replace(',', "");
        let words: Vec<_> = line.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()).collect();
        words.join(" ").trim().to_owned()
    })
}

fn tag_list() -> impl Strategy<Value = TagList> {
    let tags = prop::collection::vec(line().prop_filter("a tag is not empty", |tag| !tag.is_empty()), 1..5);
    prop_oneof![1 => Just(TagList::default()), 2 => tags.prop_map(TagList::new)]
}

fn caption() -> impl Strategy<Value = Option<String>> {
    let breaks = prop::sample::select(vec!["\n", "\r\n", "\r", "\t", "  ", ", "]).prop_map(str::to_owned);
    let text = prop::collection::vec(prop_oneof![3 => piece(), 1 => breaks], 1..8);
    let text = text.prop_map(|pieces| pieces.concat().trim().to_owned());
    prop::option::of(text.prop_filter("a caption is not blank", |text| !text.is_empty()))
}

prop_compose! {
    fn character()(
        n in prop_oneof![line(), Just("a, b".to_owned())],
        gender in prop::sample::select(Gender::ALL.to_vec()),
        lists in prop::array::uniform7(tag_list()),
    ) -> Character {
        let [appearance, clothing, body_type, expression, action, interaction, position] = lists;
        Character {
            n, gender: Some(gender), appearance, clothing, body_type, expression, action, interaction, position,
        }
    }
}

prop_compose! {
    fn general_tags()(lists in prop::array::uniform12(tag_list())) -> GeneralTags {
        let [
            count, artists, style, background, environment, perspective, atmosphere, lighting, quality, resolution,
            objects, other,
        ] = lists;
        GeneralTags {
            count, artists, style, background, environment, perspective, atmosphere, lighting, quality, resolution,
            objects, other,
        }
    }
}

prop_compose! {
    fn prompt()(
        characters in prop_oneof![4 => prop::collection::vec(character(), 0..4), 1 => prop::collection::vec(character(), 16)],
        general_tags in prop::option::of(general_tags()),
        caption in caption(),
    ) -> Prompt {
        Prompt { characters, general_tags, caption }
    }
}

prop_compose! {
    fn negative_prompt()(lists in prop::array::uniform3(tag_list()), caption in caption()) -> NegativePrompt {
        let [danbooru_tags, e621_tags, resolution] = lists;
        NegativePrompt { danbooru_tags, e621_tags, resolution, caption }
    }
}

/// The same document, written as differently as XML and the XSD allow.
fn rewritten(xml: &str, seed: u64) -> String {
    let mut random = support::Random(seed);
    let mut blocks: Vec<String> = Vec::new();
    for block in split_elements(xml) {
        let (open, inner, close) = tags_and_inner(&block);
        let mut children = if is_text_block(&open) { vec![] } else { split_elements(inner) };
        random.shuffle(&mut children);
        let inner = if children.is_empty() {
            rewritten_text(inner, &mut random)
        } else {
            let children: Vec<_> = children
                .iter()
                .map(|child| {
                    let (open, inner, close) = tags_and_inner(child);
                    format!("{open}{}{close}", rewritten_text(inner, &mut random))
                })
                .collect();
            format!("\n  {}<!-- x -->\n", children.join(random.pick(&["", "\n\t", "<?x y?>"])))
        };
        blocks.push(format!("{open}{inner}{close}"));
    }
    random.shuffle(&mut blocks);
    let siblings = blocks.join(random.pick(&["", "\n", "\r\n\r\n", "<!-- - -->"]));
    if random.once_in(2) { siblings } else { format!("<?xml version='1.0'?>\n<prompt>{siblings}</prompt>\n") }
}

fn is_text_block(open: &str) -> bool {
    open == "<caption>"
}

/// The top elements of canonical XML, whose text is escaped and whose names do not nest in themselves.
fn split_elements(xml: &str) -> Vec<String> {
    let mut elements = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        let name_end = rest[start..].find('>').expect("an element is closed") + start;
        let close = format!("</{}>", &rest[start + 1..name_end]);
        let end = rest.find(&close).expect("an element is closed") + close.len();
        elements.push(rest[start..end].to_owned());
        rest = &rest[end..];
    }
    elements
}

fn tags_and_inner(element: &str) -> (String, &str, String) {
    let open = element.find('>').expect("a start tag") + 1;
    let close = element.rfind("</").expect("an end tag");
    (element[..open].to_owned(), &element[open..close], element[close..].to_owned())
}

/// The same text with blanks around it, and a character of it written as a reference.
fn rewritten_text(text: &str, random: &mut support::Random) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.chars().next()
        && first.is_ascii_alphanumeric()
        && random.once_in(2)
    {
        let reference = match random.below(3) {
            0 => format!("&#{};", u32::from(first)),
            1 => format!("&#x{:X};", u32::from(first)),
            _ => format!("<![CDATA[{first}]]>"),
        };
        text.replace_range(..1, &reference);
    }
    if text.is_empty() {
        text
    } else {
        format!("{}{text}{}", random.pick(&["", " ", "\n "]), random.pick(&["", "\t", "\r\n"]))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_is_read(prompt in prompt()) {
        prop_assert_eq!(oracle::read_prompt(&prompt.to_xml()), Ok(prompt.clone()));
        prop_assert_eq!(oracle::read_prompt(&oracle::prompt_document(&prompt)), Ok(prompt));
    }

    #[test]
    fn what_is_written_of_a_negative_prompt_is_read(negative in negative_prompt()) {
        prop_assert_eq!(oracle::read_negative(&negative.to_xml()), Ok(negative.clone()));
        prop_assert_eq!(oracle::read_negative(&oracle::negative_document(&negative)), Ok(negative));
    }

    #[test]
    fn writing_what_is_read_is_canonical_and_stable(prompt in prompt(), seed: u64) {
        let canonical = prompt.to_xml();
        let rewritten = rewritten(&canonical, seed);
        let read = oracle::read_prompt(&rewritten);
        prop_assert_eq!(read.as_ref(), Ok(&prompt), "{}", rewritten);
        prop_assert_eq!(read.map(|read| read.to_xml()), Ok(canonical));
    }

    #[test]
    fn the_two_renderings_differ_by_escapes_and_line_ends_only(prompt in prompt()) {
        let with_line_feeds = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
        let xml = prompt.to_xml();
        let model = prompt.to_model_text();
        let is_bare_caption = prompt.characters.is_empty() && prompt.general_tags.is_none();
        if let Some(caption) = prompt.caption.as_ref().filter(|_| is_bare_caption) {
            prop_assert_eq!(&model, &with_line_feeds(caption));
        } else {
            let unescaped = quick_xml::escape::unescape(&xml).expect("it is escaped well");
            let unescaped = with_line_feeds(&unescaped);
            prop_assert_eq!(unescaped.trim_end_matches('\n'), model.trim_end_matches('\n'));
            if !xml.contains('&') {
                let xml = with_line_feeds(&xml);
                prop_assert_eq!(xml.trim_end_matches('\n'), model.trim_end_matches('\n'));
            }
        }
    }
}
