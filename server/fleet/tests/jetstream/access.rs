//! TLS and nkeys.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use sakuga_fleet::{Fleet, FleetError, Role, Settings};

use crate::servers::{Choice, Servers};
use crate::story::{create, names};

/// A certificate of this name by this authority, and its key, as files.
fn issue(folder: &Path, name: &str, authority: &Issuer<'_, KeyPair>) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let files = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&files.0, certificate.pem()).expect("written");
    std::fs::write(&files.1, key.serialize_pem()).expect("written");
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_verifies_certificates_and_nkeys_takes_ours_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, params.self_signed(&key).expect("a certificate").pem()).expect("written");
    let authority = Issuer::new(params, key);
    let server = issue(folder.path(), "server", &authority);
    let client = issue(folder.path(), "client", &authority);

    let pair = nkeys::KeyPair::new_user();
    let seed = folder.path().join("user.nk");
    std::fs::write(&seed, format!("{}\n", pair.seed().expect("a seed"))).expect("written");
    let authorization = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}\n\
         authorization {{ users: [{{ nkey: {} }}] }}",
        server.0.display(),
        server.1.display(),
        ca.display(),
        pair.public_key(),
    );
    let Some(servers) = Servers::start(1, &Choice { authorization, ..Choice::default() }) else { return };
    let settings = Settings {
        servers: vec![format!("tls://{}", servers.address())],
        ca: Some(ca),
        certificate: Some(client),
        nkey: Some(seed.clone()),
        ..servers.settings()
    };
    servers.set_up(&settings).await;
    let fleet = Fleet::open(&settings, Role::Gateway).await.expect("a connection");
    create(&fleet, "job", "name").await.expect("accepted");
    assert_eq!(names(&fleet, "job").await, ["accepted"]);

    let other = folder.path().join("other.nk");
    std::fs::write(&other, nkeys::KeyPair::new_user().seed().expect("a seed")).expect("written");
    for refused in [
        Settings { nkey: Some(other), ..settings.clone() },
        Settings { nkey: None, ..settings.clone() },
        Settings { certificate: None, ..settings.clone() },
        Settings { ca: None, ..settings.clone() },
    ] {
        let error = Fleet::open(&refused, Role::Gateway).await.expect_err("refused");
        assert!(matches!(error, FleetError::Connect { .. }), "{error}");
    }
    let missing = Settings { nkey: Some(folder.path().join("none.nk")), ..settings };
    let error = Fleet::open(&missing, Role::Gateway).await.expect_err("no file").to_string();
    assert!(error.contains("none.nk"), "{error}");
}
