//! A bad text for every rule, which must find it, and only it.

use std::collections::BTreeSet;

use protox::Error;
use protox::file::{File, FileResolver};

use super::api::Api;
use super::{lint, rules};

/// Files: import name and text.
type Files = &'static [(&'static str, &'static str)];

/// What the rules find in these files. Where a fault cannot stand alone, the others are listed with it.
const BAD: &[(&[&str], Files)] = &[
    (
        // `required` exists in proto2 only.
        &["SYNTAX_SPECIFIED", "FIELD_NOT_REQUIRED"],
        &[("a/v1/a.proto", "syntax = \"proto2\"; package a.v1;\n// M\nmessage M {\n// f\nrequired int32 f = 1; }")],
    ),
    (&["SYNTAX_SPECIFIED"], &[("a/v1/a.proto", "package a.v1;")]),
    (&["FILE_LOWER_SNAKE_CASE"], &[("a/v1/aB.proto", "syntax = \"proto3\"; package a.v1;")]),
    (&["PACKAGE_DEFINED"], &[("a/v1/a.proto", "syntax = \"proto3\";")]),
    (&["PACKAGE_LOWER_SNAKE_CASE"], &[("aB/v1/a.proto", "syntax = \"proto3\"; package aB.v1;")]),
    (&["PACKAGE_VERSION_SUFFIX"], &[("a/b/a.proto", "syntax = \"proto3\"; package a.b;")]),
    (&["PACKAGE_VERSION_SUFFIX"], &[("a/v0/a.proto", "syntax = \"proto3\"; package a.v0;")]),
    (&["PACKAGE_DIRECTORY_MATCH"], &[("b/v1/a.proto", "syntax = \"proto3\"; package a.v1;")]),
    (
        &["PACKAGE_SAME_DIRECTORY", "PACKAGE_DIRECTORY_MATCH"],
        &[
            ("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;"),
            ("b/v1/b.proto", "syntax = \"proto3\"; package a.v1;"),
        ],
    ),
    (
        &["DIRECTORY_SAME_PACKAGE", "PACKAGE_DIRECTORY_MATCH"],
        &[
            ("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;"),
            ("a/v1/b.proto", "syntax = \"proto3\"; package b.v1;"),
        ],
    ),
    (
        &["PACKAGE_SAME_OPTIONS"],
        &[
            ("a/v1/a.proto", "syntax = \"proto3\"; package a.v1; option java_package = \"x\";"),
            ("a/v1/b.proto", "syntax = \"proto3\"; package a.v1;"),
        ],
    ),
    (
        // Files cannot import in a circle; packages can.
        &["PACKAGE_NO_IMPORT_CYCLE"],
        &[
            ("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// A\nmessage A {}"),
            (
                "b/v1/b.proto",
                "syntax = \"proto3\"; package b.v1; import \"a/v1/a.proto\";\n// B\nmessage B {\n// a\na.v1.A a = 1; }",
            ),
            (
                "a/v1/c.proto",
                "syntax = \"proto3\"; package a.v1; import \"b/v1/b.proto\";\n// C\nmessage C {\n// b\nb.v1.B b = 1; }",
            ),
        ],
    ),
    (
        &["IMPORT_NO_PUBLIC"],
        &[
            ("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// A\nmessage A {}"),
            (
                "a/v1/b.proto",
                "syntax = \"proto3\"; package a.v1; import public \"a/v1/a.proto\";\n// B\nmessage B {\n// a\nA a = 1; }",
            ),
        ],
    ),
    (
        &["IMPORT_NO_WEAK"],
        &[
            ("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// A\nmessage A {}"),
            (
                "a/v1/b.proto",
                "syntax = \"proto3\"; package a.v1; import weak \"a/v1/a.proto\";\n// B\nmessage B {\n// a\nA a = 1; }",
            ),
        ],
    ),
    (
        &["IMPORT_USED"],
        &[
            ("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// A\nmessage A {}"),
            ("a/v1/b.proto", "syntax = \"proto3\"; package a.v1; import \"a/v1/a.proto\";"),
        ],
    ),
    (&["MESSAGE_PASCAL_CASE"], &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// M\nmessage my_message {}")]),
    (
        // Also where it stands within another message.
        &["MESSAGE_PASCAL_CASE"],
        &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// M\nmessage M {\n// n\nmessage n {}\n}")],
    ),
    (
        &["FIELD_LOWER_SNAKE_CASE"],
        &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// M\nmessage M {\n// f\nint32 someField = 1; }")],
    ),
    (
        &["ONEOF_LOWER_SNAKE_CASE"],
        &[(
            "a/v1/a.proto",
            "syntax = \"proto3\"; package a.v1;\n// M\nmessage M {\n// o\noneof Choice {\n// f\nint32 f = 1; } }",
        )],
    ),
    (
        &["ENUM_PASCAL_CASE"],
        &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// E\nenum size {\n// 0\nSIZE_UNSPECIFIED = 0; }")],
    ),
    (
        &["ENUM_NO_ALLOW_ALIAS"],
        &[(
            "a/v1/a.proto",
            "syntax = \"proto3\"; package a.v1;\n// E\nenum Size { option allow_alias = true;\n// 0\nSIZE_UNSPECIFIED = 0;\n\
             // 1\nSIZE_ONE = 1;\n// 1\nSIZE_UNIT = 1; }",
        )],
    ),
    (
        // proto3 itself refuses this; proto2 does not.
        &["ENUM_FIRST_VALUE_ZERO", "SYNTAX_SPECIFIED"],
        &[("a/v1/a.proto", "syntax = \"proto2\"; package a.v1;\n// E\nenum Size {\n// 1\nSIZE_ONE = 1; }")],
    ),
    (
        &["ENUM_ZERO_VALUE_SUFFIX"],
        &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// E\nenum Size {\n// 0\nSIZE_NONE = 0; }")],
    ),
    (
        &["ENUM_VALUE_UPPER_SNAKE_CASE"],
        &[(
            "a/v1/a.proto",
            "syntax = \"proto3\"; package a.v1;\n// E\nenum Size {\n// 0\nSIZE_UNSPECIFIED = 0;\n// 1\nSIZE_one = 1; }",
        )],
    ),
    (
        &["ENUM_VALUE_PREFIX"],
        &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// E\nenum PageSize {\n// 0\nSIZE_UNSPECIFIED = 0; }")],
    ),
    (&["SERVICE_PASCAL_CASE"], &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// S\nservice aService {}")]),
    (&["SERVICE_SUFFIX"], &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// S\nservice Painter {}")]),
    (
        // The messages are named for the call.
        &["RPC_PASCAL_CASE", "MESSAGE_PASCAL_CASE"],
        &[(
            "a/v1/a.proto",
            "syntax = \"proto3\"; package a.v1;\n// Q\nmessage drawRequest {}\n// R\nmessage drawResponse {}\n// S\n\
             service AService {\n// d\nrpc draw(drawRequest) returns (drawResponse); }",
        )],
    ),
    (
        &["RPC_REQUEST_STANDARD_NAME"],
        &[(
            "a/v1/a.proto",
            "syntax = \"proto3\"; package a.v1;\n// Q\nmessage Question {}\n// R\nmessage DrawResponse {}\n// S\n\
             service AService {\n// d\nrpc Draw(Question) returns (DrawResponse); }",
        )],
    ),
    (
        &["RPC_RESPONSE_STANDARD_NAME"],
        &[(
            "a/v1/a.proto",
            "syntax = \"proto3\"; package a.v1;\n// Q\nmessage AServiceDrawRequest {}\n// R\nmessage Answer {}\n// S\n\
             service AService {\n// d\nrpc Draw(AServiceDrawRequest) returns (stream Answer); }",
        )],
    ),
    (
        &["RPC_REQUEST_RESPONSE_UNIQUE"],
        &[(
            "a/v1/a.proto",
            "syntax = \"proto3\"; package a.v1;\n// Q\nmessage DrawRequest {}\n// R\nmessage DrawResponse {}\n// S\n\
             service AService {\n// d\nrpc Draw(DrawRequest) returns (DrawResponse); }\n// T\n\
             service BService {\n// d\nrpc Draw(DrawRequest) returns (DrawResponse); }",
        )],
    ),
    (&["COMMENT_MESSAGE"], &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1; message M {}")]),
    (
        // An empty comment is none, and one behind the field is not above it.
        &["COMMENT_FIELD"],
        &[(
            "a/v1/a.proto",
            "syntax = \"proto3\"; package a.v1;\n// M\nmessage M {\n//\nint32 f = 1;\n\nint32 g = 2; // g\n}",
        )],
    ),
    (
        &["COMMENT_ONEOF"],
        &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// M\nmessage M { oneof o {\n// f\nint32 f = 1; } }")],
    ),
    (
        &["COMMENT_ENUM"],
        &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1; enum Size {\n// 0\nSIZE_UNSPECIFIED = 0; }")],
    ),
    (
        &["COMMENT_ENUM_VALUE"],
        &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1;\n// E\nenum Size { SIZE_UNSPECIFIED = 0; }")],
    ),
    (&["COMMENT_SERVICE"], &[("a/v1/a.proto", "syntax = \"proto3\"; package a.v1; service AService {}")]),
    (
        &["COMMENT_RPC"],
        &[(
            "a/v1/a.proto",
            "syntax = \"proto3\"; package a.v1;\n// Q\nmessage DrawRequest {}\n// R\nmessage DrawResponse {}\n// S\n\
             service AService { rpc Draw(DrawRequest) returns (DrawResponse); }",
        )],
    ),
];

/// Nothing is wrong with this one: it has everything that a rule could mistake.
const GOOD: Files = &[
    (
        "a/v1/a.proto",
        "syntax = \"proto3\"; package a.v1;\n// A\nmessage A {}\n// E\nenum E {\n// 0\nE_UNSPECIFIED = 0; }",
    ),
    (
        "b/v1beta2/all_of_it.proto",
        "syntax = \"proto3\"; package b.v1beta2; import \"a/v1/a.proto\";\n// Q\nmessage DrawRequest {\n\
         // an optional field is a oneof of its own\noptional int32 f = 1;\n\
         // a map has a message of its own, and uses the import\nmap<string, a.v1.E> m = 2;\n\
         // within\nmessage Within {\n// n\nenum N {\n// 0\nN_UNSPECIFIED = 0; }\n// f\nN f = 1; } }\n\
         // R\nmessage DrawResponse {}\n// S\nservice BService {\n// d\nrpc Draw(DrawRequest) returns (DrawResponse); }",
    ),
];

/// Files that are not on disk.
struct Texts(Files);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        let (name, text) = self.0.iter().find(|file| file.0 == name).ok_or_else(|| Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}

fn rules_that_find(files: Files) -> BTreeSet<String> {
    let names: Vec<&str> = files.iter().map(|file| file.0).collect();
    let findings = lint(&Api::compile(Texts(files), &names));
    findings.iter().filter_map(|line| line.split_once(": ")).map(|(rule, _)| rule.to_owned()).collect()
}

#[test]
fn each_rule_finds_what_it_is_for() {
    for (expected, files) in BAD {
        let expected: BTreeSet<String> = expected.iter().map(|&rule| rule.to_owned()).collect();
        assert_eq!(rules_that_find(files), expected, "in {files:#?}");
    }
}

#[test]
fn no_rule_is_without_a_bad_text() {
    let tested: BTreeSet<&str> = BAD.iter().flat_map(|(rules, _)| rules.iter().copied()).collect();
    let all: BTreeSet<&str> = rules().map(|rule| rule.name).collect();
    assert_eq!(tested, all);
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(rules_that_find(GOOD), BTreeSet::new());
}
