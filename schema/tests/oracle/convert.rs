//! Converts the types that xsd-parser generates to the plain values, and checks what those types do not: texts that may
//! not be blank, numbers without gaps.

use super::ReadError;
use super::generated::{CharacterType, GenderType, GeneralTagsType, NegativePromptType, PromptElementType};
use sakuga_schema::{Character, Gender, GeneralTags, NegativePrompt, Prompt, TagList};

pub(super) fn prompt(document: PromptElementType) -> Result<Prompt, ReadError> {
    let characters = [
        document.character_1,
        document.character_2,
        document.character_3,
        document.character_4,
        document.character_5,
        document.character_6,
        document.character_7,
        document.character_8,
        document.character_9,
        document.character_10,
        document.character_11,
        document.character_12,
        document.character_13,
        document.character_14,
        document.character_15,
        document.character_16,
    ];
    let count = characters.iter().take_while(|character| character.is_some()).count();
    if let Some(present) = characters.iter().skip(count).position(Option::is_some) {
        return Err(ReadError::Gap { missing: count + 1, present: count + 1 + present });
    }
    let characters = characters.into_iter().flatten().zip(1..);
    Ok(Prompt {
        characters: characters.map(|(element, number)| character(number, element)).collect::<Result<_, _>>()?,
        general_tags: document.general_tags.map(general_tags).transpose()?,
        caption: prose("caption", document.caption)?,
    })
}

pub(super) fn negative_prompt(document: NegativePromptType) -> Result<NegativePrompt, ReadError> {
    Ok(NegativePrompt {
        danbooru_tags: tags("", "danbooru_tags", document.danbooru_tags)?,
        e621_tags: tags("", "e621_tags", document.e621_tags)?,
        resolution: tags("", "resolution", document.resolution)?,
        caption: prose("caption", document.caption)?,
    })
}

fn character(number: usize, element: CharacterType) -> Result<Character, ReadError> {
    let path = format!("character_{number}");
    Ok(Character {
        n: collapse(&element.n.unwrap_or_default()),
        gender: Some(match element.gender {
            GenderType::_1Girl => Gender::Girl,
            GenderType::_1Boy => Gender::Boy,
            GenderType::_1Other => Gender::Other,
        }),
        appearance: tags(&path, "appearance", element.appearance)?,
        clothing: tags(&path, "clothing", element.clothing)?,
        body_type: tags(&path, "body_type", element.body_type)?,
        expression: tags(&path, "expression", element.expression)?,
        action: tags(&path, "action", element.action)?,
        interaction: tags(&path, "interaction", element.interaction)?,
        position: tags(&path, "position", element.position)?,
    })
}

fn general_tags(element: GeneralTagsType) -> Result<GeneralTags, ReadError> {
    let tags = |name, text| tags("general_tags", name, text);
    Ok(GeneralTags {
        count: tags("count", element.count)?,
        artists: tags("artists", element.artists)?,
        style: tags("style", element.style)?,
        background: tags("background", element.background)?,
        environment: tags("environment", element.environment)?,
        perspective: tags("perspective", element.perspective)?,
        atmosphere: tags("atmosphere", element.atmosphere)?,
        lighting: tags("lighting", element.lighting)?,
        quality: tags("quality", element.quality)?,
        resolution: tags("resolution", element.resolution)?,
        objects: tags("objects", element.objects)?,
        other: tags("other", element.other)?,
    })
}

/// No element is an empty list; an element without a tag is a fault.
fn tags(parent: &str, name: &str, text: Option<String>) -> Result<TagList, ReadError> {
    let Some(text) = text else {
        return Ok(TagList::default());
    };
    let tags = TagList::parse(&text);
    if tags.is_empty() {
        let separator = if parent.is_empty() { "" } else { "/" };
        return Err(ReadError::Empty { path: format!("{parent}{separator}{name}") });
    }
    Ok(tags)
}

fn prose(path: &str, text: Option<String>) -> Result<Option<String>, ReadError> {
    let Some(text) = text else {
        return Ok(None);
    };
    match text.trim() {
        "" => Err(ReadError::Empty { path: path.to_owned() }),
        trimmed => Ok(Some(trimmed.to_owned())),
    }
}

/// One line, as `xs:token` reads it, without white space of any kind at its ends.
fn collapse(text: &str) -> String {
    let words = text.trim().split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}
