//! The oracle reads what the XSD accepts and refuses the rest.

mod oracle;

use oracle::{ReadError, negative_document, prompt_document, read_negative, read_prompt};
use sakuga_schema::{Gender, Prompt};

const ONE: &str =
    "<character_1><n> a\n b </n><gender> 1girl </gender><clothing>hat,, red  scarf ,</clothing></character_1>";

fn fault(text: &str) -> String {
    read_prompt(text).expect_err(text).to_string()
}

#[test]
fn a_document_and_its_blocks_read_alike() {
    let blocks = read_prompt(ONE).expect("it follows the XSD");
    let document = read_prompt(&format!("<?xml version=\"1.0\"?><!-- -->\n<prompt> {ONE}\n</prompt>\n<!-- -->"));
    assert_eq!(Ok(&blocks), document.as_ref());
    let character = &blocks.characters[0];
    assert_eq!(character.n, "a b");
    assert_eq!(character.gender, Some(Gender::Girl));
    assert_eq!(character.clothing.to_string(), "hat, red scarf");
    assert_eq!(read_prompt(&prompt_document(&blocks)).as_ref(), Ok(&blocks));
}

#[test]
fn references_sections_and_line_ends_are_resolved() {
    let text = "<caption>\r\n a &lt; b &#13;<![CDATA[<&>]]><!-- no --> c\r\nd&#x20;</caption>";
    let prompt = read_prompt(text).expect("it follows the XSD");
    assert_eq!(prompt.caption.as_deref(), Some("a < b \r<&> c\nd"));
}

#[test]
fn nothing_is_an_empty_prompt() {
    for text in ["", " \n", "<!-- -->", "<prompt/>", "<prompt> </prompt>", "<prompt>&#32;<![CDATA[ ]]></prompt>"] {
        assert_eq!(read_prompt(text), Ok(Prompt::default()), "{text:?}");
    }
}

#[test]
fn negative_prompts_are_read_with_and_without_root() {
    let lines = "<resolution>low_resolution</resolution><danbooru_tags>blurry, text</danbooru_tags>";
    let negative = read_negative(lines).expect("it follows the XSD");
    assert_eq!(negative.danbooru_tags.to_string(), "blurry, text");
    assert_eq!(read_negative(&negative_document(&negative)), Ok(negative));
}

#[test]
fn a_gap_is_named() {
    let text = format!("{ONE}<character_4><gender>1boy</gender></character_4>");
    assert_eq!(read_prompt(&text), Err(ReadError::Gap { missing: 2, present: 4 }));
}

#[test]
fn blank_elements_are_named() {
    let empty = |path: &str| Err(ReadError::Empty { path: path.to_owned() });
    assert_eq!(read_prompt("<general_tags><count> , </count></general_tags>"), empty("general_tags/count"));
    assert_eq!(read_prompt("<caption>\u{3000}</caption>"), empty("caption"));
    assert_eq!(read_prompt("<caption/>"), empty("caption"));
}

#[test]
fn attributes_may_only_say_what_is_fixed() {
    let text = |attributes: &str| format!("<character_1 {attributes}><gender>1girl</gender></character_1>");
    for attributes in ["number='1'", "number=' 01&#32;'", "xmlns:x='urn:x'"] {
        assert!(read_prompt(&text(attributes)).is_ok(), "{attributes}");
    }
    for attributes in ["number='2'", "after='0'", "after='1'", "name='x'", "number='one'", "number=1", "x:number='1'"] {
        fault(&text(attributes));
    }
    fault("<caption lang='en'>x</caption>");
    fault("<prompt xmlns='urn:x'/>");
    let root =
        "<prompt xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:noNamespaceSchemaLocation='prompt.xsd'/>";
    assert_eq!(read_prompt(root), Ok(Prompt::default()));
}

#[test]
fn what_has_no_place_is_refused() {
    let faults = [
        ("<character_1><n/></character_1>", "\"gender\" is missing"),
        ("<character_1><gender>girl</gender></character_1>", "\"girl\" is not one of"),
        ("<caption>a</caption><caption>b</caption>", "\"caption\" stands there twice"),
        ("<character_17/>", "\"character_17\" has no place"),
        ("<caption>a<b/></caption>", "\"b\" has no place"),
        ("a", "text has no place"),
        ("<prompt>a</prompt>", "text has no place"),
        ("<caption>x</caption> a", "text has no place"),
        ("<prompt>&lt;</prompt>", "a reference has no place"),
        ("<prompt><![CDATA[x]]></prompt>", "a CDATA section has no place"),
        ("<!DOCTYPE prompt><prompt/>", "a document type has no place"),
        ("<prompt/><prompt/>", "only comments may follow"),
        ("<prompt/>x", "only comments may follow"),
        ("<x:caption>a</x:caption>", "has a namespace"),
        ("<caption>a]]>b</caption>", "`]]&gt;`"),
        ("<caption>&#1;</caption>", "U+0001"),
        ("<caption>\u{1}</caption>", "U+0001"),
        ("<caption>&hearts;</caption>", "hearts"),
        ("<caption>a", "`caption` is not closed"),
        ("<caption>a</n></caption>", "caption"),
        ("<n>a</n>", "\"n\" has no place"),
    ];
    for (text, expected) in faults {
        let said = fault(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn a_fault_has_its_place() {
    let Err(ReadError::Structure { offset, .. }) = read_prompt("<caption>a</caption>\n<b/>") else {
        panic!("an unknown element must be refused");
    };
    assert_eq!(offset, 25);
}
