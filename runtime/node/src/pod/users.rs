//! The range of the host's ids that a Pod with a user namespace of its own has: of those that no other Pod of this node has,
//! the same one each time if that can be. Kept in the sandbox's record, and given back when the Pod is finished: what its members
//! left in memory may be that range's.

use std::io;
use std::os::fd::AsFd;

use dwell_spec::plan::users;

use super::driver::Driver;
use crate::blocking::blocking;
use crate::sandbox::users::Namespaces;
use crate::volume::Users;

/// ENOSPC
const NO_SPACE: i32 = 28;

impl Driver {
    /// The host's id of root in the Pod's user namespace, if it has one of its own, before its sandbox is made.
    ///
    /// # Errors
    /// Thousands of such Pods run already.
    pub(super) fn take_users(&self) -> Result<Option<u32>, String> {
        if self.pod.host_users {
            return Ok(None);
        }
        if let Some(before) = self.handle.users() {
            return Ok(Some(before));
        }
        // Under the lock, so that no two take the same.
        let pods = self.shared.pods();
        let taken = |first| pods.by_key.values().any(|pod| pod.uid != self.handle.uid && pod.users() == Some(first));
        let first = users::choose(&self.handle.uid, taken).ok_or("no range of ids is left for its user namespace")?;
        self.handle.set_users(Some(first));
        Ok(Some(first))
    }

    /// The namespaces that go with it.
    ///
    /// # Errors
    /// The host allows no more of them.
    pub(super) async fn make_namespaces(&mut self, users: Option<u32>) -> Result<Option<Namespaces>, String> {
        let Some(first) = users else { return Ok(None) };
        let init = self.shared.embedded.init.try_clone().map_err(|error| format!("copy a descriptor: {error}"))?;
        let made = blocking(move || Namespaces::make(init.as_fd(), first)).await.flatten();
        let made = made.and_then(|namespaces| namespaces.reap_later().map(|()| namespaces));
        let made = made.and_then(|namespaces| Ok((namespaces.users()?, namespaces)));
        let made = made.map_err(|error| match error.raw_os_error() {
            Some(NO_SPACE) => {
                format!("make its user namespace: the host allows no more (sysctl user.max_user_namespaces): {error}")
            }
            _ => format!("make its user namespace: {error}"),
        });
        let (users, namespaces) = made?;
        self.own_users = Some(Users::new(first, users));
        Ok(Some(namespaces))
    }

    /// As `take_users` gave it.
    pub(super) fn users(&self) -> Option<u32> {
        self.journal.sandbox.as_ref().and_then(|sandbox| sandbox.users)
    }

    /// Finds what an earlier node made for the sandbox.
    ///
    /// # Errors
    /// pause is gone.
    pub(super) fn find_users(&mut self) -> io::Result<()> {
        let (Some(first), Some(sandbox)) = (self.users(), &self.sandbox) else { return Ok(()) };
        self.own_users = Some(Users::new(first, sandbox.user_namespace()?));
        Ok(())
    }
}
