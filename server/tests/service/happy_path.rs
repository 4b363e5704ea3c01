//! A request becomes pictures, and its events come in the documented order.

use std::collections::BTreeSet;

use sakuga_proto::digest::sha256_hex;
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::generate_request::Prompt;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{GenerateRequest, GetArtifactRequest, ImageInfo, ImageMetadata, Stage};
use sakuga_proto::json::{self, UnknownFields};
use tonic::Code;

use crate::support::{Server, expect_event, files, names, quick, request, run, scripted};

#[tokio::test]
async fn events_come_in_order_and_end_with_completed() {
    let server = Server::start(scripted(quick())).await;
    let events = run(&server, request(3)).await;
    let state: Vec<_> = names(&events).into_iter().filter(|name| *name != "gpu_stats").collect();
    assert_eq!(
        state,
        ["accepted", "started", "stage", "stage", "step", "step", "step", "stage", "stage", "image_chunk", "completed"]
    );
    let stages = events.iter().filter_map(|event| match &event.event {
        Some(Event::Stage(begun)) => Some(begun.stage()),
        _ => None,
    });
    assert!(stages.eq([Stage::TextEncode, Stage::Denoise, Stage::Decode, Stage::EncodeImage]));
    assert!(events.iter().map(|event| event.sequence).is_sorted_by(|one, next| one < next));
    assert!(events.iter().all(|event| event.job_id == events[0].job_id && event.time.is_some()));
    let last_step =
        expect_event!(events.iter().rfind(|event| matches!(event.event, Some(Event::Step(_)))).unwrap(), Step);
    assert_eq!((last_step.index, last_step.total, last_step.t, last_step.sigma), (3, 3, 1.0, 0.0));
    assert_eq!(last_step.evaluations, 3);
    server.stop().await;
}

#[tokio::test]
async fn the_file_is_what_completed_says_and_knows_how_it_was_made() {
    let server = Server::start(scripted(quick())).await;
    let events = run(&server, GenerateRequest { images: 2, seed: Some(7), ..request(2) }).await;
    let completed = expect_event!(events.last().unwrap(), Completed);
    let files = files(&events);
    assert_eq!((files.len(), completed.images.len()), (2, 2));
    for (index, (file, info)) in files.iter().zip(&completed.images).enumerate() {
        assert_eq!((info.sha256.clone(), info.size), (sha256_hex(file), file.len() as u64));
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a PNG file");
        let text = &reader.info().utf8_text;
        let chunk = text.iter().find(|chunk| chunk.keyword == "sakuga").expect("the metadata's chunk");
        let json = chunk.get_text().expect("readable");
        let found: ImageMetadata = json::from_str(&json, UnknownFields::Refuse).expect("protobuf JSON");
        assert_eq!(Some(&found), info.metadata.as_ref());
        assert_eq!((found.image_index as usize, found.seed, found.version), (index, 7, 1));
        assert!(found.model_text.contains("A girl looks at the sea."), "{}", found.model_text);
        let description = text.iter().find(|chunk| chunk.keyword == "Description").expect("a description");
        assert!(description.get_text().expect("readable").contains("seed 7"));
        let parameters = text.iter().find(|chunk| chunk.keyword == "parameters").expect("the text for galleries");
        let parameters = parameters.get_text().expect("readable");
        assert!(
            parameters.contains("\nSteps: 2, Sampler: Euler, CFG scale: 5, Seed: 7, Size: 64x64, Model: "),
            "{parameters}"
        );
        let mut pixels = vec![0; reader.output_buffer_size().expect("a small picture")];
        reader.next_frame(&mut pixels).expect("PNG data");
        assert_eq!(info.pixels_sha256, sha256_hex(&pixels));
    }
    assert_ne!(completed.images[0].pixels_sha256, completed.images[1].pixels_sha256);
    let timings = completed.timings.as_ref().expect("timings");
    assert!(timings.total.is_some() && timings.denoise.is_some());
    server.stop().await;
}

#[tokio::test]
async fn the_resolved_request_sent_again_makes_the_same_file() {
    let server = Server::start(scripted(quick())).await;
    let first = run(&server, request(2)).await;
    let started =
        expect_event!(first.iter().find(|event| matches!(event.event, Some(Event::Started(_)))).unwrap(), Started);
    let resolved = started.resolved.clone().expect("the resolved request");
    let sampling = resolved.sampling.clone().expect("sampling");
    assert_eq!((sampling.guidance_scale, sampling.guidance_until, sampling.shift), (Some(5.0), Some(1.0), Some(6.0)));
    assert_eq!(sampling.guidance_renorm, Some(0.0));
    assert_eq!((resolved.width, resolved.height, resolved.images), (64, 64, 1));
    assert!(matches!(resolved.prompt, Some(Prompt::Typed(_))));
    assert_eq!(resolved.system_prompt.as_deref(), Some("You draw gradients. "));
    assert_eq!(started.seeds, [resolved.seed.expect("a seed was drawn")]);
    assert!(started.model_notice.contains("scripted"));
    let second = run(&server, resolved).await;
    assert_eq!(files(&first), files(&second));
    server.stop().await;
}

#[tokio::test]
async fn a_picture_of_a_batch_drawn_alone_has_the_same_file() {
    let server = Server::start(scripted(quick())).await;
    let batch = || GenerateRequest { images: 4, seed: Some(7), ..request(2) };
    let whole = files(&run(&server, batch()).await);
    // In any order; they come in ascending order.
    let some = GenerateRequest { image_indices: vec![3, 1], request_id: "some".into(), ..batch() };
    let events = run(&server, some.clone()).await;
    let completed = expect_event!(events.last().unwrap(), Completed);
    assert_eq!(files(&events), [whole[1].clone(), whole[3].clone()]);
    let index = |info: &ImageInfo| info.metadata.as_ref().map(|metadata| metadata.image_index);
    assert_eq!(completed.images.iter().map(index).collect::<Vec<_>>(), [Some(1), Some(3)]);
    let chunks: BTreeSet<u32> = events
        .iter()
        .filter_map(|event| match &event.event {
            Some(Event::ImageChunk(chunk)) => Some(chunk.image_index),
            _ => None,
        })
        .collect();
    assert_eq!(chunks, [1, 3].into());
    let started = events.iter().find(|event| matches!(event.event, Some(Event::Started(_)))).unwrap();
    let started = expect_event!(started, Started);
    assert_eq!(started.seeds, [7, 7]);
    let resolved = started.resolved.clone().expect("the resolved request");
    assert_eq!((resolved.images, &resolved.image_indices), (4, &vec![1, 3]));
    let again = run(&server, GenerateRequest { request_id: String::new(), ..resolved }).await;
    assert_eq!(files(&again), files(&events));
    // Artifacts have the indices of the batch.
    let mut jobs = JobServiceClient::new(server.channel.clone());
    let job_id = events[0].job_id.clone();
    for (image_index, expected) in [(0, None), (1, Some(&whole[1])), (2, None), (3, Some(&whole[3])), (4, None)] {
        let call = GetArtifactRequest { job_id: job_id.clone(), image_index, ..GetArtifactRequest::default() };
        let answer = jobs.get_artifact(call).await;
        let Some(expected) = expected else {
            assert_eq!(answer.expect_err("it was not drawn").code(), Code::NotFound, "{image_index}");
            continue;
        };
        let mut pieces = answer.expect("it was drawn").into_inner();
        let mut file = Vec::new();
        while let Some(piece) = pieces.message().await.expect("the stream does not break") {
            file.extend_from_slice(&piece.chunk.expect("a piece").data);
        }
        assert!(&file == expected, "{image_index}");
    }
    server.stop().await;
}

#[tokio::test]
async fn large_pictures_come_in_pieces() {
    let server = Server::start(scripted(quick())).await;
    let events = run(&server, GenerateRequest { width: 1024, height: 1024, ..request(1) }).await;
    let total = files(&events)[0].len();
    let pieces = names(&events).into_iter().filter(|name| *name == "image_chunk").count();
    assert_eq!(pieces, total.div_ceil(256 * 1024));
    server.stop().await;
}

#[tokio::test]
async fn the_caller_s_name_comes_back_and_an_absent_one_is_made() {
    let server = Server::start(scripted(quick())).await;
    let events = run(&server, GenerateRequest { request_id: "mine".into(), ..request(1) }).await;
    assert_eq!(expect_event!(events[0], Accepted).request_id, "mine");
    let events = run(&server, request(1)).await;
    assert!(!expect_event!(events[0], Accepted).request_id.is_empty());
    server.stop().await;
}
