//! An adapter that is merged into a model.

use std::path::PathBuf;
use std::str::FromStr;

/// An adapter to merge, written `PATH` or `PATH=STRENGTH`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraChoice {
    /// A `.safetensors` file, or a folder with `adapter_model.safetensors` and `adapter_config.json`.
    pub path: PathBuf,
    /// Factor on the adapter's effect; 1 is as trained, negative values invert it.
    pub strength: f32,
}

/// The text is not an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a path, or a path, `=` and a finite number other than 0")]
pub struct InvalidLora;

impl FromStr for LoraChoice {
    type Err = InvalidLora;

    /// A path may hold `=` too: only a number after the last one is a strength.
    fn from_str(text: &str) -> Result<Self, InvalidLora> {
        let parts =
            text.rsplit_once('=').and_then(|(path, strength)| Some((path, strength.trim().parse::<f32>().ok()?)));
        let (path, strength) = parts.unwrap_or((text, 1.0));
        if path.trim().is_empty() || !strength.is_finite() || strength == 0.0 {
            return Err(InvalidLora);
        }
        Ok(Self { path: PathBuf::from(path), strength })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_have_a_path_and_perhaps_a_strength() {
        let lora = |path: &str, strength| LoraChoice { path: path.into(), strength };
        for (text, read) in [
            ("a.safetensors", Ok(lora("a.safetensors", 1.0))),
            ("dir/a=b=-0.5", Ok(lora("dir/a=b", -0.5))),
            ("a=b.safetensors", Ok(lora("a=b.safetensors", 1.0))),
            ("", Err(InvalidLora)),
            ("=1", Err(InvalidLora)),
            ("a=0", Err(InvalidLora)),
            ("a=nan", Err(InvalidLora)),
        ] {
            assert_eq!(text.parse(), read, "{text}");
        }
    }
}
