//! What a figure wears and does: outfit, its colour, one accessory, the action.

use super::attribute;

attribute! {
    /// The kind of clothes.
    Outfit {
        Serafuku => "serafuku", Blazer => "blazer", Dress => "dress", Hoodie => "hoodie",
        Kimono => "kimono", Maid => "maid", TShirt => "t-shirt", Sweater => "sweater",
        Armor => "armor", Robe => "robe", Overalls => "overalls",
    }
}

impl Outfit {
    /// The outfits that boys are drawn with.
    pub const FOR_BOYS: &'static [Self] = &[
        Self::Blazer,
        Self::Hoodie,
        Self::Kimono,
        Self::TShirt,
        Self::Sweater,
        Self::Armor,
        Self::Robe,
        Self::Overalls,
    ];

    /// The garment that carries the colour: `red` and `dress` make `red_dress`.
    #[must_use]
    pub fn garment(self) -> &'static str {
        match self {
            Self::Serafuku => "sailor_collar",
            Self::Blazer => "jacket",
            Self::Dress | Self::Maid => "dress",
            Self::Hoodie => "hoodie",
            Self::Kimono => "kimono",
            Self::TShirt => "shirt",
            Self::Sweater => "sweater",
            Self::Armor => "cape",
            Self::Robe => "robe",
            Self::Overalls => "overalls",
        }
    }
}

attribute! {
    /// The main colour of the clothes; the tag is the first half of a garment's tag.
    ClothColor {
        Red => "red", Orange => "orange", Yellow => "yellow", Green => "green", Aqua => "aqua",
        Blue => "blue", Purple => "purple", Pink => "pink", White => "white", Black => "black",
    }
}

attribute! {
    /// What is worn on the head or round the neck, or grows there.
    Accessory {
        CatEars => "cat_ears", RabbitEars => "rabbit_ears", FoxEars => "fox_ears", HairBow => "hair_bow",
        Glasses => "glasses", WitchHat => "witch_hat", Beret => "beret", Headphones => "headphones",
        Hairclip => "star_hair_ornament", Scarf => "scarf", Halo => "halo", HairFlower => "hair_flower",
        Crown => "mini_crown", Horns => "horns",
    }
}

impl Accessory {
    /// Whether the hair can still be distinguished under it: a hat hides a bun.
    #[must_use]
    pub fn goes_with(self, style: super::HairStyle) -> bool {
        use super::HairStyle::{Bun, DoubleBun, Spiked};
        match self {
            Self::WitchHat | Self::Beret => !matches!(style, Bun | DoubleBun | Spiked),
            Self::HairBow | Self::Crown => style != Bun,
            _ => true,
        }
    }

    /// Whether the figure is born with it, so that its tag stands in `<appearance>` and not in `<clothing>`.
    #[must_use]
    pub fn is_grown(self) -> bool {
        matches!(self, Self::CatEars | Self::RabbitEars | Self::FoxEars | Self::Horns)
    }
}

attribute! {
    /// What the arms do.
    Action {
        Standing => "standing", Waving => "waving", ArmsUp => "arms_up", HandsOnHips => "hands_on_own_hips",
        Victory => "v", HoldingFlower => "holding_flower", HandsTogether => "own_hands_together",
        HoldingBook => "holding_book",
    }
}
