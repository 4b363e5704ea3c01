//! URLs of pictures that work without a token for an hour: signed with a key of this run of the server.
//!
//! The signature covers the path and the query in front of it, so that each picture has one valid form of its URL. A
//! deleted picture has no URL any more.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::stream::{self, StreamExt as _};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderValue, Response};
use ring::hmac::{HMAC_SHA256, Key};
use ring::rand::SystemRandom;
use sakuga_proto::digest::hex;
use tonic::Status;
use tonic::body::Body;

use super::Api;
use super::output::{Format, Output};
use super::pictures::{Picture, ending_well};
use crate::auth::refusal::Refusal;
use crate::error::{ServerError, Violation};
use crate::job_id::JobId;
use crate::jobs::Caller;
use crate::service::refuse;

/// How long a URL works.
const VALID: Duration = Duration::from_secs(3600);

/// Signs and checks URLs.
pub(super) struct Signer(Key);

impl Signer {
    /// A signer with a random key.
    ///
    /// # Errors
    ///
    /// The system gives no random numbers.
    pub(super) fn new() -> io::Result<Self> {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new());
        key.map(Self).map_err(|_| io::Error::other("the system gives no random numbers"))
    }

    /// Path and query of a picture until `expires`, in seconds since 1970.
    fn sign(&self, picture: (&JobId, u32), output: Output, expires: u64) -> String {
        let (id, index) = picture;
        let Output { format, compression } = output;
        let text = format!("/v1/pictures/{id}/{index}.{}?compression={compression}&expires={expires}", format.name());
        let signature = hex(ring::hmac::sign(&self.0, text.as_bytes()).as_ref());
        format!("{text}&signature={signature}")
    }

    /// The compression that a URL names, if it is one of this server and has not expired.
    fn check(&self, path_and_query: &str, now: u64) -> Result<u8, Refusal> {
        let (text, signature) = path_and_query.rsplit_once("&signature=").ok_or(Refusal::BadSignature)?;
        let signature = bytes(signature).ok_or(Refusal::BadSignature)?;
        ring::hmac::verify(&self.0, text.as_bytes(), &signature).map_err(|_| Refusal::BadSignature)?;
        let (_, query) = text.split_once("?compression=").ok_or(Refusal::BadSignature)?;
        let (compression, expires) = query.split_once("&expires=").ok_or(Refusal::BadSignature)?;
        let expires: u64 = expires.parse().map_err(|_| Refusal::BadSignature)?;
        if now >= expires {
            return Err(Refusal::ExpiredUrl);
        }
        compression.parse().map_err(|_| Refusal::BadSignature)
    }
}

/// The bytes of lower-case hexadecimal digits.
fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(pair.first()?)? * 16 + digit(pair.get(1)?)?) as u8)).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl Api {
    /// The URL of a picture, under the name by which the request came.
    pub(super) fn url(&self, parts: &Parts, picture: &Picture) -> String {
        let header = || parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = parts.uri.authority().map(http::uri::Authority::as_str).or_else(header).unwrap_or_default();
        let signed = self.signer.sign((&picture.id, picture.image_index), picture.output, now() + VALID.as_secs());
        format!("{}://{host}{signed}", self.scheme)
    }

    /// A picture by its signed URL.
    pub(super) async fn picture(
        self: Arc<Self>,
        parts: &Parts,
        id: &str,
        file: &str,
    ) -> Result<Response<Body>, Status> {
        let permit = self.context.stream_permit()?;
        let signed = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        let compression = self.signer.check(signed, now()).map_err(|refusal| refusal.to_status())?;
        let missing = || refuse(&ServerError::invalid("url", Violation::BAD_TEXT, "the URL does not name a picture"));
        let (index, format) = file.split_once('.').ok_or_else(missing)?;
        let image_index = index.parse().map_err(|_| missing())?;
        let format = Format::named(format).ok_or_else(missing)?;
        // The URL was made for a caller that may see the picture.
        let caller = Caller { client: "".into(), owner: "".into(), former_owner: None, sees_all: true };
        let jobs = &self.context.jobs;
        // A PNG is sent in pieces, so it is compared with its SHA-256 before; other formats are compared when they are
        // converted.
        let found = match format {
            Format::Png => jobs.picture(&caller, id, image_index).await,
            Format::Jpeg | Format::Webp => jobs.described(&caller, id, image_index).await,
        };
        let (id, image) = found.map_err(|error| refuse(&error))?;
        let output = Output { format, compression };
        let (size, sha256) = (image.size, image.sha256);
        let picture = Picture { api: self.clone(), id, image_index, size, sha256, output };
        let (length, body) = if format == Format::Png {
            let pieces = picture.pieces().map(move |piece| {
                let _open = &permit;
                piece.map_err(|error| refuse(&error))
            });
            (size, ending_well(pieces))
        } else {
            let whole = picture.whole().await.map_err(|error| refuse(&error))?;
            (whole.len() as u64, ending_well(stream::iter([Ok(whole)])))
        };
        let mut answer = Response::new(body);
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
        headers.insert(CONTENT_LENGTH, length.into());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600"));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: Output = Output { format: Format::Jpeg, compression: 80 };

    #[test]
    fn a_url_is_valid_until_it_expires() {
        let signer = Signer::new().expect("a key");
        let url = signer.sign((&JobId::new(), 2), OUTPUT, 1000);
        assert!(url.contains("/2.jpeg?compression=80&expires=1000&signature="), "{url}");
        assert_eq!(signer.check(&url, 999), Ok(80));
        assert_eq!(signer.check(&url, 1000), Err(Refusal::ExpiredUrl));
        assert_eq!(Signer::new().expect("a key").check(&url, 0), Err(Refusal::BadSignature), "of another run");
    }

    #[test]
    fn a_url_that_was_changed_is_refused() {
        let signer = Signer::new().expect("a key");
        let url = signer.sign((&JobId::new(), 0), OUTPUT, 1000);
        for changed in [
            url.replace("/0.", "/1."),
            url.replace("jpeg", "png"),
            url.replace("=80", "=90"),
            url.replace("=1000", "=2000"),
            url.replace("/v1/pictures/", "/v1/pictures//"),
            url.replace("&signature", "&x=1&signature"),
            format!("{url}0"),
            url[..url.len() - 2].to_owned(),
            url.to_uppercase(),
            url.split('&').next().expect("a part").to_owned(),
            String::new(),
            "&signature=".into(),
        ] {
            assert_eq!(signer.check(&changed, 0), Err(Refusal::BadSignature), "{changed}");
        }
    }
}
