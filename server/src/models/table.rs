//! [`ModelTable`]: where the weights of each model are, for one device.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sakuga_model_core::OpenOptions;

use super::{MemoryBudget, ModelId, ModelState, ModelStatus, ResidentSet};

/// Sizes of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelFacts {
    pub name: Arc<str>,
    /// Bytes of its weights on the device.
    pub weight_bytes: u64,
    /// Bytes that a copy of its weights takes in host memory; 0: the device cannot use one.
    pub host_copy_bytes: u64,
}

/// How a model is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoadPlan {
    /// The models to evict first.
    pub evicted: Vec<ModelId>,
    pub options: OpenOptions,
}

/// Where the weights of each model are, and how long loading them took.
#[derive(Clone, Debug)]
pub(crate) struct ModelTable {
    residents: ResidentSet,
    budget: MemoryBudget,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    facts: ModelFacts,
    is_loading: bool,
    failure: Option<String>,
    host_bytes: u64,
    last_used: Option<SystemTime>,
    /// Whether its kernels are tuned: it was open before, and the device has not been lost since then.
    is_warm: bool,
    load_time: Option<Duration>,
}

impl ModelTable {
    /// A table in which no model is loaded.
    pub(crate) fn new(models: impl IntoIterator<Item = ModelFacts>, budget: MemoryBudget) -> Self {
        let entry = |facts| Entry {
            facts,
            is_loading: false,
            failure: None,
            host_bytes: 0,
            last_used: None,
            is_warm: false,
            load_time: None,
        };
        let entries: Vec<Entry> = models.into_iter().map(entry).collect();
        let weights = entries.iter().map(|entry| entry.facts.weight_bytes).collect();
        Self { residents: ResidentSet::new(weights, budget.device_bytes), budget, entries }
    }

    /// The models on the device or on their way there.
    pub(crate) fn residents(&self) -> &ResidentSet {
        &self.residents
    }

    /// The memory budget. It has no host memory if the device cannot use copies in it.
    pub(crate) fn budget(&self) -> MemoryBudget {
        let has_copies = self.entries.iter().any(|entry| entry.facts.host_copy_bytes > 0);
        MemoryBudget { host_bytes: if has_copies { self.budget.host_bytes } else { 0 }, ..self.budget }
    }

    pub(crate) fn name(&self, model: ModelId) -> &Arc<str> {
        &self.entry(model).facts.name
    }

    /// Whether a model can draw now.
    pub(crate) fn is_loaded(&self, model: ModelId) -> bool {
        self.residents.contains(model) && !self.entry(model).is_loading
    }

    /// Why a model could not be loaded, if that is so.
    pub(crate) fn failure(&self, model: ModelId) -> Option<&str> {
        self.entry(model).failure.as_deref()
    }

    /// How long the last load of a model took; `None` before the first.
    pub(crate) fn load_time(&self, model: ModelId) -> Option<Duration> {
        self.entry(model).load_time
    }

    /// Records that a job of a model starts.
    pub(crate) fn used(&mut self, model: ModelId) {
        self.entry_mut(model).last_used = Some(SystemTime::now());
        if self.residents.contains(model) {
            self.residents.insert(model);
        }
    }

    /// Begins to load a model, and decides what leaves the device for it. A copy in host memory is kept only if models may
    /// be evicted and the budget of host memory has room for it; copies are not evicted for others.
    pub(crate) fn begin_load(&mut self, model: ModelId) -> LoadPlan {
        let evicted = self.residents.insert(model);
        let held: u64 = self.entries.iter().map(|entry| entry.host_bytes).sum();
        let Entry { facts, host_bytes, is_warm, .. } = self.entry(model);
        let copy_bytes = facts.host_copy_bytes;
        let has_room = copy_bytes > 0 && held.saturating_add(copy_bytes) <= self.budget.host_bytes;
        let keeps_host_copy = *host_bytes > 0 || (has_room && self.residents.may_evict());
        let options = OpenOptions { keeps_host_copy, skips_warm_up: *is_warm };
        let entry = self.entry_mut(model);
        entry.is_loading = true;
        entry.failure = None;
        LoadPlan { evicted, options }
    }

    /// Records the end of a load and its time. `host_bytes` is the size of the copy in host memory.
    pub(crate) fn loaded(&mut self, model: ModelId, took: Duration, host_bytes: u64) {
        let entry = self.entry_mut(model);
        (entry.is_loading, entry.is_warm, entry.host_bytes) = (false, true, host_bytes);
        entry.load_time = Some(took);
    }

    /// Ends a load that was interrupted by the loss of the device; the model is as before the load.
    pub(crate) fn load_broken(&mut self, model: ModelId) {
        self.residents.remove(model);
        self.entry_mut(model).is_loading = false;
    }

    /// Ends a load that failed. The model has failed until a load succeeds, and has no copy in host memory.
    pub(crate) fn failed(&mut self, model: ModelId, reason: String) {
        self.load_broken(model);
        let entry = self.entry_mut(model);
        (entry.failure, entry.host_bytes) = (Some(reason), 0);
    }

    /// Marks a model as unloaded from the device. Its copy in host memory stays.
    pub(crate) fn unloaded(&mut self, model: ModelId) {
        self.residents.remove(model);
        self.entry_mut(model).host_bytes = 0;
    }

    /// Marks all models as unloaded after the device was lost. Returns them, the least recently used first. Copies in host
    /// memory stay.
    pub(crate) fn lose_device(&mut self) -> Vec<ModelId> {
        let lost: Vec<ModelId> = self.residents.iter().collect();
        lost.iter().for_each(|model| self.residents.remove(*model));
        self.entries.iter_mut().for_each(|entry| (entry.is_loading, entry.is_warm) = (false, false));
        lost
    }

    /// Every model as it is now. The device is not named.
    pub(crate) fn statuses(&self) -> Vec<ModelStatus> {
        let status = |(id, entry): (ModelId, &Entry)| {
            let state = match &entry.failure {
                _ if entry.is_loading => ModelState::Loading,
                _ if self.residents.contains(id) => ModelState::Loaded,
                Some(reason) => ModelState::Failed(reason.clone()),
                None if entry.host_bytes > 0 => ModelState::OnHost,
                None => ModelState::Unloaded,
            };
            let (host_bytes, last_used) = (entry.host_bytes, entry.last_used);
            ModelStatus { id, name: entry.facts.name.clone(), state, host_bytes, last_used, devices: Vec::new() }
        };
        ModelId::all(self.entries.len()).zip(&self.entries).map(status).collect()
    }

    fn entry(&self, model: ModelId) -> &Entry {
        &self.entries[model.index()]
    }

    fn entry_mut(&mut self, model: ModelId) -> &mut Entry {
        &mut self.entries[model.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_secs(3);

    /// Models of 10 bytes each, also in host memory.
    fn table(count: usize, device: Option<u64>, host_bytes: u64) -> (ModelTable, Vec<ModelId>) {
        let facts =
            |id: ModelId| ModelFacts { name: format!("m{}", id.index()).into(), weight_bytes: 10, host_copy_bytes: 10 };
        let budget = MemoryBudget { device_bytes: device, host_bytes };
        (ModelTable::new(ModelId::all(count).map(facts), budget), ModelId::all(count).collect())
    }

    fn load(table: &mut ModelTable, model: ModelId) -> LoadPlan {
        let plan = table.begin_load(model);
        table.loaded(model, TOOK, if plan.options.keeps_host_copy { 10 } else { 0 });
        plan
    }

    fn states(table: &ModelTable) -> Vec<ModelState> {
        table.statuses().into_iter().map(|status| status.state).collect()
    }

    #[test]
    fn an_evicted_model_stays_in_host_memory_as_long_as_that_has_room() {
        use ModelState::{Loaded, OnHost, Unloaded};
        let (mut table, models) = table(3, Some(10), 20);
        assert_eq!(load(&mut table, models[0]).options, OpenOptions { keeps_host_copy: true, skips_warm_up: false });
        assert_eq!(load(&mut table, models[1]).evicted, [models[0]]);
        assert!(!load(&mut table, models[2]).options.keeps_host_copy, "20 bytes are full");
        assert_eq!(states(&table), [OnHost, OnHost, Loaded]);
        let again = load(&mut table, models[0]);
        assert_eq!(again.options, OpenOptions { keeps_host_copy: true, skips_warm_up: true });
        assert_eq!(states(&table), [Loaded, OnHost, Unloaded]);
        table.unloaded(models[0]);
        table.unloaded(models[1]);
        assert_eq!(states(&table), [Unloaded, Unloaded, Unloaded]);
        assert!(load(&mut table, models[2]).options.keeps_host_copy, "there is room again");
    }

    #[test]
    fn no_copy_is_kept_where_nothing_can_be_evicted() {
        for budget in [None, Some(20)] {
            let (mut table, models) = table(2, budget, 1000);
            assert!(models.iter().all(|model| !load(&mut table, *model).options.keeps_host_copy), "{budget:?}");
        }
    }

    #[test]
    fn a_model_has_failed_until_a_load_succeeds() {
        let (mut table, models) = table(1, None, 0);
        table.begin_load(models[0]);
        assert_eq!(states(&table), [ModelState::Loading]);
        assert!(!table.is_loaded(models[0]));
        table.failed(models[0], "no file".into());
        assert_eq!(
            (states(&table), table.failure(models[0])),
            (vec![ModelState::Failed("no file".into())], Some("no file"))
        );
        load(&mut table, models[0]);
        assert_eq!((states(&table), table.failure(models[0])), (vec![ModelState::Loaded], None));
    }

    #[test]
    fn after_the_loss_of_the_device_all_models_warm_up_again() {
        let (mut table, models) = table(2, None, 0);
        models.iter().for_each(|model| _ = load(&mut table, *model));
        table.used(models[0]);
        assert_eq!(table.lose_device(), [models[1], models[0]], "the least recently used first");
        assert!(!table.is_loaded(models[0]) && !load(&mut table, models[0]).options.skips_warm_up);
    }

    #[test]
    fn a_device_that_uses_no_copies_has_no_budget_for_them() {
        let (table, _) = table(2, Some(10), 30);
        assert_eq!(table.budget().host_bytes, 30);
        let facts =
            |id: ModelId| ModelFacts { name: id.index().to_string().into(), weight_bytes: 10, host_copy_bytes: 0 };
        let budget = MemoryBudget { device_bytes: Some(10), host_bytes: 30 };
        let table = ModelTable::new(ModelId::all(2).map(facts), budget);
        assert_eq!(table.budget(), MemoryBudget { device_bytes: Some(10), host_bytes: 0 });
    }
}
