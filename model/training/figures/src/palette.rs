//! Colours: what each tag looks like, with shadows that shift in hue and lines that are never black.

use crate::attributes::{ClothColor, EyeColor, HairColor, Skin};

/// A colour in sRGB, 8 bits a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// `#ffffff`.
    pub const WHITE: Self = Self(255, 255, 255);

    /// The colour `0xRRGGBB`.
    #[must_use]
    pub const fn hex(value: u32) -> Self {
        Self((value >> 16) as u8, (value >> 8) as u8, value as u8)
    }

    /// This colour with the share `part` (0 to 1) of another one.
    #[must_use]
    pub fn mix(self, other: Self, part: f32) -> Self {
        let channel = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * part).round() as u8;
        Self(channel(self.0, other.0), channel(self.1, other.1), channel(self.2, other.2))
    }
}

/// The four colours with which one material is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// What most of the surface has.
    pub base: Rgb,
    /// Where light is reflected.
    pub light: Rgb,
    /// Where light does not reach: darker and shifted in hue.
    pub shadow: Rgb,
    /// Contours: the darkest of the hue.
    pub line: Rgb,
}

const fn ramp(base: u32, light: u32, shadow: u32, line: u32) -> Ramp {
    Ramp { base: Rgb::hex(base), light: Rgb::hex(light), shadow: Rgb::hex(shadow), line: Rgb::hex(line) }
}

/// The colours of hair.
#[must_use]
pub fn hair(color: HairColor) -> Ramp {
    match color {
        HairColor::Black => ramp(0x3d3b4e, 0x77779c, 0x272533, 0x15131d),
        HairColor::Brown => ramp(0x8d5b3d, 0xc79566, 0x663b2f, 0x3d201d),
        HairColor::Blonde => ramp(0xf8da78, 0xfff5c4, 0xdfa94f, 0x94602f),
        HairColor::Orange => ramp(0xf5934a, 0xffcb91, 0xd0642f, 0x83371c),
        HairColor::Red => ramp(0xd8414c, 0xf8938a, 0xa72a48, 0x611630),
        HairColor::Pink => ramp(0xfaa7c7, 0xffdcea, 0xde79a5, 0x943d6a),
        HairColor::Purple => ramp(0x9d76d8, 0xd2baf6, 0x724cae, 0x42276d),
        HairColor::Blue => ramp(0x5c8fea, 0xafd0ff, 0x3f64c2, 0x223678),
        HairColor::Aqua => ramp(0x72ddd9, 0xc8f9f1, 0x41abba, 0x1e6075),
        HairColor::Green => ramp(0x72c276, 0xbdecae, 0x459360, 0x215641),
        HairColor::White => ramp(0xf4f3f9, 0xffffff, 0xc9c9e0, 0x757599),
        HairColor::Grey => ramp(0x9fa3b3, 0xd6dae5, 0x74778f, 0x43465d),
    }
}

/// The colours of skin.
#[must_use]
pub fn skin(skin: Skin) -> Ramp {
    match skin {
        Skin::Pale => ramp(0xffe7da, 0xfff6f0, 0xf6bfae, 0xa75a50),
        Skin::Tan => ramp(0xf0bd8f, 0xf9d6b2, 0xd69168, 0x84462f),
        Skin::Dark => ramp(0xa86f50, 0xc48c69, 0x804e3b, 0x4a2822),
    }
}

/// The colours of cloth.
#[must_use]
pub fn cloth(color: ClothColor) -> Ramp {
    match color {
        ClothColor::Red => ramp(0xda454c, 0xee7a74, 0xab3049, 0x641a30),
        ClothColor::Orange => ramp(0xf28f3f, 0xffb877, 0xcb6230, 0x82371c),
        ClothColor::Yellow => ramp(0xf7d55c, 0xffec9c, 0xdaa43e, 0x8f5d25),
        ClothColor::Green => ramp(0x5cad6a, 0x8fd08e, 0x3d8059, 0x1f4b3b),
        ClothColor::Aqua => ramp(0x66d0d0, 0xa9ece4, 0x3c9fb0, 0x1d5a6e),
        ClothColor::Blue => ramp(0x4b78d8, 0x82a9f2, 0x3653ac, 0x1e2e6b),
        ClothColor::Purple => ramp(0x9069ca, 0xb797e6, 0x6a47a0, 0x3c2566),
        ClothColor::Pink => ramp(0xf69cbb, 0xffc8da, 0xdb7199, 0x913d63),
        ClothColor::White => ramp(0xf7f6f9, 0xffffff, 0xcfd0e4, 0x7d7d9c),
        ClothColor::Black => ramp(0x474553, 0x706e83, 0x2f2d3a, 0x191720),
    }
}

/// The colours of an iris: base in the middle, light at the bottom, shadow at the top, line for the rim and the pupil.
#[must_use]
pub fn iris(color: EyeColor) -> Ramp {
    match color {
        EyeColor::Blue => ramp(0x3f7df0, 0xa5e0ff, 0x1f3f9e, 0x122560),
        EyeColor::Red => ramp(0xe2333d, 0xff9d8a, 0x7d1021, 0x4a0816),
        EyeColor::Green => ramp(0x2fae5a, 0xb5f29b, 0x0f5a38, 0x083423),
        EyeColor::Brown => ramp(0x8b5230, 0xd7a06d, 0x4a2618, 0x2b140d),
        EyeColor::Purple => ramp(0x894be0, 0xdbb3ff, 0x43207f, 0x280f50),
        EyeColor::Yellow => ramp(0xf3c01f, 0xfff6a6, 0xa06b05, 0x5e3a04),
        EyeColor::Pink => ramp(0xf46ba5, 0xffd0e2, 0xa92c67, 0x64163c),
        EyeColor::Aqua => ramp(0x24c3d2, 0xb9fcf3, 0x0d6678, 0x073c49),
        EyeColor::Orange => ramp(0xf47c1f, 0xffd490, 0x963a03, 0x571f02),
        EyeColor::Grey => ramp(0x858ca0, 0xd8dde8, 0x3f4454, 0x252834),
    }
}

/// Small things whose colour no tag names.
pub mod thing {
    use super::{Ramp, Rgb, ramp};

    /// White cloth: blouses, aprons, socks.
    pub const WHITE: Ramp = ramp(0xfbfaff, 0xffffff, 0xd3d4ea, 0x7f7f9f);
    /// A red ribbon.
    pub const RED: Ramp = ramp(0xe2434f, 0xff8d88, 0xae2f4b, 0x6a1a32);
    /// Gold metal.
    pub const GOLD: Ramp = ramp(0xf9d34f, 0xfff4b5, 0xd99a35, 0x8c5a22);
    /// Polished metal.
    pub const STEEL: Ramp = ramp(0xc9d2de, 0xf5f9ff, 0x8f9bb3, 0x4c556e);
    /// Dark cloth: hats, shoes, trousers.
    pub const DARK: Ramp = ramp(0x4b4560, 0x766f93, 0x332e45, 0x1d1929);
    /// Brown leather: shoes.
    pub const LEATHER: Ramp = ramp(0x8a5a44, 0xb98467, 0x643c35, 0x3c2220);
    /// Navy cloth: shorts, pleated skirts.
    pub const NAVY: Ramp = ramp(0x4a5680, 0x7683ad, 0x343d62, 0x1e2440);
    /// Pink petals.
    pub const PETAL: Ramp = ramp(0xff9fc0, 0xffd9e6, 0xe0709c, 0x9a3c66);
    /// Leaves and stems.
    pub const LEAF: Ramp = ramp(0x63b36a, 0xa0dc90, 0x3f8558, 0x20503c);
    /// The inside of a mouth.
    pub const MOUTH: Rgb = Rgb::hex(0xa83248);
    /// The tongue of an open mouth.
    pub const TONGUE: Rgb = Rgb::hex(0xf58a94);
    /// Tears of a crying face.
    pub const TEAR: Ramp = ramp(0xa6e0ff, 0xeaf9ff, 0x6db9ee, 0x3f7fc0);
}
