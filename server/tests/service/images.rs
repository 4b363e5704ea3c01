//! Images in requests: what is drawn from them, what the record says, and every wrong combination.

use std::time::Duration;

use sakuga_proto::asset::v1::asset_service_client::AssetServiceClient;
use sakuga_proto::digest::sha256_hex;
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{
    Box as MaskBox, Canvas, CreateJobRequest, GenerateEvent, GenerateRequest, GetJobRequest, ImageMetadata,
    ImageSource, InitImage, JobState, Mask, MaskedOnly, ResizeMode, SecondPass, Stage, Upscaler, image_source,
};
use sakuga_proto::json;
use sakuga_server::Config;
use sakuga_server::config::DataPlace;

use crate::bad_requests::violations;
use crate::support::{Server, expect_event, files, quick, request, run, scripted, steps_of_ms};
use crate::uploads::parts;

/// A PNG file of `width` x `height` pixels; `pixel` gives the colour at x and y.
pub(crate) fn png(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let image = image::RgbImage::from_fn(width, height, |x, y| image::Rgb(pixel(x, y)));
    let mut file = std::io::Cursor::new(Vec::new());
    image.write_to(&mut file, image::ImageFormat::Png).expect("an image");
    file.into_inner()
}

fn colours(x: u32, y: u32) -> [u8; 3] {
    [(3 * x) as u8, (3 * y) as u8, 77]
}

/// White in the right half.
fn right_half(width: u32) -> impl Fn(u32, u32) -> [u8; 3] {
    move |x, _| if x >= width / 2 { [255; 3] } else { [0; 3] }
}

pub(crate) fn inline(file: &[u8]) -> Option<ImageSource> {
    Some(ImageSource { source: Some(image_source::Source::Inline(file.to_vec().into())) })
}

fn asset(sha256: &str) -> Option<ImageSource> {
    Some(ImageSource { source: Some(image_source::Source::Asset(sha256.into())) })
}

fn init(file: &[u8]) -> InitImage {
    InitImage { image: inline(file), ..InitImage::default() }
}

pub(crate) fn pixels(file: &[u8]) -> image::RgbImage {
    image::load_from_memory_with_format(file, image::ImageFormat::Png).expect("a PNG file").into_rgb8()
}

/// The stages with their passes, and the pass of each step.
fn passes(events: &[GenerateEvent]) -> (Vec<(Stage, u32)>, Vec<u32>) {
    let mut found = (Vec::new(), Vec::new());
    for event in events {
        match event.event.as_ref().expect("every event has a kind") {
            Event::Stage(begun) => found.0.push((begun.stage(), begun.pass_number)),
            Event::Step(step) => {
                assert_eq!(step.index as usize, found.1.len() + 1);
                found.1.push(step.pass_number);
            }
            _ => {}
        }
    }
    found
}

#[tokio::test]
async fn a_masked_image_is_drawn_in_part_and_recorded_by_its_hash() {
    let server = Server::start(scripted(quick())).await;
    let (file, mask_file) = (png(64, 64, colours), png(64, 64, right_half(64)));
    let mask = Mask { image: inline(&mask_file), feather: 4, ..Mask::default() };
    let asked = GenerateRequest {
        init: Some(InitImage { strength: Some(0.7), ..init(&file) }),
        mask: Some(mask),
        seed: Some(3),
        ..request(30)
    };
    let events = run(&server, asked.clone()).await;
    let (stages, steps) = passes(&events);
    assert_eq!(
        stages,
        [Stage::TextEncode, Stage::VaeEncode, Stage::Denoise, Stage::Decode, Stage::EncodeImage]
            .map(|stage| (stage, 1))
    );
    assert_eq!(steps.len(), 21, "0.7 of 30");
    let drawn = pixels(&files(&events)[0]);
    for (x, y, pixel) in drawn.enumerate_pixels() {
        let kept = pixel.0 == colours(x, y);
        assert!(kept || x >= 28, "{x}, {y} is farther from the mask than its feather");
    }
    assert!(drawn.enumerate_pixels().any(|(x, y, pixel)| x >= 32 && pixel.0 != colours(x, y)));

    let completed = expect_event!(events.last().expect("events"), Completed);
    assert!(completed.timings.expect("timings").vae_encode.is_some());
    let metadata = completed.images[0].metadata.clone().expect("metadata");
    let resolved = metadata.request.clone().expect("the request");
    let recorded = resolved.init.clone().expect("the image");
    assert_eq!((recorded.image, recorded.strength), (asset(&sha256_hex(&file)), Some(0.7)));
    assert_eq!(resolved.mask.as_ref().expect("the mask").image, asset(&sha256_hex(&mask_file)));
    // The record is small, is read from JSON again, and has the same pixels when the files are given again.
    let text = json::to_string(&metadata).expect("JSON");
    assert!(text.len() < 4000, "{text}");
    let again: ImageMetadata = json::from_str(&text, json::UnknownFields::Refuse).expect("the record");
    let mut again = again.request.expect("the request");
    again.init.as_mut().expect("the image").image = inline(&file);
    again.mask.as_mut().expect("the mask").image = inline(&mask_file);
    assert_eq!(pixels(&files(&run(&server, again).await)[0]), drawn);
    // Without the files, the server says which are missing.
    let refused = server.generation().generate(resolved).await.expect_err("the files are not there");
    let found = violations(&refused);
    for (field, file) in [("init.image.asset", &file), ("mask.image.asset", &mask_file)] {
        assert!(found[field].1.contains(&sha256_hex(file)) && found[field].1.contains("inline"), "{found:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn images_of_other_sizes_are_placed_as_the_request_says() {
    let server = Server::start(scripted(quick())).await;
    let file = png(40, 20, colours);
    let mask = Mask { boxes: vec![MaskBox { left: 0, top: 0, width: 8, height: 8 }], ..Mask::default() };
    for (resize, place) in [(ResizeMode::Crop, [48, 0]), (ResizeMode::Pad, [0, 16]), (ResizeMode::Stretch, [0, 0])] {
        let init = Some(InitImage { resize: resize.into(), ..init(&file) });
        let asked = GenerateRequest { init, mask: Some(mask.clone()), width: 64, height: 64, ..request(4) };
        let events = run(&server, asked).await;
        let drawn = pixels(&files(&events)[0]);
        assert_eq!(drawn.dimensions(), (64, 64), "{resize:?} {place:?}");
        let blue = drawn.get_pixel(63, 63).0[2];
        assert_eq!(blue, 77, "{resize:?}");
    }
    // On a canvas the image keeps its pixels, and all around it is drawn.
    let canvas = Some(Canvas { left: Some(8), top: None });
    let init = Some(InitImage { canvas, strength: Some(1.0), ..init(&file) });
    let events = run(&server, GenerateRequest { init, width: 64, height: 48, ..request(4) }).await;
    let drawn = pixels(&files(&events)[0]);
    let kept = drawn.enumerate_pixels().filter(|(x, y, pixel)| {
        let inside = (8..48).contains(x) && (14..34).contains(y);
        assert!(!inside || pixel.0 == colours(x - 8, y - 14), "{x}, {y}");
        inside
    });
    assert_eq!(kept.count(), 800);
    let started = expect_event!(
        events.iter().find(|event| matches!(event.event, Some(Event::Started(_)))).expect("it started"),
        Started
    );
    let resolved = started.resolved.clone().expect("the request").init.expect("the image");
    assert_eq!(resolved.canvas, Some(Canvas { left: Some(8), top: Some(14) }), "the middle is filled in");
    server.stop().await;
}

#[tokio::test]
async fn the_surroundings_of_a_mask_are_drawn_alone_and_put_back() {
    let server = Server::start(scripted(quick())).await;
    let file = png(192, 160, colours);
    let boxes = vec![MaskBox { left: 100, top: 60, width: 10, height: 20 }];
    let masked_only = Some(MaskedOnly { padding: Some(6) });
    let mask = Some(Mask { boxes, feather: 2, masked_only, image: None });
    let asked = GenerateRequest { init: Some(init(&file)), mask, width: 192, height: 160, ..request(4) };
    let events = run(&server, asked).await;
    let drawn = pixels(&files(&events)[0]);
    assert_eq!(drawn.dimensions(), (192, 160));
    let changed = drawn.enumerate_pixels().filter(|(x, y, pixel)| {
        let near = (98..112).contains(x) && (58..82).contains(y);
        assert!(near || pixel.0 == colours(*x, *y), "{x}, {y}");
        pixel.0 != colours(*x, *y)
    });
    assert!(changed.count() > 150);
    let completed = expect_event!(events.last().expect("events"), Completed);
    let resolved = completed.images[0].metadata.clone().expect("metadata").request.expect("the request");
    assert_eq!((resolved.width, resolved.height), (192, 160), "not the size at which the part is drawn");
    server.stop().await;
}

#[tokio::test]
async fn both_passes_are_in_the_stream_and_in_the_record() {
    let server = Server::start(scripted(quick())).await;
    for (upscaler, between) in
        [(Upscaler::Lanczos, &[(Stage::Decode, 1), (Stage::VaeEncode, 2)][..]), (Upscaler::LatentBilinear, &[][..])]
    {
        let second = SecondPass { upscaler: upscaler.into(), strength: Some(0.5), ..SecondPass::default() };
        let events = run(&server, GenerateRequest { second_pass: Some(second), ..request(9) }).await;
        let (stages, steps) = passes(&events);
        let expected = [
            &[(Stage::TextEncode, 1), (Stage::Denoise, 1)][..],
            between,
            &[(Stage::Denoise, 2), (Stage::Decode, 2), (Stage::EncodeImage, 2)],
        ];
        assert_eq!(stages, expected.concat());
        assert_eq!(steps, [vec![1; 9], vec![2; 4]].concat(), "floor(9 * 0.5) steps of the second pass");
        let completed = expect_event!(events.last().expect("events"), Completed);
        assert_eq!((completed.images[0].width, completed.images[0].height), (96, 96));
        let resolved = completed.images[0].metadata.clone().expect("metadata").request.expect("the request");
        let filled = SecondPass { factor: Some(1.5), upscaler: upscaler.into(), strength: Some(0.5), steps: 9 };
        assert_eq!((resolved.second_pass, resolved.width), (Some(filled), 64));
        let again = run(&server, resolved).await;
        assert_eq!(files(&again), files(&events), "the resolved request makes the same file");
        let text = String::from_utf8_lossy(&files(&events)[0]).into_owned();
        assert!(text.contains("Hires upscale: 1.5, Hires steps: 9, Hires upscaler: "), "galleries read it");
    }
    server.stop().await;
}

/// Field, reason and a part of the description of each violation.
type Expected = &'static [(&'static str, &'static str, &'static str)];

#[tokio::test]
async fn every_wrong_combination_is_one_violation_with_its_fix() {
    let server = Server::start(scripted(quick())).await;
    let file = png(64, 64, colours);
    let boxed = |left, width| MaskBox { left, top: 0, width, height: 8 };
    let mask = || Mask { boxes: vec![boxed(0, 8)], ..Mask::default() };
    let with = |init: InitImage| GenerateRequest { init: Some(init), ..request(20) };
    let masked = |mask: Mask| GenerateRequest { mask: Some(mask), ..with(init(&file)) };
    let enlarged = |second: SecondPass| GenerateRequest { second_pass: Some(second), ..request(20) };
    let other = png(32, 64, colours);
    let cases: Vec<(GenerateRequest, Expected)> = vec![
        (GenerateRequest { mask: Some(mask()), ..request(4) }, &[("init.image", "required", "or remove `mask`")]),
        (with(InitImage { strength: Some(0.5), ..InitImage::default() }), &[("init.image", "required", "`inline`")]),
        (with(init(b"not an image")), &[("init.image.inline", "bad-image", "PNG, JPEG or WebP")]),
        (with(init(&file[..100])), &[("init.image.inline", "bad-image", "save it again")]),
        (with(init(&vec![0; (2 << 20) + 1])), &[("init.image.inline", "out-of-range", "at most 2097152")]),
        (with(InitImage { image: asset("abc"), ..InitImage::default() }), &[("init.image.asset", "required", "abc")]),
        (with(InitImage { strength: Some(1.5), ..init(&file) }), &[("init.strength", "out-of-range", "use 0 to 1")]),
        (
            with(InitImage { strength: Some(0.01), ..init(&file) }),
            &[("init.strength", "out-of-range", "use at least 0.05")],
        ),
        (with(InitImage { strength: Some(f32::NAN), ..init(&file) }), &[("init.strength", "out-of-range", "0 to 1")]),
        (with(InitImage { resize: 99, ..init(&file) }), &[("init.resize", "unknown-value", "99")]),
        (with(init(&other)), &[("init.resize", "required", "crop, pad or stretch")]),
        (
            with(InitImage { resize: 1, canvas: Some(Canvas::default()), ..init(&other) }),
            &[("init.resize", "conflict", "remove `resize` or `canvas`")],
        ),
        (
            GenerateRequest { width: 32, ..with(InitImage { canvas: Some(Canvas::default()), ..init(&file) }) },
            &[("init.canvas", "out-of-range", "does not fit")],
        ),
        (
            with(InitImage { canvas: Some(Canvas { left: Some(33), top: None }), ..init(&other) }),
            &[("init.canvas.left", "out-of-range", "use 0 to 32")],
        ),
        (masked(Mask::default()), &[("mask", "required", "set `image` or `boxes`")]),
        (masked(Mask { image: inline(&file), ..mask() }), &[("mask", "conflict", "both set")]),
        (
            masked(Mask { image: inline(&png(9, 9, colours)), boxes: vec![], ..mask() }),
            &[("mask.image", "out-of-range", "64x64")],
        ),
        (
            masked(Mask { image: inline(&png(64, 64, |_, _| [9; 3])), ..Mask::default() }),
            &[("mask", "out-of-range", "in white")],
        ),
        (masked(Mask { image: inline(b"?"), ..Mask::default() }), &[("mask.image.inline", "bad-image", "convert")]),
        (
            masked(Mask { boxes: vec![boxed(0, 8), boxed(60, 8), boxed(3, 0)], ..Mask::default() }),
            &[("mask.boxes[1]", "out-of-range", "64x64"), ("mask.boxes[2]", "out-of-range", "at least one pixel")],
        ),
        (
            masked(Mask { boxes: vec![boxed(0, 8); 65], ..Mask::default() }),
            &[("mask.boxes", "out-of-range", "at most 64")],
        ),
        (masked(Mask { feather: 257, ..mask() }), &[("mask.feather", "out-of-range", "0 to 256")]),
        (
            masked(Mask { masked_only: Some(MaskedOnly { padding: Some(1025) }), ..mask() }),
            &[("mask.masked_only.padding", "out-of-range", "0 to 1024")],
        ),
        (
            GenerateRequest { second_pass: Some(SecondPass::default()), ..masked(mask()) },
            &[("second_pass", "conflict", "remove one of the two")],
        ),
        (
            enlarged(SecondPass { factor: Some(0.5), ..SecondPass::default() }),
            &[("second_pass.factor", "out-of-range", "1 to 4")],
        ),
        (
            enlarged(SecondPass { factor: Some(1.1), ..SecondPass::default() }),
            &[("second_pass.factor", "out-of-range", "use at least 1.25")],
        ),
        (
            GenerateRequest {
                width: 1024,
                height: 1024,
                ..enlarged(SecondPass { factor: Some(3.0), ..SecondPass::default() })
            },
            &[("second_pass.factor", "out-of-range", "use at most 2.01")],
        ),
        (
            enlarged(SecondPass { upscaler: 9, strength: Some(2.0), steps: 201, ..SecondPass::default() }),
            &[
                ("second_pass.upscaler", "unknown-value", "9"),
                ("second_pass.strength", "out-of-range", "0 to 1"),
                ("second_pass.steps", "out-of-range", "1 to 200"),
            ],
        ),
    ];
    for (asked, expected) in cases {
        let status = server.generation().generate(asked).await.expect_err("the request is wrong");
        let found = violations(&status);
        for (field, reason, part) in expected {
            let (found_reason, description) =
                found.get(*field).unwrap_or_else(|| panic!("{field} is not in {found:?}"));
            assert_eq!(found_reason, reason, "{field}: {description}");
            assert!(description.contains(part), "{field}: {description}");
        }
        assert_eq!(found.len(), expected.len(), "{found:?}");
    }
    // All of it at once, with what is wrong elsewhere.
    let all = GenerateRequest {
        init: Some(InitImage { strength: Some(2.0), ..init(b"?") }),
        mask: Some(Mask { image: inline(b"?"), feather: 999, ..Mask::default() }),
        second_pass: Some(SecondPass { factor: Some(9.0), ..SecondPass::default() }),
        images: 99,
        ..request(4)
    };
    let found = violations(&server.generation().generate(all).await.expect_err("wrong"));
    let fields: Vec<&str> = found.keys().map(String::as_str).collect();
    let expected = [
        "images",
        "init.image.inline",
        "init.strength",
        "mask.feather",
        "mask.image.inline",
        "second_pass",
        "second_pass.factor",
    ];
    assert_eq!(fields, expected, "{found:?}");
    server.stop().await;
}

/// The record of a job has the hashes of the files within its request; the files are kept until it ends.
#[tokio::test]
async fn a_job_with_a_file_of_its_own_outlives_its_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = async || {
        let mut config = Config { drain_timeout: Duration::from_millis(100), ..scripted(steps_of_ms(20)) };
        config.jobs.place = DataPlace::Folder(folder.path().to_owned());
        Server::start(config).await
    };
    let server = start().await;
    let state = async |server: &Server, job_id: &str| {
        let message = GetJobRequest { job_id: job_id.into() };
        let answer = JobServiceClient::new(server.channel.clone()).get_job(message).await.expect("it is kept");
        answer.into_inner().job.expect("a job")
    };
    let created = async |init: Option<InitImage>| {
        let message = CreateJobRequest { request: Some(GenerateRequest { init, ..request(200) }), options: None };
        let answer = JobServiceClient::new(server.channel.clone()).create_job(message).await.expect("accepted");
        answer.into_inner().job.expect("a job").job_id
    };
    let with_file = created(Some(init(&png(64, 64, colours)))).await;
    let plain = created(None).await;
    while state(&server, &with_file).await.state() == JobState::Queued {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
    let server = start().await;
    for job_id in [&with_file, &plain] {
        let job = state(&server, job_id).await;
        assert!(matches!(job.state(), JobState::Queued | JobState::Running), "{job:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_uploaded_picture_is_drawn_from_like_one_within_the_request() {
    let server = Server::start(scripted(quick())).await;
    let mut assets = AssetServiceClient::new(server.channel.clone());
    let (file, mask_file) = (png(64, 64, colours), png(64, 64, right_half(64)));
    for file in [&file, &mask_file] {
        assets.upload_asset(tokio_stream::iter(parts(file, 0))).await.expect("kept");
    }
    let adapter = b"{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    let adapter = [&(adapter.len() as u64).to_le_bytes()[..], adapter, &[7]].concat();
    assets.upload_asset(tokio_stream::iter(parts(&adapter, 0))).await.expect("kept");
    let asked = |init_image, mask_image| GenerateRequest {
        init: Some(InitImage { image: init_image, ..InitImage::default() }),
        mask: Some(Mask { image: mask_image, ..Mask::default() }),
        seed: Some(3),
        ..request(10)
    };
    let (sha256, mask_sha256) = (sha256_hex(&file), sha256_hex(&mask_file));
    let inline = files(&run(&server, asked(inline(&file), inline(&mask_file))).await);
    let named = files(&run(&server, asked(asset(&sha256), asset(&mask_sha256))).await);
    assert!(pixels(&inline[0]) == pixels(&named[0]), "the same picture");
    // What is missing, and what is not a picture, is named with its field.
    for (init_image, mask_image, field, part) in [
        (asset(&sha256_hex(b"never")), asset(&mask_sha256), "init.image.asset", "does not exist"),
        (asset(&sha256), asset(&sha256_hex(&adapter)), "mask.image.asset", "is not a picture"),
    ] {
        let refused = server.generation().generate(asked(init_image, mask_image)).await.expect_err(field);
        let found = violations(&refused);
        assert!(found[field].1.contains(part), "{field}: {found:?}");
    }
    drop(assets);
    server.stop().await;
}
