//! The worker and the compile process, run for real as members are. Each wall's test has a control beside it.
mod command;
mod compile;
mod guest;
mod http;
mod member;
mod walls;
