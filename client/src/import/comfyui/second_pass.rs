//! A sampler that draws the enlarged result of another one again.

use super::super::json_value::{number, shown, whole};
use super::super::second_pass::Second;
use super::super::settings::Settings;
use super::graph::{DEPTH, Graph, Node};

/// Inputs that lead from latents or pixels to those that they are made of.
const SOURCES: [&str; 5] = ["samples", "latent_image", "pixels", "image", "upscale_image"];

/// The second pass that `sampler` is for the result of `first`, whose settings are known. `None`: it is not one.
pub(super) fn read(graph: &Graph, first: &Node, sampler: &Node, settings: &Settings) -> Option<Second> {
    let mut node = graph.follow(sampler, "latent_image")?;
    let (mut factor, mut upscaler) = (None, String::new());
    for _ in 0..DEPTH {
        if node.id == first.id {
            let scheduler = graph.follow(sampler, "sigmas").unwrap_or(sampler);
            return Some(Second {
                factor: factor?,
                strength: number(graph.find(scheduler, &["denoise"]).as_ref()),
                steps: whole(graph.find(scheduler, &["steps", "value", "int"]).as_ref()),
                upscaler,
            });
        }
        if let Some(found) = enlarged_by(graph, node, settings) {
            factor = Some(factor.unwrap_or(1.0) * found);
            upscaler = name(graph, node);
        }
        node = SOURCES.iter().find_map(|input| graph.follow(node, input))?;
    }
    None
}

/// The factor by which a node enlarges what it gets.
fn enlarged_by(graph: &Graph, node: &Node, settings: &Settings) -> Option<f64> {
    if !node.class.contains("Scale") && !node.class.contains("Upscale") {
        return None;
    }
    let factor = number(graph.find(node, &["scale_by", "upscale_by", "factor"]).as_ref());
    let width: Option<u32> = whole(graph.find(node, &["width"]).as_ref());
    factor.or_else(|| Some(f64::from(width?) / f64::from(settings.width.filter(|width| *width > 0)?)))
}

/// The upscaler of a node, in the words of A1111.
fn name(graph: &Graph, node: &Node) -> String {
    let method = graph.find(node, &["upscale_method"]).map(|method| shown(&method)).unwrap_or_default();
    match node.class.contains("Latent") {
        true => format!("latent ({method})"),
        false => method,
    }
}
