//! dwell's pure part: text becomes a `Pod`, a `Pod` with facts becomes plans. No IO, no unsafe, no clock.
#![forbid(unsafe_code)]

#[cfg(feature = "manifest")]
pub mod capabilities;
#[cfg(feature = "manifest")]
pub mod env_file;
#[cfg(feature = "manifest")]
pub mod expand;
pub mod facts;
#[cfg(feature = "manifest")]
pub mod image_ref;
#[cfg(feature = "manifest")]
pub mod manifest;
pub mod plan;
pub mod pod;
#[cfg(feature = "manifest")]
pub mod quantity;
#[cfg(feature = "manifest")]
pub mod settings;
#[cfg(feature = "manifest")]
pub mod short_form;
pub mod signal;
pub mod status;
