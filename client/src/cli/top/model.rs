//! The state of `top`, and how updates and keys change it, without terminal and network.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use prost::Message as _;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use sakuga_client::proto::generation::v1::{Job, JobState, Step};
use sakuga_client::proto::system::v1::{
    Activity, DeviceActivity, DeviceState, GetServerInfoResponse, GpuStats, MemoryPool, ProcessMemory,
};
use sakuga_client::proto::text::one_line;

use super::halfblocks::Picture;
use crate::cli::devices;

/// Samples that are kept for the curves, more than a terminal is wide.
const HISTORY: usize = 512;
/// The most devices that are kept.
const DEVICES_MAX: usize = 64;
/// The largest sample or activity that is kept, in bytes. With the bounds above a server cannot fill the memory.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// An update from the server or the connection.
pub(crate) enum Update {
    /// The connection was made.
    Connected(Box<GetServerInfoResponse>),
    /// The connection was lost or could not be restored, for this reason.
    Lost(String),
    /// A sample of a device.
    Device(Box<GpuStats>),
    /// The activity of the server.
    Activity(Activity),
    /// The jobs that wait or run.
    Jobs(Vec<Job>),
    /// A step of a job.
    Step(String, Step),
    /// A preview of a job.
    Preview(String, Picture),
    /// A message for the user.
    Notice(String),
}

/// An action of the user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// None outside the model.
    None,
    Quit,
    /// Cancel this job.
    Cancel(String),
}

/// The state that is shown.
#[derive(Default)]
pub(crate) struct Model {
    /// The server's address.
    pub address: String,
    /// The server, once it is known.
    pub server: Option<GetServerInfoResponse>,
    /// Why the connection was lost, if it was.
    pub lost: Option<String>,
    /// The devices by number and by the server's name, which tells engines on the CPU apart.
    pub devices: BTreeMap<(u32, String), Device>,
    /// The activity of the server over time, the oldest first.
    pub activity: VecDeque<Activity>,
    /// Jobs that run or wait, in the order in which they get the device.
    pub jobs: Vec<Job>,
    /// The selected job.
    pub chosen: Option<String>,
    /// The running job, from its own events.
    pub running: Option<Running>,
    /// Whether the display is paused.
    pub is_paused: bool,
    /// The job whose cancellation the user is asked to confirm.
    pub asked: Option<String>,
    /// A message for the user.
    pub notice: Option<String>,
}

/// A device over time.
#[derive(Default)]
pub(crate) struct Device {
    /// The newest sample.
    pub newest: GpuStats,
    /// Samples, the oldest first.
    pub history: VecDeque<GpuStats>,
}

/// The running job, from its own events.
#[derive(Default)]
pub(crate) struct Running {
    pub job_id: String,
    /// Its last step.
    pub step: Option<Step>,
    /// The last preview of its first picture.
    pub preview: Option<Picture>,
}

impl Model {
    /// The state before the first update.
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), ..Self::default() }
    }

    /// Applies an update. While the display is paused only the connection and messages change.
    pub(crate) fn apply(&mut self, update: Update) {
        match update {
            Update::Connected(server) => {
                self.server = Some(*server);
                self.lost = None;
            }
            Update::Lost(reason) => self.lost = Some(reason),
            Update::Notice(notice) => self.notice = Some(notice),
            _ if self.is_paused => {}
            Update::Device(stats) if stats.encoded_len() > MESSAGE_BYTES_MAX => {}
            Update::Activity(activity) if activity.encoded_len() > MESSAGE_BYTES_MAX => {}
            Update::Device(stats) => {
                let is_full = self.devices.len() >= DEVICES_MAX;
                let device = match self.devices.entry((stats.device_index, stats.device.clone())) {
                    Entry::Vacant(_) if is_full => return,
                    entry => entry.or_default(),
                };
                push(&mut device.history, (*stats).clone());
                device.newest = *stats;
            }
            Update::Activity(activity) => {
                if self.running.as_ref().is_some_and(|running| running.job_id != activity.job_id) {
                    self.running = None;
                }
                push(&mut self.activity, activity);
            }
            Update::Jobs(jobs) => self.take_jobs(jobs),
            Update::Step(job_id, step) => self.running(job_id).step = Some(step),
            Update::Preview(job_id, preview) => self.running(job_id).preview = Some(preview),
        }
    }

    /// Handles a key.
    pub(crate) fn press(&mut self, key: KeyEvent) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::None;
        }
        self.notice = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Action::Quit } else { Action::None };
        }
        if let Some(job_id) = self.asked.take() {
            return if key.code == KeyCode::Char('y') { Action::Cancel(job_id) } else { Action::None };
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Action::Quit,
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Char('c') => self.asked.clone_from(&self.chosen),
            KeyCode::Up => self.choose(-1),
            KeyCode::Down => self.choose(1),
            _ => {}
        }
        Action::None
    }

    /// The job or the state of a device, by its server's name; empty for one that the server does not use.
    pub(crate) fn of_device(&self, stats: &GpuStats) -> String {
        let devices = self.now().map(|now| now.devices.as_slice()).unwrap_or_default();
        match devices.iter().find(|device| device.name == stats.device) {
            // The only device's job is shown by itself.
            Some(device) if devices.len() > 1 => device_job(device),
            _ => String::new(),
        }
    }

    /// The newest activity.
    pub(crate) fn now(&self) -> Option<&Activity> {
        self.activity.back()
    }

    /// The index of the selected job.
    pub(crate) fn chosen_place(&self) -> Option<usize> {
        let chosen = self.chosen.as_ref()?;
        self.jobs.iter().position(|job| job.job_id == *chosen)
    }

    fn take_jobs(&mut self, mut jobs: Vec<Job>) {
        let place = self.chosen_place().unwrap_or(0);
        jobs.sort_by_key(|job| (job.state() != JobState::Running, job.queue_position.unwrap_or(0), job.job_id.clone()));
        self.jobs = jobs;
        if self.chosen_place().is_none() {
            // The selected job is gone; select the one at its index.
            let nearest = self.jobs.get(place).or(self.jobs.last());
            self.chosen = nearest.map(|job| job.job_id.clone());
        }
    }

    fn choose(&mut self, by: isize) {
        let place = self.chosen_place().unwrap_or(0).saturating_add_signed(by).min(self.jobs.len().saturating_sub(1));
        self.chosen = self.jobs.get(place).map(|job| job.job_id.clone());
    }

    fn running(&mut self, job_id: String) -> &mut Running {
        if self.running.as_ref().is_none_or(|running| running.job_id != job_id) {
            self.running = Some(Running { job_id, ..Running::default() });
        }
        self.running.get_or_insert_default()
    }
}

/// A stage such as `text_encode` in words; a job is in none before its first.
pub(crate) fn stage_text(stage: &str) -> String {
    if stage.is_empty() { "begins".to_owned() } else { one_line(stage).replace('_', " ") }
}

/// `, denoise, step 3 of 28`, or the state of a device that takes no jobs.
fn device_job(device: &DeviceActivity) -> String {
    match device.state() {
        DeviceState::Unspecified | DeviceState::Serving | DeviceState::Draining if !device.job_id.is_empty() => {
            format!(", {}, step {} of {}", stage_text(&device.stage), device.step, device.steps)
        }
        DeviceState::Unspecified | DeviceState::Serving => ", idle".to_owned(),
        state => format!(", {}", devices::word(state)),
    }
}

/// The activity of several devices as that of one: the first running job, and the memory of all.
pub(crate) fn of_all(mut activity: Activity) -> Activity {
    if activity.devices.len() < 2 {
        return activity;
    }
    if let Some(busy) = activity.devices.iter().find(|device| !device.job_id.is_empty()) {
        let DeviceActivity { job_id, stage, step, steps, .. } = busy.clone();
        (activity.job_id, activity.stage, activity.step, activity.steps) = (job_id, stage, step, steps);
    }
    let (mut pools, mut processes): (Vec<MemoryPool>, Vec<ProcessMemory>) = Default::default();
    for device in &activity.devices {
        for pool in &device.pools {
            match pools.iter_mut().find(|known| known.name == pool.name) {
                Some(known) => {
                    known.used_bytes = known.used_bytes.saturating_add(pool.used_bytes);
                    known.held_bytes = known.held_bytes.saturating_add(pool.held_bytes);
                }
                None => pools.push(pool.clone()),
            }
        }
        for process in &device.processes {
            match processes.iter_mut().find(|known| known.pid == process.pid) {
                Some(known) => known.bytes = known.bytes.saturating_add(process.bytes),
                None => processes.push(*process),
            }
        }
    }
    (activity.pools, activity.processes) = (pools, processes);
    activity
}

fn push<T>(history: &mut VecDeque<T>, value: T) {
    if history.len() == HISTORY {
        history.pop_front();
    }
    history.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(job_id: &str, state: JobState, queue_position: Option<u32>) -> Job {
        Job { job_id: job_id.into(), state: state.into(), queue_position, ..Job::default() }
    }

    fn press(model: &mut Model, code: KeyCode) -> Action {
        model.press(KeyEvent::from(code))
    }

    fn queue() -> Model {
        let mut model = Model::new("http://x");
        model.apply(Update::Jobs(vec![
            job("c", JobState::Queued, Some(2)),
            job("b", JobState::Queued, Some(1)),
            job("a", JobState::Running, None),
        ]));
        model
    }

    #[test]
    fn jobs_are_in_the_order_in_which_they_run() {
        let model = queue();
        let order: Vec<&str> = model.jobs.iter().map(|job| job.job_id.as_str()).collect();
        assert_eq!(order, ["a", "b", "c"]);
        assert_eq!(model.chosen.as_deref(), Some("a"));
    }

    #[test]
    fn a_job_is_cancelled_only_after_a_confirmation() {
        let mut model = queue();
        assert_eq!(press(&mut model, KeyCode::Down), Action::None);
        assert_eq!(press(&mut model, KeyCode::Char('c')), Action::None);
        assert_eq!(model.asked.as_deref(), Some("b"));
        assert_eq!(press(&mut model, KeyCode::Char('q')), Action::None, "anything but y is no");
        assert_eq!(model.asked, None);
        press(&mut model, KeyCode::Char('c'));
        assert_eq!(press(&mut model, KeyCode::Char('y')), Action::Cancel("b".into()));
        assert_eq!(press(&mut model, KeyCode::Char('q')), Action::Quit);
    }

    #[test]
    fn the_selection_follows_its_job_and_then_its_index() {
        let mut model = queue();
        press(&mut model, KeyCode::Down);
        model.apply(Update::Jobs(vec![job("b", JobState::Running, None), job("c", JobState::Queued, Some(1))]));
        assert_eq!((model.chosen.as_deref(), model.chosen_place()), (Some("b"), Some(0)));
        model.apply(Update::Jobs(vec![job("c", JobState::Running, None)]));
        assert_eq!(model.chosen.as_deref(), Some("c"));
        for _ in 0..3 {
            press(&mut model, KeyCode::Down);
        }
        assert_eq!(model.chosen.as_deref(), Some("c"), "the end is the end");
        model.apply(Update::Jobs(Vec::new()));
        assert_eq!(model.chosen, None);
        press(&mut model, KeyCode::Char('c'));
        assert_eq!(model.asked, None, "there is no job to cancel");
    }

    #[test]
    fn a_pause_stops_samples_but_not_the_connection() {
        let mut model = Model::new("http://x");
        press(&mut model, KeyCode::Char('p'));
        model.apply(Update::Device(Box::default()));
        model.apply(Update::Lost("gone".into()));
        assert!(model.devices.is_empty());
        assert_eq!(model.lost.as_deref(), Some("gone"));
        press(&mut model, KeyCode::Char('p'));
        model.apply(Update::Device(Box::default()));
        model.apply(Update::Connected(Box::default()));
        assert_eq!((model.devices.len(), model.lost), (1, None));
    }

    #[test]
    fn a_new_job_has_no_steps_of_the_old_one() {
        let mut model = Model::new("http://x");
        let picture = Picture::new(1, 1, vec![0; 3]).expect("three bytes");
        model.apply(Update::Preview("a".into(), picture));
        model.apply(Update::Activity(Activity { job_id: "a".into(), ..Activity::default() }));
        assert!(model.running.as_ref().is_some_and(|running| running.preview.is_some()));
        model.apply(Update::Activity(Activity { job_id: "b".into(), ..Activity::default() }));
        assert!(model.running.is_none());
    }

    #[test]
    fn several_devices_are_shown_with_their_jobs_and_their_memory_together() {
        let device = |name: &str, job_id: &str, state: DeviceState, used_bytes| DeviceActivity {
            name: name.into(),
            state: state.into(),
            job_id: job_id.into(),
            stage: "text_encode".into(),
            step: 3,
            steps: 28,
            pools: vec![MemoryPool { name: "scratch".into(), used_bytes, held_bytes: u64::MAX }],
            processes: vec![ProcessMemory { pid: 7, bytes: 5, is_server: true }],
        };
        let devices = vec![
            device("cuda:0", "", DeviceState::Serving, 1),
            device("cuda:1", "a", DeviceState::Serving, 2),
            device("cuda:2", "", DeviceState::Drained, 4),
            DeviceActivity { stage: String::new(), step: 0, ..device("cuda:3", "b", DeviceState::Serving, 0) },
        ];
        let seen = of_all(Activity { devices, ..Activity::default() });
        assert_eq!((seen.job_id.as_str(), seen.step, seen.steps), ("a", 3, 28));
        assert_eq!((seen.pools.len(), seen.pools[0].used_bytes, seen.processes[0].bytes), (1, 7, 20));
        let mut model = Model::new("http://x");
        model.apply(Update::Activity(seen));
        let texts = ["cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:4"]
            .map(|name| model.of_device(&GpuStats { device: name.into(), ..GpuStats::default() }));
        assert_eq!(texts, [", idle", ", text encode, step 3 of 28", ", drained", ", begins, step 0 of 28", ""]);
    }

    #[test]
    fn the_history_is_bounded() {
        let mut model = Model::new("http://x");
        for _ in 0..HISTORY + 5 {
            model.apply(Update::Device(Box::default()));
            model.apply(Update::Activity(Activity::default()));
        }
        assert_eq!((model.devices[&(0, String::new())].history.len(), model.activity.len()), (HISTORY, HISTORY));
        for device_index in 0..1000 {
            model.apply(Update::Device(Box::new(GpuStats { device_index, ..GpuStats::default() })));
        }
        assert_eq!(model.devices.len(), DEVICES_MAX);
        let name = "x".repeat(MESSAGE_BYTES_MAX);
        model.apply(Update::Device(Box::new(GpuStats { name, ..GpuStats::default() })));
        assert_eq!(model.devices[&(0, String::new())].newest.name, "", "a sample that is too large is dropped");
    }
}
