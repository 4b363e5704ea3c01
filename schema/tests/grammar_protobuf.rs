//! `prompt.proto` mirrors `prompt.xsd`: the same elements in the same order, as often, with the same closed values.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use sakuga_schema::grammar::{self, ElementDecl, TextKind};

const FILE: &str = "sakuga/prompt/v1/prompt.proto";
const PACKAGE: &str = "sakuga.prompt.v1";

#[test]
fn the_messages_mirror_the_xsd() {
    let differences = differences(&compile(&source()).expect("prompt.proto compiles"));
    assert!(differences.is_empty(), "prompt.xsd and prompt.proto differ:\n{}", differences.join("\n"));
}

/// The comparison above must report each of these changes.
#[test]
fn every_kind_of_difference_is_noticed() {
    let changes = [
        // (what stands in prompt.proto, what it becomes, what must be said)
        ("  TagList position = 9;\n", "", "Character: `position` is missing"),
        ("  TagList count = 1;\n", "", "GeneralTags: `count` is missing"),
        ("  Gender gender = 2;\n", "", "Character: `gender` is missing"),
        ("  GeneralTags general_tags = 2;\n", "", "Prompt: `general_tags` is missing"),
        ("  repeated Character characters = 1;\n", "", "Prompt: `characters` is missing"),
        ("  TagList e621_tags = 2;\n", "", "NegativePrompt: `e621_tags` is missing"),
        (
            "  TagList other = 12;",
            "  TagList other = 12;\n  TagList weather = 13;",
            "GeneralTags: `weather` is not an element",
        ),
        ("  string caption = 3;", "  string caption = 3;\n  string title = 4;", "Prompt: `title` is not an element"),
        ("  TagList artists = 2;", "  TagList artist = 2;", "GeneralTags: `artist` is not an element"),
        ("artists = 2;", "artists = 13;", "GeneralTags: `artists` has number 13, not 2"),
        ("  TagList count = 1;", "  TagList number = 1;", "GeneralTags: field 1 is `number`, not `count`"),
        ("repeated Character characters", "Character characters", "Prompt.characters: must be repeated"),
        ("at most 16", "at most 8", "Prompt.characters: the comment must say `at most 16`"),
        ("  TagList lighting", "  repeated TagList lighting", "GeneralTags.lighting: must not be repeated"),
        ("  TagList lighting", "  string lighting", "GeneralTags.lighting: must be a TagList"),
        ("  string n = 1;", "  TagList n = 1;", "Character.n: must be a string"),
        ("  string n = 1;", "  optional string n = 1;", "Character.n: must not be optional"),
        ("  string n = 1;", "  oneof name { string n = 1; }", "Character.n: must not be in a oneof"),
        ("this character. Required.", "this character.", "Character.gender: the comment must say `Required`"),
        ("What the character wears", "Required. What the character wears", "Character.clothing: is not required"),
        ("  Gender gender", "  string gender", "Character.gender: must be an enum"),
        ("  GENDER_OTHER = 3;", "", "Gender: `1other` is missing"),
        ("  GENDER_OTHER = 3;", "  GENDER_OTHER = 3;\n  GENDER_ROBOT = 4;", "Gender: GENDER_ROBOT is not a value"),
        ("GENDER_GIRL = 1", "GENDER_GIRL = 5", "Gender: GENDER_GIRL has number 5, not 1"),
        ("GENDER_BOY", "GENDER_1BOY", "Gender: `1boy` is missing"),
        ("repeated string tags", "string tags", "TagList.tags: must be repeated"),
        ("repeated string tags", "repeated bytes tags", "TagList.tags: must be a string"),
        ("message TagList {", "message Stray { string x = 1; }\nmessage TagList {", "Stray: mirrors nothing"),
        ("enum Gender {", "enum Mood { MOOD_UNSPECIFIED = 0; }\nenum Gender {", "Mood: mirrors nothing"),
    ];
    let source = source();
    for (from, to, expected) in changes {
        let changed = source.replacen(from, to, 1);
        assert_ne!(changed, source, "prompt.proto no longer holds `{from}`");
        let pool = compile(&changed).unwrap_or_else(|error| panic!("`{from}` -> `{to}`: {error}"));
        let differences = differences(&pool);
        assert!(
            differences.iter().any(|difference| difference.starts_with(expected)),
            "`{from}` -> `{to}` must give `{expected}`, gave {differences:?}"
        );
    }
}

#[test]
fn another_order_is_noticed() {
    let swapped = source()
        .replacen("TagList count = 1;", "TagList held = 1;", 1)
        .replacen("TagList artists = 2;", "TagList count = 2;", 1)
        .replacen("TagList held = 1;", "TagList artists = 1;", 1);
    let differences = differences(&compile(&swapped).expect("it still compiles"));
    assert!(differences.contains(&"GeneralTags: field 1 is `artists`, not `count`".to_owned()), "{differences:?}");
    assert!(differences.contains(&"GeneralTags: `count` has number 2, not 1".to_owned()), "{differences:?}");
}

fn source() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto").join(FILE);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn compile(source: &str) -> Result<DescriptorPool, protox::Error> {
    let root = tempfile::tempdir().expect("a temporary directory");
    let path = root.path().join(FILE);
    fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
    fs::write(&path, source).expect("it can be written");
    let mut compiler = protox::Compiler::new([root.path()])?;
    compiler.include_source_info(true).open_file(FILE)?;
    Ok(compiler.descriptor_pool())
}

/// Everything that the XSD has and the descriptors lack, or the other way round.
fn differences(pool: &DescriptorPool) -> Vec<String> {
    let mut walk = Walk { pool, seen: BTreeSet::new(), differences: Vec::new() };
    walk.root("Prompt", &grammar::PROMPT);
    walk.root("NegativePrompt", &grammar::NEGATIVE_PROMPT);
    let types = pool.all_messages().map(|message| message.full_name().to_owned());
    for name in types.chain(pool.all_enums().map(|values| values.full_name().to_owned())) {
        if !walk.seen.contains(&name) {
            let name = name.rsplit('.').next().unwrap_or_default();
            walk.differences.push(format!("{name}: mirrors nothing in the XSD"));
        }
    }
    walk.differences
}

/// A field as the XSD asks for it.
struct Expected {
    name: &'static str,
    /// The grammar of the element; of one of them where the field is repeated.
    decl: &'static ElementDecl,
    /// How many elements the field stands for: 1, or the length of a numbered run.
    run: usize,
}

struct Walk<'a> {
    pool: &'a DescriptorPool,
    seen: BTreeSet<String>,
    differences: Vec<String>,
}

impl Walk<'_> {
    fn say(&mut self, difference: String) {
        self.differences.push(difference);
    }

    fn root(&mut self, name: &str, decl: &'static ElementDecl) {
        match self.pool.get_message_by_name(&format!("{PACKAGE}.{name}")) {
            Some(message) => self.message(&message, decl),
            None => self.say(format!("{name}: there is no such message")),
        }
    }

    fn message(&mut self, message: &MessageDescriptor, decl: &'static ElementDecl) {
        self.seen.insert(message.full_name().to_owned());
        let expected = expected_fields(decl);
        let name = message.name();
        for (field, number) in expected.iter().zip(1..) {
            let Some(found) = message.get_field_by_name(field.name) else {
                self.say(format!("{name}: `{}` is missing", field.name));
                continue;
            };
            if found.number() != number {
                self.say(format!("{name}: `{}` has number {}, not {number}", field.name, found.number()));
            }
            self.field(&found, field);
        }
        for (index, found) in message.descriptor_proto().field.iter().enumerate() {
            match expected.get(index) {
                Some(field) if field.name == found.name() => {}
                Some(field) => {
                    self.say(format!("{name}: field {} is `{}`, not `{}`", index + 1, found.name(), field.name));
                }
                None => self.say(format!("{name}: field {} is `{}`, and there is none", index + 1, found.name())),
            }
            if expected.iter().all(|field| field.name != found.name()) {
                self.say(format!("{name}: `{}` is not an element", found.name()));
            }
        }
    }

    fn field(&mut self, found: &FieldDescriptor, expected: &Expected) {
        let name = format!("{}.{}", found.parent_message().name(), found.name());
        let must_repeat = expected.run > 1;
        if must_repeat != (found.cardinality() == Cardinality::Repeated) {
            self.say(format!("{name}: must {}be repeated", if must_repeat { "" } else { "not " }));
        }
        if found.field_descriptor_proto().proto3_optional() {
            self.say(format!("{name}: must not be optional, an absent element is the empty value"));
        } else if found.containing_oneof().is_some() {
            self.say(format!("{name}: must not be in a oneof"));
        }
        let comment = comment(found);
        if must_repeat && !comment.contains(&format!("at most {}.", expected.run)) {
            self.say(format!("{name}: the comment must say `at most {}`", expected.run));
        }
        let is_required = expected.decl.min_occurs > 0;
        match (is_required, comment.contains("Required")) {
            (true, false) => self.say(format!("{name}: the comment must say `Required`")),
            (false, true) => self.say(format!("{name}: is not required")),
            _ => {}
        }
        match (expected.decl.text(), found.kind()) {
            (None, Kind::Message(message)) => self.message(&message, expected.decl),
            (None, _) => self.say(format!("{name}: must be a message")),
            (Some(text), Kind::Enum(values)) if !text.values.is_empty() => self.values(&values, text.values),
            (Some(text), _) if !text.values.is_empty() => self.say(format!("{name}: must be an enum")),
            (Some(text), Kind::Message(list)) if text.kind == TextKind::Tags && list.name() == "TagList" => {
                self.tag_list(&list);
            }
            (Some(text), _) if text.kind == TextKind::Tags => self.say(format!("{name}: must be a TagList")),
            (Some(_), Kind::String) => {}
            (Some(_), _) => self.say(format!("{name}: must be a string")),
        }
    }

    fn tag_list(&mut self, list: &MessageDescriptor) {
        if !self.seen.insert(list.full_name().to_owned()) {
            return;
        }
        match list.fields().collect::<Vec<_>>().as_slice() {
            [tags] if tags.name() == "tags" => {
                if tags.kind() != Kind::String {
                    self.say("TagList.tags: must be a string each".to_owned());
                }
                if !tags.is_list() {
                    self.say("TagList.tags: must be repeated".to_owned());
                }
            }
            _ => self.say("TagList: must hold `tags` and nothing else".to_owned()),
        }
    }

    fn values(&mut self, found: &EnumDescriptor, values: &[&str]) {
        self.seen.insert(found.full_name().to_owned());
        let name = found.name();
        let prefix = name.to_uppercase();
        // A name that begins with a digit after its prefix is not valid in C#.
        let constant = |value: &str| format!("{prefix}_{}", value.trim_start_matches(char::is_numeric).to_uppercase());
        let expected = std::iter::once("unspecified").chain(values.iter().copied());
        for (value, number) in expected.clone().zip(0..) {
            match found.get_value_by_name(&constant(value)) {
                Some(found) if found.number() == number => {}
                Some(found) => {
                    self.say(format!("{name}: {} has number {}, not {number}", found.name(), found.number()))
                }
                None => self.say(format!("{name}: `{value}` is missing")),
            }
        }
        for found in found.values() {
            if expected.clone().all(|value| constant(value) != found.name()) {
                self.say(format!("{name}: {} is not a value", found.name()));
            }
        }
    }
}

/// The fields that mirror an element's children: one each, but one for a whole run of `character_1`, `character_2` …
fn expected_fields(decl: &'static ElementDecl) -> Vec<Expected> {
    let mut fields: Vec<Expected> = Vec::new();
    for child in decl.children() {
        assert_eq!(child.max_occurs, 1, "xs:all allows no more");
        match child.name.strip_prefix("character_") {
            Some("1") => fields.push(Expected { name: "characters", decl: child, run: 1 }),
            Some(number) => {
                let run = fields.last_mut().expect("the first character comes first");
                run.run += 1;
                assert_eq!(number, run.run.to_string(), "characters are listed in order");
                assert_eq!(child.content, run.decl.content, "all characters hold the same");
            }
            None => fields.push(Expected { name: child.name, decl: child, run: 1 }),
        }
    }
    fields
}

/// The comment that stands before a field.
fn comment(field: &FieldDescriptor) -> String {
    let file = field.parent_file();
    let locations = file.file_descriptor_proto().source_code_info.clone().unwrap_or_default().location;
    let location = locations.into_iter().find(|location| location.path == field.path());
    location.map(|location| location.leading_comments().to_owned()).unwrap_or_default()
}
