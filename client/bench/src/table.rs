//! Tables for the terminal and for pages.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width, presets};
use maud::{Markup, html};

/// A table: the first column names the rows, the others hold figures.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The columns, with units.
    pub head: Vec<String>,
    /// The rows, each as long as the head.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    /// Removes the columns without a figure in any row.
    pub fn without_empty_columns(mut self) -> Self {
        for column in (1..self.head.len()).rev() {
            if self.rows.iter().all(|row| row[column].is_empty()) {
                self.head.remove(column);
                for row in &mut self.rows {
                    row.remove(column);
                }
            }
        }
        self
    }

    /// The table for a terminal.
    pub fn to_text(&self, is_unicode: bool) -> String {
        /// Columns of the terminal that a table may take; wider cells are wrapped.
        const WIDTH: u16 = 100;
        let mut table = comfy_table::Table::new();
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
        table.load_style(if is_unicode { presets::UTF8_HORIZONTAL_ONLY } else { presets::ASCII_NO_BORDERS });
        table.set_header(&self.head);
        table.add_rows(&self.rows);
        for (place, column) in table.column_iter_mut().enumerate() {
            if place > 0 {
                column.set_cell_alignment(CellAlignment::Right);
            }
            let width = self.longest_word(place) + column.padding_width();
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
        }
        let text = table.to_string();
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// Characters of the longest word of a column that cells are not broken within.
    fn longest_word(&self, column: usize) -> u16 {
        /// Longer words are broken.
        const WORD_MAX: usize = 12;
        let cells = std::iter::once(&self.head).chain(&self.rows).filter_map(|row| row.get(column));
        let words = cells.flat_map(|cell| cell.split_whitespace()).map(|word| word.chars().count());
        words.filter(|length| *length <= WORD_MAX).max().unwrap_or(0) as u16
    }

    /// The table for a page.
    pub fn to_html(&self) -> Markup {
        html! {
            div.scroll {
                table {
                    thead { tr { @for name in &self.head { th scope="col" { (name) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (column, cell) in row.iter().enumerate() {
                                    @if column == 0 { th scope="row" { (cell) } } @else { td { (unbroken(cell)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A figure that stays on one line with its deviation, and quartiles with each other.
fn unbroken(cell: &str) -> String {
    cell.replace(" ± ", "\u{a0}±\u{a0}").replace(" to ", "\u{a0}to\u{a0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["case", "ms", "W", "s"]);
        table.rows.push(["<one>", "1.5", "", "2"].map(str::to_owned).to_vec());
        table.rows.push(["two", "", "", "3"].map(str::to_owned).to_vec());
        table.without_empty_columns()
    }

    #[test]
    fn columns_without_any_figure_are_left_out() {
        assert_eq!(table().head, ["case", "ms", "s"]);
        assert_eq!(table().rows[1], ["two", "", "3"]);
    }

    #[test]
    fn figures_are_right_aligned() {
        let text = table().to_text(false);
        let one = text.lines().find(|line| line.contains("<one>")).unwrap();
        let two = text.lines().find(|line| line.contains("two")).unwrap();
        assert_eq!((one.find('2'), one.ends_with('2')), (two.find('3'), true), "{text}");
    }

    #[test]
    fn figures_of_a_page_break_before_their_quartiles_only() {
        assert_eq!(unbroken("117.5 (116.4 to 119)"), "117.5 (116.4\u{a0}to\u{a0}119)");
        assert_eq!(unbroken("97.3 ± 9"), "97.3\u{a0}±\u{a0}9");
    }

    #[test]
    fn wide_tables_are_wrapped() {
        let head: Vec<String> = (0..9).map(|column| format!("column {column} of many")).collect();
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        let mut table = Table::new(&head);
        table.rows.push(vec!["117.5 (116.4 to 119)".to_owned(); 9]);
        let text = table.to_text(true);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn words_are_not_broken() {
        let head =
            ["case", "step, ms", "IQR/median", "p99/median", "picture, s", "text, ms", "steps, s", "decoder, ms"];
        let mut table = Table::new(&head);
        let row =
            ["two characters, XML", "13.4 (5.95 to 18.4)", "92.3 %", "1.731", "0.267 (0.253 to 0.281)", "1", "2", "3"];
        table.rows.push(row.map(str::to_owned).to_vec());
        let text = table.to_text(true);
        for word in head.iter().chain(&row).flat_map(|cell| cell.split_whitespace()) {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn cells_are_escaped() {
        let html = table().to_html().into_string();
        assert!(html.contains("<th scope=\"row\">&lt;one&gt;</th>") && html.contains("<td>1.5</td>"), "{html}");
    }
}
