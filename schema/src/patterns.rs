//! Instructions of other programs, and Markdown, inside a tag or a sentence.

mod markdown;
mod midjourney;
mod placeholder;
mod programs;
mod setting;
mod weight;
mod wide;

use std::ops::Range;

use markdown::markdown;
use programs::{comments, regions};
pub(crate) use weight::weighted_group;
use weight::{is_number, raised, weights};
use wide::wide;

use crate::settings::setting_in_text;

/// An instruction of another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instruction {
    /// `<lora:x:0.8>`
    Adapter,
    /// `<hypernet:x:0.5>`
    Hypernetwork,
    /// `/* … */`, `// …`
    Comment,
    /// `embedding:x`
    Embedding,
    /// `__hair__`, `{a|b}`
    Wildcard,
    /// `[a:b:0.5]`, `[a|b]`
    Schedule,
    /// `BREAK`, `AND`
    Keyword,
    /// `--ar 3:2`
    Parameter,
    /// `steps: 30`, `seed=1`
    Setting,
    /// `https://example.com/fox.png`
    Address,
    /// `("a", "b").blend(1, 1)`
    Function,
    /// `<segment:face>`
    Tag,
}

/// The kind of a piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Weight,
    /// A weight of zero or less, which asks for less of a thing.
    Against,
    /// `--no hat`: what follows must not be drawn.
    Without,
    /// A part of a template that was not filled in.
    Placeholder,
    /// Another instruction.
    Instruction(Instruction),
    /// Marks of Markdown.
    Markdown,
    /// Letters and digits of full width.
    Wide,
}

/// A pattern in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it stands.
    pub(crate) span: Range<usize>,
    pub(crate) pattern: Pattern,
    /// The replacement; `None` if only a person can decide.
    pub(crate) plain: Option<String>,
}

/// The patterns of a text: of one tag, or of a sentence, whose pieces between commas are looked at one by one.
pub(crate) fn scan(text: &str, is_tag: bool) -> Vec<Found> {
    // Nearly every text ends here.
    if !is_suspicious(text) {
        return Vec::new();
    }
    let mut found = Vec::new();
    if is_tag {
        scan_piece(text, 0, true, &mut found);
        return found;
    }
    let mut start = 0;
    for piece in pieces(text) {
        let at = start + (piece.len() - piece.trim_start().len());
        start += piece.len();
        let piece = piece.trim_matches(|mark: char| mark.is_whitespace() || matches!(mark, ',' | '，' | ';' | '、'));
        if !piece.is_empty() && is_suspicious(piece) {
            let at = at + text[at..].find(piece).unwrap_or(0);
            scan_piece(piece, at, false, &mut found);
        }
    }
    found
}

/// The pieces between commas and lines; a comma inside braces or square brackets separates nothing.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    // Looking for the end of a group takes time, and a text has few of them.
    const GROUPS_MAX: usize = 64;
    let (mut start, mut depth, mut group_end, mut groups) = (0, 0_usize, 0, 0);
    for (at, character) in text.char_indices() {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            // `(a, b:1.2)` weighs both, `(a, b).blend(1, 1)` has two numbers, and `<random:a,b>` chooses one.
            '(' | '<' if depth == 0 && groups < GROUPS_MAX => {
                groups += 1;
                group_end = group_end.max(at + group_length(text, at));
                continue;
            }
            // `1.2::a, b::` weighs both.
            ':' if depth == 0 && at >= group_end && groups < GROUPS_MAX && text[at..].starts_with("::") => {
                groups += 1;
                group_end = group_end.max(at + weight::numbered_group(&text[start..], at - start));
                continue;
            }
            ',' | '，' if depth == 0 && at >= group_end => {}
            '\n' => depth = 0,
            _ => continue,
        }
        if matches!(character, ',' | '，' | '\n') {
            pieces.push(&text[start..at + character.len_utf8()]);
            start = at + character.len_utf8();
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// The length of what begins at `at` and is one piece in spite of its commas; 0 if that is nothing.
fn group_length(text: &str, at: usize) -> usize {
    let is_function = FUNCTIONS.iter().any(|name| text[..=at].ends_with(name));
    if is_function {
        return matching(text, at, b'(', b')').map_or(0, |close| close + 1 - at);
    }
    let settings = setting::group(&text[at..]).map(|group| group.len());
    let weighted = settings.or_else(|| weighted_group(&text[at..]).map(|group| group.end));
    weighted.or_else(|| adapter(&text[at..])).unwrap_or(0)
}

fn is_suspicious(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(index, byte)| match byte {
        b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'*' | b'`' | b'~' | b'#' | b':' | b'=' | b'|' => true,
        b'!' | b'N' if index == 0 => matches!(bytes.get(1), Some(b'O' | b'a'..=b'z')),
        b'-' if bytes.get(index + 1).is_some_and(u8::is_ascii_alphabetic) => {
            index == 0 || matches!(bytes[index - 1], b' ' | b',' | b'\n')
        }
        b'_' | b'-' | b'+' | b'.' => bytes.get(index + 1) == Some(byte),
        b'Y' => bytes.get(index + 1) == Some(&b'O'),
        b'$' | b'%' => index == 0,
        // Comments of ComfyUI.
        b'/' => matches!(bytes.get(index + 1), Some(b'/' | b'*')),
        // BREAK, AND, ADD…
        b'A' | b'B' => bytes.get(index + 1).is_some_and(u8::is_ascii_uppercase),
        b'T' => matches!(bytes.get(index + 1), Some(b'O' | b'B')),
        // The first byte of `：` and of other characters of full width.
        0xEF => matches!(bytes.get(index + 1), Some(0xBC | 0xBD)),
        // The first bytes of the brackets `〈` to `〗`.
        0xE3 => bytes.get(index + 1) == Some(&0x80) && matches!(bytes.get(index + 2), Some(0x88..=0x97)),
        // The first byte of `…`, `–` and `—`.
        0xE2 => matches!(bytes.get(index + 2), Some(0xA6 | 0x93 | 0x94)),
        // The first byte of the mathematical alphabets.
        0xF0 => bytes.get(index + 1) == Some(&0x9D),
        _ => false,
    })
}

fn scan_piece(piece: &str, at: usize, is_tag: bool, found: &mut Vec<Found>) {
    let before = found.len();
    let mut add = |span: Range<usize>, pattern: Pattern, plain: Option<String>| {
        let span = at + span.start..at + span.end;
        let overlaps = found[before..].iter().any(|other| other.span.start < span.end && span.start < other.span.end);
        if !overlaps {
            found.push(Found { span, pattern, plain });
        }
    };
    if placeholder::is_placeholder(piece, is_tag) {
        add(0..piece.len(), Pattern::Placeholder, None);
        return;
    }
    if piece.contains([':', '：', '=']) && setting_in_text(piece).is_some() {
        add(0..piece.len(), Pattern::Instruction(Instruction::Setting), Some(String::new()));
        return;
    }
    setting::groups(piece, &mut add);
    adapters(piece, &mut add);
    comments(piece, &mut add);
    functions(piece, &mut add);
    regions(piece, &mut add);
    braces(piece, &mut add);
    brackets(piece, &mut add);
    wildcards(piece, &mut add);
    markdown(piece, &mut add);
    midjourney::parameters(piece, &mut add);
    words(piece, is_tag, &mut add);
    midjourney::parts(piece, &mut add);
    weights(piece, is_tag, &mut add);
    raised(piece, &mut add);
    if is_tag {
        weight::end_of_group(piece, &mut add);
    }
    excluded(piece, &mut add);
    wide(piece, is_tag, &mut add);
    found[before..].sort_by_key(|found| found.span.start);
}

/// `<lora:style:0.8>` and the like.
fn adapters(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    for (at, _) in piece.match_indices('<') {
        let Some(length) = adapter(&piece[at..]) else {
            // `<random:a, b>` is cut at its comma.
            let inside = &piece[at + 1..];
            let is_choice = |word: &&str| {
                inside.get(..word.len()).is_some_and(|name| name.eq_ignore_ascii_case(word))
                    && inside[word.len()..].starts_with(':')
            };
            if CHOICES.iter().any(is_choice) && !inside.contains('>') {
                add(at..piece.len(), Pattern::Instruction(Instruction::Wildcard), None);
            }
            continue;
        };
        let instruction = instruction_of(&piece[at + 1..at + length]);
        let plain = (instruction != Instruction::Wildcard).then(String::new);
        add(at..at + length, Pattern::Instruction(instruction), plain);
    }
}

/// `-lowres`, as searches exclude a tag.
fn excluded(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    const SHORTEST: usize = 3;
    let is_not = |rest: &str| !rest.starts_with(|first: char| first.is_ascii_uppercase());
    if piece.strip_prefix("NOT ").is_some_and(is_not) {
        return add(0..piece.len(), Pattern::Against, None);
    }
    let is_word = piece.strip_prefix(['-', '!']).is_some_and(|word| {
        let letters = word.bytes().take_while(u8::is_ascii_alphabetic).count();
        letters >= SHORTEST && !word.ends_with('-') && !word.contains(". ")
    });
    if is_word {
        add(0..piece.len(), Pattern::Against, None);
    }
}

/// What `lora:style:0.8>` asks for.
fn instruction_of(inside: &str) -> Instruction {
    const ADAPTERS: &[&str] = &["lora", "lyco", "lycoris", "locon", "loha", "lokr", "dora", "adapter", "lbw"];
    const EMBEDDINGS: &[&str] = &["embed", "embedding", "ti", "textual_inversion"];
    let word = inside.split([':', '[']).next().unwrap_or_default().to_ascii_lowercase();
    match word.as_str() {
        word if ADAPTERS.contains(&word) => Instruction::Adapter,
        "hypernet" | "hypernetwork" => Instruction::Hypernetwork,
        "comment" => Instruction::Comment,
        word if EMBEDDINGS.contains(&word) => Instruction::Embedding,
        word if CHOICES.contains(&word) => Instruction::Wildcard,
        _ => Instruction::Tag,
    }
}

/// Words of tags that choose.
const CHOICES: &[&str] = &["wildcard", "random", "alternate", "choice", "preset", "fromto"];

/// What InvokeAI calls with texts.
const FUNCTIONS: &[&str] = &[".blend(", ".and(", ".swap("];

/// `("a cat", "a dog").blend(0.5, 0.5)`, as InvokeAI writes it.
fn functions(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    for name in FUNCTIONS {
        for (at, _) in piece.match_indices(name) {
            if piece[..at].ends_with(|last: char| last.is_alphanumeric() || matches!(last, ')' | '"')) {
                let open = at + name.len() - 1;
                let end = matching(piece, open, b'(', b')').map_or(piece.len(), |close| close + 1);
                add(at..end, Pattern::Instruction(Instruction::Function), None);
            }
        }
    }
}

/// The length of `<lora:style:0.8>` at the beginning of a text: a word, a colon, and no blank up to the bracket.
pub(crate) fn adapter(text: &str) -> Option<usize> {
    const FAR: usize = 200;
    let near = &text[..text.floor_char_boundary(FAR)];
    let inside = near.strip_prefix('<')?;
    // What is chosen from is a list.
    let is_list =
        CHOICES.iter().any(|word| inside.get(..word.len()).is_some_and(|name| name.eq_ignore_ascii_case(word)));
    let ends = |character: char| matches!(character, '>' | '<' | '\n') || (character == ',' && !is_list);
    let close = inside.find(ends).filter(|close| inside[*close..].starts_with('>'))?;
    let (word, rest) = inside[..close].split_once(':')?;
    let is_word = word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'[' | b']'));
    (is_word && !rest.is_empty()).then_some(close + 2)
}

/// `{a|b}`, `{2$$a|b}`, `${x}` choose; `{x}` and `{{x}}` weigh.
fn braces(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    let mut from = 0;
    while let Some(open) = piece[from..].find('{').map(|offset| from + offset) {
        let Some(close) = matching(piece, open, b'{', b'}') else { return };
        let inside = &piece[open + 1..close];
        let start = if piece[..open].ends_with('$') { open - 1 } else { open };
        from = close + 1;
        let is_choice = inside.contains(['|']) || inside.contains("$$") || start < open;
        if is_choice {
            add(start..close + 1, Pattern::Instruction(Instruction::Wildcard), None);
            continue;
        }
        let plain = inside.trim_matches(['{', '}']).trim();
        // `{blue hair:1.2}`
        let plain = weight::without_number(plain).unwrap_or(plain);
        let is_double = inside.starts_with('{') && inside.ends_with('}');
        if is_double && placeholder::is_macro(plain) {
            add(open..close + 1, Pattern::Placeholder, None);
            continue;
        }
        let is_whole = open == 0 && close + 1 == piece.len();
        if (is_double || is_whole) && plain.contains(char::is_alphabetic) && !plain.contains(['{', '}']) {
            add(open..close + 1, Pattern::Weight, Some(plain.to_owned()));
        }
    }
}

/// `[a:b:0.5]` and `[a|b]` change during the steps.
fn brackets(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    let mut from = 0;
    while let Some(open) = piece[from..].find('[').map(|offset| from + offset) {
        let Some(close) = matching(piece, open, b'[', b']') else { return };
        let inside = &piece[open + 1..close];
        from = close + 1;
        if piece[close + 1..].starts_with('(') && piece[close..].contains(')') {
            let end = close + 1 + piece[close + 1..].find(')').unwrap_or(0) + 1;
            // `![a fox](fox.png)` is a picture.
            let open = if piece[..open].ends_with('!') { open - 1 } else { open };
            add(open..end, Pattern::Markdown, Some(inside.to_owned()));
            continue;
        }
        let is_scheduled = inside.rsplit_once(':').is_some_and(|(before, number)| {
            is_number(number) && (before.contains(':') || !before.contains(' ') || before.contains('_'))
        });
        if inside.contains('|') || is_scheduled {
            add(open..close + 1, Pattern::Instruction(Instruction::Schedule), None);
        }
    }
}

/// The bracket that closes the one at `open`, not far away.
fn matching(piece: &str, open: usize, opening: u8, closing: u8) -> Option<usize> {
    const FAR: usize = 1000;
    let mut depth = 0_usize;
    for (offset, byte) in piece.as_bytes()[open..].iter().take(FAR).enumerate() {
        if *byte == opening {
            depth += 1;
        } else if *byte == closing {
            depth -= 1;
            if depth == 0 {
                return Some(open + offset);
            }
        }
    }
    None
}

/// `__hair/colour__`
fn wildcards(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    let mut from = 0;
    while let Some(open) = piece[from..].find("__").map(|offset| from + offset) {
        let name = &piece[open + 2..];
        let end = name.find("__").filter(|end| *end > 0);
        let is_name = |name: &str| {
            name.chars().all(|character| {
                character.is_alphanumeric() || matches!(character, '_' | '/' | '-' | '*' | '.' | ' ' | '~' | '@')
            }) && name.starts_with(|first: char| first.is_alphanumeric() || matches!(first, '*' | '~' | '@'))
                && name.contains(char::is_alphabetic)
        };
        match end.filter(|end| is_name(&name[..*end])) {
            Some(end) => {
                let close = open + 2 + end + 2;
                add(open..close, Pattern::Instruction(Instruction::Wildcard), None);
                from = close;
            }
            None => from = open + 2,
        }
    }
}

/// Keywords, embeddings and addresses.
fn words(piece: &str, is_tag: bool, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    const KEYWORDS: &[&str] =
        &["BREAK", "ADDCOMM", "ADDBASE", "ADDCOL", "ADDROW", "ADDP", "AND_PERP", "AND_SALT", "AND_TOPK", "AND"];
    let is_shouted = !piece.bytes().any(|byte| byte.is_ascii_lowercase()) && piece.contains(' ');
    let has_groups = piece.contains(['{', '[']);
    let mut at = 0;
    for word in piece.split_inclusive(char::is_whitespace) {
        let span = at..at + word.trim_end().len();
        at += word.len();
        let word = word.trim_end();
        let bare = word.trim_start_matches('(');
        let is_capital = |side: Option<&str>| {
            side.is_some_and(|side| side.len() > 1 && side.bytes().all(|byte| byte.is_ascii_uppercase()))
        };
        let before = piece[..span.start].split_whitespace().next_back();
        let behind = piece[span.end..].split_whitespace().next();
        // Between tags of a field it is a separator.
        if !word.is_empty() && word.bytes().all(|byte| byte == b'|') && !is_tag && before.is_some() && behind.is_some()
        {
            add(span.clone(), Pattern::Instruction(Instruction::Keyword), None);
        }
        // `red_hair|blue_hair`; `|_|` is an emoticon.
        let is_word = |side: &str| side.chars().filter(|letter| letter.is_alphabetic()).count() >= 2;
        let is_choice = word.split_once('|').is_some_and(|(left, right)| is_word(left) && is_word(right));
        if is_choice && !has_groups {
            add(span.clone(), Pattern::Instruction(Instruction::Keyword), None);
        }
        if KEYWORDS.contains(&word) && !is_shouted && !is_capital(before) && !is_capital(behind) {
            let plain = if span.len() == piece.len() { Some(String::new()) } else { None };
            add(span.clone(), Pattern::Instruction(Instruction::Keyword), plain);
        }
        if bare.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("embedding:")) {
            add(span.clone(), Pattern::Instruction(Instruction::Embedding), Some(String::new()));
        }
        let is_address = word.starts_with("http://") || word.starts_with("https://");
        if is_address && !is_tag {
            add(span.clone(), Pattern::Instruction(Instruction::Address), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(text: &str, is_tag: bool) -> Vec<(String, Pattern, Option<String>)> {
        scan(text, is_tag).into_iter().map(|found| (text[found.span].to_owned(), found.pattern, found.plain)).collect()
    }

    #[test]
    fn parts_of_a_template_are_found() {
        for tag in ["{name}", "{{appearance}}", "[hair color]", "$gender$", "...", "…", "TODO", "<your tags here>"] {
            assert_eq!(patterns(tag, true), [(tag.to_owned(), Pattern::Placeholder, None)], "{tag}");
        }
        for tag in ["$character_1$", "(name)", "todo_aoi", "name_tag", "TOMBOY"] {
            assert_eq!(patterns(tag, true), [], "{tag}");
        }
        assert_eq!(patterns("A girl... waits.", false), []);
    }

    #[test]
    fn instructions_are_found() {
        use Instruction::{
            Adapter, Comment, Embedding, Function, Hypernetwork, Keyword, Parameter, Schedule, Tag, Wildcard,
        };
        for (tag, written, instruction) in [
            ("<lora:soft_lines:0.8>", "<lora:soft_lines:0.8>", Adapter),
            ("anime_style <lyco:x:1>", "<lyco:x:1>", Adapter),
            ("<wildcard:hair>", "<wildcard:hair>", Wildcard),
            ("<random:red,blue>", "<random:red,blue>", Wildcard),
            ("<segment:face>", "<segment:face>", Tag),
            ("<embed:easy>", "<embed:easy>", Embedding),
            ("(\"a\").blend(1)", ".blend(1)", Function),
            ("embedding:easynegative", "embedding:easynegative", Embedding),
            ("__hair/colour__", "__hair/colour__", Wildcard),
            ("{long|short}_hair", "{long|short}", Wildcard),
            ("{2$$red|blue}", "{2$$red|blue}", Wildcard),
            ("<random:red", "<random:red", Wildcard),
            ("__~hair__", "__~hair__", Wildcard),
            ("red_hair|blue_hair", "red_hair|blue_hair", Keyword),
            ("${season}", "${season}", Wildcard),
            ("[black|white]_hair", "[black|white]", Schedule),
            ("[red_eyes:blue_eyes:0.5]", "[red_eyes:blue_eyes:0.5]", Schedule),
            ("[hat::0.5]", "[hat::0.5]", Schedule),
            ("BREAK", "BREAK", Keyword),
            ("red hair AND blue hair", "AND", Keyword),
            ("a fox --ar 3:2", "--ar 3:2", Parameter),
            ("<hypernet:inky:0.5>", "<hypernet:inky:0.5>", Hypernetwork),
            ("/* later */ blue_hair", "/* later */", Comment),
            ("blue_hair // later", "// later", Comment),
            ("MASK(0 0.5)", "MASK(0 0.5)", Keyword),
            ("COUPLE MASK(0", "MASK(0", Keyword),
        ] {
            let found: Vec<_> =
                patterns(tag, true).into_iter().map(|(written, pattern, _)| (written, pattern)).collect();
            assert_eq!(found, [(written.to_owned(), Pattern::Instruction(instruction))], "{tag}");
        }
    }

    #[test]
    fn excluded_and_wide_tags_are_found() {
        assert_eq!(patterns("-lowres", true), [("-lowres".to_owned(), Pattern::Against, None)]);
        let found = patterns("1girl, -lowres, rain", false);
        assert_eq!(found, [("-lowres".to_owned(), Pattern::Against, None)]);
        assert_eq!(
            patterns("ｌｏｎｇ＿hair", true),
            [("ｌｏｎｇ＿hair".to_owned(), Pattern::Wide, Some("long_hair".to_owned()))]
        );
        let found = patterns("１ｇｉｒｌ、ＵＦＯ。 ｓｏｌｏ, rain", false);
        assert_eq!(found, []);
        let found = patterns("ｓｏｌｏ, rain", false);
        assert_eq!(found, [("ｓｏｌｏ".to_owned(), Pattern::Wide, Some("solo".to_owned()))]);
        for (text, is_tag) in [("-_-", true), ("-o-", true), ("１人の少女。", false), ("（笑）", true)] {
            assert_eq!(patterns(text, is_tag), [], "{text}");
        }
    }

    #[test]
    fn sentences_are_looked_at_piece_by_piece() {
        let found = patterns("1girl, solo, (red scarf:1.2), ((snow)), [lantern]", false);
        let written: Vec<&str> = found.iter().map(|(written, ..)| written.as_str()).collect();
        assert_eq!(written, ["(red scarf:1.2)", "((snow))", "[lantern]"]);
        let found = patterns("A girl with (a very red scarf:1.3) walks home.", false);
        assert_eq!(
            found,
            [("(a very red scarf:1.3)".to_owned(), Pattern::Weight, Some("a very red scarf".to_owned()))]
        );
    }

    #[test]
    fn tags_and_emoticons_are_none() {
        for tag in [
            "16:9",
            "artist:name",
            ":3",
            ">:(",
            "(medium)",
            "rem_\\(re:zero\\)",
            "saber_(fate)",
            "no.7",
            "x:3",
            "",
            "version_1.5",
            "^_^",
            "@_@",
            "0_0",
            "|_|",
            ">_<",
            "+_+",
            "*_*",
            "$character_1$",
            "6+girls",
            "nier:automata",
            "re:zero",
            "C++",
            "d:",
            "xd",
            "\\m/",
            "(o)_(o)",
            ":<>",
            "A-line_dress",
            "B-cup",
            "AK-47",
            "ABBA",
            "//_//",
            "http://example.com",
            "AC/DC",
            "MASK",
            "GASMASK(worn)",
        ] {
            assert_eq!(patterns(tag, true), [], "{tag}");
        }
        for text in [
            "A sign that says ROCK AND ROLL.",
            "A girl (smiling) in the rain.",
            "She says: hello!",
            "Two cats - one dog.",
        ] {
            assert_eq!(patterns(text, false), [], "{text}");
        }
    }
}
