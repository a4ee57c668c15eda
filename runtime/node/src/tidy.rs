//! Taking down what would otherwise stay for ever: tried again at once, because a failure here has nobody to be told to,
//! and one that passes (a signal, memory or descriptors that were short for a moment) must not leave a cgroup or a folder
//! behind. What fails for longer is said in the node's log; the node tries once more when it leaves, and the next one
//! when it begins. Must only be given what may be repeated.

use std::error::Error;
use std::fmt::Display;

use dwell_sys::complain::complain;

use crate::chain::chain;

const ATTEMPTS: u32 = 3;

/// Does it, up to three times.
pub(crate) fn tidy<T, E: Error>(what: impl Display, mut attempt: impl FnMut() -> Result<T, E>) {
    for left in (0..ATTEMPTS).rev() {
        match attempt() {
            Ok(_) => return,
            Err(error) if left == 0 => complain(format_args!("{what}: {}", chain(&error))),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node whose one `rmdir` failed left the Pod's cgroup for ever, and with it its own.
    #[test]
    fn what_fails_once_is_done_all_the_same() {
        let mut outcomes = vec![Ok(()), Err(std::io::Error::other("for a moment"))];
        tidy("remove it", || outcomes.pop().expect("not a third time"));
        assert!(outcomes.is_empty());
    }

    #[test]
    fn what_always_fails_is_given_up() {
        let mut times = 0;
        tidy("remove it", || {
            times += 1;
            Err::<(), _>(std::io::Error::other("for ever"))
        });
        assert_eq!(times, ATTEMPTS);
    }
}
