//! A figure with one attribute set to each of its values.

use sakuga_schema::Gender;

use crate::attributes::{
    Accessory, Action, Attribute, Bangs, ClothColor, Expression, EyeColor, HairColor, HairStyle, Outfit, Skin,
};
use crate::figure::Figure;

/// The figure as it would be with every value of an attribute of figures.
pub(super) fn of(figure: &Figure, attribute: Attribute) -> Vec<Figure> {
    fn each<T: Copy>(figure: &Figure, values: &[T], set: impl Fn(&mut Figure, T)) -> Vec<Figure> {
        let with = |&value: &T| {
            let mut changed = figure.clone();
            set(&mut changed, value);
            changed
        };
        values.iter().map(with).collect()
    }
    match attribute {
        Attribute::Gender => each(figure, &[Gender::Girl, Gender::Boy], |figure, value| figure.gender = value),
        Attribute::HairColor => each(figure, HairColor::ALL, |figure, value| figure.hair_color = value),
        Attribute::HairStyle => each(figure, HairStyle::ALL, |figure, value| figure.hair_style = value),
        Attribute::Bangs => each(figure, Bangs::ALL, |figure, value| figure.bangs = value),
        Attribute::EyeColor => each(figure, EyeColor::ALL, |figure, value| figure.eye_color = value),
        Attribute::Skin => each(figure, Skin::ALL, |figure, value| figure.skin = value),
        Attribute::Expression => each(figure, Expression::ALL, |figure, value| figure.expression = value),
        Attribute::Outfit => each(figure, Outfit::ALL, |figure, value| figure.outfit = value),
        Attribute::ClothColor => each(figure, ClothColor::ALL, |figure, value| figure.cloth_color = value),
        Attribute::Action => each(figure, Action::ALL, |figure, value| figure.action = value),
        Attribute::Accessory => {
            let values: Vec<Option<Accessory>> =
                std::iter::once(None).chain(Accessory::ALL.iter().copied().map(Some)).collect();
            each(figure, &values, |figure, value| figure.accessory = value)
        }
        Attribute::Backdrop | Attribute::Style | Attribute::Framing => vec![figure.clone()],
    }
}

/// The value of an attribute as a word for reports.
pub(super) fn tag(figure: &Figure, attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Gender => figure.gender.as_str(),
        Attribute::HairColor => figure.hair_color.tag(),
        Attribute::HairStyle => figure.hair_style.tag(),
        Attribute::Bangs => figure.bangs.tag(),
        Attribute::EyeColor => figure.eye_color.tag(),
        Attribute::Skin => figure.skin.tag(),
        Attribute::Expression => figure.expression.tag(),
        Attribute::Outfit => figure.outfit.tag(),
        Attribute::ClothColor => figure.cloth_color.tag(),
        Attribute::Accessory => figure.accessory.map_or("none", Accessory::tag),
        Attribute::Action => figure.action.tag(),
        Attribute::Backdrop | Attribute::Style | Attribute::Framing => "",
    }
}
