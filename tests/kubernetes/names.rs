//! Commands, variables, host names and name servers.

use crate::{Machine, inside, lines, page, prints, run, start, with_guest};

#[test]
fn a_command_has_arguments() {
    let node = Machine::new();
    assert_eq!(run(&node, "command").ok(), "HO\n");
}

#[test]
fn variables_are_in_the_environment() {
    let node = Machine::new();
    start(&node, "env-plain", "greets");
    let said = inside(&node, "greets", "greets", "env | grep PLAIN_ | sort");
    assert_eq!(said, "PLAIN_FAREWELL=Such a short stay\nPLAIN_GREETING=Hello from outside\n");
}

const MESSAGE: &str = "Warm welcome to The Honourable Kettle";

#[test]
fn arguments_name_variables() {
    let node = Machine::new();
    assert_eq!(run(&node, "env-in-command").ok(), format!("{MESSAGE}\n"));
    node.dwell(&["rm", "says-greeting"]).ok();
    let module = with_guest(&page(&node, "env-in-command"), "says", "hello.wasm", "['$(MESSAGE)']");
    assert!(node.run(&module).ok().contains(MESSAGE));
}

#[test]
fn variables_depend_on_those_above_them() {
    let node = Machine::new();
    node.start(&page(&node, "env-dependent"));
    let log = prints(&node, "depends", "depends", "ESCAPED=");
    let expected =
        ["UNCHANGED=$(SCHEME)://192.0.2.1:8123", "ADDRESS=http://192.0.2.1:8123", "ESCAPED=$(SCHEME)://192.0.2.1:8123"];
    expected.iter().for_each(|line| assert!(lines(&log).contains(line), "no {line} in {log}"));
}

#[test]
fn a_module_sees_variables_that_depend_on_others() {
    let node = Machine::new();
    let shell = page(&node, "env-dependent").replace("spec:\n", "spec:\n  restartPolicy: Never\n");
    let module = with_guest(&shell, "depends", "env.wasm", "[UNCHANGED, ADDRESS]");
    assert_eq!(node.run(&module).ok(), "UNCHANGED=$(SCHEME)://192.0.2.1:8123\nADDRESS=http://192.0.2.1:8123\n");
}

#[test]
fn aliases_are_in_the_hosts_file() {
    let node = Machine::new();
    let text = run(&node, "host-aliases").ok();
    for line in ["127.0.0.1\ttea.local\tcake.local", "192.0.2.77\ttea.remote\tcake.remote"] {
        assert!(lines(&text).contains(&line), "no {line:?} in {text}");
    }
    let own = lines(&text).into_iter().find(|line| line.ends_with("\thas-aliases")).map(str::to_owned);
    assert!(own.is_some(), "{text}");
}

#[test]
fn name_servers_are_those_that_were_written() {
    let node = Machine::new();
    let expected = [
        "nameserver 192.0.2.53",
        "search shop.svc.cluster-domain.example my.dns.search.suffix",
        "options ndots:2 edns0",
    ];
    assert_eq!(lines(&run(&node, "dns-config").ok()), expected);
}

#[test]
fn a_pod_has_the_host_name_that_was_written() {
    let node = Machine::new();
    let full = "teapot.kitchen.default.svc.cluster.local";
    assert_eq!(lines(&run(&node, "dns-hostname").ok()), [full, full, "teapot"]);
    node.dwell(&["rm", "named"]).ok();
    let short = page(&node, "dns-hostname").replace("setHostnameAsFQDN: true", "setHostnameAsFQDN: false");
    assert_eq!(lines(&node.run(&short).ok()), ["teapot", full, "teapot"]);
}
