//! A request that two devices draw has the bits of one device.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use sakuga_model::families::FamilyModel;
use sakuga_model::families::newbie::Pipeline;
use sakuga_model_core::{
    Area, AssistingLink, EvaluationReuse, GenerationSpec, Guidance, HalfPrediction, HalfTask, InitImage, Leader, Mask,
    Outcome, PeerLost, Progress, Quality, ReuseRule, Rgb8, SecondPass, Solver, StepCache, StepSet, Upscaler, link,
};

use super::{draw, pipeline, spec, with_sampling};

/// An assisting device that leaves after some answers.
struct Leaving {
    link: AssistingLink,
    answers_left: u32,
    /// The tasks that it got, without latents.
    tasks: Vec<HalfTask>,
}

impl Leaving {
    fn after(answers_left: u32, link: AssistingLink) -> Self {
        Self { link, answers_left, tasks: Vec::new() }
    }
}

impl Leader for Leaving {
    fn next(&mut self) -> Option<HalfTask> {
        let task = self.link.next()?;
        self.tasks.push(HalfTask { latents: Vec::new(), ..task.clone() });
        (self.answers_left > 0).then_some(task)
    }

    fn answer(&mut self, half: HalfPrediction) -> Result<(), PeerLost> {
        self.answers_left -= 1;
        self.link.answer(half)
    }
}

/// What two devices draw, what was reused, the steps that were reported, and the tasks that the second one got.
struct Shared {
    images: Vec<Rgb8>,
    reused: Vec<EvaluationReuse>,
    steps: Vec<u32>,
    tasks: Vec<HalfTask>,
}

/// Draws `spec` on two devices. The second one leaves after `answers`.
fn draw_shared(devices: [Pipeline; 2], spec: &GenerationSpec, answers: u32) -> Shared {
    let [first, second] = devices;
    let (lead, assisting) = link();
    let mut assist = Leaving::after(answers, assisting);
    let second_spec = spec.clone();
    let assisting = thread::spawn(move || {
        FamilyModel::assist(&second, &second_spec, &mut assist).unwrap_or_else(|error| panic!("{error}"));
        assist.tasks
    });
    let steps = RefCell::new(Vec::new());
    let outcome = FamilyModel::generate_with(&first, spec, Some(&lead), &mut |progress| {
        if let Progress::Step(step) = progress {
            steps.borrow_mut().push(step.report.index);
        }
        ControlFlow::Continue(())
    });
    let tasks = assisting.join().expect("the assisting device ends");
    match outcome {
        Ok(Outcome::Finished { images, reused, .. }) => Shared { images, reused, steps: steps.into_inner(), tasks },
        other => panic!("{other:?}"),
    }
}

fn alone(spec: &GenerationSpec) -> (Vec<Rgb8>, Vec<EvaluationReuse>) {
    match pipeline().generate(spec, &mut |_| ControlFlow::Continue(())) {
        Ok(Outcome::Finished { images, reused, .. }) => (images, reused),
        other => panic!("{other:?}"),
    }
}

fn init(is_masked: bool) -> InitImage {
    let pixels = (0..3 * 64 * 96).map(|at| (at * 7 % 251) as u8).collect();
    let mut mask = Mask::empty(64, 96);
    mask.mark(&Area { left_px: 0, top_px: 0, width_px: 32, height_px: 96 });
    InitImage {
        image: Arc::new(Rgb8 { width_px: 64, height_px: 96, pixels }),
        strength: 0.6,
        mask: is_masked.then(|| Arc::new(mask)),
        region: None,
    }
}

#[test]
fn two_devices_draw_the_bits_of_one() {
    let second_pass =
        SecondPass { width_px: 96, height_px: 144, steps: 6, strength: 0.5, upscaler: Upscaler::LatentBilinear };
    let guided =
        |from, until| with_sampling(|sampling| sampling.guidance = Guidance { from, until, ..sampling.guidance });
    let cached = |rule| {
        with_sampling(|sampling| {
            sampling.quality = Quality::Fast;
            sampling.step_cache = Some(StepCache { front_blocks: 1, back_blocks: 1, rule, taylor_order: 1 });
        })
    };
    let requests = [
        ("guided throughout", guided(0.0, 1.0)),
        ("guided in the middle", guided(0.2, 0.6)),
        ("unguided", with_sampling(|sampling| sampling.guidance = Guidance::new(1.0))),
        ("four evaluations a step", with_sampling(|sampling| sampling.solver = Solver::Rk4)),
        ("a multistep solver", with_sampling(|sampling| sampling.solver = Solver::Dpm)),
        ("batches", GenerationSpec { images: 3, max_batch: 2, negative: "lowres, bad hands".into(), ..spec() }),
        ("an initial image", GenerationSpec { init: Some(init(false)), ..spec() }),
        ("a mask", GenerationSpec { init: Some(init(true)), ..spec() }),
        ("a second pass", GenerationSpec { second_pass: Some(second_pass), ..guided(0.0, 0.5) }),
        ("a step cache by a pattern", cached(ReuseRule::Steps(StepSet::of([3, 5]).expect("few steps")))),
        ("a step cache", cached(ReuseRule::Change { threshold: 0.3, warmup_steps: 1, consecutive_max: 2 })),
    ];
    for (name, request) in requests {
        let (images, reused) = alone(&request);
        let shared = draw_shared([pipeline(), pipeline()], &request, u32::MAX);
        assert!(shared.images == images, "{name}: other pixels");
        assert_eq!(shared.reused, reused, "{name}");
        let evaluations: u32 = request.computed_steps() * request.sampling.solver.evaluations_per_step();
        let all = evaluations * request.batches().len() as u32;
        let guidance = request.sampling.guidance;
        assert_eq!(shared.tasks.is_empty(), name == "unguided", "{name}");
        assert!(shared.tasks.len() as u32 <= all, "{name}");
        assert!(shared.tasks.iter().all(|task| guidance.is_active(task.t as f32)), "{name}");
    }
}

#[test]
fn a_device_that_is_lost_on_the_way_changes_no_bit() {
    let rule = ReuseRule::Change { threshold: 0.3, warmup_steps: 1, consecutive_max: 2 };
    let cache = StepCache { front_blocks: 1, back_blocks: 1, rule, taylor_order: 1 };
    let cached = with_sampling(|sampling| (sampling.quality, sampling.step_cache) = (Quality::Fast, Some(cache)));
    for (request, batches) in [(spec(), 1), (GenerationSpec { images: 2, max_batch: 1, ..cached }, 2)] {
        let (images, reused) = alone(&request);
        for answers in [0, 3, 7] {
            let shared = draw_shared([pipeline(), pipeline()], &request, answers);
            assert!(shared.images == images, "lost after {answers}: other pixels");
            assert_eq!(shared.reused, reused, "lost after {answers}");
            // Steps that are computed again are not reported again.
            assert_eq!(shared.steps, (1..=6 * batches).collect::<Vec<_>>(), "lost after {answers}");
        }
    }
}

#[test]
fn a_generation_that_is_stopped_lets_the_second_device_go() {
    let (lead, mut assist) = link();
    let assisting = thread::spawn(move || FamilyModel::assist(&pipeline(), &spec(), &mut assist));
    let outcome = FamilyModel::generate_with(&pipeline(), &spec(), Some(&lead), &mut |progress| match progress {
        Progress::Step(step) if step.report.index == 2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(outcome, Ok(Outcome::Stopped { after_step: 2 })), "{outcome:?}");
    assisting.join().expect("it ends").unwrap_or_else(|error| panic!("{error}"));
    // The same picture as ever afterwards.
    assert_eq!(draw(&pipeline(), &spec()), alone(&spec()).0);
}
