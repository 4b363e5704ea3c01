//! [`Tokens`]: the valid tokens, and the lookup of a presented token.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use tokio_util::sync::CancellationToken;

use super::error::CredentialError;
use super::identity::ClientIdentity;
use super::quota::Quota;
use super::token_file::{self, TokenEntry};

/// The longest text that may be a token.
const TOKEN_BYTES_MAX: usize = 256;

/// The tokens of a file. The file can be read again while calls come in.
#[derive(Debug)]
pub(crate) struct Tokens {
    path: PathBuf,
    known: RwLock<Arc<Vec<KnownToken>>>,
}

#[derive(Debug)]
struct KnownToken {
    entry: TokenEntry,
    identity: ClientIdentity,
    quota: Arc<Quota>,
    revoked: CancellationToken,
}

/// A token that is known and has not expired.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    /// Who holds it.
    pub identity: ClientIdentity,
    /// What the token uses.
    pub quota: Arc<Quota>,
    /// Cancelled when the token is removed, loses a scope, or expires.
    pub revoked: CancellationToken,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadToken {
    /// No line of the file has its hash.
    Unknown,
    Expired,
}

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if it cannot be read; every bad line is listed.
    pub(crate) fn load(path: &Path) -> Result<Self, CredentialError> {
        let known = Arc::new(known(read(path)?, &[]));
        Ok(Self { path: path.to_owned(), known: RwLock::new(known) })
    }

    /// Their file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file again. What a token uses is kept if its limits are the same as before; a token that is not in the
    /// file any more, or has other scopes, is revoked. A file that is missing counts as empty: deleting it is how an
    /// operator revokes every token at once.
    ///
    /// # Errors
    ///
    /// Those of [`Tokens::load`], of a file that exists; the tokens stay as they were.
    pub(crate) fn reload(&self) -> Result<(), CredentialError> {
        let is_missing = std::fs::metadata(&self.path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        let entries = if is_missing { Vec::new() } else { read(&self.path)? };
        if entries.is_empty() {
            tracing::warn!(file = %self.path.display(), "no token is valid: the file is missing or empty");
        }
        let mut current = self.known.write();
        let before = std::mem::take(&mut *current);
        *current = Arc::new(known(entries, &before));
        let is_kept = |old: &KnownToken| current.iter().any(|new| new.is_same(old));
        before.iter().filter(|old| !is_kept(old)).for_each(|old| old.revoked.cancel());
        Ok(())
    }

    /// Revokes the tokens that have expired, which ends their calls.
    pub(crate) fn revoke_expired(&self, now: SystemTime) {
        let known = self.current();
        known.iter().filter(|token| token.has_expired(now)).for_each(|token| token.revoked.cancel());
    }

    /// The holder of a token. Compares it with every hash in constant time, so that timing reveals neither how close a
    /// guess is nor which line matches.
    ///
    /// # Errors
    ///
    /// [`BadToken`] says why it is refused.
    pub(crate) fn find(&self, presented: &[u8], now: SystemTime) -> Result<Holder, BadToken> {
        if presented.len() > TOKEN_BYTES_MAX {
            return Err(BadToken::Unknown);
        }
        let hash = token_file::hash(presented);
        let known = self.current();
        let mut found = Choice::from(0);
        let mut place = 0_u64;
        for (index, token) in known.iter().enumerate() {
            let is_it = token.entry.hash.ct_eq(&hash);
            place.conditional_assign(&(index as u64), is_it);
            found |= is_it;
        }
        let token = known.get(place as usize).filter(|_| bool::from(found)).ok_or(BadToken::Unknown)?;
        if token.has_expired(now) {
            return Err(BadToken::Expired);
        }
        let KnownToken { identity, quota, revoked, .. } = token;
        Ok(Holder { identity: identity.clone(), quota: quota.clone(), revoked: revoked.clone() })
    }

    fn current(&self) -> Arc<Vec<KnownToken>> {
        self.known.read().clone()
    }
}

impl KnownToken {
    /// Whether both are the same credential, so that calls of one may continue as calls of the other.
    fn is_same(&self, other: &Self) -> bool {
        self.entry.hash == other.entry.hash && self.identity == other.identity
    }

    fn has_expired(&self, now: SystemTime) -> bool {
        self.entry.expires.is_some_and(|expires| expires <= now)
    }
}

fn read(path: &Path) -> Result<Vec<TokenEntry>, CredentialError> {
    let text = CredentialError::read_text(path)?;
    token_file::parse(&text).map_err(|problems| CredentialError::new(path, problems.join("; ")))
}

fn known(entries: Vec<TokenEntry>, before: &[KnownToken]) -> Vec<KnownToken> {
    let previous: HashMap<&str, &KnownToken> = before.iter().map(|token| (token.entry.name.as_str(), token)).collect();
    let known = entries.into_iter().map(|entry| {
        let previous = previous.get(entry.name.as_str());
        let quota = previous.filter(|token| token.entry.limits == entry.limits).map(|token| token.quota.clone());
        let identity = ClientIdentity { name: entry.name.as_str().into(), former_name: None, scopes: entry.scopes };
        let mut token = KnownToken {
            identity,
            quota: quota.unwrap_or_else(|| Arc::new(Quota::new(entry.limits))),
            revoked: CancellationToken::new(),
            entry,
        };
        // An expired token whose line now has a later time is a new one.
        if let Some(old) = previous.filter(|old| token.is_same(old) && !old.revoked.is_cancelled()) {
            token.revoked = old.revoked.clone();
        }
        token
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(name: &str, token: &str, more: &str) -> String {
        format!("{name} generate sha256:{} {more}\n", token_file::hex(&token_file::hash(token.as_bytes())))
    }

    #[test]
    fn a_token_is_known_by_its_text_alone() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let text = line("a", "one", "") + &line("b", "two", "expires=2020-01-01T00:00:00Z") + &line("c", "three", "");
        std::fs::write(file.path(), text).expect("written");
        let tokens = Tokens::load(file.path()).expect("tokens");
        let now = SystemTime::now();
        let name = |token: &str| tokens.find(token.as_bytes(), now).map(|holder| holder.identity.name.to_string());
        assert_eq!(name("one"), Ok("a".into()));
        assert_eq!(name("three"), Ok("c".into()));
        assert_eq!(name("two"), Err(BadToken::Expired));
        for wrong in ["", "on", "one ", "ONE", &token_file::hex(&token_file::hash(b"one")), &"x".repeat(100_000)] {
            assert_eq!(name(wrong), Err(BadToken::Unknown), "{wrong}");
        }
    }

    #[test]
    fn reading_again_keeps_what_is_used_and_a_bad_file_changes_nothing() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), line("a", "one", "concurrent=1") + &line("b", "two", "")).expect("written");
        let tokens = Tokens::load(file.path()).expect("tokens");
        let now = SystemTime::now();
        let held = tokens.find(b"one", now).expect("known").quota.take().expect("the first");

        std::fs::write(file.path(), "nonsense\n").expect("written");
        assert!(tokens.reload().expect_err("nonsense").to_string().contains("line 1"));
        tokens.find(b"two", now).expect("still known");

        std::fs::write(file.path(), line("a", "new", "concurrent=1")).expect("written");
        tokens.reload().expect("tokens");
        assert_eq!(tokens.find(b"two", now).expect_err("taken out"), BadToken::Unknown);
        assert_eq!(tokens.find(b"one", now).expect_err("replaced"), BadToken::Unknown);
        let quota = tokens.find(b"new", now).expect("known").quota;
        assert!(quota.take().is_err(), "the same client's call still counts");
        drop(held);
        drop(quota.take().expect("it has ended"));
    }

    #[test]
    fn a_token_that_is_removed_changed_or_expired_is_revoked_and_no_other() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let (kept, removed) = (line("a", "one", ""), line("b", "two", ""));
        let expiring = line("c", "three", "expires=2030-01-01T00:00:00Z");
        std::fs::write(file.path(), [kept.as_str(), &removed, &expiring].concat()).expect("written");
        let tokens = Tokens::load(file.path()).expect("tokens");
        let now = SystemTime::now();
        let revoked = |token: &str| tokens.find(token.as_bytes(), now).expect("known").revoked;
        let [one, two, three] = ["one", "two", "three"].map(revoked);

        std::fs::write(file.path(), [kept.as_str(), &expiring].concat()).expect("written");
        tokens.reload().expect("tokens");
        assert_eq!([&one, &two, &three].map(CancellationToken::is_cancelled), [false, true, false]);
        tokens.revoke_expired(token_file::parse_time("2029-12-31T00:00:00Z").expect("a time"));
        assert!(!three.is_cancelled());
        tokens.revoke_expired(token_file::parse_time("2030-01-01T00:00:00Z").expect("a time"));
        assert_eq!([&one, &three].map(CancellationToken::is_cancelled), [false, true]);

        std::fs::write(file.path(), kept.replace(" generate ", " metrics ")).expect("written");
        tokens.reload().expect("tokens");
        assert!(one.is_cancelled(), "a call of `generate` is not one of `metrics`");
        let again = revoked("one");
        std::fs::remove_file(file.path()).expect("removed");
        tokens.reload().expect("a file that is missing is empty");
        assert!(again.is_cancelled());
        assert_eq!(tokens.find(b"one", now).expect_err("no token is valid"), BadToken::Unknown);
    }

    #[test]
    fn a_token_that_expires_is_valid_until_then() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), line("a", "one", "expires=2030-01-01T00:00:00Z")).expect("written");
        let tokens = Tokens::load(file.path()).expect("tokens");
        let end = token_file::parse_time("2030-01-01T00:00:00Z").expect("a time");
        assert!(tokens.find(b"one", end - Duration::from_millis(1)).is_ok());
        assert_eq!(tokens.find(b"one", end).expect_err("over"), BadToken::Expired);
    }
}
