//! The frame of every page: one file of HTML that needs no other.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::Chart;

/// Colours and measures, for light and dark.
const STYLE: &str = include_str!("page.css");

/// A page with this content.
pub fn page(title: &str, content: &Markup) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (content) }
        }
    };
    markup.into_string()
}

/// A figure that is seen first: what it is, its value with its unit, and what belongs to it.
pub fn tile(name: &str, value: &str, unit: &str, beside: &str) -> Markup {
    html! {
        @if !value.is_empty() {
            div.tile {
                span { (name) }
                b { (value) " " (unit) }
                span { (beside) }
            }
        }
    }
}

/// A chart with what is said below it. Its own text is what plotters wrote, with everything escaped.
pub fn figure(chart: &Chart, caption: &str) -> Markup {
    html! {
        figure id=(chart.name) {
            (PreEscaped(chart.inline()))
            @if !caption.is_empty() { figcaption { (caption) } }
        }
    }
}

/// When a run began: `2026-11-26T13:02:28Z`.
pub fn time(unix_ms: u64) -> String {
    let since = std::time::Duration::from_millis(unix_ms);
    let time = std::time::SystemTime::UNIX_EPOCH.checked_add(since);
    // Beyond the year 9999 the formatter has an error, and a record can say anything.
    time.filter(|_| unix_ms < 253_402_300_800_000)
        .map(|time| humantime::format_rfc3339_seconds(time).to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_loads_nothing() {
        let page = page("a <title>", &html! { p { "b & c" } });
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<title>a &lt;title&gt;</title>"), "{page}");
        for outside in ["http:", "https:", "<script", "<link", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn any_number_is_a_time_or_none() {
        assert_eq!(time(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(time(u64::MAX), "");
    }

    #[test]
    fn a_figure_without_a_value_has_no_tile() {
        assert_eq!(tile("a", "", "ms", "").into_string(), "");
        assert!(tile("a", "1", "ms", "of 2").into_string().contains("<b>1 ms</b>"));
    }
}
