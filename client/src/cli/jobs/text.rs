//! Jobs as text for people.

use std::fmt::Write as _;
use std::time::SystemTime;

use sakuga_client::ServerError;
use sakuga_client::proto::generation::v1::{GenerateRequest, Job, JobState};
use sakuga_client::proto::text::one_line;
use sakuga_client::proto::time;

use crate::cli::{choice, clock, output, request_text, units};

/// One job a line, the columns aligned.
pub(crate) fn table(jobs: &[Job]) -> String {
    let rows: Vec<[String; 4]> = jobs.iter().map(row).collect();
    output::columns(&rows, &[2])
}

/// Characters of a prompt in a list and in a description.
const PROMPT_IN_LIST: usize = 48;
/// Characters of an outcome in a list, so that one long error does not move every prompt; `jobs get` has all of it.
const OUTCOME_IN_LIST: usize = 40;
const PROMPT_WHOLE: usize = 400;

/// One job a line: identifier, state, local time, size, seed, outcome, prompt.
pub(crate) fn list(jobs: &[Job], ids: &[String]) -> String {
    let none = GenerateRequest::default();
    let rows: Vec<[String; 7]> = jobs
        .iter()
        .zip(ids)
        .map(|(job, id)| {
            let request = job.request.as_ref().unwrap_or(&none);
            [
                one_line(id),
                state(job.state()).to_owned(),
                job.create_time.map_or_else(|| "-".to_owned(), clock::seconds),
                request_text::size(request),
                request.seed.map_or_else(|| "-".to_owned(), |seed| format!("seed {seed}")),
                request_text::shortened(&outcome(job), OUTCOME_IN_LIST),
                labelled(job, prompt_in_list(request)),
            ]
        })
        .collect();
    output::columns(&rows, &[])
}

/// The prompt, and the model of the scene that is drawn over its picture: `two girls (scene by sdxl)`.
fn prompt_in_list(request: &GenerateRequest) -> String {
    let prompt = request_text::prompt(request, PROMPT_IN_LIST);
    match &request.scene {
        Some(scene) => format!("{prompt} (scene by {})", request_text::scene_model(scene)),
        None => prompt,
    }
}

/// The prompt, with the labels of its job before it: `[favourite] a fox`.
fn labelled(job: &Job, prompt: String) -> String {
    if job.labels.is_empty() { prompt } else { format!("[{}] {prompt}", one_line(&job.labels.join(", "))) }
}

/// Identifier, state, age and outcome.
pub(crate) fn row(job: &Job) -> [String; 4] {
    let age = job.create_time.and_then(time::system_time).and_then(|time: SystemTime| time.elapsed().ok());
    let age = age.map_or_else(|| "?".to_owned(), |age| format!("{} ago", units::duration(age)));
    [one_line(&job.job_id), state(job.state()).to_owned(), age, outcome(job)]
}

/// The state in one word.
pub(crate) fn state(state: JobState) -> &'static str {
    choice::name(state).unwrap_or("unknown")
}

/// The most important fact about a job in its state.
pub(crate) fn outcome(job: &Job) -> String {
    let eta = job.eta.and_then(time::duration).map(units::duration);
    match job.state() {
        JobState::Queued => {
            let before = units::count(job.queue_position.unwrap_or_default() as usize, "job");
            format!("{before} before it{}", eta.map_or_else(String::new, |eta| format!(", starts in about {eta}")))
        }
        JobState::Running => eta.map_or_else(String::new, |eta| format!("about {eta} left")),
        JobState::Completed => {
            let bytes = job.images.iter().fold(0, |sum: u64, image| sum.saturating_add(image.size));
            format!("{}, {}", units::count(job.images.len(), "picture"), units::bytes(bytes))
        }
        JobState::Failed => job.error.as_ref().map_or_else(String::new, |error| one_line(&error.message)),
        JobState::Cancelled => {
            let step = job.cancelled.map_or(0, |cancelled| cancelled.at_step);
            if step == 0 { "before the first step".to_owned() } else { format!("after step {step}") }
        }
        JobState::Unspecified => String::new(),
    }
}

/// The number of pictures, and their indices in a larger batch: `2 of 4: 0, 3`.
fn pictures(request: &GenerateRequest) -> String {
    let (images, indices) = (request.images.max(1), &request.image_indices);
    if indices.is_empty() {
        return images.to_string();
    }
    let named: Vec<String> = indices.iter().map(u32::to_string).collect();
    format!("{} of {images}: {}", indices.len(), named.join(", "))
}

/// One job, a fact a line.
pub(crate) fn describe(job: &Job) -> String {
    let mut facts = vec![
        ("job", one_line(&job.job_id)),
        ("request", one_line(&job.request_id)),
        ("client", one_line(&job.client_id)),
        ("state", state(job.state()).to_owned()),
    ];
    let outcome = outcome(job);
    if !outcome.is_empty() {
        facts.push(("", outcome));
    }
    if !job.labels.is_empty() {
        facts.push(("labels", one_line(&job.labels.join(", "))));
    }
    if let Some(request) = &job.request {
        let prompt = request_text::prompt(request, PROMPT_WHOLE);
        let seed = request.seed.map(|seed| seed.to_string()).unwrap_or_default();
        let size = request_text::size(request);
        let sampling = request.sampling.as_ref().map(ToString::to_string).unwrap_or_default();
        let images = pictures(request);
        let scene = request.scene.as_ref();
        let scene_prompt = scene.map(|scene| request_text::scene_prompt(scene, PROMPT_WHOLE)).unwrap_or_default();
        for (name, fact) in [
            ("model", one_line(&request.model)),
            ("prompt", prompt),
            ("size", size),
            ("pictures", images),
            ("seed", seed),
            ("sampling", sampling),
            ("scene", scene.map(request_text::scene).unwrap_or_default()),
            ("", scene_prompt),
        ] {
            if !fact.is_empty() {
                facts.push((name, fact));
            }
        }
    }
    if job.attempt > 1 {
        facts.push(("attempt", job.attempt.to_string()));
    }
    for (name, time) in [
        ("accepted", job.create_time),
        ("started", job.start_time),
        ("ended", job.end_time),
        ("deadline", job.deadline),
    ] {
        if let Some(time) = time {
            facts.push((name, clock::with_offset(time)));
        }
    }
    if let Some(last) = job.next_sequence.checked_sub(1) {
        facts.push(("events", format!("{} to {last}", job.oldest_sequence)));
    }
    for image in &job.images {
        facts.push(("picture", format!("{}x{}, {}", image.width, image.height, units::bytes(image.size))));
    }
    if let Some(reason) = job.error.as_ref().and_then(|error| ServerError::from(error).reason) {
        facts.push(("reason", one_line(&reason)));
    }
    facts.iter().fold(String::new(), |mut text, (name, fact)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:8}  {fact}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_client::proto::generation::v1::{Cancelled, ImageInfo};

    #[test]
    fn a_long_error_does_not_move_the_other_columns() {
        let mut failed = Job { job_id: "a".into(), ..Job::default() };
        failed.set_state(JobState::Failed);
        failed.error = Some(tonic_types::pb::Status { message: "too long ".repeat(40), ..Default::default() });
        let mut done = Job { job_id: "b".into(), ..Job::default() };
        done.set_state(JobState::Completed);
        let xml = |text: &str| {
            let prompt = Some(sakuga_client::proto::generation::v1::generate_request::Prompt::Xml(text.into()));
            Some(GenerateRequest { prompt, ..GenerateRequest::default() })
        };
        (failed.request, done.request) = (xml("fox"), xml("cat"));
        let list = list(&[failed, done], &["a".into(), "b".into()]);
        let lines: Vec<&str> = list.lines().collect();
        let place = |line: &str, word: &str| line.find(word).unwrap_or_else(|| panic!("{word} is not in {line}"));
        assert_eq!(place(lines[0], "fox"), place(lines[1], "cat"), "{list}");
        assert!(lines.iter().all(|line| line.len() < 100), "{list}");
    }

    #[test]
    fn a_scene_has_its_model_prompt_seed_and_strength() {
        use sakuga_client::proto::generation::v1::{Scene, scene};
        let scene = Scene {
            prompt: Some(scene::Prompt::Xml("<caption>a forest</caption>".into())),
            model: "sdxl".into(),
            strength: Some(0.4),
            seed: Some(8),
            width: 96,
            height: 64,
            ..Scene::default()
        };
        let request = GenerateRequest { model: "newbie".into(), scene: Some(scene), ..GenerateRequest::default() };
        let mut job = Job { job_id: "j".into(), request: Some(request), ..Job::default() };
        let described = describe(&job);
        for line in ["model     newbie\n", "scene     by sdxl, strength 0.4, 96x64, seed 8\n          a forest\n"] {
            assert!(described.contains(line), "{line} is not in {described}");
        }
        assert!(list(std::slice::from_ref(&job), &["j".into()]).ends_with("(scene by sdxl)\n"));
        job.request = Some(GenerateRequest { scene: Some(Scene::default()), ..GenerateRequest::default() });
        assert!(describe(&job).contains("scene     by the default model\n"));
    }

    #[test]
    fn pictures_of_a_larger_batch_are_named() {
        let request = |images, image_indices| GenerateRequest { images, image_indices, ..GenerateRequest::default() };
        assert_eq!(pictures(&request(0, vec![])), "1");
        assert_eq!(pictures(&request(4, vec![0, 3])), "2 of 4: 0, 3");
    }

    #[test]
    fn each_state_says_what_matters_in_it() {
        let mut job = Job { job_id: "j".into(), queue_position: Some(2), ..Job::default() };
        job.set_state(JobState::Queued);
        assert_eq!(outcome(&job), "2 jobs before it");
        job.eta = Some(prost_types::Duration { seconds: 90, nanos: 0 });
        assert_eq!(outcome(&job), "2 jobs before it, starts in about 1 min 30 s");
        job.set_state(JobState::Running);
        assert_eq!(outcome(&job), "about 1 min 30 s left");
        job.set_state(JobState::Completed);
        job.images = vec![ImageInfo { size: 2048, ..ImageInfo::default() }];
        assert_eq!(outcome(&job), "1 picture, 2.0 KiB");
        job.set_state(JobState::Cancelled);
        job.cancelled = Some(Cancelled { at_step: 3, reason: 1 });
        assert_eq!(outcome(&job), "after step 3");
        assert_eq!(table(&[job.clone()]), "j  cancelled  ?  after step 3\n");
        job.labels = vec!["favourite".into(), "cover".into()];
        assert!(describe(&job).contains("labels    favourite, cover\n"), "{}", describe(&job));
        assert!(list(&[job.clone()], &["j".into()]).ends_with("[favourite, cover]\n"));
        job.labels.clear();
        assert!(describe(&job).contains("state     cancelled\n          after step 3\n"), "{}", describe(&job));
    }
}
