//! What holds for every input: YAML that was written reads back the same, and no text makes the parser panic or hang.
//!
//! The generator is a small deterministic one, so a failure repeats itself.

use dwell_spec::manifest::node::Node;
use dwell_spec::manifest::{parse_manifests, to_yaml, yaml_of};
use k8s_openapi::api::core::v1;
use serde_json::{Map, Value as Json, json};

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.next(of.len())]
    }

    /// Text with everything that YAML finds difficult.
    fn text(&mut self) -> String {
        const PIECES: [&str; 40] = [
            "a",
            "B7",
            " ",
            "\n",
            ": ",
            " #",
            "-",
            "- ",
            "?",
            "!",
            "&",
            "*",
            "'",
            "\"",
            "\\",
            "{",
            "}",
            "[",
            "]",
            ",",
            "|",
            ">",
            "%",
            "@",
            "`",
            "~",
            "yes",
            "null",
            "0644",
            "1e3",
            ".5",
            "=",
            "<<",
            "$(A)",
            "\t",
            "\u{e4}",
            "\u{85}",
            "\u{1b}",
            "\u{feff}",
            "\u{1f600}",
        ];
        (0..self.next(6)).map(|_| self.pick(&PIECES)).collect()
    }

    fn json(&mut self, depth: usize) -> Json {
        match self.next(if depth == 0 { 5 } else { 8 }) {
            0 => Json::Null,
            1 => json!(self.next(2) == 0),
            2 => json!(self.next(1 << 40) as i64 - (1 << 39)),
            3 => json!(self.next(1000) as f64 / 8.0),
            4 => json!(self.text()),
            5 => Json::Array((0..self.next(4)).map(|_| self.json(depth - 1)).collect()),
            _ => Json::Object((0..self.next(4)).map(|_| (self.text(), self.json(depth - 1))).collect::<Map<_, _>>()),
        }
    }
}

/// Any JSON value survives; a Pod carries it in an annotation's place, so the public reader is what reads it.
#[test]
fn yaml_reads_back_what_was_written() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..1_500 {
        let mut pod = valid_pod();
        let spec = pod.spec.as_mut().unwrap();
        spec.containers[0].args = Some((0..random.next(5)).map(|_| random.text()).collect());
        spec.containers[0].env =
            Some(vec![v1::EnvVar { name: "A".into(), value: Some(random.text()), value_from: None }]);
        pod.metadata.annotations = Some([("note".to_owned(), random.text())].into());
        let text = to_yaml(&pod);
        let parsed = parse_manifests(&text, "x").unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(parsed.pods, [pod], "{text}");
    }
}

/// Values of every shape: written, read as a document that is no Pod, and named in the error as what they are.
#[test]
fn any_json_is_written_as_yaml() {
    let mut random = Random(99);
    for _ in 0..3_000 {
        let json =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "managedFields": random.json(4)}});
        let text = yaml_of(&json);
        let error = parse_manifests(&text, "x").expect_err("it has no spec").to_string();
        assert!(error.contains("spec: Required value"), "{error}\n{text}");
        assert_eq!(Node::from_json(&json).to_json(), json);
    }
}

fn valid_pod() -> v1::Pod {
    serde_json::from_value(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"},
        "spec": {"containers": [{"name": "a", "image": "wasm:/m"}]}}))
    .unwrap()
}

/// Ten thousand damaged manifests: each is read or refused, none panics, and every problem can be shown.
#[test]
fn damaged_manifests_never_panic() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let mut seeds: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    seeds.sort();
    let mut random = Random(7);
    let (mut read, mut refused) = (0, 0);
    for n in 0..10_000 {
        let mut bytes = seeds[n % seeds.len()].clone();
        for _ in 0..=random.next(4) {
            damage(&mut bytes, &mut random);
        }
        match parse_manifests(&String::from_utf8_lossy(&bytes), "damaged.yaml") {
            Ok(parsed) => {
                read += 1;
                parsed.pods.iter().for_each(|pod| drop(to_yaml(pod)));
            }
            Err(error) => {
                refused += 1;
                assert!(!error.problems.is_empty());
                assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
            }
        }
    }
    assert!(read > 100 && refused > 1000, "{read} read, {refused} refused: the damage is too great or too small");
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    const PARTS: [&[u8]; 16] = [
        b"- ", b": ", b"\n", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"!x ", b"\t", b"\"", b"---\n", b"? ", b"\x1b[2J",
        b"$(A)",
    ];
    let at = random.next(bytes.len() + 1);
    match random.next(4) {
        0 => drop(bytes.splice(at..at, random.pick(&PARTS).iter().copied())),
        1 => drop(bytes.drain(at..(at + random.next(20)).min(bytes.len()))),
        2 => {
            let (from, len) = (random.next(bytes.len() + 1), random.next(60));
            let copied = bytes[from..(from + len).min(bytes.len())].to_vec();
            drop(bytes.splice(at..at, copied));
        }
        _ if at < bytes.len() => bytes[at] = random.next(256) as u8,
        _ => {}
    }
}

/// Nonsense in bulk ends, and with few words.
#[test]
fn large_nonsense_is_bounded() {
    let head = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n";
    let repeat = |line: &dyn Fn(usize) -> String| {
        let mut text = head.to_owned();
        let mut n = 0;
        while text.len() < (128 << 10) {
            text += &line(n);
            n += 1;
        }
        text
    };
    let containers = |text: String| text.replacen("spec:\n", "spec:\n  containers:\n", 1);
    let env =
        |text: String| text.replacen("spec:\n", "spec:\n  containers:\n  - name: a\n    image: wasm:/m\n    env:\n", 1);
    let nonsense = [
        repeat(&|n| format!("  f{n}: 1\n")),
        containers(repeat(&|_| "  - {}\n".to_owned())),
        format!("kind: List\napiVersion: v1\nitems:\n{}", "- {}\n".repeat(100_000)),
        containers(repeat(&|n| format!("  - {{name: a{n}, image: x, ports: [{{containerPort: 1, hostPort: 1}}]}}\n"))),
        env(repeat(&|n| format!("    - {{name: A{n}, value: $(A0)$(A{})}}\n", n.saturating_sub(1)))),
        env(repeat(&|_| "    - {name: A, value: 7}\n".to_owned())),
        "[".repeat(1 << 20),
        "- ".repeat(1 << 20),
        "&a ".repeat(1 << 20),
        "\"".repeat(1 << 18),
        "a: ".repeat(1 << 20),
        "? ".repeat(1 << 20),
        "!".repeat(1 << 20),
        "--- x\n".repeat(1 << 19),
    ];
    for text in nonsense {
        let error = parse_manifests(&text, "x").expect_err("nonsense");
        assert!(error.problems.len() <= 101, "{}", error.problems.len());
        assert!(error.to_string().len() < 200_000);
    }
}
