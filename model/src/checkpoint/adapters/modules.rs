//! Finding the module of a checkpoint that an adapter's key names.

use std::collections::BTreeMap;
use std::ops::Range;

use super::keys::Module;

/// Another name of a module, or of some of its outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The name, with dots.
    pub name: String,
    /// The rows of the module's weight that have this name; `None`: all.
    pub rows: Option<Range<usize>>,
}

impl From<String> for Alias {
    fn from(name: String) -> Self {
        Self { name, rows: None }
    }
}

/// The tensors of a part of a checkpoint, and the names by which adapters call its modules.
#[derive(Debug)]
pub struct AdaptableTensors {
    shapes: BTreeMap<String, Vec<usize>>,
    /// Modules by name with dots; each module is there under its own name and its others.
    dotted: BTreeMap<String, Target>,
    /// Modules by name with underscores for dots. Two modules may have the same one.
    flat: BTreeMap<String, Vec<Target>>,
}

/// A module of the checkpoint, or some of its outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The module's path in the checkpoint.
    pub(super) path: String,
    /// The rows of its weight; `None`: all.
    pub(super) rows: Option<Range<usize>>,
}

impl AdaptableTensors {
    /// Tensors of these names and shapes; `others` gives further names of a module.
    pub fn new(shapes: BTreeMap<String, Vec<usize>>, others: &dyn Fn(&str) -> Vec<Alias>) -> Self {
        let mut table = Self { shapes: BTreeMap::new(), dotted: BTreeMap::new(), flat: BTreeMap::new() };
        for path in shapes.keys().filter_map(|name| name.strip_suffix(".weight")) {
            for Alias { name, rows } in others(path).into_iter().chain([path.to_owned().into()]) {
                let target = Target { path: path.to_owned(), rows };
                let targets = table.flat.entry(name.replace('.', "_")).or_default();
                if !targets.contains(&target) {
                    targets.push(target.clone());
                }
                table.dotted.insert(name, target);
            }
        }
        table.shapes = shapes;
        table
    }

    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.shapes.get(name).map(Vec::as_slice)
    }

    /// The module in the checkpoint, or why none matches.
    pub(super) fn find(&self, module: &Module) -> Result<&Target, String> {
        let Module { path, flat } = module;
        if !flat {
            return self.dotted.get(path).ok_or_else(|| missing(path));
        }
        match self.flat.get(path).map(Vec::as_slice) {
            Some([target]) => Ok(target),
            Some(targets) => {
                let paths: Vec<&str> = targets.iter().map(|target| target.path.as_str()).collect();
                Err(format!("module `{path}` could be any of {paths:?}"))
            }
            None => Err(missing(path)),
        }
    }
}

/// Says that a module is missing, and which other network it belongs to by its name.
fn missing(path: &str) -> String {
    const NETWORKS: &[(&[&str], &str)] = &[
        (
            &["input_blocks", "output_blocks", "middle_block", "down_blocks", "up_blocks", "mid_block"],
            "Stable Diffusion's U-Net",
        ),
        (&["double_blocks", "single_blocks", "single_transformer_blocks"], "FLUX"),
        (&["joint_blocks"], "Stable Diffusion 3"),
        (&["transformer_blocks"], "FLUX or Stable Diffusion 3"),
        (&["layers", "noise_refiner", "context_refiner"], "NewBie's or Lumina's transformer"),
    ];
    let is_of = |names: &[&str]| {
        names.iter().any(|name| path.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '_'])))
    };
    let network = NETWORKS.iter().find(|(names, _)| is_of(names)).map(|(_, network)| *network);
    let network = network.map(|network| format!("; modules of {network} have such names")).unwrap_or_default();
    format!("module `{path}` is not in this checkpoint{network}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_module_names_its_network() {
        for (path, network) in [
            ("input_blocks_4_1_transformer_blocks_0_attn1_to_q", "U-Net"),
            ("down_blocks.1.attentions.0.proj_in", "U-Net"),
            ("double_blocks_3_img_attn_qkv", "FLUX"),
            ("transformer_blocks.0.attn.to_q", "Stable Diffusion 3"),
            ("layers.71.feed_forward.w2", "NewBie"),
        ] {
            let text = missing(path);
            assert!(text.contains(path) && text.contains(network), "{text}");
        }
        assert!(!missing("layerscale.gamma").contains("such names"));
    }
}
