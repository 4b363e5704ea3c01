//! Reads the settings that other programs keep in pictures and texts into a request.
//!
//! | program | where its settings stand |
//! |---|---|
//! | AUTOMATIC1111, Forge, SD.Next | text `parameters`, or the same text as a file |
//! | ComfyUI | `prompt` (the API form), `workflow` (the editor's form), or either as a JSON file |
//! | NovelAI | `Comment` behind `Software: NovelAI` |
//! | InvokeAI | `invokeai_metadata`, before version 3 `sd-metadata` |
//! | Sakuga | `sakuga`, read by [`picture`] |
//!
//! The request asks for the same content, not for the same picture: another model draws it from other noise. What has no
//! counterpart in a request is listed in [`Imported::left_out`].
//!
//! Work is bounded, so that a hostile file costs little: a file has at most [`MAX_FILE_BYTES`], of which only the
//! texts are held, its texts together at most [`MAX_TEXT_BYTES`] when they are decompressed, settings in JSON at most
//! [`MAX_JSON_BYTES`] and a prompt at most [`MAX_PROMPT_BYTES`]. The pixels are never decoded.

mod a1111;
mod comfyui;
mod invokeai;
mod json_value;
mod novelai;
mod png_texts;
mod reason;
mod second_pass;
mod settings;
mod tags;

use std::io::Read;

use sakuga_proto::generation::v1::GenerateRequest;
use sakuga_proto::json::{self, UnknownFields};
use serde_json::Value;

use crate::picture::{self, PictureError};
use png_texts::PngText;
use settings::Settings;

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 64 << 20;

/// The most text of a file that is read, in bytes after decompression.
pub const MAX_TEXT_BYTES: usize = 2 << 20;

/// The longest settings in JSON that are read, in bytes: each takes up to 40 times as much memory when it is parsed.
pub const MAX_JSON_BYTES: usize = 512 << 10;

/// The longest prompt that is read, in bytes. No request can have a longer one.
pub const MAX_PROMPT_BYTES: usize = sakuga_schema::Limits::DEFAULT.max_bytes;

/// The program that wrote the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// Sakuga itself.
    Sakuga,
    /// AUTOMATIC1111's web UI, or a program that writes its form.
    A1111,
    /// ComfyUI.
    ComfyUi,
    /// NovelAI.
    NovelAi,
    /// InvokeAI.
    InvokeAi,
}

impl Program {
    /// The name as its authors write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sakuga => "Sakuga",
            Self::A1111 => "AUTOMATIC1111",
            Self::ComfyUi => "ComfyUI",
            Self::NovelAi => "NovelAI",
            Self::InvokeAi => "InvokeAI",
        }
    }
}

/// A setting that the request does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The setting, in the words of its program.
    pub name: String,
    /// Its value; long ones are cut.
    pub value: String,
    /// Why it is left out, and what to do instead if there is something.
    pub reason: &'static str,
}

/// What was read from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// Who wrote it.
    pub program: Program,
    /// The request that draws it again, as far as it can be written as one.
    pub request: GenerateRequest,
    /// What the request does not have.
    pub left_out: Vec<LeftOut>,
}

/// Why a file could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("the file has {bytes} bytes, more than the {MAX_FILE_BYTES} that are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The texts of a PNG file, or a file of text, have more than [`MAX_TEXT_BYTES`]; or a file of JSON has more than
    /// [`MAX_JSON_BYTES`].
    #[error("{what} more than {most} bytes, the most that are read")]
    TooMuchText {
        /// What is too long, with its verb.
        what: &'static str,
        /// The most bytes that are read.
        most: usize,
    },
    /// Settings or a prompt are longer than what is read.
    #[error("the {what} of {program} has {bytes} bytes, more than the {most} that are read", program = .program.name())]
    TooLong {
        /// Who wrote it.
        program: Program,
        /// What is too long.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The most that are read.
        most: usize,
    },
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The file is a damaged PNG.
    #[error("the PNG file is damaged: {0}")]
    Damaged(&'static str),
    /// The file is neither PNG nor UTF-8 text.
    #[error("it is neither a PNG file nor text in UTF-8; of other formats export a PNG, or copy the settings as text")]
    UnknownFormat,
    /// The file has no settings.
    #[error("no settings of AUTOMATIC1111, ComfyUI, NovelAI, InvokeAI or Sakuga were found in {0}")]
    NothingFound(&'static str),
    /// The settings are there, but cannot be read.
    #[error("the settings of {program} cannot be read: {message}", program = .program.name())]
    Unreadable {
        /// Who wrote them.
        program: Program,
        /// What is wrong with them.
        message: String,
    },
    /// The record of Sakuga cannot be read.
    #[error(transparent)]
    Record(#[from] PictureError),
}

impl ImportError {
    fn unreadable(program: Program, message: impl ToString) -> Self {
        Self::Unreadable { program, message: message.to_string() }
    }
}

/// Reads a PNG file, or settings as text or JSON.
///
/// # Errors
///
/// See [`ImportError`].
pub fn import(file: &[u8]) -> Result<Imported, ImportError> {
    import_from(file)
}

/// Reads a PNG file, or settings as text or JSON, and holds only its texts.
///
/// # Errors
///
/// See [`ImportError`].
pub fn import_from(mut file: impl Read) -> Result<Imported, ImportError> {
    let mut start = Vec::new();
    file.by_ref().take(png_texts::SIGNATURE.len() as u64).read_to_end(&mut start)?;
    if start == png_texts::SIGNATURE {
        return from_texts(&png_texts::read(file)?);
    }
    file.take((MAX_TEXT_BYTES - start.len()) as u64 + 1).read_to_end(&mut start)?;
    let is_too_long = start.len() > MAX_TEXT_BYTES;
    let too_long = || Err(ImportError::TooMuchText { what: "the text file has", most: MAX_TEXT_BYTES });
    let text = match std::str::from_utf8(&start) {
        Ok(_) if is_too_long => return too_long(),
        Ok(text) => text,
        // A text that is cut may end within a character.
        Err(error) if is_too_long && error.error_len().is_none() => return too_long(),
        Err(_) => return Err(ImportError::UnknownFormat),
    };
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with('{') { from_json(text) } else { from_plain(text, "the text") }
}

/// Fails if settings in JSON are longer than [`MAX_JSON_BYTES`].
fn check_json(program: Program, json: &str) -> Result<&str, ImportError> {
    let (bytes, most) = (json.len(), MAX_JSON_BYTES);
    if bytes > most { Err(ImportError::TooLong { program, what: "record", bytes, most }) } else { Ok(json) }
}

/// The settings of the texts of a picture. The most specific keyword is read: ComfyUI's nodes for galleries write
/// `parameters` next to `prompt`, and there it holds the final values.
fn from_texts(texts: &[PngText]) -> Result<Imported, ImportError> {
    let find = |keyword: &str| texts.iter().find(|text| text.keyword == keyword).map(|text| text.text.as_str());
    if let Some(text) = find(picture::KEYWORD) {
        let metadata = picture::parse_record(check_json(Program::Sakuga, text)?)?;
        let request = GenerateRequest { seed: Some(metadata.seed), ..metadata.request.unwrap_or_default() };
        return Ok(Imported { program: Program::Sakuga, request, left_out: Vec::new() });
    }
    if find("Software").is_some_and(|software| software.starts_with("NovelAI"))
        && let Some(comment) = find("Comment")
    {
        return novelai::read(check_json(Program::NovelAi, comment)?)?.into_imported(Program::NovelAi);
    }
    if let Some(text) = find("invokeai_metadata").or_else(|| find("sd-metadata")) {
        return invokeai::read(check_json(Program::InvokeAi, text)?)?.into_imported(Program::InvokeAi);
    }
    if let Some(text) = find("parameters") {
        return from_plain(text, "the text `parameters`");
    }
    match find("prompt").or_else(|| find("workflow")) {
        Some(text) => comfyui::read(check_json(Program::ComfyUi, text)?)?.into_imported(Program::ComfyUi),
        None => Err(ImportError::NothingFound("the texts of the PNG file; many sites remove them")),
    }
}

fn from_plain(text: &str, place: &'static str) -> Result<Imported, ImportError> {
    match a1111::read(text) {
        Some(settings) => settings.into_imported(Program::A1111),
        None => Err(ImportError::NothingFound(place)),
    }
}

fn from_json(text: &str) -> Result<Imported, ImportError> {
    if text.len() > MAX_JSON_BYTES {
        return Err(ImportError::TooMuchText { what: "the JSON file has", most: MAX_JSON_BYTES });
    }
    let Ok(Value::Object(object)) = serde_json::from_str::<Value>(text) else {
        return Err(ImportError::NothingFound("the JSON file, which is not a JSON object"));
    };
    let has = |key: &str| object.contains_key(key);
    let read: Result<(Program, Settings), ImportError> = if has("positive_prompt") || has("model_weights") {
        invokeai::read(text).map(|settings| (Program::InvokeAi, settings))
    } else if has("uc") || has("v4_prompt") {
        novelai::read(text).map(|settings| (Program::NovelAi, settings))
    } else if has("nodes") || has("prompt") || object.values().any(|node| node.get("class_type").is_some()) {
        comfyui::read(text).map(|settings| (Program::ComfyUi, settings))
    } else {
        let request = json::from_str(text, UnknownFields::Refuse)
            .map_err(|_| ImportError::NothingFound("the JSON file, which is not a request of Sakuga either"))?;
        return Ok(Imported { program: Program::Sakuga, request, left_out: Vec::new() });
    };
    let (program, settings) = read?;
    settings.into_imported(program)
}

#[cfg(test)]
mod tests;
