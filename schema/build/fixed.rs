//! The `fixed` values of attributes: xsd-parser reads them, but its MetaTypes do not carry them.

use std::collections::BTreeMap;

use xsd_parser::models::schema::Schemas;
use xsd_parser::models::schema::xs::{
    AttributeType, ComplexBaseTypeContent, ComplexContentContent, ElementType, ElementTypeContent,
    ExtensionTypeContent, GroupType, GroupTypeContent, SchemaContent,
};

/// (element, attribute) -> fixed value.
pub(crate) type FixedValues = BTreeMap<(String, String), String>;

/// The fixed values of all attributes of elements whose type extends another one in place.
pub(crate) fn values(schemas: &Schemas) -> FixedValues {
    let mut values = FixedValues::new();
    for (_, schema) in schemas.schemas() {
        for content in &schema.schema.content {
            if let SchemaContent::Element(element) = content {
                visit_element(element, &mut values);
            }
        }
    }
    values
}

fn visit_element(element: &ElementType, values: &mut FixedValues) {
    for content in &element.content {
        let ElementTypeContent::ComplexType(complex) = content else {
            continue;
        };
        for content in &complex.content {
            match content {
                ComplexBaseTypeContent::All(group) => visit_group(group, values),
                ComplexBaseTypeContent::Attribute(attribute) => record(element, attribute, values),
                ComplexBaseTypeContent::ComplexContent(content) => {
                    for content in &content.content {
                        let ComplexContentContent::Extension(extension) = content else {
                            continue;
                        };
                        for content in &extension.content {
                            if let ExtensionTypeContent::Attribute(attribute) = content {
                                record(element, attribute, values);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

fn visit_group(group: &GroupType, values: &mut FixedValues) {
    for content in &group.content {
        if let GroupTypeContent::Element(element) = content {
            visit_element(element, values);
        }
    }
}

fn record(element: &ElementType, attribute: &AttributeType, values: &mut FixedValues) {
    if let (Some(element), Some(name), Some(fixed)) = (&element.name, &attribute.name, &attribute.fixed) {
        values.insert((element.clone(), name.clone()), fixed.clone());
    }
}
