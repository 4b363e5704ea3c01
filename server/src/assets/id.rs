//! What names an asset, and whose it is.

use std::fmt;
use std::sync::Arc;

use sakuga_proto::digest::hex;
use sha2::{Digest as _, Sha256};

use crate::job_id::JobId;

/// Prefix of the owner names of jobs. Its control character keeps them apart from the names of credentials, which have
/// none.
const JOB: &str = "\0job ";

/// The SHA-256 of an asset's bytes: its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AssetId([u8; 32]);

impl AssetId {
    /// Reads 64 lower-case hexadecimal digits; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut id = [0; 32];
        if text.len() != 2 * id.len() {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(id))
    }

    /// The id of the bytes that were hashed.
    pub(super) fn of(hash: Sha256) -> Self {
        Self(hash.finalize().into())
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The key under which the store keeps the record of an owner's asset: SHA-256 of the owner's name, then the asset's.
    pub(super) fn key(self, owner: &str) -> [u8; 64] {
        let mut key = [0; 64];
        key[..32].copy_from_slice(&Sha256::digest(owner));
        key[32..].copy_from_slice(&self.0);
        key
    }

    /// The asset that a key of the store is for; `None` if the bytes are not such a key.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        let key: &[u8; 64] = key.try_into().ok()?;
        key[32..].try_into().ok().map(Self)
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for AssetId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Whose assets a call may use: those of its credential. A job is the owner of the files that came within its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AssetOwner {
    /// The name of the credential. Empty if the server asks for none: then all clients share their assets.
    pub name: Arc<str>,
    /// The name of the credential in older servers, if it was different.
    pub former: Option<Arc<str>>,
}

impl AssetOwner {
    pub(crate) fn named(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), former: None }
    }

    /// A job, as the owner of the files that came within its request.
    pub(crate) fn of_job(job: &JobId) -> Self {
        Self::named(format!("{JOB}{job}"))
    }

    /// The job that has this name as an owner; `None` for the name of a credential.
    pub(super) fn job_of(name: &str) -> Option<JobId> {
        name.strip_prefix(JOB).map(JobId::named)
    }

    /// The names under which its assets are.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        std::iter::once(&self.name).chain(&self.former)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_64_lower_case_digits() {
        let id = AssetId::of_bytes(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((id.to_string().as_str(), AssetId::parse(text)), (text, Some(id)));
        for wrong in ["", &text[1..], &text.to_uppercase(), &format!("{text}0"), &format!("../{}", &text[3..])] {
            assert_eq!(AssetId::parse(wrong), None, "{wrong}");
        }
        assert_eq!(AssetId::of_key(&id.key("alice")), Some(id));
        let job = JobId::new();
        assert_eq!(AssetOwner::job_of(&AssetOwner::of_job(&job).name), Some(job.clone()));
        assert_eq!(AssetOwner::job_of(job.as_str()), None);
        assert_ne!(id.key("alice"), id.key("bob"));
    }
}
