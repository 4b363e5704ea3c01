//! Moves fields that stood in the wrong place to their blocks, once every block is known.

use std::borrow::Cow;
use std::ops::Range;

use super::Lowering;
use crate::grammar::TextKind;
use crate::names::Place;
use crate::outline::{Block, Field};
use crate::rules::{stray_text, wrong_place};

/// A field that was found where it does not belong.
#[derive(Debug)]
pub(super) struct Stray<'t> {
    /// Where it belongs.
    pub(super) home: Place,
    pub(super) field: Field<'t>,
    pub(super) origin: Origin,
}

/// Where and as what a stray was found.
#[derive(Debug)]
pub(super) enum Origin {
    Top,
    /// Inside a block that ends there.
    Inside {
        end: usize,
    },
    /// As an element: the places of its name, its path, and the end of the block around it.
    Element {
        names: Vec<Range<usize>>,
        path: String,
        outside: Option<usize>,
    },
    /// As text at the top.
    Text,
    /// Reported already.
    Reported,
}

/// The general tags of a prompt that has none.
fn unwritten_general<'t>() -> Block<'t> {
    Block {
        path: Place::General.decl().name.to_owned(),
        number: 0,
        span: 0..0,
        open: 0..0,
        inside_end: None,
        names: Vec::new(),
        fields: Vec::new(),
    }
}

impl<'t> Lowering<'t, '_> {
    /// Moves every stray to the block where it belongs.
    pub(super) fn settle_strays(&mut self) {
        for stray in std::mem::take(&mut self.strays) {
            match stray.home {
                Place::Top => {
                    self.report(&stray, None, "");
                    self.bring_caption(stray.field);
                }
                Place::Character => self.bring_to_character(stray),
                Place::General | Place::Negative => {
                    let inside_end = self.outline.general.as_ref().and_then(|general| general.inside_end);
                    self.report(&stray, inside_end, Place::General.decl().name);
                    self.bring_to_general(stray.field);
                }
            }
        }
    }

    /// A character's field belongs to the only character; with several, its character is unknown.
    fn bring_to_character(&mut self, mut stray: Stray<'t>) {
        if let [character] = self.outline.characters.as_mut_slice() {
            let (inside_end, path) = (character.inside_end, character.path.clone());
            let is_free = character.field(stray.field.decl.name).is_none();
            let is_list = stray.field.decl.text().is_some_and(|text| text.kind == TextKind::Tags);
            if is_free || is_list {
                Self::merge(character, stray.field.clone());
                self.report(&stray, inside_end, &path);
                return;
            }
        }
        let has_tags = !stray.field.tags.is_empty();
        let path = match stray.origin {
            Origin::Element { path, .. } => path,
            _ => stray.field.decl.name.to_owned(),
        };
        self.findings.push(wrong_place::homeless(stray.field.span.clone(), stray.field.decl.name, has_tags).at(path));
        if has_tags && let Some(other) = Place::General.decl().child("other") {
            stray.field.decl = other;
            self.bring_to_general(stray.field);
        }
    }

    fn bring_to_general(&mut self, field: Field<'t>) {
        let general = self.outline.general.get_or_insert_with(unwritten_general);
        Self::merge(general, field);
    }

    fn merge(block: &mut Block<'t>, mut field: Field<'t>) {
        match block.fields.iter_mut().find(|present| present.decl.name == field.decl.name) {
            Some(present) => present.tags.append(&mut field.tags),
            None => block.fields.push(field),
        }
    }

    fn bring_caption(&mut self, field: Field<'t>) {
        match &mut self.outline.caption {
            None => self.outline.caption = Some(field),
            Some(present) => present.text = Cow::Owned(format!("{}\n{}", present.text, field.text)),
        }
    }

    fn report(&mut self, stray: &Stray<'_>, inside_end: Option<usize>, home: &str) {
        let finding = match &stray.origin {
            Origin::Element { names, path, outside } => {
                let move_to = wrong_place::Home { name: home, inside_end, outside: *outside };
                wrong_place::element(&stray.field, names, &move_to, self.source).at(path.clone())
            }
            Origin::Text => {
                let has_caption = self.outline.caption.is_some();
                stray_text::between_blocks(&stray.field, has_caption, inside_end, self.source)
            }
            Origin::Top | Origin::Inside { .. } | Origin::Reported => return,
        };
        self.findings.push(finding);
    }
}
