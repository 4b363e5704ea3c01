//! Settings of a request by name: the keys of `--matrix` and the columns of a batch.

use sakuga_client::proto::generation::v1::GenerateRequest;

use super::arguments::Seed;
use super::sampling;
use crate::cli::size::Size;

/// A setting of a request that has a name.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    /// The name.
    pub key: &'static str,
    /// Gets the key and the value.
    set: fn(&mut GenerateRequest, &str, &str) -> Result<(), String>,
}

impl Setting {
    /// Sets it to the value in a text.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub(crate) fn set(&self, request: &mut GenerateRequest, value: &str) -> Result<(), String> {
        (self.set)(request, self.key, value.trim()).map_err(|error| format!("{}: {error}", self.key))
    }
}

/// Sets an option of the sampling.
fn set_sampling(request: &mut GenerateRequest, key: &str, value: &str) -> Result<(), String> {
    sampling::set(request.sampling.get_or_insert_default(), key, value)
}

/// Every setting: the options of the sampling under their names, then the others.
fn all() -> impl Iterator<Item = Setting> {
    sampling::names().map(|key| Setting { key, set: set_sampling }).chain(OTHERS)
}

/// The settings that are not sampling options.
const OTHERS: [Setting; 7] = [
    Setting {
        key: "seed",
        set: |request, _, value| {
            request.seed = match Seed::parse(value)? {
                Seed::Random => None,
                Seed::Fixed(seed) => Some(seed),
            };
            Ok(())
        },
    },
    Setting {
        key: "size",
        set: |request, _, value| {
            let size = Size::parse(value)?;
            (request.width, request.height) = (size.width_px, size.height_px);
            Ok(())
        },
    },
    Setting {
        key: "width",
        set: |request, _, value| {
            request.width = pixels(value)?;
            Ok(())
        },
    },
    Setting {
        key: "height",
        set: |request, _, value| {
            request.height = pixels(value)?;
            Ok(())
        },
    },
    Setting {
        key: "images",
        set: |request, _, value| {
            request.images = positive(value)?;
            Ok(())
        },
    },
    Setting {
        key: "model",
        set: |request, _, value| {
            value.clone_into(&mut request.model);
            Ok(())
        },
    },
    Setting {
        key: "system-prompt",
        set: |request, _, value| {
            request.system_prompt = Some(value.to_owned());
            Ok(())
        },
    },
];

/// The setting of a name; `_` stands for `-`, and the fields' own names are known too.
///
/// # Errors
///
/// The setting does not exist; the text names those that do.
pub(crate) fn find(name: &str) -> Result<Setting, String> {
    let plain = name.trim().to_lowercase().replace('_', "-");
    let plain = if plain == "guidance-scale" { "guidance" } else { &plain };
    all().find(|setting| setting.key == plain).ok_or_else(|| {
        let keys: Vec<&str> = all().map(|setting| setting.key).collect();
        format!("there is no setting `{name}`; there are {}", keys.join(", "))
    })
}

fn positive(value: &str) -> Result<u32, String> {
    value.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("`{value}` is not a whole number from 1 on"))
}

fn pixels(value: &str) -> Result<u32, String> {
    Size::parse(&format!("{value}x{value}")).map(|size| size.width_px).map_err(|error| match value.parse::<u32>() {
        Ok(_) => error,
        Err(_) => format!("`{value}` is not a number of pixels"),
    })
}

#[cfg(test)]
mod tests {
    use sakuga_client::proto::generation::v1::Solver;

    use super::*;

    #[test]
    fn every_setting_sets_its_own_field() {
        let mut request = GenerateRequest::default();
        for (key, value) in [
            ("steps", "12"),
            ("solver", "dpm"),
            ("guidance_scale", "4.5"),
            ("guidance_from", "0.1"),
            ("guidance-until", "0.9"),
            ("guidance-renorm", "1"),
            ("shift", "3"),
            ("seed", "7"),
            ("size", "64x96"),
            ("images", "2"),
            ("model", "newbie"),
            ("System-Prompt", "You draw."),
        ] {
            find(key).unwrap().set(&mut request, value).unwrap();
        }
        let sampling = request.sampling.clone().unwrap();
        assert_eq!((sampling.steps, sampling.solver(), sampling.guidance_scale), (12, Solver::Dpm, Some(4.5)));
        assert_eq!((sampling.guidance_from, sampling.guidance_until), (Some(0.1), Some(0.9)));
        assert_eq!((sampling.guidance_renorm, sampling.shift), (Some(1.0), Some(3.0)));
        assert_eq!((request.seed, request.width, request.height, request.images), (Some(7), 64, 96, 2));
        assert_eq!((request.model.as_str(), request.system_prompt.as_deref()), ("newbie", Some("You draw.")));
        for (key, value) in [("width", "128"), ("height", "160"), ("seed", "-1")] {
            find(key).unwrap().set(&mut request, value).unwrap();
        }
        assert_eq!((request.seed, request.width, request.height), (None, 128, 160));
    }

    #[test]
    fn wrong_names_and_values_say_what_there_is() {
        let message = |key: &str, value: &str| {
            find(key).and_then(|setting| setting.set(&mut GenerateRequest::default(), value)).unwrap_err()
        };
        assert!(message("step", "1").contains("there is no setting `step`; there are steps, solver"));
        assert!(message("steps", "0").starts_with("steps: `0` is not a whole number"));
        assert!(message("solver", "heun").contains("euler"));
        assert!(message("guidance", "NaN").contains("not a finite number"));
        assert!(message("width", "100").contains("use 96 or 112"));
        assert!(message("width", "x").contains("not a number of pixels"));
        assert!(message("seed", "x").contains("a seed is a whole number"));
    }
}
