//! The modules of one crate, the paths that each names, and where a path leads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::tokens::{self, Item};

/// Index of a module in its tree; the root is 0.
pub(crate) type ModuleId = usize;

/// The longest chain of re-exports that is followed.
const FOLLOWED_MAX: usize = 16;

/// A path in the source, and its line.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    /// Its segments, from `crate`, `self` or `super` on; in a `use` also from a name in scope.
    pub path: Vec<String>,
    /// Number of the line, from 1.
    pub line: usize,
}

#[derive(Debug)]
struct Module {
    name: String,
    parent: Option<ModuleId>,
    /// The file that holds it.
    file: String,
    children: BTreeMap<String, ModuleId>,
    /// Names that a `use` brings into scope, with what they stand for.
    imports: BTreeMap<String, Vec<String>>,
    /// Paths of `use path::*`.
    globs: Vec<Vec<String>>,
    /// Names of the items that it declares.
    items: BTreeSet<String>,
    references: Vec<Reference>,
}

/// The modules of one library or program.
#[derive(Debug)]
pub(crate) struct Tree {
    modules: Vec<Module>,
}

impl Tree {
    /// Reads the modules that begin with the root's file. `read` gives the text of a file, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// A file is missing or is not Rust; the text names it.
    pub(crate) fn read(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Result<Self, String> {
        let mut tree = Self { modules: Vec::new() };
        let text = read(root).ok_or_else(|| format!("there is no {}", root.display()))?;
        let folder = root.parent().unwrap_or(Path::new("")).to_owned();
        tree.add_file("crate", None, root, folder, &text, read)?;
        Ok(tree)
    }

    /// The name of a module; the root's is `crate`.
    pub(crate) fn name(&self, module: ModuleId) -> &str {
        &self.modules[module].name
    }

    /// The file that holds a module.
    pub(crate) fn file(&self, module: ModuleId) -> &str {
        &self.modules[module].file
    }

    /// The modules from the root to this one.
    pub(crate) fn ancestors(&self, module: ModuleId) -> Vec<ModuleId> {
        let mut way: Vec<ModuleId> =
            std::iter::successors(Some(module), |module| self.modules[*module].parent).collect();
        way.reverse();
        way
    }

    /// The full path of a module, such as `crate::a::b`.
    pub(crate) fn path(&self, module: ModuleId) -> String {
        let names: Vec<&str> = self.ancestors(module).into_iter().map(|module| self.name(module)).collect();
        names.join("::")
    }

    /// Every path that a module names.
    pub(crate) fn references(&self) -> impl Iterator<Item = (ModuleId, &Reference)> {
        self.modules.iter().enumerate().flat_map(|(id, module)| module.references.iter().map(move |path| (id, path)))
    }

    /// The module that declares what a path names, seen from a module; `None` for another crate's.
    pub(crate) fn resolve(&self, from: ModuleId, path: &[String]) -> Option<ModuleId> {
        self.follow(from, path, FOLLOWED_MAX)
    }

    fn follow(&self, from: ModuleId, path: &[String], left: usize) -> Option<ModuleId> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.descend(0, rest, left),
            "self" => self.descend(from, rest, left),
            "super" => {
                let parent = self.modules[from].parent?;
                if rest.first().is_some_and(|next| next == "super") {
                    self.follow(parent, rest, left)
                } else {
                    self.descend(parent, rest, left)
                }
            }
            name if self.modules[from].children.contains_key(name) || self.modules[from].imports.contains_key(name) => {
                self.descend(from, path, left)
            }
            _ => None,
        }
    }

    /// The module that declares what a path within a module names. An item that is declared nowhere else counts as the
    /// module's own.
    fn descend(&self, module: ModuleId, path: &[String], left: usize) -> Option<ModuleId> {
        let here = &self.modules[module];
        let Some((name, rest)) = path.split_first() else { return Some(module) };
        if let Some(&child) = here.children.get(name) {
            return self.descend(child, rest, left);
        }
        if here.items.contains(name) || left == 0 {
            return Some(module);
        }
        if let Some(import) = here.imports.get(name) {
            // `use a::a` in a module with a child `a` is not a cycle, but `use self::a as a` would be.
            let target: Vec<String> = import.iter().chain(rest).cloned().collect();
            return self.follow(module, &target, left - 1);
        }
        for glob in &here.globs {
            let Some(target) = self.follow(module, glob, left - 1) else { continue };
            if target != module && self.declares(target, name) {
                return self.descend(target, path, left - 1);
            }
        }
        Some(module)
    }

    fn declares(&self, module: ModuleId, name: &str) -> bool {
        let module = &self.modules[module];
        module.items.contains(name) || module.children.contains_key(name) || module.imports.contains_key(name)
    }

    /// Adds a module that has its own file. Its children's files lie in `folder`.
    fn add_file(
        &mut self,
        name: &str,
        parent: Option<ModuleId>,
        file: &Path,
        folder: PathBuf,
        text: &str,
        read: &dyn Fn(&Path) -> Option<String>,
    ) -> Result<ModuleId, String> {
        let stream = text.parse().map_err(|error| format!("{}: {error}", file.display()))?;
        let id = self.add(name, parent, file);
        self.fill(id, tokens::items(stream), &folder, read)?;
        Ok(id)
    }

    fn add(&mut self, name: &str, parent: Option<ModuleId>, file: &Path) -> ModuleId {
        self.modules.push(Module {
            name: name.to_owned(),
            parent,
            file: file.display().to_string(),
            children: BTreeMap::new(),
            imports: BTreeMap::new(),
            globs: Vec::new(),
            items: BTreeSet::new(),
            references: Vec::new(),
        });
        let id = self.modules.len() - 1;
        if let Some(parent) = parent {
            self.modules[parent].children.insert(name.to_owned(), id);
        }
        id
    }

    fn fill(
        &mut self,
        id: ModuleId,
        items: Vec<Item>,
        folder: &Path,
        read: &dyn Fn(&Path) -> Option<String>,
    ) -> Result<(), String> {
        for item in items {
            match item {
                Item::Declared(name) => {
                    self.modules[id].items.insert(name);
                }
                Item::Use { path, name, line } => {
                    let module = &mut self.modules[id];
                    match name {
                        Some(name) => {
                            module.imports.insert(name, path.clone());
                        }
                        None => module.globs.push(path.clone()),
                    }
                    module.references.push(Reference { path, line });
                }
                Item::Path { path, line } => self.modules[id].references.push(Reference { path, line }),
                Item::InlineModule { name, body } => {
                    let file = PathBuf::from(self.file(id));
                    let child = self.add(&name, Some(id), &file);
                    self.fill(child, tokens::items(body), &folder.join(&name), read)?;
                }
                Item::FileModule { name, path, line } => {
                    let own = PathBuf::from(self.file(id));
                    let own_folder = own.parent().unwrap_or(Path::new(""));
                    let candidates = match path {
                        Some(path) => vec![own_folder.join(path)],
                        None => vec![folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")],
                    };
                    let found = candidates.iter().find_map(|file| Some((file, read(file)?)));
                    let Some((file, text)) = found else {
                        return Err(format!("{}:{line}: there is no file for `mod {name}`", own.display()));
                    };
                    self.add_file(&name, Some(id), file, folder.join(&name), &text, read)?;
                }
            }
        }
        Ok(())
    }
}
