//! Reads the attributes back from a picture, knowing what was asked.
//!
//! Analysis by synthesis: for each attribute of each figure every value is drawn with all else as estimated so far, and
//! the drawing nearest to the picture wins, judged only where the drawings differ. Estimates start from what was asked
//! and are replaced as attributes are read, so one wrong attribute does not drag others along.

mod backdrop;
mod degrade;
mod matching;
mod report;
mod variants;

use crate::attributes::{Attribute, Framing, Position, Style};
use crate::figure::Figure;
use crate::image::Image;
use crate::layer::Layer;
use crate::layout::{self, Placement};
use crate::prompt::FromPromptError;
use crate::render::{figure_layer, layering};
use crate::scene::Scene;
use crate::size::Size;
use matching::{Ground, Observation};
use sakuga_schema::Prompt;

pub use degrade::Degradation;
pub use report::{Count, Reading, Report, Tally, wilson_interval};

/// Why a picture could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OracleError {
    /// The picture has a size that is not drawn.
    #[error("the picture is {width_px}x{height_px}; the oracle reads pictures of 192 to 384 pixels a side")]
    Size {
        /// Width of the picture.
        width_px: u32,
        /// Height of the picture.
        height_px: u32,
    },
    /// The prompt does not describe a scene of figures.
    #[error(transparent)]
    Prompt(#[from] FromPromptError),
}

/// Sides of pictures that can be read.
const SIDES_PX: std::ops::RangeInclusive<u32> = 192..=384;

/// The order in which a figure's attributes are read: colours of large areas first, small things last.
const ORDER: &[Attribute] = &[
    Attribute::HairColor,
    Attribute::Skin,
    Attribute::ClothColor,
    Attribute::HairStyle,
    Attribute::Accessory,
    Attribute::Bangs,
    Attribute::Outfit,
    Attribute::Action,
    Attribute::Gender,
    Attribute::Expression,
    Attribute::EyeColor,
];

/// Reads a picture that was asked for by a prompt.
///
/// # Errors
///
/// See [`OracleError`].
pub fn examine(image: &Image, prompt: &Prompt) -> Result<Report, OracleError> {
    let asked = Scene::from_prompt(prompt)?;
    examine_scene(image, &asked)
}

/// Reads a picture that was asked for as a scene; the scene's seed is not used.
///
/// # Errors
///
/// A picture whose sides are not 192 to 384 pixels.
pub fn examine_scene(image: &Image, asked: &Scene) -> Result<Report, OracleError> {
    let (width_px, height_px) = (image.width_px, image.height_px);
    let is_drawn = [width_px, height_px].iter().all(|side| SIDES_PX.contains(side) && side % 2 == 0);
    if !is_drawn || image.rgb.len() != 3 * (width_px * height_px) as usize {
        return Err(OracleError::Size { width_px, height_px });
    }
    let mut estimate = Estimate::new(Observation::halved(image), asked);
    if asked.figures.is_empty() {
        return Ok(Report::new(Vec::new(), vec![estimate.read_backdrop(asked)]));
    }
    let mut scene_readings = vec![estimate.read_framing(asked)];
    scene_readings.insert(0, estimate.read_backdrop(asked));
    for index in asked.left_to_right() {
        estimate.register(index);
    }
    let mut figures = vec![Vec::new(); asked.figures.len()];
    for pass in 0..MAX_PASSES {
        let before = estimate.scene.clone();
        for index in asked.left_to_right() {
            figures[index] = estimate.read_figure(index, &asked.figures[index]);
            estimate.register(index);
        }
        if pass == 0 {
            scene_readings.insert(1, estimate.read_style(asked));
        }
        if estimate.scene == before {
            break;
        }
    }
    Ok(Report::new(figures, scene_readings))
}

/// After a pass that changed an estimate, everything is read again with the others as found.
const MAX_PASSES: usize = 3;

/// What the picture is thought to show so far.
struct Estimate {
    seen: Observation,
    /// The size of the picture; comparisons run at half of it: what is lost is noise.
    size: Size,
    scene: Scene,
    places: Vec<Placement>,
    /// Drawings of the same backdrop with several seeds.
    backdrops: Vec<Layer>,
}

impl Estimate {
    fn new(seen: Observation, asked: &Scene) -> Self {
        let scene = asked.clone();
        let size = seen.full_size();
        let places = nominal_places(size, &scene);
        let backdrops = backdrop::layers(scene.backdrop, size.divided(2));
        Self { seen, size, scene, places, backdrops }
    }

    /// One figure at half the size of the picture.
    fn figure_layer(&self, figure: &Figure, style: Style, place: Placement) -> Layer {
        figure_layer(figure, style, place, (self.size, self.size.divided(2)))
    }

    /// A drawing of the figures alone, by place.
    fn figure_layers(&self, scene: &Scene, places: &[Placement]) -> Vec<Layer> {
        scene.figures.iter().zip(places).map(|(figure, &place)| self.figure_layer(figure, scene.style, place)).collect()
    }

    /// Backdrop and all figures but one.
    fn without(&self, left_out: usize) -> Ground {
        let layers = self.figure_layers(&self.scene, &self.places);
        let order = layering(&self.scene);
        let others =
            |indices: &[usize]| -> Vec<&Layer> { indices.iter().filter_map(|&index| layers.get(index)).collect() };
        let at = order.iter().position(|&index| index == left_out).unwrap_or(0);
        Ground::new(&self.seen, &self.backdrops, &others(&order[..at]), &others(&order[at + 1..]))
    }

    /// Each scene's figures in one layer, before the bare backdrop.
    fn nearest_scene(&self, scenes: &[(Scene, Vec<Placement>)]) -> matching::Choice {
        let drawings: Vec<Layer> = scenes
            .iter()
            .map(|(scene, places)| {
                let mut drawing = self.seen.blank();
                let layers = self.figure_layers(scene, places);
                layering(scene).into_iter().for_each(|index| drawing.compose(&layers[index]));
                drawing
            })
            .collect();
        self.seen.nearest(&Ground::new(&self.seen, &self.backdrops, &[], &[]), &drawings)
    }

    fn read_framing(&mut self, asked: &Scene) -> Reading {
        let framed = |&framing: &Framing| {
            let scene = Scene { framing, ..self.scene.clone() };
            let places = nominal_places(self.size, &scene);
            (scene, places)
        };
        let scenes: Vec<_> = Framing::ALL.iter().map(framed).collect();
        let choice = self.nearest_scene(&scenes);
        self.scene.framing = Framing::ALL[choice.index];
        self.places = nominal_places(self.size, &self.scene);
        Reading::new(Attribute::Framing, asked.framing.tag(), self.scene.framing.tag(), choice.confidence)
    }

    fn read_backdrop(&mut self, asked: &Scene) -> Reading {
        let layers = self.figure_layers(&self.scene, &self.places);
        let choice = backdrop::nearest(&self.seen, self.size.divided(2), &layers);
        self.scene.backdrop = choice.backdrop;
        self.backdrops = backdrop::layers(choice.backdrop, self.size.divided(2));
        Reading::new(
            Attribute::Backdrop,
            backdrop::name(asked.backdrop),
            backdrop::name(choice.backdrop),
            choice.confidence,
        )
    }

    fn read_style(&mut self, asked: &Scene) -> Reading {
        let visible = |style: &Style| style.shows_on(self.scene.backdrop) || *style == asked.style;
        let styles: Vec<Style> = Style::ALL.iter().copied().filter(visible).collect();
        let styled = |&style: &Style| (Scene { style, ..self.scene.clone() }, self.places.clone());
        let scenes: Vec<_> = styles.iter().map(styled).collect();
        let choice = self.nearest_scene(&scenes);
        self.scene.style = styles[choice.index];
        Reading::new(Attribute::Style, asked.style.tag(), self.scene.style.tag(), choice.confidence)
    }

    /// Finds where a figure really is: position and size vary a little around the nominal place.
    fn register(&mut self, index: usize) {
        let ground = self.without(index);
        let figure = &self.scene.figures[index];
        let style = self.scene.style;
        self.places[index] =
            self.seen.register(&ground, self.nominal(index), |place| self.figure_layer(figure, style, place));
    }

    fn nominal(&self, index: usize) -> Placement {
        layout::nominal(self.size, self.scene.figures.len(), self.scene.framing, self.scene.figures[index].position)
    }

    fn read_figure(&mut self, index: usize, asked: &Figure) -> Vec<Reading> {
        let ground = self.without(index);
        let mut readings: Vec<Reading> = Vec::new();
        for &attribute in ORDER {
            let figure = &self.scene.figures[index];
            if attribute == Attribute::EyeColor && (asked.expression.hides_eyes() || figure.expression.hides_eyes()) {
                continue;
            }
            let candidates = variants::of(figure, attribute);
            let drawings: Vec<Layer> = candidates
                .iter()
                .map(|candidate| self.figure_layer(candidate, self.scene.style, self.places[index]))
                .collect();
            let choice = self.seen.nearest(&ground, &drawings);
            let read = candidates[choice.index].clone();
            readings.push(Reading::new(
                attribute,
                variants::tag(asked, attribute),
                variants::tag(&read, attribute),
                choice.confidence,
            ));
            self.scene.figures[index] = read;
        }
        readings.sort_by_key(|reading| reading.attribute);
        readings
    }
}

fn nominal_places(size: Size, scene: &Scene) -> Vec<Placement> {
    let count = scene.figures.len();
    let place = |position: Position| layout::nominal(size, count, scene.framing, position);
    scene.figures.iter().map(|figure| place(figure.position)).collect()
}
