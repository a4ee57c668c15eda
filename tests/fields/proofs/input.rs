//! Standard input: open for whoever comes, or until the first has left.

use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use super::KINDS;
use crate::bench::{Bench, shared, status};

/// Sends a line and leaves, as one who is cut off: the end of a client's own input is the member's, too.
fn send(bench: &Bench, pod: &str, line: &str) {
    let mut command = bench.node.command(&["attach", "-i", pod]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start dwell");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(format!("{line}\n").as_bytes()).expect("it reads");
    bench.node.wait_for(pod, "the line", |_| bench.log(pod, "main").to_uppercase().contains(&line.to_uppercase()));
    let _ = child.kill();
    let _ = child.wait();
}

/// Without `stdin` there is nothing to read; with it the member waits; with `stdinOnce` it ends when the client has left.
pub fn input_stays_open_or_closes_with_the_first_client() {
    let bench = shared();
    for kind in KINDS {
        let start = |name: &str, more: serde_json::Value| {
            let container = match kind {
                "native" => bench.shell("main", "cat; echo end of input", &more),
                _ => bench.container("main", "stdin.wasm", &more),
            };
            bench.start(&bench.pod(name, &[container], &json!({})));
        };
        let (none, open, once) = (format!("{kind}-none"), format!("{kind}-open"), format!("{kind}-once"));
        start(&none, json!({}));
        bench.node.wait_for_phase(&none, "Succeeded");
        assert_eq!(bench.log(&none, "main"), "end of input\n");
        start(&open, json!({"stdin": true}));
        start(&once, json!({"stdin": true, "stdinOnce": true}));
        [&open, &once].iter().for_each(|name| _ = bench.node.wait_for_phase(name, "Running"));
        send(&bench, &open, "first");
        send(&bench, &once, "first");
        bench.node.wait_for_phase(&once, "Succeeded");
        send(&bench, &open, "second");
        let pod = bench.node.pod(&open);
        assert!(status(&pod, "main")["state"]["running"].is_object(), "{kind}: {:#}", pod["status"]);
        [none, open, once].iter().for_each(|name| bench.remove(name));
    }
}
