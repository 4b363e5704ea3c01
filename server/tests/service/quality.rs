//! The quality of a request: what is resolved, reported and recorded, and what is refused.

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{
    EvaluationReuse, GenerateEvent, GenerateRequest, Quality, ReuseByChange, ReuseInSteps, Sampling, Started,
    StepCache, step_cache::Rule,
};
use sakuga_proto::json::{self, UnknownFields};

use crate::bad_requests::violations;
use crate::support::{Server, expect_event, files, quick, request, run, scripted};

fn asked(steps: u32, quality: Quality, step_cache: Option<StepCache>) -> GenerateRequest {
    let sampling = Sampling { steps, quality: quality.into(), step_cache, ..Sampling::default() };
    GenerateRequest { sampling: Some(sampling), images: 2, seed: Some(7), ..request(steps) }
}

fn in_steps(steps: &[u32]) -> StepCache {
    let rule = Some(Rule::InSteps(ReuseInSteps { steps: steps.to_vec() }));
    StepCache { front_blocks: 1, back_blocks: 2, rule, taylor_order: 1 }
}

fn started(events: &[GenerateEvent]) -> &Started {
    expect_event!(events.iter().find(|event| matches!(event.event, Some(Event::Started(_)))).unwrap(), Started)
}

/// The text chunk about reuse of a file.
fn reuse_of(file: &[u8]) -> Option<EvaluationReuse> {
    let reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a PNG file");
    let chunk = reader.info().utf8_text.iter().find(|chunk| chunk.keyword == "sakuga-reuse")?;
    Some(json::from_str(&chunk.get_text().expect("readable"), UnknownFields::Refuse).expect("protobuf JSON"))
}

#[tokio::test]
async fn what_was_reused_is_in_the_events_and_in_the_file() {
    let server = Server::start(scripted(quick())).await;
    let events = run(&server, asked(6, Quality::Unspecified, Some(in_steps(&[3, 4, 6])))).await;
    let sampling = started(&events).resolved.as_ref().and_then(|resolved| resolved.sampling.clone()).expect("sampling");
    assert_eq!((sampling.quality(), sampling.step_cache), (Quality::Custom, Some(in_steps(&[3, 4, 6]))));
    assert_eq!(started(&events).quality, None);
    let shares: Vec<f32> = events
        .iter()
        .filter_map(|event| match &event.event {
            Some(Event::Step(step)) => Some(step.reused_share),
            _ => None,
        })
        .collect();
    assert_eq!(shares, [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]);
    let reuse = EvaluationReuse { evaluations: 6, conditional: vec![3, 4, 6], unconditional: vec![3, 4, 6] };
    let completed = expect_event!(events.last().unwrap(), Completed);
    for (info, file) in completed.images.iter().zip(files(&events)) {
        assert_eq!((info.reuse.as_ref(), reuse_of(&file)), (Some(&reuse), Some(reuse.clone())));
    }
    server.stop().await;
}

#[tokio::test]
async fn an_exact_picture_says_nothing_of_reuse() {
    let server = Server::start(scripted(quick())).await;
    let [plain, exact] = [Quality::Unspecified, Quality::Exact].map(|quality| asked(3, quality, None));
    let (plain, exact) = (run(&server, plain).await, run(&server, exact).await);
    assert_eq!(files(&plain), files(&exact));
    assert!(files(&plain).iter().all(|file| reuse_of(file).is_none()));
    let completed = expect_event!(plain.last().unwrap(), Completed);
    assert!(completed.images.iter().all(|info| info.reuse.is_none()));
    server.stop().await;
}

#[tokio::test]
async fn a_level_is_resolved_to_settings_that_draw_the_same_file_again() {
    let server = Server::start(scripted(quick())).await;
    for quality in [Quality::High, Quality::Fast] {
        let first = run(&server, asked(8, quality, None)).await;
        let started = started(&first);
        let resolved = started.resolved.clone().expect("the resolved request");
        let sampling = resolved.sampling.clone().expect("sampling");
        assert!(sampling.quality() == quality && sampling.step_cache.is_some(), "{sampling:?}");
        assert!(started.model_notice.contains("no quality profile"), "{}", started.model_notice);
        assert_eq!(files(&first), files(&run(&server, resolved).await));
    }
    server.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_one_violation_with_its_place() {
    let server = Server::start(scripted(quick())).await;
    let change =
        |threshold, warmup_steps| Some(Rule::ByChange(ReuseByChange { threshold, warmup_steps, max_consecutive: 1 }));
    let with = |rule| Some(StepCache { front_blocks: 1, back_blocks: 1, rule, taylor_order: 0 });
    let blocks = StepCache { front_blocks: 6, back_blocks: 6, ..in_steps(&[2]) };
    for (quality, step_cache, field, part) in [
        (Quality::Exact, Some(in_steps(&[2])), "sampling.step_cache", "leave one of the two out"),
        (Quality::Custom, None, "sampling.quality", "use exact, high or fast"),
        (Quality::Unspecified, with(None), "sampling.step_cache.rule", "give `by_change` or `in_steps`"),
        (Quality::High, with(change(1.5, 0)), "sampling.step_cache.by_change.threshold", "use 0 to 1"),
        (Quality::High, with(change(0.5, 900)), "sampling.step_cache.by_change.warmup_steps", "use 0 to 200"),
        (Quality::Unspecified, Some(in_steps(&[5])), "sampling.step_cache.in_steps.steps", "use 2 to 4"),
        (Quality::Unspecified, Some(in_steps(&[1])), "sampling.step_cache.in_steps.steps", "from 2 on"),
        (Quality::Unspecified, Some(in_steps(&[u32::MAX])), "sampling.step_cache.in_steps.steps", "use 2 to 200"),
        (Quality::Unspecified, Some(blocks), "sampling.step_cache.front_blocks", "fewer than its 12 blocks"),
    ] {
        let status = server.generation().generate(asked(4, quality, step_cache)).await.expect_err("refused");
        let found = violations(&status);
        assert_eq!(found.len(), 1, "{field}: {found:?}");
        assert!(found[field].1.contains(part), "{found:?}");
    }
    let unknown = Sampling { quality: 77, ..Sampling::default() };
    let unknown = GenerateRequest { sampling: Some(unknown), ..request(1) };
    let found = violations(&server.generation().generate(unknown).await.expect_err("refused"));
    assert_eq!((found.len(), found["sampling.quality"].0.as_str()), (1, "unknown-value"));
    server.stop().await;
}
