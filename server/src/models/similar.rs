//! Suggestions for unknown names.

/// The least similarity of a name that is suggested, from 0 to 1.
const SIMILARITY_MIN: f64 = 0.75;
/// The most names that are suggested.
const NAMES_MAX: usize = 3;

/// The known names that are like `name`, the most similar first, whatever their case.
pub(crate) fn nearest<'a, T: AsRef<str>>(name: &str, known: &'a [T]) -> Vec<&'a T> {
    let wanted = name.to_lowercase();
    let similarity = |known: &T| strsim::jaro_winkler(&known.as_ref().to_lowercase(), &wanted);
    let mut scored: Vec<(f64, &T)> = known.iter().map(|known| (similarity(known), known)).collect();
    scored.retain(|(similarity, _)| *similarity >= SIMILARITY_MIN);
    scored.sort_by(|one, other| other.0.total_cmp(&one.0));
    scored.into_iter().take(NAMES_MAX).map(|(_, known)| known).collect()
}

/// Advice for an unknown name: the most similar known name, otherwise all known names.
pub(crate) fn suggestion<T: AsRef<str>>(name: &str, known: &[T]) -> String {
    match nearest(name, known).first() {
        Some(known) => format!("did you mean `{}`?", known.as_ref()),
        None => format!("there are {}", known.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_names_come_first() {
        let known = ["ink-wash", "watercolour", "Ink-Wash-2", "photo"];
        assert_eq!(nearest("ink-wsh", &known), [&"ink-wash", &"Ink-Wash-2"]);
        assert!(nearest("zzz", &known).is_empty());
    }
}
