# Sourced by `run`: gathers the workspace's test executables for the second machine.

# collect_tests FOLDER: one file NAME for each executable, and a list of "NAME FOLDER-THAT-CARGO-RUNS-IT-IN"; below
# programs/, at their full paths, the programs that tests start by a path that was compiled in.
collect_tests() {
    mkdir -p "$1"
    say "building the tests"
    (cd "$repo" && cargo test --release --workspace --locked --no-run --message-format=json-render-diagnostics) >"$scratch/messages.json"
    python3 - "$scratch/messages.json" "$1/programs.list" >"$1/list" <<'PYTHON'
import json, os, sys

programs = open(sys.argv[2], "w")
# Libraries and binaries hold unit tests, and two may share a name: the package and the target together do not.
for line in open(sys.argv[1]):
    message = json.loads(line)
    if message.get("reason") != "compiler-artifact" or not message.get("executable"):
        continue
    if message["profile"]["test"]:
        folder = os.path.dirname(message["manifest_path"])
        kind = message["target"]["kind"][0]
        print(f"{os.path.basename(folder)}-{kind}-{message['target']['name']}", folder, message["executable"])
    else:
        print(message["executable"], file=programs)
PYTHON
    local name folder executable
    while read -r name folder executable; do cp "$executable" "$1/$name"; done <"$1/list"
    while read -r executable; do install -D "$executable" "$1/programs$executable"; done <"$1/programs.list"
}
