//! What each role may publish and subscribe to, for the servers' `authorization`.

use crate::names::Names;

/// A role of a process of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Answers clients, keeps records, and one of them schedules.
    Gateway,
    /// Draws.
    Worker,
    /// Creates the streams and buckets, once.
    Setup,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Worker, Self::Setup];

    /// Its name, also that of its connections.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Worker => "worker",
            Self::Setup => "setup",
        }
    }
}

/// The subjects that a role may use. Everything else is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects that it may publish to.
    pub publish: Vec<String>,
    /// Subjects that it may subscribe to.
    pub subscribe: Vec<String>,
}

impl Permissions {
    /// The least that a role needs.
    ///
    /// A worker cannot create jobs, delete events, hold a lease, read or change claims, or delete a stream. It can append events to any
    /// job, since any job may be given to it.
    pub fn of(role: Role, names: &Names) -> Self {
        let (events, work, dead) = (names.events(), names.work(), names.dead());
        let kv = |bucket: String| (format!("KV_{bucket}"), format!("$KV.{bucket}.>"));
        let (records, record_keys) = kv(names.records());
        let (claims, claim_keys) = kv(names.claims());
        let (leases, lease_keys) = kv(names.leases());
        let (presence, presence_keys) = kv(names.presence());
        let (previews, preview_keys) = kv(names.previews());
        let read =
            |stream: &str| ["STREAM.INFO", "STREAM.MSG.GET"].map(|call| format!("$JS.API.{call}.{stream}")).to_vec();
        let consume = |stream: &str| {
            let calls = ["CONSUMER.CREATE", "CONSUMER.MSG.NEXT", "CONSUMER.INFO", "CONSUMER.DELETE"];
            calls.map(|call| format!("$JS.API.{call}.{stream}.>")).to_vec()
        };
        let mut subscribe = vec![format!("{}.>", names.inbox(role.name()))];
        let mut publish = vec!["$JS.API.INFO".to_owned()];
        match role {
            Role::Gateway => {
                publish.extend([names.all("events"), names.all("work"), names.all("cancel")]);
                publish.extend([names.all("call"), names.all("watched")]);
                publish.extend([record_keys, claim_keys, lease_keys]);
                for stream in [&events, &work, &dead, &records, &claims, &leases, &presence, &previews] {
                    publish.extend(read(stream));
                }
                for stream in [&events, &dead, &records, &presence] {
                    publish.extend(consume(stream));
                    publish.push(format!("$JS.API.CONSUMER.CREATE.{stream}"));
                }
                publish.push(format!("$JS.API.STREAM.PURGE.{events}"));
                // Flow control of the watches.
                publish.push("$JS.FC.>".into());
                // Answers to workers that ask for a job, and to gateways that look for readers.
                publish.extend([Role::Worker, Role::Gateway].map(|role| format!("{}.>", names.inbox(role.name()))));
                subscribe.extend([names.all("live"), names.ask(), names.all("watched")]);
            }
            Role::Worker => {
                publish.extend([
                    names.all("events"),
                    names.all("dead"),
                    names.all("live"),
                    presence_keys,
                    preview_keys,
                ]);
                // Records follow the events.
                publish.push(record_keys);
                for stream in [&events, &work, &dead, &records, &presence, &previews] {
                    publish.extend(read(stream));
                }
                // Opening a bucket asks whether it exists; its values stay closed.
                publish.extend([&claims, &leases].map(|stream| format!("$JS.API.STREAM.INFO.{stream}")));
                for stream in [&events, &work] {
                    publish.extend(consume(stream));
                }
                publish.push(names.ask());
                publish.push(format!("$JS.ACK.{work}.>"));
                // Answers to cancellations and calls.
                publish.push(format!("{}.>", names.inbox(Role::Gateway.name())));
                subscribe.extend([names.all("cancel"), names.all("call")]);
            }
            Role::Setup => {
                for stream in [&events, &work, &dead, &records, &claims, &leases, &presence, &previews] {
                    publish.extend(["INFO", "CREATE", "UPDATE"].map(|call| format!("$JS.API.STREAM.{call}.{stream}")));
                }
            }
        }
        publish.sort_unstable();
        publish.dedup();
        Self { publish, subscribe }
    }

    /// As the value of `permissions` in the configuration of a server, one subject a line.
    pub fn to_config(&self) -> String {
        let list = |subjects: &[String]| {
            let lines = subjects.iter().map(|subject| format!("          \"{subject}\"\n"));
            lines.collect::<String>()
        };
        format!(
            "{{\n        publish: [\n{}        ]\n        subscribe: [\n{}        ]\n      }}",
            list(&self.publish),
            list(&self.subscribe)
        )
    }
}
