//! Where jobs and assets are kept, and for how long.

use std::time::Duration;

use clap::Args;

use crate::assets::AssetSettings;
use crate::retention::Retention;
use crate::settings::number;
use crate::store::place::DataPlace;

/// Default of `--keep-mib` and `--asset-mib` if everything is kept in memory, which is scarcer than a disk.
const KEEP_MIB_IN_MEMORY: u64 = 256;
const HOUR_S: u64 = 3600;

/// Where jobs are kept, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobsConfig {
    /// Where jobs and their events are kept.
    pub place: DataPlace,
    /// A URL for their pictures; `None`: in the same place.
    pub artifacts: Option<String>,
    /// For how long.
    pub retention: Retention,
    /// What clients may upload, and for how long it is kept.
    pub assets: AssetSettings,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What is kept")]
pub(super) struct JobSettings {
    /// Where jobs, events and pictures are kept. `auto` is a folder for the port under $XDG_STATE_HOME/sakuga or
    /// ~/.local/state/sakuga, and memory with port 0. With `memory` they end with the server.
    #[arg(long, value_name = "DIR|memory|auto", default_value = "auto")]
    data_dir: String,
    /// Where pictures are kept instead, such as `s3://bucket/folder`, with credentials, region and endpoint from the AWS_
    /// variables. Needs a program that was built with the feature `s3`.
    #[arg(long, value_name = "URL")]
    artifacts: Option<String>,
    /// How long a job is kept after its end.
    #[arg(long, value_name = "HOURS", default_value = "168", value_parser = number::<u64>(0..=1_000_000))]
    keep_hours: u64,
    /// How long its steps are kept; the pictures and the end stay.
    #[arg(long, value_name = "HOURS", default_value = "24", value_parser = number::<u64>(0..=1_000_000))]
    keep_steps_hours: u64,
    /// How many ended jobs are kept.
    #[arg(long, value_name = "N", default_value = "10000", value_parser = number::<usize>(0..=10_000_000))]
    keep_jobs: usize,
    /// How many MiB their pictures may have together; 256 with `--data-dir memory` unless it is given. The oldest are
    /// deleted first. Meanwhile there may be up to 64 jobs more; then the next picture waits.
    #[arg(long, value_name = "MIB", default_value = "10240", value_parser = number::<u64>(0..=1 << 40))]
    keep_mib: u64,
    /// How many MiB the assets of one client may take together: pictures and adapters that it uploads. 256 with
    /// `--data-dir memory` unless it is given; they are in a temporary folder then.
    #[arg(long, value_name = "MIB", default_value = "4096", value_parser = number::<u64>(0..=1 << 40))]
    asset_mib: u64,
    /// How long an asset is kept after its last use.
    #[arg(long, value_name = "HOURS", default_value = "168", value_parser = number::<u64>(0..=1_000_000))]
    asset_keep_hours: u64,
}

impl JobSettings {
    /// `port` has its own folder with `auto`; `environment` says where the user's folders are, and `is_given` which settings are
    /// not those by default.
    pub(super) fn into_config(
        self,
        port: u16,
        is_given: &dyn Fn(&str) -> bool,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> JobsConfig {
        let place = match self.data_dir.as_str() {
            "auto" => DataPlace::of_port(port, environment),
            "memory" => DataPlace::Memory,
            folder => DataPlace::Folder(folder.into()),
        };
        let mebibytes = |setting: &str, mib: u64| {
            let is_default_in_memory = place == DataPlace::Memory && !is_given(setting);
            (if is_default_in_memory { mib.min(KEEP_MIB_IN_MEMORY) } else { mib }) << 20
        };
        let retention = Retention {
            age: Duration::from_secs(self.keep_hours * HOUR_S),
            event_age: Duration::from_secs(self.keep_steps_hours * HOUR_S),
            count: self.keep_jobs,
            bytes: mebibytes("keep-mib", self.keep_mib),
        };
        let assets = AssetSettings {
            quota: mebibytes("asset-mib", self.asset_mib),
            keep: Duration::from_secs(self.asset_keep_hours * HOUR_S),
            ..AssetSettings::default()
        };
        JobsConfig { place, artifacts: self.artifacts, retention, assets }
    }
}
