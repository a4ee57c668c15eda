//! Kubernetes quantities (`100m`, `1.5Gi`, `2e3`), exactly.
//!
//! Source: apimachinery pkg/api/resource. A quantity is a decimal number with at most nanounit precision, finer digits
//! are rounded up (away from zero), so 128 bits of nanounits hold every quantity up to 2^63 units without rounding of ours.

use std::fmt;

/// The API server's own words.
pub const RULE: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// A parsed quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nanos: i128,
}

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantityError {
    /// It does not match the grammar.
    Malformed,
    /// It is beyond 2^63 - 1 units.
    TooLarge,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str(RULE),
            Self::TooLarge => write!(f, "must be at most {}", i64::MAX),
        }
    }
}

impl std::error::Error for QuantityError {}

const NANOS: i128 = 1_000_000_000;
/// Digits that can matter: more before the point is too large, more behind it only rounds.
const DIGITS: usize = 28;

impl Quantity {
    /// 0
    pub const ZERO: Self = Self { nanos: 0 };
    /// 1
    pub const ONE: Self = Self { nanos: NANOS };

    /// Parses a quantity.
    ///
    /// # Errors
    /// When it does not match Kubernetes' grammar, or is larger than a 64-bit integer.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = match text.strip_prefix(['+', '-']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let magnitude = scaled(Decimal::parse(number)?, Scale::parse(suffix)?)?;
        if magnitude > i128::from(i64::MAX) * NANOS {
            return Err(QuantityError::TooLarge);
        }
        Ok(Self { nanos: if negative { -magnitude } else { magnitude } })
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether it is a whole number of units.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.nanos % NANOS == 0
    }

    /// Whole units, rounded up; 0 for negative ones.
    #[must_use]
    pub fn units(self) -> u64 {
        self.ceil(NANOS)
    }

    /// Thousandths, rounded up; 0 for negative ones, at most `u64::MAX`.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.ceil(NANOS / 1000)
    }

    fn ceil(self, unit: i128) -> u64 {
        let up = self.nanos.max(0).saturating_add(unit - 1) / unit;
        u64::try_from(up).unwrap_or(u64::MAX)
    }
}

/// Bytes as Kubernetes writes them: `2Mi`.
#[must_use]
pub fn binary(bytes: u64) -> String {
    let units = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let whole = units.into_iter().find(|(_, bits)| bytes != 0 && bytes.trailing_zeros() >= *bits);
    whole.map_or_else(|| bytes.to_string(), |(unit, bits)| format!("{}{unit}", bytes >> bits))
}

/// Digits without their point, and how many stood behind it.
struct Decimal {
    digits: i128,
    fraction: u32,
    /// Digits were cut off that were not all 0.
    rest: bool,
}

impl Decimal {
    fn parse(text: &str) -> Result<Self, QuantityError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError::Malformed);
        }
        let whole = whole.trim_start_matches('0');
        if whole.len() > DIGITS {
            return Err(QuantityError::TooLarge);
        }
        let (kept, cut) = fraction.split_at(fraction.len().min(DIGITS - whole.len()));
        let digits = format!("0{whole}{kept}").parse().map_err(|_| QuantityError::Malformed)?;
        let fraction = u32::try_from(kept.len()).map_err(|_| QuantityError::Malformed)?;
        Ok(Self { digits, fraction, rest: cut.bytes().any(|b| b != b'0') })
    }
}

/// What a number is multiplied by: 2^binary, or 10^decimal.
enum Scale {
    Binary(u32),
    Decimal(i32),
}

impl Scale {
    fn parse(suffix: &str) -> Result<Self, QuantityError> {
        Ok(match suffix {
            "Ki" => Self::Binary(10),
            "Mi" => Self::Binary(20),
            "Gi" => Self::Binary(30),
            "Ti" => Self::Binary(40),
            "Pi" => Self::Binary(50),
            "Ei" => Self::Binary(60),
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "" => Self::Decimal(0),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            _ => Self::Decimal(exponent(suffix).ok_or(QuantityError::Malformed)?),
        })
    }
}

/// `e3`, `E-2`: a signed decimal exponent, cut to where it stops mattering.
fn exponent(suffix: &str) -> Option<i32> {
    let text = suffix.strip_prefix(['e', 'E'])?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.parse::<i32>().unwrap_or(i32::MAX).min(1000);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

/// In nanounits, rounded up.
fn scaled(number: Decimal, scale: Scale) -> Result<i128, QuantityError> {
    if number.digits == 0 && !number.rest {
        return Ok(0);
    }
    let (factor, power) = match scale {
        Scale::Binary(bits) => (1i128 << bits, 9),
        Scale::Decimal(power) => (1, power + 9),
    };
    let power = power - i32::try_from(number.fraction).map_err(|_| QuantityError::Malformed)?;
    let product = number.digits.checked_mul(factor).ok_or(QuantityError::TooLarge)?;
    let ten = 10i128.checked_pow(power.unsigned_abs());
    let (value, rounded) = match (power >= 0, ten) {
        (true, Some(ten)) => (product.checked_mul(ten).ok_or(QuantityError::TooLarge)?, false),
        (true, None) if product > 0 => return Err(QuantityError::TooLarge),
        (false, Some(ten)) => (product / ten, product % ten != 0),
        (_, None) => (0, true),
    };
    Ok(value + i128::from(rounded || number.rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(text: &str) -> Result<i128, QuantityError> {
        Quantity::parse(text).map(|q| q.nanos)
    }

    #[test]
    fn every_suffix() {
        let units = [
            ("1Ki", 1 << 10),
            ("1Mi", 1 << 20),
            ("1Gi", 1 << 30),
            ("1Ti", 1 << 40),
            ("1Pi", 1 << 50),
            ("1Ei", 1 << 60),
            ("1k", 1000),
            ("1M", 1_000_000),
            ("1G", 1_000_000_000),
            ("1T", 1_000_000_000_000),
            ("1P", 1_000_000_000_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("2e3", 2000),
            ("2E3", 2000),
            ("2e+3", 2000),
            ("2000e-3", 2),
            ("1.5Gi", 3 << 29),
            ("+7", 7),
            (".5k", 500),
            ("5.", 5),
            ("0", 0),
            ("007", 7),
            ("0e99999999999", 0),
            ("9223372036854775807", i128::from(i64::MAX)),
        ];
        for (text, expected) in units {
            assert_eq!(nanos(text), Ok(expected * NANOS), "{text}");
        }
        assert_eq!(nanos("1n"), Ok(1));
        assert_eq!(nanos("1u"), Ok(1000));
        assert_eq!(nanos("-250m"), Ok(-250_000_000));
    }

    #[test]
    fn rounding_goes_up() {
        assert_eq!(nanos("0.1n"), Ok(1));
        assert_eq!(nanos("1e-50"), Ok(1));
        assert_eq!(nanos(&format!("1.{}1", "0".repeat(60))), Ok(NANOS + 1));
        assert_eq!(Quantity::parse("100.1m").map(Quantity::millis), Ok(101));
        assert_eq!(Quantity::parse("1m").map(Quantity::units), Ok(1));
        assert_eq!(Quantity::parse("-1").map(Quantity::units), Ok(0));
        assert!(!Quantity::parse("1.5").unwrap().is_whole());
    }

    #[test]
    fn what_is_none() {
        for text in
            ["", ".", "+", "1.2.3", "1 Gi", "1gi", "1KI", "Ki", "1e", "1e+", "e3", "1e1.5", "--1", "1mm", "0x1", "١"]
        {
            assert_eq!(nanos(text), Err(QuantityError::Malformed), "{text}");
        }
        for text in ["9223372036854775808", "8Ei", "1e19", "9e999999999999999999", &"9".repeat(10_000)] {
            assert_eq!(nanos(text), Err(QuantityError::TooLarge), "{text}");
        }
    }

    /// Against plain arithmetic, for whole numbers with every suffix that keeps them in range.
    #[test]
    fn agrees_with_plain_arithmetic() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let suffixes = [("", 1i128), ("k", 1000), ("Ki", 1 << 10), ("M", 1_000_000), ("Mi", 1 << 20), ("Gi", 1 << 30)];
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (whole, thousandths) = ((seed >> 33) as i128, (seed >> 20) as i128 % 1000);
            let (suffix, factor) = suffixes[(seed >> 59) as usize % suffixes.len()];
            let expected = (whole * 1000 + thousandths) * factor * (NANOS / 1000);
            assert_eq!(
                nanos(&format!("{whole}.{thousandths:03}{suffix}")),
                Ok(expected),
                "{whole}.{thousandths}{suffix}"
            );
        }
    }
}
