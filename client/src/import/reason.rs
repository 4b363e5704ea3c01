//! Reasons why settings of several programs are left out.

pub(super) const OTHER_MODEL: &str = "the model that drew it; this request goes to the server's model";
pub(super) const OTHER_ADAPTER: &str = "an adapter of another model; put one made for this model into the server's folder (--adapters) and name it with --adapter";
pub(super) const NO_CLIP_SKIP: &str = "it has no effect here: NewBie has no such setting, and Stable Diffusion XL always reads the penultimate layer, which `Clip skip: 2` names";
pub(super) const OTHER_PASS: &str =
    "no second pass of a request: one enlarges the picture of the first pass and draws it again";
pub(super) const NO_INIT_IMAGE: &str =
    "the image that it began from is not in the file; give it with --init, and this value with --strength";
pub(super) const NO_MASK: &str = "the mask is not in the file; give it with --mask, and this value with --feather";
pub(super) const NO_LATENT_IMAGE: &str = "the image that it began from is not in the file; give it with --init";
pub(super) const NO_COUNTERPART: &str = "no counterpart in a request";
pub(super) const OTHER_SCHEDULE: &str =
    "not every model has this schedule: name it by --schedule (karras or exponential) for one that has";
