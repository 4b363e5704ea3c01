//! A model that is dropped and opened again from a copy in page-locked host memory.

use std::ops::ControlFlow;

use sakuga_model::families::newbie::synthetic::{self, Preset, VaeSize};
use sakuga_model::open::ModelFiles;
use sakuga_model_core::{
    DeviceChoice, GenerationSpec, ModelOptions, OpenModel, OpenOptions, Outcome, Precision, Rgb8, Sampling, WarmUp,
};

use crate::gpu;

const COPY: OpenOptions = OpenOptions { keeps_host_copy: true, skips_warm_up: true };

fn draw(open: &mut OpenModel) -> Vec<Rgb8> {
    let sampling = Sampling { steps: 3, ..open.info.model.sampling };
    let spec = GenerationSpec::new("1girl, solo", 256, 192, sampling);
    match open.model.generate(&spec, &mut |_| ControlFlow::Continue(())) {
        Ok(Outcome::Finished { images, .. }) => images,
        other => panic!("{other:?}"),
    }
}

/// Bytes of burn's pools on the device.
fn held(open: &OpenModel) -> u64 {
    (open.memory)().iter().filter(|pool| pool.name == "weights and tensors").map(|pool| pool.held_bytes).sum()
}

#[test]
fn a_model_from_pinned_memory_equals_one_from_the_files_and_leaves_the_device_when_dropped() {
    if gpu().is_none() {
        return;
    }
    let vae = VaeSize { channels: vec![32, 64, 128, 128], blocks_per_level: 1, norm_groups: 8 };
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write(dir.path(), &Preset { vae, ..Preset::tiny() }, 1).expect("writable");
    let files = ModelFiles::new(ModelOptions {
        device: DeviceChoice::Cuda(0),
        precision: Some(Precision::Bf16),
        model: Some(dir.path().to_owned()),
        warm_up: WarmUp::None,
        ..ModelOptions::default()
    });
    let open = |options| files.open(options).unwrap_or_else(|error| panic!("{error}"));
    let described = files.describe().unwrap_or_else(|error| panic!("{error}"));
    let mut model = open(OpenOptions { keeps_host_copy: false, skips_warm_up: true });
    let from_files = draw(&mut model);
    assert_eq!(described.info.memory, model.info.memory);
    assert_eq!(files.host_copy_bytes(), 0);
    drop(model);
    for round in 0..3 {
        let mut model = open(COPY);
        assert_eq!(draw(&mut model), from_files, "round {round}");
        assert_eq!(files.host_copy_bytes(), described.host_copy_bytes);
        let (loaded, memory) = (held(&model), model.memory.clone());
        drop(model);
        let left: u64 =
            memory().iter().filter(|pool| pool.name == "weights and tensors").map(|pool| pool.held_bytes).sum();
        let weights = described.info.memory.fixed_bytes;
        assert!(left + weights <= loaded, "{left} bytes of {loaded} are left, {weights} were weights");
    }
    files.drop_host_copy();
    assert_eq!(files.host_copy_bytes(), 0);
}
