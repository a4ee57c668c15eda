//! What a plain YAML scalar means to Kubernetes.
//!
//! kubectl reads YAML with sigs.k8s.io/yaml, whose resolver (goyaml.v2 `resolve.go`) is YAML 1.1 with exceptions:
//! `yes`, `no`, `on`, `off`, `y`, `n` are booleans; `0644` is octal; `1_000` is a thousand; base 60 does not exist;
//! a date stays text. A manifest must mean the same here as there.

use serde_json::Number;

use super::node::Value;

/// A plain scalar's value; `None` for a number that JSON cannot hold (`.inf`, `.nan`).
#[must_use]
pub fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Some(Value::Bool(false))
        }
        ".nan" | ".NaN" | ".NAN" => None,
        _ if is_infinity(text) => None,
        _ if !starts_like_a_number(text) => Some(Value::Text(text.to_owned())),
        _ => number(text),
    }
}

fn is_infinity(text: &str) -> bool {
    matches!(text.strip_prefix(['+', '-']).unwrap_or(text), ".inf" | ".Inf" | ".INF")
}

fn starts_like_a_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
}

fn number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    if let Some(number) = integer(&plain) {
        return Some(Value::Number(number));
    }
    if !is_float(&plain) {
        return Some(Value::Text(text.to_owned()));
    }
    let float = plain.parse::<f64>().ok()?;
    Number::from_f64(float).map(Value::Number)
}

/// Go's `strconv.ParseInt(text, 0, 64)`, then `ParseUint`.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let (radix, digits) = radix(digits);
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -magnitude } else { magnitude };
    i64::try_from(value).map(Number::from).or_else(|_| u64::try_from(value).map(Number::from)).ok()
}

fn radix(digits: &str) -> (u32, &str) {
    let prefixes = [("0x", 16), ("0X", 16), ("0b", 2), ("0B", 2), ("0o", 8), ("0O", 8)];
    for (prefix, radix) in prefixes {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return (radix, rest);
        }
    }
    match digits.strip_prefix('0') {
        Some(rest) if !rest.is_empty() => (8, rest),
        _ => (10, digits),
    }
}

/// goyaml's `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa_ok && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        match resolve(text) {
            Some(Value::Null) => "null".into(),
            Some(Value::Bool(b)) => b.to_string(),
            Some(Value::Number(n)) => n.to_string(),
            Some(Value::Text(t)) => format!("{t:?}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn as_goyaml_resolves_them() {
        let rows = [
            ("yes", "true"),
            ("Off", "false"),
            ("y", "true"),
            ("yEs", "\"yEs\""),
            ("0644", "420"),
            ("0o644", "420"),
            ("0x1F", "31"),
            ("0b101", "5"),
            ("-0x10", "-16"),
            ("1_000", "1000"),
            ("08", "8.0"),
            ("+7", "7"),
            ("1e3", "1000.0"),
            (".5", "0.5"),
            ("1.", "1.0"),
            ("12:30", "\"12:30\""),
            ("2001-01-01", "\"2001-01-01\""),
            ("1.2.3", "\"1.2.3\""),
            ("100m", "\"100m\""),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "1.8446744073709552e+19"),
            ("~", "null"),
            ("", "null"),
            ("-", "\"-\""),
            ("0x", "\"0x\""),
            ("Nu11", "\"Nu11\""),
            (".inf", "None"),
            ("-.Inf", "None"),
            (".nan", "None"),
        ];
        for (text, expected) in rows {
            assert_eq!(json(text), expected, "{text}");
        }
    }
}
