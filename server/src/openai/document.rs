//! `GET /v1/openapi.json`: the description of the API.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tonic::body::Body;

use crate::wire::http::json_answer;

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) fn answer() -> Response<Body> {
    json_answer(Body::new(Full::new(Bytes::from_static(DOCUMENT.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sakuga_model_core::limits;
    use serde_json::Value;

    use super::super::drawing::Endpoint;
    use super::super::partials::PARTIALS_MAX;
    use super::*;
    use crate::studio::api::Route;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).expect("JSON")
    }

    fn keys(value: &Value) -> BTreeSet<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    }

    #[test]
    fn it_describes_every_route() {
        let routes: BTreeSet<String> = Route::TEMPLATES.iter().map(|template| format!("/{template}")).collect();
        assert_eq!(keys(&document()["paths"]), routes);
        assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn it_describes_every_parameter() {
        let schemas = &document()["components"]["schemas"];
        let generation = keys(&schemas["GenerationRequest"]["properties"]);
        assert_eq!(generation, Endpoint::Generations.parameters().into_iter().map(str::to_owned).collect());
        let edit = keys(&schemas["EditForm"]["properties"]);
        let json = keys(&schemas["EditRequest"]["properties"]);
        let both: BTreeSet<String> = edit.union(&json).cloned().collect();
        assert_eq!(both, Endpoint::Edits.parameters().into_iter().map(str::to_owned).collect());
    }

    #[test]
    fn its_ranges_are_those_that_are_checked() {
        let schemas = &document()["components"]["schemas"];
        for name in ["GenerationRequest", "EditForm", "EditRequest"] {
            let property = |key: &str| &schemas[name]["properties"][key];
            assert_eq!(property("n")["minimum"], limits::IMAGES.min, "{name}");
            assert_eq!(property("n")["maximum"], limits::IMAGES.max, "{name}");
            assert_eq!(property("partial_images")["maximum"], PARTIALS_MAX, "{name}");
        }
    }

    #[test]
    fn its_references_lead_somewhere() {
        let document = document();
        let mut rest = DOCUMENT;
        let mut found = 0;
        while let Some((_, after)) = rest.split_once("\"$ref\": \"#") {
            let (pointer, after) = after.split_once('"').expect("a text");
            assert!(document.pointer(pointer).is_some(), "{pointer}");
            (rest, found) = (after, found + 1);
        }
        assert!(found > 10);
    }
}
