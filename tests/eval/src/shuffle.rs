//! XML whose elements have their children in another order.

use quick_xml::Reader;
use quick_xml::events::Event;
use sakuga_figures::rng::Rng;

/// Puts the children of each outermost element of a sequence of elements in a random order; what stands between them
/// stays where it is. Text that is not well-formed is returned as it came.
#[must_use]
pub fn shuffle_children(xml: &str, rng: &mut Rng) -> String {
    let Some(blocks) = children(xml) else { return xml.to_owned() };
    let mut shuffled = String::with_capacity(xml.len());
    let mut written = 0;
    for block in blocks {
        let mut order: Vec<usize> = (0..block.len()).collect();
        rng.shuffle(&mut order);
        for (slot, &from) in block.iter().zip(&order) {
            shuffled.push_str(&xml[written..slot.0]);
            shuffled.push_str(&xml[block[from].0..block[from].1]);
            written = slot.1;
        }
    }
    shuffled.push_str(&xml[written..]);
    shuffled
}

/// For each outermost element, where its child elements begin and end.
fn children(xml: &str) -> Option<Vec<Vec<(usize, usize)>>> {
    let mut reader = Reader::from_str(xml);
    let mut blocks: Vec<Vec<(usize, usize)>> = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    loop {
        let before = usize::try_from(reader.buffer_position()).ok()?;
        match reader.read_event().ok()? {
            Event::Start(_) => {
                match depth {
                    0 => blocks.push(Vec::new()),
                    1 => start = before,
                    _ => {}
                }
                depth += 1;
            }
            Event::End(_) => {
                depth = depth.checked_sub(1)?;
                if depth == 1 {
                    blocks.last_mut()?.push((start, usize::try_from(reader.buffer_position()).ok()?));
                }
            }
            Event::Empty(_) if depth == 1 => {
                blocks.last_mut()?.push((before, usize::try_from(reader.buffer_position()).ok()?));
            }
            Event::Eof => return (depth == 0).then_some(blocks),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_stay_whole_and_within_their_element() {
        let xml = "<a>\n<b>1</b>\n<c>&lt;<x>2</x></c>\n<d/>\n</a>\n<e><f>3</f></e>\n";
        let mut orders: Vec<String> = (0..64).map(|seed| shuffle_children(xml, &mut Rng::new(seed))).collect();
        orders.sort();
        orders.dedup();
        assert_eq!(orders.len(), 6, "every order of three: {orders:#?}");
        assert!(orders.contains(&xml.to_owned()));
        assert!(orders.contains(&"<a>\n<d/>\n<c>&lt;<x>2</x></c>\n<b>1</b>\n</a>\n<e><f>3</f></e>\n".to_owned()));
    }

    #[test]
    fn what_is_no_xml_comes_back() {
        for text in ["a, b >_<", "<a><b></a>", "<a>", ""] {
            assert_eq!(shuffle_children(text, &mut Rng::new(1)), text);
        }
    }
}
