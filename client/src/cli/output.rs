//! Writing to the streams of this process and to files.
//!
//! What is printed passes [`guard`]: the values in it were made safe by [`sakuga_client::proto::text`], and control
//! characters that remain are made visible here, except for the colours of this program where colours are on.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Name;
use sakuga_client::proto::json;
use sakuga_client::proto::text::{REPLACEMENT, is_invisible, one_line};
use serde_json::Value;

use super::exit::Exit;
use super::failure::Failure;
use super::replace;
use super::terminal::{Stream, Terminal};

/// Whether colours pass, for each stream.
static STDOUT_COLOURS: AtomicBool = AtomicBool::new(false);
static STDERR_COLOURS: AtomicBool = AtomicBool::new(false);

/// Lets colours pass where the terminal shows them.
pub(crate) fn set_colours(terminal: &Terminal) {
    STDOUT_COLOURS.store(terminal.is_coloured(Stream::Stdout), Ordering::Relaxed);
    STDERR_COLOURS.store(terminal.is_coloured(Stream::Stderr), Ordering::Relaxed);
}

/// The text with every invisible character but line breaks, tabs and, if `colours` are on, colour sequences replaced.
pub(crate) fn guard(text: &str, colours: bool) -> Cow<'_, str> {
    let is_bad = |character: char| is_invisible(character) && !matches!(character, '\n' | '\t');
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut guarded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(is_bad) {
        let (before, from) = rest.split_at(place);
        guarded.push_str(before);
        let colour = colour_sequence(from).filter(|_| colours);
        let taken = colour.unwrap_or_else(|| from.chars().next().map_or(0, char::len_utf8));
        match colour {
            Some(_) => guarded.push_str(&from[..taken]),
            None => guarded.push(REPLACEMENT),
        }
        rest = &from[taken..];
    }
    guarded.push_str(rest);
    Cow::Owned(guarded)
}

/// The length of the colour sequence (`ESC [ 1 ; 31 m`) that the text begins with.
fn colour_sequence(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let length = parameters.find(|character: char| !(character.is_ascii_digit() || character == ';'))?;
    parameters[length..].starts_with('m').then_some("\u{1b}[".len() + length + 1)
}

/// Prints a result. A closed pipe, such as that of `head`, is not an error.
pub(crate) fn print(text: impl Display) -> Result<(), Failure> {
    print_bytes(guard(&text.to_string(), STDOUT_COLOURS.load(Ordering::Relaxed)).as_bytes())
}

/// Prints a document that a program may read: exactly as it is, unless stdout is a terminal.
pub(crate) fn print_document(text: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() { print(text) } else { print_bytes(text.as_bytes()) }
}

/// Prints a result that is not text.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Unwritable, format_args!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints one JSON value on a line.
pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    print_json_text(&value.to_string())
}

/// Prints JSON on a line.
pub(crate) fn print_json_text(json: &str) -> Result<(), Failure> {
    print_bytes(format!("{}\n", escape_json(json)).as_bytes())
}

/// Prints a message of a server as protobuf JSON on a line.
pub(crate) fn print_message<M: Name>(message: &M) -> Result<(), Failure> {
    print_json_text(&json::to_string(message).map_err(Failure::not_json)?)
}

/// Prints an answer of a server: as protobuf JSON on a line, or as text for a person.
pub(crate) fn print_answer<M: Name>(
    as_json: bool,
    message: &M,
    text: impl FnOnce(&M) -> String,
) -> Result<(), Failure> {
    if as_json { print_message(message) } else { print(text(message)) }
}

/// The same JSON with every invisible character escaped. They occur within strings only.
pub(crate) fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_invisible(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Prints to stderr. A closed stderr is ignored.
pub(crate) fn say(line: impl Display) {
    let text = line.to_string();
    let _ = writeln!(io::stderr(), "{}", guard(&text, STDERR_COLOURS.load(Ordering::Relaxed)));
}

/// Prints a failure to stderr.
pub(crate) fn say_failure(failure: &Failure, terminal: &Terminal) {
    let bold = terminal.error_style().bold();
    say(format_args!("{}: {}", bold.clone().red().apply_to("error"), one_line(failure.message())));
    for fact in failure.facts() {
        say(format_args!("  {}", one_line(fact)));
    }
    if let Some(help) = failure.help() {
        say(format_args!("{}: {}", bold.cyan().apply_to("help"), one_line(help)));
    }
}

/// Characters of a column's width at most. Texts of a server may be longer than a width that can be formatted; they move the rest of
/// their line.
const COLUMN_WIDTH_MAX: usize = 200;

/// The width of a column with these cells.
pub(crate) fn column_width<'a>(cells: impl IntoIterator<Item = &'a str>) -> usize {
    let widths = cells.into_iter().map(|cell| cell.chars().count());
    widths.max().unwrap_or(0).min(COLUMN_WIDTH_MAX)
}

/// One line for each row, with aligned columns two spaces apart and no spaces at the end. Columns in `right` are aligned to the
/// right.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let width = |column: usize| column_width(rows.iter().map(|row| row[column].as_str()));
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A path as one line of a message, control characters escaped.
pub(crate) fn shown(path: &Path) -> String {
    one_line(&path.display().to_string())
}

/// Writes a file so that `path` names either what it named before or all of `bytes`.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace::write(path, bytes).map_err(|error| Failure::unwritable(path, error))
}

/// Fails, before a long job, if its result cannot be written to `path`.
pub(crate) fn check_writable(path: &Path) -> Result<(), Failure> {
    create_parent(path)?;
    replace::check_writable(path).map_err(|error| Failure::unwritable(path, error))
}

/// Fails, before a job, if `path` has another extension than `png`, or cannot be written.
pub(crate) fn check_picture(path: &Path) -> Result<(), Failure> {
    check_pictures(path, &[path.to_owned()])
}

/// Fails, before a job, if `out` has another extension than `png`, or if one of the files that are named after it cannot be
/// written.
pub(crate) fn check_pictures(out: &Path, files: &[PathBuf]) -> Result<(), Failure> {
    check_is_file(out, "--out")?;
    if !["", "png"].contains(&extension(out).as_str()) {
        let png = shown(&as_png(out));
        return Err(Failure::new(Exit::Unreadable, format_args!("{}: pictures are written as PNG only", shown(out)))
            .with_help(format!("write --out {png}; converting the file loses the request that it carries")));
    }
    check_all_writable(files)
}

/// The name of a PNG file in place of one with another extension: `a.jpg` and `a.png.gz` become `a.png`, `v1.5` `v1.5.png`.
fn as_png(path: &Path) -> PathBuf {
    let stem = path.with_extension("");
    if extension(&stem) == "png" {
        stem
    } else if extension(path).chars().all(|character| character.is_ascii_digit()) {
        path.with_added_extension("png")
    } else {
        path.with_extension("png")
    }
}

/// Fails, before a long job, if one of its results cannot be written. All of them lie in one directory.
pub(crate) fn check_all_writable(files: &[PathBuf]) -> Result<(), Failure> {
    if let Some(first) = files.first() {
        check_writable(first)?;
    }
    files.iter().try_for_each(|file| replace::check(file).map_err(|error| Failure::unwritable(file, error)))
}

/// Fails if a smaller version of a picture cannot be written to `path`, or if its extension is not that of a JPEG.
pub(crate) fn check_thumbnail(path: &Path) -> Result<(), Failure> {
    check_is_file(path, "--out")?;
    let extension = extension(path);
    if !["", "jpg", "jpeg"].contains(&extension.as_str()) {
        let jpeg = shown(&path.with_extension("jpg"));
        return Err(Failure::new(Exit::Unreadable, format_args!("{}: --max-edge writes JPEG files", shown(path)))
            .with_help(format!("write --out {jpeg}")));
    }
    check_writable(path)
}

/// The extension in lower case; empty without one.
fn extension(path: &Path) -> String {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase()
}

/// Fails if `path` is `-`: a result is written to a file.
pub(crate) fn check_is_file(path: &Path, option: &str) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Err(Failure::new(Exit::Unreadable, format_args!("{option} does not write to stdout"))
            .with_help(format!("name a file; {option} ./- is one named `-`")));
    }
    Ok(())
}

/// Fails if a result would replace another file of the same command: each pair is an option and its path.
pub(crate) fn check_apart(results: &[(&str, &Path)], others: &[(&str, &Path)]) -> Result<(), Failure> {
    let place = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    for (index, (option, path)) in results.iter().enumerate() {
        let same = results[..index].iter().chain(others).find(|(_, other)| place(other) == place(path));
        if let Some((other, _)) = same {
            let message = format!("{option} and {other} name the same file: {}", shown(path));
            return Err(Failure::new(Exit::Unreadable, message).with_help(format!("name another file with {option}")));
        }
    }
    Ok(())
}

/// Creates the directory that `path` lies in.
pub(crate) fn create_parent(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(replace::parent_of(path)).map_err(|error| Failure::unwritable(path, error))
}

/// The file of one picture of a job: `out`, or if the job writes several, `out` with the picture's index before the extension.
pub(crate) fn picture_file(out: &Path, pictures: usize, image_index: u32) -> PathBuf {
    if pictures > 1 { numbered(out, image_index) } else { out.to_owned() }
}

/// `out.png` and 1 to `out-1.png`.
fn numbered(path: &Path, image_index: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{image_index}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_pictures_have_numbers() {
        assert_eq!(numbered(Path::new("a/out.png"), 1), Path::new("a/out-1.png"));
        assert_eq!(numbered(Path::new("out"), 0), Path::new("out-0"));
        assert_eq!(numbered(Path::new("a.b.png"), 2), Path::new("a.b-2.png"));
        assert_eq!(picture_file(Path::new("a.png"), 1, 3), Path::new("a.png"));
        assert_eq!(picture_file(Path::new("a.png"), 2, 3), Path::new("a-3.png"));
    }

    #[test]
    fn a_cell_of_any_length_is_printed() {
        let long = "x".repeat(100_000);
        let rows = [["a".to_owned(), "b".to_owned()], [long.clone(), "b".to_owned()]];
        for right in [&[][..], &[0, 1]] {
            let text = columns(&rows, right);
            assert!(text.contains(&format!("{long}  b\n")) && text.len() < long.len() + 500, "{}", text.len());
        }
    }

    #[test]
    fn only_colours_pass_the_guard() {
        let text = "\u{1b}[1;31mred\u{1b}[0m\n\u{1b}[2J\u{202e}\u{9b}31m\u{1b}]0;t\u{7}\tx";
        let guarded = format!("\u{1b}[1;31mred\u{1b}[0m\n{REPLACEMENT}[2J\u{fffd}\u{fffd}31m\u{fffd}]0;t\u{fffd}\tx");
        assert_eq!(guard(text, true), guarded);
        assert_eq!(guard("\u{1b}[31mx", false), "\u{fffd}[31mx");
        assert_eq!(guard("\u{1b}[3", true), "\u{fffd}[3");
        assert_eq!(guard("plain 猫\n", false), "plain 猫\n");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({"a": "x\u{9b}y\u{202e}z\u{e0041}\u{1b}猫"});
        let escaped = escape_json(&value.to_string());
        assert!(!escaped.chars().any(is_invisible), "{escaped}");
        assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
    }

    #[test]
    fn other_formats_are_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        for (name, png) in [
            ("a.jpg", "/a.png;"),
            ("a.JPEG", "/a.png;"),
            ("a.webp", "/a.png;"),
            ("a.txt", "/a.png;"),
            ("a.png.gz", "/a.png;"),
            ("v1.5", "/v1.5.png;"),
        ] {
            let failure = check_picture(&directory.path().join(name)).unwrap_err();
            assert_eq!(failure.exit(), Exit::Unreadable);
            assert!(failure.help().is_some_and(|help| help.contains(png)), "{name}: {failure:?}");
        }
        for name in ["a.png", "a.PNG", "a"] {
            check_picture(&directory.path().join(name)).unwrap();
        }
    }
}
