//! [`Catalog`]: the models by name, with everything that requests are checked against.

use std::sync::Arc;

use sakuga_model_core::{AdapterInspector, EngineInfo, TokenCounter};

use super::{ModelId, nearest};
use crate::error::ServerError;
use crate::limits::Limits;

/// A model of this server, on the device or not.
#[derive(Clone)]
pub(crate) struct ServedModel {
    pub id: ModelId,
    /// The model and its engine.
    pub info: EngineInfo,
    /// Its tokenizers.
    pub tokens: Arc<dyn TokenCounter>,
    /// What a request for it may ask for.
    pub limits: Limits,
    /// Checks adapters of requests; `None`: it takes none.
    pub adapters: Option<Arc<dyn AdapterInspector>>,
}

impl ServedModel {
    /// Whether it is used for requests that name no model.
    pub(crate) fn is_default(&self) -> bool {
        self.id == ModelId::DEFAULT
    }

    /// The name that `GenerateRequest.model` chooses the model by.
    pub(crate) fn name(&self) -> &str {
        &self.info.model.name
    }

    /// Bytes that its weights take on the device.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.info.memory.fixed_bytes
    }
}

/// The models of this server in the order of the configuration; the first is the default.
pub(crate) struct Catalog(Vec<ServedModel>);

impl Catalog {
    /// The catalog of these models.
    ///
    /// # Panics
    ///
    /// There is no model, or a model's id is not its place.
    pub(crate) fn new(models: Vec<ServedModel>) -> Self {
        assert!(!models.is_empty(), "a server has a model");
        assert!(models.iter().enumerate().all(|(place, model)| model.id.index() == place), "ids are places");
        Self(models)
    }

    /// The model of requests that name none.
    pub(crate) fn default_model(&self) -> &ServedModel {
        &self.0[0]
    }

    /// The model with this id. Ids come from this catalog, so there always is one.
    pub(crate) fn get(&self, id: ModelId) -> &ServedModel {
        &self.0[id.index()]
    }

    /// The model that a request names in `field`; empty is the default.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownModel`].
    pub(crate) fn find(&self, field: &'static str, name: &str) -> Result<&ServedModel, ServerError> {
        if name.is_empty() {
            return Ok(self.default_model());
        }
        self.iter().find(|model| model.name() == name).ok_or_else(|| self.unknown(field, name))
    }

    /// All models, in the order of the configuration.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ServedModel> {
        self.0.iter()
    }

    /// The most bytes that the weights of other models take on the device while `id` runs, under this budget.
    pub(crate) fn weights_next_to(&self, id: ModelId, device_budget: Option<u64>) -> u64 {
        let others: u64 = self.iter().filter(|model| model.id != id).map(ServedModel::weight_bytes).sum();
        let left = device_budget.map_or(u64::MAX, |budget| budget.saturating_sub(self.get(id).weight_bytes()));
        others.min(left)
    }

    fn unknown(&self, field: &'static str, name: &str) -> ServerError {
        let known: Vec<String> = self.iter().map(|model| model.name().to_owned()).collect();
        let nearest = nearest(name, &known).first().map(|known| (*known).clone());
        ServerError::UnknownModel { field, name: name.to_owned(), known, nearest }
    }
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::ModelDescription;

    use super::*;
    use crate::engine::scripted::{Script, source};
    use crate::models::NamedSource;

    fn catalog(models: &[(&str, u64)]) -> Catalog {
        let served = ModelId::all(models.len()).zip(models).map(|(id, (name, weight_bytes))| {
            let script = Script { weight_bytes: *weight_bytes, ..Script::default() };
            let source = NamedSource::over(source(script), Some((*name).to_owned()));
            let description = source.describe().expect("a script has no files");
            let ModelDescription { info, tokens, adapters, .. } = description;
            ServedModel { id, info, tokens, limits: Limits::default(), adapters }
        });
        Catalog::new(served.collect())
    }

    #[test]
    fn a_model_is_found_by_name_and_the_first_without_one() {
        let catalog = catalog(&[("anime", 1), ("photo", 2)]);
        assert_eq!(catalog.find("model", "").map(|model| model.name().to_owned()), Ok("anime".into()));
        assert_eq!(catalog.find("model", "photo").map(|model| model.id.index()), Ok(1));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones_and_the_nearest() {
        let catalog = catalog(&[("anime", 1), ("photo", 2)]);
        let error = |name: &str| catalog.find("scene.model", name).err().expect("not a model").to_string();
        let suggested = error("Photos");
        assert!(
            suggested.starts_with("scene.model: ")
                && suggested.contains("did you mean `photo`")
                && suggested.contains("anime, photo"),
            "{suggested}"
        );
        let other = error("zzz");
        assert!(!other.contains("did you mean") && other.contains("anime, photo"), "{other}");
    }

    #[test]
    fn other_weights_are_those_that_the_budget_leaves_room_for() {
        let catalog = catalog(&[("a", 4), ("b", 3), ("c", 2)]);
        let a = ModelId::DEFAULT;
        assert_eq!((catalog.weights_next_to(a, None), catalog.weights_next_to(a, Some(6))), (5, 2));
        assert_eq!((catalog.weights_next_to(a, Some(100)), catalog.weights_next_to(a, Some(4))), (5, 0));
    }
}
