//! One figure of a picture: its attributes, random or plain.

use sakuga_schema::Gender;

use crate::attributes::{
    Accessory, Action, Bangs, ClothColor, Expression, EyeColor, HairColor, HairStyle, Outfit, Position, Skin,
};
use crate::rng::Rng;

/// One figure: everything that can be said about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Figure {
    /// Girl or boy.
    pub gender: Gender,
    /// Colour of the hair.
    pub hair_color: HairColor,
    /// Silhouette of the hair.
    pub hair_style: HairStyle,
    /// How the hair falls over the forehead.
    pub bangs: Bangs,
    /// Colour of the irises.
    pub eye_color: EyeColor,
    /// Colour of the skin.
    pub skin: Skin,
    /// The look on the face.
    pub expression: Expression,
    /// The kind of clothes.
    pub outfit: Outfit,
    /// Their main colour.
    pub cloth_color: ClothColor,
    /// At most one accessory.
    pub accessory: Option<Accessory>,
    /// What the arms do.
    pub action: Action,
    /// In which part of the picture the figure stands.
    pub position: Position,
}

impl Figure {
    /// A random figure at a position.
    #[must_use]
    pub fn random(rng: &mut Rng, position: Position) -> Self {
        let is_boy = rng.chance(0.25);
        let mut figure = Self::plain(position);
        figure.gender = if is_boy { Gender::Boy } else { Gender::Girl };
        let styles = if is_boy { HairStyle::FOR_BOYS } else { HairStyle::FOR_GIRLS };
        let outfits = if is_boy { Outfit::FOR_BOYS } else { Outfit::ALL };
        set(rng, &mut figure.hair_color, HairColor::ALL);
        set(rng, &mut figure.hair_style, styles);
        set(rng, &mut figure.bangs, Bangs::ALL);
        set(rng, &mut figure.eye_color, EyeColor::ALL);
        set(rng, &mut figure.expression, Expression::ALL);
        set(rng, &mut figure.outfit, outfits);
        set(rng, &mut figure.cloth_color, ClothColor::ALL);
        set(rng, &mut figure.action, Action::ALL);
        // Pale skin is the most common in the art that the tags come from.
        figure.skin = match rng.below(6) {
            0 => Skin::Dark,
            1 => Skin::Tan,
            _ => Skin::Pale,
        };
        let fitting: Vec<Accessory> =
            Accessory::ALL.iter().copied().filter(|accessory| accessory.goes_with(figure.hair_style)).collect();
        figure.accessory = if rng.chance(0.3) { None } else { rng.pick(&fitting).copied() };
        figure
    }

    /// The figure that a prompt without any tags gets.
    #[must_use]
    pub fn plain(position: Position) -> Self {
        Self {
            gender: Gender::Girl,
            hair_color: HairColor::Brown,
            hair_style: HairStyle::Long,
            bangs: Bangs::BetweenEyes,
            eye_color: EyeColor::Blue,
            skin: Skin::Pale,
            expression: Expression::Smile,
            outfit: Outfit::Serafuku,
            cloth_color: ClothColor::Blue,
            accessory: None,
            action: Action::Standing,
            position,
        }
    }
}

/// A random one of the values.
pub(crate) fn set<T: Copy>(rng: &mut Rng, field: &mut T, values: &[T]) {
    if let Some(&value) = rng.pick(values) {
        *field = value;
    }
}
