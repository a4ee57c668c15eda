//! `dwell run app.wasm --flag`: what follows a module is the module's, options too. The parser cannot know that a word is
//! a module, so a `--` is put before it here, ahead of parsing.

use std::ffi::OsString;

use clap::CommandFactory;

use crate::args::Cli;

/// The command line with `--` before the first bare word of `dwell run` that is a module. Anything else is left as it is.
pub fn arguments(typed: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut typed: Vec<OsString> = typed.into_iter().collect();
    if let Some(at) = typed.iter().any(is_module).then(|| module_of_run(&typed)).flatten() {
        if typed.get(at + 1).is_some_and(|next| next == "--") {
            typed.remove(at + 1);
        }
        typed.insert(at, "--".into());
    }
    typed
}

fn is_module(word: &OsString) -> bool {
    word.to_str().is_some_and(|w| w.ends_with(".wasm") || w.ends_with(".wat"))
}

/// Where the module stands, if the verb is `run` and no bare word, `--` or `--image` comes before it.
fn module_of_run(typed: &[OsString]) -> Option<usize> {
    let cli = Cli::command();
    let run = cli.find_subcommand("run")?;
    let takes_value = |word: &str| [&cli, run].into_iter().any(|command| takes_value(command, word));
    let (mut in_run, mut at) = (false, 1);
    while let Some(word) = typed.get(at)?.to_str() {
        match word {
            "--" => return None,
            "run" if !in_run => in_run = true,
            _ if word.starts_with("--image") => return None,
            _ if word.len() > 1 && word.starts_with('-') => at += usize::from(takes_value(word)),
            _ => return Some(at).filter(|_| in_run && is_module(&typed[at])),
        }
        at += 1;
    }
    None
}

/// Whether the next word is this option's value.
fn takes_value(command: &clap::Command, word: &str) -> bool {
    let named = |arg: &&clap::Arg| match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short() == word.chars().last() && word.chars().count() == 2,
    };
    command.get_arguments().find(named).is_some_and(|arg| arg.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(typed: &str) -> String {
        let words = arguments(typed.split(' ').map(OsString::from));
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_after_a_module_are_the_modules() {
        assert_eq!(rewritten("dwell run app.wasm -d --rm x"), "dwell run -- app.wasm -d --rm x");
        assert_eq!(rewritten("dwell run --rm -e A=b.wasm app.wasm -v"), "dwell run --rm -e A=b.wasm -- app.wasm -v");
        assert_eq!(rewritten("dwell --state-dir s run app.wasm -- x"), "dwell --state-dir s run -- app.wasm x");
        assert_eq!(rewritten("dwell run --name a.wasm b.wasm -d"), "dwell run --name a.wasm -- b.wasm -d");
    }

    #[test]
    fn everything_else_is_left_alone() {
        for typed in [
            "dwell run pod.yaml -d",
            "dwell run pod.yaml app.wasm",
            "dwell run --image wasm:x.wasm -- a.wasm",
            "dwell run --image=rootfs:x -i a.wasm",
            "dwell run -- app.wasm",
            "dwell explain app.wasm",
            "dwell",
            "dwell run",
        ] {
            assert_eq!(rewritten(typed), typed);
        }
    }
}
