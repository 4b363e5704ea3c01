//! Settings of other programs, read into requests.

use sakuga_proto::generation::v1::generate_request::{Negative, Prompt};
use sakuga_proto::generation::v1::{ImageMetadata, Solver, Upscaler};
use serde_json::json;

use super::*;

/// A PNG file of 1x1 pixels with texts.
fn png_with(texts: &[(&str, &str)]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 1, 1);
    for (keyword, text) in texts {
        encoder.add_itxt_chunk((*keyword).to_owned(), (*text).to_owned()).expect("a keyword");
    }
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&[0]).expect("one pixel");
    writer.finish().expect("an end");
    file
}

fn prompt(imported: &Imported) -> sakuga_schema::Prompt {
    match &imported.request.prompt {
        Some(Prompt::Typed(prompt)) => prompt.into(),
        other => panic!("{other:?}"),
    }
}

fn negative(imported: &Imported) -> String {
    match &imported.request.negative {
        Some(Negative::NegativePrompt(negative)) => {
            sakuga_schema::NegativePrompt::from(negative).danbooru_tags.to_string()
        }
        None => String::new(),
        other => panic!("{other:?}"),
    }
}

fn left_out(imported: &Imported) -> Vec<(&str, &str)> {
    imported.left_out.iter().map(|one| (one.name.as_str(), one.value.as_str())).collect()
}

const INFOTEXT: &str = "masterpiece, 1girl, solo, (blue hair:1.3), school uniform, smile, outdoors, <lora:ink:0.8>\n\
    Negative prompt: lowres, (bad hands:1.4)\n\
    Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1234567890, Size: 832x1216, Model hash: aa, Model: wai_v14, \
    Clip skip: 2, Lora hashes: \"ink: 12ab\", Version: v1.10";

#[test]
fn an_a1111_text_becomes_a_typed_request() {
    for file in [INFOTEXT.as_bytes().to_vec(), png_with(&[("parameters", INFOTEXT)])] {
        let imported = import(&file).expect("an infotext");
        assert_eq!(imported.program, Program::A1111);
        let prompt = prompt(&imported);
        let [character] = prompt.characters.as_slice() else { panic!("{prompt:?}") };
        assert_eq!(character.gender, Some(sakuga_schema::Gender::Girl));
        assert_eq!(character.appearance.to_string(), "blue_hair");
        assert_eq!(character.clothing.to_string(), "school_uniform");
        assert_eq!(character.expression.to_string(), "smile");
        let general = prompt.general_tags.expect("some");
        assert_eq!(
            (general.count.to_string(), general.quality.to_string()),
            ("1girl, solo".into(), "masterpiece".into())
        );
        assert_eq!(negative(&imported), "lowres, bad hands");
        let sampling = imported.request.sampling.clone().expect("given");
        assert_eq!((sampling.solver(), sampling.steps, sampling.guidance_scale), (Solver::Dpm, 28, Some(7.0)));
        assert_eq!(
            (imported.request.seed, imported.request.width, imported.request.height),
            (Some(1_234_567_890), 832, 1216)
        );
        assert_eq!(
            left_out(&imported),
            [
                ("Model", "wai_v14"),
                ("Clip skip", "2"),
                ("prompt", "(blue hair:1.3)"),
                ("prompt", "<lora:ink:0.8>"),
                ("negative prompt", "(bad hands:1.4)")
            ]
        );
    }
}

#[test]
fn a_second_pass_of_a1111_is_carried_over_and_what_an_image_needs_is_listed() {
    let text = "1girl\nSteps: 20, Seed: 1, Size: 512x768, Denoising strength: 0.4, Hires upscale: 1.5, Hires steps: 10, \
                Hires upscaler: R-ESRGAN 4x+";
    let imported = import(text.as_bytes()).expect("an infotext");
    let second = imported.request.second_pass.expect("a second pass");
    assert_eq!((second.factor, second.strength, second.steps), (Some(1.5), Some(0.4), 25));
    assert_eq!(second.upscaler(), Upscaler::Lanczos);
    assert_eq!(left_out(&imported), [("upscaler", "R-ESRGAN 4x+")]);
    let text = "1girl\nSteps: 20, Seed: 1, Denoising strength: 0.75, Mask blur: 4";
    let imported = import(text.as_bytes()).expect("an infotext");
    assert_eq!((imported.request.second_pass, imported.request.init.is_some()), (None, false));
    assert_eq!(left_out(&imported), [("Denoising strength", "0.75"), ("Mask blur", "4")]);
    assert!(imported.left_out[0].reason.contains("--strength") && imported.left_out[1].reason.contains("--feather"));
}

#[test]
fn a_second_sampler_of_comfyui_is_a_second_pass_if_it_enlarges_the_first() {
    let mut graph = api_graph();
    graph["11"] = json!({"class_type": "LatentUpscaleBy", "inputs": {"upscale_method": "bilinear", "scale_by": 1.5,
        "samples": ["3", 0]}});
    graph["12"] = json!({"class_type": "KSampler", "inputs": {"seed": 42, "steps": 12, "cfg": 6.5, "denoise": 0.5,
        "sampler_name": "dpmpp_2m", "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["11", 0]}});
    let carried = |graph: &Value| {
        let imported = import(graph.to_string().as_bytes()).expect("a graph");
        let second = imported
            .request
            .second_pass
            .map(|second| (second.factor, second.strength, second.steps, second.upscaler()));
        (second, imported.left_out.iter().any(|one| one.name == "sampler"))
    };
    let expected = (Some(1.5), Some(0.5), 24, Upscaler::LatentBilinear);
    assert_eq!(carried(&graph), (Some(expected), false));
    // Through pixels, to a size.
    graph["13"] = json!({"class_type": "VAEDecode", "inputs": {"samples": ["3", 0]}});
    graph["14"] = json!({"class_type": "ImageScale", "inputs": {"upscale_method": "lanczos", "width": 1664,
        "height": 2432, "image": ["13", 0]}});
    graph["11"] = json!({"class_type": "VAEEncode", "inputs": {"pixels": ["14", 0]}});
    assert_eq!(carried(&graph), (Some((Some(2.0), Some(0.5), 24, Upscaler::Lanczos)), false));
    // Without a change of the size it is no second pass.
    graph["11"] = json!({"class_type": "VAEEncode", "inputs": {"pixels": ["13", 0]}});
    assert_eq!(carried(&graph), (None, true));
}

#[test]
fn attributes_of_several_characters_are_not_guessed() {
    let imported = import(b"2girls, blue hair, red eyes\nSteps: 20, Seed: 1").expect("an infotext");
    let prompt = prompt(&imported);
    assert_eq!(prompt.characters, []);
    assert_eq!(prompt.general_tags.expect("some").other.to_string(), "blue_hair, red_eyes");
    assert_eq!(imported.left_out[0].name, "which character has which attribute");
}

#[test]
fn the_characters_of_novelai_keep_their_attributes_and_places() {
    let comment = json!({
        "prompt": "2girls, garden", "uc": "lowres", "steps": 28, "scale": 5.5, "seed": 77, "sampler": "k_euler",
        "width": 1216, "height": 832, "cfg_rescale": 0.2, "sm": false,
        "v4_prompt": {"caption": {"base_caption": "2girls, garden", "char_captions": [
            {"char_caption": "girl, blue hair", "centers": [{"x": 0.3, "y": 0.5}]},
            {"char_caption": "girl, pink hair, smile", "centers": [{"x": 0.7, "y": 0.5}]},
        ]}},
    });
    let file = png_with(&[("Software", "NovelAI"), ("Comment", &comment.to_string())]);
    let imported = import(&file).expect("a comment");
    let prompt = prompt(&imported);
    let read: Vec<(String, String)> = prompt
        .characters
        .iter()
        .map(|character| (character.appearance.to_string(), character.position.to_string()))
        .collect();
    assert_eq!(read, [("blue_hair".into(), "center_left".into()), ("pink_hair".into(), "center_right".into())]);
    assert_eq!(left_out(&imported), [("cfg_rescale", "0.2")]);
    assert_eq!(imported.request.sampling.map(|sampling| sampling.solver()), Some(Solver::Euler));
}

#[test]
fn invokeai_before_and_since_version_3() {
    let since = json!({"positive_prompt": "1girl, smile", "negative_prompt": "lowres", "width": 1024, "height": 1024,
        "seed": 5, "cfg_scale": 6, "steps": 30, "scheduler": "euler", "model": {"name": "Anima"},
        "loras": [{"model": {"name": "ink"}, "weight": 0.7}], "clip_skip": 0});
    let imported = import(&png_with(&[("invokeai_metadata", &since.to_string())])).expect("metadata");
    assert_eq!((imported.program, negative(&imported).as_str()), (Program::InvokeAi, "lowres"));
    assert_eq!(left_out(&imported), [("model", "Anima"), ("lora", "ink")]);
    let before = json!({"model_weights": "sd-1", "image": {"prompt": [{"prompt": "a fox [lowres, text]", "weight": 1}],
        "steps": 20, "cfg_scale": 7.5, "seed": 9, "width": 512, "height": 512, "sampler": "k_euler"}});
    let imported = import(&png_with(&[("sd-metadata", &before.to_string())])).expect("metadata");
    assert_eq!((negative(&imported).as_str(), imported.request.seed), ("lowres, text", Some(9)));
}

fn api_graph() -> Value {
    json!({
        "3": {"class_type": "KSampler", "inputs": {"seed": 42, "steps": 24, "cfg": 6.5, "sampler_name": "dpmpp_2m",
            "scheduler": "karras", "denoise": 1.0, "model": ["10", 0], "positive": ["6", 0], "negative": ["7", 0],
            "latent_image": ["5", 0]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "noob.safetensors"}},
        "10": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.safetensors", "strength_model": 0.8, "model": ["4", 0]}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 832, "height": 1216, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["8", 0], "clip": ["4", 1]}},
        "8": {"class_type": "StringConstant", "inputs": {"string": "1girl, long hair"}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "lowres", "clip": ["4", 1]}},
    })
}

#[test]
fn the_api_form_of_comfyui_is_followed_from_its_sampler() {
    let graph = api_graph();
    for file in [graph.to_string(), json!({ "prompt": graph }).to_string()] {
        let imported = import(file.as_bytes()).expect("a graph");
        assert_eq!(imported.program, Program::ComfyUi);
        assert_eq!(prompt(&imported).characters[0].appearance.to_string(), "long_hair");
        assert_eq!(negative(&imported), "lowres");
        let sampling = imported.request.sampling.clone().expect("given");
        assert_eq!((sampling.solver(), sampling.steps, sampling.guidance_scale), (Solver::Dpm, 24, Some(6.5)));
        assert_eq!((imported.request.seed, imported.request.width, imported.request.height), (Some(42), 832, 1216));
        assert_eq!(left_out(&imported), [("lora", "ink.safetensors:0.8"), ("model", "noob.safetensors")]);
    }
}

#[test]
fn the_editor_form_of_comfyui_is_read_by_its_widgets() {
    let workflow = json!({
        "nodes": [
            {"id": 3, "type": "KSampler", "widgets_values": [42, "fixed", 24, 6.5, "euler", "normal", 1],
             "inputs": [{"name": "positive", "link": 1}, {"name": "negative", "link": 2}, {"name": "latent_image", "link": 3}]},
            {"id": 5, "type": "EmptyLatentImage", "widgets_values": [640, 640, 1]},
            {"id": 6, "type": "CLIPTextEncode", "widgets_values": ["1boy, smile"]},
            {"id": 7, "type": "CLIPTextEncode", "widgets_values": ["lowres"]},
            {"id": 8, "type": "Reroute", "inputs": [{"name": "", "link": 4}]},
        ],
        "links": [[1, 8, 0, 3, 1, "CONDITIONING"], [2, 7, 0, 3, 2, "CONDITIONING"], [3, 5, 0, 3, 3, "LATENT"],
                  [4, 6, 0, 8, 0, "CONDITIONING"]],
    });
    let imported = import(&png_with(&[("workflow", &workflow.to_string())])).expect("a workflow");
    assert_eq!(prompt(&imported).characters[0].expression.to_string(), "smile");
    assert_eq!((imported.request.seed, imported.request.width), (Some(42), 640));
    assert_eq!(left_out(&imported), []);
}

#[test]
fn graphs_that_go_in_circles_end() {
    let mut graph = api_graph();
    graph["8"]["inputs"] = json!({"string": ["6", 0]});
    graph["10"]["inputs"]["model"] = json!(["10", 0]);
    assert!(matches!(
        import(graph.to_string().as_bytes()),
        Err(ImportError::Unreadable { program: Program::ComfyUi, .. })
    ));
}

#[test]
fn a_picture_and_a_request_of_sakuga_come_back() {
    let request =
        GenerateRequest { prompt: Some(Prompt::Xml("a fox".into())), width: 64, ..GenerateRequest::default() };
    let metadata = ImageMetadata { version: 1, request: Some(request.clone()), seed: 7, ..ImageMetadata::default() };
    let record = json::to_string(&metadata).expect("JSON");
    let imported = import(&png_with(&[("parameters", INFOTEXT), (picture::KEYWORD, &record)])).expect("a record");
    let expected = GenerateRequest { seed: Some(7), ..request };
    assert_eq!((imported.program, &imported.request), (Program::Sakuga, &expected));
    let again = import(json::to_string(&expected).expect("JSON").as_bytes()).expect("a request");
    assert_eq!(again.request, expected);
}

#[test]
fn what_holds_no_settings_is_refused_by_name() {
    let message = |file: &[u8]| import(file).expect_err("no settings").to_string();
    assert!(message(&png_with(&[("Comment", "hello")])).contains("no settings"));
    assert!(message(b"a fox in the snow").contains("no settings"));
    assert!(message(b"{\"a\": 1}").contains("not a request of Sakuga"));
    assert!(message(b"\xff\xd8\xff\xe0").contains("neither a PNG file nor text"));
    assert!(message(b"\x89PNG\r\n\x1a\n\0\0\xff\xfftEXt").contains("longer than the file"));
}

/// 2 MiB of text is the most, however small it is packed.
#[test]
fn hostile_texts_cost_little() {
    use std::io::Write as _;
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        packed.write_all(&[b'a'; 1 << 20]).expect("memory");
    }
    let packed = packed.finish().expect("memory");
    let chunk = [b"parameters\0\0".as_slice(), &packed].concat();
    let mut file = png_texts::SIGNATURE.to_vec();
    file.extend((chunk.len() as u32).to_be_bytes());
    file.extend_from_slice(b"zTXt");
    file.extend(&chunk);
    file.extend([0; 4]);
    let message = |file: &[u8]| import(file).expect_err("too much text").to_string();
    assert_eq!(message(&file), "the texts of the PNG file have more than 2097152 bytes, the most that are read");
    let text = vec![b'a'; MAX_TEXT_BYTES + 1];
    assert_eq!(message(&text), "the text file has more than 2097152 bytes, the most that are read");
    let object = format!("{{\"a\":\"{}\"}}", "a".repeat(MAX_JSON_BYTES));
    assert_eq!(message(object.as_bytes()), "the JSON file has more than 524288 bytes, the most that are read");
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(import(&png_with(&[("prompt", &nested)])).is_err());
    let tags = |count: usize| format!("{}\nSteps: 20", "(a:1.1), ".repeat(count));
    assert!(import(tags(5_000).as_bytes()).is_ok());
    assert!(matches!(import(tags(20_000).as_bytes()), Err(ImportError::TooLong { what: "prompt", .. })));
    let nodes = format!("{{\"nodes\":[{}{{}}]}}", "{\"id\":1,\"type\":\"a\"},".repeat(40_000));
    let found = import(&png_with(&[("workflow", &nodes)]));
    assert!(matches!(found, Err(ImportError::TooLong { program: Program::ComfyUi, what: "record", .. })), "{found:?}");
    let captions = "{\"char_caption\":\"a\"},".repeat(20_000);
    let comment = format!("{{\"uc\":\"\",\"v4_prompt\":{{\"caption\":{{\"char_captions\":[{captions}{{}}]}}}}}}");
    let imported = import(&png_with(&[("Software", "NovelAI"), ("Comment", &comment)])).expect("short prompts");
    let Some(Prompt::Typed(prompt)) = imported.request.prompt else { panic!("a typed prompt") };
    assert_eq!((prompt.characters.len(), imported.left_out.len()), (16, 20_000 - 16));
}

/// A file is read once, from its start to its end, and only its texts are held.
#[test]
fn what_is_no_text_is_skipped() {
    let chunk = |kind: &[u8], data: &[u8]| [&(data.len() as u32).to_be_bytes(), kind, data, &[0; 4]].concat();
    let text = chunk(b"tEXt", format!("parameters\0{INFOTEXT}").as_bytes());
    let file = |before: usize| [png_texts::SIGNATURE, &chunk(b"IDAT", &vec![0; before]), &text].concat();
    assert_eq!(import(&file(1 << 20)).expect("settings"), import(INFOTEXT.as_bytes()).expect("settings"));
    assert!(matches!(import(&file(MAX_FILE_BYTES)), Err(ImportError::TooLarge { .. })));
    let whole = file(100);
    for length in 0..whole.len() {
        assert!(import(&whole[..length]).is_err(), "{length} bytes");
    }
}
