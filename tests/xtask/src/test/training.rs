//! A rehearsal of the trainings: some steps at tiny sizes, from drawing figures to checkpoints that the crate loads.

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
/// A model that the trainer trains.
struct Model {
    /// The Python module of its command line.
    module: &'static str,
    config: &'static str,
    /// The command that trains its denoiser, after `vae`.
    train: &'static str,
    /// What the fixtures are computed for.
    text: &'static str,
    /// The test program that compares, the variable that names a fixture set, and the tests to run.
    parity: (&'static str, &'static str, &'static [&'static str]),
}

const MODELS: [Model; 2] = [
    Model {
        module: "sakuga_train",
        config: "tiny.json",
        train: "dit",
        text: "<gender>1girl</gender>\n<appearance>blue_hair, long_hair</appearance>",
        parity: ("parity", "SAKUGA_FIXTURES", &["pipeline"]),
    },
    Model {
        module: "sakuga_train.sdxl",
        config: "tiny-sd.json",
        train: "unet",
        text: "1girl, solo, blue hair, long hair",
        parity: ("parity_sdxl", "SAKUGA_FIXTURES_SDXL", &["clip::", "unet::", "vae::"]),
    },
];

/// A tiny network learns the mean in a few steps: the loss must fall at least to this share of its first value.
const FALL: f64 = 0.9;

/// Trains each model, watches the loss fall, and compares the checkpoint's results here with the trainer's.
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
    let figures = build::like_tests(workspace)?.figures.context("the workspace has no program sakuga-figures")?;
    for model in &MODELS {
        model.rehearse(context, &environment, &figures, &folder.join(model.module))?;
    }
    Ok(Verdict { passed: 2 * MODELS.len() as u64, ..Verdict::default() })
}

impl Model {
    fn rehearse(
        &self,
        context: &Context<'_>,
        environment: &Environment,
        figures: &Path,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let workspace = context.workspace();
        let (shards, checkpoint, fixtures) =
            (folder.join("shards"), folder.join("checkpoint"), folder.join("fixtures"));
        let draw = || {
            let mut figures = Command::new(figures);
            let few = ["dataset", "--count", "48", "--shard", "16", "--texts", "3", "--out"];
            context.check(figures.args(few).arg(&shards))
        };
        let train = |command: &str, arguments: &[&str]| {
            let mut trainer = Command::new(environment.python());
            trainer.args(["-m", self.module, "--config", self.config, command, "--checkpoint"]).arg(&checkpoint);
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
        context.check(train(self.train, &few).arg(&shards))?;
        let (first, last) = losses(&checkpoint.join("training.csv"))?;
        ensure!(last < FALL * first, "{}: the loss went from {first} to {last}: nothing was learnt", self.module);

        context.check(train("fixtures", &["--text", self.text, "--out"]).arg(&fixtures))?;
        // With the workspace's features, which everything is compiled with by now.
        let (test, variable, filters) = self.parity;
        let arguments = ["test", "--workspace", "--test", test, "--"];
        let mut parity = workspace.cargo(arguments.iter().chain(filters).copied());
        let (success, output) = context.tee(parity.env(variable, &fixtures))?;
        let counted = tally::read(&output);
        ensure!(success && counted.passed > 0, "{}: the crate computes something else than the trainer", self.module);
        Ok(())
    }
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
