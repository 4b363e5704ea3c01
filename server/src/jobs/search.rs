//! [`JobQuery`]: the filter of ListJobs.

use sakuga_proto::generation::v1::{self as generation, generate_request, scene};
use sakuga_proto::prompt::v1 as prompt;

use super::labels;
use crate::error::{ServerError, Violation};
use crate::job_id::JobId;

/// Most bytes of the text of a search.
const TEXT_BYTES_MAX: usize = 256;
/// The most stored jobs that one search decodes, which takes about 0.1 s.
const SEARCHED_MAX: usize = 8192;
/// Upper bound of the time between the start of a call, which is in the job's id, and the acceptance of the job.
const ACCEPTANCE_MS: i64 = 10 * 60 * 1000;

/// The filter of a call, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobQuery {
    filter: generation::JobFilter,
    /// The words of the filter's text, in lower case.
    words: Vec<String>,
}

impl JobQuery {
    /// The query of a filter.
    ///
    /// # Errors
    ///
    /// [`ServerError::InvalidRequest`] with every fault of its text and labels.
    pub(crate) fn read(filter: generation::JobFilter) -> Result<Self, ServerError> {
        let mut faults = Vec::new();
        if filter.text.len() > TEXT_BYTES_MAX {
            let text = format!("the text has {} bytes; use at most {TEXT_BYTES_MAX}", filter.text.len());
            faults.push(Violation::new("filter.text", Violation::OUT_OF_RANGE, text));
        }
        faults.extend(labels::faults("filter.labels", &filter.labels));
        if !faults.is_empty() {
            return Err(ServerError::InvalidRequest(faults));
        }
        let words = filter.text.split(|letter: char| letter.is_whitespace() || letter == '_');
        let words = words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
        Ok(Self { filter, words })
    }

    /// Whether the job matches.
    pub(crate) fn matches(&self, job: &generation::Job) -> bool {
        let Self { filter, words } = self;
        let created = job.create_time.map_or((0, 0), |time| (time.seconds, time.nanos));
        (filter.states.is_empty() || filter.states.contains(&job.state))
            && (filter.client_id.is_empty() || filter.client_id == job.client_id)
            && (filter.request_id.is_empty() || filter.request_id == job.request_id)
            && filter.created_from.is_none_or(|from| created >= (from.seconds, from.nanos))
            && filter.created_before.is_none_or(|before| created < (before.seconds, before.nanos))
            && (filter.model.is_empty()
                || job.request.as_ref().is_some_and(|request| has_model(request, &filter.model)))
            && filter.labels.iter().all(|label| job.labels.contains(label))
            && (words.is_empty() || has_words(job, words))
    }

    /// The most jobs that a call with this query decodes; `None` for no limit.
    pub(crate) fn looked_at_max(&self) -> Option<usize> {
        let Self { filter, words } = self;
        let searches = !words.is_empty() || !filter.labels.is_empty() || !filter.model.is_empty();
        searches.then_some(SEARCHED_MAX)
    }

    /// The id above every job of the list, if its time is bounded: ids begin with the milliseconds of their creation.
    pub(crate) fn upper_id(&self) -> Option<String> {
        let before = self.filter.created_before?;
        // An id with this beginning is above it.
        let at_ms = u64::try_from(milliseconds(before)?).ok()?.checked_add(1)?;
        (at_ms < 1 << 48).then(|| format!("{:08x}-{:04x}", at_ms >> 16, at_ms & 0xffff))
    }

    /// Whether this job and all that have lower ids are too old for the list.
    pub(crate) fn is_older(&self, job_id: &str) -> bool {
        let from = self.filter.created_from.and_then(milliseconds);
        from.zip(JobId::milliseconds(job_id)).is_some_and(|(from, id)| id.saturating_add(ACCEPTANCE_MS) < from)
    }
}

fn milliseconds(time: prost_types::Timestamp) -> Option<i64> {
    time.seconds.checked_mul(1000)?.checked_add((time.nanos / 1_000_000).into())
}

/// Whether the request or its scene is drawn by the model of this name.
fn has_model(request: &generation::GenerateRequest, name: &str) -> bool {
    request.model == name || request.scene.as_ref().is_some_and(|scene| scene.model == name)
}

/// Whether each word occurs in the job's `request_id`, its labels, or the prompts and model names of the request and its scene.
fn has_words(job: &generation::Job, words: &[String]) -> bool {
    let mut texts = vec![job.request_id.to_lowercase()];
    texts.extend(job.labels.iter().map(|label| label.to_lowercase()));
    if let Some(request) = &job.request {
        texts.push(request.model.to_lowercase());
        match &request.prompt {
            Some(generate_request::Prompt::Xml(text)) => texts.push(text.to_lowercase()),
            Some(generate_request::Prompt::Typed(prompt)) => typed_texts(prompt, &mut texts),
            None => {}
        }
        if let Some(scene) = &request.scene {
            texts.push(scene.model.to_lowercase());
            match &scene.prompt {
                Some(scene::Prompt::Xml(text)) => texts.push(text.to_lowercase()),
                Some(scene::Prompt::Typed(prompt)) => typed_texts(prompt, &mut texts),
                None => {}
            }
        }
    }
    words.iter().all(|word| texts.iter().any(|text| text.contains(word.as_str())))
}

/// The names, tags and caption of a typed prompt, in lower case.
fn typed_texts(prompt: &prompt::Prompt, texts: &mut Vec<String>) {
    let mut tags = |list: &Option<prompt::TagList>| {
        texts.extend(list.iter().flat_map(|list| &list.tags).map(|tag| tag.to_lowercase()));
    };
    for character in &prompt.characters {
        let prompt::Character {
            n: _,
            gender: _,
            appearance,
            clothing,
            body_type,
            expression,
            action,
            interaction,
            position,
        } = character;
        [appearance, clothing, body_type, expression, action, interaction, position].into_iter().for_each(&mut tags);
    }
    if let Some(general) = &prompt.general_tags {
        let prompt::GeneralTags {
            count,
            artists,
            style,
            background,
            environment,
            perspective,
            atmosphere,
            lighting,
            quality,
            resolution,
            objects,
            other,
        } = general;
        [count, artists, style, background, environment, perspective].into_iter().for_each(&mut tags);
        [atmosphere, lighting, quality, resolution, objects, other].into_iter().for_each(&mut tags);
    }
    texts.extend(prompt.characters.iter().map(|character| character.n.to_lowercase()));
    texts.push(prompt.caption.to_lowercase());
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use sakuga_proto::generation::v1::{GenerateRequest, Job, JobFilter, Scene};

    use super::*;

    fn job(prompt: generate_request::Prompt) -> Job {
        let request = GenerateRequest { model: "newbie".into(), prompt: Some(prompt), ..GenerateRequest::default() };
        Job { request: Some(request), labels: vec!["favourite".into(), "Cover".into()], ..Job::default() }
    }

    fn finds(text: &str, job: &Job) -> bool {
        let filter = JobFilter { text: text.into(), ..JobFilter::default() };
        JobQuery::read(filter).expect("a short text").matches(job)
    }

    #[test]
    fn every_word_is_looked_for_in_prompt_model_and_labels() {
        let xml = job(generate_request::Prompt::Xml("<style>Blue_Hair, sea</style>".into()));
        let tags = |tags: &[&str]| Some(prompt::TagList { tags: tags.iter().map(|tag| (*tag).to_owned()).collect() });
        let typed = job(generate_request::Prompt::Typed(prompt::Prompt {
            characters: vec![prompt::Character {
                n: "Rem".into(),
                appearance: tags(&["Blue_Hair"]),
                ..prompt::Character::default()
            }],
            general_tags: Some(prompt::GeneralTags { other: tags(&["sea"]), ..prompt::GeneralTags::default() }),
            caption: "A girl.".into(),
        }));
        for job in [&xml, &typed] {
            for text in ["", "  ", "blue hair", "BLUE_hair sea", "newbie cover", "favour"] {
                assert!(finds(text, job), "{text}");
            }
            for text in ["green hair", "blue sky", "sdxl"] {
                assert!(!finds(text, job), "{text}");
            }
        }
        assert!(finds("rem girl", &typed) && !finds("rem girl", &xml));
    }

    #[test]
    fn prompt_and_model_of_a_scene_are_looked_at_too() {
        let typed = prompt::Prompt { caption: "Rain over hills.".into(), ..prompt::Prompt::default() };
        for prompt in [scene::Prompt::Xml("<caption>Rain over hills.</caption>".into()), scene::Prompt::Typed(typed)] {
            let mut job = job(generate_request::Prompt::Xml("<style>sea</style>".into()));
            let scene = Scene { prompt: Some(prompt), model: "photo".into(), ..Scene::default() };
            job.request.get_or_insert_default().scene = Some(scene);
            assert!(finds("sea rain photo newbie", &job) && !finds("snow", &job));
            for (model, expected) in [("newbie", true), ("photo", true), ("phot", false)] {
                let filter = JobFilter { model: model.into(), ..JobFilter::default() };
                assert_eq!(JobQuery::read(filter).expect("valid").matches(&job), expected, "{model}");
            }
        }
    }

    #[test]
    fn labels_and_models_are_compared_whole() {
        let job = job(generate_request::Prompt::Xml(String::new()));
        let matches = |labels: &[&str], model: &str| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            let filter = JobFilter { labels, model: model.into(), ..JobFilter::default() };
            JobQuery::read(filter).expect("valid").matches(&job)
        };
        assert!(matches(&["Cover", "favourite"], "newbie") && matches(&[], ""));
        assert!(!matches(&["cover"], "") && !matches(&["favourite", "other"], "") && !matches(&[], "new"));
    }

    #[test]
    fn a_range_of_times_is_one_of_ids() {
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let filter = JobFilter { created_from: at(2_000_000), created_before: at(3_000_000), ..JobFilter::default() };
        let query = JobQuery::read(filter).expect("valid");
        let id = |ms: u64| format!("{:08x}-{:04x}-7aaa-8bbb-1234567890ab", ms >> 16, ms & 0xffff);
        let upper = query.upper_id().expect("a time");
        assert!(id(3_000_000_000) < upper && id(3_000_000_002) > upper);
        assert!(!query.is_older(&id(2_000_000_000)) && !query.is_older(&id(1_999_999_000)));
        assert!(query.is_older(&id(1_999_000_000)) && !query.is_older("not an id"));
        for seconds in [i64::MIN, -1, i64::MAX] {
            let filter = JobFilter { created_from: at(seconds), created_before: at(seconds), ..JobFilter::default() };
            let query = JobQuery::read(filter).expect("valid");
            assert_eq!((query.upper_id(), query.is_older(&id(1))), (None, false), "{seconds}");
        }
    }

    #[test]
    fn too_long_texts_and_bad_labels_are_refused_together() {
        let filter = JobFilter { text: "x".repeat(257), labels: vec![" a".into()], ..JobFilter::default() };
        let Err(ServerError::InvalidRequest(faults)) = JobQuery::read(filter) else { panic!("two faults") };
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["filter.text", "filter.labels[0]"]);
    }
}
