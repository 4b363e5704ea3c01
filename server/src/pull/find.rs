//! Resolves the value of `--model` to a folder or file.

use std::path::{Path, PathBuf};

use sakuga_model_core::EmbeddedModel;

use super::folder::ModelsFolder;
use super::source::PullSource;
use crate::models::is_model_name;

/// The checkpoint that a text of `--model` means. What exists as a path is that path. Otherwise a plain name is that of a model
/// in the folder of models, and everything else is a path, which need not exist.
///
/// # Errors
///
/// There is no model of that name, or the text is a source that has to be pulled first: how to do that.
pub fn checkpoint(path: &Path, folder: Option<&ModelsFolder>) -> Result<PathBuf, String> {
    let text = path.to_string_lossy();
    if EmbeddedModel::from_name(&text).is_some() || path.exists() {
        return Ok(path.to_owned());
    }
    if text.starts_with("hf:") || text.contains("://") {
        return Err(unpulled(&text, folder));
    }
    if !is_model_name(&text) {
        return Ok(path.to_owned());
    }
    if let Some(model) = folder.and_then(|folder| folder.find(&text)) {
        return Ok(model.checkpoint);
    }
    let known = folder.map_or_else(|| "no pulled models".to_owned(), |folder| folder.known());
    let place = folder.map(|folder| format!(" in {}", folder.path().display())).unwrap_or_default();
    Err(format!(
        "there is no folder or file `{text}` here and no pulled model of that name{place}; there are {known}. Pull one \
         with `sakuga-server models pull hf:OWNER/{text}`"
    ))
}

/// What to do about a source that is given in the place of a model.
fn unpulled(text: &str, folder: Option<&ModelsFolder>) -> String {
    let source = match text.parse::<PullSource>() {
        Ok(source) => source,
        Err(reason) => return format!("`{text}` {reason}"),
    };
    let models = folder.map(ModelsFolder::models).unwrap_or_default();
    let is_pulled = |record: &super::record::PullRecord| record.source == source.to_string();
    match models.into_iter().find(|model| model.record.as_ref().is_some_and(is_pulled)) {
        Some(model) => format!("`{source}` is pulled already, as `{}`; give `--model {0}`", model.name),
        None => format!(
            "`{source}` is not on this machine; pull it first, with `sakuga-server models pull {source}`, then give \
             `--model {}`",
            source.default_name()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::PullRecord;
    use super::*;

    #[test]
    fn a_path_comes_before_a_name_and_a_source_is_to_be_pulled() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let models = ModelsFolder::new(home.path());
        let record = |source: &str, single_file: Option<&str>| PullRecord {
            source: source.to_owned(),
            commit: None,
            licence: "mit".to_owned(),
            single_file: single_file.map(str::to_owned),
            files: Vec::new(),
        };
        for (name, record) in [
            ("newbie", record("hf:a/newbie", None)),
            ("xl", record("https://x.org/xl.safetensors", Some("xl.safetensors"))),
        ] {
            std::fs::create_dir(home.path().join(name)).expect("made");
            record.write(&home.path().join(name)).expect("written");
        }
        let find = |text: &str| checkpoint(Path::new(text), Some(&models));
        assert_eq!(find("embedded"), Ok("embedded".into()));
        assert_eq!(find("embedded-sd-anime"), Ok("embedded-sd-anime".into()));
        assert_eq!(find("newbie"), Ok(home.path().join("newbie")));
        assert_eq!(find("xl"), Ok(home.path().join("xl/xl.safetensors")));
        // The folder that the test runs in has one of this name.
        assert_eq!(find("src"), Ok("src".into()));
        assert_eq!(find("./newbie"), Ok("./newbie".into()));
        for (text, parts) in [
            ("newby", &["`newbie`, `xl`", "models pull hf:OWNER/newby"][..]),
            ("hf:b/other", &["models pull hf:b/other`", "--model other"]),
            ("hf:a/newbie", &["is pulled already", "--model newbie"]),
            ("https://x.org/xl.safetensors?token=secret", &["--model xl"]),
            ("hf:other", &["hf:OWNER/NAME"]),
        ] {
            let error = find(text).expect_err(text);
            assert!(parts.iter().all(|part| error.contains(part)) && !error.contains("secret"), "{text}: {error}");
        }
        assert!(checkpoint(Path::new("newbie"), None).is_err());
    }
}
