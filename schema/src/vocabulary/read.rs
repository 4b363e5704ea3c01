//! Tag lists as tag completion tools write them.

use std::io;

use super::VocabularyError;

/// One tag of a list.
#[derive(Debug)]
pub(super) struct TagEntry {
    pub(super) name: String,
    pub(super) category: String,
    pub(super) aliases: Vec<String>,
    /// Whether it may be suggested to users.
    pub(super) is_suggestible: bool,
}

/// Words that make a tag one for adults. Such tags are known, so that nothing is said about them, and never suggested.
const ADULT: &[&str] = &[
    "nude",
    "naked",
    "nsfw",
    "nipple",
    "nipples",
    "areola",
    "areolae",
    "breasts",
    "breast",
    "pussy",
    "penis",
    "vaginal",
    "anal",
    "anus",
    "sex",
    "cum",
    "ejaculation",
    "fellatio",
    "cunnilingus",
    "masturbation",
    "erection",
    "testicles",
    "bdsm",
    "bondage",
    "rape",
    "hentai",
    "porn",
    "pubic",
    "topless",
    "bottomless",
    "groping",
    "orgasm",
    "panties",
    "underwear",
    "lingerie",
    "cameltoe",
    "upskirt",
    "condom",
    "dildo",
    "vibrator",
    "loli",
    "shota",
    "guro",
    "urination",
    "incest",
    "sexually",
    "explicit",
    "ahegao",
    "crotch",
    "ass",
    "cleavage",
    "undressing",
    "thong",
    "vore",
    "gangbang",
];

/// The tags of a list: name, category, count, aliases. Only the name has to be there.
pub(super) fn entries(reader: impl io::Read) -> Result<Vec<TagEntry>, VocabularyError> {
    let mut csv = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(reader);
    let mut entries = Vec::new();
    let mut record = csv::StringRecord::new();
    while csv.read_record(&mut record)? {
        let Some(name) = record.get(0).map(|name| name.trim_start_matches('\u{FEFF}').trim()) else { continue };
        let is_heading = entries.is_empty() && ["name", "tag"].contains(&name.to_ascii_lowercase().as_str());
        if name.is_empty() || is_heading {
            continue;
        }
        // Our own list has no counts; then the aliases stand in the third column.
        let aliases = match (record.get(2), record.get(3)) {
            (_, Some(aliases)) => aliases,
            (Some(third), None) if third.parse::<u64>().is_err() => third,
            _ => "",
        };
        entries.push(TagEntry {
            name: name.to_owned(),
            category: record.get(1).unwrap_or_default().trim().to_owned(),
            aliases: aliases.split(',').map(str::trim).filter(|alias| !alias.is_empty()).map(str::to_owned).collect(),
            is_suggestible: !name.split(['_', ' ', '-', '(', ')']).any(|word| ADULT.contains(&word)),
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adult_tags_are_not_suggested() {
        let read = entries("sexually_suggestive,0,1,\nlong_hair,0,1,\nassassin,0,1,\n".as_bytes()).expect("it is CSV");
        let suggestible: Vec<bool> = read.iter().map(|entry| entry.is_suggestible).collect();
        assert_eq!(suggestible, [false, true, true]);
    }

    #[test]
    fn columns_may_be_missing() {
        let read = entries("a\nb,0\nc,0,7\nd,0,\"x,y\"\ne,0,7,\"z\"\n".as_bytes()).expect("it is CSV");
        let aliases: Vec<usize> = read.iter().map(|entry| entry.aliases.len()).collect();
        assert_eq!(aliases, [0, 0, 0, 2, 1]);
    }
}
