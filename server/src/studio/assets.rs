//! The files of the page.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;

/// The answer of a program that was built without the page.
const MISSING: &str = "This program was built without the studio's page.\n\n\
    With Node.js 20.19 or later, `cargo xtask studio` in Sakuga's repository builds the page; then build the server\n\
    again. gRPC-Web calls are served here in any case.\n";

/// A file of the page.
pub(super) struct Asset {
    /// Its path below the root, such as `assets/index.js`.
    path: &'static str,
    /// Its content, compressed by gzip.
    packed: &'static [u8],
}

/// Every file; none in a program that was built without the page.
static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/studio.rs"));

/// The answer to a path.
pub(super) enum Found {
    /// A file of the page.
    File(&'static Asset),
    /// How to get the page.
    Instructions(&'static str),
}

/// The file at the path of a URL; `None` if there is no such file.
pub(super) fn find(path: &str) -> Option<Found> {
    let name = match path.strip_prefix('/')? {
        "" => "index.html",
        name => name,
    };
    match ASSETS.iter().find(|asset| asset.path == name) {
        Some(asset) => Some(Found::File(asset)),
        None if name == "index.html" => Some(Found::Instructions(MISSING)),
        None => None,
    }
}

impl Asset {
    pub(super) fn media_type(&self) -> &'static str {
        match self.path.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("txt") => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }

    /// Whether the path has a hash of the content, so that the file at this path never changes.
    pub(super) fn is_immutable(&self) -> bool {
        self.path.starts_with("assets/")
    }

    /// The content, compressed by gzip.
    pub(super) fn packed(&self) -> Bytes {
        Bytes::from_static(self.packed)
    }

    /// The content for a client that does not accept gzip; `None` if the file is damaged.
    pub(super) fn plain(&self) -> Option<Bytes> {
        let mut plain = Vec::new();
        GzDecoder::new(self.packed).read_to_end(&mut plain).ok()?;
        Some(plain.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_media_type_and_can_be_unpacked() {
        for asset in ASSETS {
            assert_ne!(asset.media_type(), "application/octet-stream", "{}", asset.path);
            assert!(asset.plain().is_some_and(|plain| !plain.is_empty()), "{}", asset.path);
        }
    }

    #[test]
    fn a_program_with_the_page_has_all_of_it() {
        let Some(Found::File(index)) = find("/") else {
            assert!(ASSETS.is_empty(), "a page without index.html");
            return;
        };
        let text = String::from_utf8(index.plain().expect("a file").to_vec()).expect("text");
        let named: Vec<&str> = text.split('"').filter(|word| word.starts_with("/assets/")).collect();
        assert!(named.len() >= 2, "a script and a style sheet in {text}");
        for path in named {
            assert!(matches!(find(path), Some(Found::File(_))), "{path}");
        }
    }

    #[test]
    fn paths_are_those_of_files_and_nothing_else() {
        assert!(find("/").is_some());
        for path in ["", "/nothing", "/../Cargo.toml", "/assets", "/index.html.gz", "//"] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
