//! Reads a `config.json` field by field: all faults are collected, all sizes are bounded.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::bounded::{CONFIG_BYTES_MAX, read_bounded};
use crate::error::{ConfigError, LoadError};

/// Reads and parses a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<Value, LoadError> {
    let bytes = read_bounded(path, CONFIG_BYTES_MAX)?;
    serde_json::from_slice(&bytes).map_err(|source| LoadError::Json { path: path.to_owned(), source })
}

/// A JSON object being read. A getter records the fault of an invalid field and returns a valid value;
/// [`ConfigFields::finish`] returns all faults as one error.
#[derive(Debug, Clone)]
pub struct ConfigFields<'a> {
    object: Option<&'a Map<String, Value>>,
    path: String,
    problems: Rc<RefCell<Vec<String>>>,
}

impl<'a> ConfigFields<'a> {
    /// Starts reading `value`, which must be an object.
    pub fn new(value: &'a Value) -> Self {
        let fields = Self { object: value.as_object(), path: String::new(), problems: Rc::default() };
        if fields.object.is_none() {
            fields.reject("the configuration is not a JSON object");
        }
        fields
    }

    /// The object under `name`; its faults are reported together with this one's. A missing section is a fault.
    pub fn section(&self, name: &str) -> ConfigFields<'a> {
        let value = self.get(name);
        let section = ConfigFields {
            object: value.and_then(Value::as_object),
            path: self.full(name),
            problems: self.problems.clone(),
        };
        if section.object.is_none() {
            self.reject(format!("`{}` must be an object", section.path));
        }
        section
    }

    /// Whether the field exists and is not null.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether the field exists and is null.
    pub fn is_null(&self, name: &str) -> bool {
        self.object.and_then(|object| object.get(name)).is_some_and(Value::is_null)
    }

    /// The raw value of a field; `None` if absent or null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.and_then(|object| object.get(name)).filter(|value| !value.is_null())
    }

    /// A required whole number within `range`.
    pub fn count(&self, name: &str, range: RangeInclusive<usize>) -> usize {
        match self.get(name) {
            Some(value) => self.check_count(value, &self.full(name), &range),
            None => {
                self.reject(format!("`{}` is missing", self.full(name)));
                *range.start()
            }
        }
    }

    /// A whole number within `range`, or `default` when absent.
    pub fn count_or(&self, name: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        self.get(name).map_or(default, |value| self.check_count(value, &self.full(name), &range))
    }

    /// A required list of `N` whole numbers, each within `range`.
    pub fn counts<const N: usize>(&self, name: &str, range: RangeInclusive<usize>) -> [usize; N] {
        let path = self.full(name);
        let Some(items) = self.get(name).and_then(Value::as_array).filter(|items| items.len() == N) else {
            self.reject(format!("`{path}` must be a list of {N} whole numbers"));
            return [*range.start(); N];
        };
        std::array::from_fn(|i| self.check_count(&items[i], &format!("{path}[{i}]"), &range))
    }

    /// A required list of whole numbers of any length up to `max_len`, each within `range`.
    pub fn count_list(&self, name: &str, max_len: usize, range: RangeInclusive<usize>) -> Vec<usize> {
        let path = self.full(name);
        let Some(items) = self.get(name).and_then(Value::as_array).filter(|i| !i.is_empty() && i.len() <= max_len)
        else {
            self.reject(format!("`{path}` must be a list of 1 to {max_len} whole numbers"));
            return vec![*range.start()];
        };
        items.iter().enumerate().map(|(i, item)| self.check_count(item, &format!("{path}[{i}]"), &range)).collect()
    }

    /// A finite number within `range`, or `default` when absent.
    pub fn number_or(&self, name: &str, default: f64, range: RangeInclusive<f64>) -> f64 {
        let Some(value) = self.get(name) else { return default };
        match value.as_f64() {
            Some(number) if range.contains(&number) => number,
            _ => {
                self.reject(format!(
                    "`{}` is {value}, but must be a number from {} to {}",
                    self.full(name),
                    range.start(),
                    range.end()
                ));
                default
            }
        }
    }

    /// True or false, or `default` when absent.
    pub fn flag_or(&self, name: &str, default: bool) -> bool {
        let Some(value) = self.get(name) else { return default };
        value.as_bool().unwrap_or_else(|| {
            self.reject(format!("`{}` is {value}, but must be true or false", self.full(name)));
            default
        })
    }

    /// A text, or `default` when absent.
    pub fn text_or(&self, name: &str, default: &str) -> String {
        let Some(value) = self.get(name) else { return default.to_owned() };
        value.as_str().map(str::to_owned).unwrap_or_else(|| {
            self.reject(format!("`{}` is {value}, but must be a text", self.full(name)));
            default.to_owned()
        })
    }

    /// Records a fault that involves more than one field.
    pub fn reject(&self, problem: impl Display) {
        self.problems.borrow_mut().push(problem.to_string());
    }

    /// Ends reading.
    ///
    /// # Errors
    /// All recorded faults.
    pub fn finish(&self) -> Result<(), ConfigError> {
        let problems = self.problems.borrow().clone();
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }

    fn full(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn check_count(&self, value: &Value, path: &str, range: &RangeInclusive<usize>) -> usize {
        match value.as_u64().and_then(|number| usize::try_from(number).ok()) {
            Some(number) if range.contains(&number) => number,
            _ => {
                self.reject(format!(
                    "`{path}` is {value}, but must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                ));
                *range.start()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_is_there_and_defaults_what_is_not() {
        let value = json!({"dim": 48, "axes": [1, 2, 3], "eps": 1e-5, "nested": {"name": "x"}, "nothing": null});
        let fields = ConfigFields::new(&value);
        assert_eq!(fields.count("dim", 1..=64), 48);
        assert_eq!(fields.count_or("depth", 7, 1..=9), 7);
        assert_eq!(fields.counts::<3>("axes", 1..=9), [1, 2, 3]);
        assert_eq!(fields.number_or("eps", 0.0, 0.0..=1.0), 1e-5);
        assert_eq!(fields.section("nested").text_or("name", "y"), "x");
        assert!(!fields.has("nothing"));
        assert_eq!(fields.finish(), Ok(()));
    }

    #[test]
    fn names_every_fault_in_one_error() {
        let value = json!({"dim": 0, "axes": [1, "a"], "eps": "tiny", "flag": 1, "nested": {"depth": -1}});
        let fields = ConfigFields::new(&value);
        fields.count("dim", 1..=64);
        fields.count("absent", 1..=64);
        fields.counts::<2>("axes", 1..=9);
        fields.number_or("eps", 0.0, 0.0..=1.0);
        fields.flag_or("flag", true);
        fields.section("nested").count("depth", 1..=9);
        fields.section("gone");
        let problems = fields.finish().unwrap_err().problems;
        assert_eq!(problems.len(), 7);
        for (problem, name) in
            problems.iter().zip(["`dim`", "`absent`", "`axes[1]`", "`eps`", "`flag`", "`nested.depth`", "`gone`"])
        {
            assert!(problem.contains(name), "{problem} should name {name}");
        }
        assert!(ConfigFields::new(&json!([])).finish().is_err());
    }
}
