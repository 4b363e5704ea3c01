//! Constants of the gRPC API.

/// `domain` of every `google.rpc.ErrorInfo` of this server; `proto/ERRORS.md` lists the reasons.
pub(crate) const ERROR_DOMAIN: &str = "sakuga.dev";
