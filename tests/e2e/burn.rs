//! The real pipeline: tokenizers, both text encoders, the Next-DiT with guidance, and the VAE, on the CPU.

use std::collections::BTreeSet;

use sakuga_client::picture;
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{PreviewMethod, Stage};
use sakuga_tests::job::follow;
use sakuga_tests::server::TestServer;
use sakuga_tests::{order, read};

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_model_draws_the_example_and_draws_it_again() {
    let server = TestServer::burn().await;
    let client = server.client().await;
    let request = || {
        let request = client.generation().xml(read("schema/examples/two_girls.xml")).size(128, 128).steps(4).seed(11);
        // Stated, because a model's default may guide only a part of the steps.
        let request = request.guidance_scale(4.0).guidance_until(1.0).preview(PreviewMethod::Linear);
        let mut full = request.as_request().clone();
        full.gpu_stats_interval_ms = 100;
        request.request(full)
    };
    // Two at once: the second sees the queue.
    let (first, second) = tokio::join!(follow(request()), follow(request()));
    let (first, second) = (first.unwrap(), second.unwrap());
    for run in [&first, &second] {
        order::check(&run.events).unwrap();
        let picture = &run.completed().pictures[0];
        assert_eq!((picture.width, picture.height), (128, 128));
        assert_eq!(picture::pixels_sha256(&picture.bytes).unwrap(), picture.pixels_sha256);
    }
    let kinds: BTreeSet<&str> = first.kinds().union(&second.kinds()).copied().collect();
    let expected =
        ["accepted", "completed", "gpu_stats", "image_chunk", "preview", "queued", "stage", "started", "step"];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);

    let stages: Vec<Stage> = first
        .events
        .iter()
        .filter_map(|event| match &event.event {
            Some(Event::Stage(stage)) => Some(stage.stage()),
            _ => None,
        })
        .collect();
    assert_eq!(stages, [Stage::TextEncode, Stage::Denoise, Stage::Decode, Stage::EncodeImage]);
    let steps: Vec<_> = first
        .events
        .iter()
        .filter_map(|event| match &event.event {
            Some(Event::Step(step)) => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(steps.len(), 4);
    assert!(steps.windows(2).all(|pair| pair[0].t < pair[1].t && pair[0].sigma > pair[1].sigma), "{steps:?}");
    assert!((steps[3].t - 1.0).abs() < 1e-6, "the last step reaches the picture: {steps:?}");
    assert!(steps.iter().all(|step| step.step_ms > 0.0 && step.guidance_active), "{steps:?}");

    // The same seed, another job: the same picture. Then again from the request in the file.
    let file = &first.completed().pictures[0];
    assert_eq!(file.pixels_sha256, second.completed().pictures[0].pixels_sha256);
    let record = picture::read_record(&file.bytes).unwrap().metadata;
    assert_eq!(record.seed, 11);
    let again = follow(client.generation().request(record.request.expect("the record has the request"))).await.unwrap();
    assert_eq!(again.completed().pictures[0].pixels_sha256, file.pixels_sha256);
    server.stop().await;
}
