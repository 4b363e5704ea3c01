//! [`Caller`]: the client of a call, and which jobs it may access.

use std::sync::Arc;

use crate::assets::AssetOwner;

/// The client of a call, and which jobs it may access.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The client's name, for limits and shares of the device.
    pub client: Arc<str>,
    /// The name of the call's credential, which owns the jobs that the call creates. Empty if the server asks for none.
    pub owner: Arc<str>,
    /// The name of the credential in older servers, if it was different.
    pub former_owner: Option<Arc<str>>,
    /// Whether the call may act on every job: the server asks for no credentials, or the credential has the scope `admin`.
    pub sees_all: bool,
}

impl Caller {
    /// Whether the call may know of a job and act on it.
    pub(crate) fn may_access(&self, owner: &str) -> bool {
        self.sees_all || *self.owner == *owner || self.former_owner.as_deref() == Some(owner)
    }

    /// The owner whose assets the call may use. A call that may access every job still uses its own assets only.
    pub(crate) fn asset_owner(&self) -> AssetOwner {
        AssetOwner { name: self.owner.clone(), former: self.former_owner.clone() }
    }

    /// The key under which a repeated call with this `request_id` finds its job; empty without a `request_id`.
    pub(crate) fn name_key(&self, request_id: &str) -> Vec<u8> {
        if request_id.is_empty() {
            return Vec::new();
        }
        [self.client.as_bytes(), b"\0", request_id.as_bytes()].concat()
    }
}
