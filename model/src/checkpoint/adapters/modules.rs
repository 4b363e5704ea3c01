//! Finding the module of a checkpoint that an adapter's key names.

use std::collections::BTreeMap;

use super::keys::Module;

/// The modules of a checkpoint under all of their names.
pub(super) struct ModuleTable {
    /// Paths by name with dots; each module is there under its own name and its others.
    dotted: BTreeMap<String, String>,
    /// Paths by name with underscores for dots. Two modules may have the same one.
    flat: BTreeMap<String, Vec<String>>,
}

impl ModuleTable {
    /// The modules of the tensors `names`; `others` gives further names of a module.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a String>, others: &dyn Fn(&str) -> Vec<String>) -> Self {
        let mut table = Self { dotted: BTreeMap::new(), flat: BTreeMap::new() };
        for path in names.filter_map(|name| name.strip_suffix(".weight")) {
            for name in others(path).into_iter().chain([path.to_owned()]) {
                let paths = table.flat.entry(name.replace('.', "_")).or_default();
                if !paths.iter().any(|known| known == path) {
                    paths.push(path.to_owned());
                }
                table.dotted.insert(name, path.to_owned());
            }
        }
        table
    }

    /// The module's path in the checkpoint, or why there is none.
    pub(super) fn find<'a>(&'a self, module: &'a Module) -> Result<&'a str, String> {
        if !module.flat {
            return Ok(self.dotted.get(&module.path).map_or(&module.path, String::as_str));
        }
        match self.flat.get(&module.path).map(Vec::as_slice) {
            Some([path]) => Ok(path),
            Some(paths) => Err(format!("module `{}` could be any of {paths:?}", module.path)),
            None => Err(format!("module `{}` is not in this checkpoint", module.path)),
        }
    }
}
