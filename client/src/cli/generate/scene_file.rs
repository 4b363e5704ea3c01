//! [`SceneFile`]: a request for a scene, as TOML.
//!
//! ```toml
//! [first]                       # the characters, by one model
//! prompt-file = "two_girls.xml"
//! model = "newbie"
//! size = "1024x1024"
//!
//! [scene]                       # the scene around them, by another model
//! prompt = "2girls, forest, sunlight"
//! model = "sdxl"
//! strength = 0.4
//! ```
//!
//! Both tables take the settings of `--matrix` under their names. Files are named relative to the file.

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use sakuga_client::proto::generation::v1::scene::{Negative, Prompt};
use sakuga_client::proto::generation::v1::{GenerateRequest, ResizeMode, Scene};
use sakuga_client::proto::prompt::v1::Strictness;
use serde::Deserialize;
use toml::de::DeTable;
use toml::{Table, Value};

use super::adapter;
use super::images;
use super::setting;
use crate::cli::choice::Choice;
use crate::cli::failure::Failure;
use crate::cli::input::{self, Input};
use crate::cli::scene_text::MAX_BYTES;

/// A request for a scene. Its texts are not in its messages until they are checked.
#[derive(Clone)]
pub(crate) struct SceneFile {
    /// The settings of the table `[first]`.
    first: GenerateRequest,
    /// The settings of the table `[scene]`.
    scene: Scene,
    pub first_texts: PassTexts,
    pub scene_texts: PassTexts,
}

/// The prompt of one pass, and its negative prompt. They are not checked yet.
#[derive(Clone)]
pub(crate) struct PassTexts {
    pub prompt: Input,
    pub negative: Option<Input>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    first: Table,
    scene: Table,
}

impl SceneFile {
    /// Reads a file, and those that it names.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = input::read_file(path, MAX_BYTES)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| Failure::unreadable(path, error))?;
        let tables: Tables = toml::from_str(text).map_err(|error| match too_large(text) {
            Some(what) => Failure::unreadable(path, what).with_help(LARGE_SEED_HELP),
            None => Failure::unreadable(path, error.to_string().trim_end())
                .with_help("a scene has the tables [first] and [scene]; `sakuga generate --help` shows one; a prompt in TOML is not read, write it in XML"),
        })?;
        let mut first = Reader { path, table: "first", given: tables.first };
        let first_texts = first.texts()?;
        let first = first.request()?;
        let mut scene = Reader { path, table: "scene", given: tables.scene };
        let scene_texts = scene.texts()?;
        let scene = scene.scene()?;
        Ok(Self { first, scene, first_texts, scene_texts })
    }

    /// Puts the settings of the first pass, the scene and its checked texts into a request.
    pub(crate) fn apply(self, request: &mut GenerateRequest, is_strict: bool) {
        let text = |input: Input| String::from_utf8_lossy(&input.bytes).into_owned();
        let strictness = if is_strict { Strictness::Strict } else { Strictness::Lenient };
        *request = GenerateRequest {
            scene: Some(Scene {
                prompt: Some(Prompt::Xml(text(self.scene_texts.prompt))),
                strictness: strictness.into(),
                negative: self.scene_texts.negative.map(|input| Negative::NegativeText(text(input))),
                ..self.scene
            }),
            ..self.first
        };
    }
}

/// How a seed is written that is larger than a whole number of TOML.
const LARGE_SEED_HELP: &str = "a seed is a whole number from 0 to 18446744073709551615; write one above 9223372036854775807 in \
                               quotes, such as seed = \"18446744073709551615\"";

/// The first whole number of a table that TOML has no place for, and where it is.
fn too_large(text: &str) -> Option<String> {
    let file = DeTable::parse(text).ok()?;
    for (table, entries) in file.get_ref() {
        for (key, value) in entries.get_ref().as_table().into_iter().flatten() {
            if let Some(number) = value.get_ref().as_integer()
                && i64::from_str_radix(number.as_str(), number.radix()).is_err()
            {
                let (table, key) = (table.get_ref(), key.get_ref());
                return Some(format!(
                    "[{table}] {key}: {number} is not one of the whole numbers of TOML, {} to {}",
                    i64::MIN,
                    i64::MAX
                ));
            }
        }
    }
    None
}

/// Takes the values of one table.
struct Reader<'a> {
    path: &'a Path,
    table: &'static str,
    given: Table,
}

impl Reader<'_> {
    fn wrong(&self, key: &str, error: impl std::fmt::Display) -> Failure {
        Failure::unreadable(self.path, format_args!("[{}] {key}: {error}", self.table))
    }

    /// The value of a key, under its name with `-` or with `_`.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.given.remove(key).or_else(|| self.given.remove(&key.replace('-', "_")))
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, Failure> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, format_args!("it is text in quotes, not {other}"))),
        }
    }

    fn texts_of(&mut self, key: &str) -> Result<Vec<String>, Failure> {
        let texts = self.take(key).map(Value::try_into::<Vec<String>>).transpose();
        texts.map(Option::unwrap_or_default).map_err(|_| self.wrong(key, "it is a list of texts in quotes"))
    }

    fn number(&mut self, key: &str) -> Result<Option<f32>, Failure> {
        let number = self.take(key).map(Value::try_into::<f32>).transpose();
        let number = number.map_err(|_| self.wrong(key, "it is a number"))?;
        match number {
            Some(number) if !number.is_finite() => Err(self.wrong(key, "it is a finite number")),
            number => Ok(number),
        }
    }

    /// A file that the table names.
    fn file(&mut self, key: &str) -> Result<Option<PathBuf>, Failure> {
        let name = self.text(key)?;
        // The hash of an uploaded file is no path.
        let place = |name: String| match images::asset_of(Path::new(&name)) {
            Some(_) => PathBuf::from(name),
            None => self.path.parent().unwrap_or(Path::new("")).join(name),
        };
        Ok(name.map(place))
    }

    /// The prompt and the negative prompt.
    fn texts(&mut self) -> Result<PassTexts, Failure> {
        let prompt = self.input("prompt", "prompt-file")?;
        let negative = self.input("negative", "negative-file")?;
        match prompt {
            Some(prompt) => Ok(PassTexts { prompt, negative }),
            None => Err(self.wrong("prompt", "there is nothing to draw; set it, or `prompt-file`")),
        }
    }

    fn input(&mut self, key: &str, file_key: &str) -> Result<Option<Input>, Failure> {
        match (self.text(key)?, self.file(file_key)?) {
            (Some(_), Some(_)) => {
                Err(self.wrong(key, format_args!("`{file_key}` is set as well; remove one of the two")))
            }
            (None, Some(path)) => input::read_prompt(&path, "generate").map(Some),
            (Some(text), None) => {
                let name = format!("{} [{}] {key}", self.path.display(), self.table);
                Ok(Some(Input { name, path: None, bytes: text.into_bytes() }))
            }
            (None, None) => Ok(None),
        }
    }

    /// The settings that both passes have; no key may be left.
    fn request(mut self) -> Result<GenerateRequest, Failure> {
        let mut request = GenerateRequest::default();
        for text in self.texts_of("adapters")? {
            request.adapters.push(adapter::parse(&text).map_err(|error| self.wrong("adapters", error))?);
        }
        if let Some(switch_at) = self.number("refiner")? {
            request.refiner.get_or_insert_default().switch_at = Some(switch_at);
        }
        for (key, value) in std::mem::take(&mut self.given) {
            let text = match &value {
                Value::String(text) => text.clone(),
                Value::Integer(_) | Value::Float(_) => value.to_string(),
                _ => return Err(self.wrong(&key, "it is text in quotes or a number")),
            };
            let set = setting::find(&key).and_then(|setting| setting.set(&mut request, &text));
            set.map_err(|error| Failure::unreadable(self.path, format_args!("[{}] {error}", self.table)))?;
        }
        Ok(request)
    }

    /// The pass of a scene.
    fn scene(mut self) -> Result<Scene, Failure> {
        let mut scene = Scene { strength: self.number("strength")?, ..Scene::default() };
        if let Some(how) = self.text("resize")? {
            let how = Choice::<ResizeMode>::from_str(&how, true);
            let how = how.map_err(|_| self.wrong("resize", "it is `crop`, `pad` or `stretch`"))?;
            scene.resize = how.value.into();
        }
        for text in self.texts_of("protect")? {
            let area = images::parse_box(&text).map_err(|error| self.wrong("protect", error))?;
            scene.protection.get_or_insert_default().boxes.push(area.to_wire());
        }
        if let Some(path) = self.file("protect-image")? {
            scene.protection.get_or_insert_default().image = Some(images::read_source(&path, "protect-image")?);
        }
        match self.take("feather").map(Value::try_into::<u32>).transpose() {
            Ok(None) => {}
            Ok(Some(feather)) => scene.protection.get_or_insert_default().feather = feather,
            Err(_) => return Err(self.wrong("feather", "it is a number of pixels")),
        }
        if self.given.contains_key("images") {
            return Err(self.wrong("images", "a scene has the pictures of the first pass; set it in [first]"));
        }
        let GenerateRequest { model, system_prompt, sampling, width, height, seed, adapters, refiner, .. } =
            self.request()?;
        Ok(Scene { model, system_prompt, sampling, width, height, seed, adapters, refiner, ..scene })
    }
}

#[cfg(test)]
mod tests {
    use sakuga_client::proto::generation::v1::Solver;

    use super::*;

    fn read(text: &str) -> Result<SceneFile, Failure> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("girls.xml"), "<caption>two girls</caption>").unwrap();
        std::fs::write(directory.path().join("mask.png"), "a mask").unwrap();
        let path = directory.path().join("scene.toml");
        std::fs::write(&path, text).unwrap();
        SceneFile::read(&path)
    }

    #[test]
    fn both_tables_fill_their_messages() {
        let text = r#"
            [first]
            prompt-file = "girls.xml"
            negative = "rain"
            model = "newbie"
            size = "1024x1536"
            seed = 7
            guidance = 5
            images = 2

            [scene]
            prompt = "2girls, forest"
            negative = "blurry"
            model = "sdxl"
            strength = 0.5
            solver = "dpm"
            guidance-until = 0.9
            width = 1536
            resize = "pad"
            protect_image = "mask.png"
            feather = 8
            adapters = ["ink:0.8"]
            refiner = 0.75
        "#;
        let file = read(text).unwrap_or_else(|failure| panic!("{}", failure.message()));
        assert_eq!(file.first_texts.prompt.bytes, b"<caption>two girls</caption>");
        assert_eq!(file.first_texts.negative.as_ref().unwrap().bytes, b"rain");
        let mut request = GenerateRequest::default();
        file.apply(&mut request, true);
        assert_eq!((request.model.as_str(), request.seed, request.images), ("newbie", Some(7), 2));
        assert_eq!((request.width, request.height), (1024, 1536));
        let scene = request.scene.unwrap();
        assert_eq!(scene.prompt, Some(Prompt::Xml("2girls, forest".into())));
        assert_eq!(scene.negative, Some(Negative::NegativeText("blurry".into())));
        let sampling = scene.sampling.clone().unwrap();
        assert_eq!((sampling.solver(), sampling.guidance_until), (Solver::Dpm, Some(0.9)));
        assert_eq!((scene.model.as_str(), scene.strength, scene.width), ("sdxl", Some(0.5), 1536));
        assert_eq!((scene.resize(), scene.strictness()), (ResizeMode::Pad, Strictness::Strict));
        let protection = scene.protection.unwrap();
        assert_eq!((protection.feather, protection.image.is_some(), protection.boxes.len()), (8, true, 0));
        assert_eq!((scene.adapters[0].scale, scene.refiner.unwrap().switch_at), (Some(0.8), Some(0.75)));
    }

    #[test]
    fn every_seed_can_be_written() {
        let with = |seed: &str| read(&format!("[first]\nprompt = \"a\"\nseed = {seed}\n[scene]\nprompt = \"b\"\n"));
        for (seed, expected) in [
            ("0", Some(0)),
            ("9223372036854775807", Some(i64::MAX.unsigned_abs())),
            ("\"18446744073709551615\"", Some(u64::MAX)),
            ("-1", None),
        ] {
            let file = with(seed).unwrap_or_else(|failure| panic!("{}", failure.message()));
            assert_eq!(file.first.seed, expected, "{seed}");
        }
        for seed in ["9223372036854775808", "18446744073709551615", "99999999999999999999999999999999999999999"] {
            let failure = with(seed).err().unwrap_or_else(|| panic!("{seed} is read"));
            assert!(failure.message().contains(&format!("[first] seed: {seed} is not one of")), "{failure:?}");
            assert!(failure.help().is_some_and(|help| help.contains("in quotes")), "{failure:?}");
        }
        let failure = with("\"18446744073709551616\"").err().expect("it is too large");
        assert!(failure.message().contains("from 0 to 18446744073709551615"), "{failure:?}");
    }

    #[test]
    fn the_examples_are_read() {
        for (name, models) in [("scene", ("newbie", "sdxl")), ("small_scene", ("sakuga-chibi", "sakuga-sd-anime"))] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).with_extension("toml");
            let file = SceneFile::read(&path).unwrap_or_else(|failure| panic!("{}", failure.message()));
            assert_eq!((file.first.model.as_str(), file.scene.model.as_str()), models);
        }
    }

    #[test]
    fn what_is_wrong_names_its_table_and_key() {
        let whole =
            |first: &str, scene: &str| format!("[first]\nprompt = \"a\"\n{first}\n[scene]\nprompt = \"b\"\n{scene}\n");
        for (text, part) in [
            ("[first]\nprompt = \"a\"".to_owned(), "scene"),
            ("[first]\n[scene]\nprompt = \"b\"".to_owned(), "[first] prompt: there is nothing to draw"),
            (whole("strength = 0.4", ""), "[first] there is no setting `strength`"),
            (whole("", "steps = 0"), "[scene] steps: `0`"),
            (whole("", "images = 2"), "[scene] images: a scene has the pictures"),
            (whole("", "protect = [\"1,2\"]"), "[scene] protect: write pixels"),
            (whole("", "prompt-file = \"girls.xml\""), "[scene] prompt: `prompt-file` is set as well"),
            (whole("", "strength = \"much\""), "[scene] strength: it is a number"),
            (whole("", "feather = -1"), "[scene] feather"),
            (whole("", "resize = \"fit\""), "[scene] resize: it is `crop`"),
        ] {
            let failure = read(&text).err().unwrap_or_else(|| panic!("{text} is read"));
            assert!(failure.message().contains(part), "{text}: {}", failure.message());
        }
    }
}
