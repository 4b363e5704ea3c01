//! The tokens that the server knows, and whether a presented one is among them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::error::CredentialError;
use super::identity::ClientIdentity;
use super::quota::Quota;
use super::token_file::{self, TokenEntry};

/// The longest text that is looked at as a token.
const TOKEN_BYTES_MAX: usize = 256;

/// The tokens of a file. The file can be read again while calls come in.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    known: RwLock<Arc<Vec<KnownToken>>>,
}

#[derive(Debug)]
struct KnownToken {
    entry: TokenEntry,
    identity: ClientIdentity,
    quota: Arc<Quota>,
}

/// A token that is known and has not expired.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Who holds it.
    pub identity: ClientIdentity,
    /// What the holder uses.
    pub quota: Arc<Quota>,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// No line of the file has its hash.
    Unknown,
    /// Its time is over.
    Expired,
}

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if it cannot be read; every bad line is listed.
    pub fn load(path: &Path) -> Result<Self, CredentialError> {
        let known = Arc::new(known(read(path)?, &[]));
        Ok(Self { path: path.to_owned(), known: RwLock::new(known) })
    }

    /// Where they are kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file again. What a client uses is kept if its line says the same as before.
    ///
    /// # Errors
    ///
    /// Those of [`Tokens::load`]; the tokens stay as they were.
    pub fn reload(&self) -> Result<(), CredentialError> {
        let entries = read(&self.path)?;
        let mut current = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(known(entries, &current));
        Ok(())
    }

    /// The name and scopes of every token.
    pub fn list(&self) -> Vec<ClientIdentity> {
        self.current().iter().map(|token| token.identity.clone()).collect()
    }

    /// Whose token this is. Every hash is compared, each in constant time, so that the time taken says nothing of how
    /// near a guess is, nor of whose line it is.
    ///
    /// # Errors
    ///
    /// [`BadToken`] says why it is not taken.
    pub fn find(&self, presented: &[u8], now: SystemTime) -> Result<Holder, BadToken> {
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
        if token.entry.expires.is_some_and(|expires| expires <= now) {
            return Err(BadToken::Expired);
        }
        Ok(Holder { identity: token.identity.clone(), quota: token.quota.clone() })
    }

    fn current(&self) -> Arc<Vec<KnownToken>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read(path: &Path) -> Result<Vec<TokenEntry>, CredentialError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CredentialError::new(path, format!("{error}; name a file of tokens that can be read")))?;
    token_file::parse(&text).map_err(|problems| CredentialError::new(path, problems.join("; ")))
}

fn known(entries: Vec<TokenEntry>, before: &[KnownToken]) -> Vec<KnownToken> {
    let previous: HashMap<&str, &KnownToken> = before.iter().map(|token| (token.entry.name.as_str(), token)).collect();
    let keep = |entry: &TokenEntry| {
        let token = previous.get(entry.name.as_str()).filter(|token| token.entry.limits == entry.limits);
        token.map_or_else(|| Arc::new(Quota::new(entry.limits)), |token| token.quota.clone())
    };
    let known = entries.into_iter().map(|entry| KnownToken {
        identity: ClientIdentity { name: entry.name.as_str().into(), scopes: entry.scopes },
        quota: keep(&entry),
        entry,
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

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
        let held = tokens.find(b"one", now).expect("known").quota.take(Instant::now()).expect("the first");

        std::fs::write(file.path(), "nonsense\n").expect("written");
        assert!(tokens.reload().expect_err("nonsense").to_string().contains("line 1"));
        tokens.find(b"two", now).expect("still known");

        std::fs::write(file.path(), line("a", "new", "concurrent=1")).expect("written");
        tokens.reload().expect("tokens");
        assert_eq!(tokens.find(b"two", now).expect_err("taken out"), BadToken::Unknown);
        assert_eq!(tokens.find(b"one", now).expect_err("replaced"), BadToken::Unknown);
        let quota = tokens.find(b"new", now).expect("known").quota;
        assert!(quota.take(Instant::now()).is_err(), "the same client's call still counts");
        drop(held);
        drop(quota.take(Instant::now()).expect("it has ended"));
    }

    #[test]
    fn a_token_that_expires_is_good_until_then() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), line("a", "one", "expires=2030-01-01T00:00:00Z")).expect("written");
        let tokens = Tokens::load(file.path()).expect("tokens");
        let end = token_file::parse_time("2030-01-01T00:00:00Z").expect("a time");
        assert!(tokens.find(b"one", end - Duration::from_millis(1)).is_ok());
        assert_eq!(tokens.find(b"one", end).expect_err("over"), BadToken::Expired);
    }
}
