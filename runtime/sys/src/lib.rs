//! What dwell needs of the kernel and rustix does not give: each module one subject, each function one call or one
//! short, fixed sequence of calls. The only crate with unsafe besides pause.
