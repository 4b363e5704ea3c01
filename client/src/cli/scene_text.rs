//! Recognises the file of a scene (`sakuga generate scene.toml`) where the text of one prompt is expected.

use std::path::Path;

use super::exit::Exit;
use super::failure::Failure;
use super::output;

/// The TOML tables that the file of a scene has.
const TABLES: [&str; 2] = ["first", "scene"];
/// The largest text that is parsed to recognise a scene, in bytes; larger files are refused as scenes.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// Whether a file is a scene by its name.
pub(crate) fn is_named(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// Whether a text is TOML with the tables of a scene.
fn is_scene(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let has_tables = TABLES.iter().all(|table| text.contains(table)) && text.len() as u64 <= MAX_BYTES;
    has_tables
        && toml::from_str::<toml::Table>(text)
            .is_ok_and(|file| TABLES.iter().all(|table| file.get(*table).is_some_and(toml::Value::is_table)))
}

/// Fails if what was read as one prompt is a scene. `path` is `None` for stdin.
///
/// # Errors
///
/// [`Exit::Invalid`]: the text has the tables of a scene, or its file the extension of one.
pub(crate) fn refuse(path: Option<&Path>, text: &[u8]) -> Result<(), Failure> {
    let is_named = path.is_some_and(is_named);
    if !is_named && !is_scene(text) {
        return Ok(());
    }
    let name = path.map_or_else(|| "stdin".to_owned(), output::shown);
    let file = if is_named { name.clone() } else { "FILE.toml".to_owned() };
    Err(Failure::new(Exit::Invalid, format_args!("{name}: this is a scene, not one prompt")).with_help(format!(
        "`sakuga validate {file}` checks the prompts of a scene, and `sakuga generate {file}` draws it"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_recognised_by_its_tables_or_its_name() {
        let scene = b"# two models\n[first]\nprompt = \"1girl\"\n[scene]\nprompt = \"forest\"\n";
        for (path, text, is_refused) in [
            (None, &scene[..], true),
            (Some("scene.txt"), scene, true),
            (Some("scene.TOML"), b"1girl", true),
            (Some("a.txt"), b"[first], [scene]", false),
            (Some("a.txt"), b"the first scene", false),
            (Some("a.txt"), b"first = 1\nscene = 2\n", false),
            (Some("a.txt"), b"[first]\n[scene]\n\xff", false),
        ] {
            let refused = refuse(path.map(Path::new), text);
            assert_eq!(refused.is_err(), is_refused, "{path:?} {text:?}");
            if let Err(failure) = refused {
                assert_eq!(failure.exit(), Exit::Invalid);
                assert!(failure.help().is_some_and(|help| help.contains("sakuga generate")), "{failure:?}");
            }
        }
    }
}
