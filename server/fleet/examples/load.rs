//! Measures a fleet without devices: jobs and events a second, and the time from a call to its first event.
//!
//! `load nats://127.0.0.1:4222 REPLICAS SECONDS`. It creates the streams of the fleet `load` and writes to no other; give it servers
//! of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sakuga_fleet::{Fleet, FleetError, Role, Settings};
use tokio::sync::Mutex;

#[path = "../tests/jetstream/story.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod story;

/// Clients that create jobs at the same time.
const CLIENTS: u64 = 16;
/// Workers.
const WORKERS: usize = 4;
/// Steps of a job; its other events are `accepted`, `started` and `completed`.
const STEPS: u32 = 28;

#[tokio::main]
async fn main() -> Result<(), FleetError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(server), Some(replicas), Some(seconds)) =
        (arguments.first(), number(&arguments, 1), number(&arguments, 2))
    else {
        eprintln!("usage: load SERVER REPLICAS SECONDS");
        std::process::exit(64);
    };
    let servers = server.split(',').map(str::to_owned).collect();
    let replicas = usize::try_from(replicas).unwrap_or(1);
    let settings = Settings { servers, replicas, fleet: "load".into(), ..Settings::default() };
    Fleet::set_up(&settings).await?;
    let run = Duration::from_secs(seconds);
    accept(&settings, run).await?;
    draw(&settings, run).await
}

fn number(arguments: &[String], index: usize) -> Option<u64> {
    arguments.get(index)?.parse().ok()
}

/// Clients that never rest create jobs; each reads the first event of its job before its next call.
async fn accept(settings: &Settings, run: Duration) -> Result<(), FleetError> {
    let gateway = Fleet::open(settings, Role::Gateway).await?;
    let (latencies, begun) = (Arc::new(Mutex::new(Vec::new())), Instant::now());
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let (gateway, latencies) = (gateway.clone(), latencies.clone());
        clients.push(tokio::spawn(async move {
            for call in 0.. {
                if begun.elapsed() >= run {
                    break;
                }
                let (job, called) = (format!("accept-{}-{client}-{call}", std::process::id()), Instant::now());
                story::create(&gateway, &job, &job).await?;
                let created = called.elapsed();
                gateway.log.follow(&job).next().await?;
                latencies.lock().await.push((created, called.elapsed()));
            }
            Ok::<(), FleetError>(())
        }));
    }
    for client in clients {
        client.await.unwrap_or_else(|error| panic!("{error}"))?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let latencies = latencies.lock().await.clone();
    let (mut created, mut first): (Vec<_>, Vec<_>) = latencies.into_iter().unzip();
    println!("accepted: {:.0} jobs a second, {CLIENTS} clients", created.len() as f64 / seconds);
    println!("  answered after {}, first event read after {}", shares(&mut created), shares(&mut first));
    Ok(())
}

/// Workers draw jobs without waiting for a device: what remains is the fleet.
async fn draw(settings: &Settings, run: Duration) -> Result<(), FleetError> {
    let gateway = Fleet::open(settings, Role::Gateway).await?;
    let (is_over, drawn) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let worker = Fleet::open(settings, Role::Worker).await?;
        let (is_over, drawn) = (is_over.clone(), drawn.clone());
        workers.push(tokio::spawn(async move {
            let source = worker.work.source("anime", "normal").await?;
            while !is_over.load(Ordering::Relaxed) {
                if let Some(taken) = source.take(Duration::from_secs(1)).await?
                    && story::work(&worker, taken, STEPS, Duration::ZERO).await?
                {
                    drawn.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok::<(), FleetError>(())
        }));
    }
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < run {
        // Enough that no worker waits.
        if number > drawn.load(Ordering::Relaxed) + 4 * WORKERS as u64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let job = format!("draw-{}-{number}", std::process::id());
        story::create(&gateway, &job, &job).await?;
        gateway.work.publish(&story::item(&job)).await?;
        number += 1;
    }
    let (jobs, seconds) = (drawn.load(Ordering::Relaxed) as f64, begun.elapsed().as_secs_f64());
    is_over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap_or_else(|error| panic!("{error}"))?;
    }
    let events = jobs * f64::from(STEPS + 3);
    println!("drawn: {:.1} jobs and {:.0} events a second, {WORKERS} workers", jobs / seconds, events / seconds);
    Ok(())
}

/// The median and the 99th percentile.
fn shares(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    format!("{:.1} ms (median) and {:.1} ms (99 %)", at(0.5), at(0.99))
}
