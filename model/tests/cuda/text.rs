//! Both text encoders on vendor libraries and our kernels, compared with burn's operations in f32 on the CPU, and
//! cached prefixes compared with complete computations.

use burn::tensor::{DType, Device};
use sakuga_model::checkpoint::ModelFolder;
use sakuga_model::device::OpenDevice;
use sakuga_model::families::newbie::synthetic::{self, GemmaSize, JinaSize, Preset};
use sakuga_model::networks::TextCounts;
use sakuga_model::networks::gemma3::{Gemma3, Gemma3Config};
use sakuga_model::networks::jina_clip::{JinaClip, JinaClipConfig};
use sakuga_model::tokens::TokenBatch;

use crate::{gpu, relative_error};

/// Error of rounding to bf16 over a few blocks.
const TOLERANCE: f64 = 2e-2;
/// One rounding to bf16: the allowed error of a text with a cached prefix.
const ONE_ROUNDING: f64 = 1.0 / 256.0;
/// Ids below are special.
const FIRST_ID: u32 = 5;
const VOCABULARY: usize = 2048;

/// Small, but with layers of both kinds, grouped heads, and texts longer than the window.
fn preset() -> Preset {
    Preset {
        gemma: GemmaSize {
            vocabulary: VOCABULARY,
            hidden: 256,
            ffn: 512,
            layers: 8,
            heads: 4,
            kv_heads: 2,
            head_dim: 64,
            sliding_window: 64,
        },
        jina: JinaSize { vocabulary: VOCABULARY, hidden: 256, ffn: 512, layers: 3, heads: 4, lora_rank: 4 },
        ..Preset::tiny()
    }
}

fn load(preset: &Preset, device: &Device, dtype: DType) -> (Gemma3, JinaClip) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write(dir.path(), preset, 1).expect("writable");
    let folder = ModelFolder::open(dir.path()).expect("a checkpoint");
    let gemma = {
        let part = folder.component("text_encoder").expect("a part");
        let weights = part.reader(device, dtype).expect("readable");
        let gemma = Gemma3::load(&part.parse(Gemma3Config::from_json).expect("a configuration"), &weights);
        weights.finish().unwrap_or_else(|error| panic!("{error}"));
        gemma
    };
    let part = folder.component("clip_model").expect("a part");
    let weights = part.reader(device, dtype).expect("readable");
    let jina = JinaClip::load(&part.parse(JinaClipConfig::from_json).expect("a configuration"), &weights);
    weights.finish().unwrap_or_else(|error| panic!("{error}"));
    (gemma, jina)
}

/// Gemma with its weights in host memory.
fn load_offloaded(preset: &Preset, device: &Device) -> Gemma3 {
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write(dir.path(), preset, 1).expect("writable");
    let folder = ModelFolder::open(dir.path()).expect("a checkpoint");
    let part = folder.component("text_encoder").expect("a part");
    let weights = part.reader(device, DType::BF16).expect("readable");
    let config = part.parse(Gemma3Config::from_json).expect("a configuration");
    let gemma = Gemma3::load_offloaded(&config, &weights).unwrap_or_else(|error| panic!("{error}"));
    weights.finish().unwrap_or_else(|error| panic!("{error}"));
    gemma
}

/// A text of this many tokens; texts of one salt share a prefix.
fn text(salt: u32, length: usize) -> Vec<u32> {
    let range = VOCABULARY as u32 - FIRST_ID;
    (0..length as u32).map(|i| (i * 7919 + salt * 611) % range + FIRST_ID).collect()
}

/// The text with another id at `at`.
fn changed(mut ids: Vec<u32>, at: usize) -> Vec<u32> {
    ids[at] = if ids[at] == FIRST_ID { FIRST_ID + 1 } else { FIRST_ID };
    ids
}

/// Features of every text of a batch, without padding.
fn features(gemma: &Gemma3, texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let tokens = TokenBatch::padded(texts, 0, 8).expect("texts");
    let features = gemma.hidden_states(&tokens).expect("known ids");
    let [batch, width, dim] = features.dims();
    assert_eq!((batch, width), (texts.len(), tokens.width()));
    let values: Vec<f32> = features.try_into_vec_as().expect("the device works");
    let rows = values.chunks(width * dim).zip(texts);
    rows.map(|(row, ids)| row[..ids.len() * dim].to_vec()).collect()
}

fn pooled(jina: &JinaClip, texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let tokens = TokenBatch::padded(texts, 1, 1).expect("texts");
    let pooled = jina.pooled(&tokens).expect("known ids");
    let [_, dim] = pooled.dims();
    let values: Vec<f32> = pooled.try_into_vec_as().expect("the device works");
    values.chunks(dim).map(<[f32]>::to_vec).collect()
}

/// Batches of one and several texts, around the sizes in which tokens are counted.
fn batches() -> Vec<Vec<Vec<u32>>> {
    vec![
        vec![text(1, 1)],
        vec![text(2, 100), text(3, 9)],
        vec![text(4, 63), text(5, 64), text(6, 65)],
        vec![text(7, 300), text(8, 1)],
    ]
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn assert_close(what: &str, found: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(found.len(), expected.len());
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        let (error, cosine) = (relative_error(found, expected), cosine(found, expected));
        println!("{what}, text {row}: relative error {error:.2e}, cosine {cosine:.6}");
        assert!(error < TOLERANCE && cosine >= 0.999, "{what}, text {row}: relative error {error}, cosine {cosine}");
    }
}

#[test]
fn features_are_those_of_the_plain_tower() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let cpu = Device::flex();
    for preset in [preset(), Preset::tiny()] {
        let (gemma, _) = load(&preset, &device, DType::BF16);
        assert!(gemma.is_fast(), "the log says why the fast path is not taken");
        let (reference, _) = load(&preset, &cpu, DType::F32);
        for texts in batches() {
            let expected = features(&reference, &texts);
            let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
            assert_close(&format!("lengths {lengths:?}"), &features(&gemma, &texts), &expected);
        }
    }
}

#[test]
fn the_plain_tower_on_the_gpu_is_no_closer() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let texts = [text(2, 100)];
    let expected = features(&load(&preset(), &Device::flex(), DType::F32).0, &texts);
    let error = |gemma: Gemma3| relative_error(&features(&gemma, &texts)[0], &expected[0]);
    let fast = error(load(&preset(), &device, DType::BF16).0);
    let plain = error(load(&preset(), &device, DType::BF16).0.plain());
    println!("relative error: fast {fast:.2e}, plain {plain:.2e}");
    assert!(fast <= 1.1 * plain, "fast {fast}, plain {plain}");
}

#[test]
fn weights_in_the_host_s_memory_give_the_same_bits() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let (resident, _) = load(&preset(), &device, DType::BF16);
    let offloaded = load_offloaded(&preset(), &device);
    for texts in batches() {
        assert!(features(&offloaded, &texts) == features(&resident, &texts));
    }
    // The prefix of the first text is cached, with its keys and values.
    for texts in [[text(7, 300)], [changed(text(7, 300), 290)]] {
        assert!(features(&offloaded, &texts) == features(&resident, &texts));
    }
}

#[test]
fn a_text_has_the_same_features_every_time_and_in_every_batch() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let (gemma, jina) = load(&preset(), &device, DType::BF16);
    let (features_alone, pooled_alone) = (features(&gemma, &[text(2, 100)]), pooled(&jina, &[text(2, 100)]));
    for texts in [vec![text(2, 100)], vec![text(3, 9), text(2, 100)], vec![text(9, 130), text(1, 1), text(2, 100)]] {
        gemma.forget_texts();
        jina.forget_texts();
        assert!(features(&gemma, &texts).last() == features_alone.last(), "in a batch of {}", texts.len());
        assert!(pooled(&jina, &texts).last() == pooled_alone.last(), "in a batch of {}", texts.len());
    }
}

#[test]
fn a_text_that_comes_again_is_not_computed() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let (gemma, jina) = load(&preset(), &device, DType::BF16);
    let texts = [text(2, 100), text(3, 9)];
    let (first_features, first_pooled) = (features(&gemma, &texts), pooled(&jina, &texts));
    assert!(features(&gemma, &texts) == first_features && pooled(&jina, &texts) == first_pooled, "other bits");
    let [a, b] = texts;
    assert!(features(&gemma, &[b, a]).concat() == [&first_features[1][..], &first_features[0]].concat(), "other bits");
    let expected = TextCounts { hits: 4, prefix_hits: 0, misses: 2, tokens: 327, tokens_saved: 218 };
    assert_eq!(gemma.text_counts(), expected);
    let expected = TextCounts { hits: 2, prefix_hits: 0, misses: 2, tokens: 218, tokens_saved: 109 };
    assert_eq!(jina.text_counts(), expected);
}

#[test]
fn a_text_that_begins_like_an_earlier_one_has_the_features_of_computing_it_whole() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let (gemma, _) = load(&preset(), &device, DType::BF16);
    let earlier = text(2, 300);
    for (what, ids, saved) in [
        ("another last token", changed(text(2, 300), 299), 299),
        ("another token in the middle", changed(text(2, 300), 130), 130),
        ("more tokens", text(2, 330), 300),
        ("fewer tokens", text(2, 70), 70),
        ("fewer tokens and another last one", changed(text(2, 70), 69), 69),
        ("one token of a new tile", text(2, 321), 300),
    ] {
        gemma.forget_texts();
        let whole = features(&gemma, std::slice::from_ref(&ids));
        gemma.forget_texts();
        features(&gemma, std::slice::from_ref(&earlier));
        let before = gemma.text_counts().tokens_saved;
        let found = features(&gemma, std::slice::from_ref(&ids));
        assert_eq!(gemma.text_counts().tokens_saved - before, saved, "{what}");
        let different = found[0].iter().zip(&whole[0]).filter(|(a, b)| a != b).count();
        let error = relative_error(&found[0], &whole[0]);
        println!("{what}: {different} of {} values differ, relative error {error:.2e}", whole[0].len());
        assert!(error <= ONE_ROUNDING, "{what}: {error}");
    }
}

#[test]
fn a_prompt_and_its_negative_share_their_beginning_in_one_batch() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let (gemma, _) = load(&preset(), &device, DType::BF16);
    let negative = changed(text(2, 60), 40);
    let together = features(&gemma, &[text(2, 200), negative.clone()]);
    assert_eq!(gemma.text_counts().tokens_saved, 40);
    gemma.forget_texts();
    let alone = features(&gemma, &[negative]);
    let error = relative_error(&together[1], &alone[0]);
    println!("relative error {error:.2e}");
    assert!(error <= ONE_ROUNDING, "{error}");
}

#[test]
fn pooled_vectors_are_those_of_the_plain_tower() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let cpu = Device::flex();
    for preset in [preset(), Preset::tiny()] {
        let (_, jina) = load(&preset, &device, DType::BF16);
        assert!(jina.is_fast(), "the log says why the fast path is not taken");
        let (_, reference) = load(&preset, &cpu, DType::F32);
        for texts in batches() {
            let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
            assert_close(&format!("lengths {lengths:?}"), &pooled(&jina, &texts), &pooled(&reference, &texts));
        }
    }
}

#[test]
fn a_padding_id_in_the_midst_of_a_text_stays_hidden() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let mut ids = text(2, 20);
    ids[7] = 1;
    let (_, jina) = load(&preset(), &device, DType::BF16);
    let (_, reference) = load(&preset(), &Device::flex(), DType::F32);
    let expected = pooled(&reference, std::slice::from_ref(&ids));
    assert_close("a hidden token", &pooled(&jina, &[ids]), &expected);
}
