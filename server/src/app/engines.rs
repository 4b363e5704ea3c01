//! [`Engine`]: the models of the configuration on one of its devices, before they are opened.

use std::sync::Arc;

use sakuga_model_core::{DeviceChoice, ModelSource};

use crate::config::{ConfiguredModel, DevicesChoice, EngineChoice, ModelsConfig};
use crate::engine::scripted;
use crate::models::NamedSource;

/// The models of the configuration on one of its devices.
pub(super) struct Engine {
    /// The device, as the configuration names it.
    pub(super) name: String,
    /// In the order of the configuration.
    pub(super) sources: Vec<Arc<dyn ModelSource>>,
    /// `None`: it has the device for itself.
    pub(super) share: Option<CpuShare>,
}

/// The share of the CPU's cores for one of several engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuShare {
    /// Its index among them, from 0.
    pub(super) place: usize,
    pub(super) engines: usize,
}

impl Engine {
    /// Whether the configuration names a device, and the engine was opened on another one.
    pub(super) fn names_another_device(&self, opened_as: &str) -> bool {
        self.name != DeviceChoice::Auto.to_string() && self.name != opened_as
    }
}

/// The engines of a configuration, one for each device.
pub(super) fn of(config: &ModelsConfig) -> Vec<Engine> {
    let devices = devices(config);
    let shares = shares(&devices);
    let by_model: Vec<_> = config.models.iter().map(|model| sources(model, &devices, &shares)).collect();
    let engine = |(place, (device, share)): (usize, (&DeviceChoice, &Option<CpuShare>))| Engine {
        name: device.to_string(),
        sources: by_model.iter().map(|sources| sources[place].clone()).collect(),
        share: *share,
    };
    devices.iter().zip(&shares).enumerate().map(engine).collect()
}

/// The devices of a configuration.
fn devices(config: &ModelsConfig) -> Vec<DeviceChoice> {
    match &config.devices {
        DevicesChoice::List(devices) => devices.clone(),
        DevicesChoice::All => {
            let gpus: Vec<_> = (0..gpu_count(config)).map(DeviceChoice::Cuda).collect();
            // A program with GPU code reports here that there is no GPU.
            if gpus.is_empty() { vec![DeviceChoice::Auto] } else { gpus }
        }
    }
}

#[cfg(feature = "burn")]
fn gpu_count(config: &ModelsConfig) -> usize {
    let has_model = config.models.iter().any(|model| matches!(model.engine, EngineChoice::Burn(_)));
    if has_model { crate::engine::burn::gpu_count() } else { 0 }
}

#[cfg(not(feature = "burn"))]
fn gpu_count(_: &ModelsConfig) -> usize {
    0
}

/// The shares of the engines on the CPU, if there are several.
fn shares(devices: &[DeviceChoice]) -> Vec<Option<CpuShare>> {
    let is_cpu = |device: &DeviceChoice| *device == DeviceChoice::Cpu;
    let engines = devices.iter().filter(|device| is_cpu(device)).count();
    let mut places = 0..engines;
    let mut share = |device| {
        let place = if is_cpu(device) { places.next() } else { None };
        place.filter(|_| engines > 1).map(|place| CpuShare { place, engines })
    };
    devices.iter().map(&mut share).collect()
}

/// The sources of a model of the configuration, one for each device, under the name that it has there.
#[cfg_attr(not(feature = "burn"), expect(unused_variables, reason = "scripts do not compute"))]
fn sources(
    model: &ConfiguredModel,
    devices: &[DeviceChoice],
    shares: &[Option<CpuShare>],
) -> Vec<Arc<dyn ModelSource>> {
    let sources: Vec<Arc<dyn ModelSource>> = match &model.engine {
        EngineChoice::Scripted(script) => scripted::sources(script.clone(), devices.len()),
        #[cfg(feature = "burn")]
        EngineChoice::Burn(options) => {
            let on = |(device, share): (&DeviceChoice, &Option<CpuShare>)| {
                let cores = share.map(|share| share.cores());
                crate::engine::burn::source(sakuga_model_core::ModelOptions {
                    device: *device,
                    cores,
                    ..options.clone()
                })
            };
            devices.iter().zip(shares).map(on).collect()
        }
    };
    sources.into_iter().map(|source| NamedSource::over(source, model.name.clone())).collect()
}

#[cfg(any(feature = "burn", test))]
impl CpuShare {
    /// Number of cores: the same for each engine, at least one.
    fn cores(self) -> usize {
        let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (all / self.engines).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::scripted::Script;

    #[test]
    fn engines_on_the_cpu_share_it_and_gpus_are_not_shared() {
        let devices = "cpu,cuda:1,cpu".parse().expect("a list");
        let config = ModelsConfig { devices, ..EngineChoice::Scripted(Script::default()).into() };
        let engines = of(&config);
        let share = |place| Some(CpuShare { place, engines: 2 });
        let shares: Vec<_> = engines.iter().map(|engine| (engine.name.as_str(), engine.share)).collect();
        assert_eq!(shares, [("cpu", share(0)), ("cuda:1", None), ("cpu", share(1))]);
        assert!(engines.iter().all(|engine| engine.sources.len() == 1));
        assert!(engines[1].names_another_device("cpu") && !engines[1].names_another_device("cuda:1"));
        let alone = of(&EngineChoice::Scripted(Script::default()).into());
        assert_eq!((alone.len(), alone[0].share), (1, None));
        assert!(!alone[0].names_another_device("cpu"), "`auto` is any device");
        let cores = CpuShare { place: 0, engines: 1 }.cores();
        assert_eq!(CpuShare { place: 0, engines: 2 }.cores(), (cores / 2).max(1));
        assert_eq!(CpuShare { place: 0, engines: 4 * cores }.cores(), 1);
    }
}
