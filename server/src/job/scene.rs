//! [`ScenePass`]: what a second model draws over the pictures of a job.

use std::borrow::Cow;
use std::sync::Arc;

use sakuga_model_core::{EngineInfo, GenerationSpec, InitImage, Rgb8};

use crate::estimate::{JobWork, Seen};
use crate::models::ModelId;
use crate::preview::PreviewPolicy;
use crate::request::Request;
use crate::request::images::FirstPass;

/// What a second model draws over the pictures of a job, one after the other. A picture is drawn alone, so that it has the same
/// pixels no matter which others the job draws.
#[derive(Clone, Debug)]
pub(crate) struct ScenePass {
    /// The model that draws it.
    pub model: ModelId,
    /// What the engine draws over one picture, whose pixels are not known yet.
    spec: GenerationSpec,
    first_pass: FirstPass,
    /// The work of one picture.
    pub work: JobWork,
}

impl ScenePass {
    /// The pass of a checked scene; `None` if the request is that of a whole job.
    pub(crate) fn new(scene: &Request, model: ModelId, info: &EngineInfo, preview: &PreviewPolicy) -> Option<Self> {
        let spec = GenerationSpec { images: 1, ..scene.spec().clone() };
        let work = JobWork::new(&spec, info, scene.tokens(), preview);
        Some(Self { model, spec, first_pass: scene.images().first_pass.clone()?, work })
    }

    /// What the engine draws over a picture, without the picture's pixels and index.
    pub(crate) fn spec(&self) -> &GenerationSpec {
        &self.spec
    }

    /// The work of one of `draws` pictures on a device. First uses count only if there is one picture.
    pub(crate) fn work_on(&self, seen: &Seen, draws: u32) -> Cow<'_, JobWork> {
        if draws == 1 { self.work.on(seen) } else { Cow::Borrowed(&self.work) }
    }

    /// What the engine draws over picture `image_index` of a batch of `images`.
    pub(crate) fn spec_over(&self, picture: &Rgb8, image_index: u32, images: u32) -> GenerationSpec {
        let size_px = [self.spec.width_px, self.spec.height_px];
        let init = self
            .spec
            .init
            .as_ref()
            .map(|init| InitImage { image: Arc::new(self.first_pass.placed(picture, size_px)), ..init.clone() });
        GenerationSpec { init, images, image_indices: vec![image_index], max_batch: 1, ..self.spec.clone() }
    }
}
