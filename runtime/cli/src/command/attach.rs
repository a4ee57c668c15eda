//! `dwell attach`: a member's own streams from now on: what it writes, and with `-i` our standard input.
//!
//! What it writes comes through its log, like all output, so nothing is lost between this and `dwell logs`. Leaving ends
//! nothing: the member goes on, and only one with `stdinOnce` sees the end of its input.

use dwell::layout::Layout;
use dwell_serve::client::Client;
use k8s_openapi::api::core::v1::Pod;

use super::{Outcome, logs};
use crate::args::ContainerName;
use crate::failure::Failure;
use crate::pods::records::{self, runs, shown, uid};
use crate::pods::{node, select};
use crate::terminal::attachment::{Attachment, ended};
use crate::terminal::interrupt::Interrupts;

/// Arguments of `dwell attach`.
#[derive(Debug, clap::Args)]
pub struct AttachArgs {
    #[command(flatten)]
    of: ContainerName,
    /// Connect standard input
    #[arg(short = 'i', long = "stdin", visible_alias = "interactive")]
    stdin: bool,
    /// For kubectl's habit: whether it is a terminal is the container's `tty`
    #[arg(short = 't', long, hide = true)]
    tty: bool,
}

/// Shows and sends until the Pod ends, or 128 + the signal that ends us first.
pub async fn run(args: AttachArgs, layout: &Layout) -> Outcome {
    let pods = node::supervised_pods(layout).await?;
    let (pod, name) = select::container_of(&pods, &args.of)?;
    if !runs(pod, &name) {
        return Err(Failure::new(format!("container {name} of {} is not running", shown(pod)))
            .with_hint("`dwell logs` shows what it wrote"));
    }
    let mut attachment = args.stdin.then(|| attachment(pod, &name)).transpose()?;
    let mut interrupts = Interrupts::catch()?;
    let following = logs::from_now_on(layout, pod, &name);
    tokio::pin!(following);
    connect(layout, pod, &mut attachment).await?;
    loop {
        tokio::select! {
            done = &mut following => return done.map(|()| 0),
            signal = interrupts.next() => return Ok(128 + signal),
            () = ended(&mut attachment) => connect(layout, pod, &mut attachment).await?,
        }
    }
}

/// Of a container that reads what it is sent.
fn attachment(pod: &Pod, name: &str) -> Result<Attachment, Failure> {
    Attachment::to(pod, name).ok_or_else(|| {
        Failure::new(format!("container {name} of {} reads no standard input", shown(pod)))
            .with_hint("`stdin: true` in its manifest gives it one; `dwell exec -it` runs a shell beside it")
    })
}

/// To whichever node there is; an input that has ended needs none.
async fn connect(layout: &Layout, pod: &Pod, attachment: &mut Option<Attachment>) -> Result<(), Failure> {
    if let Some(attachment) = attachment {
        let client = Client::connect_or_start(layout).await?;
        if let Some(now) = records::read_one(layout, uid(pod))? {
            attachment.pod_changed(&client, &now).await;
        }
    }
    Ok(())
}
