//! Describes and opens the models of the configuration on one device, at the start of the server.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use sakuga_model_core::{EngineError, ModelDescription, ModelSource, OpenOptions};

use super::residents::{Residents, Sources};
use crate::models::{MemoryBudget, ModelFacts, ModelId, ModelTable, StartError};

/// What is known of the models once as many are open as the budget allows.
pub(crate) struct Ready {
    /// Every model, in the order of the configuration. Those that were opened have the phases of loading and the compute
    /// paths.
    pub models: Vec<ModelDescription>,
    /// Where their weights are.
    pub table: ModelTable,
}

/// Describes all models, and opens as many as the budget allows, in order. A single model without a budget is opened without
/// being described before.
pub(super) fn start(sources: Sources, budget: MemoryBudget) -> Result<(Residents, Ready), StartError> {
    let count = sources.len();
    let mut residents = Residents::new(sources.clone());
    let fault = |model: ModelId, source: EngineError| match count {
        1 => StartError::Engine(source),
        _ => StartError::OneOfSeveral { number: model.index() + 1, source },
    };
    let begun = Instant::now();
    let mut models = Vec::with_capacity(count);
    for (model, source) in ModelId::all(count).zip(sources.iter()) {
        let described = match (count, budget.device_bytes) {
            (1, None) => residents.open(model, OpenOptions::default()).map(|open| ModelDescription {
                info: open.info.clone(),
                tokens: open.tokens.clone(),
                adapters: open.adapters.clone(),
                host_copy_bytes: 0,
            }),
            _ => describe(source.as_ref()),
        };
        models.push(described.map_err(|error| fault(model, error))?);
    }
    check(&models, budget)?;
    let mut table = ModelTable::new(models.iter().map(facts), budget);
    for model in ModelId::all(count) {
        if residents.is_open(model) {
            table.begin_load(model);
            table.loaded(model, begun.elapsed(), residents.host_bytes(model));
        } else if table.residents().has_room_for(model) {
            let begun = Instant::now();
            let plan = table.begin_load(model);
            let open = residents.open(model, plan.options).map_err(|error| fault(model, error))?;
            models[model.index()].info.clone_from(&open.info);
            models[model.index()].tokens = open.tokens.clone();
            models[model.index()].adapters = open.adapters.clone();
            table.loaded(model, begun.elapsed(), residents.host_bytes(model));
        }
    }
    Ok((residents, Ready { models, table }))
}

/// Describes a model; a panic becomes an error.
fn describe(source: &dyn ModelSource) -> Result<ModelDescription, EngineError> {
    let described = catch_unwind(AssertUnwindSafe(|| source.describe()));
    described.unwrap_or_else(|panic| Err(EngineError::panicked(panic.as_ref())))
}

fn facts(description: &ModelDescription) -> ModelFacts {
    ModelFacts {
        name: description.info.model.name.as_str().into(),
        weight_bytes: description.info.memory.fixed_bytes,
        host_copy_bytes: description.host_copy_bytes,
    }
}

/// Checks that there is a model, that names differ, and that each model fits into the budget alone.
fn check(models: &[ModelDescription], budget: MemoryBudget) -> Result<(), StartError> {
    if models.is_empty() {
        return Err(StartError::NoModel);
    }
    let mut names = HashSet::new();
    for ModelFacts { name, weight_bytes, .. } in models.iter().map(facts) {
        if let Some(allowed) = budget.device_bytes.filter(|allowed| weight_bytes > *allowed) {
            return Err(StartError::TooLarge { name: name.to_string(), bytes: weight_bytes, budget: allowed });
        }
        if !names.insert(name.clone()) {
            return Err(StartError::SameName(name.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::scripted::{Script, source};
    use crate::models::{ModelState, NamedSource};

    fn sources(models: &[(&str, Script)]) -> Sources {
        models.iter().map(|(name, script)| NamedSource::over(source(script.clone()), Some((*name).into()))).collect()
    }

    fn script(weight_bytes: u64) -> Script {
        Script { weight_bytes, ..Script::default() }
    }

    fn states(ready: &Ready) -> Vec<ModelState> {
        ready.table.statuses().into_iter().map(|status| status.state).collect()
    }

    #[test]
    fn as_many_models_are_opened_as_the_budget_allows() {
        use ModelState::{Loaded, Unloaded};
        let models = [("a", script(6)), ("b", script(5)), ("c", script(4))];
        for (device_bytes, expected) in [
            (None, [Loaded, Loaded, Loaded]),
            (Some(10), [Loaded, Unloaded, Loaded]),
            (Some(6), [Loaded, Unloaded, Unloaded]),
        ] {
            let budget = MemoryBudget { device_bytes, host_bytes: 0 };
            let (mut residents, ready) = start(sources(&models), budget).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(states(&ready), expected);
            for (id, state) in ModelId::all(3).zip(expected) {
                assert_eq!(residents.get_mut(id).is_some(), state == Loaded);
                assert_eq!(ready.models[id.index()].info.loading.is_empty(), state == Unloaded);
            }
        }
    }

    #[test]
    fn models_that_cannot_be_served_are_refused_with_the_reason() {
        let fails = Script { failing_openings: vec![1], ..script(1) };
        let refused = |models: &[(&str, Script)], device_bytes| {
            let budget = MemoryBudget { device_bytes, host_bytes: 0 };
            start(sources(models), budget).err().expect("refused").to_string()
        };
        let too_large = refused(&[("a", script(1)), ("b", script(11))], Some(10));
        assert!(too_large.contains("`b` take 11 bytes") && too_large.contains("allows 10"), "{too_large}");
        assert!(refused(&[("a", script(1)), ("a", script(1))], None).contains("the name `a`"));
        assert!(refused(&[("a", script(1)), ("b", fails.clone())], None).starts_with("--model number 2: the script"));
        assert!(refused(&[("a", fails)], None).starts_with("the script"));
        assert!(refused(&[], None).contains("--model"));
    }

    #[test]
    fn a_single_model_without_a_budget_is_opened_once() {
        let (_, ready) =
            start(Arc::from([source(script(7))]), MemoryBudget::default()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((states(&ready), ready.models[0].info.memory.fixed_bytes), (vec![ModelState::Loaded], 7));
    }
}
