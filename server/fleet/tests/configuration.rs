//! The configuration of NATS that is shipped is that of the code. `SAKUGA_REGENERATE=1` writes it.

use sakuga_fleet::{Permissions, Role, Settings};

/// Everything but the users.
const HEAD: &str = "\
# A server of NATS for the fleet `sakuga`: what is stored is on the disk before it is acknowledged, and each role may do what it needs
# and nothing else. Written by the test `configuration` of the crate sakuga-fleet.
#
# The passwords come from the environment. Three servers keep what one of them loses: give each its own `server_name` and add
#
#   cluster { name: sakuga, listen: \"0.0.0.0:6222\", routes: [\"nats://one:6222\", \"nats://two:6222\", \"nats://three:6222\"] }
#
# Across machines add `tls { cert_file: …, key_file: …, ca_file: … }` here and in `cluster`.

server_name: $SAKUGA_NATS_NAME
listen: \"127.0.0.1:4222\"
# Read by the fleet to find servers that sync late, by KEDA and by Prometheus' exporter.
http: \"127.0.0.1:8222\"
jetstream { store_dir: $SAKUGA_NATS_STORE, sync_interval: always }
";

fn shipped() -> String {
    let names = Settings::default().names().expect("the default");
    let user = |role: &Role| {
        let permissions = Permissions::of(*role, &names).to_config();
        let password = format!("$SAKUGA_{}_PASSWORD", role.name().to_uppercase());
        format!(
            "    {{\n      user: {}\n      password: {password}\n      permissions: {permissions}\n    }}\n",
            role.name()
        )
    };
    let users: String = Role::ALL.iter().map(user).collect();
    format!("{HEAD}\nauthorization {{\n  users: [\n{users}  ]\n}}\n")
}

#[test]
fn the_shipped_configuration_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/nats.conf");
    if std::env::var_os("SAKUGA_REGENERATE").is_some() {
        std::fs::write(path, shipped()).expect("written");
    }
    let found = std::fs::read_to_string(path).expect("the file");
    assert_eq!(found, shipped(), "write it with SAKUGA_REGENERATE=1 and review the change");
}

#[test]
fn no_role_may_use_the_subjects_of_another_fleet_or_all_subjects() {
    let names = Settings::default().names().expect("the default");
    for role in Role::ALL {
        let Permissions { publish, subscribe } = Permissions::of(role, &names);
        for subject in publish.iter().chain(&subscribe) {
            let is_own = subject.contains("sakuga") || ["$JS.API.INFO", "$JS.FC.>"].contains(&subject.as_str());
            assert!(is_own, "{role:?}: {subject}");
        }
    }
}

#[test]
fn a_worker_may_neither_delete_nor_schedule_nor_claim() {
    let names = Settings::default().names().expect("the default");
    let worker = Permissions::of(Role::Worker, &names).publish;
    for part in [
        "PURGE",
        "STREAM.CREATE",
        "STREAM.UPDATE",
        "STREAM.DELETE",
        "MSG.DELETE",
        "$KV.sakuga-claims",
        "$KV.sakuga-leases",
    ] {
        assert!(!worker.iter().any(|subject| subject.contains(part)), "{part}");
    }
    assert!(!worker.contains(&"sakuga.work.>".to_owned()), "it cannot publish work");
}
