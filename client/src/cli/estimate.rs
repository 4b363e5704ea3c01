//! `sakuga estimate`: what `generate` with the same arguments would take.

use std::time::Duration;

use clap::Args;
use sakuga_client::proto::generation::v1::{Estimate, EstimatedPart, EstimatedPartKind, JobOptions, QualityPromise};
use sakuga_client::proto::json;
use sakuga_client::proto::prompt::v1::TokenCount;
use sakuga_client::proto::text::{count, one_line};
use serde_json::json;

use super::estimated_time::{duration, interval};
use super::exit::{self, Exit};
use super::failure::Failure;
use super::generate::{self, GenerateArguments};
use super::terminal::Terminal;
use super::{output, server, units};

const AFTER_HELP: &str = "\
Takes the arguments of `sakuga generate`, checks the request as the server would, and draws nothing. --out may be left out.

The times are learnt from the jobs of the model that this server has drawn on its device. Eight jobs in ten lie within the \
interval. Before the first job they are a guess.

The exit code is 3 if the server would refuse the job, with what would have to change.";

/// Estimate what a picture would take, without drawing it
#[derive(Debug, Args)]
#[command(
    after_long_help = format!("{AFTER_HELP}\n\n{}", exit::MANUAL),
    mut_arg("out", |argument| argument.required(false).default_value("estimate.png").hide(true)),
    mut_arg("json", |argument| argument.help("Print protobuf JSON (sakuga.generation.v1.Estimate)")),
)]
pub(crate) struct EstimateArguments {
    #[command(flatten)]
    generate: GenerateArguments,
}

/// Runs the command.
pub(crate) fn run(arguments: &EstimateArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let arguments = &arguments.generate;
    let request = match generate::request(arguments, terminal)? {
        Ok(request) => request,
        Err(refusal) => {
            if arguments.json {
                output::print_json(&refusal)?;
            }
            return Ok(Exit::Invalid);
        }
    };
    let estimate = server::runtime()?.block_on(async {
        let client = arguments.server.connect().await?;
        let asked = client.estimate(request, options(arguments));
        asked.await.map_err(Failure::from)
    })?;
    if arguments.json {
        let value = json::dynamic(&estimate).map_err(|error| Failure::new(Exit::Server, error))?;
        output::print_json(&json!(value))?;
    } else {
        output::print(text(&estimate))?;
    }
    Ok(if estimate.fits { Exit::Ok } else { Exit::Server })
}

/// The options of a job of these arguments.
fn options(arguments: &GenerateArguments) -> JobOptions {
    let timeout = arguments.timeout.and_then(|timeout| timeout.try_into().ok());
    let (priority, placement) = (arguments.priority().into(), arguments.placement().into());
    JobOptions { timeout, priority, placement, ..JobOptions::default() }
}

/// The estimate for people.
fn text(estimate: &Estimate) -> String {
    let mut lines = Vec::new();
    let mut fact = |name: &str, value: String| lines.push(format!("{name:<8}{value}"));
    fact("model", format!("{} on {}", one_line(&estimate.model), one_line(&estimate.device)));
    let learned = match estimate.learned_jobs {
        0 => "a guess: no job of this model was measured yet".to_owned(),
        jobs => format!("learnt from {}", count(jobs as usize, "job")),
    };
    fact("time", format!("{}, {learned}", interval(&estimate.time.unwrap_or_default())));
    let parts: Vec<String> = estimate.parts.iter().filter_map(|part| part_text(part, estimate)).collect();
    if !parts.is_empty() {
        fact("", parts.join(", "));
    }
    let tokens = |counts: &[TokenCount]| -> String {
        let each = |count: &TokenCount| format!("{} {} of {}", one_line(&count.encoder), count.tokens, count.limit);
        counts.iter().map(each).collect::<Vec<_>>().join(", ")
    };
    fact("tokens", tokens(&estimate.tokens));
    if !estimate.negative_tokens.is_empty() {
        fact("", format!("negative: {}", tokens(&estimate.negative_tokens)));
    }
    let guided = match estimate.guided_evaluations {
        0 => "none guided".to_owned(),
        guided => format!("{guided} guided"),
    };
    let evaluations = count(estimate.evaluations as usize, "evaluation");
    fact("steps", format!("{}, {evaluations}, {guided}", estimate.steps));
    let needed = units::bytes(estimate.memory_needed_bytes);
    let available = estimate.memory_available_bytes.map(|bytes| format!(" of {}", units::bytes(bytes)));
    fact("memory", format!("{needed}{}", available.unwrap_or_default()));
    if let Some(joules) = estimate.energy_joules {
        fact("energy", format!("{:.1} kJ", joules / 1e3));
    }
    if let Some(quality) = &estimate.quality {
        fact("quality", quality_text(quality));
    }
    let before = match estimate.queue_position {
        0 => "no job before it".to_owned(),
        jobs => format!("{} before it", count(jobs as usize, "job")),
    };
    let start = match estimate.eta.map(duration) {
        Some(eta) if eta.is_zero() => String::new(),
        Some(eta) => format!(", starts in {}", units::duration(eta)),
        None => ", start not known".to_owned(),
    };
    fact("queue", format!("{before}{start}"));
    for obstacle in &estimate.obstacles {
        fact("refused", one_line(&obstacle.description));
        for change in &obstacle.changes {
            fact("", format!("to fit: {}", one_line(&change.description)));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What the profile of the model promises.
fn quality_text(promise: &QualityPromise) -> String {
    let QualityPromise { conditions, psnr_db, min_psnr_db, computed_share, .. } = promise;
    let computed = computed_share * 100.0;
    format!(
        "PSNR {psnr_db:.1} dB against exact pictures, none below {min_psnr_db:.1} dB, {computed:.0} % of the blocks computed ({})",
        one_line(conditions)
    )
}

/// A part of the time, without those that take none.
fn part_text(part: &EstimatedPart, estimate: &Estimate) -> Option<String> {
    let time = part.time.map(duration).filter(|time| *time >= Duration::from_millis(1))?;
    let name = match part.kind() {
        EstimatedPartKind::LoadModel => "load",
        EstimatedPartKind::LoadAdapters => "adapters",
        EstimatedPartKind::TextEncode => "text",
        EstimatedPartKind::VaeEncode => "encode",
        EstimatedPartKind::Denoise => "denoise",
        EstimatedPartKind::PreviewLinear | EstimatedPartKind::PreviewDecoder => "previews",
        EstimatedPartKind::Decode => "decode",
        EstimatedPartKind::EncodeImage => "PNG",
        EstimatedPartKind::Other | EstimatedPartKind::Unspecified => "other",
    };
    let pass = match part.pass_number {
        2.. => format!(" in pass {}", part.pass_number),
        _ => String::new(),
    };
    let guess = if part.measurements == 0 && estimate.learned_jobs > 0 { " (a guess)" } else { "" };
    Some(format!("{name}{pass} {}{guess}", units::duration(time)))
}

#[cfg(test)]
mod tests {
    use sakuga_client::proto::generation::v1::{EstimatedTime, Obstacle, RequestChange};

    use super::*;

    #[test]
    fn an_estimate_is_shown_with_what_would_have_to_change() {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let change = RequestChange { description: "ask for 2 instead of 8 images".into(), ..RequestChange::default() };
        let estimate = Estimate {
            model: "a".into(),
            device: "cpu".into(),
            learned_jobs: 20,
            time: Some(EstimatedTime { expected: seconds(12), low: seconds(11), high: seconds(14) }),
            parts: vec![
                EstimatedPart {
                    kind: EstimatedPartKind::Denoise.into(),
                    pass_number: 2,
                    time: seconds(11),
                    measurements: 3,
                },
                EstimatedPart {
                    kind: EstimatedPartKind::LoadModel.into(),
                    pass_number: 1,
                    time: seconds(1),
                    measurements: 0,
                },
                EstimatedPart::default(),
            ],
            tokens: vec![TokenCount { encoder: "main".into(), tokens: 7, limit: 77, ..TokenCount::default() }],
            steps: 28,
            evaluations: 56,
            memory_needed_bytes: 2048,
            memory_available_bytes: Some(1024),
            energy_joules: Some(3400.0),
            quality: Some(QualityPromise {
                conditions: "120 prompts".into(),
                psnr_db: 34.0,
                min_psnr_db: 28.5,
                computed_share: 0.62,
                ..QualityPromise::default()
            }),
            queue_position: 1,
            eta: seconds(34),
            obstacles: vec![Obstacle { description: "too large".into(), changes: vec![change], ..Obstacle::default() }],
            ..Estimate::default()
        };
        assert_eq!(
            text(&estimate),
            "model   a on cpu\n\
             time    12 s (11 s to 14 s), learnt from 20 jobs\n        \
             denoise in pass 2 11 s, load 1.0 s (a guess)\n\
             tokens  main 7 of 77\n\
             steps   28, 56 evaluations, none guided\n\
             memory  2.0 KiB of 1.0 KiB\n\
             energy  3.4 kJ\n\
             quality PSNR 34.0 dB against exact pictures, none below 28.5 dB, 62 % of the blocks computed (120 prompts)\n\
             queue   1 job before it, starts in 34 s\n\
             refused too large\n        \
             to fit: ask for 2 instead of 8 images\n"
        );
        assert!(text(&Estimate::default()).contains("a guess: no job of this model"));
    }
}
