//! Estimates of requests.

use std::time::{Duration, SystemTime};

use sakuga_model_core::PreviewMethod;
use sakuga_proto::generation::v1::{self as generation, EstimatedPartKind};

use super::{diagnostics, duration, saturate, timestamp, token_count};
use crate::estimate::{Change, Obstacle, ObstacleKind, Part, PartTime, Report};
use crate::wire::step_cache;

/// The message of an estimate. `start_time` is `now` plus the time until the start.
pub(crate) fn estimate(report: Report, now: SystemTime) -> generation::Estimate {
    let loads = report.loads.iter().map(|(pass, load)| generation::EstimatedPart {
        kind: EstimatedPartKind::LoadModel.into(),
        pass_number: *pass,
        time: seconds(load.seconds),
        measurements: load.is_measured.into(),
    });
    let tokens = report.tokens.map(|counts| counts.iter().map(token_count).collect());
    let [prompt_tokens, negative_tokens] = tokens;
    let [evaluations, guided_evaluations] = report.evaluations;
    generation::Estimate {
        model: report.model,
        device: report.device,
        learned_jobs: report.learned_jobs,
        time: Some(generation::EstimatedTime {
            expected: seconds(report.time.expected),
            low: seconds(report.time.low),
            high: seconds(report.time.high),
        }),
        parts: loads.chain(report.parts.iter().map(part_time)).collect(),
        tokens: prompt_tokens,
        negative_tokens,
        steps: report.steps,
        evaluations,
        guided_evaluations,
        memory_needed_bytes: report.memory_needed,
        memory_available_bytes: report.memory_available,
        energy_joules: report.joules,
        queue_position: saturate(report.position),
        eta: report.eta.and_then(duration),
        start_time: report.eta.and_then(|eta| now.checked_add(eta)).map(timestamp),
        fits: report.obstacles.is_empty(),
        obstacles: report.obstacles.into_iter().map(obstacle).collect(),
        diagnostics: diagnostics(&report.diagnostics),
        quality: report.quality.and_then(|(quality, profile)| step_cache::level_promise(&profile, quality)),
    }
}

fn seconds(seconds: f64) -> Option<prost_types::Duration> {
    Duration::try_from_secs_f64(seconds).ok().and_then(duration)
}

fn part_time(time: &PartTime) -> generation::EstimatedPart {
    generation::EstimatedPart {
        kind: part_kind(time.part).into(),
        pass_number: time.pass,
        time: seconds(time.seconds),
        measurements: saturate(time.measurements),
    }
}

/// A part of a job.
pub(crate) fn part_kind(part: Part) -> EstimatedPartKind {
    match part {
        Part::LoadAdapters => EstimatedPartKind::LoadAdapters,
        Part::TextEncode => EstimatedPartKind::TextEncode,
        Part::VaeEncode => EstimatedPartKind::VaeEncode,
        Part::Denoise => EstimatedPartKind::Denoise,
        Part::Preview(PreviewMethod::Linear) => EstimatedPartKind::PreviewLinear,
        Part::Preview(PreviewMethod::Decoder) => EstimatedPartKind::PreviewDecoder,
        Part::Decode => EstimatedPartKind::Decode,
        Part::EncodeImage => EstimatedPartKind::EncodeImage,
        Part::Other => EstimatedPartKind::Other,
    }
}

/// The part of this kind that is measured, if it is one.
pub(crate) fn part(kind: EstimatedPartKind) -> Option<Part> {
    Part::ALL.into_iter().find(|part| part_kind(*part) == kind)
}

fn obstacle(obstacle: Obstacle) -> generation::Obstacle {
    let kind = match obstacle.kind {
        ObstacleKind::Memory => generation::ObstacleKind::Memory,
        ObstacleKind::Deadline => generation::ObstacleKind::Deadline,
        ObstacleKind::Queue => generation::ObstacleKind::Queue,
        ObstacleKind::ClientJobs => generation::ObstacleKind::ClientJobs,
    };
    generation::Obstacle {
        kind: kind.into(),
        description: obstacle.description,
        changes: obstacle.changes.into_iter().map(change).collect(),
    }
}

fn change(change: Change) -> generation::RequestChange {
    let field = |(field, value): (&str, String)| generation::FieldValue { field: field.to_owned(), value };
    generation::RequestChange {
        fields: change.fields.into_iter().map(field).collect(),
        description: change.description,
    }
}
