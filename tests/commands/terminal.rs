//! `-t` on a terminal that the test holds the other end of.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use dwell_tests::node::{Node, binary, wait_until};

use crate::{image, script};

/// A terminal, and what was written to it so far.
struct Terminal {
    master: File,
    slave: OwnedFd,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn new() -> Terminal {
        let devpts = File::open("/dev/pts").expect("there are terminals");
        let (master, slave) = dwell_sys::mount::open_terminal(devpts.as_fd()).expect("a terminal of our own");
        let (master, seen) = (File::from(master), Arc::new(Mutex::new(Vec::new())));
        let (mut reader, sink) = (master.try_clone().expect("a copy"), seen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = reader.read(&mut buffer) {
                sink.lock().expect("not poisoned").extend_from_slice(&buffer[..count]);
            }
        });
        let terminal = Terminal { master, slave, seen };
        terminal.stty(&["rows", "33", "cols", "101"]);
        terminal
    }

    fn stdio(&self) -> Stdio {
        self.slave.try_clone().expect("a copy").into()
    }

    fn stty(&self, args: &[&str]) -> String {
        let output = Command::new("stty").args(args).stdin(self.stdio()).output().expect("stty runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts dwell with this as its controlling terminal.
    fn start(&self, node: &Node, args: &[&str]) -> Child {
        let plain = node.command(args);
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(binary()).args(plain.get_args()).current_dir(node.files());
        command.env_remove("RUST_BACKTRACE").env("TERM", "xterm");
        command.stdin(self.stdio()).stdout(self.stdio()).stderr(self.stdio()).spawn().expect("setsid runs")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("not poisoned")).into_owned()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        assert!(wait_until(|| self.text().contains(text)), "no {text:?} in {:?}", self.text());
    }

    /// Keys typed before a prompt are the shell's to lose.
    #[track_caller]
    fn wait_for_after(&self, first: &str, then: &str) {
        let seen = || self.text().split_once(first).is_some_and(|(_, rest)| rest.contains(then));
        assert!(wait_until(seen), "no {then:?} after {first:?} in {:?}", self.text());
    }

    fn press(&self, keys: &str) {
        (&self.master).write_all(keys.as_bytes()).expect("type");
    }
}

/// The exit status; a program that hangs is ended.
#[track_caller]
fn status(terminal: &Terminal, mut child: Child) -> i32 {
    let cell = std::cell::RefCell::new(&mut child);
    let ended = wait_until(|| cell.borrow_mut().try_wait().is_ok_and(|status| status.is_some()));
    if !ended {
        let _ = child.kill();
    }
    let status = child.wait().expect("it ended").code().unwrap_or(-1);
    assert!(ended, "it did not end: {:?}", terminal.text());
    status
}

fn host(node: &Node) {
    node.start(&script(node, "host", "echo up; sleep 600"));
    crate::wait_for_line(node, "host", "up");
}

#[test]
fn exec_gives_a_shell_a_real_terminal() {
    let (node, terminal) = (Node::new(), Terminal::new());
    host(&node);
    let before = terminal.stty(&["-g"]);
    let child = terminal.start(&node, &["exec", "-i", "-t", "host", "--", "sh"]);
    terminal.wait_for("/ # ");
    terminal.press("tty; stty size; echo sum $((40+2))\n");
    terminal.wait_for("sum 42");
    assert!(terminal.text().contains("/dev/pts/0") && terminal.text().contains("33 101"), "{:?}", terminal.text());
    // Ctrl-C is the program's, not ours.
    // Typed any earlier, the line would be the shell's: its editor reads ahead.
    terminal.press("echo be''gun; cat\n");
    terminal.wait_for("begun");
    terminal.press("in cat\n");
    terminal.wait_for("in cat\r\nin cat");
    terminal.press("\x03");
    terminal.wait_for_after("^C", "/ # ");
    terminal.press("echo after $((1+1))\n");
    terminal.wait_for("after 2");
    // The shell has job control, so the terminal is its controlling one.
    terminal.press("echo t >/dev/tty && echo 'own'' tty'\n");
    terminal.wait_for("own tty");
    terminal.stty(&["rows", "44", "cols", "111"]);
    for _ in 0..50 {
        terminal.press("stty size\n");
        std::thread::sleep(std::time::Duration::from_millis(100));
        if terminal.text().contains("44 111") {
            break;
        }
    }
    terminal.wait_for("44 111");
    terminal.press("exit 7\n");
    assert_eq!(status(&terminal, child), 7, "{:?}", terminal.text());
    assert_eq!(terminal.stty(&["-g"]), before, "the user's terminal was left in raw mode");
}

#[test]
fn exec_without_t_has_no_terminal() {
    let (node, terminal) = (Node::new(), Terminal::new());
    host(&node);
    let child = terminal.start(&node, &["exec", "host", "--", "sh", "-c", "test -t 1 && echo terminal || echo none"]);
    assert_eq!(status(&terminal, child), 0);
    terminal.wait_for("none");
}

#[test]
fn exec_with_t_has_one_though_we_have_none() {
    let node = Node::new();
    host(&node);
    let said = node.dwell(&[
        "exec",
        "-t",
        "host",
        "--",
        "sh",
        "-c",
        "test -t 0 && test -t 1 && test -t 2 && echo all; exit 3",
    ]);
    assert_eq!((said.out.as_str(), said.code), ("all\r\n", 3), "{said:#?}");
}

#[test]
fn the_end_of_piped_input_reaches_a_program_on_a_terminal() {
    let node = Node::new();
    host(&node);
    for words in ["words\n", "a line without an end", ""] {
        let said = crate::with_input(&node, &["exec", "-i", "-t", "host", "--", "cat"], words.as_bytes());
        assert!(said.code == 0 && said.out.contains(words.trim_end()), "{said:#?}");
    }
    let image = image(&node);
    let said = crate::with_input(&node, &["run", "--rm", "-i", "-t", "--image", &image, "--", "cat"], b"words\n");
    assert!(said.code == 0 && said.out.contains("words"), "{said:#?}");
}

#[test]
fn run_gives_a_shell_a_real_terminal() {
    let (node, terminal) = (Node::new(), Terminal::new());
    let before = terminal.stty(&["-g"]);
    let child = terminal.start(&node, &["run", "--rm", "-i", "-t", "--image", &image(&node), "--", "sh"]);
    terminal.wait_for("/ # ");
    terminal.press("stty size; echo sum $((40+2))\n");
    terminal.wait_for("sum 42");
    // Typed any earlier, the line would be the shell's: its editor reads ahead.
    terminal.press("echo be''gun; cat\n");
    terminal.wait_for("begun");
    terminal.press("in cat\n");
    terminal.wait_for("in cat\r\nin cat");
    terminal.press("\x03");
    terminal.wait_for_after("^C", "/ # ");
    terminal.press("echo after $((1+1)); stty size\n");
    terminal.wait_for("after 2");
    terminal.wait_for("33 101");
    terminal.press("exit 5\n");
    assert_eq!(status(&terminal, child), 5, "{:?}", terminal.text());
    assert_eq!(terminal.stty(&["-g"]), before, "the user's terminal was left in raw mode");
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "");
}

#[test]
fn ctrl_c_stops_a_run_without_input_in_order() {
    let (node, terminal) = (Node::new(), Terminal::new());
    let polite = "trap 'echo goodbye; exit 0' TERM; echo ready; while :; do sleep 0.1; done";
    let path = node.file("pod.yaml", &script(&node, "polite", polite));
    let child = terminal.start(&node, &["run", path.to_str().unwrap()]);
    terminal.wait_for("ready");
    terminal.press("\x03");
    assert_eq!(status(&terminal, child), 0, "{:?}", terminal.text());
    terminal.wait_for("goodbye");
    assert!(terminal.text().contains("Ctrl-C again"), "{:?}", terminal.text());
}

#[test]
fn prefixes_are_coloured_on_a_terminal_and_plain_elsewhere() {
    let (node, terminal) = (Node::new(), Terminal::new());
    let path = node.file("pod.yaml", &script(&node, "coloured", "echo text"));
    let args = ["run", "--rm", "--prefix", "always", path.to_str().unwrap()];
    let child = terminal.start(&node, &args);
    assert_eq!(status(&terminal, child), 0);
    terminal.wait_for("text");
    assert!(terminal.text().contains("\x1b["), "{:?}", terminal.text());
    assert_eq!(node.dwell(&args).ok(), "main | text\n");
}

#[test]
fn whatever_takes_long_shows_what_it_waits_for() {
    let (node, terminal) = (Node::new(), Terminal::new());
    host(&node);
    let child = terminal.start(&node, &["stop", "-t", "3", "host"]);
    terminal.wait_for("stopping host");
    assert_eq!(status(&terminal, child), 0);
}
