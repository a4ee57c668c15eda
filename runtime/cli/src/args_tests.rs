//! The command line: every definition is sound, what is typed is understood, and the help is what `help.txt` says.

use std::fmt::Write;

use clap::CommandFactory;

use super::*;

/// Set to write `help.txt` anew.
const UPDATE: &str = "UPDATE_SNAPSHOTS";

fn parse(line: &str) -> Result<Cli, clap::Error> {
    let typed = line.split_whitespace().map(std::ffi::OsString::from);
    Cli::try_parse_from(command::run::arguments(typed))
}

/// Debug text of what was understood.
fn understood(line: &str) -> String {
    format!("{:?}", parse(line).unwrap_or_else(|e| panic!("{line}: {e}")).command)
}

#[test]
fn definitions_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn what_people_type_is_understood() {
    for line in [
        "dwell run pod.yaml other.yaml",
        "dwell run -",
        "dwell run -d pod.yaml",
        "dwell run --rm --prefix never pod.yaml",
        "dwell run --image rootfs:/srv/x -it -v /a:/b:ro -e A=1 -e HOME -p 80:8080 -u 1000:1000 -m 64Mi -- ls -l",
        "dwell run --dry-run -o json app.wasm",
        "dwell ps -o wide",
        "dwell logs -f -t --tail 5 --since 1h web -c a",
        "dwell logs --previous web",
        "dwell exec -it -u 0 web -c a -- sh -c true",
        "dwell stop --all -t 5",
        "dwell stop a b",
        "dwell kill -s HUP a -c x",
        "dwell rm -f a",
        "dwell --state-dir /x inspect -o json a",
        "dwell inspect a --state-dir /x",
        "dwell plan pod.yaml -o json",
        "dwell explain spec.containers.image",
        "dwell serve --on-demand",
        "dwell completions bash",
        "dwell man /tmp",
    ] {
        understood(line);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "dwell",
        "dwell run",
        "dwell run -d --rm pod.yaml",
        "dwell run -o yaml pod.yaml",
        "dwell stop",
        "dwell stop --all a",
        "dwell exec web",
        "dwell logs -f --previous web",
        "dwell logs --since yesterday web",
        "dwell logs --tail -1 web",
        "dwell ps -o xml",
        "dwell frobnicate",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn options_of_a_module_are_not_ours() {
    let run = understood("dwell run --rm app.wasm -d --image x");
    assert!(run.contains(r#"words: ["app.wasm", "-d", "--image", "x"]"#), "{run}");
    assert!(run.contains("detach: false") && run.contains("rm: true"), "{run}");
}

/// All help texts, in the order of the verbs.
fn help() -> String {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let mut text = cli.render_long_help().to_string();
    for verb in cli.get_subcommands_mut() {
        write!(text, "\n==== {}\n{}", verb.get_name(), verb.clone().term_width(100).render_long_help()).unwrap();
    }
    text
}

#[test]
fn help_is_what_was_agreed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/help.txt");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(path, help()).unwrap();
    }
    let agreed = std::fs::read_to_string(path).unwrap();
    assert!(help() == agreed, "the help differs from help.txt; run the test with {UPDATE}=1 and read the difference");
}

#[test]
fn completions_and_man_pages_name_every_verb() {
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut Cli::command(), "dwell", &mut script);
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).unwrap();
    let (script, page) = (String::from_utf8(script).unwrap(), String::from_utf8(page).unwrap());
    for verb in Cli::command().get_subcommands() {
        assert!(script.contains(verb.get_name()), "{} in the completions", verb.get_name());
        assert!(
            page.contains(&format!("dwell\\-{}", verb.get_name().replace('-', "\\-"))),
            "{} in the man page",
            verb.get_name()
        );
    }
}
