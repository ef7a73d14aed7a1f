//! The OpenAPI document of the routes. The schema of an answer is that of its example.

use crate::api::{Parameter, Route, Shape};
use serde_json::{Map, Value, json};

/// The document.
pub(super) fn write(routes: &[Route]) -> Value {
    let paths: Map<String, Value> = routes
        .iter()
        .map(|route| (route.path.to_owned(), json!({ "get": operation(route) })))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lineage",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the systems of this server tell over HTTP.",
        },
        "paths": paths,
        "components": { "schemas": { "Problem": problem() } },
    })
}

fn operation(route: &Route) -> Value {
    let refusal = |when: &str| {
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        json!({ "description": when, "content": { "application/problem+json": { "schema": schema } } })
    };
    let parameters: Vec<Value> =
        route.parameters.iter().map(|parameter| described(route, parameter)).collect();
    json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": route.summary,
                "content": { "application/json": {
                    "schema": schema(&route.example),
                    "example": route.example,
                } },
            },
            "400": refusal("A parameter is not as it has to be; the detail names it."),
            "404": refusal("There is no such thing."),
            "503": refusal("It cannot be told at this time; Retry-After says when to ask again."),
        },
    })
}

fn described(route: &Route, parameter: &Parameter) -> Value {
    let is_in_path = route.path.contains(&format!("{{{}}}", parameter.name));
    let schema = match parameter.shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Words(words) => json!({ "type": "string", "enum": words }),
        Shape::Integer(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
    };
    json!({
        "name": parameter.name,
        "in": if is_in_path { "path" } else { "query" },
        "required": parameter.is_required || is_in_path,
        "description": parameter.meaning,
        "schema": schema,
    })
}

/// The schema of what looks like `example`; a key of an object may be left out in an answer.
fn schema(example: &Value) -> Value {
    match example {
        Value::Null => json!({}),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Number(number) if number.is_f64() => json!({ "type": "number" }),
        Value::Number(_) => json!({ "type": "integer" }),
        Value::String(_) => json!({ "type": "string" }),
        Value::Array(items) => match items.first() {
            Some(first) => json!({ "type": "array", "items": schema(first) }),
            None => json!({ "type": "array" }),
        },
        Value::Object(fields) => {
            let properties: Map<String, Value> =
                fields.iter().map(|(name, value)| (name.clone(), schema(value))).collect();
            json!({ "type": "object", "properties": properties })
        }
    }
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
        },
    })
}
