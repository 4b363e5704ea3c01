//! The documents: generated from the grammar's tables, then damaged as people and programs do.

use sakuga_schema::grammar::{self, Content, ElementDecl, TextKind};

use crate::support::Random;
use crate::tree::Node;

/// `count` documents with the root `<prompt>`; the same seed gives the same ones.
pub(crate) fn documents(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    (0..count).map(|_| document(&mut random)).collect()
}

fn document(random: &mut Random) -> String {
    let mut root = valid(&grammar::PROMPT, random);
    let changes = [0, 0, 0, 1, 1, 1, 1, 2, 3][random.below(9)];
    for _ in 0..changes {
        change(&mut root, random);
    }
    let mut text = String::new();
    if random.once_in(10) {
        text.push_str(random.pick(&[
            "<?xml version=\"1.0\"?>",
            "<?xml version='1.0' encoding='UTF-8'?>\n",
            "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\" ?>",
            "<!-- before -->",
            "<?before?>\n",
            "\n<?xml version=\"1.0\"?>",
            "<!DOCTYPE prompt>",
            "<!DOCTYPE prompt [<!ENTITY x 'y'>]>",
            "x",
        ]));
    }
    root.write(&mut text);
    if random.once_in(10) {
        text.push_str(random.pick(&[
            "\n",
            "<!-- after -->",
            "<?after?>",
            " ",
            "x",
            "&#32;",
            "<prompt/>",
            "</prompt>",
            "<![CDATA[]]>",
        ]));
    }
    if changes > 0 && random.once_in(5) {
        break_text(&mut text, random);
    }
    text
}

/// A valid element: children in any order, most of the optional ones left out.
fn valid(decl: &ElementDecl, random: &mut Random) -> Node {
    let children = match &decl.content {
        Content::Text(text) if !text.values.is_empty() => vec![blank_around(random.pick(text.values), random)],
        Content::Text(text) => {
            let is_empty = text.may_be_empty && random.once_in(3);
            if is_empty { vec![] } else { valid_text(text.kind, random) }
        }
        Content::Children(children) => {
            let most = if random.once_in(10) { 16 } else { 3 };
            let characters = random.below(most + 1);
            let is_in = |child: &ElementDecl, random: &mut Random| match child.name.strip_prefix("character_") {
                Some(number) => number.parse::<usize>().is_ok_and(|number| number <= characters),
                None => child.min_occurs > 0 || random.once_in(3),
            };
            let mut elements = Vec::new();
            for child in *children {
                if is_in(child, random) {
                    elements.push(valid(child, random));
                }
            }
            if random.once_in(3) {
                random.shuffle(&mut elements);
            }
            let mut nodes = Vec::new();
            for element in elements {
                if random.once_in(2) {
                    let between = ["\n", " ", "\r\n\t", "<!-- - -->", "<?note x?>", "<!--<n>-->"];
                    nodes.push(Node::raw(random.pick(&between)));
                }
                nodes.push(element);
            }
            nodes
        }
    };
    let mut attributes = Vec::new();
    if random.once_in(20) {
        for attribute in decl.attributes {
            if let Some(fixed) = attribute.fixed {
                let equals = random.pick(&["=", " = "]);
                let zero = if random.once_in(4) { "0" } else { "" };
                attributes.push(format!("{}{equals}\"{zero}{fixed}\"", attribute.name));
            }
        }
    }
    if random.once_in(60) {
        attributes.push("xmlns:a='urn:a'".to_owned());
    }
    Node::Element { name: decl.name.to_owned(), attributes, children }
}

fn blank_around(text: &str, random: &mut Random) -> Node {
    let blanks = ["", "", "", " ", "\n\t", "\r\n"];
    Node::Raw(format!("{}{text}{}", random.pick(&blanks), random.pick(&blanks)))
}

fn valid_text(kind: TextKind, random: &mut Random) -> Vec<Node> {
    let pieces = [
        "long_hair",
        "blue eyes",
        "1girl",
        "rem_\\(re:zero\\)",
        "(red_hat:1.2)",
        ">_>",
        "it's",
        "\"x\"",
        "初音ミク",
        "a  b",
        "&lt;3",
        "R&amp;B",
        "&gt;_&lt;",
        "&#x41;",
        "&#128512;",
        "&quot;",
        "&apos;",
        "<![CDATA[<&>]]>",
        "<![CDATA[x]]>",
        "a<!-- , -->b",
        "<?x?>y",
        "🎉",
        "]]",
        "\u{3000}x",
        "é\u{a0}",
        "$character_1$",
        "100%",
        "<![CDATA[a]]><![CDATA[b]]>",
    ];
    let separators = match kind {
        TextKind::Tags => [", ", ",", " , ", ",,", ",\n"],
        TextKind::Token => [" ", "_", ", ", "  ", "\n"],
        TextKind::Prose => [" ", ". ", "\n", "\r\n", ", "],
    };
    let mut nodes = vec![blank_around("", random)];
    for index in 0..1 + random.below(5) {
        if index > 0 {
            nodes.push(Node::raw(random.pick(&separators)));
        }
        nodes.push(Node::raw(random.pick(&pieces)));
    }
    if kind == TextKind::Tags && random.once_in(5) {
        nodes.push(Node::raw(","));
    }
    nodes.push(blank_around("", random));
    nodes
}

/// One change somewhere in the tree. Most make the document invalid, some do not.
fn change(root: &mut Node, random: &mut Random) {
    let mut index = random.below(root.elements());
    let Some(Node::Element { name, attributes, children }) = root.element_mut(&mut index) else {
        return;
    };
    let is_child_element = |child: &Node| matches!(child, Node::Element { .. });
    let positions: Vec<_> = (0..children.len()).filter(|index| is_child_element(&children[*index])).collect();
    match random.below(14) {
        0 | 1 if !positions.is_empty() => {
            children.remove(random.pick(&positions));
        }
        2 if !positions.is_empty() => {
            let twin = children[random.pick(&positions)].clone();
            children.insert(random.below(children.len() + 1), twin);
        }
        3 if positions.len() > 1 => {
            let (one, other) = (random.pick(&positions), random.pick(&positions));
            children.swap(one, other);
        }
        4 => *name = renamed(name, random),
        5 => children.clear(),
        6 => {
            let blanks = [
                " ",
                "\n",
                ",",
                ", ,",
                "\u{3000}",
                "\u{a0}",
                "\u{85}",
                "\u{2028}",
                "&#32;",
                "&#x3000;",
                "<![CDATA[ ]]>",
                "<!-- -->",
                "\u{feff}",
                "\u{200b}",
            ];
            *children = vec![Node::raw(random.pick(&blanks))];
        }
        7 => {
            let stray = [
                "x",
                " ",
                "&lt;",
                "&#32;",
                "&#9;",
                "&amp;",
                "<![CDATA[x]]>",
                "<![CDATA[]]>",
                "\u{3000}",
                "<!-- x -->",
                "<?x y?>",
            ];
            children.insert(random.below(children.len() + 1), Node::raw(random.pick(&stray)));
        }
        8 => {
            let broken = [
                "<",
                "&",
                "R&B",
                ">_<",
                "<3",
                "]]>",
                "&hearts;",
                "&#0;",
                "&#1;",
                "&#xD800;",
                "&#x110000;",
                "&#xFFFE;",
                "&;",
                "& ",
                "&lt",
                "<!-- -- -->",
                "<!---->",
                "<!--->",
                "<![CDATA[",
                "\u{1}",
                "\u{c}",
                "\u{fffe}",
                "\u{7f}",
                "<n",
                "</n>",
                "<1girl>",
                "<b/>",
                "<n/>",
                "<?xml version='1.0'?>",
                "<?XML?>",
                "<?x",
                "<? x?>",
                "<>",
                "< n></n>",
                "<n ></n >",
                "&#13;",
                "&#xa;",
                "&#X41;",
                "&#;",
            ];
            children.insert(random.below(children.len() + 1), Node::raw(random.pick(&broken)));
        }
        9 => {
            let attribute = [
                "number='1'",
                "number='2'",
                "number=\"1",
                "after='1'",
                "number=' 1 '",
                "number='+1'",
                "number='&#49;'",
                "number='1.0'",
                "number='-1'",
                "number=''",
                "name='x'",
                "n",
                "n=1",
                "n='<'",
                "n='&'",
                "number='1' number='1'",
                "xml:lang='en'",
                "xml:space='preserve'",
                "xmlns='urn:x'",
                "xmlns=''",
                "xmlns:b='urn:b'",
                "xmlns:b=''",
                "b:x='1'",
                "xmlns:b='urn:b' b:number='1'",
                "xmlns:xml='urn:x'",
                "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'",
                "number='1'after='1'",
                "Number='1'",
                "1='1'",
            ];
            attributes.push(random.pick(&attribute).to_owned());
        }
        10 => {
            let inner = std::mem::take(children);
            let wrapper = random.pick(&["prompt", "character_1", "general_tags", "n", "img", "b"]);
            *children = vec![Node::element(wrapper, inner)];
        }
        11 => {
            let children_of_root = grammar::PROMPT.children();
            let decl = &children_of_root[random.below(children_of_root.len())];
            children.insert(random.below(children.len() + 1), valid(decl, random));
        }
        12 => {
            let block = random.pick(&["character_1", "general_tags"]);
            let laws = grammar::PROMPT.child(block).map(ElementDecl::children).unwrap_or_default();
            let decl = &laws[random.below(laws.len())];
            children.insert(random.below(children.len() + 1), valid(decl, random));
        }
        _ => {
            let genders = [
                "girl",
                "1Girl",
                "2girls",
                "1girl,",
                "1girl, solo",
                "1 girl",
                "&#49;girl",
                "<![CDATA[1boy]]>",
                "1o<!-- -->ther",
                "1girl\u{a0}",
                "1girl&#32;",
            ];
            if let Some(position) = positions
                .iter()
                .find(|index| matches!(&children[**index], Node::Element { name, .. } if name == "gender"))
            {
                children[*position] = Node::element("gender", vec![Node::raw(random.pick(&genders))]);
            } else if name == "gender" {
                *children = vec![Node::raw(random.pick(&genders))];
            }
        }
    }
}

fn renamed(name: &str, random: &mut Random) -> String {
    let names = [
        "name",
        "artist",
        "outfit",
        "character_0",
        "character_01",
        "character_1",
        "character_2",
        "character_3",
        "character_16",
        "character_17",
        "character",
        "character_1 ",
        "character 1",
        "N",
        "Gender",
        "general",
        "count",
        "objects",
        "caption",
        "gender",
        "n",
        "a:n",
        "xml:n",
        ":n",
        "n:",
        "名前",
        "n-x",
        "n.x",
        "_",
        "-n",
        "1n",
        "prompt",
        "danbooru_tags",
    ];
    if random.once_in(3) { name.to_uppercase() } else { random.pick(&names).to_owned() }
}

/// Damage that no tree shows: a piece cut out, doubled, or something dropped in between.
fn break_text(text: &mut String, random: &mut Random) {
    let mut boundary = |text: &str| {
        let mut at = random.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (one, other) = (boundary(text), boundary(text));
    let (start, end) = (one.min(other), one.max(other).min(one.min(other) + 12));
    let end = (start..=end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(start);
    match random.below(5) {
        0 => text.truncate(end),
        1 => text.replace_range(start..end, ""),
        2 => {
            let piece = text[start..end].to_owned();
            text.insert_str(end, &piece);
        }
        3 => text.insert_str(start, random.pick(&["<", ">", "&", "/", "\"", "</", "/>", "<!--", "]]>", "\u{0}", " "])),
        _ => *text = text.replacen("></", "/>", 1),
    }
}
