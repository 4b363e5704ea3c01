//! Combinations that training never draws, so that the evaluation can ask for what was never seen together.
//!
//! Each value of a pair appears often in other pairs; only the pair is new.

use sakuga_schema::Gender;

use crate::attributes::{ClothColor, EyeColor, HairColor, HairStyle, Outfit};
use crate::figure::Figure;
use crate::rng::Rng;

/// Hair of this colour in this style.
pub const HAIR: &[(HairColor, HairStyle)] = &[
    (HairColor::Blue, HairStyle::Twintails),
    (HairColor::Pink, HairStyle::Ponytail),
    (HairColor::Green, HairStyle::Long),
    (HairColor::Red, HairStyle::Bob),
    (HairColor::Black, HairStyle::Drills),
    (HairColor::Blonde, HairStyle::TwinBraids),
    (HairColor::White, HairStyle::DoubleBun),
    (HairColor::Purple, HairStyle::Short),
    (HairColor::Orange, HairStyle::Wavy),
    (HairColor::Aqua, HairStyle::SidePonytail),
    (HairColor::Brown, HairStyle::Bun),
    (HairColor::Grey, HairStyle::Spiked),
];

/// Hair of this colour with eyes of that colour.
pub const EYES: &[(HairColor, EyeColor)] = &[
    (HairColor::Blonde, EyeColor::Red),
    (HairColor::Black, EyeColor::Aqua),
    (HairColor::Pink, EyeColor::Green),
    (HairColor::Blue, EyeColor::Orange),
    (HairColor::White, EyeColor::Purple),
    (HairColor::Red, EyeColor::Blue),
    (HairColor::Green, EyeColor::Pink),
    (HairColor::Brown, EyeColor::Yellow),
    (HairColor::Purple, EyeColor::Brown),
    (HairColor::Orange, EyeColor::Grey),
];

/// Clothes of this kind in this colour.
pub const CLOTHES: &[(Outfit, ClothColor)] = &[
    (Outfit::Serafuku, ClothColor::Green),
    (Outfit::Blazer, ClothColor::Purple),
    (Outfit::Dress, ClothColor::Red),
    (Outfit::Hoodie, ClothColor::Pink),
    (Outfit::Kimono, ClothColor::Blue),
    (Outfit::Maid, ClothColor::Aqua),
    (Outfit::TShirt, ClothColor::Yellow),
    (Outfit::Sweater, ClothColor::White),
    (Outfit::Armor, ClothColor::Orange),
    (Outfit::Robe, ClothColor::Black),
    (Outfit::Overalls, ClothColor::Red),
];

/// Whether a figure has a combination of the lists.
#[must_use]
pub fn is_held_out(figure: &Figure) -> bool {
    HAIR.contains(&(figure.hair_color, figure.hair_style))
        || (!figure.expression.hides_eyes() && EYES.contains(&(figure.hair_color, figure.eye_color)))
        || CLOTHES.contains(&(figure.outfit, figure.cloth_color))
}

/// Gives a figure one combination of the lists that suits it.
pub(crate) fn impose(rng: &mut Rng, figure: &mut Figure) {
    let is_boy = figure.gender == Gender::Boy;
    let styles = if is_boy { HairStyle::FOR_BOYS } else { HairStyle::FOR_GIRLS };
    let outfits = if is_boy { Outfit::FOR_BOYS } else { Outfit::ALL };
    let can_show_hair = |style: HairStyle| {
        styles.contains(&style) && figure.accessory.is_none_or(|accessory| accessory.goes_with(style))
    };
    let hair: Vec<_> = HAIR.iter().filter(|(_, style)| can_show_hair(*style)).collect();
    let clothes: Vec<_> = CLOTHES.iter().filter(|(outfit, _)| outfits.contains(outfit)).collect();
    match rng.below(3) {
        0 if !hair.is_empty() => {
            if let Some(&&(color, style)) = rng.pick(&hair) {
                (figure.hair_color, figure.hair_style) = (color, style);
            }
        }
        1 if !figure.expression.hides_eyes() => {
            if let Some(&(hair_color, eye_color)) = rng.pick(EYES) {
                (figure.hair_color, figure.eye_color) = (hair_color, eye_color);
            }
        }
        _ => {
            if let Some(&&(outfit, color)) = rng.pick(&clothes) {
                (figure.outfit, figure.cloth_color) = (outfit, color);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{Constraints, HeldOut, Scene};

    #[test]
    fn training_never_draws_what_is_held_out() {
        let constraints = Constraints { figures: None, held_out: HeldOut::Never };
        let mut rng = Rng::new(11);
        assert!((0..2000).all(|_| !Scene::random(&mut rng, &constraints).is_held_out()));
    }

    #[test]
    fn the_evaluation_of_unseen_combinations_draws_nothing_else() {
        let constraints = Constraints { figures: Some(2), held_out: HeldOut::Always };
        let mut rng = Rng::new(12);
        for _ in 0..500 {
            let scene = Scene::random(&mut rng, &constraints);
            assert!(scene.figures.iter().all(is_held_out), "{scene:?}");
        }
    }

    #[test]
    fn every_held_out_value_is_seen_in_other_company() {
        let constraints = Constraints { figures: Some(3), held_out: HeldOut::Never };
        let mut rng = Rng::new(13);
        let figures: Vec<Figure> = (0..700).flat_map(|_| Scene::random(&mut rng, &constraints).figures).collect();
        for &(color, style) in HAIR {
            assert!(figures.iter().any(|figure| figure.hair_color == color), "{color:?}");
            assert!(figures.iter().any(|figure| figure.hair_style == style), "{style:?}");
        }
        for &(outfit, color) in CLOTHES {
            assert!(figures.iter().any(|figure| figure.outfit == outfit), "{outfit:?}");
            assert!(figures.iter().any(|figure| figure.cloth_color == color), "{color:?}");
        }
    }
}
