//! What members learn of their Pod: variables from its fields and resources, names and addresses.

use dwell_tests::guest;
use dwell_tests::node::{Node, wait_until};

use crate::{before_containers, guest as guest_container, native, shell};

const ENV: &str = "    env:
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: UID_, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
    - {name: APP, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: IPS, valueFrom: {fieldRef: {fieldPath: status.podIPs}}}
    - {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: CPUS, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: URL, value: 'http://$(IP)/'}
    resources: {limits: {cpu: 1500m, memory: 64Mi}}
";

/// A native and a Wasm member of one Pod print them; both must see what the status says.
#[test]
fn fields_of_the_pod_and_amounts_reach_both_kinds() {
    let node = Node::new();
    let native = shell(&node, "told", "Never", "env; sleep 300") + ENV;
    let wasm = format!("  - name: w\n    image: wasm:{}\n{ENV}", guest::path("env.wasm").display());
    node.start(&(native.replacen("metadata: {", "metadata: {labels: {app: web}, ", 1) + &wasm));
    let pod = node.wait_for_phase("told", "Running");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let (status, uid) = (&pod["status"], text(&pod["metadata"]["uid"]));
    let (first, second) = (text(&status["podIPs"][0]["ip"]), text(&status["podIPs"][1]["ip"]));
    assert!(!first.is_empty() && !second.is_empty(), "{status:#}");
    for container in ["main", "w"] {
        let printed = || node.dwell(&["logs", "told", "-c", container]).out;
        assert!(wait_until(|| printed().contains("URL=")), "{container}: {}", printed());
        for line in [
            "NAME=told".to_owned(),
            format!("UID_={uid}"),
            "APP=web".to_owned(),
            format!("IP={first}"),
            format!("IPS={first},{second}"),
            format!("HOST={}", text(&status["hostIP"])),
            "CPUS=2".to_owned(),
            "MEMORY=64".to_owned(),
            format!("URL=http://{first}/"),
        ] {
            assert!(printed().lines().any(|printed| printed == line), "{container}: no {line}: {}", printed());
        }
    }
}

#[test]
fn a_program_may_be_named_by_a_variable() {
    let node = Node::new();
    let env = "    env: [{name: SHELL, value: sh}]\n";
    let said = node.run(&(shell(&node, "named", "Never", "echo fine").replacen("[sh,", "[$(SHELL),", 1) + env));
    assert_eq!((said.code, said.out.as_str()), (0, "fine\n"), "{said:#?}");
}

#[test]
fn names_and_servers_are_the_manifests() {
    let node = Node::new();
    let more = "spec:
  subdomain: inner
  setHostnameAsFQDN: true
  hostAliases: [{ip: 10.9.8.7, hostnames: [db, db.local]}]
  dnsPolicy: None
  dnsConfig: {nameservers: [192.0.2.53], searches: [one.test, two.test], options: [{name: ndots, value: '3'}, {name: rotate}]}
";
    let script = "hostname; cat /etc/resolv.conf; cat /etc/hosts";
    let said = node.run(&shell(&node, "named", "Never", script).replacen("spec:\n", more, 1));
    let full = "named.inner.default.svc.cluster.local";
    let resolver = "nameserver 192.0.2.53\nsearch one.test two.test\noptions ndots:3 rotate\n";
    assert!(said.out.starts_with(&format!("{full}\n{resolver}")), "{said:#?}");
    assert!(said.out.contains(&format!("\t{full}\tnamed\n")), "{said:#?}");
    let aliases = "\n# Entries added by HostAliases.\n10.9.8.7\tdb\tdb.local\n# Other Pods of this node.\n";
    assert!(said.out.ends_with(aliases), "{said:#?}");
}

/// A member of each kind that takes a variable from a file; `first` is done before, where `/v` is the volume.
fn from_file(node: &Node, policy: &str, first: &str) -> String {
    let env = "    env: [{name: TOLD, valueFrom: {fileKeyRef: {volumeName: v, path: env, key: KEY}}}]\n";
    let members = shell(node, "told", policy, "echo $TOLD; until [ -e /v/go ]; do sleep 0.1; done; rm /v/go; exit 1")
        + &format!("{env}    volumeMounts: [{{name: v, mountPath: /v}}]\n")
        + &guest_container("w", "env.wasm", "[TOLD]", env);
    let first = native(node, "first", first, "    volumeMounts: [{name: v, mountPath: /v}]\n");
    before_containers(&members, &format!("  volumes: [{{name: v, emptyDir: {{}}}}]\n  initContainers:\n{first}"))
}

#[test]
fn a_file_of_variables_is_read_at_each_start() {
    let node = Node::new();
    node.start(&from_file(&node, "OnFailure", "printf \"KEY='one\\ntwo'\\nOTHER='x'\" > /v/env"));
    node.wait_for_phase("told", "Running");
    let printed = |container: &str| node.dwell(&["logs", "told", "-c", container]).out;
    assert!(wait_until(|| printed("main") == "one two\n" && printed("w") == "TOLD=one\ntwo\n"), "{}", printed("w"));
    let told = |script: &str| node.dwell(&["exec", "told", "-c", "main", "--", "sh", "-c", script]).ok();
    assert_eq!(told("echo \"KEY='three'\" > /v/env; echo $TOLD"), "one two\n", "a process keeps what it has");
    told("touch /v/go");
    assert!(wait_until(|| printed("main") == "three\n"), "{}", printed("main"));
    assert_eq!(told("rm /v/env; echo $TOLD"), "three\n");
    assert_eq!(told("echo ${TOLD:-nothing}"), "nothing\n", "a missing file keeps nobody out");
}

/// What a member leaves in the file's place is its own affair: nobody is led astray by it, and both members say why.
#[test]
fn a_planted_file_of_variables_leads_nowhere() {
    let node = Node::new();
    let bait = node.file("bait", "KEY='secret'\n");
    let plants = [
        (format!("ln -s {} /v/env", bait.display()), "not found in file \"env\" of volume \"v\""),
        ("ln -s ../../../../../../../etc/passwd /v/env".to_owned(), "not found in file"),
        ("ln -s env /v/env".to_owned(), "symbolic links"),
        ("mkfifo /v/env".to_owned(), "not a regular file"),
        ("mkdir /v/env".to_owned(), "not a regular file"),
        ("mknod /v/env c 1 5".to_owned(), "not a regular file"),
        ("truncate -s 8G /v/env".to_owned(), "larger than 1 MiB"),
        ("printf 'KEY=1' > /v/env".to_owned(), "line 1: the value of \"KEY\" does not stand in single quotes"),
        ("printf 'A\\377' > /v/env".to_owned(), "it is no text"),
        ("true".to_owned(), "not found in file"),
    ];
    for (plant, why) in plants {
        node.start(&from_file(&node, "Never", &plant));
        let pod = node.wait_for_phase("told", "Failed");
        for status in pod["status"]["containerStatuses"].as_array().expect("two members") {
            let end = &status["state"]["terminated"];
            assert_eq!(end["reason"], "CreateContainerConfigError", "{plant}: {status:#}");
            assert!(end["message"].as_str().is_some_and(|said| said.contains(why)), "{plant}: {status:#}");
        }
        node.dwell(&["rm", "told"]).ok();
    }
    node.start(&from_file(&node, "Never", "printf \"KEY='fine'\" > /v/real && ln -s real /v/env"));
    assert!(
        wait_until(|| node.dwell(&["logs", "told", "-c", "main"]).out == "fine\n"),
        "control: a link inside counts"
    );
}
