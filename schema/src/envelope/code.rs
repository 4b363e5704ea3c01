//! Source code around a prompt: assignments, calls, tuples and commands with the prompt in a string literal.

/// Words that begin a declaration.
const KEYWORDS: &[&str] = &[
    "const",
    "constexpr",
    "let",
    "mut",
    "var",
    "val",
    "final",
    "static",
    "auto",
    "local",
    "my",
    "our",
    "public",
    "private",
    "protected",
    "readonly",
    "export",
    "set",
    "setx",
    "declare",
    "global",
    "string",
    "String",
    "str",
    "char",
    "wchar_t",
    "std::string",
    "string_view",
    "std::string_view",
    "NSString",
    "QString",
    "dim",
    "Dim",
];

/// Marks of a string literal, from the longest on.
const PREFIXES: &[&str] = &[
    "std::string(",
    "String(",
    "@\"",
    "u8",
    "rb",
    "br",
    "Rb",
    "fr",
    "rf",
    "u",
    "U",
    "b",
    "B",
    "r",
    "R",
    "f",
    "F",
    "L",
    "c",
    "$",
    "&",
    "(",
    "[",
];

/// Most lines that are looked at.
const MOST_LINES: usize = 400;

/// Whether a text is source code with a string literal: `const prompt = "1girl";`, `pipe("1girl")`, `('1girl', 'solo')`.
pub(super) fn is_code(text: &str) -> bool {
    let text = text.trim();
    is_literal(text)
        || is_call(text)
        || is_tuple(text)
        || text.lines().take(MOST_LINES).any(|line| is_statement(line) || is_command(line))
}

/// The length of the mark before a string literal that stands for its characters alone: `u'1girl'`, `r"1girl"`. 0 if
/// there is none, or escapes, or parts that a program fills in.
pub(super) fn literal_mark(text: &str) -> usize {
    let Some(length) = literal_start(text) else { return 0 };
    let is_formatted = text[..length].contains(['f', 'F', '$']) && text.contains('{');
    if text.contains('\\') || is_formatted { 0 } else { length }
}

/// The length of the letters before the quotes of a text that is one string literal.
fn literal_start(text: &str) -> Option<usize> {
    let length = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'$')).count();
    let is_mark = matches!(&text[..length], "u8" | "@" | "$" | "@$" | "$@") || PREFIXES.contains(&&text[..length]);
    let quote = text[length..].chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let is_whole = text.len() > length + 1 && text.ends_with(quote);
    (is_mark && is_whole).then_some(length)
}

/// `f"1girl, {hair}"`: a literal with a mark and more inside than its characters.
fn is_literal(text: &str) -> bool {
    literal_start(text.trim_end_matches(';')).is_some()
}

/// Whether a string literal begins a text: `"…`, `f'…`, `("…`, `pipe("…`.
fn begins_literal(text: &str) -> bool {
    let mut rest = text.trim_start();
    const MOST_MARKS: usize = 4;
    for _ in 0..MOST_MARKS {
        if rest.starts_with(['"', '\'', '`']) {
            return true;
        }
        match PREFIXES.iter().find_map(|prefix| rest.strip_prefix(*prefix)) {
            Some(behind) => rest = behind.trim_start(),
            None => break,
        }
    }
    call_start(text.trim_start()).is_some()
}

/// The arguments of a call whose first one is a string literal: `print("a")`, `pipe.draw(prompt='a')`.
fn call_start(text: &str) -> Option<&str> {
    let (name, arguments) = text.split_once('(')?;
    let name = name.strip_prefix("await ").or_else(|| name.strip_prefix("new ")).unwrap_or(name);
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'!'));
    let first = arguments.trim_start();
    let argument = first.find(|other: char| !other.is_ascii_alphanumeric() && other != '_').unwrap_or(0);
    let value = first[argument..].trim_start().strip_prefix('=').map_or(first, str::trim_start);
    let value = ["u", "f", "r", "b"].iter().find_map(|mark| value.strip_prefix(*mark)).unwrap_or(value);
    (is_name && value.starts_with(['"', '\'', '`'])).then_some(arguments)
}

fn is_call(text: &str) -> bool {
    let closed = text.trim_end_matches(';').trim_end();
    closed.ends_with([')', ']']) && call_start(closed).is_some()
}

/// `('1girl', 'solo')`, `"1girl", "solo"`
fn is_tuple(text: &str) -> bool {
    const FEWEST: usize = 2;
    let inside = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
    let mut rest = inside.trim_start();
    let mut count = 0;
    while let Some(quote) = rest.chars().next() {
        if !matches!(quote, '"' | '\'') {
            return false;
        }
        let Some(end) = rest[1..].find(quote) else { return false };
        count += 1;
        rest = rest[end + 2..].trim_start();
        rest = match rest.strip_prefix(',') {
            Some(behind) => behind.trim_start(),
            None if rest.is_empty() => break,
            None => return false,
        };
    }
    count >= FEWEST
}

/// `const prompt = "…";`, `prompt: str = "…"`, `$prompt = '…'`, `prompt := "…"`, `#define PROMPT "…"`, `export PROMPT=…`.
fn is_statement(line: &str) -> bool {
    let line = line.trim();
    if let Some(defined) = line.strip_prefix("#define ") {
        return defined.split_once(' ').is_some_and(|(_, value)| begins_literal(value));
    }
    let Some((left, right)) = line.split_once('=') else { return false };
    let mut words: Vec<&str> = left.split_whitespace().collect();
    const MOST_WORDS: usize = 8;
    if words.is_empty() || words.len() > MOST_WORDS {
        return false;
    }
    let before = words.len();
    while words.len() > 1 && KEYWORDS.contains(&words[0].trim_end_matches(['*', '&', '?', ']', '['])) {
        words.remove(0);
    }
    let has_keyword = words.len() < before;
    let name = words[0].trim_start_matches(['$', '*', '&', '@']).trim_end_matches(['[', ']', ':', '?']);
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    // What stands between the name and the sign is a type, or the colon of `:=`.
    let has_type = words.len() > 1 || words[0].ends_with(':');
    let is_typed =
        !has_type || words[0].ends_with(':') || words[1].starts_with(':') || matches!(words[1], "+" | "." | "?");
    if !is_name || !is_typed {
        return false;
    }
    let is_shell = matches!(line.split(' ').next(), Some("export" | "set" | "setx" | "declare"))
        && !name.bytes().any(|byte| byte.is_ascii_lowercase());
    let is_marked = has_keyword || has_type || words[0].starts_with('$') || line.ends_with(';');
    let value = right.trim_start_matches(['=', '>']).trim_start();
    let is_wrapped = || value.starts_with(['(', '[']) || call_start(value).is_some();
    is_shell || ((is_marked || is_wrapped()) && begins_literal(value))
}

/// `echo "1girl" | sakuga generate -`, `curl -d '…'`
fn is_command(line: &str) -> bool {
    let line = line.trim();
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let Some((program, rest)) = line.split_once(' ') else { return false };
    let rest = rest.trim_start();
    let is_quoted = rest.starts_with(['"', '\'', '`']);
    match program {
        "echo" | "printf" | "print" | "puts" | "return" | "--prompt" | "--text" | "-p" => is_quoted,
        "!dream" | "/dream" | "!draw" | "/draw" | "!imagine" => is_quoted,
        "sakuga" => ["validate ", "fmt ", "generate ", "estimate ", "show "].iter().any(|name| rest.starts_with(name)),
        "curl" | "grpcurl" | "wget" => rest.starts_with(['-', '"', '\'']) || rest.starts_with("http"),
        "cat" => rest.starts_with("<<"),
        "python" | "python3" | "node" => rest.contains(".py") || rest.contains(".js") || rest.starts_with("-c"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_recognised() {
        for text in [
            "const prompt = \"1girl, solo\";",
            "let prompt = `1girl, solo`;",
            "let prompt: &str = \"1girl\";",
            "const prompt: string = '1girl'",
            "var negativePrompt = \"lowres\";\nvar prompt = \"1girl\";",
            "String prompt = \"1girl\";",
            "static const char *negative = \"lowres\";",
            "std::string prompt = R\"(1girl)\";",
            "prompt := \"1girl\"",
            "prompt: str = \"1girl\"",
            "$prompt = '1girl';",
            "my $prompt = \"1girl\";",
            "prompt = (\"1girl, \"\n    \"solo\")",
            "prompt = '1girl';",
            "image = pipe(\"1girl, solo\").images[0]",
            "import x\n\nimage = pipe(prompt=\"1girl\")",
            "pipe(\n    prompt=\"1girl\",\n    steps=28,\n)",
            "print(\"1girl, solo\")",
            "console.log('1girl');",
            "println!(\"1girl\");",
            "#define PROMPT \"1girl\"",
            "export PROMPT=\"1girl\"",
            "set PROMPT=1girl, solo",
            "echo \"1girl\" | sakuga generate -",
            "$ sakuga generate prompt.xml --out a.png",
            "curl -d '{\"prompt\": 1}' http://localhost",
            "cat <<EOF\n1girl\nEOF",
            "('1girl', 'solo')",
            "('1girl',\n 'solo',)",
            "\"1girl\", \"solo\"",
            "--prompt \"1girl\" --steps 28",
            "!dream \"1girl\" -s 28",
            "f\"1girl, {hair}\"",
            "b'1girl\\n'",
        ] {
            assert!(is_code(text), "{text}");
        }
    }

    #[test]
    fn text_is_not_code() {
        for text in [
            "1girl, solo",
            "A girl says \"let me = you\".",
            "let there be light",
            "set in a forest, at night",
            "export of tea = a ship",
            "echo of a bell",
            "a sign with x = \"5\"",
            "(\"a cat\", \"a dog\").blend(1, 1)",
            "(\"Hello\", she says)",
            "A girl (\"Miku\")",
            "rem_(re:zero)",
            "static electricity, sparks",
            "'1girl, solo'",
            "sakuga style animation",
            "cat ears, cat tail",
            "print dress, floral print",
            "caption = a girl",
            "prompt = \"1girl\"",
            "1girl = \"one girl\", 2girls = \"two girls\"",
            "char = a girl",
        ] {
            assert!(!is_code(text), "{text}");
        }
    }

    #[test]
    fn the_mark_of_a_plain_literal_is_known() {
        assert_eq!(["u'1girl'", "r\"1girl\"", "b'1girl'", "@\"1girl\"", "f'1girl'"].map(literal_mark), [1; 5]);
        assert_eq!(["'1girl'", "f'{a}'", "u'a\\n'", "x'1girl'", "u'1girl", "u1girl"].map(literal_mark), [0; 6]);
    }
}
