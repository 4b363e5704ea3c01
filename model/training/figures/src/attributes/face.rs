//! Face: eyes, skin, expression.

use super::attribute;

attribute! {
    /// The colour of the irises.
    EyeColor {
        Blue => "blue_eyes", Red => "red_eyes", Green => "green_eyes", Brown => "brown_eyes",
        Purple => "purple_eyes", Yellow => "yellow_eyes", Pink => "pink_eyes", Aqua => "aqua_eyes",
        Orange => "orange_eyes", Grey => "grey_eyes",
    }
}

attribute! {
    /// The colour of the skin.
    Skin { Pale => "pale_skin", Tan => "tan", Dark => "dark_skin" }
}

attribute! {
    /// The look on the face.
    Expression {
        Smile => "smile", OpenMouth => "open_mouth", Angry => "angry", Sad => "sad",
        ClosedEyes => "closed_eyes", Wink => "one_eye_closed", Blush => "blush", Surprised => "surprised",
        CatMouth => ":3", Crying => "crying", Expressionless => "expressionless", Scrunched => ">_<",
    }
}

impl Expression {
    /// Whether both eyes are shut, so that their colour cannot be seen.
    #[must_use]
    pub fn hides_eyes(self) -> bool {
        matches!(self, Self::ClosedEyes | Self::Scrunched)
    }
}
