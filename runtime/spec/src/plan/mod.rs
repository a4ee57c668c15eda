//! Plans: what will be done, as values. A pure function makes each from a checked Pod and facts; IO follows them.
pub mod container;
pub mod init;
pub mod worker;
pub mod pod;
