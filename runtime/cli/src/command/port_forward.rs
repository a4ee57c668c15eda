//! `dwell port-forward`: ports of this machine's loopback that lead into a Pod, as long as the command runs.
//!
//! Each connection is one of the node's own into the Pod (`Client::connect_port`), so that what listens on `localhost` only
//! is reached, too, and a Pod that is restarted meanwhile is found again. One that fails ends nothing but itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use dwell::layout::Layout;
use dwell_serve::client::{Client, ClientFailure, Kind};
use dwell_sys::complain::complain;
use k8s_openapi::api::core::v1::Pod;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Outcome, print};
use crate::args::PodName;
use crate::failure::Failure;
use crate::output::sanitise::printable;
use crate::pods::records::{key, shown};
use crate::pods::{node, select};
use crate::terminal::interrupt::Interrupts;

/// Arguments of `dwell port-forward`.
#[derive(Debug, clap::Args)]
pub struct PortForwardArgs {
    #[command(flatten)]
    name: PodName,
    /// LOCAL:REMOTE, REMOTE for both, or :REMOTE for any free port here; REMOTE is a number or a port's name
    #[arg(value_name = "[LOCAL:]REMOTE", required = true)]
    ports: Vec<String>,
    /// Addresses of this machine to listen on
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', default_value = "localhost")]
    address: Vec<String>,
}

/// One port that leads into the Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Forward {
    /// 0 is any that is free.
    local: u16,
    remote: u16,
}

/// Where every connection goes.
#[derive(Debug, Clone)]
struct Destination {
    layout: Layout,
    namespace: String,
    name: String,
    port: u16,
}

/// Forwards until interrupted: 128 + the signal's number.
pub async fn run(args: PortForwardArgs, layout: &Layout) -> Outcome {
    // A client belongs to one thread.
    tokio::task::LocalSet::new().run_until(forward_all(args, layout)).await
}

async fn forward_all(args: PortForwardArgs, layout: &Layout) -> Outcome {
    let pods = node::supervised_pods(layout).await?;
    let pod = select::one(&pods, &args.name.pod, args.name.namespace.as_deref())?;
    let forwards: Vec<Forward> = args.ports.iter().map(|text| forward(text, pod)).collect::<Result<_, _>>()?;
    let addresses = addresses(&args.address)?;
    // No port is promised for a Pod that is not there.
    node::connect(layout).await?;
    let mut interrupts = Interrupts::catch()?;
    let mut listening = JoinSet::new();
    for forward in forwards {
        for listener in listen(&addresses, forward.local).await? {
            let local = listener.local_addr().map_err(|e| Failure::new("read a listener's address").caused_by(&e))?;
            print(&format!("Forwarding from {local} -> {}\n", forward.remote))?;
            let (namespace, name) = key(pod);
            let to = Destination {
                layout: layout.clone(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                port: forward.remote,
            };
            listening.spawn_local(serve(listener, to));
        }
    }
    tokio::select! {
        signal = interrupts.next() => Ok(128 + signal),
        gone = listening.join_next() => match gone {
            Some(Ok(failure)) => Err(failure),
            _ => Err(Failure::new(format!("forwarding to {} has ended", shown(pod)))),
        },
    }
}

/// The same free port on every address, if any will do.
async fn listen(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = Vec::new();
    let mut port = port;
    for address in addresses {
        let wanted = SocketAddr::new(*address, port);
        match TcpListener::bind(wanted).await {
            Ok(listener) => {
                port = listener.local_addr().map_or(port, |bound| bound.port());
                listeners.push(listener);
            }
            // A machine without IPv6 has no `::1`, which nobody asked for by name.
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable && !listeners.is_empty() => {}
            Err(error) => {
                return Err(Failure::new(format!("listen on {wanted}"))
                    .caused_by(&error)
                    .with_hint("`ss -tlpn` shows who has the port; :REMOTE takes any that is free"));
            }
        }
    }
    Ok(listeners)
}

/// Until the Pod is gone for good.
async fn serve(listener: TcpListener, to: Destination) -> Failure {
    let (to, mut connections) = (Arc::new(to), JoinSet::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn_local(forward_one(stream, to.clone()))),
                // Out of descriptors, say: others must finish first.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            },
            Some(ended) = connections.join_next() => {
                if let Ok(Some(failure)) = ended {
                    return failure;
                }
            }
        }
    }
}

/// Why there is no use in going on, if so.
async fn forward_one(mut stream: TcpStream, to: Arc<Destination>) -> Option<Failure> {
    let failure = match connect(&to).await {
        Ok(mut inside) => {
            // Either side's going away ends it.
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut inside).await;
            return None;
        }
        Err(failure) => failure,
    };
    if failure.kind() == Kind::NotFound {
        return Some(failure.into());
    }
    complain(format_args!("forward a connection to port {}: {}", to.port, printable(&dwell::chain(&failure))));
    None
}

async fn connect(to: &Destination) -> Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, ClientFailure> {
    let client = Client::connect_or_start(&to.layout).await?;
    client.connect_port(&to.namespace, &to.name, to.port).await
}

fn forward(text: &str, pod: &Pod) -> Result<Forward, Failure> {
    let wrong = |why: String| Failure::new(format!("{}: {why}", printable(text)));
    let (local, remote) = match text.split_once(':') {
        Some((local, remote)) => (Some(local), remote),
        None => (None, text),
    };
    let number = |text: &str| text.parse::<u16>().ok();
    let remote_number = match number(remote).filter(|port| *port > 0) {
        Some(port) => port,
        None => named(pod, remote).ok_or_else(|| {
            wrong(format!("{} is neither a port nor the name of one of its ports", printable(remote)))
        })?,
    };
    let local = match local {
        None => remote_number,
        Some("") => 0,
        Some(local) => number(local).ok_or_else(|| wrong("a port is a number from 0 to 65535".into()))?,
    };
    Ok(Forward { local, remote: remote_number })
}

/// The TCP port of this name in the manifest.
fn named(pod: &Pod, name: &str) -> Option<u16> {
    let spec = pod.spec.as_ref()?;
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some(name))?;
    u16::try_from(port.container_port).ok()
}

fn addresses(texts: &[String]) -> Result<Vec<IpAddr>, Failure> {
    let mut found = Vec::new();
    for text in texts {
        match text.as_str() {
            "localhost" => found.extend([IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)]),
            other => found.push(other.parse().map_err(|_| {
                Failure::new(format!("--address {}: neither an IP address nor localhost", printable(other)))
            })?),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_str(
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[
            {"name":"a","ports":[{"name":"http","containerPort":8080}]}]}}"#,
        )
        .unwrap()
    }

    #[test]
    fn ports_are_numbers_or_names() {
        let of = |text: &str| forward(text, &pod()).ok().map(|forward| (forward.local, forward.remote));
        assert_eq!(of("80"), Some((80, 80)));
        assert_eq!(of("8000:80"), Some((8000, 80)));
        assert_eq!((of(":80"), of("0:80")), (Some((0, 80)), Some((0, 80))));
        assert_eq!((of("http"), of("81:http")), (Some((8080, 8080)), Some((81, 8080))));
        for wrong in ["", ":", "x", "80:", "65536", "80:0", "-1:80", "80:80:80", "80:https"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_are_of_this_machine() {
        assert_eq!(addresses(&["localhost".into()]).unwrap().len(), 2);
        assert_eq!(addresses(&["0.0.0.0".into(), "::1".into()]).unwrap().len(), 2);
        assert!(addresses(&["host".into()]).is_err());
    }
}
