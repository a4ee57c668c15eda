//! An `InitPlan` as bytes: its version (u32, little endian), then postcard.
//!
//! The version stands outside the encoding so that another one is refused by name instead of being misread.

use std::fmt;

use super::init::{INIT_PLAN_VERSION, InitPlan};

/// Why bytes are no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than a version has.
    TooShort,
    /// Written by another version of dwell.
    Version(u32),
    /// The right version, but not an encoding.
    Malformed,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("init plan too short to hold a version"),
            Self::Version(found) => {
                write!(f, "init plan has version {found}, this init reads version {INIT_PLAN_VERSION}")
            }
            Self::Malformed => f.write_str("init plan is malformed"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl InitPlan {
    /// The bytes that `decode` takes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = INIT_PLAN_VERSION.to_le_bytes().to_vec();
        // Encoding to memory fails for no value: every length is known and nothing is borrowed from elsewhere.
        bytes.extend(postcard::to_allocvec(self).unwrap_or_default());
        bytes
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// See `DecodeError`.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (version, rest) = bytes.split_first_chunk::<4>().ok_or(DecodeError::TooShort)?;
        match u32::from_le_bytes(*version) {
            INIT_PLAN_VERSION => postcard::from_bytes(rest).map_err(|_| DecodeError::Malformed),
            other => Err(DecodeError::Version(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::init::{Exec, Op};
    use super::*;

    fn plan() -> InitPlan {
        let exec = Exec::Path { argv: vec!["a".to_owned()], env: Vec::new(), path: "/bin".to_owned() };
        InitPlan { ops: vec![Op::PivotRoot, Op::SetUmask { mask: 0o22 }], exec }
    }

    #[test]
    fn comes_back() {
        assert_eq!(InitPlan::decode(&plan().encode()), Ok(plan()));
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let mut bytes = plan().encode();
        bytes[0] = 9;
        let error = InitPlan::decode(&bytes).expect_err("another version");
        assert_eq!(error.to_string(), format!("init plan has version 9, this init reads version {INIT_PLAN_VERSION}"));
    }

    #[test]
    fn cut_anywhere_is_an_error_and_no_panic() {
        let bytes = plan().encode();
        (0..bytes.len()).for_each(|end| assert!(InitPlan::decode(&bytes[..end]).is_err(), "{end}"));
    }
}
