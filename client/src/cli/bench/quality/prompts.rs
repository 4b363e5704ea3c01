//! The prompts that are compared, and the oracle for the pictures of the embedded model.

use std::path::Path;

use sakuga_figures::rng::Rng;
use sakuga_figures::{Constraints, HeldOut, Image, Scene, oracle};

use crate::cli::failure::Failure;
use crate::cli::input;

/// The model whose pictures the oracle can read, and the edge of these in pixels.
const EMBEDDED: (&str, u32) = ("sakuga-chibi", 256);
/// The largest file of prompts.
const MAX_PROMPTS_BYTES: u64 = 16 << 20;

/// A prompt, and the scene that its picture is checked against.
pub(super) struct Prompted {
    pub(super) text: String,
    /// The scene that the prompt was made from; `None` for a prompt from a file.
    scene: Option<Scene>,
}

/// As many prompts as `pictures`: the lines of the file, repeated if there are too few, or, without a file, scenes of one to
/// three characters.
pub(super) fn prompts(file: Option<&Path>, pictures: u32, seed: u64) -> Result<Vec<Prompted>, Failure> {
    let Some(path) = file else {
        let scene = |index: u64| {
            let figures = Some(1 + (index % 3) as usize);
            Scene::random(&mut Rng::for_stream(seed, index), &Constraints { figures, held_out: HeldOut::Never })
        };
        let scenes = (0..u64::from(pictures)).map(scene);
        return Ok(scenes.map(|scene| Prompted { text: scene.to_prompt().to_xml(), scene: Some(scene) }).collect());
    };
    let bytes = input::read_file(path, MAX_PROMPTS_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|error| Failure::unreadable(path, error))?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Err(Failure::unreadable(path, "it has no prompt; write one a line"));
    }
    let lines = lines.iter().cycle().take(pictures as usize);
    Ok(lines.map(|line| Prompted { text: (*line).to_owned(), scene: None }).collect())
}

/// Reads the attributes of pictures of the embedded model.
pub(super) struct Oracle(());

impl Oracle {
    /// The oracle, if it knows the pictures of this model at its default size.
    pub(super) fn of(model: &str, edge_px: u32) -> Option<Self> {
        ((model, edge_px) == EMBEDDED).then_some(Self(()))
    }

    /// How many attributes are right in a picture, and how many it was asked to show; `None` of a prompt from a file.
    pub(super) fn count(&self, prompt: &Prompted, width: u32, height: u32, rgb: &[u8]) -> Option<[u64; 2]> {
        let scene = prompt.scene.as_ref()?;
        let image = Image { width_px: width, height_px: height, rgb: rgb.to_vec() };
        let report = oracle::examine_scene(&image, scene).ok()?;
        let asked = report.figures.iter().flatten();
        Some(asked.fold([0, 0], |[right, all], reading| [right + u64::from(reading.is_right), all + 1]))
    }
}

#[cfg(test)]
mod tests {
    use sakuga_figures::render;

    use super::*;

    #[test]
    fn equal_seeds_give_equal_prompts_and_others_differ() {
        let texts = |seed| prompts(None, 6, seed).unwrap().into_iter().map(|prompt| prompt.text).collect::<Vec<_>>();
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
        assert!(texts(1).iter().enumerate().all(|(place, text)| !texts(1)[..place].contains(text)));
    }

    #[test]
    fn lines_of_a_file_are_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("prompts.txt");
        std::fs::write(&path, "1girl\n\n 1boy \n").unwrap();
        let found = prompts(Some(&path), 3, 1).unwrap();
        assert_eq!(found.iter().map(|prompt| prompt.text.as_str()).collect::<Vec<_>>(), ["1girl", "1boy", "1girl"]);
        std::fs::write(&path, "\n").unwrap();
        assert!(prompts(Some(&path), 3, 1).is_err());
    }

    #[test]
    fn the_oracle_reads_what_was_drawn() {
        let oracle = Oracle::of("sakuga-chibi", 256).expect("it knows these");
        assert!(Oracle::of("NewBie", 256).is_none() && Oracle::of("sakuga-chibi", 1024).is_none());
        let prompt = prompts(None, 1, 1).unwrap().remove(0);
        let image = render(prompt.scene.as_ref().unwrap());
        let [right, all] = oracle.count(&prompt, image.width_px, image.height_px, &image.rgb).expect("a scene");
        assert!(all >= 8 && right + 1 >= all, "{right} of {all}");
    }
}
