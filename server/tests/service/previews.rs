//! Previews: for every picture of the batch, at the asked size, in the asked format, at the asked rate.

use std::collections::BTreeSet;

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{
    GenerateEvent, GenerateRequest, ImageFormat, Preview, PreviewMethod, PreviewOptions,
};

use crate::support::{Server, request, run, scripted, steps_of_ms};

fn previews(events: &[GenerateEvent]) -> Vec<&Preview> {
    events
        .iter()
        .filter_map(|event| match &event.event {
            Some(Event::Preview(preview)) => Some(preview),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn every_picture_of_the_batch_is_shown() {
    // Previews that are not ready when the next ones come are left out: the steps leave a busy machine time for six.
    let server = Server::start(scripted(steps_of_ms(200))).await;
    for (method, format, magic, edge) in [
        (PreviewMethod::Linear, ImageFormat::Unspecified, &b"\xff\xd8\xff"[..], 16),
        (PreviewMethod::Decoder, ImageFormat::Png, b"\x89PNG", 100),
        (PreviewMethod::Decoder, ImageFormat::Webp, b"RIFF", 100),
    ] {
        let events = run(
            &server,
            GenerateRequest {
                images: 3,
                width: 128,
                height: 64,
                preview: Some(PreviewOptions {
                    method: method.into(),
                    format: format.into(),
                    max_edge: 100,
                    every_steps: 2,
                    min_interval_ms: 0,
                }),
                ..request(4)
            },
        )
        .await;
        let shown = previews(&events);
        let which: BTreeSet<(u32, u32)> = shown.iter().map(|preview| (preview.step, preview.image_index)).collect();
        assert_eq!(which, [(2, 0), (2, 1), (2, 2), (4, 0), (4, 1), (4, 2)].into(), "{method:?}");
        for preview in shown {
            assert_eq!((preview.width, preview.height), (edge, edge / 2));
            assert_eq!(preview.method(), method);
            assert_ne!(preview.format(), ImageFormat::Unspecified);
            assert!(preview.data.starts_with(magic), "{format:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn only_pictures_that_are_drawn_are_shown() {
    let server = Server::start(scripted(steps_of_ms(40))).await;
    let preview = PreviewOptions { method: PreviewMethod::Linear.into(), ..PreviewOptions::default() };
    let preview = Some(PreviewOptions { min_interval_ms: 60_000, ..preview });
    let events = run(&server, GenerateRequest { images: 4, image_indices: vec![2], preview, ..request(3) }).await;
    let which: Vec<(u32, u32)> = previews(&events).iter().map(|preview| (preview.step, preview.image_index)).collect();
    assert_eq!(which, [(1, 2)], "the interval counts from the picture that is shown");
    server.stop().await;
}

#[tokio::test]
async fn none_are_sent_unasked_and_the_interval_holds() {
    let server = Server::start(scripted(steps_of_ms(10))).await;
    assert!(previews(&run(&server, request(3)).await).is_empty());
    let preview = Some(PreviewOptions {
        method: PreviewMethod::Linear.into(),
        min_interval_ms: 60_000,
        ..PreviewOptions::default()
    });
    let events = run(&server, GenerateRequest { preview, ..request(10) }).await;
    let steps: Vec<u32> = previews(&events).iter().map(|preview| preview.step).collect();
    assert_eq!(steps, [1]);
    server.stop().await;
}
