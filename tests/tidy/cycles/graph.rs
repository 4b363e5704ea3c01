//! Edges between sibling modules, and their cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::modules::{ModuleId, Tree};

/// At most this many places are named for one edge.
const PLACES_SHOWN: usize = 4;

/// Sibling modules that depend on each other, directly or through other siblings: one strongly connected component.
#[derive(Debug)]
pub(crate) struct Cycle {
    /// The module that holds them, as `crate::a`.
    pub parent: String,
    /// Their names, in alphabetical order.
    pub modules: Vec<String>,
    /// Each edge between two of them, with the places that make it, as `file:line`.
    edges: BTreeMap<(String, String), Vec<String>>,
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} modules in a cycle: {}", self.parent, self.modules.len(), self.modules.join(", "))?;
        for ((from, to), places) in &self.edges {
            let shown = &places[..places.len().min(PLACES_SHOWN)];
            write!(f, "\n  {from} -> {to}: {}", shown.join(", "))?;
            if places.len() > shown.len() {
                write!(f, " and {} more", places.len() - shown.len())?;
            }
        }
        Ok(())
    }
}

/// Edges between modules, each with the places that make it.
type Edges<'a> = BTreeMap<(ModuleId, ModuleId), BTreeSet<(&'a str, usize)>>;

/// Every cycle among siblings, at every level of the tree.
pub(crate) fn cycles(tree: &Tree) -> Vec<Cycle> {
    let mut levels: BTreeMap<ModuleId, Edges<'_>> = BTreeMap::new();
    for (from, reference) in tree.references() {
        let Some(to) = tree.resolve(from, &reference.path) else { continue };
        if let Some((parent, from_sibling, to_sibling)) = siblings(tree, from, to) {
            let edges = levels.entry(parent).or_default();
            let places = edges.entry((from_sibling, to_sibling)).or_default();
            places.insert((tree.file(from), reference.line));
        }
    }
    let mut cycles = Vec::new();
    for (parent, edges) in &levels {
        for component in components(&edges.keys().copied().collect()) {
            let name = |id: ModuleId| tree.name(id).to_owned();
            let within = edges.iter().filter(|((from, to), _)| component.contains(from) && component.contains(to));
            let mut modules: Vec<String> = component.iter().copied().map(name).collect();
            modules.sort_unstable();
            cycles.push(Cycle {
                parent: tree.path(*parent),
                modules,
                edges: within
                    .map(|((from, to), places)| {
                        let places = places.iter().map(|(file, line)| format!("{file}:{line}")).collect();
                        ((name(*from), name(*to)), places)
                    })
                    .collect(),
            });
        }
    }
    cycles
}

/// Where the ways from the root to two modules part: their last common module, and the next module on each way.
/// `None` if one of the two holds the other.
fn siblings(tree: &Tree, from: ModuleId, to: ModuleId) -> Option<(ModuleId, ModuleId, ModuleId)> {
    let (from, to) = (tree.ancestors(from), tree.ancestors(to));
    let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    Some((from[common - 1], *from.get(common)?, *to.get(common)?))
}

/// Strongly connected components of more than one module.
fn components(edges: &BTreeSet<(ModuleId, ModuleId)>) -> Vec<BTreeSet<ModuleId>> {
    let reachable = |start: ModuleId| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(module) = open.pop() {
            for &(_, to) in edges.range((module, 0)..=(module, ModuleId::MAX)) {
                if seen.insert(to) {
                    open.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<ModuleId, BTreeSet<ModuleId>> =
        edges.iter().map(|&(from, _)| (from, reachable(from))).collect();
    let mut components: Vec<BTreeSet<ModuleId>> = Vec::new();
    for (module, reaches) in &reached {
        if reaches.contains(module) && !components.iter().any(|component| component.contains(module)) {
            let back = |other: &ModuleId| reached.get(other).is_some_and(|reaches| reaches.contains(module));
            components.push(reaches.iter().copied().filter(back).collect());
        }
    }
    components
}
