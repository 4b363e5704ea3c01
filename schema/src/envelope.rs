//! What stands around a prompt as text: a byte order mark, a system prompt, a JSON object.
//!
//! What is markup (`<img>`, `<document>`) or stands beside it (braces, `caption:`) is taken off by [`crate::lower`],
//! where it is a node like others.

mod json;
mod system_prompt;

use std::borrow::Cow;
use std::ops::Range;

use crate::findings::Findings;
use crate::limits::Limits;
use crate::position::PositionMap;

pub(crate) use system_prompt::SystemPrompt;

/// The text of the blocks, and the way back from it to the text that was handed in.
#[derive(Debug)]
pub(crate) struct Contents<'t> {
    /// The text to be read: the blocks, and behind them a JSON object's caption.
    pub(crate) text: Cow<'t, str>,
    /// Where the blocks stand in it.
    pub(crate) blocks: Range<usize>,
    /// Where the caption stands in it.
    pub(crate) caption: Option<Range<usize>>,
    /// From `text` to the text that was handed in.
    pub(crate) map: PositionMap,
    /// Writes a replacement as it has to stand in the text that was handed in.
    pub(crate) encode: fn(&str) -> String,
    /// The system prompt.
    pub(crate) system_prompt: Option<SystemPrompt>,
    /// The JSON object around the blocks.
    pub(crate) json: Option<Range<usize>>,
}

/// Takes off what stands around the blocks. `None` if it begins like JSON and is none, which is reported.
pub(crate) fn open<'t>(text: &'t str, limits: &Limits, findings: &mut Findings) -> Option<Contents<'t>> {
    const BYTE_ORDER_MARK: char = '\u{FEFF}';
    let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
    let system_prompt = system_prompt::split(text, start);
    let start = system_prompt.as_ref().map_or(start, |system_prompt| system_prompt.until);
    if json::is_likely(&text[start..]) {
        let contents = json::open(text, start, limits, findings)?;
        return Some(Contents { system_prompt, ..contents });
    }
    Some(Contents {
        text: Cow::Borrowed(text),
        blocks: start..text.len(),
        caption: None,
        map: PositionMap::default(),
        encode: str::to_owned,
        system_prompt,
        json: None,
    })
}
