//! Follows Pods to their end: output from the log files, state from the node's watch, signals, standard input.
//!
//! ```text
//! Running ─SIGINT, SIGTERM, SIGHUP→ Stopping (in order) ─again→ Killing (grace 0) ─all ended→ Ended
//! ```
//! A node that goes away is replaced and the watch taken up again; the output does not depend on one. All output is
//! written before the end is judged: a Pod's last status is published only after its members' last line.

use std::collections::HashSet;
use std::time::Duration;

use dwell::layout::Layout;
use dwell_serve::client::{Client, ClientFailure, Kind, PodEvent, PodWatch};
use dwell_sys::complain::complain;
use k8s_openapi::api::core::v1::Pod;

use crate::command::Outcome;
use crate::failure::{DWELL_FAILED, Failure};
use crate::output::pods::{PodOutput, Prefix};
use crate::output::progress::Progress;
use crate::pods::records::{is_finished, key, shown, uid};
use crate::pods::{outcome, waiting};
use crate::terminal::attachment::{Attachment, ended};
use crate::terminal::interrupt::Interrupts;

/// Between two attempts to find a node again.
const PAUSE: Duration = Duration::from_millis(20);
/// Attempts to find a node again, in a row.
const ATTEMPTS: u32 = 25;

struct Followed {
    pod: Pod,
    ended: bool,
    removed: bool,
}

struct Follower<'a> {
    layout: &'a Layout,
    client: Client,
    pods: Vec<Followed>,
    output: PodOutput,
    attachment: Option<Attachment>,
    progress: Progress,
    /// Runs whose failure was told, while the Pod goes on.
    told: HashSet<String>,
    signals: u32,
}

/// Signals, one of which may have come before there was a Pod that it could stop.
pub struct Signals {
    interrupts: Interrupts,
    early: Option<u8>,
}

impl Signals {
    /// Begins to catch them.
    pub fn catch() -> Result<Signals, Failure> {
        Ok(Signals { interrupts: Interrupts::catch()?, early: None })
    }

    /// Keeps the first one for later, and gives the second.
    pub async fn second(&mut self) -> u8 {
        loop {
            let signal = self.interrupts.next().await;
            if self.early.replace(signal).is_some() {
                return signal;
            }
        }
    }

    async fn next(&mut self) -> u8 {
        match self.early.take() {
            Some(signal) => signal,
            None => self.interrupts.next().await,
        }
    }
}

/// Follows the Pods; the exit status is the first failed container's of the first failed Pod.
pub async fn follow(
    client: Client,
    layout: &Layout,
    pods: Vec<Pod>,
    prefix: Prefix,
    mut interrupts: Signals,
) -> Outcome {
    for other in Attachment::left_out(&pods) {
        complain(format_args!("warning: standard input goes to the first container that wants it, not to {other}"));
    }
    let mut follower = Follower {
        layout,
        client,
        output: PodOutput::new(layout, &pods, prefix),
        attachment: Attachment::of(&pods),
        pods: pods.into_iter().map(|pod| Followed { pod, ended: false, removed: false }).collect(),
        progress: Progress::new(),
        told: HashSet::new(),
        signals: 0,
    };
    let followed = follower.run(&mut interrupts).await;
    if followed.as_ref().is_err_and(Failure::is_reader_gone) {
        follower.stop(None).await?;
    }
    followed?;
    Ok(follower.judge())
}

impl Follower<'_> {
    async fn run(&mut self, interrupts: &mut Signals) -> Result<(), Failure> {
        let mut watch = match self.watch().await {
            Err(e) if e.kind() == Kind::NoNode => self.watch_again(Some(e)).await?,
            other => other?,
        };
        while !self.pods.iter().all(|followed| followed.ended) {
            self.copy(false)?;
            let attachment = &mut self.attachment;
            tokio::select! {
                event = watch.next() => match event {
                    Ok(Some(event)) => self.take_event(event).await,
                    Ok(None) => watch = self.watch_again(None).await?,
                    Err(e) if e.kind() == Kind::NoNode => watch = self.watch_again(Some(e)).await?,
                    Err(e) => return Err(e.into()),
                },
                changed = self.output.changed() => changed?,
                signal = interrupts.next() => self.take_signal(signal).await?,
                () = ended(attachment) => self.attach_again().await,
                () = self.progress.tick() => self.progress.draw(),
            }
        }
        self.progress.waiting_for(None);
        self.copy(true)
    }

    fn copy(&mut self, finish: bool) -> Result<(), Failure> {
        let Self { output, progress, .. } = self;
        output.copy(finish, || progress.erase())
    }

    /// The watch, and what happened before it began.
    async fn watch(&mut self) -> Result<PodWatch, ClientFailure> {
        let watch = match &self.pods[..] {
            [one] => self.client.watch_pod(key(&one.pod).0, key(&one.pod).1).await?,
            _ => self.client.watch_all_pods().await?,
        };
        for at in 0..self.pods.len() {
            let (namespace, name) = key(&self.pods[at].pod);
            match self.client.pod(namespace, name).await {
                Err(e) if e.kind() == Kind::NotFound => self.removed(at),
                other => self.update(at, other?).await,
            }
        }
        Ok(watch)
    }

    async fn watch_again(&mut self, mut why: Option<ClientFailure>) -> Result<PodWatch, Failure> {
        for _ in 0..ATTEMPTS {
            tokio::time::sleep(PAUSE).await;
            match Client::connect_or_start(self.layout).await {
                Ok(client) => self.client = client,
                Err(e) if e.kind() != Kind::NoNode => return Err(e.into()),
                Err(_) => continue,
            }
            match self.watch().await {
                Err(e) if e.kind() == Kind::NoNode => why = Some(e),
                other => return Ok(other?),
            }
        }
        Err(why.map_or_else(|| Failure::new("the node keeps closing its watch"), Failure::from))
    }

    async fn take_event(&mut self, event: PodEvent) {
        let Some(at) = self.pods.iter().position(|followed| uid(&followed.pod) == uid(event.pod())) else {
            return;
        };
        match event {
            PodEvent::Deleted(pod) => {
                self.pods[at].pod = *pod;
                self.removed(at);
            }
            PodEvent::Added(pod) | PodEvent::Modified(pod) => self.update(at, *pod).await,
        }
    }

    /// A Pod of another uid has taken the name: ours is gone.
    async fn update(&mut self, at: usize, pod: Pod) {
        if uid(&pod) != uid(&self.pods[at].pod) {
            return self.removed(at);
        }
        self.pods[at].ended = is_finished(&pod);
        self.pods[at].pod = pod;
        if let Some(attachment) = &mut self.attachment {
            attachment.pod_changed(&self.client, &self.pods[at].pod).await;
        }
        self.tell_retried(at);
        self.show_waiting();
    }

    /// Why a container did not start, or what ended it, is said when it happens: a Pod that is started again and again
    /// may never end.
    fn tell_retried(&mut self, at: usize) {
        for (run, sentence) in outcome::retried(&self.pods[at].pod) {
            if self.told.insert(run) {
                self.progress.erase();
                complain(format_args!("dwell: {sentence}; it is started again"));
            }
        }
    }

    fn removed(&mut self, at: usize) {
        let followed = &mut self.pods[at];
        followed.removed = !is_finished(&followed.pod);
        followed.ended = true;
    }

    /// After a stop was asked for, that is what is waited for.
    fn show_waiting(&mut self) {
        let live = || self.pods.iter().filter(|followed| !followed.ended);
        let what = match self.signals {
            0 => live().find_map(|followed| waiting::what(&followed.pod)),
            _ => live().next().map(|followed| format!("stopping {}", shown(&followed.pod))),
        };
        self.progress.waiting_for(what);
    }

    async fn attach_again(&mut self) {
        for followed in &self.pods {
            if let Some(attachment) = &mut self.attachment {
                attachment.pod_changed(&self.client, &followed.pod).await;
            }
        }
    }

    async fn take_signal(&mut self, signal: u8) -> Result<(), Failure> {
        self.signals += 1;
        self.progress.erase();
        match self.signals {
            1 if signal == 2 => complain(format_args!("stopping {} (Ctrl-C again kills at once)", self.names())),
            1 => complain(format_args!("stopping {}", self.names())),
            _ => complain(format_args!("killing {}", self.names())),
        }
        self.stop((self.signals > 1).then_some(0)).await?;
        self.show_waiting();
        Ok(())
    }

    fn names(&self) -> String {
        let live = self.pods.iter().filter(|followed| !followed.ended);
        live.map(|followed| shown(&followed.pod)).collect::<Vec<_>>().join(", ")
    }

    /// Asks for a stop of every Pod that has not ended. A node that is gone is replaced first.
    async fn stop(&mut self, grace: Option<u32>) -> Result<(), Failure> {
        for at in 0..self.pods.len() {
            if self.pods[at].ended {
                continue;
            }
            match self.stop_one(at, grace).await {
                Err(e) if e.kind() == Kind::NoNode => {
                    self.client = Client::connect_or_start(self.layout).await?;
                    self.stop_one(at, grace).await?;
                }
                Err(e) if matches!(e.kind(), Kind::NotFound | Kind::Conflict) => {}
                other => other?,
            }
        }
        Ok(())
    }

    async fn stop_one(&self, at: usize, grace: Option<u32>) -> Result<(), ClientFailure> {
        let (namespace, name) = key(&self.pods[at].pod);
        self.client.stop_pod(namespace, name, grace).await
    }

    /// The exit status, after a sentence on standard error for each failure.
    fn judge(mut self) -> u8 {
        // The terminal first, else the sentences are written in raw mode.
        self.attachment = None;
        let mut status = 0;
        for followed in &self.pods {
            let end = outcome::of(&followed.pod);
            for sentence in &end.sentences {
                complain(format_args!("dwell: {sentence}"));
            }
            if followed.removed {
                complain(format_args!("dwell: {} was removed before it ended", shown(&followed.pod)));
            }
            let own = if followed.removed && end.status == 0 { DWELL_FAILED } else { end.status };
            status = if status == 0 { own } else { status };
        }
        status
    }
}
