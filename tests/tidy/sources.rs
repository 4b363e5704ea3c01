//! What a Rust file must have, may not have, and may name.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::assert_none;
use crate::tree;

/// Longer files hold more than one thing.
const LINES_MAX: usize = 600;

/// Written by generators.
const GENERATED: &[&str] = &["proto/src/gen/"];

/// Placeholders and traces: what a macro of this name does is not done.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

/// One Rust file.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
    tokens: Vec<TokenTree>,
}

impl<'a> Source<'a> {
    fn new(path: &'a str, text: &'a str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Self { path, text, tokens }
    }

    /// The file does not begin with a sentence about its contents.
    fn missing_docs(&self) -> Option<String> {
        let first = self.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        (!first.starts_with("//!")).then(|| format!("{}:1: begin with a `//!` sentence", self.path))
    }

    fn too_long(&self) -> Option<String> {
        let lines = self.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines, {LINES_MAX} allowed", self.path))
    }

    /// Placeholder macros, and tests that are switched off.
    fn unfinished(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for pair in self.tokens.windows(2) {
            let line = pair[0].span().start().line;
            match pair {
                [TokenTree::Ident(name), TokenTree::Punct(mark)]
                    if mark.as_char() == '!' && UNFINISHED.iter().any(|macro_name| name == macro_name) =>
                {
                    findings.push(format!("{}:{line}: {name}!", self.path));
                }
                [TokenTree::Punct(hash), TokenTree::Group(group)]
                    if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
                {
                    if matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(name)) if name == "ignore") {
                        findings.push(format!("{}:{line}: a test that is ignored", self.path));
                    }
                }
                _ => {}
            }
        }
        findings
    }

    /// Every name in the code; comments and strings have none.
    fn names(&self) -> BTreeSet<String> {
        let names = self.tokens.iter().filter_map(|token| match token {
            TokenTree::Ident(name) => Some(name.to_string()),
            _ => None,
        });
        names.collect()
    }

    /// Whether it names a message: anything of `sakuga_proto` but its helpers for values that are not messages.
    fn names_messages(&self) -> bool {
        let mut rest = self.tokens.as_slice();
        while let Some(place) =
            rest.iter().position(|token| matches!(token, TokenTree::Ident(name) if name == "sakuga_proto"))
        {
            rest = &rest[place + 1..];
            match rest {
                [TokenTree::Punct(_), TokenTree::Punct(_), TokenTree::Ident(module), ..]
                    if module == "code" || module == "digest" || module == "text" => {}
                _ => return true,
            }
        }
        false
    }

    /// The locks of `std` that the server imports. It has one kind: those of `parking_lot`, which no panic poisons.
    fn other_locks(&self) -> Vec<String> {
        if !self.path.starts_with("server/src/") {
            return Vec::new();
        }
        let name = |token: &TokenTree| match token {
            TokenTree::Ident(name) => name.to_string(),
            _ => String::new(),
        };
        let mut findings = Vec::new();
        for (at, window) in self.tokens.windows(5).enumerate() {
            if ["use", "std", "", "", "sync"].iter().zip(window).any(|(expected, token)| name(token) != *expected) {
                continue;
            }
            let is_end = |token: &&TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ';');
            let path = self.tokens[at + 5..].iter().take_while(|token| !is_end(token));
            let locks = path.map(name).filter(|name| ["Condvar", "Mutex", "RwLock"].contains(&name.as_str()));
            findings
                .extend(locks.take(1).map(|lock| format!("{}: imports {lock} of std; use parking_lot's", self.path)));
        }
        findings
    }

    /// Within the server, the model is named by one adapter, and the wire's types only where they are converted.
    fn crossed_borders(&self) -> Vec<String> {
        let Some(within) = self.path.strip_prefix("server/src/") else { return Vec::new() };
        let names = self.names();
        let mut findings = Vec::new();
        if names.contains("sakuga_model") && !is_or_within(within, "engine/burn") {
            findings.push(format!("{}: names sakuga_model; only server/src/engine/burn.rs may", self.path));
        }
        // Stored jobs and assets are messages of the wire contract, and so is what the processes of a fleet send each other.
        let converts =
            ["wire", "service", "openai", "jobs", "assets", "fleet"].iter().any(|module| is_or_within(within, module));
        // The composition root registers the services, which are types of the wire.
        if self.names_messages() && !converts && !is_or_within(within, "app") {
            findings.push(format!(
                "{}: names sakuga_proto; only server/src/wire, service, openai, jobs, assets and fleet may",
                self.path
            ));
        }
        findings
    }
}

/// Networks and text encoders of models, as they are written in code and in texts. To the server they are names in lists.
const NETWORKS: [&str; 15] = [
    "gemma",
    "jina",
    "clip_text",
    "cliptext",
    "clip-l",
    "clip_l",
    "clip-g",
    "next-dit",
    "nextdit",
    "next_dit",
    "unet",
    "u-net",
    "autoencoder_kl",
    "autoencoderkl",
    "tiny_decoder",
];

/// The networks that a file of the server names, in code, comments or texts.
fn named_networks(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("server/src/") {
        return Vec::new();
    }
    let text = text.to_lowercase();
    let named = NETWORKS.iter().filter(|network| text.contains(**network));
    named.map(|network| format!("{path}: names `{network}`; the server knows networks from lists alone")).collect()
}

/// The networks of the model that are folders. Files next to the folders are shared by several networks.
const NETWORK_FOLDERS: &str = "model/src/networks/";

/// The network that a file of the model belongs to.
fn network_of(path: &str) -> Option<&str> {
    path.strip_prefix(NETWORK_FOLDERS)?.split_once('/').map(|(network, _)| network)
}

/// The other networks that a file of one network names, by a path through `networks` or `super`.
fn imported_networks(source: &Source<'_>, networks: &BTreeSet<&str>) -> Vec<String> {
    let Some(own) = network_of(source.path) else { return Vec::new() };
    let mut findings = Vec::new();
    for window in source.tokens.windows(4) {
        let [TokenTree::Ident(module), TokenTree::Punct(_), TokenTree::Punct(_), named] = window else { continue };
        if module != "networks" && module != "super" {
            continue;
        }
        let names = match named {
            TokenTree::Ident(name) => vec![name.to_string()],
            TokenTree::Group(list) => list.stream().into_iter().map(|token| token.to_string()).collect(),
            _ => continue,
        };
        let others = names.into_iter().filter(|name| name != own && networks.contains(name.as_str()));
        findings.extend(others.map(|name| format!("{}: names the network {name}; move what both need", source.path)));
    }
    findings
}

/// Whether a file is the module, or lies within it: `wire.rs`, `wire/mod.rs`, `wire/to_proto.rs`.
fn is_or_within(file: &str, module: &str) -> bool {
    file.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Groups are followed by what is in them, so that neighbours stay neighbours.
fn flatten(stream: TokenStream, tokens: &mut Vec<TokenTree>) {
    for token in stream {
        let inner = match &token {
            TokenTree::Group(group) => Some(group.stream()),
            _ => None,
        };
        tokens.push(token);
        if let Some(inner) = inner {
            flatten(inner, tokens);
        }
    }
}

/// Runs a check over every Rust file that a person wrote.
fn over_all(check: impl Fn(&Source<'_>) -> Vec<String>) {
    let Some(files) = tree::files() else { return };
    let rust = files
        .iter()
        .filter(|file| file.path.ends_with(".rs") && !GENERATED.iter().any(|made| file.path.starts_with(made)));
    let mut findings = Vec::new();
    for file in rust {
        let text = file.text().unwrap_or_else(|| panic!("{} is not UTF-8", file.path));
        findings.extend(check(&Source::new(&file.path, text)));
    }
    assert_none(&findings);
}

#[test]
fn every_file_says_what_it_holds() {
    over_all(|source| source.missing_docs().into_iter().collect());
}

#[test]
fn no_file_is_too_long() {
    over_all(|source| source.too_long().into_iter().collect());
}

#[test]
fn nothing_is_unfinished() {
    over_all(|source| source.unfinished());
}

#[test]
fn the_server_keeps_its_borders() {
    over_all(|source| source.crossed_borders());
}

#[test]
fn the_server_has_one_kind_of_lock() {
    over_all(|source| source.other_locks());
}

#[test]
fn the_server_names_no_network() {
    over_all(|source| named_networks(source.path, source.text));
}

#[test]
fn no_network_imports_another() {
    let Some(files) = tree::files() else { return };
    let networks: BTreeSet<&str> = files.iter().filter_map(|file| network_of(&file.path)).collect();
    assert!(networks.contains("next_dit"), "the networks are not in {NETWORK_FOLDERS}: {networks:?}");
    over_all(|source| imported_networks(source, &networks));
}

#[test]
fn a_network_that_another_imports_is_found() {
    let networks = BTreeSet::from(["clip_text", "unet2d"]);
    let found = |path, text| imported_networks(&Source::new(path, text), &networks).len();
    assert_eq!(found("model/src/networks/unet2d/mod.rs", "use crate::networks::clip_text::ClipText;"), 1);
    assert_eq!(found("model/src/networks/unet2d/a/b.rs", "fn f() { crate::networks::clip_text::load() }"), 1);
    assert_eq!(found("model/src/networks/unet2d/a.rs", "use crate::networks::{clip_text::ClipText, unet2d};"), 1);
    assert_eq!(found("model/src/networks/unet2d/mod.rs", "use super::clip_text;"), 1);
    assert_eq!(found("model/src/networks/unet2d/mod.rs", "use crate::networks::unet2d::time::Mlp;"), 0);
    assert_eq!(found("model/src/networks/unet2d/mod.rs", "use crate::networks::text_passes::TextPasses;"), 0);
    assert_eq!(found("model/src/networks/text_passes.rs", "use crate::networks::unet2d::Unet2d;"), 0);
    assert_eq!(found("model/src/families/a.rs", "use crate::networks::unet2d::Unet2d;"), 0);
}

#[test]
fn a_network_that_the_server_names_is_found() {
    assert_eq!(named_networks("server/src/a.rs", "//! Gemma's part\nlet x = \"next_dit\";").len(), 2);
    assert!(named_networks("server/src/a.rs", "//! The text encoders.").is_empty());
    assert!(named_networks("model/src/a.rs", "//! Gemma").is_empty());
}

#[test]
fn a_file_without_a_sentence_is_found() {
    assert!(Source::new("a.rs", "\n//! Holds a.\nfn a() {}").missing_docs().is_none());
    for bad in ["fn a() {}", "/// a\nfn a() {}", "", "// a\n//! b"] {
        assert_eq!(Source::new("a.rs", bad).missing_docs().unwrap(), "a.rs:1: begin with a `//!` sentence");
    }
}

#[test]
fn a_long_file_is_found() {
    let text = "//! a\n".repeat(LINES_MAX + 1);
    assert_eq!(Source::new("a.rs", &text).too_long().unwrap(), "a.rs: 601 lines, 600 allowed");
    assert!(Source::new("a.rs", &text[6..]).too_long().is_none());
}

#[test]
fn unfinished_code_is_found_in_code_alone() {
    let bad = "fn a() {\n    todo!()\n}\n#[test]\n#[ignore = \"slow\"]\nfn b() { f(dbg!(1)); unimplemented!(\"x\") }";
    let findings = Source::new("a.rs", bad).unfinished();
    assert_eq!(findings, ["a.rs:2: todo!", "a.rs:5: a test that is ignored", "a.rs:6: dbg!", "a.rs:6: unimplemented!"]);
    let good =
        "// todo!()\nfn a() { let ignore = \"dbg!(1)\"; let todo = !true; b(ignore, todo) }\n/// #[ignore]\nstruct S;";
    assert!(Source::new("a.rs", good).unfinished().is_empty());
}

#[test]
fn a_lock_of_std_is_found() {
    let locks = |path, text| Source::new(path, text).other_locks().len();
    assert_eq!(locks("server/src/a.rs", "use std::sync::{Arc, Mutex};"), 1);
    assert_eq!(locks("server/src/a.rs", "use std::sync::Arc;\nuse std::sync::RwLock;"), 1);
    assert_eq!(locks("server/src/a.rs", "use std::sync::Arc;\nuse parking_lot::Mutex;"), 0);
    assert_eq!(locks("client/src/a.rs", "use std::sync::Mutex;"), 0);
}

#[test]
fn a_crossed_border_is_found() {
    let borders = |path, text| Source::new(path, text).crossed_borders().len();
    assert_eq!(borders("server/src/queue.rs", "use sakuga_model::Pipeline;"), 1);
    assert_eq!(borders("server/src/engine/mod.rs", "fn f() { sakuga_model::open() }"), 1);
    assert_eq!(borders("server/src/engine/burn.rs", "use sakuga_model::Pipeline;"), 0);
    assert_eq!(borders("server/src/event.rs", "use sakuga_proto::prompt::v1 as pb;"), 1);
    assert_eq!(borders("server/src/picture.rs", "pub use sakuga_proto::digest::sha256_hex;"), 0);
    assert_eq!(borders("server/src/picture.rs", "use sakuga_proto::digest::d; use sakuga_proto as p;"), 1);
    assert_eq!(borders("server/src/wired.rs", "use sakuga_proto::prompt::v1 as pb;"), 1);
    assert_eq!(borders("server/src/wire/to_proto.rs", "use sakuga_proto::prompt::v1 as pb;"), 0);
    assert_eq!(borders("server/src/service.rs", "use sakuga_proto::prompt::v1 as pb;"), 0);
    assert_eq!(borders("server/src/event.rs", "//! Not sakuga_proto.\nconst A: &str = \"sakuga_model\";"), 0);
    assert_eq!(borders("tests/src/lib.rs", "use sakuga_model as m; use sakuga_proto as p;"), 0);
}
