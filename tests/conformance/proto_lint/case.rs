//! The three ways in which names are written.

/// `two_words`
pub fn is_lower_snake(name: &str) -> bool {
    is_snake(name, |character| character.is_ascii_lowercase())
}

/// `TWO_WORDS`
pub fn is_upper_snake(name: &str) -> bool {
    is_snake(name, |character| character.is_ascii_uppercase())
}

/// `TwoWords`
pub fn is_pascal(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|character| character.is_ascii_alphanumeric())
}

/// `TwoWords` as `TWO_WORDS`. A run of capitals is one word: `GPUStats` is `GPU_STATS`.
pub fn to_upper_snake(pascal: &str) -> String {
    let characters: Vec<char> = pascal.chars().collect();
    let mut text = String::new();
    for (index, &character) in characters.iter().enumerate() {
        let after_word = index > 0 && !characters[index - 1].is_ascii_uppercase();
        let before_word = characters.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if index > 0 && character.is_ascii_uppercase() && (after_word || before_word) {
            text.push('_');
        }
        text.push(character.to_ascii_uppercase());
    }
    text
}

fn is_snake(name: &str, is_letter: impl Fn(char) -> bool) -> bool {
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| is_letter(c) || c.is_ascii_digit());
    name.starts_with(&is_letter) && name.split('_').all(word)
}

#[test]
fn names_are_told_apart() {
    assert!(is_lower_snake("two_words") && is_lower_snake("e621_tags") && is_lower_snake("sha256"));
    for wrong in ["", "twoWords", "two__words", "_two", "two_", "2two", "TWO"] {
        assert!(!is_lower_snake(wrong), "{wrong}");
    }
    assert!(is_upper_snake("GENDER_1GIRL") && !is_upper_snake("Gender"));
    assert!(is_pascal("GpuStats") && !is_pascal("gpuStats") && !is_pascal("Gpu_Stats") && !is_pascal(""));
    assert_eq!(to_upper_snake("StatsSource"), "STATS_SOURCE");
    assert_eq!(to_upper_snake("GPUStats"), "GPU_STATS");
    assert_eq!(to_upper_snake("Gender"), "GENDER");
}
