//! The frame of every page: one HTML file without external resources.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::Chart;

/// The style sheet, for light and dark displays.
const STYLE: &str = include_str!("page.css");

/// A whole HTML document with `content` as its body and its style sheet inside.
pub(crate) fn page(title: &str, content: &Markup) -> String {
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

/// A key figure: name, value with unit, and a remark.
pub(crate) fn tile(name: &str, value: &str, unit: &str, remark: &str) -> Markup {
    html! {
        @if !value.is_empty() {
            div.tile {
                span { (name) }
                b { (value) " " (unit) }
                span { (remark) }
            }
        }
    }
}

/// A chart with a caption. The chart is the output of plotters, which escapes its texts.
pub(crate) fn figure(chart: &Chart, caption: &str) -> Markup {
    html! {
        figure id=(chart.name) {
            (PreEscaped(chart.inline()))
            @if !caption.is_empty() { figcaption { (caption) } }
        }
    }
}

/// When a run began: `2026-11-26T13:02:28Z`.
pub(crate) fn time(unix_ms: u64) -> String {
    let since = std::time::Duration::from_millis(unix_ms);
    let time = std::time::SystemTime::UNIX_EPOCH.checked_add(since);
    // The formatter fails after the year 9999, and a record may hold any number.
    time.filter(|_| unix_ms < 253_402_300_800_000)
        .map(|time| humantime::format_rfc3339_seconds(time).to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_no_external_resources() {
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
