//! Prompts, findings and token counts.

use sakuga_model_core::TokenCount;
use sakuga_proto::prompt::v1 as prompt;
use sakuga_schema::{Character, Diagnostic, Fix, Gender, GeneralTags, NegativePrompt, Prompt, Severity, TagList};

use super::saturate;

/// Most characters of the text that a token limit would cut.
const FIRST_LOST_CHARS_MAX: usize = 80;

/// A typed prompt.
pub fn typed(typed: &Prompt) -> prompt::Prompt {
    prompt::Prompt {
        characters: typed.characters.iter().map(character).collect(),
        general_tags: typed.general_tags.as_ref().map(general_tags),
        caption: typed.caption.clone().unwrap_or_default(),
    }
}

fn character(one: &Character) -> prompt::Character {
    prompt::Character {
        n: one.n.clone(),
        gender: match one.gender {
            None => prompt::Gender::Unspecified,
            Some(Gender::Girl) => prompt::Gender::Gender1girl,
            Some(Gender::Boy) => prompt::Gender::Gender1boy,
            Some(Gender::Other) => prompt::Gender::Gender1other,
        }
        .into(),
        appearance: tags(&one.appearance),
        clothing: tags(&one.clothing),
        body_type: tags(&one.body_type),
        expression: tags(&one.expression),
        action: tags(&one.action),
        interaction: tags(&one.interaction),
        position: tags(&one.position),
    }
}

fn general_tags(general: &GeneralTags) -> prompt::GeneralTags {
    prompt::GeneralTags {
        count: tags(&general.count),
        artists: tags(&general.artists),
        style: tags(&general.style),
        background: tags(&general.background),
        environment: tags(&general.environment),
        perspective: tags(&general.perspective),
        atmosphere: tags(&general.atmosphere),
        lighting: tags(&general.lighting),
        quality: tags(&general.quality),
        resolution: tags(&general.resolution),
        objects: tags(&general.objects),
        other: tags(&general.other),
    }
}

/// A typed negative prompt.
pub fn negative(typed: &NegativePrompt) -> prompt::NegativePrompt {
    prompt::NegativePrompt {
        danbooru_tags: tags(&typed.danbooru_tags),
        e621_tags: tags(&typed.e621_tags),
        resolution: tags(&typed.resolution),
        caption: typed.caption.clone().unwrap_or_default(),
    }
}

fn tags(list: &TagList) -> Option<prompt::TagList> {
    Some(prompt::TagList { tags: list.iter().cloned().collect() }).filter(|list| !list.tags.is_empty())
}

/// A finding.
pub fn diagnostic(finding: &Diagnostic) -> prompt::Diagnostic {
    prompt::Diagnostic {
        code: finding.code.to_owned(),
        severity: match finding.severity {
            Severity::Error => prompt::Severity::Error,
            Severity::Warning => prompt::Severity::Warning,
            Severity::Advice => prompt::Severity::Advice,
        }
        .into(),
        message: finding.message.clone(),
        span_start: saturate(finding.span.start),
        span_end: saturate(finding.span.end),
        line: finding.start.line,
        column: finding.start.column,
        end_line: finding.end.line,
        end_column: finding.end.column,
        path: finding.path.clone(),
        fix: finding.fix.as_ref().map(fix),
    }
}

fn fix(fix: &Fix) -> prompt::Fix {
    let edits = fix.edits.iter().map(|edit| prompt::Edit {
        span_start: saturate(edit.span.start),
        span_end: saturate(edit.span.end),
        replacement: edit.replacement.clone(),
    });
    prompt::Fix { description: fix.description.clone(), edits: edits.collect() }
}

/// What one text encoder makes of a text.
pub fn token_count(count: &TokenCount) -> prompt::TokenCount {
    let first_lost = count.first_lost.as_deref().unwrap_or_default();
    prompt::TokenCount {
        encoder: count.encoder.to_owned(),
        tokens: count.tokens,
        limit: count.limit,
        truncated: count.is_truncated(),
        first_lost: first_lost.chars().take(FIRST_LOST_CHARS_MAX).collect(),
    }
}
