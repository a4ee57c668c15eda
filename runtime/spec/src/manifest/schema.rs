//! The shape of a `v1.Pod`, learnt from the Kubernetes types themselves.
//!
//! k8s-openapi tells its field names and types to any `Deserializer` that listens, so this one invents a value with
//! every field set, once, and writes down what it was asked for. The shape can therefore not be out of date, and the
//! strict walk can say "unknown field" and "expected a string" before those types (which skip and stop) see anything.

use std::sync::OnceLock;

use crate::settings::SettingsKind;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::{self, Deserialize, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};

/// What may stand in a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// A mapping with these keys.
    Struct(Vec<(&'static str, Type)>),
    /// A list.
    List(Box<Type>),
    /// A mapping with any keys.
    Map(Box<Type>),
    /// Text.
    Text,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A truth value.
    Bool,
    /// A quantity: text or a number.
    Quantity,
    /// A whole number or text.
    IntOrText,
    /// A moment, as text.
    Time,
    /// Anything at all.
    Any,
}

impl Type {
    /// The type of a field of a mapping.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Type> {
        match self {
            Self::Struct(fields) => fields.iter().find(|(field, _)| *field == name).map(|(_, of)| of),
            _ => None,
        }
    }

    /// For people: `a string`, `a list`, …
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Struct(_) | Self::Map(_) => "a mapping",
            Self::List(_) => "a list",
            Self::Text => "a string",
            Self::Int32 | Self::Int64 => "an integer",
            Self::Bool => "true or false",
            Self::Quantity => "a quantity",
            Self::IntOrText => "an integer or a string",
            Self::Time => "a time",
            Self::Any => "anything",
        }
    }
}

/// The shape of a Pod.
pub fn pod() -> &'static Type {
    static POD: OnceLock<Type> = OnceLock::new();
    POD.get_or_init(object::<v1::PodSpec, v1::PodStatus>)
}

/// The shape of a ConfigMap or a Secret.
pub fn settings(kind: SettingsKind) -> &'static Type {
    static SHAPES: OnceLock<[Type; 2]> = OnceLock::new();
    let shapes = SHAPES.get_or_init(|| {
        let text = || Type::Map(Box::new(Type::Text));
        let with = |own: Vec<(&'static str, Type)>| {
            let usual = [
                ("apiVersion", Type::Text),
                ("kind", Type::Text),
                ("metadata", trace::<ObjectMeta>()),
                ("immutable", Type::Bool),
                ("data", text()),
            ];
            Type::Struct(usual.into_iter().chain(own).collect())
        };
        [with(vec![("binaryData", text())]), with(vec![("stringData", text()), ("type", Type::Text)])]
    });
    &shapes[usize::from(kind == SettingsKind::Secret)]
}

/// The shape of a PersistentVolumeClaim.
pub fn claim() -> &'static Type {
    static CLAIM: OnceLock<Type> = OnceLock::new();
    CLAIM.get_or_init(object::<v1::PersistentVolumeClaimSpec, v1::PersistentVolumeClaimStatus>)
}

/// An object with a specification and a status.
fn object<'de, Spec: Deserialize<'de>, Status: Deserialize<'de>>() -> Type {
    Type::Struct(vec![
        ("apiVersion", Type::Text),
        ("kind", Type::Text),
        ("metadata", trace::<ObjectMeta>()),
        ("spec", trace::<Spec>()),
        ("status", trace::<Status>()),
    ])
}

fn trace<'de, T: Deserialize<'de>>() -> Type {
    let mut found = Type::Any;
    // A type that refuses the invented value is still known down to the place of refusal; a test looks for the whole.
    let _ = T::deserialize(Tracer(&mut found));
    found
}

type Refusal = de::value::Error;

/// Answers whatever is asked for, and notes what it was.
struct Tracer<'a>(&'a mut Type);

macro_rules! notes {
    ($($method:ident => $type:ident, $visit:ident($value:expr);)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            *self.0 = Type::$type;
            visitor.$visit($value)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Tracer<'_> {
    type Error = Refusal;

    notes! {
        deserialize_any => IntOrText, visit_i64(1);
        deserialize_bool => Bool, visit_bool(true);
        deserialize_i8 => Int32, visit_i32(1);
        deserialize_i16 => Int32, visit_i32(1);
        deserialize_i32 => Int32, visit_i32(1);
        deserialize_i64 => Int64, visit_i64(1);
        deserialize_u8 => Int32, visit_i32(1);
        deserialize_u16 => Int32, visit_i32(1);
        deserialize_u32 => Int64, visit_i64(1);
        deserialize_u64 => Int64, visit_i64(1);
        deserialize_f32 => Any, visit_f64(1.0);
        deserialize_f64 => Any, visit_f64(1.0);
        deserialize_char => Text, visit_str(MOMENT);
        deserialize_str => Text, visit_str(MOMENT);
        deserialize_string => Text, visit_str(MOMENT);
        deserialize_bytes => Text, visit_str(MOMENT);
        deserialize_byte_buf => Text, visit_str(MOMENT);
        deserialize_identifier => Text, visit_str(MOMENT);
        deserialize_ignored_any => Any, visit_str(MOMENT);
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        let found = visitor.visit_newtype_struct(Tracer(&mut *self.0));
        match name {
            "Quantity" => *self.0 = Type::Quantity,
            "Time" | "MicroTime" => *self.0 = Type::Time,
            "FieldsV1" => *self.0 = Type::Any,
            _ => {}
        }
        found
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let mut item = Type::Any;
        let found = visitor.visit_seq(One(Some(&mut item)));
        *self.0 = Type::List(Box::new(item));
        found
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let mut fields = vec![("key", Type::Any)];
        let found = visitor.visit_map(Fields { fields: &mut fields, next: 0 });
        *self.0 = Type::Map(Box::new(fields.remove(0).1));
        found
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let mut fields: Vec<_> = names.iter().map(|name| (*name, Type::Any)).collect();
        let found = visitor.visit_map(Fields { fields: &mut fields, next: 0 });
        *self.0 = Type::Struct(fields);
        found
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Refusal> {
        Err(de::Error::custom("the Kubernetes types have no enums"))
    }
}

/// Text that passes for a moment too.
const MOMENT: &str = "1970-01-01T00:00:00Z";

/// One item of a list.
struct One<'a>(Option<&'a mut Type>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Refusal;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refusal> {
        self.0.take().map(|item| seed.deserialize(Tracer(item))).transpose()
    }
}

/// Every field of a struct, or one entry of a map.
struct Fields<'a> {
    fields: &'a mut Vec<(&'static str, Type)>,
    next: usize,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Refusal;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refusal> {
        let Some((name, _)) = self.fields.get(self.next) else {
            return Ok(None);
        };
        let key: de::value::StrDeserializer<'_, Refusal> = (*name).into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        self.next += 1;
        seed.deserialize(Tracer(&mut self.fields[self.next - 1].1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(path: &str) -> &'a Type {
        path.split('.').fold(pod(), |of, step| match of.field(step).unwrap_or_else(|| panic!("{path}: {step}")) {
            Type::List(item) => item,
            other => other,
        })
    }

    #[test]
    fn the_whole_shape_is_learnt() {
        assert!(trace::<ObjectMeta>() != Type::Any);
        assert!(matches!(at("spec.containers"), Type::Struct(fields) if fields.len() > 20));
        assert_eq!(at("spec.containers.command"), &Type::Text);
        assert_eq!(at("spec.containers.ports.hostPort"), &Type::Int32);
        assert_eq!(at("spec.terminationGracePeriodSeconds"), &Type::Int64);
        assert_eq!(at("spec.containers.resources.limits"), &Type::Map(Box::new(Type::Quantity)));
        assert_eq!(at("spec.containers.livenessProbe.httpGet.port"), &Type::IntOrText);
        assert_eq!(at("spec.volumes.emptyDir.sizeLimit"), &Type::Quantity);
        assert_eq!(at("metadata.creationTimestamp"), &Type::Time);
        assert_eq!(at("metadata.managedFields.fieldsV1"), &Type::Any);
        assert_eq!(at("status.containerStatuses.state.terminated.exitCode"), &Type::Int32);
        assert_eq!(at("spec.volumes.ephemeral.volumeClaimTemplate.spec.accessModes"), &Type::Text);
        assert_eq!(at("spec.hostUsers"), &Type::Bool);
    }

    #[test]
    fn nothing_but_the_free_form_field_is_unknown() {
        fn unknown(path: &str, of: &Type, into: &mut Vec<String>) {
            match of {
                Type::Struct(fields) => {
                    fields.iter().for_each(|(name, of)| unknown(&format!("{path}.{name}"), of, into))
                }
                Type::List(of) | Type::Map(of) => unknown(path, of, into),
                Type::Any => into.push(path.to_owned()),
                _ => {}
            }
        }
        let mut found = Vec::new();
        unknown("", pod(), &mut found);
        let claim = ".spec.volumes.ephemeral.volumeClaimTemplate";
        let expected = ["", claim].map(|owner| format!("{owner}.metadata.managedFields.fieldsV1"));
        assert_eq!(found, expected);
    }
}
