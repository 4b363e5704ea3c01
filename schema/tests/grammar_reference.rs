//! `REFERENCE.md` is what the XSD and the rules give today.

mod support;

#[test]
fn the_reference_follows_the_xsd_and_the_rules() {
    support::assert_up_to_date("REFERENCE.md", &sakuga_schema::reference::markdown());
}
