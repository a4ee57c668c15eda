//! Whom a guest asks for names: a server of the test's in the Pod's network, which knows a few and is named nowhere but in
//! the manifest.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::asked::{gated, keeper, open};
use super::recorder::datagrams;
use crate::bench::shared;

/// Names that the server knows, and their addresses.
const NAMES: [(&str, [u8; 4]); 3] =
    [("host.one.test", [10, 1, 1, 1]), ("two.dots", [10, 2, 2, 2]), ("two.dots.one.test", [10, 3, 3, 3])];

/// The name that a question asks for, as text, where it ends, and whether it asks for an IPv4 address.
fn asked(question: &[u8]) -> Option<(String, usize, bool)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while let Some(length @ 1..) = question.get(at).map(|length| usize::from(*length)) {
        labels.push(String::from_utf8_lossy(question.get(at + 1..at + 1 + length)?).into_owned());
        at += 1 + length;
    }
    let kind = question.get(at + 1..at + 3)?;
    Some((labels.join("."), at + 5, kind == [0, 1]))
}

/// RFC 1035, 4: the question again, and the address if there is one; no such name else.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let (name, end, is_ipv4) = asked(question)?;
    let found = NAMES.iter().find(|(known, _)| *known == name).map(|(_, address)| address);
    let answers = found.filter(|_| is_ipv4);
    let mut answer = question.get(..2)?.to_vec();
    answer.extend([0x81, if found.is_some() { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(answers.is_some()), 0, 0, 0, 0]);
    answer.extend(question.get(12..end)?);
    if let Some(address) = answers {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address);
    }
    Some(answer)
}

fn serve(socket: &UdpSocket, stop: &AtomicBool) {
    let _ = socket.set_read_timeout(Some(Duration::from_millis(50)));
    let mut buffer = [0; 1500];
    while !stop.load(Ordering::Relaxed) {
        let Ok((count, from)) = socket.recv_from(&mut buffer) else { continue };
        let _ = answer(&buffer[..count]).map(|answer| socket.send_to(&answer, from));
    }
}

/// Tells the server to stop when it goes, also when a proof fails: its thread is waited for.
struct Stopped<'a>(&'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two guests, each asking for one name, in a Pod with this `spec`.
fn resolved(name: &str, spec: &serde_json::Value) -> [String; 2] {
    let bench = shared();
    let guest = |(name, asks): (&str, &str)| bench.container(name, "net.wasm", &json!({"args": ["resolve", asks]}));
    gated(&bench, name, &[("short", "host"), ("dotted", "two.dots")].map(guest), spec);
    let (socket, stop) = (datagrams(keeper(&bench, name), 53), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&socket, &stop));
        let _stopped = Stopped(&stop);
        open(&bench, name);
        bench.node.wait_for(name, "the answers", |pod| {
            ["Succeeded", "Failed"].iter().any(|end| pod["status"]["phase"] == *end)
        });
    });
    let said = ["short", "dotted"].map(|container| bench.log(name, container).trim().to_owned());
    bench.remove(name);
    said
}

/// One by one: the server and nothing else, then with a domain to search in, then with the number of dots from which on a
/// name is tried as it is.
pub fn a_wasm_member_asks_the_servers_that_the_manifest_names() {
    let with = |more: serde_json::Value| {
        let mut spec = json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"]}});
        crate::merge::merge(&mut spec, &json!({"dnsConfig": more}));
        spec
    };
    let [short, dotted] = resolved("names-server", &with(json!({})));
    assert!(short.contains("resolve:"), "nowhere to search: {short}");
    assert_eq!(dotted, "10.2.2.2");
    let searched = resolved("names-searched", &with(json!({"searches": ["one.test"]})));
    assert_eq!(searched, ["10.1.1.1", "10.2.2.2"]);
    let options = json!({"searches": ["one.test"], "options": [{"name": "ndots", "value": "3"}]});
    assert_eq!(resolved("names-counted", &with(options)), ["10.1.1.1", "10.3.3.3"]);
    let [_, dotted] = resolved("names-of-host", &json!({}));
    assert!(dotted.contains("resolve:"), "control: the host's servers do not know it: {dotted}");
}
