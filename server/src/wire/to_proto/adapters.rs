//! Adapters of the server's folder.

use sakuga_model_core::AdapterDescription;
use sakuga_proto::model::v1 as model;

use crate::adapters::{ListedAdapter, UnusableFile};
use crate::models::ServedModel;

/// An adapter, and whether it fits each of `models`.
pub fn adapter_status<'a>(
    adapter: &ListedAdapter,
    models: impl Iterator<Item = &'a ServedModel>,
) -> model::AdapterStatus {
    let description = adapter.any_description().cloned().unwrap_or_default();
    let fits = models.filter_map(|served| adapter.description(served.id).map(|found| fit(served.name(), found)));
    let AdapterDescription { sha256, bytes, algorithm, rank, base_model, trigger_words, .. } = description;
    model::AdapterStatus {
        name: adapter.name.clone(),
        sha256,
        size: bytes,
        algorithm,
        rank,
        base_model,
        trigger_words,
        fits: fits.collect(),
    }
}

fn fit(model: &str, found: &AdapterDescription) -> model::AdapterFit {
    model::AdapterFit {
        model: model.to_owned(),
        is_usable: found.problems.is_empty(),
        modules: found.modules,
        text_modules: found.text_modules,
        unmatched: found.unmatched,
        problems: found.problems.clone(),
        text_problems: found.text_problems.clone(),
        nearest_layout: found.nearest_layout.clone(),
    }
}

/// A file that cannot be used.
pub fn unusable_adapter(file: &UnusableFile) -> model::UnusableAdapter {
    model::UnusableAdapter { name: file.name.clone(), reason: file.reason.clone() }
}
