//! The rules of a Pod's life. They are taken down in `rules.txt`, each a row that is put to the code; and `world` is a
//! place with a clock of its own, in which a Pod lives through whatever may happen in any order, and in which they hold
//! after every step.

mod notation;
mod random;
mod rules;
mod table;
mod world;
