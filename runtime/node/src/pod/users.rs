//! The range of the host's ids that a Pod with a user namespace of its own has: of those that no other Pod of this node has,
//! the same one each time if that can be. Kept in the sandbox's record, and given back with the sandbox.

use std::io;
use std::os::fd::OwnedFd;

use dwell_spec::plan::users;

use super::driver::Driver;

impl Driver {
    /// The host's id of root in the Pod's user namespace, if it has one of its own, before its sandbox is made.
    ///
    /// # Errors
    /// Thousands of such Pods run already.
    pub(super) fn take_users(&self) -> Result<Option<u32>, String> {
        if self.pod.host_users {
            return Ok(None);
        }
        // Under the lock, so that no two take the same.
        let pods = self.shared.pods();
        let taken = |first| pods.by_key.values().any(|pod| pod.uid != self.handle.uid && pod.users() == Some(first));
        let first = users::choose(&self.handle.uid, taken).ok_or("no range of ids is left for its user namespace")?;
        self.handle.set_users(Some(first));
        Ok(Some(first))
    }

    /// As `take_users` gave it.
    pub(super) fn users(&self) -> Option<u32> {
        self.journal.sandbox.as_ref().and_then(|sandbox| sandbox.users)
    }

    /// The same with the namespace itself.
    pub(super) fn user_namespace(&self) -> io::Result<Option<(u32, OwnedFd)>> {
        let (Some(first), Some(sandbox)) = (self.users(), &self.sandbox) else { return Ok(None) };
        Ok(Some((first, sandbox.user_namespace()?)))
    }
}
