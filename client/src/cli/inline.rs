//! Pictures in terminals that show them, by the protocols of kitty, iTerm2 and sixel.
//!
//! Nothing is written unless stdin and stdout are a terminal that is known for such a protocol. Where the protocol can be
//! switched off, the terminal is queried by an escape sequence; all of these answer.
//!
//! Crates were considered. `viuer` depends on `ansi_colours`, which is LGPL and cannot be switched off. `ratatui-image`
//! draws into the frame of a ratatui application, not into the scrollback that `generate` prints to, and its released
//! version for this ratatui is a candidate that builds against libchafa by default and adds five crates.

use std::io::{Cursor, IsTerminal, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use console::{Key, Term};
use icy_sixel::{DiffusionMethod, MethodForLargest, MethodForRep, PixelFormat, Quality, sixel_string};
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};

/// Base64 characters of one kitty message, the most that its protocol allows.
const KITTY_CHUNK: usize = 4096;
/// Assumed width of a column of a sixel terminal in pixels. It affects only the displayed size.
const SIXEL_COLUMN_PX: u32 = 8;
/// Most characters of an answer that are read.
const ANSWER_KEYS_MAX: usize = 256;

/// How a terminal displays a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// iTerm2's: a file inside an escape sequence.
    Iterm,
    /// kitty's: PNG in pieces.
    Kitty,
    /// DEC's: six rows of pixels at a time, from a palette.
    Sixel,
}

impl Protocol {
    /// The protocol of the terminal, if there is one.
    pub(crate) fn detect() -> Option<Self> {
        if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
            return None;
        }
        let promised = promised(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
        let is_supported = match promised {
            Protocol::Iterm => true,
            Protocol::Kitty => says_kitty(&ask("\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c")),
            Protocol::Sixel => says_sixel(&ask("\x1b[c")),
        };
        is_supported.then_some(promised)
    }

    /// Shows the picture in a file, `columns` wide. One that cannot be decoded is skipped.
    pub(crate) fn show(self, file: &[u8], columns: u32) {
        let Some(shown) = decode(file).and_then(|picture| self.encode(&picture, columns)) else { return };
        let mut stdout = std::io::stdout().lock();
        // A closed terminal is noticed by the other output.
        let _ = stdout.write_all(shown.as_bytes()).and_then(|()| stdout.flush());
    }

    /// The escape sequence for a picture, and a line break.
    fn encode(self, picture: &DynamicImage, columns: u32) -> Option<String> {
        match self {
            Protocol::Iterm => {
                let file = png(picture)?;
                Some(format!(
                    "\x1b]1337;File=inline=1;preserveAspectRatio=1;size={};width={columns}:{}\x07\n",
                    file.len(),
                    STANDARD.encode(file)
                ))
            }
            Protocol::Kitty => Some(kitty(&STANDARD.encode(png(picture)?), columns)),
            Protocol::Sixel => sixel(picture, columns),
        }
    }
}

/// The protocol that the environment suggests. Within tmux or screen the variables belong to another terminal.
fn promised(variable: impl Fn(&str) -> Option<String>) -> Option<Protocol> {
    let has = |name: &str| variable(name).is_some();
    let (term, program) = (variable("TERM").unwrap_or_default(), variable("TERM_PROGRAM").unwrap_or_default());
    if term.starts_with("screen") || term.starts_with("tmux") || has("TMUX") {
        return None;
    }
    if matches!(program.as_str(), "iTerm.app" | "WezTerm" | "mintty" | "rio" | "WarpTerminal")
        || variable("LC_TERMINAL").is_some_and(|terminal| terminal == "iTerm2")
        || has("KONSOLE_VERSION")
    {
        return Some(Protocol::Iterm);
    }
    if term.contains("kitty") || term.contains("ghostty") || has("KITTY_WINDOW_ID") {
        return Some(Protocol::Kitty);
    }
    let is_sixel = term.starts_with("foot") || term.starts_with("mlterm") || term.contains("sixel");
    (is_sixel || has("XTERM_VERSION")).then_some(Protocol::Sixel)
}

/// Writes a query that ends with one for the device attributes, and reads up to the answer to that.
fn ask(question: &str) -> String {
    let mut answer = String::new();
    let mut stdout = std::io::stdout();
    if stdout.write_all(question.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        return answer;
    }
    let terminal = Term::stdout();
    for _ in 0..ANSWER_KEYS_MAX {
        match terminal.read_key() {
            Ok(Key::Char(character)) => answer.push(character),
            Ok(Key::UnknownEscSeq(characters)) => {
                answer.push('\x1b');
                answer.extend(characters);
            }
            Ok(Key::Unknown) | Err(_) => break,
            Ok(_) => {}
        }
        if attributes(&answer).is_some() {
            break;
        }
    }
    answer
}

/// The device's attributes in an answer: `ESC [ ? 62 ; 4 c`.
fn attributes(answer: &str) -> Option<&str> {
    let (_, behind) = answer.split_once("\x1b[?")?;
    behind.split_once('c').map(|(attributes, _)| attributes)
}

fn says_kitty(answer: &str) -> bool {
    answer.contains("_Gi=31;OK")
}

/// Attribute 4 is sixel graphics; the first number is the terminal's class.
fn says_sixel(answer: &str) -> bool {
    attributes(answer).is_some_and(|attributes| attributes.split(';').skip(1).any(|attribute| attribute == "4"))
}

/// Transmits and displays a PNG (`a=T,f=100`), scaled to the columns; `q=2` keeps the terminal from answering.
fn kitty(base64: &str, columns: u32) -> String {
    let mut text = String::with_capacity(base64.len() + 256);
    let pieces = base64.len().div_ceil(KITTY_CHUNK);
    for (index, start) in (0..base64.len()).step_by(KITTY_CHUNK).enumerate() {
        text.push_str("\x1b_G");
        if index == 0 {
            text.push_str(&format!("a=T,f=100,q=2,c={columns},"));
        }
        text.push_str(if index + 1 < pieces { "m=1;" } else { "m=0;" });
        text.push_str(&base64[start..base64.len().min(start + KITTY_CHUNK)]);
        text.push_str("\x1b\\");
    }
    text.push('\n');
    text
}

fn sixel(picture: &DynamicImage, columns: u32) -> Option<String> {
    let width_px = columns * SIXEL_COLUMN_PX;
    let small = picture.resize(width_px, 4 * width_px, FilterType::Triangle).to_rgba8();
    let (width_px, height_px) = (i32::try_from(small.width()).ok()?, i32::try_from(small.height()).ok()?);
    let (diffusion, largest) = (DiffusionMethod::Auto, MethodForLargest::Auto);
    let (format, rep, quality) = (PixelFormat::RGBA8888, MethodForRep::Auto, Quality::AUTO);
    let text = sixel_string(small.as_raw(), width_px, height_px, format, diffusion, largest, rep, quality).ok()?;
    Some(text + "\n")
}

fn png(picture: &DynamicImage) -> Option<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).ok()?;
    Some(file.into_inner())
}

/// Decodes with bounds, since a server may send anything.
pub(crate) fn decode(file: &[u8]) -> Option<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(16_384);
    limits.max_image_height = Some(16_384);
    reader.limits(limits);
    reader.decode().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promised_by(variables: &[(&str, &str)]) -> Option<Protocol> {
        promised(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn terminals_are_known_by_their_names() {
        assert_eq!(promised_by(&[("TERM", "xterm-kitty")]), Some(Protocol::Kitty));
        assert_eq!(promised_by(&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "iTerm.app")]), Some(Protocol::Iterm));
        assert_eq!(promised_by(&[("TERM", "foot")]), Some(Protocol::Sixel));
        assert_eq!(promised_by(&[("TERM", "xterm"), ("XTERM_VERSION", "XTerm(390)")]), Some(Protocol::Sixel));
    }

    #[test]
    fn unknown_terminals_and_multiplexers_get_nothing() {
        for term in ["", "dumb", "xterm-256color", "linux", "vt100"] {
            assert_eq!(promised_by(&[("TERM", term)]), None, "{term}");
        }
        assert_eq!(promised_by(&[("TERM", "tmux-256color"), ("KITTY_WINDOW_ID", "1")]), None);
        assert_eq!(promised_by(&[("TERM", "xterm-kitty"), ("TMUX", "1")]), None);
    }

    #[test]
    fn answers_are_parsed() {
        assert!(says_sixel("\x1b[?62;4;22c"));
        assert!(
            !says_sixel("\x1b[?62;22c") && !says_sixel("\x1b[?4c") && !says_sixel("\x1b[?64;42c") && !says_sixel("")
        );
        assert!(says_kitty("\x1b_Gi=31;OK\x1b\\\x1b[?62c"));
        assert!(!says_kitty("\x1b[?62c") && !says_kitty("\x1b_Gi=31;ENOTSUPPORTED\x1b\\\x1b[?62c"));
        assert_eq!(attributes("\x1b_Gi=31;OK\x1b\\\x1b[?62"), None, "more is to come");
    }

    #[test]
    fn kitty_takes_a_png_in_pieces() {
        let text = kitty(&"A".repeat(KITTY_CHUNK + 4), 24);
        let first = format!("\x1b_Ga=T,f=100,q=2,c=24,m=1;{}\x1b\\", "A".repeat(KITTY_CHUNK));
        assert_eq!(text, format!("{first}\x1b_Gm=0;AAAA\x1b\\\n"));
        assert!(kitty("AAAA", 24).starts_with("\x1b_Ga=T,f=100,q=2,c=24,m=0;AAAA"));
    }

    #[test]
    fn every_protocol_writes_one_sequence_of_its_own() {
        let picture = DynamicImage::new_rgb8(32, 16);
        let iterm = Protocol::Iterm.encode(&picture, 24).expect("it can be written");
        let (head, rest) = iterm.split_once(":").expect("a head and the file");
        assert!(head.starts_with("\x1b]1337;File=inline=1;") && head.ends_with("width=24"), "{head}");
        let file = STANDARD.decode(rest.trim_end_matches(['\x07', '\n'])).expect("base64");
        assert_eq!(decode(&file).map(|back| (back.width(), back.height())), Some((32, 16)));
        let sixel = Protocol::Sixel.encode(&picture, 24).expect("it can be written");
        assert!(sixel.starts_with("\x1bP") && sixel.ends_with("\x1b\\\n"), "{sixel:?}");
    }

    #[test]
    fn other_files_are_not_decoded() {
        assert!(decode(b"").is_none());
        assert!(decode(b"\x89PNG\r\n\x1a\n").is_none());
    }
}
