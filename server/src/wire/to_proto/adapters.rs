//! Adapters of the server's folder.

use prost::Message as _;
use sakuga_model_core::AdapterDescription;
use sakuga_proto::model::v1 as model;

use crate::adapters::{ListedAdapter, UnusableFile};
use crate::models::ServedModel;

/// Bytes of a list of adapters: less than what a client takes by default, 4 MiB.
const LIST_BYTES_MAX: usize = 3 << 20;

/// The list as it is sent. If it is too long for one message, the last adapters come without their trigger words and without
/// what does not match; whether they fit is always stated.
pub(crate) fn adapters(mut list: model::ListAdaptersResponse) -> model::ListAdaptersResponse {
    let mut excess = list.encoded_len().saturating_sub(LIST_BYTES_MAX);
    for adapter in list.adapters.iter_mut().rev() {
        if excess == 0 {
            break;
        }
        let before = adapter.encoded_len();
        adapter.trigger_words.clear();
        for fit in &mut adapter.fits {
            fit.problems.clear();
            fit.text_problems.clear();
        }
        excess = excess.saturating_sub(before - adapter.encoded_len());
    }
    list
}

/// An adapter, and whether it fits each of `models`.
pub(crate) fn adapter_status<'a>(
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
pub(crate) fn unusable_adapter(file: &UnusableFile) -> model::UnusableAdapter {
    model::UnusableAdapter { name: file.name.clone(), reason: file.reason.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_keeps_every_adapter_and_drops_details_of_the_last() {
        let fit = model::AdapterFit { problems: vec!["p".repeat(200); 9], ..Default::default() };
        let long = model::AdapterStatus {
            name: "n".repeat(255),
            base_model: "b".repeat(800),
            trigger_words: vec!["t".repeat(800); 16],
            fits: vec![fit; 2],
            ..Default::default()
        };
        let list = model::ListAdaptersResponse { adapters: vec![long.clone(); 1024], ..Default::default() };
        assert!(list.encoded_len() > 16 << 20);
        let sent = adapters(list);
        assert!(sent.encoded_len() <= LIST_BYTES_MAX, "{}", sent.encoded_len());
        assert_eq!((sent.adapters.len(), &sent.adapters[0]), (1024, &long));
        assert!(sent.adapters[1023].trigger_words.is_empty() && sent.adapters[1023].fits.len() == 2);
        let short = model::ListAdaptersResponse { adapters: vec![long; 3], ..Default::default() };
        assert_eq!(adapters(short.clone()), short);
    }
}
