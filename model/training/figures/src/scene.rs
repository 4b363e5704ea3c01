//! What a picture shows: figures, and what is behind them.

use sakuga_schema::Gender;

use crate::attributes::{
    Accessory, Action, Backdrop, Bangs, ClothColor, Expression, EyeColor, Framing, HairColor, HairStyle, Outfit, Plain,
    Position, Skin, Style,
};
use crate::heldout;
use crate::rng::Rng;

/// The most figures that a scene can hold.
pub const MAX_FIGURES: usize = 3;

/// One figure: everything that can be said about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Figure {
    /// Girl or boy.
    pub gender: Gender,
    /// Colour of the hair.
    pub hair_color: HairColor,
    /// Silhouette of the hair.
    pub hair_style: HairStyle,
    /// How the hair falls over the forehead.
    pub bangs: Bangs,
    /// Colour of the irises.
    pub eye_color: EyeColor,
    /// Colour of the skin.
    pub skin: Skin,
    /// The look on the face.
    pub expression: Expression,
    /// The kind of clothes.
    pub outfit: Outfit,
    /// Their main colour.
    pub cloth_color: ClothColor,
    /// At most one accessory.
    pub accessory: Option<Accessory>,
    /// What the arms do.
    pub action: Action,
    /// Where the figure is.
    pub position: Position,
}

impl Figure {
    /// A random figure at a position.
    #[must_use]
    pub fn random(rng: &mut Rng, position: Position) -> Self {
        let is_boy = rng.chance(0.25);
        let mut figure = Self::plain(position);
        figure.gender = if is_boy { Gender::Boy } else { Gender::Girl };
        let styles = if is_boy { HairStyle::FOR_BOYS } else { HairStyle::FOR_GIRLS };
        let outfits = if is_boy { Outfit::FOR_BOYS } else { Outfit::ALL };
        set(rng, &mut figure.hair_color, HairColor::ALL);
        set(rng, &mut figure.hair_style, styles);
        set(rng, &mut figure.bangs, Bangs::ALL);
        set(rng, &mut figure.eye_color, EyeColor::ALL);
        set(rng, &mut figure.expression, Expression::ALL);
        set(rng, &mut figure.outfit, outfits);
        set(rng, &mut figure.cloth_color, ClothColor::ALL);
        set(rng, &mut figure.action, Action::ALL);
        // Pale skin is the most common in the art that the tags come from.
        figure.skin = match rng.below(6) {
            0 => Skin::Dark,
            1 => Skin::Tan,
            _ => Skin::Pale,
        };
        let fitting: Vec<Accessory> =
            Accessory::ALL.iter().copied().filter(|accessory| accessory.goes_with(figure.hair_style)).collect();
        figure.accessory = if rng.chance(0.3) { None } else { rng.pick(&fitting).copied() };
        figure
    }

    /// The figure that a prompt without any tags gets.
    #[must_use]
    pub fn plain(position: Position) -> Self {
        Self {
            gender: Gender::Girl,
            hair_color: HairColor::Brown,
            hair_style: HairStyle::Long,
            bangs: Bangs::BetweenEyes,
            eye_color: EyeColor::Blue,
            skin: Skin::Pale,
            expression: Expression::Smile,
            outfit: Outfit::Serafuku,
            cloth_color: ClothColor::Blue,
            accessory: None,
            action: Action::Standing,
            position,
        }
    }
}

fn set<T: Copy>(rng: &mut Rng, field: &mut T, values: &[T]) {
    if let Some(&value) = rng.pick(values) {
        *field = value;
    }
}

/// A picture: one to three figures before a backdrop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scene {
    /// The figures in the order of the prompt, each at its own position.
    pub figures: Vec<Figure>,
    /// What is behind them.
    pub backdrop: Backdrop,
    /// The manner of drawing.
    pub style: Style,
    /// How much of the figures is in the picture.
    pub framing: Framing,
    /// What no tag describes: small shifts, and where clouds, stars and petals are.
    pub seed: u64,
}

/// Which held-out combinations a random scene may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeldOut {
    /// None: what training draws.
    #[default]
    Never,
    /// Each figure has at least one: what the evaluation of unseen combinations draws.
    Always,
    /// As it comes.
    Either,
}

/// What a random scene may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// How many figures, at most [`MAX_FIGURES`]; `None` draws one to three.
    pub figures: Option<usize>,
    /// Whether held-out combinations appear.
    pub held_out: HeldOut,
}

impl Scene {
    /// A random scene.
    #[must_use]
    pub fn random(rng: &mut Rng, constraints: &Constraints) -> Self {
        let count = constraints.figures.unwrap_or_else(|| [1, 1, 2, 2, 3][rng.below(5)]).clamp(1, MAX_FIGURES);
        let mut positions = Position::of(count).to_vec();
        rng.shuffle(&mut positions);
        let figures =
            positions.into_iter().map(|position| constrained_figure(rng, position, constraints.held_out)).collect();
        let mut scene = Self {
            figures,
            backdrop: Backdrop::Plain(Plain::White),
            style: Style::Anime,
            framing: Framing::FullBody,
            seed: rng.next_u64(),
        };
        set(rng, &mut scene.backdrop, &Backdrop::all());
        if rng.chance(0.3) {
            let visible: Vec<Style> =
                Style::ALL.iter().copied().filter(|style| style.shows_on(scene.backdrop)).collect();
            set(rng, &mut scene.style, &visible);
        }
        // Three figures side by side leave no room for larger ones.
        if count < MAX_FIGURES && rng.chance(0.4) {
            scene.framing = Framing::UpperBody;
        }
        scene
    }

    /// Whether a figure has a combination that training never draws.
    #[must_use]
    pub fn is_held_out(&self) -> bool {
        self.figures.iter().any(heldout::is_held_out)
    }

    /// The figures' indices from left to right.
    #[must_use]
    pub fn left_to_right(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.figures.len()).collect();
        order.sort_by_key(|&index| self.figures[index].position);
        order
    }
}

fn constrained_figure(rng: &mut Rng, position: Position, held_out: HeldOut) -> Figure {
    let mut figure = Figure::random(rng, position);
    match held_out {
        HeldOut::Either => {}
        HeldOut::Never => {
            while heldout::is_held_out(&figure) {
                figure = Figure::random(rng, position);
            }
        }
        HeldOut::Always => heldout::impose(rng, &mut figure),
    }
    figure
}
