//! `over-long`: more than the encoders are asked to read.

use crate::findings::{Finding, Findings};
use crate::limits::Limits;
use crate::rule::rule;

rule! {
    /// The model's own tools cut a prompt after 512 tokens. How many a prompt has only a tokenizer can say, and the
    /// server does; this rule estimates, and speaks up only when the prompt is far beyond.
    "over-long", Warning;
    bad: "<caption>A girl with long silver hair stands in the rain under a broken umbrella and laughs at the sky.</caption>";
    good: "<caption>A girl laughs.</caption>";
    limits: Limits { encoder_tokens: 16, ..Limits::DEFAULT };
    messages: [
        Warning "about … tokens or more; the model's own tools read … and cut the rest",
    ];
}

/// Whether a text is long enough for a closer look.
pub(crate) fn is_possible(text: &str, limits: &Limits) -> bool {
    text.len() / 4 > limits.encoder_tokens
}

/// Estimates the tokens of the text that the encoders read, generously: 4 bytes of ASCII make a token, any other
/// character makes one half. (The README's prompt has 3.5 bytes a token.)
pub(crate) fn check(model_text: &str, limits: &Limits, findings: &mut Findings) {
    let ascii = model_text.bytes().filter(u8::is_ascii).count();
    let beyond = model_text.chars().count() - ascii;
    let tokens = ascii / 4 + beyond / 2;
    if tokens > limits.encoder_tokens {
        let most = limits.encoder_tokens;
        let message = format!("about {tokens} tokens or more; the model's own tools read {most} and cut the rest");
        findings.push(Finding::new(&RULE, 0..0, message).help("shorten it, beginning with what matters least"));
    }
}
