//! The limits that an operator sets, and those of messages and streams. The bounds that hold for every server are in
//! [`sakuga_model_core::limits`].

use std::time::Duration;

use clap::Args;
use sakuga_model_core::limits;

use crate::settings::{Bound, defaults, mebibytes_bound, number, seconds_bound};

/// What a request to this server may ask for, and how much is served at once.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Jobs that may wait. Further ones are refused with RESOURCE_EXHAUSTED and the time after which to try again.
    #[arg(long = "queue-size", value_name = "N", default_value = "64", value_parser = number::<usize>(1..=100_000))]
    pub queued_max: usize,
    /// Streams of events and pictures that may be open. One whose client stops reading within a picture holds up to 384 KiB,
    /// in addition to the budget of `max-unsent-mib`.
    #[arg(long = "max-streams", value_name = "N", default_value = "1024", value_parser = number::<usize>(1..=1_000_000))]
    pub streams_max: usize,
    /// Images that one request may ask for, 1 to 16.
    #[arg(
        long = "max-images",
        value_name = "N",
        default_value = "8",
        value_parser = number::<u32>(1..=limits::IMAGES.max.into())
    )]
    pub images_max: u32,
    /// Steps that one request may ask for, 1 to 200.
    #[arg(
        long = "max-steps",
        value_name = "N",
        default_value = "200",
        value_parser = number::<u32>(1..=limits::STEPS.max.into())
    )]
    pub steps_max: u32,
    /// Pixels that one image may have; the default is 2048 x 2048.
    #[arg(long = "max-pixels", value_name = "N", default_value = "4194304", value_parser = number::<u64>(256..=1 << 28))]
    pub pixels_max: u64,
    /// Bytes that the text of a prompt may have, at most 65536. The encoders read about 2 KiB.
    #[arg(
        long = "max-prompt-bytes",
        value_name = "N",
        default_value = "65536",
        value_parser = number::<usize>(1..=limits::PROMPT_BYTES.max as u64)
    )]
    pub prompt_bytes_max: usize,
    /// Jobs that one client may have queued and running. A client is its token or certificate if calls need one, else
    /// what its calls say in `sakuga-client-id`, else its address. 0: no limit.
    #[arg(long = "client-jobs", value_name = "N", default_value = "0", value_parser = number::<usize>(0..=100_000))]
    pub client_jobs_max: usize,
    /// Jobs that one client may ask for in a minute. 0: no limit.
    #[arg(long = "client-rate", value_name = "N", default_value = "0", value_parser = number::<u32>(0..=1_000_000))]
    pub client_rate_max: u32,
    /// Device memory that a job may need by estimate, weights included. 0: as much as the device has.
    #[arg(long = "job-memory-mib", value_name = "MIB", default_value = "0", value_parser = mebibytes_bound)]
    pub job_memory_max: Bound<u64>,
    /// How long a step, or another part of a job, may take before the engine counts as hung: the job fails and the engine
    /// is opened again. 0: no limit.
    #[arg(long = "step-timeout", value_name = "SECONDS", default_value = "900", value_parser = seconds_bound)]
    pub silence_max: Bound<Duration>,
    /// How many times a job may be started. A job that runs when the server stops is started again afterwards; after the last
    /// start it fails.
    #[arg(long = "max-attempts", value_name = "N", default_value = "5", value_parser = number::<u32>(1..=1_000_000))]
    pub attempts_max: u32,
}

impl Limits {
    /// Bytes of a message with a prompt, its text, typed or not, the negative one and a system prompt, without images.
    pub const PROMPT_MESSAGE_BYTES_MAX: usize = 512 * 1024;
    /// Bytes of a message with a prompt and the files of two images.
    pub const IMAGES_MESSAGE_BYTES_MAX: usize = Self::PROMPT_MESSAGE_BYTES_MAX + 2 * limits::INLINE_BYTES.max;
    /// Bytes of the body of a request over HTTP: a prompt whose every character may be escaped, and two files in base64.
    pub const HTTP_BODY_BYTES_MAX: usize =
        2 * Self::PROMPT_MESSAGE_BYTES_MAX + 2 * limits::INLINE_BYTES.max.div_ceil(3) * 4;
    /// Bytes of the decoded images of all jobs that have not ended.
    pub const HELD_IMAGE_BYTES_MAX: usize = 512 << 20;
    /// Bytes of any message from the server: as many as clients take by default.
    pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
    /// Bytes of the contents of a message from the server, such as a job or samples; what surrounds them is small.
    pub const CONTENT_BYTES_MAX: usize = 7 * 512 * 1024;
    /// Bytes of the findings about a prompt in one message.
    pub const FINDINGS_BYTES_MAX: usize = 1024 * 1024;
    /// Bytes of one piece of a picture: what a stream without a reader holds.
    pub const CHUNK_BYTES_MAX: usize = 256 * 1024;
    /// Bytes of a client's name.
    pub const CLIENT_ID_BYTES_MAX: usize = 128;
    /// Least time between two samples of the device.
    pub const STATS_INTERVAL_MIN: Duration = Duration::from_millis(100);
    /// Time between two samples of the device unless a request says otherwise.
    pub const STATS_INTERVAL_DEFAULT: Duration = Duration::from_millis(500);
}

impl Default for Limits {
    fn default() -> Self {
        defaults()
    }
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::Sampling;

    use super::*;

    /// The texts that state ranges to users, those of their fields that must, and whether every number of `Sampling`
    /// must.
    const TEXTS: [(&str, &str, &[&str], bool); 6] = [
        (
            "image_input.proto",
            include_str!("../../proto/sakuga/generation/v1/image_input.proto"),
            &["strength", "feather", "padding", "factor", "steps"],
            false,
        ),
        ("request.proto", include_str!("../../proto/sakuga/generation/v1/request.proto"), &["steps", "max_edge"], true),
        ("arguments.rs", include_str!("../../client/src/cli/generate/arguments.rs"), &["max_edge"], false),
        ("request.py", include_str!("../../client/python/src/sakuga/request.py"), &[], true),
        (
            "images.py",
            include_str!("../../client/python/src/sakuga/images.py"),
            &["strength", "feather", "padding"],
            false,
        ),
        ("scenes.py", include_str!("../../client/python/src/sakuga/scenes.py"), &["strength", "feather"], false),
    ];

    /// Whether a line declares the field, as protobuf, Rust or Python write it.
    fn declares(line: &str, field: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_name =
            |word: &str| word == field || word.strip_suffix(field).is_some_and(|before| before.ends_with('_'));
        let before_sign = words.windows(2).any(|pair| pair[1] == "=" && is_name(pair[0]));
        before_sign || words.iter().any(|word| word.strip_suffix(':').is_some_and(is_name))
    }

    /// The documentation of the field: the comment before it, or the docstring after it.
    fn documentation(text: &str, field: &str) -> String {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let declared = lines.iter().enumerate().filter(|(_, line)| declares(line, field));
        let mut found = String::new();
        for (at, _) in declared {
            let is_comment = |line: &&&str| line.starts_with("//") || line.starts_with("#[");
            found.extend(lines[..at].iter().rev().take_while(is_comment).map(|line| format!("{line} ")));
            found.extend(lines.get(at + 1).filter(|line| line.starts_with("\"\"\"")).map(|line| format!("{line} ")));
        }
        found
    }

    /// Every range of a text that is written as `1 to 200`.
    fn ranges(text: &str) -> Vec<String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |word: &str| word.trim_matches([',', '.', ':', ';', '"']).parse::<f64>().ok();
        let range = |three: &[&str]| match (number(three[0]), three[1], number(three[2])) {
            (Some(min), "to", Some(max)) => Some(format!("{min} to {max}")),
            _ => None,
        };
        words.windows(3).filter_map(range).collect()
    }

    #[test]
    fn stated_ranges_are_those_that_are_checked() {
        for (file, text, must_state, states_sampling) in TEXTS {
            let mut stated = Vec::new();
            for (field, allowed) in limits::all() {
                let name = field.rsplit('.').next().expect("a name");
                for range in ranges(&documentation(text, name)) {
                    assert_eq!(range, allowed, "{file}: {name}");
                    stated.push(name);
                }
            }
            let sampling = Sampling::NUMBERS.iter().filter(|_| states_sampling).map(|number| number.name());
            for field in must_state.iter().copied().chain(sampling) {
                assert!(stated.contains(&field), "{file} does not state the range of {field}: {stated:?}");
            }
        }
    }

    #[test]
    fn help_texts_clients_and_the_language_repeat_the_same_limits() {
        let client = include_str!("../../client/src/import/settings.rs");
        let steps = format!("const STEPS: RangeInclusive<u32> = {:?};", limits::STEPS.min..=limits::STEPS.max);
        let guidance = Sampling::NUMBERS.iter().find(|number| number.name() == "guidance_scale").expect("it is listed");
        let (min, max) = (guidance.limit.min, guidance.limit.max);
        let guidance = format!("const GUIDANCE_SCALE: RangeInclusive<f64> = {:?};", min..=max);
        for constant in [steps, guidance] {
            assert!(client.contains(&constant), "{constant}");
        }
        let second_pass = include_str!("../../client/src/import/second_pass.rs");
        let factor = format!("const FACTOR_MAX: f64 = {:?};", f64::from(limits::FACTOR.max));
        assert!(second_pass.contains(&factor), "{factor}");
        let own = include_str!("limits.rs");
        for help in [
            format!("/// Images that one request may ask for, {}.", limits::IMAGES),
            format!("/// Steps that one request may ask for, {}.", limits::STEPS),
            format!("/// Bytes that the text of a prompt may have, at most {}.", limits::PROMPT_BYTES.max),
        ] {
            assert!(own.contains(&help), "{help}");
        }
        let inline = limits::INLINE_BYTES.max >> 20;
        for (text, constant) in [
            (
                include_str!("../../client/src/cli/generate/images.rs"),
                format!("const INLINE_BYTES_MAX: u64 = {inline} << 20;"),
            ),
            (
                include_str!("../../client/python/src/sakuga/images.py"),
                format!("_INLINE_BYTES_MAX: Final = {inline} << 20"),
            ),
            (
                include_str!("../../client/src/cli/generate/arguments.rs"),
                format!("(u32).range({}..={})", limits::PREVIEW_EDGE_PX.min, limits::PREVIEW_EDGE_PX.max),
            ),
        ] {
            assert!(text.contains(&constant), "{constant}");
        }
        assert_eq!(sakuga_schema::Limits::DEFAULT.max_bytes, limits::PROMPT_BYTES.max);
    }

    /// The range that the server checks for a field, as the studio writes it.
    fn checked(field: &str) -> Option<String> {
        let range = |min: f64, max: f64| Some(format!("{{ min: {min}, max: {max} }}"));
        // As text first, so that 0.1 does not become the f32 next to it.
        let number = |value: f32| value.to_string().parse::<f64>().expect("a number");
        for limit in [limits::ADAPTERS, limits::CONTROLS, limits::INLINE_BYTES] {
            if limit.field == field {
                return range(limit.min as f64, limit.max as f64);
            }
        }
        for limit in [limits::STEPS, limits::IMAGES, limits::FEATHER_PX] {
            if limit.field == field {
                return range(limit.min.into(), limit.max.into());
            }
        }
        let others = [
            limits::ADAPTER_SCALE,
            limits::CONTROL_SCALE,
            limits::CONTROL_START,
            limits::CONTROL_END,
            limits::STRENGTH,
            limits::FACTOR,
            limits::SECOND_STRENGTH,
            limits::SWITCH_AT,
            limits::AESTHETIC_SCORE,
            limits::NEGATIVE_AESTHETIC_SCORE,
        ];
        let mut numbers = others.into_iter().chain(Sampling::NUMBERS.iter().map(|number| number.limit));
        let limit = numbers.find(|limit| limit.field == field)?;
        range(number(limit.min), number(limit.max))
    }

    #[test]
    fn the_forms_of_the_studio_have_the_limits_of_the_server() {
        let text = include_str!("../../client/studio/src/prompt/limits.ts");
        let mut fields = Vec::new();
        for line in text.lines() {
            let Some((field, range)) = line.trim().split_once("\": ") else { continue };
            let field = field.trim_start_matches('"');
            assert_eq!(Some(range.trim_end_matches(',').to_owned()), checked(field), "{field}");
            fields.push(field);
        }
        for number in Sampling::NUMBERS {
            assert!(fields.contains(&number.limit.field), "the studio has no range of {}", number.limit.field);
        }
        assert!(fields.len() > 20, "{fields:?}");
    }

    #[test]
    fn no_form_of_the_studio_has_a_number_of_its_own_as_bound() {
        let views = concat!(env!("CARGO_MANIFEST_DIR"), "/../client/studio/src/view");
        for file in std::fs::read_dir(views).expect("it is in this repository") {
            let path = file.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a text");
            // Bounds as text, such as `max="50"`, are those of sliders for what is only shown.
            for (at, _) in text.match_indices("max={") {
                let is_number = text[at + "max={".len()..].starts_with(|first: char| first.is_ascii_digit());
                assert!(!is_number, "{}: take the bound from prompt/limits.ts", path.display());
            }
        }
    }

    #[test]
    fn a_range_is_read_where_it_is_stated() {
        let proto =
            "  // Scale, 1 to 30. Absent: 5.\n  optional float guidance_scale = 3;\n  // 2 to 3\n  float x = 1;";
        assert_eq!(ranges(&documentation(proto, "guidance_scale")), ["1 to 30"]);
        let python = "    shift: float\n    \"\"\"Time shift, 0.1 to 20.\"\"\"\n";
        assert_eq!(ranges(&documentation(python, "shift")), ["0.1 to 20"]);
        let rust = "/// The edge, 16 to 2048 [default: 512]\n#[arg(long)]\npub preview_max_edge: Option<u32>,";
        assert_eq!(ranges(&documentation(rust, "max_edge")), ["16 to 2048"]);
    }

    #[test]
    fn the_default_limits_are_within_those_of_every_server() {
        let default = Limits::default();
        assert!(limits::STEPS.contains(default.steps_max) && limits::IMAGES.contains(default.images_max));
        assert!(limits::PROMPT_BYTES.contains(default.prompt_bytes_max));
    }
}
