//! A rehearsal of the training: some steps at a tiny size, from drawing figures to a checkpoint that the crate loads.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::build;
use crate::python::Environment;
use crate::test::context::Context;
use crate::test::{Verdict, tally};

/// The trainer's folder in the repository.
const TRAINER: &str = "model/training";
/// What the fixtures are computed for.
const TEXT: &str = "<gender>1girl</gender>\n<appearance>blue_hair, long_hair</appearance>";
/// A tiny network learns the mean in a few steps: the loss must fall at least to this share of its first value.
const FALL: f64 = 0.9;

/// Trains, watches the loss fall, and compares the checkpoint's results here with the trainer's.
pub(crate) fn rehearse(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let workspace = context.workspace();
    let environment = match Environment::with(workspace, "model/training/requirements.txt", "python-training") {
        Ok(environment) => environment,
        Err(error) => return Ok(Verdict::skipped(format!("training: {error:#}"))),
    };
    let folder = workspace.target.join("training");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let (shards, checkpoint, fixtures) = (folder.join("shards"), folder.join("checkpoint"), folder.join("fixtures"));

    let figures = build::like_tests(workspace)?.figures.context("the workspace has no program sakuga-figures")?;
    let draw = || {
        let mut figures = Command::new(&figures);
        context.check(figures.args(["dataset", "--count", "48", "--shard", "16", "--texts", "3", "--out"]).arg(&shards))
    };
    let train = |command: &str, arguments: &[&str]| {
        let mut trainer = Command::new(environment.python());
        trainer.args(["-m", "sakuga_train", "--config", "tiny.json", command, "--checkpoint"]).arg(&checkpoint);
        trainer.args(arguments).current_dir(workspace.root.join(TRAINER));
        // Compiling well would take longer than these few steps.
        trainer.env("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true");
        trainer.env("JAX_PLATFORMS", "cpu").env("PYTHONDONTWRITEBYTECODE", "1");
        // A later run reads what this one compiles instead of compiling it again.
        trainer.env("JAX_COMPILATION_CACHE_DIR", workspace.target.join("jax"));
        trainer.env("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5");
        trainer
    };
    draw()?;
    context.check(train("tokenizer", &["--shards"]).arg(&shards))?;
    let few = ["--pictures", "32", "--most", "6", "--steps", "2", "--seconds", "1e9", "--shards"];
    context.check(train("vae", &few).arg(&shards))?;
    // The trainer removes what it has read.
    draw()?;
    let few = ["--capacity", "48", "--most", "60", "--steps", "10", "--seconds", "1e9", "--shards"];
    context.check(train("dit", &few).arg(&shards))?;
    let (first, last) = losses(&checkpoint.join("training.csv"))?;
    ensure!(last < FALL * first, "the loss went from {first} to {last}: nothing was learnt");

    context.check(train("fixtures", &["--text", TEXT, "--out"]).arg(&fixtures))?;
    // With the workspace's features, which everything is compiled with by now.
    let mut parity = context.cargo(["test", "--workspace", "--test", "parity", "pipeline"]);
    let (success, output) = context.tee(parity.env("SAKUGA_FIXTURES", &fixtures))?;
    let counted = tally::read(&output);
    ensure!(success && counted.passed > 0, "the crate computes something else than the trainer");
    Ok(Verdict { passed: 2, ..Verdict::default() })
}

/// The losses of the first and the last line of the table.
fn losses(table: &Path) -> anyhow::Result<(f64, f64)> {
    let text = fs::read_to_string(table).with_context(|| format!("cannot read {}", table.display()))?;
    let mut rows = text.lines();
    let column = rows.next().and_then(|head| head.split(',').position(|name| name == "loss"));
    let column = column.context("the table has no column `loss`")?;
    let losses: Vec<f64> = rows.filter_map(|row| row.split(',').nth(column)?.parse().ok()).collect();
    match losses.as_slice() {
        [first, .., last] => Ok((*first, *last)),
        _ => bail!("{} has fewer than two rows", table.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_last_loss_are_read_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("training.csv");
        fs::write(&table, "step,loss,seconds\n10,2.0,1\n20,1.5,2\n30,1.25,3\n").unwrap();
        assert_eq!(losses(&table).unwrap(), (2.0, 1.25));
        fs::write(&table, "step,loss\n10,2.0\n").unwrap();
        assert!(losses(&table).is_err());
        fs::write(&table, "step,seconds\n1,2\n2,3\n").unwrap();
        assert!(losses(&table).unwrap_err().to_string().contains("loss"));
    }
}
