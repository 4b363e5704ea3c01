//! Folders of the user who runs the server, as the XDG base directory specification defines them.

use std::path::{Path, PathBuf};

/// A base folder of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BaseFolder {
    /// `$XDG_CACHE_HOME`, or `~/.cache`.
    #[cfg_attr(not(feature = "burn"), expect(dead_code, reason = "only the embedded model is kept there"))]
    Cache,
    /// `$XDG_DATA_HOME`, or `~/.local/share`.
    #[cfg_attr(not(feature = "burn"), expect(dead_code, reason = "only models are kept there"))]
    Data,
    /// `$XDG_STATE_HOME`, or `~/.local/state`.
    State,
}

impl BaseFolder {
    /// The folder `sakuga` in this one. Relative paths are ignored, as the specification asks. `None` if the environment names
    /// no home.
    pub(crate) fn of_sakuga(self, environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let (variable, below_home) = match self {
            Self::Cache => ("XDG_CACHE_HOME", ".cache"),
            Self::Data => ("XDG_DATA_HOME", ".local/share"),
            Self::State => ("XDG_STATE_HOME", ".local/state"),
        };
        let named = |name: &str| environment(name).filter(|value| Path::new(value).is_absolute()).map(PathBuf::from);
        let base = named(variable).or_else(|| named("HOME").map(|home| home.join(below_home)))?;
        Some(base.join("sakuga"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_where() {
        let both = |name: &str| Some(format!("/{name}"));
        assert_eq!(BaseFolder::State.of_sakuga(&both), Some("/XDG_STATE_HOME/sakuga".into()));
        let home = |name: &str| (name == "HOME").then(|| "/home/user".to_owned());
        assert_eq!(BaseFolder::State.of_sakuga(&home), Some("/home/user/.local/state/sakuga".into()));
        assert_eq!(BaseFolder::State.of_sakuga(&|_| Some("relative".into())), None);
        assert_eq!(BaseFolder::State.of_sakuga(&|_| None), None);
    }
}
