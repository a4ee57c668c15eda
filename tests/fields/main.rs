//! Every field of `v1.PodSpec`, each with its answer: what a member of either kind sees of it from inside, the sentence
//! that warns of it or refuses it, or the proof (a test of its own) that shows it.
//!
//! The answers are a table, `rows/*.txt`, and `complete` holds it against the Kubernetes types and against what dwell says
//! of itself, so that no field can be forgotten and none be called honoured without a look. Each look is taken twice, and
//! must be another without the field: a row that cannot fail is worth nothing. `table` says how a row is written.
//!
//! It must never: ask how long anything took, change what it did not make, leave a Pod behind.

mod bench;
mod complete;
mod groups;
mod merge;
mod proofs;
mod table;
mod verdicts;

/// The rows of a file, run: first what is looked at, then what is refused or warned of.
macro_rules! files {
    ($($name:ident),*) => {
        /// Every file of rows: its name and its text.
        const FILES: &[(&str, &str)] = &[$((stringify!($name), include_str!(concat!("rows/", stringify!($name), ".txt")))),*];

        mod rows {
            $(#[test] fn $name() { crate::run(stringify!($name)); })*
        }
    };
}

files![pod, identity, containers, volumes, settings, projected, life, cluster, refused];

fn run(name: &str) {
    let table = table::all();
    let bench = bench::shared();
    let of_file = table.iter().filter(|group| group.file == name);
    let wrong: Vec<String> = of_file
        .flat_map(|group| groups::wrong(&bench, group).into_iter().chain(verdicts::wrong(&bench, group)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
