//! A chat as elements: `<user>draw a girl</user><assistant>1girl, solo</assistant>`. The last answer is the prompt.

use std::borrow::Cow;
use std::ops::Range;

use super::chat::{Role, role_of};
use super::{Opening, Stop, markup, system_prompt};
use crate::rules::envelope_removed;

/// Elements around all messages, in lower case.
const CONVERSATIONS: &[&str] =
    &["conversation", "chat", "messages", "dialog", "dialogue", "history", "transcript", "thread", "chatml"];

/// Elements whose attribute says whose message they are, in lower case.
const MESSAGES: &[&str] = &["message", "msg", "turn", "part"];

/// Names that ask as elements alone, in lower case: a letter, or a word of pictures, is no role.
const NOT_ALONE: &[&str] = &["a", "q", "me", "you", "input", "request", "task"];

/// A message.
struct Turn {
    role: Role,
    /// With its tags.
    whole: Range<usize>,
    content: Range<usize>,
}

impl Opening<'_, '_> {
    /// Takes the last answer out of a chat whose messages are elements.
    pub(super) fn remove_chat_elements(&mut self) -> Result<(), Stop> {
        let window = self.trimmed(self.window.clone());
        let turns = turns(&self.source.text[window.clone()]);
        let (Some(first), Some(last)) = (turns.first(), turns.last()) else { return Ok(()) };
        let moved = |range: &Range<usize>| window.start + range.start..window.start + range.end;
        let is_filled = |turn: &&Turn| !self.trimmed(moved(&turn.content)).is_empty();
        if let Some(answer) = turns.iter().rfind(|turn| turn.role == Role::Answers && is_filled(turn)) {
            let content = self.trimmed(moved(&answer.content));
            let answer = moved(&answer.whole);
            let end = moved(&last.whole).end;
            let rest = self.trimmed(end..window.end);
            let has_rest = !rest.is_empty() && !self.source.text[rest].starts_with("</");
            if turns.len() == 1 && has_rest {
                // An element with the prompt next to it is no answer.
                return Ok(());
            }
            // Text behind the last answer may be its negative prompt.
            let is_continued = has_rest && end == answer.end;
            let until = if is_continued { answer.end } else { window.end };
            for talk in [window.start..answer.start, answer.end..until] {
                let talk = self.trimmed(talk);
                if !talk.is_empty() {
                    self.report(envelope_removed::talk(talk.clone(), &self.source.text[talk]));
                }
            }
            self.report(envelope_removed::root(answer.start..content.start, content.end..answer.end));
            self.window = content.clone();
            if is_continued {
                self.window.end = window.end;
                self.replace(&[(content.end..answer.end, Cow::Borrowed("\n"))]);
            }
            return Ok(());
        }
        let behind = self.trimmed(moved(&last.whole).end..window.end);
        let is_closing = self.source.text[behind.clone()].starts_with("</");
        let content = self.trimmed(moved(&first.content));
        let mark = self.source.text[behind.clone()].get(..system_prompt::MARKER.len());
        let is_marked = mark.is_some_and(|mark| mark.eq_ignore_ascii_case(system_prompt::MARKER));
        if turns.len() == 1 && is_marked {
            // The mark ends a system prompt, which is split off as one without tags.
            let end = moved(&first.whole).end;
            self.report(envelope_removed::root(window.start..content.start, content.end..end));
            self.window = content.start..window.end;
            self.replace(&[(content.end..end, Cow::Borrowed(" "))]);
            return Ok(());
        }
        if !behind.is_empty() && !is_closing {
            // The answer has no element.
            let talk = window.start..moved(&last.whole).end;
            self.report(envelope_removed::talk(talk.clone(), &self.source.text[talk]));
            self.window = behind;
            return Ok(());
        }
        if let Some(second) = turns.get(1) {
            // Which message is the prompt only a person knows.
            self.report(envelope_removed::several_prompts(moved(&second.whole)));
            return Err(Stop);
        }
        if !content.is_empty() {
            self.report(envelope_removed::root(window.start..content.start, content.end..window.end));
            self.window = content;
        }
        Ok(())
    }
}

/// The messages of a text that begins with one.
fn turns(text: &str) -> Vec<Turn> {
    const MOST: usize = 200;
    let mut turns: Vec<Turn> = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find('<').map(|offset| at + offset) {
        let inside = &text[open + 1..];
        let name = markup::name_at(inside);
        let Some(end) = inside.find('>').map(|end| open + 1 + end + 1) else { break };
        let tag = &text[open..end];
        let is_first = turns.is_empty();
        if is_first && text[at..open].trim().is_empty() && CONVERSATIONS.contains(&name.to_lowercase().as_str()) {
            at = end;
            continue;
        }
        let Some(role) = role(name, tag) else {
            // Other elements between messages are no chat, and behind them they are the prompt.
            if is_first {
                return turns;
            }
            break;
        };
        if !text[at..open].trim().is_empty() {
            break;
        }
        let close = format!("</{name}");
        let Some(content_end) = text[end..].find(&close).map(|offset| end + offset) else { break };
        let Some(whole_end) = text[content_end..].find('>').map(|offset| content_end + offset + 1) else { break };
        turns.push(Turn { role, whole: open..whole_end, content: end..content_end });
        at = whole_end;
        if turns.len() == MOST {
            break;
        }
    }
    turns
}

/// Whose message an element holds.
fn role(name: &str, tag: &str) -> Option<Role> {
    let lower = name.to_lowercase();
    if MESSAGES.contains(&lower.as_str()) {
        let attribute = ["role", "from", "author", "name", "speaker"].iter().find_map(|attribute| {
            let (_, value) = tag.split_once(&format!(" {attribute}="))?;
            let value = value.trim_start_matches(['"', '\'']);
            value.split(['"', '\'', ' ', '>']).next()
        })?;
        return role_of(&attribute.to_lowercase());
    }
    let is_plain = tag.len() == name.len() + 2 && !markup::is_tag_name(&lower) && !NOT_ALONE.contains(&lower.as_str());
    let spaced = lower.replace(['_', '-'], " ");
    if matches!(spaced.as_str(), "system prompt" | "instructions" | "instruction") || !is_plain {
        return None;
    }
    let spaced = spaced.strip_suffix(" message").or_else(|| spaced.strip_prefix("final ")).unwrap_or(&spaced);
    role_of(spaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_by_name_and_by_role() {
        for text in [
            "<user>draw</user><assistant>1girl</assistant>",
            "<chat>\n<human>draw</human>\n<ai>1girl</ai>\n</chat>",
            "<message role=\"user\">draw</message><message role='assistant'>1girl</message>",
            "<user_message>draw</user_message><final_answer>1girl</final_answer>",
        ] {
            let found: Vec<_> = turns(text).into_iter().map(|turn| (turn.role, &text[turn.content])).collect();
            assert_eq!(found, [(Role::Asks, "draw"), (Role::Answers, "1girl")], "{text}");
        }
        for text in [
            "1girl, solo",
            "<caption>A girl.</caption>",
            "<character_1><n>user</n></character_1>",
            "<a>x</a>",
            "<user>draw",
            "a girl <user>x</user>",
            "<message>x</message>",
        ] {
            assert!(turns(text).is_empty(), "{text}");
        }
    }
}
