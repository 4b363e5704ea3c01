//! Why a setting is left out, where several programs have it.

pub(super) const OTHER_MODEL: &str = "the model that drew it; this request goes to the server's model";
pub(super) const OTHER_ADAPTER: &str = "an adapter of another model; put one made for this model into the server's folder (--adapters) and name it with --adapter";
pub(super) const NO_CLIP_SKIP: &str = "this model's text encoders have no layers to skip";
pub(super) const NO_SECOND_PASS: &str = "there is no second pass; ask for the final size";
pub(super) const NO_INIT_IMAGE: &str = "there is no image to begin from";
pub(super) const NO_COUNTERPART: &str = "no counterpart in a request";
