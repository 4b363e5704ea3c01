//! The size of a picture on the command line.

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub width_px: u32,
    pub height_px: u32,
}

impl Size {
    /// Parses `1024x1536`. Both edges are multiples of 16.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("write width and height in pixels, such as `1024x1536`, not `{text}`");
        let (width, height) = text.split_once(['x', 'X', '×']).ok_or_else(wrong)?;
        let edge = |edge: &str| edge.trim().parse::<u32>().map_err(|_| wrong());
        let size = Self { width_px: edge(width)?, height_px: edge(height)? };
        for edge in [size.width_px, size.height_px] {
            if edge == 0 || edge % 16 != 0 {
                let (below, above) = (edge / 16 * 16, (edge / 16).saturating_add(1).saturating_mul(16));
                let near = if below == 0 { above.to_string() } else { format!("{below} or {above}") };
                return Err(format!("{edge} is not a multiple of 16; use {near}"));
            }
        }
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_width_and_height() {
        assert_eq!(Size::parse("1024x1536"), Ok(Size { width_px: 1024, height_px: 1536 }));
        assert_eq!(Size::parse("16 × 32"), Ok(Size { width_px: 16, height_px: 32 }));
        for (text, part) in [
            ("1024", "such as `1024x1536`"),
            ("ax16", "such as `1024x1536`"),
            ("1000x1024", "use 992 or 1008"),
            ("0x16", "use 16"),
            ("4294967295x16", "not a multiple of 16"),
        ] {
            let message = Size::parse(text).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
