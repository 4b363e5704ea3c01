//! Authentication and authorisation of calls.
//!
//! `bearer` reads the token of a call, `tokens` looks it up among the hashes of the [`token_file`], `access` says
//! which scopes a method needs, and `quota` limits the calls of one token. A call that passes carries an
//! `identity::ClientIdentity`; one that does not is answered with a `refusal::Refusal`. [`token_command`] makes
//! tokens.
//!
//! No secret is logged: a token is identified by its name, and the `authorization` header is removed from the request
//! before any service sees it.

pub(crate) mod access;
pub(crate) mod bearer;
pub(crate) mod error;
pub(crate) mod identity;
pub(crate) mod quota;
pub(crate) mod refusal;
pub mod token_command;
pub mod token_file;
pub(crate) mod tokens;
