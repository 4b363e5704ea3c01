//! A program's software bill of materials, in CycloneDX 1.5 as JSON.
//!
//! Source: <https://cyclonedx.org/docs/1.5/json/>. The bill has no time and no serial number: the same program has the same
//! bill.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::graph::{Graph, Package};
use crate::licences;

/// The bill of a program: the program, every crate in it, and who depends on whom.
///
/// # Errors
///
/// The licence of a crate is not an SPDX expression.
pub(crate) fn render(graph: &Graph) -> anyhow::Result<Vec<u8>> {
    let root = reference(graph.root());
    let packages = graph.packages();
    let libraries = packages.iter().filter(|package| reference(package) != root);
    let components = libraries.map(|package| component(package, "library")).collect::<anyhow::Result<Vec<Value>>>()?;
    let dependencies = packages.iter().map(|package| {
        let depends_on = package.dependencies.iter().map(|&index| reference(&packages[index]));
        json!({ "ref": reference(package), "dependsOn": depends_on.collect::<Vec<_>>() })
    });
    let bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(graph.root(), "application")? },
        "components": components,
        "dependencies": dependencies.collect::<Vec<_>>(),
    });
    let mut text = serde_json::to_vec_pretty(&bill).context("the bill of materials cannot be written")?;
    text.push(b'\n');
    Ok(text)
}

/// The name of a package within the bill.
fn reference(package: &Package) -> String {
    format!("{}@{}", package.name, package.version)
}

fn component(package: &Package, kind: &str) -> anyhow::Result<Value> {
    let mut component = json!({
        "type": kind,
        "bom-ref": reference(package),
        "name": package.name,
        "version": package.version,
    });
    component["licenses"] = match licences::expression(package)? {
        Some(expression) => json!([{ "expression": expression.to_string() }]),
        None => json!([{ "license": { "name": "the licence file of the crate" } }]),
    };
    if let Some(checksum) = &package.checksum {
        // `+` separates build metadata of a version, and in an address would be a space.
        component["purl"] = format!("pkg:cargo/{}@{}", package.name, package.version.replace('+', "%2B")).into();
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(address) = &package.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": address }]);
    }
    Ok(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_names_the_program_its_crates_and_their_dependencies() {
        let package = |name: &str, licence: &str, checksum: Option<&str>, dependencies: &[usize]| Package {
            name: name.to_owned(),
            version: "1.0.0+x".to_owned(),
            licence: Some(licence.to_owned()),
            repository: checksum.map(|_| "https://example.org/b".to_owned()),
            folder: "b".into(),
            checksum: checksum.map(str::to_owned),
            dependencies: dependencies.to_vec(),
        };
        let packages = vec![package("a", "Apache-2.0", None, &[1]), package("b", "MIT/Apache-2.0", Some("ab"), &[])];
        let bill = render(&Graph::of(packages, 0)).unwrap();
        let bill: Value = serde_json::from_slice(&bill).unwrap();
        assert_eq!(bill["metadata"]["component"]["name"], "a");
        let library = json!([{
            "type": "library",
            "bom-ref": "b@1.0.0+x",
            "name": "b",
            "version": "1.0.0+x",
            "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            "purl": "pkg:cargo/b@1.0.0%2Bx",
            "hashes": [{ "alg": "SHA-256", "content": "ab" }],
            "externalReferences": [{ "type": "vcs", "url": "https://example.org/b" }],
        }]);
        assert_eq!(bill["components"], library);
        let dependencies =
            json!([{ "ref": "a@1.0.0+x", "dependsOn": ["b@1.0.0+x"] }, { "ref": "b@1.0.0+x", "dependsOn": [] }]);
        assert_eq!(bill["dependencies"], dependencies);
    }
}
