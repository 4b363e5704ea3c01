//! Hair: colour, style, bangs.

use super::attribute;

attribute! {
    /// The colour of the hair, with the ears of an animal included.
    HairColor {
        Black => "black_hair", Brown => "brown_hair", Blonde => "blonde_hair", Orange => "orange_hair",
        Red => "red_hair", Pink => "pink_hair", Purple => "purple_hair", Blue => "blue_hair",
        Aqua => "aqua_hair", Green => "green_hair", White => "white_hair", Grey => "grey_hair",
    }
}

attribute! {
    /// The silhouette of the hair.
    HairStyle {
        Long => "long_hair", Short => "short_hair", Bob => "bob_cut", Wavy => "wavy_hair",
        Twintails => "twintails", Ponytail => "ponytail", SidePonytail => "side_ponytail",
        TwinBraids => "twin_braids", Bun => "hair_bun", DoubleBun => "double_bun",
        Drills => "twin_drills", Spiked => "spiked_hair",
    }
}

impl HairStyle {
    /// The styles that boys are drawn with.
    pub const FOR_BOYS: &'static [Self] = &[Self::Short, Self::Spiked, Self::Long, Self::Ponytail];

    /// The styles that girls are drawn with.
    pub const FOR_GIRLS: &'static [Self] = &[
        Self::Long,
        Self::Short,
        Self::Bob,
        Self::Wavy,
        Self::Twintails,
        Self::Ponytail,
        Self::SidePonytail,
        Self::TwinBraids,
        Self::Bun,
        Self::DoubleBun,
        Self::Drills,
    ];
}

attribute! {
    /// How the hair falls over the forehead.
    Bangs {
        Blunt => "blunt_bangs", Swept => "swept_bangs", Parted => "parted_bangs",
        BetweenEyes => "hair_between_eyes", Crossed => "crossed_bangs",
    }
}
