//! Examples for the help of each command.

use clap::Command;

/// The words of a command, and its examples.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "validate",
        &[
            "sakuga validate prompt.xml",
            "sakuga validate --negative lowres.txt",
            "echo '1girl, solo' | sakuga validate --json -",
        ],
    ),
    ("fmt", &["sakuga fmt prompt.xml", "sakuga fmt --fix --write prompt.xml", "sakuga fmt --check prompt.xml"]),
    (
        "generate",
        &[
            "sakuga generate prompt.xml --out girl.png --seed 7",
            "sakuga generate prompt.xml --out girl.png --size 832x1216 --steps 28 --images 4",
            "sakuga generate prompt.xml --out girl.png --negative lowres.txt --preview linear",
            "sakuga generate --from girl.png --out again.png",
        ],
    ),
    ("estimate", &["sakuga estimate prompt.xml --size 832x1216 --steps 28 --images 4"]),
    ("show", &["sakuga show girl.png", "sakuga show --json girl.png"]),
    ("import", &["sakuga import other.png"]),
    ("info", &["sakuga info", "sakuga info --server https://gpu-box:50051 --token-file token"]),
    ("jobs list", &["sakuga jobs list", "sakuga jobs list --limit 10"]),
    ("jobs get", &["sakuga jobs get 3f2b6a10"]),
    ("jobs watch", &["sakuga jobs watch 3f2b6a10"]),
    ("jobs label", &["sakuga jobs label 3f2b6a10 --add favourite"]),
    ("jobs cancel", &["sakuga jobs cancel 3f2b6a10"]),
    ("jobs fetch", &["sakuga jobs fetch 3f2b6a10 --out girl.png"]),
    ("jobs delete", &["sakuga jobs delete 3f2b6a10"]),
    ("models", &["sakuga models"]),
    ("models list", &["sakuga models list"]),
    ("models load", &["sakuga models load anime"]),
    ("models unload", &["sakuga models unload anime"]),
    ("devices", &["sakuga devices"]),
    ("devices list", &["sakuga devices list"]),
    ("devices drain", &["sakuga devices drain cuda:1"]),
    ("devices disable", &["sakuga devices disable cuda:1"]),
    ("devices enable", &["sakuga devices enable cuda:1"]),
    ("adapters", &["sakuga adapters"]),
    ("assets upload", &["sakuga assets upload sketch.png mask.png"]),
    ("assets list", &["sakuga assets list"]),
    ("assets get", &["sakuga assets get 93fb85d4 --out sketch.png"]),
    ("assets delete", &["sakuga assets delete 93fb85d4"]),
    ("top", &["sakuga top", "sakuga top --once"]),
    ("bench", &["sakuga bench --out run", "sakuga bench --out run --profile"]),
    ("bench article", &["sakuga bench article --newbie newbie --sd sdxl --out both"]),
    ("bench report", &["sakuga bench report run/run.json --out report.html"]),
    ("bench compare", &["sakuga bench compare before/run.json after/run.json"]),
    ("bench estimate", &["sakuga bench estimate --learn 20 --jobs 100"]),
    ("bench quality", &["sakuga bench quality"]),
    ("schema", &["sakuga schema > prompt.xsd"]),
    ("completions", &["sakuga completions bash > ~/.local/share/bash-completion/completions/sakuga"]),
];

/// The command with the examples in front of what its long help ends with.
pub(crate) fn added(mut command: Command) -> Command {
    for (words, examples) in EXAMPLES {
        command = with(command, words, examples);
    }
    command
}

fn with(command: Command, words: &str, examples: &[&str]) -> Command {
    let Some(word) = words.split(' ').next().filter(|word| !word.is_empty()) else {
        let ending = command.get_after_long_help().map(ToString::to_string);
        let ending = ending.map_or_else(String::new, |ending| format!("\n\n{ending}"));
        return command.after_long_help(format!("Examples:\n  {}{ending}", examples.join("\n  ")));
    };
    let rest = words[word.len()..].trim_start();
    command.mut_subcommand(word, |inner| with(inner, rest, examples))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::super::Arguments;
    use super::*;

    #[test]
    fn every_example_is_a_command_line_and_stands_in_its_help() {
        let mut root = added(Arguments::command());
        root.build();
        for (words, examples) in EXAMPLES {
            let mut command = &root;
            for word in words.split(' ') {
                command = command.find_subcommand(word).unwrap_or_else(|| panic!("{words}: there is no {word}"));
            }
            let help = command.clone().render_long_help().to_string();
            for example in *examples {
                assert!(help.contains(example), "{words}\n{help}");
                let line = example.rsplit(" | ").next().unwrap_or(example).split(" > ").next().unwrap_or(example);
                assert!(line.starts_with(&format!("sakuga {words}")), "{example}");
                Arguments::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{example}: {error}"));
            }
        }
    }

    #[test]
    fn every_command_that_does_something_has_examples() {
        let root = added(Arguments::command());
        let mut open: Vec<(String, &Command)> = vec![(String::new(), &root)];
        while let Some((words, command)) = open.pop() {
            let inner = |child| (format!("{words} {}", Command::get_name(child)), child);
            open.extend(command.get_subcommands().map(inner));
            let is_group = command.has_subcommands();
            let has_examples = EXAMPLES.iter().any(|(known, _)| *known == words.trim_start());
            assert!(is_group || has_examples, "`sakuga{words}` has no examples");
        }
    }
}
