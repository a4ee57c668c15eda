//! `image:` of a container: what is written, and what this machine can run of it.
//!
//! A registry reference has no scheme of ours in front (`nginx`, `docker.io/library/nginx:1.27`, `host:5000/x`), so
//! the known schemes are a closed list and everything else is a reference. Nothing here looks at the disk.

use std::fmt;

use crate::pod::ImageRef;

/// Why an `image:` cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageRefError {
    /// Nothing is written.
    Empty,
    /// A scheme with nothing behind it.
    NoPath {
        /// `rootfs` or `wasm`.
        scheme: &'static str,
    },
    /// A NUL byte or a line break in the path.
    BadPath,
    /// Kubernetes would pull it; dwell does not, yet.
    NotYet {
        /// What it is, for people: `images from registries`, …
        what: &'static str,
    },
}

impl fmt::Display for ImageRefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no image is named"),
            Self::NoPath { scheme } => write!(f, "`{scheme}:` is followed by no path"),
            Self::BadPath => f.write_str("the path holds a NUL byte or a line break"),
            Self::NotYet { what } => write!(f, "not yet honoured: {what}"),
        }
    }
}

impl std::error::Error for ImageRefError {}

impl ImageRefError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "today: rootfs:DIR (a directory as root file system), wasm:FILE (a module or component)"
    }
}

impl ImageRef {
    /// Parses what is written behind `image:`. Paths are kept as written; see `resolve`.
    ///
    /// # Errors
    /// When it is empty, or names what dwell cannot run.
    pub fn parse(text: &str) -> Result<Self, ImageRefError> {
        if text.trim().is_empty() {
            return Err(ImageRefError::Empty);
        }
        if let Some(path) = text.strip_prefix("rootfs:") {
            return checked(path, "rootfs").map(Self::Rootfs);
        }
        if let Some(path) = text.strip_prefix("wasm:") {
            return checked(path, "wasm").map(Self::Wasm);
        }
        Err(ImageRefError::NotYet { what: what_is(text) })
    }

    /// The path behind the scheme.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Rootfs(path) | Self::Wasm(path) => path,
        }
    }
}

fn checked(path: &str, scheme: &'static str) -> Result<String, ImageRefError> {
    if path.is_empty() {
        Err(ImageRefError::NoPath { scheme })
    } else if path.contains(['\0', '\n', '\r']) {
        Err(ImageRefError::BadPath)
    } else {
        Ok(path.to_owned())
    }
}

fn what_is(text: &str) -> &'static str {
    let schemes = [
        ("oci:", "OCI image layouts (oci:DIR)"),
        ("oci-archive:", "OCI archives (oci-archive:FILE)"),
        ("docker-archive:", "docker archives (docker-archive:FILE)"),
        ("dir:", "images as skopeo's `dir:`"),
        ("containers-storage:", "images in podman's storage"),
        ("docker-daemon:", "images in docker's storage"),
    ];
    let known = schemes.iter().find(|(scheme, _)| text.starts_with(scheme));
    known.map_or("images from registries", |(_, what)| what)
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rootfs(path) => write!(f, "rootfs:{path}"),
            Self::Wasm(path) => write!(f, "wasm:{path}"),
        }
    }
}

/// `image` with a relative path made absolute against `base_dir` (which must be absolute); everything else unchanged.
#[must_use]
pub fn resolve(image: &str, base_dir: &str) -> String {
    match ImageRef::parse(image) {
        Ok(ImageRef::Rootfs(path)) => format!("rootfs:{}", absolute(&path, base_dir)),
        Ok(ImageRef::Wasm(path)) => format!("wasm:{}", absolute(&path, base_dir)),
        Err(_) => image.to_owned(),
    }
}

/// Joins lexically: `./` and doubled slashes go, `..` stays (only the kernel knows what it means behind a symlink).
fn absolute(path: &str, base_dir: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{base_dir}/{path}") };
    let parts: Vec<_> = whole.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_references() {
        assert_eq!(ImageRef::parse("rootfs:/srv/x"), Ok(ImageRef::Rootfs("/srv/x".into())));
        assert_eq!(ImageRef::parse("wasm:a.wasm"), Ok(ImageRef::Wasm("a.wasm".into())));
        assert_eq!(ImageRef::parse(" "), Err(ImageRefError::Empty));
        assert_eq!(ImageRef::parse("wasm:"), Err(ImageRefError::NoPath { scheme: "wasm" }));
        assert_eq!(ImageRef::parse("wasm:a\0"), Err(ImageRefError::BadPath));
        let registry = ImageRef::parse("localhost:5000/x:1").unwrap_err();
        assert_eq!(registry.to_string(), "not yet honoured: images from registries");
        let layout = ImageRef::parse("oci:dir").unwrap_err();
        assert!(layout.to_string().contains("OCI image layouts"));
    }

    #[test]
    fn relative_paths_become_absolute() {
        assert_eq!(resolve("rootfs:./a//b", "/srv/pods/"), "rootfs:/srv/pods/a/b");
        assert_eq!(resolve("wasm:../a.wasm", "/srv"), "wasm:/srv/../a.wasm");
        assert_eq!(resolve("wasm:/a.wasm", "/srv"), "wasm:/a.wasm");
        assert_eq!(resolve("nginx", "/srv"), "nginx");
    }
}
