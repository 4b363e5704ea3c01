//! Checks the pass of a scene as a request for its own model.

use bytes::Bytes;
use sakuga_proto::generation::v1::{self as generation};

use super::registry::Dependencies;
use super::uploads::OwnFiles;
use crate::error::{ServerError, Violation};
use crate::models::ServedModel;
use crate::request::{Request, RequestRules, SCENE};
use crate::wire::{from_proto, scene};

/// The second pass of a job, checked for the model that draws it.
pub(super) struct CheckedScene<'a> {
    pub(super) request: Request,
    pub(super) model: &'a ServedModel,
    /// The files that came within it.
    pub(super) inline_files: Vec<Bytes>,
}

/// Checks a scene. `first` is the request without its scene; `None`: it has faults.
///
/// # Errors
///
/// [`ServerError::InvalidRequest`] with [`SCENE`] before each field, or [`ServerError::UnknownModel`].
pub(super) fn check<'a>(
    dependencies: &'a Dependencies,
    uploads: &OwnFiles<'_>,
    given: generation::Scene,
    first: Option<&Request>,
) -> Result<CheckedScene<'a>, ServerError> {
    let model = dependencies.models.find("scene.model", &given.model)?;
    let mut faults = Vec::new();
    let (mut message, first_pass) = scene::from_proto(given, first.map(Request::picture_size_px), &mut faults);
    let adapters = from_proto::adapters(std::mem::take(&mut message.adapters));
    let mut unchecked = from_proto::unchecked(message);
    unchecked.images.first_pass = Some(first_pass);
    unchecked.faults.append(&mut faults);
    unchecked.adapters = dependencies.adapters.choose(adapters, model, uploads, &mut unchecked.faults);
    let inline_files = unchecked.images.inline_files();
    let seed = first.map_or(0, |first| first.spec().seed).wrapping_add(1);
    let request = unchecked.check(RequestRules { uploads, ..RequestRules::of(model) }, || seed).map_err(in_scene)?;
    Ok(CheckedScene { request, model, inline_files })
}

/// The error with every field named as one of the scene.
fn in_scene(error: ServerError) -> ServerError {
    let ServerError::InvalidRequest(faults) = error else { return error };
    let faults = faults.into_iter().map(|fault| Violation { field: format!("{SCENE}{}", fault.field), ..fault });
    ServerError::InvalidRequest(faults.collect())
}
