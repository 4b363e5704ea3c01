//! The measurement: sends requests, receives pictures, and reads them with the oracle.
//!
//! The server has at most [`Plan::in_flight`] requests, so that the next is ready and no queue builds up; the oracle reads
//! on the other cores at the same time.

use std::path::Path;
use std::time::{Duration, SystemTime};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use image::ImageFormat;
use sakuga_client::proto::generation::v1::Sampling;
use sakuga_client::proto::system::v1::{GetServerInfoRequest, ListModelsRequest, Model};
use sakuga_client::{Client, ClientError, Completed, EventKind};
use sakuga_figures::size::SIDE_PX;
use sakuga_figures::{Image, Scene, oracle, render};

use crate::case::Case;
use crate::error::EvalError;
use crate::form::Form;
use crate::progress::Progress;
use crate::record::{Key, Record, answers};
use crate::store::{Session, Settings, Store};

/// What to measure, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The cases to draw, in this order.
    pub cases: Vec<Case>,
    /// The forms to draw each in.
    pub forms: Vec<Form>,
    /// Pictures of each case in each form.
    pub images_per_case: u64,
    /// Where scenes and noise start.
    pub seed: u64,
    /// Pictures of one request, all of the same scene; at least 1.
    pub images_per_request: u32,
    /// Requests with the server at a time; at least 1.
    pub in_flight: usize,
    /// Scenes of each case whose first picture in each form is kept for the contact sheets.
    pub keep: u64,
    /// The model; empty for the server's default.
    pub model: String,
    /// How to sample; what is not said is the server's default.
    pub sampling: Sampling,
    /// `sampling` as it stands on the command line.
    pub sampling_options: String,
}

/// How a measurement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Pictures that were measured now.
    pub measured: u64,
    /// Pictures that had been measured before.
    pub had: u64,
}

/// One request, or one drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    case: Case,
    form: Form,
    scene: u64,
    /// The pictures that are wanted of it.
    images: Vec<u32>,
}

impl Job {
    fn key(&self, image: u32) -> Key {
        Key { case: self.case, scene: self.scene, image, form: self.form }
    }
}

/// One picture on its way to the oracle.
#[derive(Debug)]
struct Shown {
    key: Key,
    seed: u64,
    sampling: String,
    pixels_sha256: String,
    scene: Scene,
    picture: Source,
}

/// Where a picture comes from.
#[derive(Debug)]
enum Source {
    /// The server's PNG.
    Png(Vec<u8>),
    /// Drawn here.
    Drawn(Image),
}

/// How often a request is repeated that the server has no room for.
const TRIES: u32 = 100;

/// How long to wait before that, where the server does not say.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Measures what the folder does not hold yet.
///
/// # Errors
///
/// See [`EvalError`]; what was measured until then stays in the folder.
pub async fn run(
    plan: &Plan,
    folder: &Path,
    client: &Client,
    progress: impl FnOnce(u64) -> Progress,
) -> Result<Summary, EvalError> {
    let (model, session) = ask_server(client, &plan.model).await?;
    let settings = Settings {
        model: model.name,
        fingerprint: model.fingerprint,
        notice: model.notice,
        seed: plan.seed,
        images_per_request: plan.images_per_request.max(1),
        sampling_options: plan.sampling_options.clone(),
    };
    let mut store = Store::open(folder, settings, plan.images_per_case, session)?;
    let jobs = jobs(plan, |key| store.has(key));
    let wanted = all_keys(plan);
    let to_measure = jobs.iter().map(|job| job.images.len() as u64).sum();
    let had = wanted - to_measure;
    let mut progress = progress(to_measure);
    let readers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut read = stream::iter(jobs)
        .map(|job| show(plan, client, job))
        .buffer_unordered(plan.in_flight.max(1))
        .map_ok(|shown| stream::iter(shown.into_iter().map(Ok)))
        .try_flatten()
        .map(|shown: Result<Shown, EvalError>| async {
            let shown = shown?;
            tokio::task::spawn_blocking(move || read(shown)).await?
        })
        .buffer_unordered(readers);
    while let Some(outcome) = read.next().await {
        let (record, png) = match outcome {
            Ok(read) => read,
            Err(error) => {
                progress.finish();
                return Err(error);
            }
        };
        let is_kept = record.key.image == 0 && record.key.scene < plan.keep;
        if let Some(png) = png.filter(|_| is_kept) {
            store.keep_picture(&record.key, &png)?;
        }
        store.add(record)?;
        progress.advance();
    }
    drop(read);
    progress.finish();
    store.finish(now())?;
    Ok(Summary { measured: to_measure, had })
}

/// The jobs for what is missing, case by case in turn, so that what an interrupted run leaves is even.
fn jobs(plan: &Plan, has: impl Fn(&Key) -> bool) -> Vec<Job> {
    let per_request = u64::from(plan.images_per_request.max(1));
    let mut jobs = Vec::new();
    for scene in 0..plan.images_per_case.div_ceil(per_request) {
        let images = (plan.images_per_case - scene * per_request).min(per_request) as u32;
        for &case in &plan.cases {
            for &form in &plan.forms {
                // A drawing has no noise: one drawing of a scene is enough.
                let images = if form == Form::Drawn { 1 } else { images };
                let mut job = Job { case, form, scene, images: (0..images).collect() };
                job.images.retain(|&image| !has(&Key { case, scene, image, form }));
                if !job.images.is_empty() {
                    jobs.push(job);
                }
            }
        }
    }
    jobs
}

/// How many pictures the whole plan has.
fn all_keys(plan: &Plan) -> u64 {
    jobs(plan, |_| false).iter().map(|job| job.images.len() as u64).sum()
}

async fn ask_server(client: &Client, name: &str) -> Result<(Model, Session), EvalError> {
    let mut system = client.system();
    let info = system.get_server_info(GetServerInfoRequest {}).await.map_err(|status| client.explain(&status))?;
    let info = info.into_inner();
    let models = system.list_models(ListModelsRequest {}).await.map_err(|status| client.explain(&status))?;
    let models = models.into_inner().models;
    let listed = models.iter().map(|model| model.name.clone()).collect::<Vec<_>>().join(", ");
    let model = models
        .into_iter()
        .find(|model| name.is_empty() || model.name == name)
        .ok_or_else(|| EvalError::Model { name: name.to_owned(), listed })?;
    let session = Session {
        began: now(),
        ended: None,
        device: info.device,
        precision: info.precision,
        server: format!("{} {}", info.engine, info.version),
    };
    Ok((model, session))
}

/// The time in UTC, to the second.
fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The pictures of a job.
async fn show(plan: &Plan, client: &Client, job: Job) -> Result<Vec<Shown>, EvalError> {
    let scene = job.case.scene(plan.seed, job.scene);
    let seed = job.case.noise_seed(plan.seed, job.scene);
    let Some(text) = job.form.text(job.case, &scene) else {
        let to_draw = scene.clone();
        let drawn = tokio::task::spawn_blocking(move || render(&to_draw)).await?;
        let shown = Shown {
            key: job.key(0),
            seed,
            sampling: String::new(),
            pixels_sha256: String::new(),
            scene,
            picture: Source::Drawn(drawn),
        };
        return Ok(vec![shown]);
    };
    let asked = job.images.iter().max().map_or(1, |last| last + 1);
    let (completed, sampling) = ask(plan, client, text, seed, asked).await?;
    if completed.pictures.len() != asked as usize {
        return Err(EvalError::Pictures { asked, sent: completed.pictures.len() });
    }
    let shown = completed.pictures.into_iter().filter(|picture| job.images.contains(&picture.image_index));
    Ok(shown
        .map(|picture| Shown {
            key: job.key(picture.image_index),
            seed,
            sampling: sampling.clone(),
            pixels_sha256: picture.pixels_sha256,
            scene: scene.clone(),
            picture: Source::Png(picture.bytes),
        })
        .collect())
}

/// Asks for pictures until the server has room for the request.
async fn ask(
    plan: &Plan,
    client: &Client,
    text: String,
    seed: u64,
    images: u32,
) -> Result<(Box<Completed>, String), EvalError> {
    let mut request =
        client.generation().xml(text).size(SIDE_PX, SIDE_PX).images(images).seed(seed).as_request().clone();
    request.model.clone_from(&plan.model);
    request.sampling = Some(plan.sampling.clone());
    let mut tries = 0;
    loop {
        let mut generation = match client.generation().request(request.clone()).start().await {
            Err(ClientError::Refused(error)) if error.retry_after.is_some() && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(error.retry_after.unwrap_or(RETRY_AFTER)).await;
                continue;
            }
            started => started?,
        };
        let mut sampling = String::new();
        while let Some(event) = generation.next_event().await? {
            match event.kind {
                EventKind::Started(started) => {
                    let resolved = started.resolved.unwrap_or_default();
                    sampling = resolved.sampling.map(|sampling| sampling.to_string()).unwrap_or_default();
                }
                EventKind::Completed(completed) => return Ok((completed, sampling)),
                EventKind::Cancelled(cancelled) => return Err(EvalError::Cancelled { at_step: cancelled.at_step }),
                _ => {}
            }
        }
        // The client's stream always ends with one of these or with an error.
        return Err(EvalError::Pictures { asked: images, sent: 0 });
    }
}

/// Has the oracle read a picture; the PNG comes back with what was read.
fn read(shown: Shown) -> Result<(Record, Option<Vec<u8>>), EvalError> {
    let (image, png) = match shown.picture {
        Source::Drawn(image) => (image, None),
        Source::Png(png) => (decode(&png)?, Some(png)),
    };
    let report = oracle::examine_scene(&image, &shown.scene)?;
    let (figures, picture) = answers(&shown.scene, &report);
    let Shown { key, seed, sampling, pixels_sha256, .. } = shown;
    Ok((Record { key, seed, sampling, pixels_sha256, figures, picture }, png))
}

/// The pixels of a PNG.
fn decode(png: &[u8]) -> Result<Image, EvalError> {
    let pixels = image::load_from_memory_with_format(png, ImageFormat::Png)?.into_rgb8();
    Ok(Image { width_px: pixels.width(), height_px: pixels.height(), rgb: pixels.into_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::EIGHT;
    use crate::score::{Count, Scores, Share};

    fn plan(images_per_case: u64, images_per_request: u32) -> Plan {
        Plan {
            cases: vec![Case::One, Case::TwoCrossed],
            forms: Form::ALL.to_vec(),
            images_per_case,
            seed: 1,
            images_per_request,
            in_flight: 2,
            keep: 0,
            model: String::new(),
            sampling: Sampling::default(),
            sampling_options: String::new(),
        }
    }

    #[test]
    fn a_plan_has_as_many_pictures_as_asked_for_and_one_drawing_a_scene() {
        let jobs = jobs(&plan(5, 2), |_| false);
        let images = |form: Form| -> usize {
            jobs.iter().filter(|job| job.case == Case::One && job.form == form).map(|job| job.images.len()).sum()
        };
        assert_eq!(Form::ALL.iter().map(|&form| images(form)).collect::<Vec<_>>(), [5, 5, 5, 3]);
        assert_eq!(all_keys(&plan(5, 2)), 2 * 18);
        // The first scene of every case and form comes before the second of any.
        assert!(jobs[..8].iter().all(|job| job.scene == 0) && jobs[8..].iter().all(|job| job.scene > 0));
    }

    #[test]
    fn only_what_is_missing_is_asked_for() {
        let missing = Key { case: Case::TwoCrossed, scene: 1, image: 1, form: Form::Tags };
        let jobs = jobs(&plan(5, 2), |key| *key != missing);
        assert_eq!(jobs, [Job { case: Case::TwoCrossed, form: Form::Tags, scene: 1, images: vec![1] }]);
    }

    /// The attributes that the oracle reads in a scene, compared with those that another scene asks for.
    fn read_as(drawn: &Scene, asked: &Scene, case: Case) -> Record {
        let shown = Shown {
            key: Key { case, scene: 0, image: 0, form: Form::Xml },
            seed: 0,
            sampling: String::new(),
            pixels_sha256: String::new(),
            scene: asked.clone(),
            picture: Source::Drawn(render(drawn)),
        };
        read(shown).expect("a drawn scene can be read").0
    }

    #[test]
    fn a_perfect_model_is_right() {
        let records: Vec<Record> = (0..3)
            .map(|index| Case::TwoCrossed.scene(1, index))
            .map(|scene| read_as(&scene, &scene, Case::TwoCrossed))
            .collect();
        let scores = Scores::count(&records);
        let count = scores.get(Case::TwoCrossed, Form::Xml).expect("it was counted").over(EIGHT);
        assert_eq!(count.right.trials, 3 * 2 * 8);
        assert_eq!(count.swapped.trials, 3 * 2 * 8, "every attribute can be swapped");
        assert!(count.right.hits >= 47, "{count:?}");
    }

    #[test]
    fn a_model_that_swaps_clothes_and_hair_is_seen_through() {
        let asked = Case::TwoCrossed.scene(1, 1);
        let mut drawn = asked.clone();
        let [a, b] = drawn.figures.as_mut_slice() else { panic!("two figures") };
        std::mem::swap(&mut a.hair_color, &mut b.hair_color);
        std::mem::swap(&mut a.cloth_color, &mut b.cloth_color);
        let record = read_as(&drawn, &asked, Case::TwoCrossed);
        let scores = Scores::count([&record]);
        let score = scores.get(Case::TwoCrossed, Form::Xml).expect("it was counted");
        let both = Share { hits: 2, trials: 2 };
        for attribute in [EIGHT[0], EIGHT[6]] {
            assert_eq!(
                score.of(attribute),
                Count { right: Share { hits: 0, trials: 2 }, swapped: both },
                "{attribute:?}"
            );
        }
        assert_eq!(score.over(EIGHT).swapped, Share { hits: 4, trials: 16 });
    }

    #[test]
    fn a_png_is_read_as_its_pixels() {
        let image = render(&Case::One.scene(1, 0));
        let mut png = Vec::new();
        image.write_png(&mut png).expect("memory takes everything");
        assert!(decode(&png).expect("it is a PNG") == image);
        assert!(matches!(decode(b"GIF89a"), Err(EvalError::Decode(_))));
    }
}
