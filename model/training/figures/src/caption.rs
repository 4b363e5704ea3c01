//! Scenes in plain English, in several turns of phrase.

use sakuga_schema::Gender;

use crate::attributes::{
    Accessory, Action, Backdrop, Bangs, ClothColor, Expression, Framing, HairStyle, Outfit, Place, Plain, Position,
    Skin, Style, TimeOfDay,
};
use crate::figure::Figure;
use crate::rng::Rng;
use crate::scene::Scene;

impl Scene {
    /// The scene in sentences; the seed chooses among turns of phrase.
    #[must_use]
    pub fn to_caption(&self) -> String {
        self.to_caption_with(&mut Rng::for_stream(self.seed, 0xca97))
    }

    /// The scene in sentences; `rng` chooses among turns of phrase.
    #[must_use]
    pub fn to_caption_with(&self, rng: &mut Rng) -> String {
        let mut sentences = vec![self.opening(rng)];
        sentences.extend(self.figures.iter().map(|figure| describe(figure, self.figures.len(), rng)));
        sentences.join(" ")
    }

    fn opening(&self, rng: &mut Rng) -> String {
        if self.figures.is_empty() {
            return self.empty_scene(rng);
        }
        let who = match self.figures.as_slice() {
            [figure] => format!("a chibi {}", noun(figure)),
            figures => {
                let some = |number: usize, noun: &str| match number {
                    1 => format!("a chibi {noun}"),
                    2 => format!("two chibi {noun}s"),
                    3 => format!("three chibi {noun}s"),
                    _ => format!("four chibi {noun}s"),
                };
                let girls = figures.iter().filter(|figure| noun(figure) == "girl").count();
                match (girls, figures.len() - girls) {
                    (0, boys) => some(boys, "boy"),
                    (girls, 0) => some(girls, "girl"),
                    (girls, boys) => format!("{} and {}", some(girls, "girl"), some(boys, "boy")),
                }
            }
        };
        let framing = match self.framing {
            Framing::FullBody => ["full body", "head to toe"][rng.below(2)],
            Framing::UpperBody => ["upper body", "from the waist up"][rng.below(2)],
        };
        let style = match self.style {
            Style::Anime => "An anime illustration",
            Style::Flat => "A flat color anime illustration",
            Style::WhiteOutline => "An anime sticker with a white outline",
            Style::NoLines => "An anime illustration without line art",
        };
        match rng.below(2) {
            0 => format!("{style} of {who}, {framing}, {}.", place_phrase(self.backdrop)),
            _ => format!("{style}, {framing}: {who} {}.", place_phrase(self.backdrop)),
        }
    }

    fn empty_scene(&self, rng: &mut Rng) -> String {
        let place = place_phrase(self.backdrop);
        match rng.below(3) {
            0 => format!("An anime illustration of an empty scene {place}, with nobody in it."),
            1 => format!("Anime scenery {place}, no people."),
            _ => format!("An anime illustration without people, {place}."),
        }
    }
}

fn noun(figure: &Figure) -> &'static str {
    if figure.gender == Gender::Boy { "boy" } else { "girl" }
}

fn place_phrase(backdrop: Backdrop) -> String {
    match backdrop {
        Backdrop::Plain(plain) => match plain {
            Plain::PolkaDot => "in front of a polka dot background".to_owned(),
            Plain::Gradient => "in front of a gradient background".to_owned(),
            Plain::White | Plain::Pink | Plain::Blue | Plain::Yellow | Plain::Green | Plain::Purple => {
                format!("in front of a plain {} background", plain.tag().trim_end_matches("_background"))
            }
        },
        Backdrop::Place(place, time) => {
            let place = match place {
                Place::Sky => "under a wide sky with clouds",
                Place::Forest => "in a forest",
                Place::Beach => "on a beach",
                Place::City => "on a city street",
                Place::CherryBlossoms => "under cherry blossoms",
                Place::Snow => "in the snow",
                Place::FlowerField => "in a field of flowers",
                Place::Classroom => "in a classroom",
            };
            let time = match time {
                TimeOfDay::Day => "by day",
                TimeOfDay::Sunset => "at sunset",
                TimeOfDay::Night => "at night",
            };
            format!("{place} {time}")
        }
    }
}

fn describe(figure: &Figure, figures: usize, rng: &mut Rng) -> String {
    let (noun, pronoun) = if figure.gender == Gender::Boy { ("boy", "He") } else { ("girl", "She") };
    let mut features = vec![hair(figure), bangs(figure.bangs).to_owned()];
    if !figure.expression.hides_eyes() {
        features.push(figure.eye_color.tag().replace('_', " "));
    }
    features.push(skin(figure.skin).to_owned());
    let mut worn = clothes(figure.outfit, figure.cloth_color);
    if let Some(accessory) = figure.accessory {
        let phrase = accessory_phrase(accessory);
        if accessory.is_grown() { features.push(phrase.to_owned()) } else { worn = format!("{worn} and {phrase}") }
    }
    let features = enumerate(&features);
    let place = match (figures, figure.position) {
        (1, _) => "",
        (_, Position::Left) => " on the left",
        (_, Position::CenterLeft) => " left of the middle",
        (_, Position::Center) => " in the middle",
        (_, Position::CenterRight) => " right of the middle",
        (_, Position::Right) => " on the right",
    };
    let face = face(figure.expression);
    let action = action(figure.action);
    match rng.below(3) {
        0 => format!("The {noun}{place} has {features}, and wears {worn}. {pronoun} {face} and {action}."),
        1 => format!(
            "The {noun}{place} wears {worn} and {action}; {} has {features}, and {face}.",
            pronoun.to_lowercase()
        ),
        _ => format!("The {noun}{place} with {features} {face}, wears {worn} and {action}."),
    }
}

fn enumerate(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

fn hair(figure: &Figure) -> String {
    let color = figure.hair_color.tag().trim_end_matches("_hair");
    match figure.hair_style {
        HairStyle::Long => format!("long {color} hair"),
        HairStyle::Short => format!("short {color} hair"),
        HairStyle::Bob => format!("{color} hair in a bob cut"),
        HairStyle::Wavy => format!("wavy {color} hair"),
        HairStyle::Twintails => format!("{color} twintails"),
        HairStyle::Ponytail => format!("{color} hair in a ponytail"),
        HairStyle::SidePonytail => format!("{color} hair in a side ponytail"),
        HairStyle::TwinBraids => format!("{color} twin braids"),
        HairStyle::Bun => format!("{color} hair in a bun"),
        HairStyle::DoubleBun => format!("{color} hair in two buns"),
        HairStyle::Drills => format!("{color} twin drills"),
        HairStyle::Spiked => format!("spiked {color} hair"),
    }
}

fn bangs(bangs: Bangs) -> &'static str {
    match bangs {
        Bangs::Blunt => "blunt bangs",
        Bangs::Swept => "swept bangs",
        Bangs::Parted => "parted bangs",
        Bangs::BetweenEyes => "hair between the eyes",
        Bangs::Crossed => "crossed bangs",
    }
}

fn skin(skin: Skin) -> &'static str {
    match skin {
        Skin::Pale => "pale skin",
        Skin::Tan => "tanned skin",
        Skin::Dark => "dark skin",
    }
}

fn clothes(outfit: Outfit, color: ClothColor) -> String {
    let color = color.tag();
    let article = if matches!(color, "orange" | "aqua") { "an" } else { "a" };
    match outfit {
        Outfit::Serafuku => format!("a sailor uniform with {article} {color} collar"),
        Outfit::Blazer => format!("{article} {color} blazer"),
        Outfit::Dress => format!("{article} {color} dress"),
        Outfit::Hoodie => format!("{article} {color} hoodie"),
        Outfit::Kimono => format!("{article} {color} kimono"),
        Outfit::Maid => format!("{article} {color} maid dress"),
        Outfit::TShirt => format!("{article} {color} t-shirt"),
        Outfit::Sweater => format!("{article} {color} sweater"),
        Outfit::Armor => format!("armor with {article} {color} cape"),
        Outfit::Robe => format!("{article} {color} robe"),
        Outfit::Overalls => format!("{color} overalls"),
    }
}

fn accessory_phrase(accessory: Accessory) -> &'static str {
    match accessory {
        Accessory::CatEars => "cat ears",
        Accessory::RabbitEars => "rabbit ears",
        Accessory::FoxEars => "fox ears",
        Accessory::HairBow => "a hair bow",
        Accessory::Glasses => "glasses",
        Accessory::WitchHat => "a witch hat",
        Accessory::Beret => "a beret",
        Accessory::Headphones => "headphones",
        Accessory::Hairclip => "a star hair ornament",
        Accessory::Scarf => "a scarf",
        Accessory::Halo => "a halo",
        Accessory::HairFlower => "a hair flower",
        Accessory::Crown => "a mini crown",
        Accessory::Horns => "horns",
    }
}

fn face(expression: Expression) -> &'static str {
    match expression {
        Expression::Smile => "smiles",
        Expression::OpenMouth => "laughs with an open mouth",
        Expression::Angry => "looks angry",
        Expression::Sad => "looks sad",
        Expression::ClosedEyes => "has closed eyes",
        Expression::Wink => "winks with one eye closed",
        Expression::Blush => "blushes",
        Expression::Surprised => "looks surprised",
        Expression::CatMouth => "makes a cat mouth",
        Expression::Crying => "is crying",
        Expression::Expressionless => "looks expressionless",
        Expression::Scrunched => "squeezes both eyes shut",
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Standing => "is standing",
        Action::Waving => "is waving",
        Action::ArmsUp => "has both arms up",
        Action::HandsOnHips => "has both hands on the hips",
        Action::Victory => "makes a v sign",
        Action::HoldingFlower => "is holding a flower",
        Action::HandsTogether => "has both hands together",
        Action::HoldingBook => "is holding a book",
    }
}
