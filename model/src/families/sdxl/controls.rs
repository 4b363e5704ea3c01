//! The control networks in a folder: their descriptions, and those of the current request on the device.

use std::cell::{Ref, RefCell};
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use sakuga_model_core::{ControlChoice, ControlNetwork, Pass, Precision};
use serde_json::Value;

use super::denoise::Control;
use super::networks::Networks;
use super::source::published_control;
use crate::checkpoint::{SafetensorsFile, TensorReader, WeightSource, read_json, weight_files};
use crate::device::{OpenDevice, dtype};
use crate::error::LoadError;
use crate::families::fingerprint;
use crate::families::place::Place;
use crate::networks::unet2d::{ControlConfig, ControlKind, ControlNet};
use crate::pixels::signed_pixels;

/// The control networks of a model.
#[derive(Default)]
pub(super) struct ControlNetworks {
    found: Vec<Found>,
    /// Those of the latest request that had any, by name.
    loaded: RefCell<Vec<(String, ControlNet)>>,
}

/// A network in the folder.
struct Found {
    network: ControlNetwork,
    path: PathBuf,
}

impl ControlNetworks {
    /// Lists `folder`: `.safetensors` files, and folders with a `config.json` and weights. A network that this model
    /// cannot use is listed with the reason.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub(super) fn find(folder: &Path, model: &Networks) -> Result<Self, LoadError> {
        let entries = fs::read_dir(folder).map_err(|source| LoadError::read(folder, source))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| is_network(path));
        paths.sort();
        let describe = |path: PathBuf| {
            let name = if path.is_dir() { path.file_name() } else { path.file_stem() }.unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            let network = describe(&path, model)
                .unwrap_or_else(|error| ControlNetwork { problem: error.to_string(), ..ControlNetwork::default() });
            Found { network: ControlNetwork { name, ..network }, path }
        };
        let mut found: Vec<Found> = paths.into_iter().map(describe).collect();
        found.dedup_by(|second, first| second.network.name == first.network.name);
        Ok(Self { found, loaded: RefCell::default() })
    }

    /// The networks that requests may name, and those that cannot be used.
    pub(super) fn networks(&self) -> Vec<ControlNetwork> {
        self.found.iter().map(|found| found.network.clone()).collect()
    }

    /// Puts the networks of a request on the device, and frees those of earlier requests that it does not have.
    ///
    /// # Errors
    ///
    /// A network is not in the folder, or its files have changed and do not fit any more.
    pub(super) fn ready(&self, controls: &[ControlChoice], place: &Place) -> Result<Ready<'_>, LoadError> {
        if controls.is_empty() {
            return Ok(Ready(self.loaded.borrow()));
        }
        let mut loaded = self.loaded.borrow_mut();
        loaded.retain(|(name, _)| controls.iter().any(|control| control.network == *name));
        for control in controls {
            if loaded.iter().any(|(name, _)| *name == control.network) {
                continue;
            }
            let found = self.found.iter().find(|found| found.network.name == control.network);
            let Some(Found { path, .. }) = found else {
                return Err(LoadError::layout(&control.network, "there is no control network of this name"));
            };
            let opened = Opened::open(path, place.device(), place.precision())?;
            let network = ControlNet::load(&opened.config, &opened.reader);
            opened.reader.finish()?;
            loaded.push((control.network.clone(), network));
        }
        drop(loaded);
        Ok(Ready(self.loaded.borrow()))
    }

    /// Frees the memory of all networks.
    pub(super) fn release(&self) {
        self.loaded.borrow_mut().clear();
    }
}

/// The control networks that are on the device.
pub(super) struct Ready<'a>(Ref<'a, Vec<(String, ControlNet)>>);

impl Ready<'_> {
    /// The controls of a request in a pass. Images get the size of the pass.
    pub(super) fn controls(&self, controls: &[ControlChoice], pass: &Pass, device: &Device) -> Vec<Control<'_>> {
        let control = |choice: &ControlChoice| {
            let (_, network) = self.0.iter().find(|(name, _)| *name == choice.network)?;
            let image = choice.image.resampled(pass.width_px, pass.height_px);
            Some(Control {
                network,
                image: unit_pixels(signed_pixels(&image, device)),
                scale: f64::from(choice.scale),
                start: f64::from(choice.start),
                end: f64::from(choice.end),
                guess_mode: false,
            })
        };
        controls.iter().filter_map(control).collect()
    }
}

/// Pixels in -1..1, as the VAE takes them, to 0..1, as control networks take them.
fn unit_pixels(image: Tensor<4>) -> Tensor<4> {
    image.add_scalar(1.0).div_scalar(2.0)
}

/// A network's configuration and tensors.
struct Opened {
    config: ControlConfig,
    reader: TensorReader,
}

impl Opened {
    fn open(path: &Path, device: &Device, precision: Precision) -> Result<Self, LoadError> {
        let (config, config_path) = config_of(path)?;
        let config =
            ControlConfig::from_json(&config).map_err(|source| LoadError::Config { path: config_path, source })?;
        let reader = TensorReader::open("controlnet", &files_of(path)?, device, dtype(precision))?;
        Ok(Self { config, reader })
    }
}

/// Whether a name in the folder is that of a network.
fn is_network(path: &Path) -> bool {
    match path.is_dir() {
        true => path.join("config.json").is_file(),
        false => path.extension().is_some_and(|end| end.eq_ignore_ascii_case("safetensors")),
    }
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    if path.is_dir() { weight_files(path) } else { Ok(vec![path.to_owned()]) }
}

/// The configuration and the path that its faults are reported for. A file has none: it is that of the published networks.
fn config_of(path: &Path) -> Result<(Value, PathBuf), LoadError> {
    if !path.is_dir() {
        return Ok((published_control(), path.to_owned()));
    }
    let config = path.join("config.json");
    Ok((read_json(&config)?, config))
}

/// Describes a network from its configuration and headers.
///
/// # Errors
///
/// Why this model cannot use it.
fn describe(path: &Path, model: &Networks) -> Result<ControlNetwork, LoadError> {
    let files = files_of(path)?;
    let mut names = Vec::new();
    for file in &files {
        names.extend(SafetensorsFile::open(file)?.entries().keys().cloned());
    }
    match ControlKind::of_tensors(names.iter().map(String::as_str)) {
        Some(kind) if kind.is_supported() => {}
        Some(kind) => {
            return Err(LoadError::layout(
                path,
                format!("it is {}, which is not supported; use a ControlNet", kind.name()),
            ));
        }
        None => return Err(LoadError::layout(path, "its tensors are not those of a ControlNet")),
    }
    // Placeholders of a single value each: nothing is read but the headers.
    let opened = Opened::open(path, &OpenDevice::cpu().device, model.place.precision())?;
    opened.reader.read_from(WeightSource::Headers);
    drop(ControlNet::load(&opened.config, &opened.reader));
    let report = opened.reader.finish()?;
    check_fits(path, &opened.config, model)?;
    Ok(ControlNetwork {
        fingerprint: fingerprint::of_files(&files)?,
        device_bytes: report.bytes,
        ..ControlNetwork::default()
    })
}

/// Checks that a network adds to what the model's U-Net has.
fn check_fits(path: &Path, config: &ControlConfig, model: &Networks) -> Result<(), LoadError> {
    let unet = model.unet.config();
    let channels = |unet: &crate::networks::unet2d::UnetConfig| -> Vec<usize> {
        unet.levels.iter().map(|level| level.channels).collect()
    };
    let is_same = channels(unet) == channels(&config.unet)
        && unet.layers_per_block == config.unet.layers_per_block
        && unet.cross_attention_dim == config.unet.cross_attention_dim
        && unet.added_features == config.unet.added_features
        && unet.in_channels == config.unet.in_channels;
    if !is_same {
        return Err(LoadError::layout(path, "it was made for a U-Net of other sizes"));
    }
    if config.factor() != model.vae.config().factor() {
        return Err(LoadError::layout(path, "its image has another size than the pictures of this model"));
    }
    Ok(())
}
