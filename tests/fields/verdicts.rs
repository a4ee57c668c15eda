//! What `dwell run` says of fields that it refuses or warns of: the very sentence, behind its place. What
//! only warns must run all the same, and the same Pod without the field must run without the word.
//!
//! Fields of containers that are added to a running Pod come by a patch, as kubectl sends them.

use std::io::{Read, Write};

use dwell_tests::node::Said;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::merge::merge;
use crate::table::{Answer, Group, Kinds, Word};

/// The list of what is added to a running Pod.
const ADDED: &str = "spec.ephemeralContainers[]";

/// What is wrong with the group's verdicts.
pub fn wrong(bench: &Bench, group: &Group) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in &group.rows {
        for (kinds, answer) in &row.answers {
            let Answer::Verdict { word, json, sentence } = answer else { continue };
            for kind in kinds_of(*kinds) {
                let name = format!("verdict-{}", group.file);
                let case = Case { bench, name, path: &row.paths[0], kind, word: *word, sentence };
                let found = if row.paths[0].starts_with(ADDED) { case.patched(json) } else { case.run(json) };
                wrong
                    .extend(found.err().map(|said| format!("{}, {kind}: want {sentence:?}, got {said}", row.paths[0])));
            }
        }
    }
    wrong
}

fn kinds_of(kinds: Kinds) -> Vec<&'static str> {
    match kinds {
        Kinds::Native => vec!["native"],
        Kinds::Wasm => vec!["wasm"],
        Kinds::Both => vec!["native", "wasm"],
    }
}

struct Case<'a> {
    bench: &'a Bench,
    name: String,
    path: &'a str,
    kind: &'static str,
    word: Word,
    sentence: &'a str,
}

impl Case<'_> {
    /// Its first item of every list.
    fn place(&self) -> String {
        self.path.replace("[]", "[0]")
    }

    fn container(&self, name: &str) -> Value {
        let image = if self.kind == "native" { "native" } else { "hello.wasm" };
        let command = if self.kind == "native" { json!({"command": ["true"]}) } else { json!({}) };
        self.bench.container(name, image, &command)
    }

    fn pod(&self, part: Option<&Value>) -> Value {
        let mut pod = self.bench.pod(&self.name, &[self.container("main")], &json!({"os": {"name": "linux"}}));
        let mut part = part.cloned().unwrap_or_else(|| json!({}));
        let around = part.as_object_mut().and_then(|part| part.remove("spec")).unwrap_or_else(|| json!({}));
        let of_container = self.path.starts_with("spec.containers[]");
        merge(if of_container { &mut pod["spec"]["containers"][0] } else { &mut pod["spec"] }, &part);
        merge(&mut pod["spec"], &around);
        merge(&mut pod["spec"], &json!({"volumes": [{"name": "any", "emptyDir": {}}]}));
        pod
    }

    fn run(&self, json: &str) -> Result<(), String> {
        let run = |part: Option<&Value>| {
            let pod = self.pod(part).to_string();
            let path = self.bench.node.file(&format!("{}.json", self.name), &pod);
            self.bench.node.dwell(&["run", "--rm", path.to_str().expect("a readable path")])
        };
        let with = run(Some(&self.bench.json(json)));
        let without = run(None);
        if without.code != 0 || without.err.contains(&self.place()) {
            return Err(format!("without the field: {without:#?}"));
        }
        if self.holds(&with) { Ok(()) } else { Err(format!("{with:#?}")) }
    }

    fn holds(&self, said: &Said) -> bool {
        let errors = said.err.contains("error: ") || said.err.contains("ConfigError: ");
        match self.word {
            Word::Refused => said.code == 125 && errors && self.says_so(&said.err),
            Word::Warns => said.code == 0 && !errors && said.err.contains("warning: ") && self.says_so(&said.err),
            Word::Ignored => said.code == 0 && !said.err.contains(&self.place()),
        }
    }

    /// The sentence is said of the field, or of what it is part of.
    fn says_so(&self, said: &str) -> bool {
        let place = self.place();
        let ends = place.match_indices('.').map(|(end, _)| end).chain([place.len()]);
        // What only a start finds out is said of the container.
        let in_container = self.path.strip_prefix("spec.containers[].").map(|rest| rest.replace("[]", ""));
        // What a container has from its Pod is said of the container, too.
        let from_pod = place.strip_prefix("spec.securityContext.").and_then(|rest| rest.split('.').next());
        let from_pod = from_pod.map(|name| format!("spec.containers[0].securityContext.{name}"));
        let places = ends.map(|end| place[..end].to_owned()).chain(in_container).chain(from_pod);
        places.into_iter().any(|place| said.contains(&format!(" {place}: {}\n", self.sentence)))
    }

    /// The same container without the field is added afterwards, so that the patch is right but for it.
    fn patched(&self, json: &str) -> Result<(), String> {
        let volumes = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
        self.bench.start(&self.bench.pod(
            "patched",
            &[self.bench.shell("main", "exec sleep 600", &json!({}))],
            &volumes,
        ));
        let patch = |part: &Value| {
            let mut added = self.container("added");
            merge(&mut added, part);
            let body = json!({"spec": {"ephemeralContainers": [added]}});
            patch(self.bench, "patched/ephemeralcontainers", &body)
        };
        let (with, without) = (patch(&self.bench.json(json)), patch(&json!({})));
        self.bench.remove("patched");
        let line = format!("{}: {}", self.place(), self.sentence);
        let holds = with.starts_with("HTTP/1.1 422") && with.contains(&line) && without.starts_with("HTTP/1.1 200");
        if holds { Ok(()) } else { Err(format!("{with}, and without the field: {without}")) }
    }
}

/// What the node answers to a merge of a Pod's part.
pub fn patch(bench: &Bench, part: &str, body: &Value) -> String {
    let body = body.to_string();
    let socket = bench.node.state_dir().join("run/dwell.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("the node serves");
    let head = format!(
        "PATCH /api/v1/namespaces/default/pods/{part} HTTP/1.1\r\nhost: x\r\ncontent-type: \
         application/strategic-merge-patch+json\r\nconnection: close"
    );
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("send it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
