//! Tables with commas, semicolons or tabs between their cells, given as a prompt: a line of names and lines of values.

use super::foreign;
use crate::phrases;

/// Most lines and bytes that are looked at.
const MOST_LINES: usize = 20;
const FAR: usize = 64 << 10;

/// Whether a text is such a table: every cell of its first line is the name of a text, a field or a setting, and the
/// records below have as many cells.
pub(super) fn is_table(text: &str) -> bool {
    let Some((head, _)) = text.split_once('\n') else { return false };
    // Nearly every text ends here.
    if !head.contains([',', ';', '\t']) || head.contains('<') || head.len() > 400 {
        return false;
    }
    let near = &text[..text.floor_char_boundary(FAR)];
    [b',', b';', b'\t'].into_iter().any(|delimiter| is_table_of(near, delimiter))
}

fn is_table_of(text: &str, delimiter: u8) -> bool {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let Ok(header) = reader.headers() else { return false };
    let header = header.clone();
    let cells: Vec<&str> = header.iter().map(str::trim).collect();
    if names_fields(&cells) {
        let mut records = reader.records().take(MOST_LINES).peekable();
        let is_field = |record: &csv::StringRecord| record.len() == 2 && record.get(0).is_some_and(is_text);
        return records.peek().is_some() && records.all(|record| record.is_ok_and(|record| is_field(&record)));
    }
    let has_text = cells.iter().any(|cell| is_text(cell) && !is_other(cell));
    if cells.len() < 2 || !has_text || !cells.iter().all(|cell| is_text(cell) || is_other(cell)) {
        return false;
    }
    let length = cells.len();
    let mut records = reader.records().take(MOST_LINES).peekable();
    records.peek().is_some() && records.all(|record| record.is_ok_and(|record| record.len() == length))
}

/// Whether a first line is that of a table with one field a line: `field,value`.
fn names_fields(cells: &[&str]) -> bool {
    const NAMES: &[&str] = &["field", "key", "name", "element", "tag", "section", "category", "attribute", "part"];
    const VALUES: &[&str] = &["value", "values", "content", "contents", "text", "tags", "description"];
    let is_in = |words: &[&str], cell: &str| words.contains(&cell.to_lowercase().as_str());
    matches!(cells, [name, value] if is_in(NAMES, name) && is_in(VALUES, value))
}

/// Whether a cell names a prompt, a negative prompt or a part of a prompt.
fn is_text(cell: &str) -> bool {
    foreign::is_member(cell) || phrases::is_positive_name(cell) || phrases::is_negative_name(cell)
}

fn is_other(cell: &str) -> bool {
    const OTHERS: &[&str] = &[
        "", "id", "name", "file", "filename", "index", "no", "nr", "#", "title", "image", "url", "notes", "rating",
        "score",
    ];
    let lower = cell.to_lowercase();
    OTHERS.contains(&lower.as_str()) || crate::settings::is_setting_name(&lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_known_by_their_first_line() {
        for text in [
            "prompt,negative_prompt\n\"1girl, solo\",\"bad hands\"",
            "\"prompt\",\"negative\"\n1girl,lowres",
            "name\tprompt\tseed\na\t1girl, solo\t3",
            "prompt;negative_prompt\n1girl;bad hands\n2girls;lowres",
            "id,caption\n1,A girl",
            "style,appearance\nink,blue hair",
            "field,value\ngender,1girl\nappearance,blue hair",
            "Field;Value\ngender;1girl",
            "key\tvalue\ngender\t1girl",
        ] {
            assert!(is_table(text), "{text}");
        }
        for text in [
            "1girl, solo\nblue hair, smile",
            "prompt,negative_prompt",
            "style, 1girl\nblue hair, smile",
            "style, lighting\n1girl, solo, smile",
            "title, name\na, b",
            "name, text\n1girl, solo",
            "<n>,prompt\na,b",
        ] {
            assert!(!is_table(text), "{text}");
        }
    }
}
