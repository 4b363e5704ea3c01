//! Parts of a file that holds several networks, and tensors that hold several layers.

use std::collections::BTreeMap;

use super::{Located, TensorReader};

impl TensorReader {
    /// Keeps the tensors whose names begin with `prefix` and removes it from them. Call it before the first read.
    pub fn select(&self, prefix: &str) {
        let mut shared = self.shared.borrow_mut();
        let all = std::mem::take(&mut shared.tensors);
        let chosen = |(name, located): (String, Located)| Some((name.strip_prefix(prefix)?.to_owned(), located));
        shared.tensors = all.into_iter().filter_map(chosen).collect();
    }

    /// Divides tensors along their first axis into pieces of equal length. `pieces` gives their names, in the order in which
    /// they are stacked, or `None` for a tensor that stays whole. Call it before the first read.
    pub fn divide(&self, pieces: impl Fn(&str) -> Option<Vec<String>>) {
        let mut shared = self.shared.borrow_mut();
        let mut divided = BTreeMap::new();
        let mut faults = Vec::new();
        for (name, Located { file, entry }) in std::mem::take(&mut shared.tensors) {
            let Some(names) = pieces(&name) else {
                divided.insert(name, Located { file, entry });
                continue;
            };
            let Some(entries) = entry.pieces(names.len()) else {
                faults.push((name, format!("its shape {:?} is not a stack of {} layers", entry.shape, names.len())));
                continue;
            };
            divided.extend(names.into_iter().zip(entries.into_iter().map(|entry| Located { file, entry })));
        }
        shared.tensors = divided;
        shared.faults.unusable.extend(faults);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;
    use crate::checkpoint::testing::{Stored, write_file};

    #[test]
    fn a_part_is_selected_and_a_stack_is_divided() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let stored = [
            Stored::f32("a.qk", &[4, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
            Stored::f32("a.odd", &[3], &[1.0, 2.0, 3.0]),
            Stored::f32("b.other", &[1], &[1.0]),
        ];
        let path = write_file(dir.path(), "model.safetensors", &stored);
        let reader = TensorReader::open("part", &[path], &Device::flex(), DType::F32).expect("a valid file");
        reader.select("a.");
        reader.divide(|name| (name == "qk").then(|| vec!["q".to_owned(), "k".to_owned()]));
        assert_eq!(reader.names(), ["k", "odd", "q"]);
        let values = |name: &str| -> Vec<f32> { reader.tensor(name, [2, 2]).try_into_vec_as().expect("f32") };
        assert_eq!((values("q"), values("k")), (vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0]));
        reader.divide(|name| (name == "odd").then(|| vec!["x".to_owned(), "y".to_owned()]));
        let error = reader.finish().expect_err("a stack of two cannot have three rows").to_string();
        assert!(error.contains("not a stack of 2 layers"), "{error}");
    }
}
