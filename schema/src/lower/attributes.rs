//! Attributes: the grammar has two, which no person writes, and XML has its own.

use super::Lowering;
use crate::grammar::AttributeDecl;
use crate::rules::unknown_attribute;
use crate::tree::Element;

/// The namespace of `xsi:schemaLocation` and its like.
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

impl Lowering<'_, '_> {
    /// Checks the attributes of an element against those that the grammar allows it.
    pub(super) fn attributes(&mut self, element: &Element<'_>, allowed: &[AttributeDecl], path: &str) {
        if element.attributes.is_empty() {
            return;
        }
        // A prefix may be declared after its use.
        for attribute in &element.attributes {
            if let Some(prefix) = attribute.name.strip_prefix("xmlns:")
                && attribute.value.trim() == SCHEMA_INSTANCE
            {
                self.schema_prefixes.push(prefix.to_owned());
            }
        }
        for attribute in &element.attributes {
            let name = attribute.name.as_ref();
            let finding = match allowed.iter().find(|decl| decl.name == name).map(|decl| decl.fixed) {
                Some(None) => continue,
                Some(Some(fixed)) if is_same_number(&attribute.value, fixed) => continue,
                Some(Some(fixed)) => unknown_attribute::wrong_value(element, name, &attribute.value, fixed),
                None if self.is_xml_business(name, &attribute.value) => continue,
                None => unknown_attribute::unknown(element, name, &attribute.value),
            };
            self.findings.push(finding.at(path));
        }
    }

    /// Whether an attribute belongs to XML and XML Schema rather than to the prompt, and changes nothing.
    fn is_xml_business(&self, name: &str, value: &str) -> bool {
        match name.split_once(':') {
            None => name == "xmlns" && value.is_empty(),
            Some(("xmlns", prefix)) => is_declaration(prefix, value),
            Some((prefix, local)) => {
                self.schema_prefixes.iter().any(|known| known == prefix)
                    && ["schemaLocation", "noNamespaceSchemaLocation"].contains(&local)
            }
        }
    }
}

/// Whether a prefix may be declared like that (Namespaces in XML 1.0, section 3).
fn is_declaration(prefix: &str, namespace: &str) -> bool {
    const XML: &str = "http://www.w3.org/XML/1998/namespace";
    const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
    let is_name = !prefix.is_empty() && !prefix.contains(':') && prefix != "xmlns";
    is_name && !namespace.is_empty() && namespace != XMLNS && (prefix == "xml") == (namespace == XML)
}

/// Whether a text is the lexical form of an `xs:positiveInteger` of that value.
fn is_same_number(text: &str, fixed: &str) -> bool {
    let digits = text.trim_matches([' ', '\t', '\n', '\r']);
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && digits.trim_start_matches('0') == fixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_xml_is_its_own() {
        assert!(is_declaration("a", "urn:a"));
        assert!(is_declaration("xml", "http://www.w3.org/XML/1998/namespace"));
        for (prefix, namespace) in [("a", ""), ("", "urn:a"), ("xml", "urn:a"), ("xmlns", "urn:a"), ("a:b", "urn:a")] {
            assert!(!is_declaration(prefix, namespace), "{prefix}={namespace}");
        }
    }

    #[test]
    fn numbers_are_compared_by_value() {
        for text in ["2", " 2\n", "+2", "002"] {
            assert!(is_same_number(text, "2"), "{text:?}");
        }
        for text in ["", "+", "3", "-2", "2.0", "２"] {
            assert!(!is_same_number(text, "2"), "{text:?}");
        }
    }
}
