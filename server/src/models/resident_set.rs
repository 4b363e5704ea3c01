//! [`ResidentSet`]: the models on the device, in the order of their last use.

use std::sync::Arc;

use super::ModelId;

/// The models on the device, in the order of their last use. Plain data: the scheduler also uses a copy of it to predict
/// the loads of the jobs that wait.
#[derive(Clone, Debug)]
pub(crate) struct ResidentSet {
    /// Bytes of the weights of every model.
    weights: Arc<[u64]>,
    /// Bytes that the weights on the device may take together; `None`: no limit.
    budget: Option<u64>,
    /// The least recently used first.
    models: Vec<ModelId>,
}

impl ResidentSet {
    /// No model on the device yet. `weights` has the bytes of every model.
    pub(crate) fn new(weights: Arc<[u64]>, budget: Option<u64>) -> Self {
        Self { weights, budget, models: Vec::new() }
    }

    /// Whether a model is on the device.
    pub(crate) fn contains(&self, model: ModelId) -> bool {
        self.models.contains(&model)
    }

    /// The models on the device, the least recently used first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ModelId> {
        self.models.iter().copied()
    }

    /// Bytes of the weights on the device.
    pub(crate) fn bytes(&self) -> u64 {
        self.models.iter().map(|model| self.bytes_of(*model)).sum()
    }

    /// Whether a model that is not on the device fits without an eviction.
    pub(crate) fn has_room_for(&self, model: ModelId) -> bool {
        self.budget.is_none_or(|budget| self.bytes().saturating_add(self.bytes_of(model)) <= budget)
    }

    /// Whether all models together exceed the budget, so that one may have to be evicted.
    pub(crate) fn may_evict(&self) -> bool {
        self.budget.is_some_and(|budget| self.weights.iter().sum::<u64>() > budget)
    }

    /// Adds a model as the most recently used one. Returns the models to evict first: the least recently used, as few as
    /// possible, never `model` itself.
    pub(crate) fn insert(&mut self, model: ModelId) -> Vec<ModelId> {
        self.remove(model);
        let mut evicted = Vec::new();
        while !self.has_room_for(model) && !self.models.is_empty() {
            evicted.push(self.models.remove(0));
        }
        self.models.push(model);
        evicted
    }

    /// Removes a model.
    pub(crate) fn remove(&mut self, model: ModelId) {
        self.models.retain(|resident| *resident != model);
    }

    fn bytes_of(&self, model: ModelId) -> u64 {
        self.weights[model.index()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(models: &[usize]) -> Vec<ModelId> {
        models.iter().map(|index| ModelId(*index)).collect()
    }

    fn set(weights: &[u64], budget: Option<u64>, used: &[usize]) -> ResidentSet {
        let mut set = ResidentSet::new(weights.into(), budget);
        used.iter().for_each(|index| _ = set.insert(ModelId(*index)));
        set
    }

    #[test]
    fn the_least_recently_used_leave_and_no_more_than_needed() {
        let loaded = set(&[4, 3, 2, 1, 6], Some(10), &[1, 2, 0]);
        for (model, evicted) in [(3, &[][..]), (4, &[1, 2][..]), (2, &[][..])] {
            assert_eq!(loaded.clone().insert(ModelId(model)), ids(evicted), "{model}");
        }
        let mut used_again = loaded;
        assert!(used_again.insert(ModelId(1)).is_empty());
        assert_eq!(used_again.insert(ModelId(4)), ids(&[2, 0]), "1 was used after them");
    }

    #[test]
    fn without_a_budget_nothing_leaves() {
        let mut loaded = set(&[u64::MAX / 4; 3], None, &[0, 1]);
        assert!(loaded.insert(ModelId(2)).is_empty() && !loaded.may_evict());
        assert!(set(&[6, 5], Some(10), &[]).may_evict() && !set(&[5, 5], Some(10), &[]).may_evict());
    }

    proptest! {
        /// The budget holds after every use, the used model stays, and what left was used before everything that stays.
        #[test]
        fn the_budget_holds(
            weights in prop::collection::vec(0..20_u64, 1..6),
            budget in 20..50_u64,
            uses in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let mut set = ResidentSet::new(weights.clone().into(), Some(budget));
            let mut last_use = vec![0; weights.len()];
            for (now, used) in uses.into_iter().enumerate() {
                let model = ModelId(used.index(weights.len()));
                let before: Vec<ModelId> = set.iter().collect();
                last_use[model.index()] = now + 1;
                let evicted = set.insert(model);
                prop_assert!(set.bytes() <= budget && set.contains(model));
                let most_recent = evicted.iter().map(|gone| last_use[gone.index()]).max().unwrap_or(0);
                prop_assert!(set.iter().all(|stays| last_use[stays.index()] > most_recent));
                prop_assert!(evicted.iter().all(|gone| before.contains(gone) && !set.contains(*gone)));
                if let Some(last) = evicted.last() {
                    prop_assert!(set.bytes() + weights[last.index()] > budget, "more left than needed");
                }
            }
        }
    }
}
