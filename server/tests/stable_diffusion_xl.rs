//! The server with a checkpoint of Stable Diffusion XL, of random weights, on the CPU.
#![cfg(feature = "burn")]

use std::path::Path;

use sakuga_model_core::{DeviceChoice, ModelOptions};
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::generate_request::Prompt;
use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::{
    Adapter, Box as MaskBox, Control, GenerateEvent, GenerateRequest, ImageSource, NoiseSchedule, Preprocessor,
    Protection, Quality, Refiner, ResizeMode, Sampling, Scene, Solver, adapter, image_source, scene,
};
use sakuga_proto::model::v1::ListAdaptersRequest;
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;
use sakuga_proto::system::v1::ListModelsRequest;
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_server::config::{ConfiguredModel, EngineChoice};
use sakuga_server::{App, Config};
use tonic::transport::Channel;
use tonic_types::StatusExt;

fn request(solver: Solver, schedule: NoiseSchedule) -> GenerateRequest {
    GenerateRequest {
        prompt: Some(Prompt::Xml("1girl, (red hat:1.2), [night sky]".into())),
        sampling: Some(Sampling { steps: 2, solver: solver.into(), schedule: schedule.into(), ..Sampling::default() }),
        width: 32,
        height: 48,
        seed: Some(5),
        ..GenerateRequest::default()
    }
}

async fn events(client: &mut GenerationServiceClient<Channel>, request: GenerateRequest) -> Vec<GenerateEvent> {
    let mut stream = client.generate(request).await.expect("accepted").into_inner();
    let mut events = Vec::new();
    while let Some(response) = stream.message().await.expect("the stream does not break") {
        events.push(response.event.expect("every message has an event"));
    }
    events
}

/// SHA-256 of the pixels of the picture that was drawn.
fn pixels(events: &[GenerateEvent]) -> String {
    let Some(Event::Completed(completed)) = events.last().and_then(|event| event.event.clone()) else {
        panic!("not completed: {events:?}");
    };
    assert_eq!((completed.images[0].width, completed.images[0].height), (32, 48));
    completed.images[0].pixels_sha256.clone()
}

/// An adapter of rank 1 for one module.
fn write_adapter(path: &Path, module: &str, [outputs, inputs]: [usize; 2]) {
    let header = format!(
        r#"{{"{module}.lora_down.weight":{{"dtype":"F32","shape":[1,{inputs}],"data_offsets":[0,{0}]}},"{module}.lora_up.weight":{{"dtype":"F32","shape":[{outputs},1],"data_offsets":[{0},{1}]}}}}"#,
        4 * inputs,
        4 * (inputs + outputs)
    );
    let values = 0.5_f32.to_le_bytes().repeat(inputs + outputs);
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &values].concat();
    std::fs::write(path, file).expect("writable");
}

/// A PNG of 40 x 60 pixels, white on the right.
fn control_picture() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 40, 60);
    encoder.set_color(png::ColorType::Grayscale);
    let levels: Vec<u8> = (0..60).flat_map(|_| (0..40).map(|x| if x < 20 { 0 } else { 255 })).collect();
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&levels)).expect("encoded");
    file
}

async fn control_images_steer_and_stand_in_the_record(client: &mut GenerationServiceClient<Channel>, plain: &str) {
    let image = || Some(ImageSource { source: Some(image_source::Source::Inline(control_picture().into())) });
    let control = Control {
        network: "lines".into(),
        image: image(),
        resize: ResizeMode::Crop.into(),
        scale: Some(2.0),
        ..Control::default()
    };
    let with = |controls| GenerateRequest { controls, ..request(Solver::Unspecified, NoiseSchedule::Unspecified) };
    let steered = events(client, with(vec![control.clone()])).await;
    assert_ne!(pixels(&steered), plain);
    let edges = Control { preprocessor: Preprocessor::Canny.into(), ..control.clone() };
    let of_edges = events(client, with(vec![edges])).await;
    assert_ne!(pixels(&of_edges), pixels(&steered));
    let Some(Event::Completed(completed)) = of_edges.last().and_then(|event| event.event.clone()) else {
        panic!("not completed");
    };
    let metadata = completed.images[0].metadata.clone().expect("a record");
    assert_eq!((metadata.controls[0].network.as_str(), metadata.controls[0].fingerprint.len()), ("lines", 64));
    let mut recorded = metadata.request.expect("the request");
    assert_eq!((recorded.controls[0].canny_low, recorded.controls[0].end), (Some(100), Some(1.0)));
    recorded.controls[0].image = image();
    assert_eq!(pixels(&events(client, recorded).await), pixels(&of_edges));
    for (wrong, field, reason) in [
        (Control { network: "pose".into(), ..control.clone() }, "controls[0].network", "unknown-value"),
        (Control { network: "lora".into(), ..control.clone() }, "controls[0].network", "unsupported"),
        (Control { image: None, ..control.clone() }, "controls[0].image", "required"),
        (Control { resize: 0, ..control.clone() }, "controls[0].resize", "required"),
        (Control { scale: Some(3.0), ..control.clone() }, "controls[0].scale", "out-of-range"),
        (Control { start: Some(0.9), end: Some(0.1), ..control.clone() }, "controls[0].end", "out-of-range"),
        (Control { canny_low: Some(300), ..control.clone() }, "controls[0].canny_high", "out-of-range"),
    ] {
        let refused = client.generate(with(vec![wrong])).await.expect_err("refused");
        let violations = refused.get_details_bad_request().expect("what is wrong").field_violations;
        assert_eq!((violations[0].field.as_str(), violations[0].reason.as_str()), (field, reason), "{violations:?}");
    }
    let refused = client.generate(with(vec![control; 5])).await.expect_err("too many");
    let violations = refused.get_details_bad_request().expect("what is wrong").field_violations;
    assert_eq!(violations[0].field, "controls");
}

async fn refined_pictures_are_drawn_again_from_their_record(
    client: &mut GenerationServiceClient<Channel>,
    refiner: &str,
    unrefined: &str,
) {
    let wanted = Some(Refiner { switch_at: Some(0.5), ..Refiner::default() });
    let plain = request(Solver::Unspecified, NoiseSchedule::Unspecified);
    let refined = events(client, GenerateRequest { refiner: wanted, ..plain.clone() }).await;
    assert_ne!(pixels(&refined), unrefined);
    let Some(Event::Completed(completed)) = refined.last().and_then(|event| event.event.clone()) else {
        panic!("not completed");
    };
    let metadata = completed.images[0].metadata.clone().expect("a record");
    assert!(refiner.contains('@') && metadata.refiner == refiner, "{refiner}: {}", metadata.refiner);
    let recorded = metadata.request.expect("the request");
    let score = Some(Refiner { switch_at: Some(0.5), aesthetic_score: Some(6.0), negative_aesthetic_score: Some(2.5) });
    assert_eq!(recorded.refiner, score);
    assert_eq!(pixels(&events(client, recorded).await), pixels(&refined));
    let beyond = Some(Refiner { switch_at: Some(1.5), aesthetic_score: Some(11.0), ..Refiner::default() });
    let refused = client.generate(GenerateRequest { refiner: beyond, ..plain }).await.expect_err("out of bounds");
    let violations = refused.get_details_bad_request().expect("what is wrong").field_violations;
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["refiner.switch_at", "refiner.aesthetic_score"]);
}

#[tokio::test]
async fn a_folder_draws_through_the_server() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    sakuga_model::families::sdxl::synthetic::write(dir.path(), 1).expect("writable");
    let model = Some(dir.path().to_owned());
    let refiner = tempfile::tempdir().expect("a temporary folder");
    sakuga_model::families::sdxl::synthetic::write_refiner(refiner.path(), 2).expect("writable");
    let refiner_path = Some(refiner.path().to_owned());
    let networks = tempfile::tempdir().expect("a temporary folder");
    sakuga_model::families::sdxl::synthetic::write_control(&networks.path().join("lines"), 3).expect("writable");
    write_adapter(&networks.path().join("lora.safetensors"), "lora_controlnet", [16, 16]);
    let controlnets = Some(networks.path().to_owned());
    let burn = ModelOptions {
        device: DeviceChoice::Cpu,
        model,
        refiner: refiner_path,
        controlnets,
        ..ModelOptions::default()
    };
    let mut config = Config { models: EngineChoice::Burn(burn).into(), ..Config::default() };
    let adapters = tempfile::tempdir().expect("a temporary folder");
    write_adapter(&adapters.path().join("unet.safetensors"), "lora_unet_mid_block_attentions_0_proj_in", [16, 16]);
    write_adapter(&adapters.path().join("other.safetensors"), "lora_unet_layers_0_attention_out", [16, 16]);
    config.models.adapters = Some(adapters.path().to_owned());
    let server = App::build(config).await.unwrap_or_else(|error| panic!("{error}")).spawn();
    let channel = Channel::from_shared(server.url().to_owned()).expect("a URL").connect().await.expect("it listens");
    let mut system = SystemServiceClient::new(channel.clone());
    let models = system.list_models(ListModelsRequest {}).await.expect("an answer").into_inner().models;
    assert_eq!(models[0].name, "random-sdxl");
    assert!(models[0].parameters.contains_key("unet"), "{:?}", models[0].parameters);

    let mut client = GenerationServiceClient::new(channel.clone());
    let mut drawn = Vec::new();
    let mut schedules = Vec::new();
    let choices = [
        (Solver::Unspecified, NoiseSchedule::Unspecified),
        (Solver::Dpm, NoiseSchedule::Unspecified),
        (Solver::Dpm, NoiseSchedule::Native),
        (Solver::EulerAncestral, NoiseSchedule::Karras),
        (Solver::Unipc, NoiseSchedule::Exponential),
        (Solver::Ddim, NoiseSchedule::Native),
    ];
    for (solver, schedule) in choices {
        let events = events(&mut client, request(solver, schedule)).await;
        let resolved = events.iter().find_map(|event| match &event.event {
            Some(Event::Started(started)) => started.resolved.as_ref()?.sampling.clone(),
            _ => None,
        });
        schedules.push(resolved.expect("a job starts with its resolved request").schedule());
        drawn.push(pixels(&events));
    }
    assert_ne!(drawn[0], drawn[1]);
    // DPM++ 2M has Karras' schedule unless another one is chosen; other solvers have the model's.
    assert_eq!(schedules[..3], [NoiseSchedule::Native, NoiseSchedule::Karras, NoiseSchedule::Native]);

    let mut lists = ModelServiceClient::new(channel.clone());
    let listed = lists.list_adapters(ListAdaptersRequest {}).await.expect("an answer").into_inner().adapters;
    let fits: Vec<_> = listed.iter().map(|adapter| (adapter.name.as_str(), adapter.fits[0].is_usable)).collect();
    assert_eq!(fits, [("other", false), ("unet", true)]);
    let adapter = |name: &str| Adapter { source: Some(adapter::Source::Name(name.into())), ..Adapter::default() };
    let with = |name: &str| GenerateRequest {
        adapters: vec![adapter(name)],
        ..request(Solver::Unspecified, NoiseSchedule::Unspecified)
    };
    assert_ne!(pixels(&events(&mut client, with("unet")).await), drawn[0], "it has an effect");
    assert_eq!(
        pixels(&events(&mut client, request(Solver::Unspecified, NoiseSchedule::Unspecified)).await),
        drawn[0],
        "the model itself"
    );
    let offered: Vec<_> =
        models[0].control_networks.iter().map(|network| (&*network.name, &*network.problem)).collect();
    assert_eq!(offered[0], ("lines", ""));
    assert!(offered[1].0 == "lora" && offered[1].1.contains("Control-LoRA"), "{offered:?}");
    control_images_steer_and_stand_in_the_record(&mut client, &drawn[0]).await;
    refined_pictures_are_drawn_again_from_their_record(&mut client, &models[0].refiner, &drawn[0]).await;
    let sampling = Some(Sampling { quality: Quality::Fast.into(), ..Sampling::default() });
    let fast = GenerateRequest { sampling, ..request(Solver::Unspecified, NoiseSchedule::Unspecified) };
    let refused = client.generate(fast).await.expect_err("there is no step cache");
    let violations = refused.get_details_bad_request().expect("what is wrong").field_violations;
    assert_eq!((violations.len(), violations[0].field.as_str()), (1, "sampling.quality"));
    assert!(violations[0].description.contains("the family sdxl has no step cache; use exact"), "{violations:?}");
    let refused = client.generate(with("other")).await.expect_err("an adapter of another model");
    let violations = refused.get_details_bad_request().expect("what is wrong").field_violations;
    assert_eq!((violations[0].field.as_str(), violations[0].reason.as_str()), ("adapters[0]", "does-not-fit"));
    let refused = client
        .generate(request(Solver::Rk4, NoiseSchedule::Unspecified))
        .await
        .expect_err("a solver that the model does not have");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let violations = refused.get_details_bad_request().expect("what is wrong").field_violations;
    assert_eq!((violations.len(), violations[0].field.as_str()), (1, "sampling.solver"));
    assert!(violations[0].description.contains("euler or dpm or euler_ancestral"), "{violations:?}");
    drop((client, lists, system));
    server.stop().await.expect("a clean end");
}

/// The embedded model of the other family draws, and a checkpoint of random weights draws over its pictures.
#[tokio::test]
async fn a_scene_of_two_families_is_drawn_again_from_its_record() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    sakuga_model::families::sdxl::synthetic::write(dir.path(), 1).expect("writable");
    let cache = tempfile::tempdir().expect("a temporary folder");
    let cpu = |model: Option<std::path::PathBuf>| {
        let cache_dir = Some(cache.path().to_owned());
        EngineChoice::Burn(ModelOptions { device: DeviceChoice::Cpu, model, cache_dir, ..ModelOptions::default() })
    };
    let named = |name: &str, engine| ConfiguredModel { name: Some(name.to_owned()), engine };
    let models = vec![named("characters", cpu(None)), named("scene", cpu(Some(dir.path().to_owned())))];
    let mut config = Config::default();
    config.models.models = models;
    let server = App::build(config).await.unwrap_or_else(|error| panic!("{error}")).spawn();
    let channel = Channel::from_shared(server.url().to_owned()).expect("a URL").connect().await.expect("it listens");
    let mut client = GenerationServiceClient::new(channel.clone());
    let scene = Scene {
        prompt: Some(scene::Prompt::Xml("1girl, (red hat:1.2), [night sky]".into())),
        negative: Some(scene::Negative::NegativeText("rain".into())),
        model: "scene".into(),
        sampling: Some(Sampling { steps: 5, solver: Solver::Dpm.into(), ..Sampling::default() }),
        protection: Some(Protection {
            boxes: vec![MaskBox { left: 8, top: 8, width: 16, height: 24 }],
            feather: 4,
            ..Protection::default()
        }),
        ..Scene::default()
    };
    let xml = "<character_1>\n<n>rem</n>\n<gender>1girl</gender>\n</character_1>\n<caption>A girl.</caption>\n";
    let first = GenerateRequest {
        prompt: Some(Prompt::Xml(xml.into())),
        sampling: Some(Sampling { steps: 2, ..Sampling::default() }),
        model: "characters".into(),
        ..request(Solver::Unspecified, NoiseSchedule::Unspecified)
    };
    let asked = GenerateRequest { scene: Some(scene), ..first.clone() };
    let drawn = events(&mut client, asked).await;
    let steps = drawn.iter().filter(|event| matches!(event.event, Some(Event::Step(_)))).count();
    assert_eq!(steps, 2 + 2, "0.4 of 5 steps of the scene");
    let Some(Event::Completed(completed)) = drawn.last().and_then(|event| event.event.clone()) else {
        panic!("not completed: {drawn:?}");
    };
    let metadata = completed.images[0].metadata.clone().expect("a record");
    let applied = metadata.scene.expect("what drew the scene");
    assert!(applied.model.starts_with("scene@") && metadata.model.starts_with("characters@"));
    assert!(applied.model_text.contains("(red hat:1.2)"), "tags of its own family: {}", applied.model_text);
    let again = events(&mut client, metadata.request.expect("the request")).await;
    assert_eq!(files(&again), files(&drawn), "the record draws the same file");

    let [character, both] = [files(&events(&mut client, first).await), files(&drawn)].map(|file| rgb(&file));
    let pixel = |picture: &[u8], x: usize, y: usize| picture[3 * (32 * y + x)..][..3].to_vec();
    for y in 8..32 {
        for x in 8..24 {
            assert_eq!(pixel(&both, x, y), pixel(&character, x, y), "{x}, {y} is protected");
        }
    }
    assert_ne!(both, character);
    drop(client);
    server.stop().await.expect("a clean end");
}

/// The file of the only picture.
fn files(events: &[GenerateEvent]) -> Vec<u8> {
    let pieces = events.iter().filter_map(|event| match &event.event {
        Some(Event::ImageChunk(chunk)) => Some(chunk.data.to_vec()),
        _ => None,
    });
    pieces.flatten().collect()
}

/// The pixels of a PNG file, row by row.
fn rgb(file: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a PNG file");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    reader.next_frame(&mut pixels).expect("an image");
    pixels
}
