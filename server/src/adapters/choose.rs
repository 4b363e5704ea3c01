//! Looks up the adapters that a request names. Every fault is reported, with the most similar known name.

use sakuga_model_core::{AdapterChoice, Limit, limits};

use super::listing::{ListedAdapter, Listing};
use crate::error::Violation;
use crate::models::{ServedModel, nearest};

/// The most problems of an adapter that one violation quotes.
const PROBLEMS_SHOWN: usize = 3;

/// An adapter as a request names it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RequestedAdapter {
    /// Which one; `None`: the request does not say.
    pub source: Option<AdapterSource>,
    /// Factor on its effect on the denoiser; `None`: 1.
    pub scale: Option<f32>,
    /// Factor on its effect on the text encoders; `None`: as `scale`.
    pub text_scale: Option<f32>,
}

/// Which adapter a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AdapterSource {
    Name(String),
    /// The one with this content, in hexadecimal digits.
    Sha256(String),
}

impl RequestedAdapter {
    /// Whether the offer knows it, as a usable adapter or as one that cannot be used.
    pub(super) fn is_in(&self, offer: &Offer<'_>) -> bool {
        self.source.as_ref().is_none_or(|source| find(source, offer).is_some() || offer.fault(source).is_some())
    }
}

/// What a caller may choose from.
#[derive(Clone, Copy)]
pub(super) struct Offer<'a> {
    /// The folder.
    pub(super) listing: &'a Listing,
    /// Files that the caller uploaded, or why they cannot be used, by their SHA-256.
    pub(super) uploaded: &'a [(String, Result<ListedAdapter, String>)],
}

impl Offer<'_> {
    /// Why an uploaded file cannot be used.
    fn fault(&self, source: &AdapterSource) -> Option<&str> {
        let AdapterSource::Sha256(wanted) = source else { return None };
        let (_, found) = self.uploaded.iter().find(|(sha256, _)| sha256 == wanted)?;
        found.as_ref().err().map(String::as_str)
    }
}

fn find<'a>(source: &AdapterSource, offer: &Offer<'a>) -> Option<&'a ListedAdapter> {
    let is_meant = |adapter: &&ListedAdapter| match source {
        AdapterSource::Name(name) => adapter.name == *name,
        AdapterSource::Sha256(sha256) => adapter.sha256().eq_ignore_ascii_case(sha256),
    };
    let uploaded = || offer.uploaded.iter().filter_map(|(_, found)| found.as_ref().ok());
    let by_content = matches!(source, AdapterSource::Sha256(_)).then(uploaded).into_iter().flatten();
    offer.listing.adapters.iter().chain(by_content).find(is_meant)
}

/// The hashes that a request names and the folder does not have.
pub(super) fn is_uploaded<'a>(
    requested: &'a [RequestedAdapter],
    listing: &'a Listing,
) -> impl Iterator<Item = &'a str> {
    let folder = Offer { listing, uploaded: &[] };
    requested.iter().filter_map(move |adapter| match adapter.source.as_ref()? {
        source @ AdapterSource::Sha256(sha256) if find(source, &folder).is_none() => Some(sha256.as_str()),
        _ => None,
    })
}

/// Whether a request for `model` may have this number of adapters. If not, the fault is added to `faults`.
pub(super) fn may_have(requested: &[RequestedAdapter], model: &ServedModel, faults: &mut Vec<Violation>) -> bool {
    let max = limits::ADAPTERS.max;
    if requested.len() > max {
        let text = format!("{} adapters are too many; use at most {max}", requested.len());
        faults.push(Violation::new(limits::ADAPTERS.field, Violation::OUT_OF_RANGE, text));
        return false;
    }
    if model.adapters.is_none() {
        let text = format!(
            "`{}` takes no adapters per request; the operator can merge them at the start of the server with --lora",
            model.name()
        );
        faults.push(Violation::new(limits::ADAPTERS.field, Violation::CONFLICT, text));
        return false;
    }
    true
}

/// The adapters for `model`. Every fault is added to `faults`.
pub(super) fn choose(
    requested: &[RequestedAdapter],
    offer: Offer<'_>,
    has_folder: bool,
    model: &ServedModel,
    faults: &mut Vec<Violation>,
) -> Vec<AdapterChoice> {
    let mut chosen = Vec::with_capacity(requested.len());
    for (index, adapter) in requested.iter().enumerate() {
        let field = |name: &str| format!("adapters[{index}]{name}");
        let scale = adapter.scale.unwrap_or(1.0);
        let text_scale = adapter.text_scale.unwrap_or(scale);
        let is_in_range = [
            in_range(field(".scale"), limits::ADAPTER_SCALE, scale, faults),
            adapter.text_scale.is_none()
                || in_range(field(".text_scale"), limits::ADAPTER_TEXT_SCALE, text_scale, faults),
        ];
        let Some(source) = &adapter.source else {
            let text = "set `name` to the name of an adapter or `sha256` to its content; ListAdapters has both";
            faults.push(Violation::new(field(""), Violation::REQUIRED, text));
            continue;
        };
        let Some(found) = find(source, &offer) else {
            let (name, text) = unknown(source, &offer, has_folder);
            faults.push(Violation::new(field(name), Violation::UNKNOWN_VALUE, text));
            continue;
        };
        let Some(description) = found.description(model.id) else { continue };
        let problems = description.problems_at(text_scale);
        if !problems.is_empty() {
            let text = misfit(found, model, &problems, &description.nearest_layout);
            faults.push(Violation::new(field(""), Violation::DOES_NOT_FIT, text));
        } else if is_in_range == [true; 2] {
            let (name, path, sha256) = (found.name.clone(), found.path.clone(), description.sha256.clone());
            let device_bytes = description.device_bytes(scale, text_scale);
            chosen.push(AdapterChoice { name, path, sha256, scale, text_scale, device_bytes });
        }
    }
    chosen
}

fn in_range(field: String, limit: Limit<f32>, given: f32, faults: &mut Vec<Violation>) -> bool {
    let is_in_range = limit.contains(given);
    if !is_in_range {
        faults.push(Violation::out_of_range(field, &limit, given));
    }
    is_in_range
}

/// The field of an adapter that is not there, and what is.
fn unknown(source: &AdapterSource, offer: &Offer<'_>, has_folder: bool) -> (&'static str, String) {
    let listing = offer.listing;
    match source {
        AdapterSource::Sha256(sha256) => {
            let text = match offer.fault(source) {
                Some(reason) => format!("the file that you uploaded under {sha256} cannot be used: {reason}"),
                None => format!(
                    "there is no adapter with the SHA-256 {sha256} in the server's folder or among the files that you \
                     uploaded; upload it, or leave it out for another picture"
                ),
            };
            (".sha256", text)
        }
        AdapterSource::Name(_) if !has_folder => {
            let text = "this server has no adapters of its own; its operator names a folder with --adapters, or you upload \
                        the file and name it by its SHA-256";
            (".name", text.to_owned())
        }
        AdapterSource::Name(name) => {
            if let Some(file) = listing.unusable.iter().find(|file| file.name == *name) {
                return (".name", format!("`{name}` cannot be used: {}", file.reason));
            }
            let known: Vec<&str> = listing.adapters.iter().map(|adapter| adapter.name.as_str()).collect();
            let text = match nearest(name, &known)[..] {
                [] if known.is_empty() => format!("there is no adapter `{name}`; the server's folder has none"),
                [] => format!("there is no adapter `{name}`; ListAdapters has the {} that there are", known.len()),
                ref names => format!("there is no adapter `{name}`; did you mean {}?", quoted(names)),
            };
            (".name", text)
        }
    }
}

fn quoted(names: &[&&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

/// Why an adapter cannot be used with a model.
fn misfit(adapter: &ListedAdapter, model: &ServedModel, problems: &[&str], nearest_layout: &str) -> String {
    let shown = problems.iter().take(PROBLEMS_SHOWN).copied().collect::<Vec<_>>().join("; ");
    let more = match problems.len().saturating_sub(PROBLEMS_SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more, which ListAdapters has"),
    };
    let layout = match nearest_layout {
        "" => String::new(),
        layout => format!(" Its names are most like those of: {layout}."),
    };
    format!("`{}` does not fit the model `{}`: {shown}{more}.{layout}", adapter.name, model.name())
}
