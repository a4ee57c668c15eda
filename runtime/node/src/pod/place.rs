//! Where a path of a member's is: in its root, or in what a Wasm one was granted.
//!
//! The root is that of the member's own process, with its mounts as they are there. Must never give out more than the
//! member itself could name.

use std::os::fd::{AsFd, BorrowedFd};

use dwell_spec::plan;
use dwell_sys::fs::open_plain_in_root;
use rustix::fs::OFlags;

use super::driver::Driver;
use super::exec::{Target, absolute};
use super::request::{Place, Refusal};
use crate::archive::{Scope, Tree};
use crate::chain::chain;

impl Driver {
    /// `None` while init is still at work on the member, whose walls stand half.
    pub(super) async fn place(&mut self, container: Option<&str>, path: &str) -> Result<Option<Place>, Refusal> {
        let target = self.target(container).await?;
        if self.is_set_up_still(&target) {
            return Ok(None);
        }
        let root = target.root()?;
        if self.journal.members[target.index].kind.as_deref() == Some("wasm") {
            return self.granted_place(&target, root.as_fd(), path).map(Some);
        }
        let (path, owner) = (absolute(self.container(target.index), path), owner(&target)?);
        Ok(Some(Place {
            tree: Tree { dir: root, scope: Scope::Root, users: self.users() },
            path,
            writable: true,
            owner,
        }))
    }

    fn granted_place(&self, target: &Target, root: BorrowedFd<'_>, path: &str) -> Result<Place, Refusal> {
        let (container, facts, _) = self.facts_of(target.index)?;
        let path = absolute(&container, path);
        let grants = plan::granted(&self.pod, &container, &facts);
        let grants = grants.map_err(|error| Refusal::Invalid(chain(&error)))?;
        // What was granted is itself a place, too.
        let seen = format!("{}/", path.trim_end_matches('/'));
        let (grant, rest) = plan::place(&grants, &seen).ok_or_else(|| {
            let places: Vec<&str> = grants.iter().map(|grant| grant.guest.as_str()).collect();
            let there = if places.is_empty() { "nothing at all".to_owned() } else { places.join(", ") };
            Refusal::Invalid(format!("the Wasm member {} was not granted {path}, but {there}", container.name))
        })?;
        let dir = open_plain_in_root(root, grant.dir.as_str(), OFlags::PATH | OFlags::DIRECTORY);
        let dir = dir.map_err(|error| Refusal::Failed(format!("open what was granted as {}: {error}", grant.guest)))?;
        let (rest, owner) = (rest.trim_end_matches('/').to_owned(), owner(target)?);
        Ok(Place {
            tree: Tree { dir, scope: Scope::Beneath, users: self.users() },
            path: rest,
            writable: grant.writable,
            owner,
        })
    }
}

fn owner(target: &Target) -> Result<(u32, u32), Refusal> {
    dwell_sys::process::owner(target.pidfd.as_fd())
        .map_err(|error| Refusal::Failed(format!("ask who the member runs as: {error}")))
}
