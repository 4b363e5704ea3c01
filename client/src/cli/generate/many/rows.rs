//! The prompts of a batch: the files of a folder, or the rows of a CSV file.

use std::path::{Path, PathBuf};

use sakuga_client::proto::text::one_line;

use super::super::setting::{self, Setting};
use crate::cli::failure::Failure;
use crate::cli::input::{self, Input};

/// The most prompts of a batch.
const MAX_ROWS: usize = 10_000;
/// The largest CSV file, in bytes.
const MAX_CSV_BYTES: u64 = 64 << 20;
/// The largest file with one prompt, in bytes.
const MAX_PROMPT_BYTES: u64 = 1 << 20;
/// The endings of files with a prompt.
const ENDINGS: [&str; 2] = ["xml", "txt"];

/// One prompt of a batch.
pub(crate) struct Row {
    /// The name of its picture, without ending.
    pub name: String,
    /// The prompt, or why it cannot be read.
    pub prompt: Result<Input, String>,
    /// Its own negative prompt.
    pub negative: Option<Input>,
    pub settings: Vec<(Setting, String)>,
}

/// The prompts of a folder, by the names of their files, or of a CSV file, in its order.
///
/// # Errors
///
/// The folder or the file cannot be read as a whole. What is wrong with one prompt is in its row.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>, Failure> {
    let rows = if path.is_dir() { of_folder(path)? } else { of_csv(path)? };
    if rows.is_empty() {
        return Err(Failure::unreadable(path, "it has no prompt")
            .with_help("name a folder with *.xml or *.txt files, or a CSV file with a column `prompt` or `file`"));
    }
    if rows.len() > MAX_ROWS {
        return Err(Failure::unreadable(path, format_args!("it has more than {MAX_ROWS} prompts; split it")));
    }
    let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let text = format!("two prompts have the name {}", one_line(pair[0]));
        return Err(Failure::unreadable(path, text).with_help("give each its own name"));
    }
    Ok(rows)
}

fn of_folder(folder: &Path) -> Result<Vec<Row>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| Failure::unreadable(folder, error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Failure::unreadable(folder, error))?.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) && files.len() <= MAX_ROWS {
            files.push(path);
        }
    }
    files.sort();
    Ok(files
        .iter()
        .map(|path| Row {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            prompt: read_prompt(path),
            negative: None,
            settings: Vec::new(),
        })
        .collect())
}

fn read_prompt(path: &Path) -> Result<Input, String> {
    input::read_prompt_file(path, MAX_PROMPT_BYTES).map_err(|failure| failure.message().to_owned())
}

/// What a column holds.
enum Column {
    Prompt,
    File,
    Negative,
    Name,
    Setting(Setting),
}

impl Column {
    fn find(name: &str) -> Result<Self, String> {
        Ok(match name.trim().to_lowercase().as_str() {
            "prompt" => Self::Prompt,
            "file" => Self::File,
            "negative" | "negative_prompt" => Self::Negative,
            "name" => Self::Name,
            _ => Self::Setting(setting::find(name).map_err(|error| {
                format!("column `{}`: {error}, and prompt, file, negative, name", one_line(name.trim()))
            })?),
        })
    }
}

fn of_csv(path: &Path) -> Result<Vec<Row>, Failure> {
    let file = input::read_file(path, MAX_CSV_BYTES)?;
    let unreadable = |error: &dyn std::fmt::Display| Failure::unreadable(path, error);
    let text = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&file);
    let mut reader = csv::Reader::from_reader(text);
    let headers = reader.headers().map_err(|error| unreadable(&error))?.clone();
    let columns: Vec<Column> =
        headers.iter().map(Column::find).collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
    let has = |wanted: fn(&Column) -> bool| columns.iter().any(wanted);
    if has(|column| matches!(column, Column::Prompt)) == has(|column| matches!(column, Column::File)) {
        return Err(unreadable(&"it needs a column `prompt` or a column `file`, and not both"));
    }
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let mut rows = Vec::new();
    for (index, record) in reader.records().enumerate().take(MAX_ROWS + 1) {
        let record = record.map_err(|error| unreadable(&error))?;
        rows.push(row(index + 1, &columns, &record, path, &folder));
    }
    Ok(rows)
}

/// A row of a CSV file. Empty cells are as if the column were not there.
fn row(number: usize, columns: &[Column], record: &csv::StringRecord, path: &Path, folder: &Path) -> Row {
    let text = |what: &str, text: &str| Input {
        name: format!("{}, row {number}, {what}", path.display()),
        path: None,
        bytes: text.as_bytes().to_vec(),
    };
    let mut row = Row {
        name: format!("{number:04}"),
        prompt: Err("it has no prompt".to_owned()),
        negative: None,
        settings: Vec::new(),
    };
    let mut wrong = None;
    for (column, cell) in columns.iter().zip(record).filter(|(_, cell)| !cell.trim().is_empty()) {
        match column {
            Column::Prompt => row.prompt = Ok(text("prompt", cell)),
            Column::File => row.prompt = read_prompt(&folder.join(PathBuf::from(cell.trim()))),
            Column::Negative => row.negative = Some(text("negative", cell)),
            Column::Name if is_file_name(cell.trim()) => cell.trim().clone_into(&mut row.name),
            Column::Name => {
                wrong = Some(format!("`{}` cannot be the name of a file here", one_line(cell.trim())));
            }
            Column::Setting(setting) => {
                if let Err(error) = setting.set(&mut Default::default(), cell) {
                    wrong = Some(error);
                }
                row.settings.push((*setting, cell.to_owned()));
            }
        }
    }
    if let Some(wrong) = wrong {
        row.prompt = Err(wrong);
    }
    row
}

/// Whether a name is that of a file directly in the folder, on every system.
fn is_file_name(name: &str) -> bool {
    let is_bad = |character: char| character.is_control() || r#"/\:*?"<>|"#.contains(character);
    !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && !name.ends_with('.') && !name.contains(is_bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Result<Vec<Row>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one.txt"), "1girl, solo").unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    fn text(row: &Row) -> &str {
        std::str::from_utf8(&row.prompt.as_ref().unwrap().bytes).unwrap()
    }

    #[test]
    fn rows_have_prompts_names_and_settings() {
        let rows = csv(
            "\u{feff}name,prompt,negative,steps,Guidance_Scale\nfox,\"a fox, snow\",lowres,12,4.5\n,\"two\nlines\",,,\n",
        );
        let rows = rows.unwrap();
        assert_eq!((rows[0].name.as_str(), text(&rows[0])), ("fox", "a fox, snow"));
        assert_eq!(rows[0].negative.as_ref().unwrap().bytes, b"lowres");
        let settings: Vec<(&str, &str)> =
            rows[0].settings.iter().map(|(key, value)| (key.key, value.as_str())).collect();
        assert_eq!(settings, [("steps", "12"), ("guidance", "4.5")]);
        assert_eq!((rows[1].name.as_str(), text(&rows[1]), rows[1].settings.len()), ("0002", "two\nlines", 0));
        let rows = csv("file\none.txt\nmissing.txt\n").unwrap();
        assert_eq!(text(&rows[0]), "1girl, solo");
        assert!(rows[1].prompt.as_ref().unwrap_err().contains("missing.txt"));
    }

    #[test]
    fn a_wrong_row_says_what_is_wrong_and_leaves_the_others() {
        let rows = csv("name,prompt,steps\na,1girl,x\n../b,1girl,1\nc,,1\nd,1girl,1\n").unwrap();
        let wrong: Vec<&str> = rows.iter().filter_map(|row| row.prompt.as_ref().err().map(String::as_str)).collect();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].contains("steps: `x`") && wrong[1].contains("`../b`") && wrong[2].contains("no prompt"));
        for (text, part) in [
            ("prompt,mood\na,b\n", "column `mood`"),
            ("steps\n1\n", "needs a column `prompt`"),
            ("prompt,file\na,b\n", "not both"),
            ("prompt,steps\na\n", "CSV error"),
            ("prompt\n", "no prompt"),
            ("name,prompt\na,x\na,y\n", "two prompts have the name a"),
        ] {
            let failure = csv(text).err().unwrap_or_else(|| panic!("{text} was read"));
            assert!(failure.message().contains(part), "{text}: {failure:?}");
        }
    }

    #[test]
    fn a_folder_has_its_prompts_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.txt", "two"), ("a.XML", "one"), ("notes.md", "no")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let rows = read(folder.path()).unwrap();
        let found: Vec<(&str, &str)> = rows.iter().map(|row| (row.name.as_str(), text(row))).collect();
        assert_eq!(found, [("a", "one"), ("b", "two")]);
        std::fs::write(folder.path().join("b.xml"), "three").unwrap();
        assert!(read(folder.path()).err().unwrap().message().contains("two prompts have the name b"));
    }
}
