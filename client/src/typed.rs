//! Typed prompts between the values of the prompt language and the messages of the wire. Both mirror the XSD, so every
//! field has exactly one counterpart.

use sakuga_proto::prompt::v1 as wire;
use sakuga_schema::{Character, Gender, GeneralTags, NegativePrompt, Prompt, TagList};

/// The message of a prompt.
pub fn prompt_to_wire(prompt: &Prompt) -> wire::Prompt {
    wire::Prompt {
        characters: prompt.characters.iter().map(character_to_wire).collect(),
        general_tags: prompt.general_tags.as_ref().map(general_tags_to_wire),
        caption: prompt.caption.clone().unwrap_or_default(),
    }
}

/// The prompt of a message. A gender that is not said or not known becomes `None`.
pub fn prompt_from_wire(prompt: &wire::Prompt) -> Prompt {
    Prompt {
        characters: prompt.characters.iter().map(character_from_wire).collect(),
        general_tags: prompt.general_tags.as_ref().map(general_tags_from_wire),
        caption: said(&prompt.caption),
    }
}

/// The negative prompt of a message.
pub fn negative_from_wire(negative: &wire::NegativePrompt) -> NegativePrompt {
    NegativePrompt {
        danbooru_tags: tags_from_wire(&negative.danbooru_tags),
        e621_tags: tags_from_wire(&negative.e621_tags),
        resolution: tags_from_wire(&negative.resolution),
        caption: said(&negative.caption),
    }
}

/// The message of a negative prompt.
pub fn negative_to_wire(negative: &NegativePrompt) -> wire::NegativePrompt {
    wire::NegativePrompt {
        danbooru_tags: tags_to_wire(&negative.danbooru_tags),
        e621_tags: tags_to_wire(&negative.e621_tags),
        resolution: tags_to_wire(&negative.resolution),
        caption: negative.caption.clone().unwrap_or_default(),
    }
}

fn character_to_wire(character: &Character) -> wire::Character {
    let gender = match character.gender {
        None => wire::Gender::Unspecified,
        Some(Gender::Girl) => wire::Gender::Gender1girl,
        Some(Gender::Boy) => wire::Gender::Gender1boy,
        Some(Gender::Other) => wire::Gender::Gender1other,
    };
    wire::Character {
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

fn character_from_wire(character: &wire::Character) -> Character {
    Character {
        n: character.n.clone(),
        gender: match character.gender() {
            wire::Gender::Unspecified => None,
            wire::Gender::Gender1girl => Some(Gender::Girl),
            wire::Gender::Gender1boy => Some(Gender::Boy),
            wire::Gender::Gender1other => Some(Gender::Other),
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

fn general_tags_to_wire(general: &GeneralTags) -> wire::GeneralTags {
    wire::GeneralTags {
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

fn general_tags_from_wire(general: &wire::GeneralTags) -> GeneralTags {
    GeneralTags {
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

fn tags_to_wire(tags: &TagList) -> Option<wire::TagList> {
    (!tags.is_empty()).then(|| wire::TagList { tags: tags.iter().cloned().collect() })
}

fn tags_from_wire(tags: &Option<wire::TagList>) -> TagList {
    TagList::new(tags.iter().flat_map(|tags| tags.tags.iter().cloned()))
}

fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
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
        assert_eq!(prompt_from_wire(&prompt_to_wire(&prompt)), prompt);
        assert_eq!(prompt_from_wire(&prompt_to_wire(&Prompt::default())), Prompt::default());
    }

    #[test]
    fn a_negative_prompt_survives_the_wire() {
        let mut negative = NegativePrompt { caption: Some("Blurry.".to_owned()), ..NegativePrompt::default() };
        for name in ["danbooru_tags", "e621_tags", "resolution"] {
            negative.tag_list_mut(name).unwrap().push(name);
        }
        assert_eq!(negative_from_wire(&negative_to_wire(&negative)), negative);
    }
}
