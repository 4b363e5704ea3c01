//! The streams and buckets of a fleet, and the check that existing ones have the settings that the guarantees need.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, kv};

use crate::error::FleetError;
use crate::settings::Settings;

/// How long a dead letter is kept.
const DEAD_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a worker that is silent counts as present.
pub(crate) const PRESENCE_MAX_AGE: Duration = Duration::from_secs(6);
/// How long the last preview of an image is kept.
const PREVIEW_MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// How long a deleted key leaves a mark, for watches that were cut off meanwhile.
pub(crate) const DELETED_MARK: Duration = Duration::from_secs(60 * 60);
/// Readers of events at the same time. A server allows 1000 consumers of a stream that does not say how many it has.
const READERS_MAX: i32 = 100_000;
/// The dedupe window of the work queue. It saves a duplicate delivery; nothing relies on it.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The streams and buckets of a fleet, as they have to be.
pub(crate) struct Layout {
    configs: Vec<Config>,
}

impl Layout {
    pub(crate) fn of(settings: &Settings) -> Result<Self, FleetError> {
        let names = settings.names()?;
        let stream = |name: String, subject: String| Config {
            name,
            subjects: vec![subject],
            num_replicas: settings.replicas,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            max_messages: -1,
            max_bytes: -1,
            max_messages_per_subject: -1,
            ..Config::default()
        };
        // A bucket is a stream with the names and settings of the client's key-value layer. Direct reads are off: they may be
        // answered by a replica that lags, and a job that was acknowledged by one gateway must be found by the next.
        let bucket = |name: String| Config {
            max_messages_per_subject: 1,
            allow_rollup: true,
            // Marks of deleted keys expire, so that jobs that are long gone take no room.
            allow_message_ttl: true,
            deny_delete: true,
            allow_direct: false,
            ..stream(format!("KV_{name}"), format!("$KV.{name}.>"))
        };
        // What is lost with the server and written again within seconds.
        let volatile = |config: Config, max_age| Config { storage: StorageType::Memory, max_age, ..config };
        Ok(Self {
            configs: vec![
                Config {
                    allow_direct: false,
                    max_consumers: READERS_MAX,
                    ..stream(names.events(), names.all("events"))
                },
                Config {
                    retention: RetentionPolicy::WorkQueue,
                    duplicate_window: DUPLICATE_WINDOW,
                    ..stream(names.work(), names.all("work"))
                },
                Config {
                    max_age: DEAD_MAX_AGE,
                    discard: DiscardPolicy::Old,
                    ..stream(names.dead(), names.all("dead"))
                },
                bucket(names.records()),
                bucket(names.claims()),
                Config { max_age: settings.lease, ..bucket(names.leases()) },
                volatile(bucket(names.presence()), PRESENCE_MAX_AGE),
                volatile(bucket(names.previews()), PREVIEW_MAX_AGE),
            ],
        })
    }

    /// Creates what is missing, and checks what is there.
    ///
    /// # Errors
    ///
    /// [`FleetError::Layout`] if an existing stream is weaker, or [`FleetError::Nats`].
    pub(crate) async fn ensure(&self, context: &Context) -> Result<(), FleetError> {
        for config in &self.configs {
            let stream = context.get_or_create_stream(config.clone()).await;
            let stream = stream.map_err(|error| FleetError::nats("create a stream", &error))?;
            check(config, &stream.cached_info().config)?;
        }
        Ok(())
    }
}

/// The bucket of this name, which exists.
pub(crate) async fn bucket(context: &Context, name: String) -> Result<kv::Store, FleetError> {
    context.get_key_value(name).await.map_err(|error| FleetError::nats("open a bucket", &error))
}

/// Compares what the guarantees depend on.
fn check(needed: &Config, found: &Config) -> Result<(), FleetError> {
    let wrong = |setting: &str, is: String, must: String| {
        Err(FleetError::Layout {
            stream: needed.name.clone(),
            found: format!("{setting} {is}"),
            needed: format!("{setting} {must}"),
        })
    };
    if found.num_replicas < needed.num_replicas {
        return wrong("replicas", found.num_replicas.to_string(), needed.num_replicas.to_string());
    }
    if found.retention != needed.retention {
        return wrong("retention", format!("{:?}", found.retention), format!("{:?}", needed.retention));
    }
    if needed.storage == StorageType::File && found.storage != StorageType::File {
        return wrong("storage", "memory".into(), "file".into());
    }
    if found.max_messages_per_subject != needed.max_messages_per_subject {
        let messages = |config: &Config| config.max_messages_per_subject.to_string();
        return wrong("messages for each subject", messages(found), messages(needed));
    }
    if found.max_age != needed.max_age {
        return wrong("max_age", format!("{:?}", found.max_age), format!("{:?}", needed.max_age));
    }
    if found.allow_direct && !needed.allow_direct {
        return wrong("direct reads", "on".into(), "off".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weaker_stream_is_refused_by_name_and_setting() {
        let layout = Layout::of(&Settings { replicas: 3, ..Settings::default() }).expect("settings");
        let needed = &layout.configs[0];
        assert_eq!(check(needed, needed), Ok(()));
        for (weaker, setting) in [
            (Config { num_replicas: 1, ..needed.clone() }, "replicas 1"),
            (Config { storage: StorageType::Memory, ..needed.clone() }, "storage memory"),
            (Config { retention: RetentionPolicy::Interest, ..needed.clone() }, "retention Interest"),
            (Config { allow_direct: true, ..needed.clone() }, "direct reads on"),
        ] {
            let error = check(needed, &weaker).expect_err("weaker").to_string();
            assert!(error.contains("`sakuga-events`") && error.contains(setting), "{error}");
        }
    }

    #[test]
    fn only_what_is_made_again_within_seconds_is_kept_in_memory() {
        let layout = Layout::of(&Settings::default()).expect("settings");
        let in_memory = layout.configs.iter().filter(|config| config.storage == StorageType::Memory);
        let names: Vec<_> = in_memory.map(|config| config.name.as_str()).collect();
        assert_eq!(names, ["KV_sakuga-presence", "KV_sakuga-previews"]);
    }
}
