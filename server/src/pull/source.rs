//! The source of a pull: a repository of a hub, or one file at a URL.

use std::fmt::{self, Display};
use std::str::FromStr;

use reqwest::Url;

use crate::models::{MODEL_NAME_BYTES_MAX, has_name_letters, is_model_name};

/// The revision of a repository that is pulled unless another is named.
const REVISION_DEFAULT: &str = "main";
/// Bytes of a name in a source.
const PART_BYTES_MAX: usize = 128;

/// Where a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullSource {
    /// A repository of a hub.
    Hub(HubModel),
    /// A single file at a URL.
    File(FileUrl),
}

/// A repository of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubModel {
    /// Who publishes it.
    pub owner: String,
    /// The name of the repository.
    pub name: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

/// The URL of a safetensors file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileUrl {
    url: Url,
    name: String,
}

impl FileUrl {
    /// The whole URL; its query may be a secret.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The name of the file on disk.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl PullSource {
    /// The name that the model gets unless another is chosen.
    pub fn default_name(&self) -> String {
        let name = match self {
            Self::Hub(model) => &model.name,
            Self::File(file) => file.name.trim_end_matches(".safetensors"),
        };
        let name = name.trim_start_matches(|first: char| !first.is_ascii_alphanumeric());
        name.chars().take(MODEL_NAME_BYTES_MAX).collect()
    }
}

impl Display for PullSource {
    /// As it is written on the command line, without the query of a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(HubModel { owner, name, revision }) => {
                write!(f, "hf:{owner}/{name}")?;
                if revision == REVISION_DEFAULT { Ok(()) } else { write!(f, "@{revision}") }
            }
            Self::File(FileUrl { url, .. }) => {
                let mut shown = url.clone();
                shown.set_query(None);
                shown.set_fragment(None);
                write!(f, "{shown}")
            }
        }
    }
}

impl FromStr for PullSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(model) = text.strip_prefix("hf:") {
            return hub_model(model).map(Self::Hub);
        }
        if text.contains("://") {
            return file(text).map(Self::File);
        }
        let hint = if hub_model(text).is_ok() { format!("; did you mean `hf:{text}`?") } else { String::new() };
        Err(format!(
            "is not a model to pull; write `hf:OWNER/NAME`, `hf:OWNER/NAME@REVISION` or `https://…/file.safetensors`{hint}"
        ))
    }
}

fn hub_model(text: &str) -> Result<HubModel, String> {
    let (model, revision) = text.split_once('@').unwrap_or((text, REVISION_DEFAULT));
    let is_name = |text: &str| has_name_letters(text) && text.len() <= PART_BYTES_MAX && !text.contains("..");
    let is_revision = revision.split('/').all(is_name) && revision.len() <= PART_BYTES_MAX;
    match model.split_once('/') {
        Some((owner, name)) if is_name(owner) && is_name(name) && is_revision => {
            Ok(HubModel { owner: owner.to_owned(), name: name.to_owned(), revision: revision.to_owned() })
        }
        _ => Err("is not a model of a hub; write `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`".to_owned()),
    }
}

fn file(text: &str) -> Result<FileUrl, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        return Err("is not encrypted; write an https:// URL".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or a password in it, which would be recorded; leave them out".to_owned());
    }
    let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    if [".ckpt", ".pt", ".pth", ".bin"].iter().any(|end| last.ends_with(end)) {
        return Err(
            "is not a safetensors file, and files of that kind can run code when they are read; convert it to \
                    safetensors first"
                .to_owned(),
        );
    }
    let Some(stem) = last.strip_suffix(".safetensors").filter(|stem| !stem.is_empty()) else {
        return Err("does not end in the name of a .safetensors file".to_owned());
    };
    // Escapes and other characters do not reach the disk.
    let letter = |letter: char| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' };
    let stem: String = stem.chars().map(letter).take(PART_BYTES_MAX).collect();
    let name = format!("{}.safetensors", stem.trim_start_matches('.'));
    let source = FileUrl { url, name };
    let is_named = is_model_name(&PullSource::File(source.clone()).default_name());
    is_named.then_some(source).ok_or_else(|| "has no letter or digit in the name of its file".to_owned())
}

/// Whether a URL leads to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_and_files_are_read_and_shown_without_secrets() {
        for (text, shown, name) in [
            ("hf:NewBie-AI/NewBie-image-Exp0.1", "hf:NewBie-AI/NewBie-image-Exp0.1", "NewBie-image-Exp0.1"),
            ("hf:a/b@refs/pr/3", "hf:a/b@refs/pr/3", "b"),
            ("hf:a/b@main", "hf:a/b", "b"),
            ("https://x.org/y/anime.v2.safetensors?token=secret#x", "https://x.org/y/anime.v2.safetensors", "anime.v2"),
            ("http://127.0.0.1:9/a%20b.safetensors", "http://127.0.0.1:9/a%20b.safetensors", "a_20b"),
            ("http://[::1]:9/a.safetensors", "http://[::1]:9/a.safetensors", "a"),
        ] {
            let source: PullSource = text.parse().expect(text);
            assert_eq!((source.to_string().as_str(), source.default_name().as_str()), (shown, name));
        }
    }

    #[test]
    fn what_is_no_source_is_refused_with_the_form() {
        for (text, complaint) in [
            ("NewBie-AI/NewBie", "did you mean `hf:NewBie-AI/NewBie`?"),
            ("newbie", "hf:OWNER/NAME"),
            ("hf:newbie", "hf:OWNER/NAME"),
            ("hf:../x", "hf:OWNER/NAME"),
            ("hf:a/b/c", "hf:OWNER/NAME"),
            ("hf:a/b@../x", "hf:OWNER/NAME"),
            ("hf:a/b@", "hf:OWNER/NAME"),
            ("hf:a/b\u{1b}", "hf:OWNER/NAME"),
            ("http://x.org/a.safetensors", "https://"),
            ("https://me:secret@x.org/a.safetensors", "a password"),
            ("https://x.org/a.ckpt", "convert"),
            ("https://x.org/a.zip", ".safetensors"),
            ("https://x.org/.safetensors", ".safetensors"),
            ("ftp://x.org/a.safetensors", "https://"),
        ] {
            let error = text.parse::<PullSource>().expect_err(text);
            assert!(error.contains(complaint) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
