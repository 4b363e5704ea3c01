//! Settings that a scene has from its first pass, in a request that comes from a record.
//!
//! A record has every setting of a scene, also those that the request left to the server: one more than the seed of the first
//! pass, and the size of its pictures. Such settings change with those of the first pass, as they do where the request is sent
//! for the first time. A scene keeps a seed or a size of its own.

use sakuga_client::proto::generation::v1::{GenerateRequest, ResizeMode, Scene};

use super::arguments::GenerateArguments;

/// The seed that the server uses for a scene without one.
fn scene_seed(seed: u64) -> u64 {
    seed.wrapping_add(1)
}

/// The settings that determine the size of the pictures of the first pass.
fn first_size(request: &GenerateRequest) -> (u32, u32, Option<f32>) {
    (request.width, request.height, request.second_pass.as_ref().and_then(|second| second.factor))
}

/// Whether a scene has the size of the pictures of the first pass. A scene of another size always has a way to resize them.
fn has_first_size(request: &GenerateRequest, scene: &Scene) -> bool {
    let is_same = request.second_pass.is_none() && (scene.width, scene.height) == (request.width, request.height);
    is_same || scene.resize() == ResizeMode::Unspecified
}

/// Lets the settings of the scene that `recorded` has from its first pass follow the changes of `request`, which was made from it.
pub(super) fn follow_first_pass(recorded: &GenerateRequest, request: &mut GenerateRequest) {
    let Some(before) = &recorded.scene else { return };
    let size_is_changed = first_size(recorded) != first_size(request);
    let seed = request.seed;
    let Some(scene) = &mut request.scene else { return };
    if before.seed.is_some() && before.seed == recorded.seed.map(scene_seed) {
        scene.seed = seed.map(scene_seed);
    }
    if size_is_changed && has_first_size(recorded, before) {
        // The server takes the size of the pictures, which it computes.
        (scene.width, scene.height) = (0, 0);
    }
}

/// Settings of the command line that the scene does not follow, since it has its own.
pub(super) fn notes(request: &GenerateRequest, arguments: &GenerateArguments) -> Vec<String> {
    let Some(scene) = &request.scene else { return Vec::new() };
    let mut notes = Vec::new();
    if let (Some(seed), Some(_)) = (scene.seed, arguments.seed)
        && request.seed.map(scene_seed) != Some(seed)
    {
        notes.push(format!("the scene keeps its own seed {seed}; --seed sets that of the first pass"));
    }
    if arguments.size.is_some() && scene.width > 0 && !has_first_size(request, scene) {
        let (width, height) = (scene.width, scene.height);
        notes.push(format!("the scene keeps its own size {width}x{height}; --size sets that of the first pass"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use sakuga_client::proto::generation::v1::SecondPass;

    use super::*;

    /// A record whose first pass has seed 7 and 64x48 pixels.
    fn recorded(scene: Scene) -> GenerateRequest {
        GenerateRequest { seed: Some(7), width: 64, height: 48, scene: Some(scene), ..GenerateRequest::default() }
    }

    fn followed(recorded: &GenerateRequest, change: impl FnOnce(&mut GenerateRequest)) -> Scene {
        let mut request = recorded.clone();
        change(&mut request);
        follow_first_pass(recorded, &mut request);
        request.scene.unwrap()
    }

    #[test]
    fn a_seed_of_the_first_pass_changes_that_of_the_scene_and_an_own_one_stays() {
        let taken = recorded(Scene { seed: Some(8), ..Scene::default() });
        assert_eq!(followed(&taken, |request| request.seed = Some(5)).seed, Some(6));
        assert_eq!(followed(&taken, |request| request.seed = None).seed, None, "a random one");
        assert_eq!(followed(&taken, |_| {}), taken.scene.clone().unwrap());
        let own = recorded(Scene { seed: Some(9), ..Scene::default() });
        assert_eq!(followed(&own, |request| request.seed = Some(5)).seed, Some(9));
        let unset = recorded(Scene::default());
        assert_eq!(followed(&unset, |request| request.seed = Some(5)).seed, None);
        let last = GenerateRequest { seed: Some(u64::MAX), ..recorded(Scene { seed: Some(0), ..Scene::default() }) };
        assert_eq!(followed(&last, |request| request.seed = Some(5)).seed, Some(6));
    }

    #[test]
    fn a_size_of_the_first_pass_changes_that_of_the_scene_and_an_own_one_stays() {
        let size = |scene: &Scene| (scene.width, scene.height);
        let halve = |request: &mut GenerateRequest| request.width = 32;
        let same = Scene { width: 64, height: 48, ..Scene::default() };
        let taken = recorded(same.clone());
        assert_eq!(size(&followed(&taken, halve)), (0, 0));
        assert_eq!(size(&followed(&taken, |_| {})), (64, 48));
        let resize = ResizeMode::Crop.into();
        let own = recorded(Scene { width: 96, resize, ..same.clone() });
        assert_eq!(size(&followed(&own, halve)), (96, 48));
        // The second pass makes the size, and so does its factor.
        let second_pass = |factor: f32| Some(SecondPass { factor: Some(factor), ..SecondPass::default() });
        let enlarged = GenerateRequest {
            second_pass: second_pass(2.0),
            ..recorded(Scene { width: 128, height: 96, ..Scene::default() })
        };
        assert_eq!(size(&followed(&enlarged, |request| request.second_pass = second_pass(3.0))), (0, 0));
        assert_eq!(size(&followed(&enlarged, halve)), (0, 0));
    }
}
