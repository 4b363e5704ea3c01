//! [`Wildcards`]: the files that wildcards stand for, and the expansion of texts with them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::template::{Piece, Template};
use super::{Draw, ExpandError, Expanded, MAX_BYTES, MAX_CHOICES, MAX_DEPTH};

/// The largest file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// The most files.
const MAX_FILES: usize = 256;
/// The most bytes of all files.
const MAX_FILES_BYTES: u64 = 16 << 20;

/// The files of a folder that wildcards stand for, each read when a text first names it.
#[derive(Debug)]
pub struct Wildcards {
    /// Without links; `None` if there are no wildcards.
    folder: Option<PathBuf>,
    files: BTreeMap<String, Vec<Template>>,
    bytes: u64,
}

impl Wildcards {
    /// No folder: a text with a wildcard is refused.
    #[must_use]
    pub fn none() -> Self {
        Self { folder: None, files: BTreeMap::new(), bytes: 0 }
    }

    /// The files of a folder: `__hair/colour__` is `hair/colour.txt` in it.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn in_folder(folder: &Path) -> std::io::Result<Self> {
        let folder = folder.canonicalize()?;
        if !folder.is_dir() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotADirectory, "it is not a folder"));
        }
        Ok(Self { folder: Some(folder), ..Self::none() })
    }

    /// Reads a text, and every file that it names, directly or through other files.
    ///
    /// # Errors
    ///
    /// See [`ExpandError`].
    pub fn read(&mut self, text: &str) -> Result<Template, ExpandError> {
        let template = Template::parse(text)?;
        self.load(&template.pieces, &mut Vec::new())?;
        Ok(template)
    }

    /// Chooses everything in a text that [`Wildcards::read`] has read.
    ///
    /// # Errors
    ///
    /// [`ExpandError::TooLong`], [`ExpandError::TooDeep`] and [`ExpandError::TooManyChoices`], of the chosen text.
    pub fn expand(&self, template: &Template, draw: &mut Draw) -> Result<Expanded, ExpandError> {
        let mut expanded = Expanded::default();
        self.put(&template.pieces, draw, &mut expanded, 0)?;
        Ok(expanded)
    }

    fn put(&self, pieces: &[Piece], draw: &mut Draw, expanded: &mut Expanded, depth: usize) -> Result<(), ExpandError> {
        if depth > MAX_DEPTH {
            return Err(ExpandError::TooDeep);
        }
        for piece in pieces {
            let (name, alternatives) = match piece {
                Piece::Text(text) => {
                    expanded.text.push_str(text);
                    if expanded.text.len() > MAX_BYTES {
                        return Err(ExpandError::TooLong { when: "after it is expanded" });
                    }
                    continue;
                }
                Piece::Choice(alternatives) => (None, alternatives.iter().map(Vec::as_slice).collect::<Vec<_>>()),
                Piece::Wildcard(name) => {
                    let lines = self.files.get(name).map(Vec::as_slice).unwrap_or_default();
                    (Some(name), lines.iter().map(|line| line.pieces.as_slice()).collect())
                }
            };
            if expanded.choices.len() >= MAX_CHOICES {
                return Err(ExpandError::TooManyChoices);
            }
            let (place, start) = (expanded.choices.len(), expanded.text.len());
            expanded.choices.push(String::new());
            let chosen = alternatives.get(draw.choose(alternatives.len())).copied().unwrap_or_default();
            self.put(chosen, draw, expanded, depth + 1)?;
            let text = &expanded.text[start..];
            expanded.choices[place] = match name {
                Some(name) => format!("{name}: {text}"),
                None => text.to_owned(),
            };
        }
        Ok(())
    }

    /// Reads the files that these pieces name. `within` are the wildcards that they are a part of.
    fn load(&mut self, pieces: &[Piece], within: &mut Vec<String>) -> Result<(), ExpandError> {
        for piece in pieces {
            match piece {
                Piece::Text(_) => {}
                Piece::Choice(alternatives) => {
                    for alternative in alternatives {
                        self.load(alternative, within)?;
                    }
                }
                Piece::Wildcard(name) => {
                    if let Some(first) = within.iter().position(|outer| outer == name) {
                        let names = within[first..].iter().chain([name]).cloned().collect();
                        return Err(ExpandError::Circle { names });
                    }
                    // A file that was read to its end names nothing that leads back to where it is named.
                    if self.files.contains_key(name) {
                        continue;
                    }
                    if within.len() >= MAX_DEPTH {
                        return Err(ExpandError::TooDeep);
                    }
                    let lines = self.read_file(name)?;
                    within.push(name.clone());
                    for line in &lines {
                        self.load(&line.pieces, within)?;
                    }
                    within.pop();
                    self.files.insert(name.clone(), lines);
                }
            }
        }
        Ok(())
    }

    fn read_file(&mut self, name: &str) -> Result<Vec<Template>, ExpandError> {
        let refused = |reason: String| ExpandError::Wildcard { name: name.to_owned(), reason };
        let Some(folder) = &self.folder else { return Err(ExpandError::NoFolder { name: name.to_owned() }) };
        if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
            return Err(refused("no part of its name may be empty or begin with a dot".to_owned()));
        }
        if self.files.len() >= MAX_FILES {
            return Err(refused(format!("more than {MAX_FILES} files are named")));
        }
        let path = folder.join(format!("{name}.txt"));
        let shown = path.display();
        let real = path.canonicalize().map_err(|error| refused(format!("{shown}: {error}")))?;
        if !real.starts_with(folder) {
            return Err(refused(format!("{shown} leads out of the folder of wildcards")));
        }
        if !real.is_file() {
            return Err(refused(format!("{shown} is not a file")));
        }
        let mut text = String::new();
        let limit = MAX_FILE_BYTES.min(MAX_FILES_BYTES - self.bytes);
        let read = File::open(&real).and_then(|file| file.take(limit + 1).read_to_string(&mut text));
        read.map_err(|error| refused(format!("{shown}: {error}")))?;
        if text.len() as u64 > limit {
            let reason = format!(
                "{shown} has more than {MAX_FILE_BYTES} bytes, or all files together more than {MAX_FILES_BYTES}"
            );
            return Err(refused(reason));
        }
        self.bytes += text.len() as u64;
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let lines = lines.map(Template::parse).collect::<Result<Vec<_>, _>>();
        let lines = lines.map_err(|error| refused(error.to_string()))?;
        if lines.is_empty() {
            return Err(refused(format!("{shown} has no line to choose")));
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn expand(folder: &Path, text: &str, seed: u64) -> Result<Expanded, ExpandError> {
        let mut wildcards = Wildcards::in_folder(folder).unwrap();
        let template = wildcards.read(text)?;
        wildcards.expand(&template, &mut Draw::new(seed, 0))
    }

    #[test]
    fn a_line_of_the_file_is_taken() {
        let folder = folder(&[
            ("w/colour.txt", "\u{feff}# colours\n\nred\r\n blue \n"),
            ("w/hair/style.txt", "{long|short} __colour__ hair\n"),
        ]);
        let root = folder.path().join("w");
        let all: std::collections::BTreeSet<String> =
            (0..64).map(|seed| expand(&root, "1girl, __hair/style__", seed).unwrap().text).collect();
        let hair = ["long red", "long blue", "short red", "short blue"];
        assert_eq!(all, hair.map(|hair| format!("1girl, {hair} hair")).into());
        let seed = (0..).find(|seed| expand(&root, "__hair/style__", *seed).unwrap().text == "short red hair").unwrap();
        let choices = expand(&root, "__hair/style__", seed).unwrap().choices;
        assert_eq!(choices, ["hair/style: short red hair", "short", "colour: red"]);
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let folder = folder(&[("secret.txt", "secret\n"), ("w/a.txt", "a\n"), ("w/empty.txt", "# nothing\n")]);
        let root = folder.path().join("w");
        for (text, part) in [
            ("__../secret__", "begin with a dot"),
            ("__a/../../secret__", "begin with a dot"),
            ("__/secret__", "may be empty"),
            ("__missing__", "missing.txt"),
            ("__empty__", "no line"),
        ] {
            let error = expand(&root, text, 1).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path().join("secret.txt"), root.join("link.txt")).unwrap();
            let error = expand(&root, "__link__", 1).unwrap_err().to_string();
            assert!(error.contains("leads out of the folder"), "{error}");
        }
    }

    #[test]
    fn circles_are_refused_whatever_is_chosen() {
        let folder = folder(&[
            ("a.txt", "plain\n{x|__b__}\n"),
            ("b.txt", "y\n__a__\n"),
            ("c.txt", "__d__ __d__\n"),
            ("d.txt", "z\n"),
        ]);
        for seed in 0..8 {
            let error = expand(folder.path(), "__a__", seed).unwrap_err();
            assert_eq!(error, ExpandError::Circle { names: ["a", "b", "a"].map(str::to_owned).into() });
        }
        assert_eq!(expand(folder.path(), "__c__, __d__", 1).unwrap().text, "z z, z");
    }

    #[test]
    fn files_that_double_each_other_are_bounded() {
        let names: Vec<String> = (0..15).map(|level| format!("l{level}.txt")).collect();
        let texts: Vec<String> = (1..16).map(|level| format!("__l{level}__ __l{level}__\n")).collect();
        let mut files: Vec<(&str, &str)> = names.iter().zip(&texts).map(|(a, b)| (a.as_str(), b.as_str())).collect();
        files.push(("l15.txt", "x"));
        let folder = folder(&files);
        assert_eq!(expand(folder.path(), "__l0__", 1), Err(ExpandError::TooManyChoices));
    }
}
