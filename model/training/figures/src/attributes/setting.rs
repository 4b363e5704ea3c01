//! The picture as a whole: backdrop, time of day, style, framing, positions.

use super::attribute;

attribute! {
    /// A backdrop without a place.
    Plain {
        White => "white_background", Pink => "pink_background", Blue => "blue_background",
        Yellow => "yellow_background", Green => "green_background", Purple => "purple_background",
        PolkaDot => "polka_dot_background", Gradient => "gradient_background",
    }
}

attribute! {
    /// A place behind the figures.
    Place {
        Sky => "cloud", Forest => "forest", Beach => "beach", City => "city",
        CherryBlossoms => "cherry_blossoms", Snow => "snow", FlowerField => "flower_field",
        Classroom => "classroom",
    }
}

attribute! {
    /// The time of day at a place.
    TimeOfDay { Day => "day", Sunset => "sunset", Night => "night" }
}

/// What is behind the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backdrop {
    /// A colour or a pattern.
    Plain(Plain),
    /// A scenery, lit for the time of day.
    Place(Place, TimeOfDay),
}

impl Backdrop {
    /// Every backdrop: the plain ones, then each place at each time.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let plain = Plain::ALL.iter().map(|&plain| Self::Plain(plain));
        let places =
            Place::ALL.iter().flat_map(|&place| TimeOfDay::ALL.iter().map(move |&time| Self::Place(place, time)));
        plain.chain(places).collect()
    }
}

attribute! {
    /// The manner of drawing.
    Style {
        Anime => "anime_coloring", Flat => "flat_color", WhiteOutline => "white_outline", NoLines => "no_lineart",
    }
}

impl Style {
    /// Whether the style can be distinguished from the others on a backdrop: a white border vanishes on white.
    #[must_use]
    pub fn shows_on(self, backdrop: Backdrop) -> bool {
        let is_white = matches!(backdrop, Backdrop::Plain(Plain::White) | Backdrop::Place(Place::Snow, _));
        self != Self::WhiteOutline || !is_white
    }
}

attribute! {
    /// How much of a figure is in the picture.
    Framing { FullBody => "full_body", UpperBody => "upper_body" }
}

attribute! {
    /// Where a figure is, seen from the viewer.
    Position {
        Left => "left", CenterLeft => "center_left", Center => "center", CenterRight => "center_right", Right => "right",
    }
}

impl Position {
    /// The positions of the figures in a picture, left to right.
    #[must_use]
    pub fn of(figures: usize) -> &'static [Self] {
        match figures {
            0 => &[],
            1 => &[Self::Center],
            2 => &[Self::Left, Self::Right],
            3 => &[Self::Left, Self::Center, Self::Right],
            _ => &[Self::Left, Self::CenterLeft, Self::CenterRight, Self::Right],
        }
    }
}
