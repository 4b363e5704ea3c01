//! Ends calls early: the token or certificate was revoked, the certificate expired, a newer call displaced it, or its time limit
//! was reached.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::open_calls::OpenCall;
use super::refusal::TransportRefusal;
use super::revocation::Revoked;
use crate::auth::identity::CertificateId;
use crate::auth::refusal::Refusal;

/// Ready, with the status that ends the call, as soon as one of the reasons holds.
#[derive(Default)]
pub(crate) struct Cutoff {
    revoked: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    displaced: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    expires: Option<(Pin<Box<Sleep>>, Duration)>,
    certificate: Option<Pin<Box<Sleep>>>,
    certificate_revoked: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _open_call: Option<OpenCall>,
}

impl Cutoff {
    /// Ends the call when its token is revoked.
    pub(crate) fn revoked(mut self, token: CancellationToken) -> Self {
        self.revoked = Some(Box::pin(token.cancelled_owned()));
        self
    }

    /// Ends the call when the client's certificate expires, which is in `left`.
    pub(crate) fn certificate_expires(mut self, left: Duration) -> Self {
        self.certificate = Some(Box::pin(tokio::time::sleep(left)));
        self
    }

    /// Ends the call when a revocation list names the client's certificate.
    pub(crate) fn certificate_revoked(
        mut self,
        mut revoked: watch::Receiver<Revoked>,
        certificate: CertificateId,
    ) -> Self {
        self.certificate_revoked = Some(Box::pin(async move {
            if revoked.wait_for(|revoked| revoked.contains(&certificate)).await.is_err() {
                // The lists are no longer reloaded: the server is stopping.
                std::future::pending::<()>().await;
            }
        }));
        self
    }

    /// Ends the call when another displaces it, and after `limit`.
    pub(crate) fn open_call(mut self, call: OpenCall, limit: Duration) -> Self {
        self.displaced = Some(Box::pin(call.displaced().cancelled_owned()));
        self.expires = Some((Box::pin(tokio::time::sleep(limit)), limit));
        self._open_call = Some(call);
        self
    }
}

impl Future for Cutoff {
    type Output = Status;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Status> {
        if let Some(revoked) = &mut self.revoked
            && revoked.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Refusal::RevokedToken.to_status());
        }
        if let Some(displaced) = &mut self.displaced
            && displaced.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(TransportRefusal::Displaced.to_status());
        }
        if let Some(certificate) = &mut self.certificate
            && certificate.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Refusal::ExpiredCertificate.to_status());
        }
        if let Some(revoked) = &mut self.certificate_revoked
            && revoked.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Refusal::RevokedCertificate.to_status());
        }
        if let Some((expires, limit)) = &mut self.expires
            && expires.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(TransportRefusal::Expired { limit: *limit }.to_status());
        }
        Poll::Pending
    }
}
