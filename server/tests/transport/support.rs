//! Keys and tokens for servers.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod, KeyPair,
    RevokedCertParams,
};
use sakuga_proto::system::v1::GetServerInfoRequest;
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_server::auth::token_file;
use sakuga_server::config::{TlsFiles, TransportConfig};
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

pub(crate) use crate::server::{PATIENCE, TestServer as Server};

/// Asks for what needs a token of any kind.
pub(crate) async fn ask(channel: Channel, token: Option<&str>) -> Result<(), Status> {
    let mut request = Request::new(GetServerInfoRequest {});
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    }
    SystemServiceClient::new(channel).get_server_info(request).await.map(|_| ())
}

/// A CA, and a folder of what it has signed.
pub(crate) struct Authority {
    pub folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("written");
        Self { folder, issuer }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a name, and its key.
    pub(crate) fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned(), "127.0.0.1".to_owned()]).expect("parameters");
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key.serialize_pem())
    }

    /// The same, for a certificate that expires after this time.
    pub(crate) fn sign_for(&self, name: &str, time: Duration) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned(), "127.0.0.1".to_owned()]).expect("parameters");
        params.not_after = (std::time::SystemTime::now() + time).into();
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key.serialize_pem())
    }

    /// A certificate with a serial number.
    pub(crate) fn sign_numbered(&self, name: &str, serial: u64) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned(), "127.0.0.1".to_owned()]).expect("parameters");
        params.serial_number = Some(serial.into());
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key.serialize_pem())
    }

    /// A list of revoked certificates, which was to be replaced yesterday or is to be replaced tomorrow.
    pub(crate) fn revoke(&self, serials: &[u64], is_outdated: bool) -> String {
        let now = std::time::SystemTime::now();
        let day = Duration::from_secs(86_400);
        let next = if is_outdated { now - day } else { now + day };
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: (now - 2 * day).into(),
            next_update: next.into(),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("signed").pem().expect("text")
    }

    /// Signs for the server a certificate that has expired.
    pub(crate) fn sign_expired_server(&self) -> TlsFiles {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        exchange(&self.path("server.pem"), &params.signed_by(&key, &self.issuer).expect("signed").pem());
        exchange(&self.path("server.key"), &key.serialize_pem());
        TlsFiles { cert: self.path("server.pem"), key: self.path("server.key"), client_ca: None, client_crl: None }
    }

    /// Signs for the server, into the files that it reads.
    pub(crate) fn sign_server(&self) -> TlsFiles {
        let (cert, key) = self.sign("localhost");
        exchange(&self.path("server.pem"), &cert);
        exchange(&self.path("server.key"), &key);
        TlsFiles { cert: self.path("server.pem"), key: self.path("server.key"), client_ca: None, client_crl: None }
    }

    /// Connects to a server that shows a certificate of this CA.
    pub(crate) async fn connect(&self, server: &Server, identity: Option<(String, String)>) -> Result<Channel, String> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.pem()));
        if let Some((cert, key)) = identity {
            tls = tls.identity(Identity::from_pem(cert, key));
        }
        let endpoint = Endpoint::from_shared(server.url.clone()).expect("a URL").tls_config(tls).expect("TLS");
        endpoint.connect().await.map_err(|error| format!("{error:?}"))
    }
}

/// Puts a file in another's place at once, as certificate managers do.
pub(crate) fn exchange(path: &Path, content: &str) {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, content).expect("written");
    std::fs::rename(&fresh, path).expect("exchanged");
}

/// The line of a token file.
pub(crate) fn line(name: &str, scopes: &str, token: &str, more: &str) -> String {
    format!("{name} {scopes} sha256:{} {more}\n", token_file::hex(&token_file::hash(token.as_bytes())))
}

/// A configuration that asks for tokens.
pub(crate) fn with_tokens(file: &Path) -> TransportConfig {
    TransportConfig {
        tokens: Some(file.to_owned()),
        reload_interval: Duration::from_millis(20),
        ..TransportConfig::default()
    }
}

/// Asks again and again until it is so.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let until = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
