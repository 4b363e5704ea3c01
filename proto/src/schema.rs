//! Prompts and findings between the values of the prompt language and the messages.
//!
//! Both sides of a prompt mirror the XSD, so every field has exactly one counterpart.

use sakuga_schema::{Character, Diagnostic, Edit, Fix, Gender, GeneralTags, NegativePrompt, Prompt, Severity, TagList};

use crate::prompt::v1 as wire;

impl From<&Prompt> for wire::Prompt {
    fn from(prompt: &Prompt) -> Self {
        Self {
            characters: prompt.characters.iter().map(Into::into).collect(),
            general_tags: prompt.general_tags.as_ref().map(Into::into),
            caption: prompt.caption.clone().unwrap_or_default(),
        }
    }
}

/// A gender that is unset or unknown becomes `None`. [`unknown_genders`] finds the unknown ones.
impl From<&wire::Prompt> for Prompt {
    fn from(prompt: &wire::Prompt) -> Self {
        Self {
            characters: prompt.characters.iter().map(Into::into).collect(),
            general_tags: prompt.general_tags.as_ref().map(Into::into),
            caption: non_empty(&prompt.caption),
        }
    }
}

/// Characters whose gender is a number that this version of the API does not know, as index and number.
pub fn unknown_genders(prompt: &wire::Prompt) -> impl Iterator<Item = (usize, i32)> {
    let genders = prompt.characters.iter().map(|character| character.gender).enumerate();
    genders.filter(|(_, gender)| wire::Gender::try_from(*gender).is_err())
}

impl From<&NegativePrompt> for wire::NegativePrompt {
    fn from(negative: &NegativePrompt) -> Self {
        Self {
            danbooru_tags: tags_to_wire(&negative.danbooru_tags),
            e621_tags: tags_to_wire(&negative.e621_tags),
            resolution: tags_to_wire(&negative.resolution),
            caption: negative.caption.clone().unwrap_or_default(),
        }
    }
}

impl From<&wire::NegativePrompt> for NegativePrompt {
    fn from(negative: &wire::NegativePrompt) -> Self {
        Self {
            danbooru_tags: tags_from_wire(&negative.danbooru_tags),
            e621_tags: tags_from_wire(&negative.e621_tags),
            resolution: tags_from_wire(&negative.resolution),
            caption: non_empty(&negative.caption),
        }
    }
}

impl From<&Character> for wire::Character {
    fn from(character: &Character) -> Self {
        let gender = match character.gender {
            None => wire::Gender::Unspecified,
            Some(Gender::Girl) => wire::Gender::Girl,
            Some(Gender::Boy) => wire::Gender::Boy,
            Some(Gender::Other) => wire::Gender::Other,
        };
        Self {
            n: character.n.clone(),
            gender: gender.into(),
            appearance: tags_to_wire(&character.appearance),
            clothing: tags_to_wire(&character.clothing),
            body_type: tags_to_wire(&character.body_type),
            expression: tags_to_wire(&character.expression),
            action: tags_to_wire(&character.action),
            interaction: tags_to_wire(&character.interaction),
            position: tags_to_wire(&character.position),
        }
    }
}

impl From<&wire::Character> for Character {
    fn from(character: &wire::Character) -> Self {
        Self {
            n: character.n.clone(),
            gender: match character.gender() {
                wire::Gender::Unspecified => None,
                wire::Gender::Girl => Some(Gender::Girl),
                wire::Gender::Boy => Some(Gender::Boy),
                wire::Gender::Other => Some(Gender::Other),
            },
            appearance: tags_from_wire(&character.appearance),
            clothing: tags_from_wire(&character.clothing),
            body_type: tags_from_wire(&character.body_type),
            expression: tags_from_wire(&character.expression),
            action: tags_from_wire(&character.action),
            interaction: tags_from_wire(&character.interaction),
            position: tags_from_wire(&character.position),
        }
    }
}

impl From<&GeneralTags> for wire::GeneralTags {
    fn from(general: &GeneralTags) -> Self {
        Self {
            count: tags_to_wire(&general.count),
            artists: tags_to_wire(&general.artists),
            style: tags_to_wire(&general.style),
            background: tags_to_wire(&general.background),
            environment: tags_to_wire(&general.environment),
            perspective: tags_to_wire(&general.perspective),
            atmosphere: tags_to_wire(&general.atmosphere),
            lighting: tags_to_wire(&general.lighting),
            quality: tags_to_wire(&general.quality),
            resolution: tags_to_wire(&general.resolution),
            objects: tags_to_wire(&general.objects),
            other: tags_to_wire(&general.other),
        }
    }
}

impl From<&wire::GeneralTags> for GeneralTags {
    fn from(general: &wire::GeneralTags) -> Self {
        Self {
            count: tags_from_wire(&general.count),
            artists: tags_from_wire(&general.artists),
            style: tags_from_wire(&general.style),
            background: tags_from_wire(&general.background),
            environment: tags_from_wire(&general.environment),
            perspective: tags_from_wire(&general.perspective),
            atmosphere: tags_from_wire(&general.atmosphere),
            lighting: tags_from_wire(&general.lighting),
            quality: tags_from_wire(&general.quality),
            resolution: tags_from_wire(&general.resolution),
            objects: tags_from_wire(&general.objects),
            other: tags_from_wire(&general.other),
        }
    }
}

fn tags_to_wire(tags: &TagList) -> Option<wire::TagList> {
    (!tags.is_empty()).then(|| wire::TagList { tags: tags.iter().cloned().collect() })
}

fn tags_from_wire(tags: &Option<wire::TagList>) -> TagList {
    TagList::new(tags.iter().flat_map(|tags| tags.tags.iter().cloned()))
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl From<&Diagnostic> for wire::Diagnostic {
    fn from(finding: &Diagnostic) -> Self {
        Self {
            code: finding.code.to_owned(),
            severity: wire::Severity::from(finding.severity).into(),
            message: finding.message.clone(),
            span_start: saturate(finding.span.start),
            span_end: saturate(finding.span.end),
            line: finding.start.line,
            column: finding.start.column,
            end_line: finding.end.line,
            end_column: finding.end.column,
            path: finding.path.clone(),
            fix: finding.fix.as_ref().map(Into::into),
        }
    }
}

impl From<Severity> for wire::Severity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Error,
            Severity::Warning => Self::Warning,
            Severity::Advice => Self::Advice,
        }
    }
}

/// An unset severity counts as advice.
impl From<wire::Severity> for Severity {
    fn from(severity: wire::Severity) -> Self {
        match severity {
            wire::Severity::Error => Self::Error,
            wire::Severity::Warning => Self::Warning,
            wire::Severity::Advice | wire::Severity::Unspecified => Self::Advice,
        }
    }
}

impl From<&Fix> for wire::Fix {
    fn from(fix: &Fix) -> Self {
        let edits = fix.edits.iter().map(|edit| wire::Edit {
            span_start: saturate(edit.span.start),
            span_end: saturate(edit.span.end),
            replacement: edit.replacement.clone(),
        });
        Self { description: fix.description.clone(), edits: edits.collect() }
    }
}

impl From<&wire::Fix> for Fix {
    fn from(fix: &wire::Fix) -> Self {
        let edits = fix.edits.iter().map(|edit| Edit {
            span: edit.span_start as usize..edit.span_end as usize,
            replacement: edit.replacement.clone(),
        });
        Self { description: fix.description.clone(), edits: edits.collect() }
    }
}

/// An offset in a text as the messages carry it; prompts are bounded far below the limit of `u32`.
fn saturate(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_survives_the_wire() {
        let mut character = Character { n: "fox".to_owned(), gender: Some(Gender::Other), ..Character::default() };
        for name in ["appearance", "clothing", "body_type", "expression", "action", "interaction", "position"] {
            character.tag_list_mut(name).unwrap().push(name);
        }
        let mut general_tags = GeneralTags::default();
        for (name, _) in GeneralTags::default().tag_lists() {
            general_tags.tag_list_mut(name).unwrap().push(name);
        }
        let prompt = Prompt {
            characters: vec![character, Character { gender: None, ..Character::default() }],
            general_tags: Some(general_tags),
            caption: Some("A fox.".to_owned()),
        };
        assert_eq!(Prompt::from(&wire::Prompt::from(&prompt)), prompt);
        assert_eq!(Prompt::from(&wire::Prompt::from(&Prompt::default())), Prompt::default());
    }

    #[test]
    fn a_negative_prompt_survives_the_wire() {
        let mut negative = NegativePrompt { caption: Some("Blurry.".to_owned()), ..NegativePrompt::default() };
        for name in ["danbooru_tags", "e621_tags", "resolution"] {
            negative.tag_list_mut(name).unwrap().push(name);
        }
        assert_eq!(NegativePrompt::from(&wire::NegativePrompt::from(&negative)), negative);
    }

    #[test]
    fn genders_of_a_newer_version_are_found() {
        let character = |gender| wire::Character { gender, ..wire::Character::default() };
        let prompt = wire::Prompt { characters: vec![character(0), character(77)], ..wire::Prompt::default() };
        assert_eq!(unknown_genders(&prompt).collect::<Vec<_>>(), [(1, 77)]);
        assert_eq!(Prompt::from(&prompt).characters[1].gender, None);
    }

    #[test]
    fn findings_and_fixes_keep_their_places() {
        let checked =
            sakuga_schema::check("<character_1><n>fox</n></character_1>", &sakuga_schema::CheckOptions::default());
        assert!(!checked.diagnostics.is_empty());
        for finding in &checked.diagnostics {
            let message = wire::Diagnostic::from(finding);
            assert_eq!(Severity::from(message.severity()), finding.severity);
            assert_eq!(
                (message.span_start as usize, message.span_end as usize),
                (finding.span.start, finding.span.end)
            );
            assert_eq!(message.fix.as_ref().map(Fix::from), finding.fix);
        }
    }
}
