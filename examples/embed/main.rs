//! dwell inside a program: a Pod of a native and a Wasm member, watched, asked, changed and stopped, without the command.
//!
//! ```text
//! cargo run --release -p dwell --example embed -- DWELL ROOTFS MODULE FOLDER
//! ```
//! DWELL is the installed binary (it runs Wasm members), ROOTFS a root file system with a shell, MODULE a `.wasm` command that
//! takes a number of seconds to sleep, FOLDER where this node keeps what it must not forget. As root.

use std::error::Error;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dwell::container::log::Filter;
use dwell::layout::Layout;
use dwell::{ExecRequest, Node, NodeConfig, WorkerExecutable};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [dwell, rootfs, module, folder] = &paths[..] else { return Err("embed DWELL ROOTFS MODULE FOLDER".into()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tour(&mut io::stdout(), (dwell, rootfs, module), folder))
}

/// Everything once.
pub(crate) async fn tour(
    out: &mut impl Write,
    (dwell, rootfs, module): (&Path, &Path, &Path),
    folder: &Path,
) -> Outcome {
    // One node for each folder. Pods that run there already are found again.
    let worker = Some(WorkerExecutable::open(dwell)?);
    let node = Node::open(NodeConfig { layout: Layout::at(Some(folder.to_owned())), worker }).await?;
    let pod = node.run(manifest(rootfs, module)?).await?;
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    until(&node, name, "Running").await?;
    writeln!(out, "{name} runs at {}", node.status("default", name)?.pod_ip.unwrap_or_default())?;

    writeln!(
        out,
        "exec: {}",
        ask(
            &node,
            name,
            &["sh", "-c", "until [ -s /shared/greeting ]; do sleep 0.01; done; cat /shared/greeting; hostname"]
        )
        .await?
        .trim()
    )?;
    let mut logs = node.logs("default", name, Some("server"), Filter::default())?;
    let mut heard = false;
    while !heard {
        logs.drain(|record| {
            heard = true;
            writeln!(out, "log: {}", String::from_utf8_lossy(record.bytes))
        })?;
        if !heard {
            logs.changed().await?;
        }
    }
    for pod in node.stats().await {
        let members =
            pod.containers.iter().map(|member| format!("{} ({})", member.name, member.kind.as_deref().unwrap_or("?")));
        writeln!(out, "stats: {}", members.collect::<Vec<_>>().join(", "))?;
    }

    // Another limit while it runs, based on what it is now.
    let now = node.get("default", name)?;
    let mut wanted = Pod::clone(&now);
    let limits = json!({"limits": {"memory": "64Mi"}});
    wanted.spec.as_mut().ok_or("no spec")?.containers[0].resources = Some(serde_json::from_value(limits)?);
    node.update(wanted, Some(now)).await?;
    let status = node.status("default", name)?;
    let server = &status.container_statuses.as_deref().unwrap_or_default()[0];
    writeln!(out, "changed, and restarted {} times", server.restart_count)?;

    node.remove("default", name, Some(1)).await?;
    while node.get("default", name).is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    writeln!(out, "{name} is gone")?;
    node.close().await;
    Ok(())
}

/// A Pod as Kubernetes writes it, checked as one that came from a file.
fn manifest(rootfs: &Path, module: &Path) -> Outcome<Pod> {
    let mount = json!([{"name": "shared", "mountPath": "/shared"}]);
    let script = "echo hello > /shared/greeting; echo ready; exec sleep 600";
    Ok(dwell::read_pod(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "embedded"},
        "spec": {
            "volumes": [{"name": "shared", "emptyDir": {}}],
            "containers": [
                {"name": "server", "image": format!("rootfs:{}", rootfs.display()), "command": ["sh", "-c", script],
                 "volumeMounts": mount, "resources": {"limits": {"memory": "32Mi"}}},
                {"name": "module", "image": format!("wasm:{}", module.display()), "args": ["600"], "volumeMounts": mount}
            ]
        }
    }))?)
}

/// Every change is told; what was before `watch` is in its list.
async fn until(node: &Arc<Node>, name: &str, phase: &str) -> Outcome {
    let (_, mut changes) = node.watch();
    loop {
        match node.status("default", name)?.phase.as_deref() {
            Some(now) if now == phase => return Ok(()),
            Some("Failed") => return Err(format!("{name} has failed").into()),
            _ => drop(changes.recv().await?),
        }
    }
}

/// The output of a program beside a member.
async fn ask(node: &Arc<Node>, name: &str, command: &[&str]) -> Outcome<String> {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    let request = ExecRequest { container: Some("server".to_owned()), command, ..ExecRequest::default() };
    let session = node.exec("default", name, request).await?;
    let read = move || {
        let mut text = String::new();
        std::fs::File::from(session.stdout).read_to_string(&mut text).map(|_| text)
    };
    let text = tokio::task::spawn_blocking(read).await??;
    match session.exit.await?.code {
        0 => Ok(text),
        code => Err(format!("it ended with {code}").into()),
    }
}
