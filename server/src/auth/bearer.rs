//! The bearer token of a call.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::refusal::Refusal;

/// The token of a call's only `authorization` header.
///
/// # Errors
///
/// [`Refusal::NoToken`] or [`Refusal::MalformedToken`].
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::NoToken)?.as_bytes();
    if values.next().is_some() {
        return Err(Refusal::MalformedToken);
    }
    let (scheme, token) = value.split_at_checked(7).ok_or(Refusal::MalformedToken)?;
    let token = token.trim_ascii();
    if !scheme.eq_ignore_ascii_case(b"bearer ") || token.is_empty() {
        return Err(Refusal::MalformedToken);
    }
    Ok(token)
}

/// Reads the token and removes the header, so that no service can log the secret.
///
/// # Errors
///
/// Those of [`bearer`]; the header is removed also then.
pub(crate) fn take_bearer(headers: &mut HeaderMap) -> Result<Vec<u8>, Refusal> {
    let token = bearer(headers).map(<[u8]>::to_vec);
    headers.remove(AUTHORIZATION);
    token
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).expect("a header"))).collect()
    }

    #[test]
    fn one_bearer_token_is_read_in_any_spelling_of_its_scheme() {
        for value in ["Bearer abc", "bearer abc", "BEARER   abc "] {
            assert_eq!(bearer(&headers(&[value])), Ok(&b"abc"[..]), "{value}");
        }
        assert_eq!(bearer(&headers(&[])), Err(Refusal::NoToken));
        for values in [&["abc"][..], &["Bearer"], &["Bearer "], &["Basic abc"], &["Bearer a", "Bearer b"], &["é"]] {
            assert_eq!(bearer(&headers(values)), Err(Refusal::MalformedToken), "{values:?}");
        }
    }

    #[test]
    fn the_header_is_removed() {
        let mut headers = headers(&["Bearer a", "Bearer b"]);
        assert_eq!(take_bearer(&mut headers), Err(Refusal::MalformedToken));
        assert!(headers.is_empty());
    }
}
