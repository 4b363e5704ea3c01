//! Draws `top`.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, LineGauge, Paragraph, Sparkline, SparklineBar, Table, TableState};
use sakuga_client::proto::generation::v1::GenerateRequest;
use sakuga_client::proto::system::v1::{Activity, GpuStats};

use super::model::{Device, Model, stage_text};
use crate::cli::jobs::text as jobs_text;
use crate::cli::progress::{device_line, step_line};
use crate::cli::{request_text, units};
use sakuga_client::proto::text::one_line;

/// The most devices that are shown.
const DEVICES_MAX: usize = 8;
/// The most memory pools that are shown.
const POOLS_MAX: usize = 4;
/// Height of the running job: a gauge, two lines of text, a picture as large as that allows.
const RUNNING_ROWS: u16 = 10;

/// Characters of a prompt in the list of jobs.
const PROMPT_MAX: usize = 120;
/// Columns below which the running job has its picture under its text instead of next to it.
const NARROW: u16 = 60;
/// Characters of a device's name that are always shown.
const NAME_MIN: usize = 6;
/// Columns from which the list of jobs has their age.
const WITH_AGE: u16 = 80;

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let devices = model.devices.len().clamp(1, DEVICES_MAX);
    let pools = model.now().map_or(0, |activity| activity.pools.len().min(POOLS_MAX));
    let rows = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let [title, device_area, running, memory, queue, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(rows(2 * devices) + 2),
        Constraint::Length(RUNNING_ROWS),
        Constraint::Length(rows(pools + 1) + 2),
        Constraint::Min(4),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(title_line(model), title);
    draw_devices(frame, device_area, model);
    draw_running(frame, running, model);
    draw_memory(frame, memory, model);
    draw_queue(frame, queue, model);
    frame.render_widget(foot_line(model), foot);
}

fn title_line(model: &Model) -> Line<'static> {
    let mut spans = vec![Span::from("sakuga top").bold(), Span::from(format!("  {}", one_line(&model.address)))];
    if let Some(server) = &model.server {
        let text = format!("  {} {}, {}, {}", server.version, server.engine, server.device, server.precision);
        spans.push(one_line(&text).dim());
    }
    if model.is_paused {
        spans.push("  paused".yellow());
    }
    if let Some(reason) = &model.lost {
        spans.push(format!("  no connection: {}", one_line(reason)).red());
    }
    spans.into()
}

fn foot_line(model: &Model) -> Line<'static> {
    match (&model.asked, &model.notice) {
        (Some(job_id), _) => Line::from(format!("cancel job {}? y: yes, any other key: no", one_line(job_id))).bold(),
        (None, Some(notice)) => Line::from(one_line(notice)),
        (None, None) => Line::from("q quit  ↑↓ select a job  c cancel it  p pause").dim(),
    }
}

fn draw_devices(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let block = Block::bordered().title("devices");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if model.devices.is_empty() {
        frame.render_widget(Line::from("no sample yet").dim(), inner);
    }
    let rows = Layout::vertical(vec![Constraint::Length(2); model.devices.len().min(DEVICES_MAX)]).split(inner);
    for (device, area) in model.devices.values().zip(rows.iter()) {
        let [text, curves] = Layout::vertical([Constraint::Length(1); 2]).areas(*area);
        let line = device_line(&device.newest) + &model.of_device(&device.newest);
        frame.render_widget(Line::from(fitting(&line, text.width)), text);
        draw_curves(frame, curves, device);
    }
}

/// The line of a device in so many columns: its name is shortened before its figures are cut.
fn fitting(line: &str, columns: u16) -> String {
    let Some((name, figures)) = line.split_once(": ") else { return line.to_owned() };
    let room = usize::from(columns).saturating_sub(figures.chars().count() + 2);
    format!("{}: {figures}", request_text::shortened(name, room.max(NAME_MIN)))
}

/// A figure of a sample, as a share of a thousand where it has an end.
type Figure = fn(&GpuStats) -> Option<u64>;

/// The curves: a name, the figure, and its end if it has one.
const CURVES: &[(&str, Figure, Option<u64>)] = &[
    ("busy", |stats| stats.utilization_percent.map(tenths), Some(1000)),
    ("memory", memory_share, Some(1000)),
    ("power", |stats| stats.power_watts.map(tenths), None),
    ("clock", |stats| stats.sm_clock_mhz.map(u64::from), None),
];

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and less than nothing is nothing"
)]
fn tenths(figure: f32) -> u64 {
    (figure * 10.0) as u64
}

fn memory_share(stats: &GpuStats) -> Option<u64> {
    let total = stats.memory_total_bytes.filter(|total| *total > 0)?;
    u64::try_from(u128::from(stats.memory_used_bytes?) * 1000 / u128::from(total)).ok()
}

fn draw_curves(frame: &mut Frame<'_>, area: Rect, device: &Device) {
    let known: Vec<_> = CURVES.iter().filter(|(_, figure, _)| figure(&device.newest).is_some()).collect();
    let places = Layout::horizontal(vec![Constraint::Fill(1); known.len()]).spacing(1).split(area);
    for ((name, figure, end), area) in known.into_iter().zip(places.iter()) {
        let width = u16::try_from(name.len()).unwrap_or(0) + 1;
        let [label, curve] = Layout::horizontal([Constraint::Length(width), Constraint::Min(0)]).areas(*area);
        frame.render_widget(Line::from(*name).dim(), label);
        draw_curve(frame, curve, device.history.iter().map(figure), *end);
    }
}

/// A curve whose newest figure is at the right edge.
fn draw_curve(
    frame: &mut Frame<'_>,
    area: Rect,
    figures: impl ExactSizeIterator<Item = Option<u64>>,
    end: Option<u64>,
) {
    let width = usize::from(area.width);
    let missing = width.saturating_sub(figures.len());
    let surplus = figures.len().saturating_sub(width);
    // A small share is one eighth of a line rather than nothing.
    let least = end.map_or(0, |end| end.div_ceil(8));
    let visible = |figure: Option<u64>| figure.map(|figure| if figure > 0 { figure.max(least) } else { 0 });
    let bars: Vec<SparklineBar> =
        std::iter::repeat_n(None, missing).chain(figures.skip(surplus).map(visible)).map(Into::into).collect();
    let curve = Sparkline::default().data(bars).style(Color::Cyan);
    frame.render_widget(if let Some(end) = end { curve.max(end.max(1)) } else { curve }, area);
}

fn draw_running(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let block = Block::bordered().title("running");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some(now) = model.now().filter(|now| !now.job_id.is_empty()) else {
        return frame.render_widget(Line::from("idle").dim(), inner);
    };
    let running = model.running.as_ref().filter(|running| running.job_id == now.job_id);
    let preview = running.and_then(|running| running.preview.as_ref());
    let is_narrow = inner.width < NARROW;
    let (width, height) =
        if is_narrow { (inner.width, inner.height.saturating_sub(3)) } else { (inner.width / 2, inner.height) };
    let preview_lines = preview.map(|preview| preview.lines(width, height)).unwrap_or_default();
    let columns = preview_lines.first().map_or(0, |line| u16::try_from(line.spans.len()).unwrap_or(0));
    let [text, picture] = match is_narrow {
        true => Layout::vertical([Constraint::Length(3), Constraint::Min(0)]).areas(inner),
        false => Layout::horizontal([Constraint::Min(0), Constraint::Length(columns)]).spacing(1).areas(inner),
    };
    frame.render_widget(Paragraph::new(preview_lines), picture);
    let [head, gauge, pace] = Layout::vertical([Constraint::Length(1); 3]).areas(text);
    let place = place(now);
    let is_cut = place.chars().count() > usize::from(head.width);
    frame.render_widget(Line::from(if is_cut { short_place(now) } else { place }), head);
    frame.render_widget(step_gauge(now), gauge);
    let step = running.and_then(|running| running.step.as_ref());
    let pace_text = step.map(step_line).or_else(|| {
        let job = model.jobs.iter().find(|job| job.job_id == now.job_id)?;
        Some(jobs_text::outcome(job))
    });
    frame.render_widget(Line::from(pace_text.unwrap_or_default()), pace);
}

/// `job 0198, denoise, step 4 of 12`.
pub(crate) fn place(now: &Activity) -> String {
    one_line(&format!("job {}, {}, step {} of {}", now.job_id, stage_text(&now.stage), now.step, now.steps))
}

/// `…2da0e0ff, denoise, 4/12`: the end of an identifier is random, its beginning is the time.
fn short_place(now: &Activity) -> String {
    one_line(&format!("{}, {}, {}/{}", short_id(&now.job_id), stage_text(&now.stage), now.step, now.steps))
}

/// The end of a long identifier.
fn short_id(job_id: &str) -> String {
    const TAIL: usize = 8;
    let length = job_id.chars().count();
    if length <= TAIL {
        return job_id.to_owned();
    }
    format!("…{}", job_id.chars().skip(length - TAIL).collect::<String>())
}

fn step_gauge(now: &Activity) -> LineGauge<'static> {
    let ratio = if now.steps == 0 { 0.0 } else { f64::from(now.step) / f64::from(now.steps) };
    LineGauge::default()
        .filled_symbol("━")
        .unfilled_symbol("─")
        .ratio(ratio.clamp(0.0, 1.0))
        .filled_style(Style::new().green())
        .unfilled_style(Style::new().dim())
}

fn draw_memory(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let block = Block::bordered().title("memory by purpose");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some(now) = model.now() else { return };
    let pools = &now.pools[..now.pools.len().min(POOLS_MAX)];
    let rows = Layout::vertical(vec![Constraint::Length(1); pools.len() + 1]).split(inner);
    for (pool, area) in pools.iter().zip(rows.iter()) {
        let [text, curve] = Layout::horizontal([Constraint::Length(52), Constraint::Min(0)]).areas(*area);
        frame.render_widget(Line::from(pool_line(&pool.name, pool.used_bytes, pool.held_bytes)), text);
        let of =
            |activity: &Activity| activity.pools.iter().find(|one| one.name == pool.name).map(|one| one.used_bytes);
        let most = model.activity.iter().flat_map(|activity| &activity.pools).filter(|one| one.name == pool.name);
        let most = most.map(|one| one.held_bytes.max(one.used_bytes)).max();
        draw_curve(frame, curve, model.activity.iter().map(of), most);
    }
    if let Some(area) = rows.last() {
        frame.render_widget(Line::from(processes_line(now)).dim(), *area);
    }
}

/// `scratch                 24.0 KiB of 32.0 KiB held`.
pub(crate) fn pool_line(name: &str, used: u64, held: u64) -> String {
    format!("{:<22} {} of {} held", one_line(name), units::bytes(used), units::bytes(held))
}

/// `held by this server 30.1 MiB, by process 77 1.0 GiB`.
pub(crate) fn processes_line(now: &Activity) -> String {
    if now.processes.is_empty() {
        return "the driver does not report which processes hold memory".to_owned();
    }
    let holders = now.processes.iter().map(|process| {
        let who = if process.is_server { "this server".to_owned() } else { format!("process {}", process.pid) };
        format!("{who} {}", units::bytes(process.bytes))
    });
    format!("held by {}", holders.collect::<Vec<_>>().join(", "))
}

fn draw_queue(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let waiting = model.now().map_or(0, |now| now.queued as usize);
    let block = Block::bordered().title(format!("jobs: {waiting} waiting"));
    let has_age = area.width >= WITH_AGE;
    let none = GenerateRequest::default();
    let rows = model.jobs.iter().map(|job| {
        let [_, state, age, outcome] = jobs_text::row(job);
        let request = job.request.as_ref().unwrap_or(&none);
        let what = format!("{outcome}  {}", request_text::prompt(request, PROMPT_MAX));
        let mut cells = vec![one_line(&short_id(&job.job_id)), state, request_text::size(request)];
        cells.extend(has_age.then_some(age));
        cells.push(what.trim_start().to_owned());
        ratatui::widgets::Row::new(cells)
    });
    let mut widths = vec![Constraint::Length(9), Constraint::Length(9), Constraint::Length(9)];
    widths.extend(has_age.then_some(Constraint::Length(12)));
    widths.push(Constraint::Fill(1));
    let table =
        Table::new(rows, widths).block(block).row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(model.chosen_place());
    frame.render_stateful_widget(table, area, &mut state);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use sakuga_client::proto::generation::v1::generate_request::Prompt;
    use sakuga_client::proto::generation::v1::{Job, JobState, Step};
    use sakuga_client::proto::system::v1::{GetServerInfoResponse, MemoryPool, ProcessMemory, StatsSource};

    use super::super::halfblocks::Picture;
    use super::super::model::Update;
    use super::*;

    /// What the screen shows, without colours.
    fn screen(model: &Model, columns: u16, rows: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a buffer");
        terminal.draw(|frame| draw(frame, model)).expect("a drawing");
        let lines = terminal.backend().buffer().content.chunks(columns.into()).map(|line| {
            let text: String = line.iter().map(|cell| cell.symbol()).collect();
            text.trim_end().to_owned() + "\n"
        });
        lines.collect()
    }

    fn busy() -> Model {
        let mut model = Model::new("https://gpu-box:50051");
        model.apply(Update::Connected(Box::new(GetServerInfoResponse {
            version: "0.1.0".into(),
            engine: "burn".into(),
            device: "cuda:0 NVIDIA H100".into(),
            precision: "bf16".into(),
            ..GetServerInfoResponse::default()
        })));
        for (index, busy) in [(0, 10.0), (0, 55.0), (0, 100.0), (1, 0.0)] {
            model.apply(Update::Device(Box::new(GpuStats {
                source: StatsSource::Nvml.into(),
                device_index: index,
                name: "NVIDIA H100".into(),
                utilization_percent: Some(busy),
                memory_used_bytes: Some(20 << 30),
                memory_total_bytes: Some(80 << 30),
                power_watts: Some(100.0 + busy * 5.0),
                sm_clock_mhz: (index == 0).then_some(1980),
                ..GpuStats::default()
            })));
        }
        for used in [1, 6, 7] {
            let pool = |name: &str, used_bytes, held_bytes| MemoryPool { name: name.into(), used_bytes, held_bytes };
            model.apply(Update::Activity(Activity {
                pools: vec![pool("weights and tensors", used << 30, 8 << 30), pool("scratch", 0, 1 << 20)],
                processes: vec![ProcessMemory { pid: 77, bytes: 9 << 30, is_server: true }],
                queued: 1,
                job_id: "job-1".into(),
                stage: "denoise".into(),
                step: 14,
                steps: 28,
                ..Activity::default()
            }));
        }
        let step = Step {
            index: 14,
            total: 28,
            t: 0.2,
            sigma: 0.8,
            step_ms: 143.0,
            eta: Some(prost_types::Duration { seconds: 2, nanos: 300_000_000 }),
            guidance_active: true,
            evaluations: 14,
            pass_number: 1,
            reused_share: 0.0,
        };
        model.apply(Update::Step("job-1".into(), step));
        let picture = Picture::new(32, 32, vec![200; 3 * 32 * 32]).expect("as many bytes");
        model.apply(Update::Preview("job-1".into(), picture));
        let job = |job_id: &str, state: JobState, queue_position| Job {
            job_id: job_id.into(),
            state: state.into(),
            queue_position,
            ..Job::default()
        };
        model.apply(Update::Jobs(vec![job("job-2", JobState::Queued, Some(1)), job("job-1", JobState::Running, None)]));
        model
    }

    #[test]
    fn a_busy_server() {
        assert_eq!(screen(&busy(), 100, 32), include_str!("golden/busy.txt"));
    }

    #[test]
    fn a_server_that_is_not_known_yet() {
        assert_eq!(screen(&Model::new("http://127.0.0.1:50051"), 80, 24), include_str!("golden/empty.txt"));
    }

    #[test]
    fn status_and_question_are_in_the_first_and_last_line() {
        let mut model = busy();
        model.is_paused = true;
        model.lost = Some("the server ended the stream\u{1b}[2J".into());
        model.asked = Some("job-2".into());
        let screen = screen(&model, 140, 32);
        let lines: Vec<&str> = screen.lines().collect();
        assert!(lines[0].ends_with("paused  no connection: the server ended the stream\u{fffd}[2J"), "{}", lines[0]);
        assert_eq!(lines[31], "cancel job job-2? y: yes, any other key: no");
    }

    #[test]
    fn a_narrow_terminal_shows_the_running_job_and_the_ends_of_identifiers() {
        let mut model = busy();
        let job_id = "0198c5a2-7d3e-7c41-9a55-2f1f3f2b6a10";
        let mut activity = model.now().cloned().expect("there is one");
        activity.job_id = job_id.into();
        model.apply(Update::Activity(activity));
        let request = GenerateRequest {
            width: 832,
            height: 1216,
            prompt: Some(Prompt::Xml("<caption>a fox</caption>".into())),
            ..GenerateRequest::default()
        };
        let state = JobState::Running.into();
        model.apply(Update::Jobs(vec![Job { job_id: job_id.into(), state, request: Some(request), ..Job::default() }]));
        let screen = screen(&model, 50, 40);
        for text in ["…3f2b6a10, denoise, 14/28", "…3f2b6a10", "832x1216", "a fox"] {
            assert!(screen.contains(text), "{text}\n{screen}");
        }
    }

    #[test]
    fn the_name_of_a_device_makes_room_for_its_figures() {
        let line = "host AMD EPYC (2 threads): 100 % load, 2.5 GiB of 23.5 GiB";
        assert_eq!(fitting(line, 58), line);
        assert_eq!(fitting(line, 48), "host AMD EPY...: 100 % load, 2.5 GiB of 23.5 GiB");
        assert_eq!(fitting(line, 10), "hos...: 100 % load, 2.5 GiB of 23.5 GiB");
        assert_eq!(fitting("no figures", 3), "no figures");
        let screen = screen(&busy(), 50, 40);
        assert!(screen.contains("100 % busy, 20.0 GiB of 80.0 GiB"), "{screen}");
    }

    #[test]
    fn a_small_share_is_visible() {
        let mut model = Model::new("http://127.0.0.1:50051");
        let sample =
            GpuStats { memory_used_bytes: Some(1 << 30), memory_total_bytes: Some(256 << 30), ..GpuStats::default() };
        model.apply(Update::Device(Box::new(sample)));
        assert!(screen(&model, 80, 24).contains('▁'));
    }

    #[test]
    fn any_size_can_be_drawn() {
        let model = busy();
        for (columns, rows) in [(1, 1), (3, 40), (200, 2), (20, 10), (500, 200)] {
            screen(&model, columns, rows);
        }
    }
}
