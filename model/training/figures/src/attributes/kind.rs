//! The attributes by name, and sets of them.

/// What can be asked about a figure, or about the picture as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attribute {
    /// Girl or boy.
    Gender,
    /// Colour of the hair.
    HairColor,
    /// Silhouette of the hair.
    HairStyle,
    /// Shape of the hair above the eyes.
    Bangs,
    /// Colour of the eyes.
    EyeColor,
    /// Colour of the skin.
    Skin,
    /// Look on the face.
    Expression,
    /// Kind of clothes.
    Outfit,
    /// Colour of the clothes.
    ClothColor,
    /// What the head or the neck wears.
    Accessory,
    /// What the arms do.
    Action,
    /// What is behind the figures.
    Backdrop,
    /// Manner of drawing.
    Style,
    /// How much of the figures is in the picture.
    Framing,
}

impl Attribute {
    /// What is asked of each figure.
    pub const OF_FIGURE: &'static [Self] = &[
        Self::Gender,
        Self::HairColor,
        Self::HairStyle,
        Self::Bangs,
        Self::EyeColor,
        Self::Skin,
        Self::Expression,
        Self::Outfit,
        Self::ClothColor,
        Self::Accessory,
        Self::Action,
    ];

    /// What is asked of the picture.
    pub const OF_SCENE: &'static [Self] = &[Self::Backdrop, Self::Style, Self::Framing];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gender => "gender",
            Self::HairColor => "hair color",
            Self::HairStyle => "hair style",
            Self::Bangs => "bangs",
            Self::EyeColor => "eye color",
            Self::Skin => "skin",
            Self::Expression => "expression",
            Self::Outfit => "outfit",
            Self::ClothColor => "outfit color",
            Self::Accessory => "accessory",
            Self::Action => "action",
            Self::Backdrop => "background",
            Self::Style => "style",
            Self::Framing => "framing",
        }
    }
}

/// A set of attributes, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributeSet(u16);

impl AttributeSet {
    /// Every attribute.
    pub const ALL: Self = Self(u16::MAX);
    /// No attribute.
    pub const NONE: Self = Self(0);

    /// Whether the set has this attribute.
    #[must_use]
    pub fn contains(self, attribute: Attribute) -> bool {
        self.0 & (1 << attribute as u16) != 0
    }

    /// The set with one more attribute.
    #[must_use]
    pub fn with(self, attribute: Attribute) -> Self {
        Self(self.0 | 1 << attribute as u16)
    }

    /// This set with `attribute` removed.
    #[must_use]
    pub fn without(self, attribute: Attribute) -> Self {
        Self(self.0 & !(1 << attribute as u16))
    }
}

impl FromIterator<Attribute> for AttributeSet {
    fn from_iter<I: IntoIterator<Item = Attribute>>(attributes: I) -> Self {
        attributes.into_iter().fold(Self::NONE, Self::with)
    }
}
