//! Findings in a prompt, printed with the lines of the text that they refer to.

use std::fmt;
use std::ops::Range;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode, ThemeCharacters, ThemeStyles};
use sakuga_client::proto::prompt::v1 as wire;
use sakuga_client::proto::text::one_line;
use sakuga_schema::{Diagnostic, Edit, Fix, Severity};

use super::excerpt::Excerpt;
use super::terminal::{Stream, Terminal};
use super::units;

/// The most findings that are shown with their text.
const MAX_SHOWN: usize = 40;

/// The most edits of a fix that are marked in addition to the finding's own place.
const MAX_EDIT_LABELS: usize = 4;

/// One finding, of the checker in this program or of a server.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    code: String,
    severity: Severity,
    message: String,
    span: Range<usize>,
    path: String,
    fix: Option<Fix>,
}

impl From<&Diagnostic> for Finding {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            code: diagnostic.code.to_owned(),
            severity: diagnostic.severity,
            message: diagnostic.message.clone(),
            span: diagnostic.span.clone(),
            path: diagnostic.path.clone(),
            fix: diagnostic.fix.clone(),
        }
    }
}

impl From<&wire::Diagnostic> for Finding {
    fn from(diagnostic: &wire::Diagnostic) -> Self {
        Self {
            code: diagnostic.code.clone(),
            severity: diagnostic.severity().into(),
            message: diagnostic.message.clone(),
            span: diagnostic.span_start as usize..diagnostic.span_end as usize,
            path: diagnostic.path.clone(),
            fix: diagnostic.fix.as_ref().map(Into::into),
        }
    }
}

impl Finding {
    /// How much it matters.
    pub(crate) fn severity(&self) -> Severity {
        self.severity
    }

    /// Whether a server made it in the negative prompt, whose paths begin with `negative`.
    pub(crate) fn is_of_negative(&self) -> bool {
        self.path == "negative" || self.path.starts_with("negative/")
    }

    /// Whether a server made it in the scene, whose paths begin with `scene.`, and the finding as one of that text.
    pub(crate) fn split_scene(mut self) -> (bool, Self) {
        let path = self.path.strip_prefix("scene.").map(str::to_owned);
        let is_of_scene = path.is_some();
        self.path = path.unwrap_or(self.path);
        (is_of_scene, self)
    }

    /// Its rule and message, which are the same for the same fault in another text.
    pub(crate) fn kind(&self) -> (String, String) {
        (self.code.clone(), self.message.clone())
    }

    /// Whether it is the same rule at the same place.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.code == other.code && self.span == other.span
    }
}

/// The findings with the lines they refer to, formatted for `stream`.
pub(crate) fn findings(name: &str, bytes: &[u8], findings: &[Finding], terminal: &Terminal, stream: Stream) -> String {
    let excerpt = Excerpt::new(name, bytes);
    let handler = handler(terminal, stream);
    let mut rendered = String::new();
    for finding in findings.iter().take(MAX_SHOWN) {
        let report = Report::new(finding, &excerpt);
        if handler.render_report(&mut rendered, &report).is_err() {
            rendered.push_str(&format!("{}[{}]: {}", finding.severity, finding.code, one_line(&finding.message)));
        }
        if !rendered.ends_with('\n') {
            rendered.push('\n');
        }
        rendered.push('\n');
    }
    if let Some(left_out) = findings.len().checked_sub(MAX_SHOWN).filter(|left_out| *left_out > 0) {
        rendered.push_str(&format!(
            "... and {} more; `sakuga validate --json` lists them all\n\n",
            units::count(left_out, "finding")
        ));
    }
    rendered
}

/// `2 errors, 1 warning, 3 pieces of advice`, `no findings`.
pub(crate) fn tally(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let parts: Vec<String> =
        [(Severity::Error, "error", ""), (Severity::Warning, "warning", ""), (Severity::Advice, "piece", " of advice")]
            .into_iter()
            .map(|(severity, name, of)| (count(severity), name, of))
            .filter(|(count, _, _)| *count > 0)
            .map(|(count, name, of)| format!("{}{of}", units::count(count, name)))
            .collect();
    if parts.is_empty() { "no findings".to_owned() } else { parts.join(", ") }
}

fn handler(terminal: &Terminal, stream: Stream) -> GraphicalReportHandler {
    let characters = if terminal.is_unicode { ThemeCharacters::unicode() } else { ThemeCharacters::ascii() };
    let styles = if terminal.is_coloured(stream) { ThemeStyles::ansi() } else { ThemeStyles::none() };
    GraphicalReportHandler::new_themed(GraphicalTheme { characters, styles })
        .with_links(false)
        .with_width(terminal.width)
        .with_context_lines(1)
        .tab_width(4)
}

/// A finding as miette prints it.
#[derive(Debug)]
struct Report<'a> {
    finding: &'a Finding,
    excerpt: &'a Excerpt,
    message: String,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
}

impl<'a> Report<'a> {
    fn new(finding: &'a Finding, excerpt: &'a Excerpt) -> Self {
        let span = excerpt.clamp(&finding.span);
        let place = (!finding.path.is_empty()).then(|| one_line(&finding.path));
        let mut labels = vec![LabeledSpan::new_primary_with_span(place, span.clone())];
        if let Some(fix) = &finding.fix {
            let elsewhere = fix.edits.iter().filter(|edit| !touches(&edit.span, &finding.span));
            // On a clipped line the other places are not visible.
            if fix.edits.len() <= MAX_EDIT_LABELS && !excerpt.is_long(&span) {
                labels.extend(
                    elsewhere
                        .map(|edit| (excerpt.clamp(&edit.span), edit))
                        .filter(|(span, _)| !excerpt.is_long(span))
                        .map(|(span, edit)| LabeledSpan::new_with_span(Some(describe(edit)), span)),
                );
            }
        }
        Self {
            finding,
            excerpt,
            message: one_line(&finding.message),
            labels,
            help: finding.fix.as_ref().map(|fix| one_line(&fix.description)).filter(|help| !help.is_empty()),
        }
    }
}

fn touches(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start <= other.end && other.start <= one.end
}

fn describe(edit: &Edit) -> String {
    let replacement = one_line(edit.replacement.trim());
    let is_short = replacement.chars().count() <= 40;
    match (edit.span.is_empty(), replacement.is_empty()) {
        (_, true) => "remove this".to_owned(),
        (true, false) if is_short => format!("insert `{replacement}`"),
        (true, false) => "insert here".to_owned(),
        (false, false) if is_short => format!("write `{replacement}`"),
        (false, false) => "replace this".to_owned(),
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(format!("{}[{}]", self.finding.severity, one_line(&self.finding.code))))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Advice => miette::Severity::Advice,
        })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.excerpt)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ColorChoice;

    fn terminal() -> Terminal {
        let mut terminal = Terminal::new(ColorChoice::Never);
        terminal.is_unicode = false;
        terminal.width = 80;
        terminal
    }

    fn finding(span: Range<usize>, edits: Vec<Edit>) -> Finding {
        Finding {
            code: "count-mismatch".to_owned(),
            severity: Severity::Warning,
            message: "the count says 3girls".to_owned(),
            span,
            path: "general_tags/count".to_owned(),
            fix: Some(Fix { description: "write `2girls`".to_owned(), edits }),
        }
    }

    #[test]
    fn a_finding_is_shown_at_its_place() {
        let text = "<general_tags>\n<count>3girls</count>\n</general_tags>\n";
        let rendered = findings("a.xml", text.as_bytes(), &[finding(22..28, vec![])], &terminal(), Stream::Stdout);
        for part in [
            "warning[count-mismatch]",
            "the count says 3girls",
            "a.xml:2:8",
            "<count>3girls</count>",
            "general_tags/count",
            "help: write `2girls`",
        ] {
            assert!(rendered.contains(part), "{part} is missing in\n{rendered}");
        }
    }

    #[test]
    fn the_places_of_a_fix_are_marked() {
        let text = "<count>3girls</count>\n<other>x</other>\n";
        let edits = vec![Edit { span: 29..30, replacement: "y".to_owned() }];
        let rendered = findings("a.xml", text.as_bytes(), &[finding(7..13, edits)], &terminal(), Stream::Stdout);
        assert!(rendered.contains("write `y`"), "{rendered}");
    }

    #[test]
    fn any_span_and_text_can_be_shown() {
        let texts: [&[u8]; 5] = [b"", b"\xff\xfe", "猫\u{1b}[2J".as_bytes(), &[b'a'; 5000], &[b'\n'; 300]];
        for text in texts {
            for span in [0..0, 0..1, 0..5000, 4999..5001, Range { start: usize::MAX, end: 0 }, 1..usize::MAX] {
                let edits = vec![Edit { span: 0..0, replacement: "x".to_owned() }];
                let rendered = findings("a", text, &[finding(span, edits)], &terminal(), Stream::Stdout);
                assert!(rendered.contains("the count says"), "{rendered}");
                assert!(!rendered.contains('\u{1b}'), "{rendered}");
                assert!(rendered.len() < 3000, "{}", rendered.len());
            }
        }
    }

    #[test]
    fn only_so_many_findings_are_shown() {
        let many = vec![finding(0..1, vec![]); 60];
        let rendered = findings("a", b"abc", &many, &terminal(), Stream::Stdout);
        assert!(rendered.contains("and 20 findings more"), "{rendered}");
    }
}
