//! A chat that was copied whole: `User: draw a girl` and `Assistant: 1girl, solo`. The last answer is the prompt.

use std::ops::Range;

use super::{Opening, Stop};
use crate::rules::envelope_removed;

/// Who asks, in lower case.
const ASKING: &[&str] = &[
    "user",
    "human",
    "you",
    "me",
    "q",
    "question",
    "instruction",
    "instructions",
    "input",
    "request",
    "task",
    "system",
    "system prompt",
    "you said",
    "{{user}}",
    "用户",
    "用戶",
    "人类",
    "人類",
    "问",
    "ユーザー",
    "指示",
    "사용자",
    "질문",
    "пользователь",
    "usuario",
    "usuário",
    "utilisateur",
    "benutzer",
];

/// Who answers, in lower case.
const ANSWERING: &[&str] = &[
    "assistant",
    "ai",
    "ai assistant",
    "{{char}}",
    "bot",
    "chatbot",
    "chatgpt",
    "chatgpt said",
    "gpt",
    "gpt-4",
    "gpt-4o",
    "gpt-5",
    "claude",
    "gemini",
    "copilot",
    "deepseek",
    "qwen",
    "llama",
    "mistral",
    "grok",
    "model",
    "a",
    "answer",
    "response",
    "output",
    "reply",
    "助手",
    "助理",
    "答",
    "回答",
    "アシスタント",
    "回答例",
    "어시스턴트",
    "답변",
    "ассистент",
    "asistente",
    "assistente",
    "assistent",
];

/// Whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Asks,
    Answers,
}

impl Opening<'_, '_> {
    /// Takes the last answer out of a chat. A message of one who asks, without an answer, loses its label.
    pub(super) fn remove_chat(&mut self) -> Result<(), Stop> {
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        let first = text.lines().next().unwrap_or_default();
        let Some((Role::Asks, length)) = speaker(first) else {
            // `user` and `assistant` on lines of their own, as pages are copied.
            return match bare_speaker(first) {
                Some(role) => self.remove_bare_chat(&window, role),
                None => Ok(()),
            };
        };
        let turns = turns(text);
        let Some(answer) = turns.iter().rposition(|(role, _)| *role == Role::Answers) else {
            if let Some((_, second)) = turns.get(1) {
                // Which message is the prompt only a person knows.
                let second = window.start + second.start..window.start + second.end;
                self.report(envelope_removed::several_prompts(second));
                return Err(Stop);
            }
            let label = window.start..window.start + length;
            if self.trimmed(label.end..window.end).is_empty() {
                return Ok(());
            }
            self.report(envelope_removed::label(label.clone(), &self.source.text[label.clone()]));
            self.window.start = label.end;
            return Ok(());
        };
        let label = &turns[answer].1;
        let end = turns.get(answer + 1).map_or(window.end, |(_, next)| window.start + next.start);
        let (before, after) = (window.start..window.start + label.end, end..window.end);
        let content = self.trimmed(before.end..end);
        if content.is_empty() {
            return Ok(());
        }
        for talk in [before, after].into_iter().filter(|talk| !talk.is_empty()) {
            let talk = self.trimmed(talk);
            self.report(envelope_removed::talk(talk.clone(), &self.source.text[talk]));
        }
        self.window = content;
        Ok(())
    }

    /// Takes the last answer out of a chat whose roles stand on lines of their own.
    fn remove_bare_chat(&mut self, window: &Range<usize>, first: Role) -> Result<(), Stop> {
        let text = &self.source.text[window.clone()];
        let mut begin = None;
        let mut end = window.end;
        let mut at = window.start;
        for line in text.split_inclusive('\n') {
            match bare_speaker(line) {
                Some(Role::Answers) => (begin, end) = (Some(at + line.len()), window.end),
                Some(Role::Asks) if begin.is_some() && end == window.end => end = at,
                _ => {}
            }
            at += line.len();
        }
        // `model` alone may be a word of the picture; behind a question it is not.
        let Some(begin) = begin.filter(|begin| *begin < end) else { return Ok(()) };
        let content = self.trimmed(begin..end);
        let is_word = first == Role::Answers && text.starts_with("model");
        if content.is_empty() || is_word {
            return Ok(());
        }
        for talk in [window.start..begin, end..window.end].into_iter().filter(|talk| !talk.is_empty()) {
            let talk = self.trimmed(talk);
            self.report(envelope_removed::talk(talk.clone(), &self.source.text[talk]));
        }
        self.window = content;
        Ok(())
    }
}

/// What begins a message inside a line, as templates of models write it.
const INSIDE: &[(&str, Role)] = &[
    (" ASSISTANT:", Role::Answers),
    (" USER:", Role::Asks),
    ("### Assistant:", Role::Answers),
    ("### Response:", Role::Answers),
    ("### Human:", Role::Asks),
    ("### User:", Role::Asks),
];

/// What begins a message: whose it is, and where its label stands.
fn turns(text: &str) -> Vec<(Role, Range<usize>)> {
    const MOST: usize = 400;
    let mut turns: Vec<(Role, Range<usize>)> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let first = speaker(line.trim_end());
        turns.extend(first.map(|(role, length)| (role, at..at + length)));
        let inside = at + first.map_or(0, |(_, length)| length);
        for (mark, role) in INSIDE {
            let found = text[inside..at + line.len()].match_indices(mark).take(MOST);
            turns.extend(found.map(|(offset, _)| (*role, inside + offset..inside + offset + mark.len())));
        }
        at += line.len();
        if turns.len() >= MOST {
            break;
        }
    }
    turns.sort_by_key(|(_, label)| label.start);
    turns
}

/// Whose message follows a line of nothing but a role of the format of messages.
fn bare_speaker(line: &str) -> Option<Role> {
    match line.trim() {
        "user" | "human" | "system" => Some(Role::Asks),
        "assistant" | "model" => Some(Role::Answers),
        _ => None,
    }
}

/// Whose messages have a name, which is in lower case.
pub(super) fn role_of(name: &str) -> Option<Role> {
    match name {
        name if ASKING.contains(&name) => Some(Role::Asks),
        name if ANSWERING.contains(&name) => Some(Role::Answers),
        _ => None,
    }
}

/// Whose message a line begins, and the length of the label: `User: `, `### Response:`, `**Assistant**`.
fn speaker(line: &str) -> Option<(Role, usize)> {
    const LONGEST: usize = 32;
    let near = &line[..line.floor_char_boundary(LONGEST)];
    let rest = near.trim_start_matches(['#', '*', '[', '【', '_', ' ', '\t']);
    let is_marked = rest.len() < near.trim_start().len();
    let end = rest.find([':', '：', ']', '】', '*', '\n']).unwrap_or(rest.len());
    let name = rest[..end].trim().to_lowercase();
    let behind = rest[end..].trim_start_matches([']', '】', '*', '_', ' ']);
    let colon = behind.strip_prefix([':', '：']);
    // A heading needs no colon, if it is nothing but the name.
    let is_heading = is_marked && behind.is_empty() && near.len() == line.len();
    let content = colon.or(is_heading.then_some(behind))?;
    let role = role_of(&name)?;
    let content = content.trim_start_matches(['*', '_', ' ', '\t']);
    Some((role, near.len() - content.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speakers_are_known_in_several_forms() {
        for (line, role, content) in [
            ("User: draw a girl", Role::Asks, "draw a girl"),
            ("### Instruction:", Role::Asks, ""),
            ("**Assistant:** 1girl", Role::Answers, "1girl"),
            ("### Response", Role::Answers, ""),
            ("[ChatGPT]: 1girl", Role::Answers, "1girl"),
            ("用户：画一个女孩", Role::Asks, "画一个女孩"),
            ("ChatGPT said:", Role::Answers, ""),
        ] {
            let found = speaker(line).map(|(role, length)| (role, &line[length..]));
            assert_eq!(found, Some((role, content)), "{line}");
        }
        for line in ["1girl, solo", "A girl: she waits", "user interface: blue", "model", "Answer", "a sign: b", ""] {
            assert_eq!(speaker(line), None, "{line}");
        }
    }
}
