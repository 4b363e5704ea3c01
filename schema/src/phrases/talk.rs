//! The talk of a language model around the prompt that it was asked for.

use super::{label, starts_with};

/// How such talk begins, in lower case.
const BEGINNINGS: &[&str] = &[
    "here is",
    "here's",
    "here’s",
    "here are",
    "here you go",
    "sure",
    "certainly",
    "of course",
    "absolutely",
    "okay",
    "ok,",
    "ok!",
    "great",
    "below is",
    "below are",
    "the following",
    "this prompt",
    "this is the",
    "this xml",
    "i've",
    "i have",
    "i’ve",
    "i hope",
    "hope ",
    "let me know",
    "feel free",
    "note:",
    "notes:",
    "explanation",
    "enjoy",
    "if you",
    "would you",
    "you can",
    "as requested",
    "based on",
    "final prompt",
    "final answer",
    "output",
    "answer",
    "response",
    "translation",
    "good luck",
    "happy ",
    "please let",
    "do you",
    "want me",
    "alternatively",
    "thank",
    "no problem",
    "好的",
    "好，",
    "当然",
    "可以",
    "以下",
    "这是",
    "这里",
    "这个",
    "下面",
    "根据",
    "如果",
    "如需",
    "希望",
    "请",
    "注意",
    "说明",
    "翻译",
    "解释",
    "没问题",
    "您",
    "已为",
    "为您",
    "为你",
    "祝",
    "最终",
    "當然",
    "這是",
    "這裡",
    "根據",
    "請",
    "說明",
    "翻譯",
    "解釋",
    "沒問題",
    "為您",
    "はい",
    "もちろん",
    "以下",
    "こちら",
    "この",
    "これ",
    "ご",
    "承知",
    "了解",
    "かしこまりました",
    "注意",
    "翻訳",
    "説明",
    "ぜひ",
    "必要",
    "お役",
    "何か",
    "네",
    "예,",
    "물론",
    "다음",
    "아래",
    "여기",
    "이 프롬프트",
    "원하",
    "필요",
    "알겠",
    "번역",
    "설명",
    "참고",
    "도움",
    "voici",
    "bien sûr",
    "d'accord",
    "voilà",
    "n'hésitez",
    "n’hésitez",
    "si vous",
    "j'espère",
    "j’espère",
    "note :",
    "explication",
    "hier ist",
    "hier sind",
    "natürlich",
    "gerne",
    "klar",
    "selbstverständlich",
    "lass mich",
    "lassen sie",
    "falls",
    "wenn sie",
    "wenn du",
    "ich hoffe",
    "viel spaß",
    "hinweis",
    "erklärung",
    "aquí",
    "claro",
    "por supuesto",
    "espero",
    "si quieres",
    "si necesitas",
    "si deseas",
    "nota:",
    "avísame",
    "explicación",
    "aqui está",
    "aqui",
    "com certeza",
    "se quiser",
    "se precisar",
    "ecco",
    "certo",
    "certamente",
    "spero",
    "se vuoi",
    "fammi sapere",
    "вот",
    "конечно",
    "хорошо",
    "надеюсь",
    "если",
    "ниже",
    "примечание",
    "перевод",
    "пояснение",
    "berikut",
    "tentu",
    "semoga",
    "đây là",
    "chắc chắn",
    "işte",
    "tabii",
    "elbette",
    "oto",
    "oczywiście",
    "jasne",
    "بالطبع",
    "إليك",
    "هنا",
    "hier is",
    "natuurlijk",
];

/// Words about the work itself, which no picture is described with.
const ABOUT_THE_WORK: &[&str] = &[
    "prompt",
    "xml",
    "tags",
    "request",
    "asked",
    "adjust",
    "change",
    "modify",
    "tweak",
    "generate",
    "know",
    "help",
    "helps",
    "feel free",
    "you want",
    "you like",
    "your",
    "enjoy",
    "version",
    "format",
    "copy",
    "提示",
    "标签",
    "標籤",
    "修改",
    "调整",
    "調整",
    "需要",
    "帮",
    "幫",
    "告诉",
    "告訴",
    "要求",
    "生成",
    "格式",
    "翻译",
    "翻譯",
    "プロンプト",
    "変更",
    "調整",
    "修正",
    "必要",
    "お知らせ",
    "ください",
    "タグ",
    "翻訳",
    "프롬프트",
    "수정",
    "변경",
    "필요",
    "말씀",
    "요청",
    "태그",
    "modif",
    "demand",
    "ajust",
    "anpass",
    "änder",
    "wunsch",
    "cambi",
    "pedido",
    "alterar",
    "modific",
    "промпт",
    "измен",
    "запрос",
    "нужно",
    "ubah",
    "sửa",
    "değiş",
    "zmian",
    "تعديل",
    "wijzig",
];

/// Words that stand in sentences and not in tags.
const SENTENCE_WORDS: &[&str] = &[
    "i", "you", "your", "me", "my", "this", "that", "is", "are", "was", "will", "would", "can", "could", "please",
    "hope", "thanks", "here", "it", "she", "he", "they", "let",
];

/// Whether a text is talk about the prompt rather than a part of it.
///
/// A text that ends with a colon announces what follows it. Any other has to begin like an answer, to speak of the work
/// and to be a sentence.
pub(crate) fn is_talk(text: &str) -> bool {
    let text = text.trim().trim_start_matches(['*', '#', '_', '-', '>', '(', '（', '"', '\'', ' ']);
    if is_title(text) {
        return true;
    }
    BEGINNINGS.iter().any(|words| starts_with(text, words)) && is_about_the_work(text)
}

/// Whether a text announces what follows: `Here is the prompt:`, `**Positive prompt**`.
pub(crate) fn is_title(text: &str) -> bool {
    let line = text.trim();
    let is_labelled =
        label::heading(line).is_some_and(|(label, end)| label == label::Label::Prompt && end == line.len());
    let line = line.trim_end_matches(['*', '_', ' ']);
    let has_colon = line.ends_with([':', '：']);
    is_labelled || (has_colon && line.lines().count() <= 3 && announces_the_prompt(line))
}

/// Whether a line that ends with a colon is about the prompt. `Here is a girl in a garden:` is a part of it.
fn announces_the_prompt(line: &str) -> bool {
    /// Words that can only address the reader.
    const PROMPTS: &[&str] =
        &["prompt", "xml", "提示", "标签", "標籤", "プロンプト", "タグ", "프롬프트", "태그", "промпт", "промт"];
    const FEW_WORDS: usize = 3;
    const FEW_LETTERS: usize = 8;
    let has_beginning = BEGINNINGS.iter().any(|words| starts_with(line, words));
    let lower = line.to_lowercase();
    let is_short = match line.is_ascii() {
        true => line.split_whitespace().count() <= FEW_WORDS,
        false => line.chars().count() <= FEW_LETTERS || line.split_whitespace().count() == FEW_WORDS,
    };
    (has_beginning && (is_short || is_about_the_prompt(line)))
        || PROMPTS.iter().any(|word| lower.contains(word))
        || (is_short && is_about_the_work(line))
}

/// Whether a text that ends with a colon announces the prompt, as language models do: `Sure, here is your prompt:`.
pub(crate) fn is_announcement(text: &str) -> bool {
    BEGINNINGS.iter().any(|words| starts_with(text.trim(), words)) && is_about_the_prompt(text)
}

/// Whether a paragraph only agrees: `Sure!`, `Of course.`
pub(crate) fn is_greeting(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "sure",
        "certainly",
        "of course",
        "absolutely",
        "okay",
        "great",
        "got it",
        "no problem",
        "好的",
        "当然",
        "當然",
        "没问题",
        "沒問題",
        "可以",
        "もちろん",
        "はい",
        "承知",
        "了解",
        "かしこまりました",
        "네",
        "물론",
        "알겠",
        "bien sûr",
        "d'accord",
        "natürlich",
        "gerne",
        "klar",
        "claro",
        "por supuesto",
        "certo",
        "конечно",
        "хорошо",
    ];
    const LONGEST: usize = 30;
    let text = text.trim();
    text.chars().count() <= LONGEST
        && text.ends_with(['!', '！', '.', '。', '~', '～'])
        && !text.contains(',')
        && WORDS.iter().any(|words| starts_with(text, words))
}

/// Whether a line announces one more prompt: `Option 2:`, `方案二：`.
pub(crate) fn announces_another(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "option",
        "version",
        "variant",
        "variation",
        "variante",
        "alternative",
        "choice",
        "candidate",
        "prompt",
        "opción",
        "вариант",
        "方案",
        "版本",
        "选项",
        "選項",
        "案",
        "バージョン",
        "パターン",
        "버전",
        "프롬프트",
    ];
    const LONGEST: usize = 80;
    let marks = ['*', '#', '_', '-', '>', '(', '[', '【', ' '];
    let line = text.trim().trim_start_matches(marks);
    if line.len() > LONGEST || line.contains('\n') {
        return false;
    }
    let lower = line.to_lowercase();
    WORDS.iter().filter_map(|word| lower.strip_prefix(word)).any(|behind| {
        let behind = behind.trim_start_matches([' ', '#', '_', '-', '：', ':']);
        let number = ["2", "3", "4", "5", "b", "c", "ii", "iii", "two", "three", "二", "三", "２", "３"];
        number.iter().filter_map(|number| behind.strip_prefix(number)).any(|rest| {
            let rest = rest.trim_start_matches(['*', ']', '】', ')', ' ']);
            matches!(rest, "" | ".")
                || rest.starts_with(". ")
                || rest.starts_with([':', '：', '(', '（', '-', '–', '—'])
        })
    })
}

/// Whether a text speaks of the work in words that a picture is seldom described with: `help` and `change` are not among
/// them.
fn is_about_the_prompt(text: &str) -> bool {
    const EVERYDAY: &[&str] = &["change", "help", "helps", "know", "enjoy", "copy"];
    let lower = text.to_lowercase();
    ABOUT_THE_WORK.iter().any(|word| !EVERYDAY.contains(word) && lower.contains(word))
}

fn is_about_the_work(text: &str) -> bool {
    let lower = text.to_lowercase();
    ABOUT_THE_WORK.iter().any(|word| lower.contains(word))
}

/// Whether a text reads like a sentence rather than like tags.
pub(crate) fn is_sentence(text: &str) -> bool {
    const MOST_WORDS: usize = 4;
    const MOST_LETTERS: usize = 12;
    let text = text.trim();
    let is_marks = !text.contains(char::is_alphabetic);
    let ends = text.ends_with(['.', '!', '?', '。', '！', '？', '…', ':', '：']);
    let has_stop = (ends && !is_marks) || text.contains(". ") || text.contains(['。', '！', '？']);
    if has_stop {
        return true;
    }
    text.split([',', '，', '、', ';', '；', '\n']).any(|piece| {
        let piece = piece.trim();
        let mut words = 0;
        let mut has_sentence_word = false;
        for word in piece.split_whitespace() {
            words += 1;
            let lower = word.to_ascii_lowercase();
            let lower = lower.split(['\'', '’']).next().unwrap_or_default();
            has_sentence_word |= SENTENCE_WORDS.contains(&lower);
        }
        // A language without spaces.
        let letters =
            piece.chars().filter(|character| u32::from(*character) >= 0x0E00 && character.is_alphabetic()).count();
        words > MOST_WORDS || (words > 1 && has_sentence_word) || letters > MOST_LETTERS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talk_is_recognised_in_several_languages() {
        for text in [
            "Here is the prompt you asked for:",
            "Sure! Here's your XML prompt:",
            "Let me know if you want any changes!",
            "Feel free to adjust the tags.",
            "**Prompt:**",
            "好的，这是你要的提示词：",
            "如果需要修改，请告诉我。",
            "以下がプロンプトです：",
            "Voici le prompt demandé :",
            "Hier ist der Prompt:",
            "Вот ваш промпт:",
            "다음은 요청하신 프롬프트입니다:",
        ] {
            assert!(is_talk(text), "{text}");
        }
        for text in ["She walks home.", "1girl, solo", "A girl here is laughing.", "sure_shot, night", "rain"] {
            assert!(!is_talk(text), "{text}");
        }
    }

    #[test]
    fn another_prompt_is_announced() {
        for text in ["Option 2:", "**Version 2:**", "Variant B (night):", "方案二：", "バージョン2：", "Prompt 2"]
        {
            assert!(announces_another(text), "{text}");
        }
        for text in ["Option 1:", "version 2.0 of the city", "2girls", "prompt:", "prompt because"] {
            assert!(!announces_another(text), "{text}");
        }
    }

    #[test]
    fn sentences_are_not_tags() {
        for text in [
            "She walks home.",
            "Hope this helps",
            "a girl with a red umbrella in the rain",
            "雨の中を歩いている女の子がいる",
            "Enjoy!",
        ] {
            assert!(is_sentence(text), "{text}");
        }
        for text in ["rain, night", "long hair", "watercolor_(medium)", "looking at viewer", "猫耳, 蓝色头发", "..."]
        {
            assert!(!is_sentence(text), "{text}");
        }
    }
}
