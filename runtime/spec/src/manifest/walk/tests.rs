//! Findings of the walk, by line and path.

use super::*;
use crate::manifest::yaml;

fn walk(text: &str) -> (Vec<String>, Vec<String>) {
    let documents = yaml::read(text).unwrap();
    let show = |problems: Vec<Problem>| {
        let line = |p: &Problem| p.at.map_or(0, |at| at.line);
        problems.iter().map(|p| format!("{}:{p}", line(p))).collect::<Vec<_>>()
    };
    let findings = pod(&documents[0]);
    (show(findings.problems), show(findings.warnings))
}

#[test]
fn all_findings_in_order_with_their_lines() {
    let text = "\
apiVersion: v1
kind: Pod
metadata: {name: x, labls: {}}
spec:
  nodeName: n1
  containers:
  - name: a
    comand: [x]
    volumeDevices:
    - {name: v, pth: /}
    stdin: \"true\"
    env: [{name: A, value: 8080}]
    securityContext: {appArmorProfile: {type: RuntimeDefault}}
  - name: b
    resources: {limits: {cpu: [1]}}
  initContainers: {}
";
    let (problems, warnings) = walk(text);
    assert_eq!(
        problems,
        [
            "3:metadata.labls: unknown field",
            "8:spec.containers[0].comand: unknown field",
            "9:spec.containers[0].volumeDevices: refused: a claim is a folder here. A `hostPath` of type `BlockDevice`, mounted like any volume, gives a device",
            "10:spec.containers[0].volumeDevices[0].pth: unknown field",
            "11:spec.containers[0].stdin: expected true or false, found the string \"true\"",
            "12:spec.containers[0].env[0].value: expected a string, found the number 8080",
            "13:spec.containers[0].securityContext.appArmorProfile: refused: dwell loads no AppArmor profiles",
            "15:spec.containers[1].resources.limits[cpu]: expected a quantity, found a list",
            "16:spec.initContainers: expected a list, found a mapping",
        ]
    );
    assert_eq!(warnings, ["5:spec.nodeName: ignored: it means something in a cluster only"]);
}

#[test]
fn defaults_of_kubernetes_pass_and_others_do_not() {
    let with = |field: &str| walk(&format!("spec:\n  {field}\n")).0.len();
    for (default, other) in [
        (
            "containers: [{securityContext: {appArmorProfile: {type: Unconfined}}}]",
            "containers: [{securityContext: {appArmorProfile: {type: RuntimeDefault}}}]",
        ),
        ("containers: [{volumeDevices: null}]", "containers: [{volumeDevices: [{name: a, devicePath: /a}]}]"),
    ] {
        assert_eq!(with(default), 0, "{default}");
        assert_eq!(with(other), 1, "{other}");
    }
}

#[test]
fn a_field_of_another_version_is_known() {
    let (problems, warnings) = walk("spec: {schedulingGroup: {podGroupName: x}}\n");
    assert_eq!((problems.len(), warnings.len()), (0, 1));
}

#[test]
fn numbers_out_of_range_are_a_type_error() {
    assert_eq!(walk("spec: {containers: [{ports: [{containerPort: 4294967376}]}]}").0.len(), 1);
    assert_eq!(walk("spec: {containers: [{ports: [{containerPort: 1.5}]}]}").0.len(), 1);
    assert_eq!(walk("spec: {terminationGracePeriodSeconds: 99999999999999999999}").0.len(), 1);
    assert_eq!(walk("spec: {terminationGracePeriodSeconds: 4294967376}").0.len(), 0);
}
