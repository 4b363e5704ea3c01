//! What a picture shows: figures, and what is behind them.

use crate::attributes::{Backdrop, Framing, Plain, Position, Style};
use crate::figure::{Figure, set};
use crate::heldout;
use crate::rng::Rng;
pub use crate::size::MAX_FIGURES;
use crate::size::Size;

/// A picture: zero to four figures before a backdrop.
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
    /// How many figures, at most [`MAX_FIGURES`]; `None` draws one to three. With 0 the picture shows a place alone.
    pub figures: Option<usize>,
    /// Whether held-out combinations appear.
    pub held_out: HeldOut,
}

impl Scene {
    /// Draws a scene that the constraints allow. The same state of `rng` gives the same scene.
    #[must_use]
    pub fn random(rng: &mut Rng, constraints: &Constraints) -> Self {
        let count = constraints.figures.unwrap_or_else(|| [1, 1, 2, 2, 3][rng.below(5)]).min(MAX_FIGURES);
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
        if count == 0 {
            let places: Vec<Backdrop> =
                Backdrop::all().into_iter().filter(|backdrop| matches!(backdrop, Backdrop::Place(..))).collect();
            set(rng, &mut scene.backdrop, &places);
            return scene;
        }
        set(rng, &mut scene.backdrop, &Backdrop::all());
        if rng.chance(0.3) {
            let visible: Vec<Style> =
                Style::ALL.iter().copied().filter(|style| style.shows_on(scene.backdrop)).collect();
            set(rng, &mut scene.style, &visible);
        }
        // Three figures side by side leave no room for larger ones.
        if count < 3 && rng.chance(0.4) {
            scene.framing = Framing::UpperBody;
        }
        scene
    }

    /// A random scene of the second training: zero to four figures, at most as many as fit into the size.
    #[must_use]
    pub fn random_for(rng: &mut Rng, size: Size, held_out: HeldOut) -> Self {
        let figures = [0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4][rng.below(12)].min(size.max_figures());
        Self::random(rng, &Constraints { figures: Some(figures), held_out })
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
