//! The figures of both systems and all sources as tables.

use super::claims::Claims;
use super::figures::{ArticleFigures, Mean};
use super::record::{Comparison, System, system_of};
use crate::case::CASES;
use crate::chart::number;
use crate::record::Record;
use crate::table::Table;

/// One system from one source.
pub(super) struct Source {
    pub system: System,
    /// `ours`, `PyTorch compiled` or `claimed`.
    pub name: String,
    pub figures: ArticleFigures,
}

/// Every system from every source, as the columns of the table have them.
pub(super) fn sources(comparison: &Comparison, others: &[Record], claims: &Claims) -> Vec<Source> {
    let mut sources = Vec::new();
    for system in System::ALL {
        let mut add = |name: &str, figures| sources.push(Source { system, name: name.to_owned(), figures });
        add("ours", ArticleFigures::of_measured(comparison.of(system)));
        for other in others.iter().filter(|other| system_of(other) == system) {
            add(&other.system.engine, ArticleFigures::of_record(other));
        }
        add("claimed", ArticleFigures::of_claims(claims.of(system)));
    }
    sources
}

/// The article's sections 3 and 4: a row for each figure, a column for each system and source.
pub fn table(comparison: &Comparison, others: &[Record], claims: &Claims) -> Table {
    let sources = sources(comparison, others, claims);
    let mut table = of_sources(&sources);
    let mut add = |name: &str, value: &dyn Fn(&ArticleFigures) -> Option<String>| {
        let cells: Vec<String> = sources.iter().map(|source| value(&source.figures).unwrap_or_default()).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            table.rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
        }
    };
    add("loading, s", &|figures| figures.loading_s.map(number));
    add("memory when loaded, GB", &|figures| figures.loaded_gb.map(number));
    add("most memory, GB", &|figures| figures.memory_peak_gb.map(number));
    add("memory while drawing, GB", &|figures| figures.memory_gb.map(number));
    add("range of it, GB", &|figures| figures.memory_range_gb.map(number));
    add("busy, %", &|figures| figures.utilization.map(mean));
    for (third, name) in
        ["busy in the first third of the steps, %", "in the second, %", "in the last, %"].iter().enumerate()
    {
        add(name, &|figures| {
            let range = figures.third_ranges.map(|ranges| ranges[third].map(number));
            figures.thirds[third].map(mean).or(range.map(|[low, high]| format!("{low} to {high}")))
        });
    }
    add("picture, s", &|figures| figures.picture_s.map(number));
    add("shortest and longest, s", &|figures| {
        figures.picture_range_s.map(|[low, high]| format!("{} to {}", number(low), number(high)))
    });
    add("memory rate, GB/s", &|figures| figures.bandwidth_gb_s.map(number));
    add("memory bus busy, %", &|figures| figures.bus_percent.map(number));
    table
}

/// Prompts as XML and as text, for one character and for two.
pub fn texts_table(comparison: &Comparison, others: &[Record], claims: &Claims) -> Table {
    let sources = sources(comparison, others, claims);
    let mut table = of_sources(&sources);
    for (place, case) in CASES.iter().enumerate() {
        let mut add = |what: &str, value: &dyn Fn(&ArticleFigures) -> Option<f64>| {
            let cells: Vec<String> =
                sources.iter().map(|source| value(&source.figures).map(number).unwrap_or_default()).collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                table.rows.push(std::iter::once(format!("{}: {what}", case.title)).chain(cells).collect());
            }
        };
        add("new text, ms", &|figures| figures.forms[place].text_ms);
        add("picture, s", &|figures| figures.forms[place].picture_s);
        add("deviation of the busy share", &|figures| figures.forms[place].utilization_deviation);
    }
    table
}

/// The three figures of the article's summary, NewBie against SD-Anime, computed from each source. The last column has the
/// figures that the summary states: not all of them follow from the article's other figures.
pub(super) fn summary(sources: &[Source], claims: &Claims) -> Table {
    let mut names: Vec<&str> = Vec::new();
    for source in sources {
        if !names.contains(&source.name.as_str()) {
            names.push(&source.name);
        }
    }
    let mut table = Table::new(&[&[""], &names[..], &["stated in its summary"]].concat());
    let of = |name: &str, system: System| {
        sources.iter().find(|source| source.name == name && source.system == system).map(|source| &source.figures)
    };
    let mut add = |what: &str, stated: f64, value: &dyn Fn(&ArticleFigures, &ArticleFigures) -> Option<f64>| {
        let cell = |name: &&str| {
            let (newbie, sd) = (of(name, System::Newbie)?, of(name, System::Sd)?);
            value(newbie, sd).map(number)
        };
        let cells = names.iter().map(|name| cell(name).unwrap_or_default());
        table.rows.push(std::iter::once(what.to_owned()).chain(cells).chain([number(stated)]).collect());
    };
    let stated = claims.summary;
    let less = |a: Option<f64>, b: Option<f64>| b.filter(|b| *b > 0.0).and_then(|b| Some(100.0 * (1.0 - a? / b)));
    add("NewBie takes less time for a picture by, %", stated.picture_time_lower_percent, &|newbie, sd| {
        less(newbie.picture_s, sd.picture_s)
    });
    add("its most memory is lower by, %", stated.memory_lower_percent, &|newbie, sd| {
        less(newbie.memory_peak_gb, sd.memory_peak_gb)
    });
    add("its busy share deviates less by a factor of", stated.steadier_times, &|newbie, sd| {
        let (newbie, sd) = (newbie.utilization?.deviation, sd.utilization?.deviation);
        (newbie > 0.0).then(|| sd / newbie)
    });
    table
}

/// What the article's card can do.
pub(super) fn bounds(claims: &Claims) -> Table {
    let mut table = Table::new(&["", "claimed", "least on its card", ""]);
    for bound in claims.bounds() {
        table.rows.push(vec![bound.what.clone(), number(bound.claimed), number(bound.least), bound.verdict()]);
    }
    table
}

fn of_sources(sources: &[Source]) -> Table {
    let names: Vec<String> = sources.iter().map(|source| format!("{}, {}", source.system, source.name)).collect();
    let mut head = vec![""];
    head.extend(names.iter().map(String::as_str));
    Table::new(&head)
}

fn mean(mean: Mean) -> String {
    format!("{} ± {}", number(mean.value), number(mean.deviation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(system: System, name: &str, picture_s: f64, deviation: f64) -> Source {
        let utilization = Some(Mean { value: 90.0, deviation });
        let figures = ArticleFigures { picture_s: Some(picture_s), utilization, ..ArticleFigures::default() };
        Source { system, name: name.to_owned(), figures }
    }

    #[test]
    fn the_summary_compares_the_systems_of_each_source() {
        let sources = [
            source(System::Newbie, "ours", 3.0, 2.0),
            source(System::Sd, "ours", 1.0, 1.0),
            source(System::Newbie, "claimed", 3.42, 2.1),
            source(System::Sd, "claimed", 5.87, 8.9),
        ];
        let table = summary(&sources, &Claims::of_article());
        assert_eq!(table.head, ["", "ours", "claimed", "stated in its summary"]);
        assert_eq!(table.rows[0][1..], ["-200", "41.7", "41.7"]);
        assert_eq!(table.rows[1][1..], ["", "", "23.4"], "nothing is known of memory here");
        assert_eq!(table.rows[2][1..], ["0.5", "4.24", "3.8"]);
    }

    #[test]
    fn every_bound_has_a_verdict() {
        let table = bounds(&Claims::of_article());
        assert_eq!(table.rows.len(), 5);
        assert!(table.rows.iter().all(|row| row[3].contains("possible")));
    }
}
