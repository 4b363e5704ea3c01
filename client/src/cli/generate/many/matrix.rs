//! `--matrix`: every combination of values.

use sakuga_client::proto::generation::v1::GenerateRequest;
use sakuga_client::proto::text::one_line;

use super::super::setting::{self, Setting};
use super::super::texts::Texts;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;

/// The most axes: columns, rows and blocks of the sheet.
const MAX_AXES: usize = 3;
/// The most combinations.
const MAX_CELLS: usize = 256;
/// Prefix of the name of an axis for texts.
const TEXT: &str = "text:";

/// The axes of a matrix, columns first.
pub(crate) struct Matrix {
    axes: Vec<Axis>,
}

struct Axis {
    key: Key,
    values: Vec<String>,
}

enum Key {
    /// A setting of the request.
    Setting(Setting),
    /// The values stand in place of this text.
    Text(String),
}

/// A combination: the index of its value on each axis.
pub(crate) type Cell = Vec<usize>;

impl Matrix {
    /// Reads `KEY=A,B,C`, one for each axis.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, Failure> {
        let wrong = |error: String| Failure::new(Exit::Unreadable, format_args!("--matrix: {error}"));
        if texts.len() > MAX_AXES {
            return Err(wrong(format!("{} are too many; use at most {MAX_AXES}", texts.len())));
        }
        let axes = texts.iter().map(|text| Axis::parse(text)).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        let cells = axes.iter().fold(1_usize, |cells, axis| cells.saturating_mul(axis.values.len()));
        if cells > MAX_CELLS {
            return Err(wrong(format!(
                "{cells} combinations are too many; use at most {MAX_CELLS}, with fewer values"
            )));
        }
        let names: Vec<String> = axes.iter().map(Axis::name).collect();
        if let Some(twice) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            return Err(wrong(format!("{} is there twice", twice.1)));
        }
        Ok(Self { axes })
    }

    /// How many values each axis has: columns, rows, blocks.
    pub(crate) fn size(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.axes.get(axis).map_or(1, |axis| axis.values.len()))
    }

    /// Every combination: along the columns, then the rows, then the blocks.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let [columns, rows, blocks] = self.size();
        let cell = |index: usize| vec![index % columns, index / columns % rows, index / columns / rows];
        (0..columns * rows * blocks).map(|index| cell(index)[..self.axes.len()].to_vec()).collect()
    }

    /// Whether an axis changes the seed.
    pub(crate) fn has_seed(&self) -> bool {
        self.axes.iter().any(|axis| matches!(&axis.key, Key::Setting(setting) if setting.key == "seed"))
    }

    /// The label of a value of an axis; empty if there is no such axis.
    pub(crate) fn label(&self, axis: usize, value: usize) -> String {
        let Some(axis) = self.axes.get(axis) else { return String::new() };
        let value = axis.values.get(value).map(String::as_str).unwrap_or_default();
        match &axis.key {
            Key::Setting(setting) => format!("{} {value}", setting.key),
            Key::Text(_) if value.is_empty() => "(nothing)".to_owned(),
            Key::Text(_) => value.to_owned(),
        }
    }

    /// The name of a combination, for its file.
    pub(crate) fn name(&self, index: usize, cell: &Cell) -> String {
        let part = |(axis, value): (usize, &usize)| {
            let label: String = self.label(axis, *value).chars().take(40).collect();
            label.replace(|character: char| !(character.is_alphanumeric() || matches!(character, '.' | '-')), "-")
        };
        let parts: Vec<String> = cell.iter().enumerate().map(part).collect();
        format!("{index:03}_{}", parts.join("_"))
    }

    /// Puts the texts of a combination into the prompts.
    pub(crate) fn put_texts(&self, cell: &Cell, texts: &mut Texts) -> Result<(), Failure> {
        for (axis, value) in self.axes.iter().zip(cell) {
            let Key::Text(old) = &axis.key else { continue };
            let mut is_found = false;
            for input in [&mut texts.prompt, &mut texts.negative].into_iter().flatten() {
                let text = String::from_utf8_lossy(&input.bytes).into_owned();
                if text.contains(old) {
                    is_found = true;
                    input.bytes = text.replace(old, &axis.values[*value]).into_bytes();
                }
            }
            if !is_found {
                let text = format!("--matrix {TEXT}: `{}` does not occur in the prompt", one_line(old));
                return Err(Failure::new(Exit::Unreadable, text));
            }
        }
        Ok(())
    }

    /// Puts the settings of a combination into the request.
    pub(crate) fn put_settings(&self, cell: &Cell, request: &mut GenerateRequest) -> Result<(), Failure> {
        for (axis, value) in self.axes.iter().zip(cell) {
            if let Key::Setting(setting) = &axis.key {
                let set = setting.set(request, &axis.values[*value]);
                set.map_err(|error| Failure::new(Exit::Unreadable, format_args!("--matrix: {error}")))?;
            }
        }
        Ok(())
    }
}

impl Axis {
    fn parse(text: &str) -> Result<Self, String> {
        let shown = one_line(text);
        let parts = split(text, '=');
        let Some((key, values)) = parts.split_first().filter(|(_, values)| !values.is_empty()) else {
            return Err(format!("write KEY=A,B,C, such as steps=10,20, not `{shown}`"));
        };
        let values: Vec<String> = split(&values.join("="), ',').iter().map(|value| unescape(value.trim())).collect();
        if let Some((_, twice)) = values.iter().enumerate().find(|(index, value)| values[..*index].contains(value)) {
            return Err(format!("`{shown}` has the value `{}` twice", one_line(twice)));
        }
        let key = match key.trim_start().strip_prefix(TEXT) {
            Some("") => return Err(format!("`{shown}` names no text to replace; write text:OLD=NEW,NEW")),
            Some(old) => Key::Text(unescape(old)),
            None => {
                let setting = setting::find(key)?;
                for value in &values {
                    setting.set(&mut GenerateRequest::default(), value)?;
                }
                Key::Setting(setting)
            }
        };
        Ok(Self { key, values })
    }

    fn name(&self) -> String {
        match &self.key {
            Key::Setting(setting) => setting.key.to_owned(),
            Key::Text(old) => format!("{TEXT}{}", one_line(old)),
        }
    }
}

/// The parts of a text between separators; one after a backslash does not separate.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for character in text.chars() {
        let part = parts.len() - 1;
        match character {
            _ if character == separator && !is_escaped => parts.push(String::new()),
            _ => parts[part].push(character),
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    parts
}

/// `\,`, `\=` and `\\` as the second character alone.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match characters.peek() {
            Some(next @ (',' | '=' | '\\')) if character == '\\' => {
                plain.push(*next);
                characters.next();
            }
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::input::Input;

    fn matrix(texts: &[&str]) -> Matrix {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Matrix::parse(&texts).unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    #[test]
    fn every_combination_is_there_once_columns_first() {
        let matrix = matrix(&["steps=10,20", "seed=1,2,3", "text:red=blue,green"]);
        assert_eq!(matrix.size(), [2, 3, 2]);
        let cells = matrix.cells();
        assert_eq!(
            (cells.len(), &cells[0], &cells[1], &cells[2]),
            (12, &vec![0, 0, 0], &vec![1, 0, 0], &vec![0, 1, 0])
        );
        assert_eq!(cells[11], [1, 2, 1]);
        assert!(matrix.has_seed());
        let mut request = GenerateRequest::default();
        matrix.put_settings(&cells[11], &mut request).unwrap();
        assert_eq!((request.sampling.unwrap().steps, request.seed), (20, Some(3)));
        assert_eq!(matrix.name(11, &cells[11]), "011_steps-20_seed-3_green");
        let input = |text: &str| Some(Input { name: "a".to_owned(), path: None, bytes: text.as_bytes().to_vec() });
        let mut texts = Texts { prompt: input("red hair, red eyes"), negative: input("blue"), ..Texts::default() };
        matrix.put_texts(&cells[11], &mut texts).unwrap();
        assert_eq!(texts.prompt.unwrap().bytes, b"green hair, green eyes");
        let mut texts = Texts { prompt: input("no colour"), ..Texts::default() };
        assert!(matrix.put_texts(&cells[0], &mut texts).unwrap_err().message().contains("`red` does not occur"));
    }

    #[test]
    fn separators_can_be_values() {
        let matrix = matrix(&[r"text:a\=b=x\,y,z=1,\\,"]);
        let values: Vec<String> = (0..4).map(|value| matrix.label(0, value)).collect();
        assert_eq!(values, ["x,y", "z=1", r"\", "(nothing)"]);
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_is_drawn() {
        for (texts, part) in [
            (vec!["steps"], "write KEY=A,B,C"),
            (vec!["mood=1"], "there is no setting `mood`"),
            (vec!["steps=1,x"], "steps: `x`"),
            (vec!["steps=1,1"], "the value `1` twice"),
            (vec!["steps=1", "steps=2"], "steps is there twice"),
            (vec!["text:=a"], "names no text"),
            (vec!["steps=1", "seed=1", "shift=1", "guidance=1"], "at most 3"),
        ] {
            let texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
            let failure = Matrix::parse(&texts).err().unwrap_or_else(|| panic!("{texts:?} was read"));
            assert!(failure.message().contains(part), "{failure:?}");
        }
        let many = |count: usize| (1..=count).map(|seed| seed.to_string()).collect::<Vec<_>>().join(",");
        let texts = [format!("seed={}", many(17)), format!("steps={}", many(16))];
        let failure = Matrix::parse(&texts).err().expect("too many");
        assert!(failure.message().contains("272 combinations are too many; use at most 256"), "{failure:?}");
    }
}
