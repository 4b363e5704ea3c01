//! Weight files of other formats than safetensors: their kind, and what to do with them.

use std::path::Path;

/// Kind and advice of a file that is not of the safetensors format, by its first bytes and the end of its name.
pub(crate) fn other_format(begin: &[u8], path: &Path) -> Option<(&'static str, &'static str)> {
    const CONVERT: &str = "files of this kind can run code when they are read, and none is read here. Convert it: `python -c \
                           \"import sys, torch; from safetensors.torch import save_file; state = torch.load(sys.argv[1], \
                           map_location='cpu', weights_only=True); state = state.get('state_dict', state); save_file({name: \
                           value.contiguous().clone() for name, value in state.items() if hasattr(value, 'shape')}, \
                           sys.argv[2])\" IN OUT.safetensors`";
    let has_end = |ends: &[&str]| {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_lowercase();
        ends.contains(&end.as_str())
    };
    // A zip archive, or the first opcode of a pickle.
    let is_pickle = begin.starts_with(b"PK\x03\x04") || begin.first() == Some(&0x80) && begin.get(8) != Some(&b'{');
    if begin.starts_with(b"GGUF") {
        return Some((
            "quantised weights in the GGUF format",
            "the server reads safetensors; get the original weights",
        ));
    }
    if begin.starts_with(b"version https://") {
        return Some((
            "a Git LFS pointer, which only names the file",
            "fetch the file itself with `git lfs pull`, or pull the model with `sakuga-server models pull`",
        ));
    }
    let begins_with = |start: &[u8]| begin.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start));
    if begins_with(b"<!doctype html") || begins_with(b"<html") {
        return Some(("an HTML page", "a page was saved in place of the file; download the file itself"));
    }
    (is_pickle || has_end(&["pt", "pth", "ckpt", "bin"])).then_some(("a file of PyTorch (pickle)", CONVERT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_named_with_what_to_do() {
        let kind = |begin: &[u8], path: &str| other_format(begin, Path::new(path)).map(|(kind, _)| kind);
        for (begin, path) in [
            (&b"PK\x03\x04"[..], "model.safetensors"),
            (b"\x80\x02}q\x00(X\x0a", "embedding"),
            (b"anything", "model.CKPT"),
            (b"anything", "style.pt"),
        ] {
            let (kind, advice) = other_format(begin, Path::new(path)).expect("a pickle");
            assert!(kind.contains("pickle") && advice.contains("weights_only=True"), "{path}: {kind}: {advice}");
        }
        for begin in [&b"<!DOCTYPE html>\n"[..], b"<!doctype HTML>", b"<html>"] {
            assert_eq!(kind(begin, "model.safetensors"), Some("an HTML page"));
        }
        assert!(kind(b"version https://", "model.safetensors").is_some_and(|kind| kind.contains("Git LFS")));
        assert!(kind(b"GGUF\x03\0\0\0", "x").is_some_and(|kind| kind.contains("GGUF")));
        assert_eq!(kind(b"\x80\x02\0\0\0\0\0\0{\"a\"", "model.safetensors"), None, "a header of 640 bytes");
    }
}
