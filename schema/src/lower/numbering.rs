//! The numbers of the characters, and genders that are missing.

use std::borrow::Cow;

use super::Lowering;
use crate::names::Place;
use crate::outline::{Block, Field};
use crate::outline::{Tally, WrittenCount};
use crate::rules::{duplicate_element, missing_required, numbering_gap, too_many_characters};

impl Lowering<'_, '_> {
    /// Puts the characters in the order of their numbers, gives a number to those without, and reports what is
    /// doubled, missing or too much.
    pub(super) fn settle_numbers(&mut self) {
        let characters = &mut self.outline.characters;
        let highest = characters.iter().map(|character| character.number).max().unwrap_or(0);
        let mut next = highest.saturating_add(1);
        characters.sort_by_key(|character| character.number);
        // A character that is written twice becomes another one after all others: nothing of it is lost.
        let mut last = None;
        for character in characters.iter_mut() {
            if last == Some(character.number) {
                self.findings.push(duplicate_element::character(character, next));
                character.number = next;
                next = next.saturating_add(1);
            } else {
                last = Some(character.number);
            }
        }
        for mut character in self.named.drain(..) {
            character.number = next;
            next = next.saturating_add(1);
            characters.push(character);
        }
        characters.sort_by_key(|character| character.number);
        numbering_gap::check(characters, self.findings);
        too_many_characters::check(characters, self.findings);
    }

    /// Reports the characters without gender. Where only one gender is left over, it is taken.
    pub(super) fn settle_genders(&mut self) {
        let is_missing = |character: &Block<'_>| character.field("gender").is_none();
        let unknown = self.outline.characters.iter().filter(|character| is_missing(character)).count();
        if unknown == 0 {
            return;
        }
        let Some(decl) = Place::Character.decl().child("gender") else { return };
        let written = WrittenCount::read(self.outline.general.as_ref().map_or(&[], |general| general.tags("count")));
        let known = Tally::of_characters(&self.outline.characters);
        let rest = written.gender_of_the_rest(known, u32::try_from(unknown).unwrap_or(u32::MAX));
        for character in &mut self.outline.characters {
            if !is_missing(character) {
                continue;
            }
            let inferred = rest.or_else(|| missing_required::gender_in_tags(character));
            self.findings.push(missing_required::gender(character, inferred));
            if let Some(gender) = inferred {
                let at = character.open.end..character.open.end;
                let text = Cow::Borrowed(gender.as_str());
                character.fields.push(Field { decl, span: at.clone(), content: at, tags: Vec::new(), text });
            }
        }
    }
}
