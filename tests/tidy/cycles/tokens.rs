//! What the tokens of a module say about other modules: its declarations, imports and paths.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// Keywords before the name of a declared item.
const DECLARING: &[&str] = &["const", "enum", "fn", "macro", "static", "struct", "trait", "type", "union"];

/// The beginnings of a path that leads to a module of the same crate.
const ANCHORS: &[&str] = &["crate", "self", "super"];

/// One thing that a module says.
#[derive(Debug)]
pub(crate) enum Item {
    /// It declares an item of this name.
    Declared(String),
    /// `use path as name`; no name for `use path::*`.
    Use {
        /// The path's segments.
        path: Vec<String>,
        /// The name that it brings into scope.
        name: Option<String>,
        line: usize,
    },
    /// A path in code, or in a `use` within a function.
    Path {
        /// Its segments, the first of which is `crate`, `self` or `super`.
        path: Vec<String>,
        line: usize,
    },
    /// `mod name { … }`
    InlineModule {
        name: String,
        /// What stands between the braces.
        body: TokenStream,
    },
    /// `mod name;`
    FileModule {
        name: String,
        /// The file of `#[path = "…"]`.
        path: Option<String>,
        line: usize,
    },
}

/// What a module says, in the order of its source; what is compiled for tests alone is left out.
pub(crate) fn items(stream: TokenStream) -> Vec<Item> {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut found = Vec::new();
    let mut path_attribute = None;
    let mut at = 0;
    while at < tokens.len() {
        if let Some(attribute) = attribute(&tokens, at) {
            if is_test(attribute) {
                at = end_of_item(&tokens, at);
                continue;
            }
            path_attribute = path_of(attribute).or(path_attribute);
            at += 2;
            continue;
        }
        if let TokenTree::Ident(keyword) = &tokens[at]
            && let Some(TokenTree::Ident(name)) = tokens.get(at + 1)
            && keyword == "mod"
        {
            let name_text = plain(name);
            match tokens.get(at + 2) {
                Some(TokenTree::Group(body)) => {
                    found.push(Item::InlineModule { name: name_text, body: body.stream() });
                }
                _ => found.push(Item::FileModule { name: name_text, path: path_attribute.take(), line: line(name) }),
            }
            at += 3;
            continue;
        }
        at = code(&tokens, at, true, &mut found);
    }
    found
}

/// Reads what begins at a token, and returns where the next begins. At the top of a module, imports and declarations
/// are its own; within a function they are paths.
fn code(tokens: &[TokenTree], at: usize, top: bool, found: &mut Vec<Item>) -> usize {
    match &tokens[at] {
        TokenTree::Ident(word) if word == "use" && !is_punct(tokens.get(at + 1), '<') => {
            let mut next = at + 1;
            import(tokens, &mut next, &mut Vec::new(), &mut |item| {
                found.push(match item {
                    Item::Use { path, line, .. } if !top => Item::Path { path, line },
                    item => item,
                });
            });
            next
        }
        // `pub(in crate::a)` depends on nothing.
        TokenTree::Ident(word) if word == "pub" => {
            let restricted = matches!(tokens.get(at + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
            at + 1 + usize::from(restricted)
        }
        TokenTree::Ident(word) if ANCHORS.iter().any(|anchor| word == anchor) && is_path(tokens, at + 1) => {
            let within = at > 1 && is_punct(tokens.get(at - 1), ':') && is_punct(tokens.get(at - 2), ':');
            let (path, next) = path(tokens, at);
            if !within {
                found.push(Item::Path { path, line: line(word) });
            }
            next
        }
        TokenTree::Ident(word) => {
            match tokens.get(at + 1) {
                Some(TokenTree::Ident(name)) if top && DECLARING.iter().any(|keyword| word == keyword) => {
                    found.push(Item::Declared(plain(name)));
                }
                Some(TokenTree::Punct(_)) if top && word == "macro_rules" => {
                    if let Some(TokenTree::Ident(name)) = tokens.get(at + 2) {
                        found.push(Item::Declared(plain(name)));
                    }
                }
                _ => {}
            }
            at + 1
        }
        TokenTree::Group(group) => {
            body(group, found);
            at + 1
        }
        _ => at + 1,
    }
}

/// Reads what stands in a group: paths, also within macros.
fn body(group: &Group, found: &mut Vec<Item>) {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        at = match attribute(&tokens, at) {
            Some(attribute) if is_test(attribute) => end_of_item(&tokens, at),
            _ => code(&tokens, at, false, found),
        };
    }
}

/// The segments of a path that begins here, and where it ends.
fn path(tokens: &[TokenTree], mut at: usize) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    while let Some(TokenTree::Ident(segment)) = tokens.get(at) {
        path.push(plain(segment));
        at += 1;
        if !is_path(tokens, at) {
            break;
        }
        at += 2;
    }
    (path, at)
}

/// Reads one tree of a `use`, which begins at `at` and ends at `;`, `,` or the end of its braces.
fn import(tokens: &[TokenTree], at: &mut usize, path: &mut Vec<String>, emit: &mut dyn FnMut(Item)) {
    let depth = path.len();
    let mut last_line = 1;
    loop {
        match tokens.get(*at) {
            Some(TokenTree::Ident(word)) if word == "as" => {
                let Some(TokenTree::Ident(name)) = tokens.get(*at + 1) else { break };
                emit(Item::Use { path: named(path), name: Some(plain(name)), line: last_line });
                *at += 2;
                path.truncate(depth);
                return;
            }
            Some(TokenTree::Ident(segment)) => {
                path.push(plain(segment));
                last_line = line(segment);
                *at += 1;
            }
            Some(TokenTree::Punct(mark)) if mark.as_char() == ':' => *at += 1,
            Some(TokenTree::Punct(mark)) if mark.as_char() == '*' => {
                emit(Item::Use { path: path.clone(), name: None, line: mark.span().start().line });
                *at += 1;
                path.truncate(depth);
                return;
            }
            Some(TokenTree::Group(group)) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut next = 0;
                while next < inner.len() {
                    import(&inner, &mut next, path, emit);
                    // The comma.
                    next += 1;
                }
                *at += 1;
                path.truncate(depth);
                return;
            }
            _ => break,
        }
    }
    if path.len() > depth {
        let path = named(path);
        let name = path.last().cloned();
        emit(Item::Use { path, name, line: last_line });
    }
    path.truncate(depth);
}

/// `a::self` is `a`.
fn named(path: &[String]) -> Vec<String> {
    match path.split_last() {
        Some((last, rest)) if last == "self" && !rest.is_empty() => rest.to_vec(),
        _ => path.to_vec(),
    }
}

/// The content of an attribute that begins here, inner or outer.
fn attribute(tokens: &[TokenTree], at: usize) -> Option<&Group> {
    if !is_punct(tokens.get(at), '#') {
        return None;
    }
    match tokens.get(at + 1) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => Some(group),
        _ => None,
    }
}

/// Whether an attribute keeps its item for tests: `cfg(test)`, `cfg(all(test, …))`, `test`.
fn is_test(attribute: &Group) -> bool {
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    text == "test" || text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// The file of `path = "…"`.
fn path_of(attribute: &Group) -> Option<String> {
    let text = attribute.stream().to_string();
    let (name, value) = text.split_once('=')?;
    (name.trim() == "path").then(|| value.trim().trim_matches('"').to_owned())
}

/// Where the item ends whose attributes begin here: after its first `;` or its first braces.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let end = tokens[at..].iter().position(|token| match token {
        TokenTree::Punct(mark) => mark.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    });
    end.map_or(tokens.len(), |end| at + end + 1)
}

/// Whether `::` and a name stand here.
fn is_path(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens.get(at), ':')
        && is_punct(tokens.get(at + 1), ':')
        && matches!(tokens.get(at + 2), Some(TokenTree::Ident(_)))
}

fn is_punct(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// A name without `r#`.
fn plain(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

fn line(name: &Ident) -> usize {
    name.span().start().line
}
