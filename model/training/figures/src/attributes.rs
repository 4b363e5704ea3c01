//! What can be said about a figure or a scene: one enum an attribute, one Danbooru tag a variant.

mod face;
mod hair;
mod kind;
mod setting;
mod wear;

pub use face::{Expression, EyeColor, Skin};
pub use hair::{Bangs, HairColor, HairStyle};
pub use kind::{Attribute, AttributeSet};
pub use setting::{Backdrop, Framing, Place, Plain, Position, Style, TimeOfDay};
pub use wear::{Accessory, Action, ClothColor, Outfit};

/// Defines an attribute: an enum whose variants each have a tag.
macro_rules! attribute {
    ($(#[$meta:meta])* $name:ident { $($variant:ident => $tag:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(
                #[doc = concat!("`", $tag, "`")]
                $variant,
            )+
        }

        impl $name {
            /// Every variant, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The Danbooru tag that names this variant.
            #[must_use]
            pub fn tag(self) -> &'static str {
                match self {
                    $(Self::$variant => $tag,)+
                }
            }

            /// The variant whose tag this is.
            #[must_use]
            pub fn from_tag(tag: &str) -> Option<Self> {
                match tag {
                    $($tag => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
use attribute;
