//! [`Expansion`]: the template from which a client made the prompts of a request.

/// The template from which a client made the prompts of a request. It is copied into the metadata of the pictures and not used
/// otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expansion {
    /// The prompt with its alternatives.
    pub template: String,
    /// The negative prompt with its alternatives.
    pub negative_template: String,
    /// The seed of the choices.
    pub seed: u64,
    /// Which of the prompts of that seed this is.
    pub variation: u32,
    /// What was chosen.
    pub choices: Vec<String>,
}

impl Expansion {
    /// An upper bound of its bytes in a message.
    pub(crate) fn bytes(&self) -> usize {
        let choices: usize = self.choices.iter().map(|choice| choice.len() + 6).sum();
        self.template.len() + self.negative_template.len() + choices
    }
}
