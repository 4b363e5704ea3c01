//! How many prompts one core checks in a second: `cargo bench -p sakuga-schema`.
//!
//! Each line is one example, read from text that is already in memory; the vocabulary is on, as it always is. Below
//! stand the slowest texts of those that were made to be slow.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sakuga_schema::{CheckOptions, Limits, Strictness, check};

#[path = "../tests/invariants/repetition.rs"]
mod repetition;

const EXAMPLES: [(&str, &str); 3] = [
    ("rainy_walk.xml", include_str!("../examples/rainy_walk.xml")),
    ("one_girl.xml", include_str!("../examples/one_girl.xml")),
    ("scenery.xml", include_str!("../examples/scenery.xml")),
];

fn main() {
    // `cargo test --benches` runs this too; then one round is enough.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let rounds = if is_bench { 5 } else { 1 };
    let round = if is_bench { Duration::from_secs(1) } else { Duration::from_millis(1) };
    println!("{:<16} {:>8} {:>9} {:>14} {:>12}", "example", "mode", "bytes", "prompts/s", "µs/prompt");
    for (name, text) in EXAMPLES {
        for (mode, strictness) in [("lenient", Strictness::Lenient), ("strict", Strictness::Strict)] {
            let options = CheckOptions { strictness, ..CheckOptions::default() };
            assert!(check(text, &options).is_valid(), "{name} is an example");
            let best = (0..rounds).map(|_| prompts_per_second(text, &options, round)).fold(0.0, f64::max);
            println!("{name:<16} {mode:>8} {:>9} {best:>14.0} {:>12.2}", text.len(), 1e6 / best);
        }
    }
    if is_bench {
        slowest_hostile_texts();
    }
}

/// The bound is 50 ms for any text within the limit.
fn slowest_hostile_texts() {
    let options = CheckOptions::default();
    let mut times: Vec<(Duration, String)> = repetition::texts(Limits::DEFAULT.max_bytes)
        .map(|(name, text, _)| {
            let best = (0..3).map(|_| {
                let start = Instant::now();
                black_box(check(black_box(&text), &options));
                start.elapsed()
            });
            (best.min().unwrap_or_default(), name)
        })
        .collect();
    times.sort_by(|left, right| right.cmp(left));
    println!("\nslowest of {} hostile texts of 64 KiB", times.len());
    for (time, name) in times.iter().take(8) {
        println!("{:>8.2} ms  {name:?}", time.as_secs_f64() * 1e3);
    }
}

fn prompts_per_second(text: &str, options: &CheckOptions<'_>, round: Duration) -> f64 {
    const BATCH: u32 = 64;
    let start = Instant::now();
    let mut prompts = 0.0;
    while start.elapsed() < round {
        for _ in 0..BATCH {
            black_box(check(black_box(text), options));
        }
        prompts += f64::from(BATCH);
    }
    prompts / start.elapsed().as_secs_f64()
}
