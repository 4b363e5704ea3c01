//! From a checked prompt to a picture, and from a picture to the same picture.

use std::time::Duration;

use sakuga_client::picture;
use sakuga_proto::generation::v1::PreviewMethod;
use sakuga_schema::CheckOptions;
use sakuga_tests::job::follow;
use sakuga_tests::server::{TestServer, scripted_config};
use sakuga_tests::{order, read};

#[tokio::test]
async fn a_prompt_becomes_a_picture() {
    let text = read("schema/examples/two_girls.xml");
    let checked = sakuga_schema::check(&text, &CheckOptions::default());
    assert!(checked.is_valid(), "{:?}", checked.diagnostics);
    let prompt = checked.prompt.expect("a valid prompt");

    let server = TestServer::scripted().await;
    let request = server.client().await.generation().prompt(&prompt).size(64, 32).steps(5).seed(7).images(2);
    let run = follow(request.preview(PreviewMethod::Linear).request_id("two girls")).await.unwrap();
    order::check(&run.events).unwrap();
    let pictures = &run.completed().pictures;
    assert_eq!(pictures.len(), 2);
    assert_ne!(pictures[0].pixels_sha256, pictures[1].pixels_sha256, "each picture has its own noise");
    for (index, one) in pictures.iter().enumerate() {
        assert_eq!((one.width, one.height), (64, 32));
        // The file is decoded here, by the client's own reader, and is what the server said it is.
        assert_eq!(picture::pixels_sha256(&one.bytes).unwrap(), one.pixels_sha256);
        let record = picture::read_record(&one.bytes).unwrap();
        assert_eq!((record.width, record.height), (64, 32));
        assert_eq!(Some(&record.metadata), one.metadata.as_ref());
        assert_eq!(record.metadata.image_index as usize, index);
        assert_eq!(record.metadata.model_text, prompt.to_model_text());
        let request = record.metadata.request.expect("the record has the request");
        assert_eq!((request.seed, request.images), (Some(7), 2));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_picture_draws_itself_again() {
    let server = TestServer::scripted().await;
    let client = server.client().await;
    // Without a seed: the server draws one, and the record has it.
    let request = client.generation().xml(read("schema/examples/girl_and_boy.xml")).size(48, 64).images(2);
    let first = follow(request.steps(3).guidance_scale(3.5).negative_text("lowres, text")).await.unwrap();
    let second = &first.completed().pictures[1];

    let record = picture::read_record(&second.bytes).unwrap().metadata;
    let resolved = record.request.expect("the record has the request");
    let again = follow(client.generation().request(resolved.clone())).await.unwrap();
    let same = &again.completed().pictures[1];
    assert_eq!(same.pixels_sha256, second.pixels_sha256);
    let metadata = same.metadata.as_ref().expect("the picture has its record");
    assert_eq!(metadata.seed, record.seed);
    assert_eq!(metadata.model_text, record.model_text);
    let mut repeated = metadata.request.clone().expect("the record has the request");
    repeated.request_id = resolved.request_id.clone();
    assert_eq!(repeated, resolved, "a resolved request resolves to itself");

    let alone = follow(client.generation().request(resolved.clone()).image_indices([1])).await.unwrap();
    let [alone] = &alone.completed().pictures[..] else { panic!("one picture") };
    assert_eq!((alone.image_index, &alone.bytes), (1, &same.bytes), "the same file");

    let other = follow(client.generation().request(resolved).seed(record.seed.wrapping_add(9))).await.unwrap();
    assert_ne!(other.completed().pictures[1].pixels_sha256, second.pixels_sha256, "the seed matters");
    server.stop().await;
}

#[tokio::test]
async fn an_image_does_not_depend_on_its_batch() {
    let server = TestServer::scripted().await;
    let client = server.client().await;
    let request = || client.generation().xml("1girl, solo").steps(2).size(32, 32).seed(5);
    let alone = follow(request()).await.unwrap();
    let batch = follow(request().images(3)).await.unwrap();
    assert_eq!(alone.completed().pictures[0].pixels_sha256, batch.completed().pictures[0].pixels_sha256);
    server.stop().await;
}

#[tokio::test]
async fn every_kind_of_event_comes_in_the_documented_order() {
    let server = TestServer::start(scripted_config(60)).await;
    let client = server.client().await;
    let request = || {
        let mut request = client.generation().xml("1girl, solo").steps(6).preview(PreviewMethod::Decoder).profile(true);
        let mut full = request.as_request().clone();
        full.gpu_stats_interval_ms = 100;
        request = request.request(full);
        request
    };
    // The second waits for the first.
    let (first, second) = tokio::join!(follow(request()), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        follow(request()).await
    });
    let (first, second) = (first.unwrap(), second.unwrap());
    let once = ["accepted", "completed", "gpu_stats", "image_chunk", "preview", "profile", "stage", "started", "step"];
    for run in [&first, &second] {
        order::check(&run.events).unwrap();
        assert_eq!(run.completed().pictures.len(), 1);
        let kinds = run.kinds();
        assert_eq!(kinds.iter().copied().filter(|kind| *kind != "queued").collect::<Vec<_>>(), once);
    }
    assert!(second.kinds().contains("queued"));
    server.stop().await;
}
