//! Objects as JSON or YAML.

use serde::Serialize;
use serde_json::Value;

use crate::args::ObjectFormat;
use crate::failure::Failure;

/// The object as text, ended by a newline.
///
/// # Errors
/// It cannot be written in this format, which no Kubernetes object is.
pub fn render(object: &impl Serialize, format: ObjectFormat) -> Result<String, Failure> {
    let value = serde_json::to_value(object).map_err(|e| Failure::new("encode the object").caused_by(&e))?;
    match format {
        ObjectFormat::Json => json(&value),
        ObjectFormat::Yaml => Ok(dwell_spec::manifest::yaml_of(&value)),
    }
}

fn json(value: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::new("encode the object").caused_by(&e))?;
    Ok(text + "\n")
}
