//! `dwell debug`: a container is added to a Pod that runs, to look around in it; its streams ours, its exit status ours.
//!
//! ```text
//! typed ─to_debugger→ EphemeralContainer ─added→ Waiting ─the target runs→ Running ─→ Ended → its exit status
//! ```
//! What was added stays in the Pod's record. Whoever leaves early ends it, unless it was asked to stay (`-d`).

use dwell::layout::Layout;
use dwell_serve::client::{Client, Kind};
use dwell_spec::manifest;
use dwell_spec::short_form::{self, DebugArgs as Typed, Debugger};
use dwell_sys::complain::complain;
use k8s_openapi::api::core::v1::Pod;

use super::run::own_variables;
use super::run::source::{random, working_directory};
use super::{Outcome, print};
use crate::args::PodName;
use crate::failure::Failure;
use crate::output::pods::PodOutput;
use crate::output::progress::Progress;
use crate::output::sanitise::printable;
use crate::pods::changes::{Change, Changes};
use crate::pods::records::{is_finished, key, shown, status_of};
use crate::pods::{node, outcome, select};
use crate::terminal::attachment::{Attachment, ended};
use crate::terminal::interrupt::Interrupts;

/// Arguments of `dwell debug`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  dwell debug web --image rootfs:/srv/tools -it -- sh              a shell in the Pod's network
  dwell debug web --image rootfs:/srv/tools --target app -- ps     among app's processes, with its volumes
  dwell debug web --image wasm:look.wasm --target filter           a module beside a Wasm member")]
pub struct DebugArgs {
    #[command(flatten)]
    name: PodName,
    /// The image: rootfs:DIR or wasm:FILE
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// See the processes and the volumes of this container
    #[arg(long, value_name = "CONTAINER")]
    target: Option<String>,
    /// Name of the container that is added
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// What it may do; general, for what is native
    #[arg(long, value_enum, value_name = "PROFILE")]
    profile: Option<Profile>,
    /// Set a variable; without a value, pass on our own
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Connect standard input
    #[arg(short = 'i', long = "stdin", visible_alias = "interactive")]
    stdin: bool,
    /// Give it a terminal
    #[arg(short = 't', long)]
    tty: bool,
    /// Leave it running, and print its name
    #[arg(short, long, conflicts_with = "stdin")]
    detach: bool,
    /// Say nothing of what it sees
    #[arg(short, long)]
    quiet: bool,
    /// Program and arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// kubectl's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Profile {
    /// A member's rights, and tracing
    General,
    /// A member's rights
    Baseline,
    /// Neither root nor any capability
    Restricted,
    /// A member's rights, and the Pod's network
    Netadmin,
    /// Everything: a privileged container
    Sysadmin,
}

impl From<Profile> for short_form::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::General => Self::General,
            Profile::Baseline => Self::Baseline,
            Profile::Restricted => Self::Restricted,
            Profile::Netadmin => Self::Netadmin,
            Profile::Sysadmin => Self::Sysadmin,
        }
    }
}

/// Adds the container and follows it to its end: its exit status.
pub async fn run(args: DebugArgs, layout: &Layout) -> Outcome {
    let pods = node::supervised_pods(layout).await?;
    let pod = select::one(&pods, &args.name.pod, args.name.namespace.as_deref())?;
    let (detach, quiet) = (args.detach, args.quiet);
    if let Some(target) = &args.target {
        select::container(pod, Some(target))?;
    }
    let debugger = debugger(args, pod)?;
    let name = &debugger.container.name;
    let client = node::connect(layout).await?;
    let interrupts = Interrupts::catch()?;
    let pod = client.add_containers(key(pod).0, key(pod).1, std::slice::from_ref(&debugger.container)).await?;
    if !quiet {
        tell(&debugger);
    }
    if detach {
        print(&format!("{name}\n"))?;
        return Ok(0);
    }
    let last = pod.clone();
    let following = Following { layout, pod: &pod, name, interrupts, last, signalled: false, signals: 0 };
    following.follow().await
}

fn debugger(args: DebugArgs, pod: &Pod) -> Result<Debugger, Failure> {
    let run = short_form::RunArgs {
        image: Some(args.image),
        args: args.command,
        env: args.env,
        host_env: own_variables(),
        stdin: args.stdin,
        tty: args.tty,
        base_dir: working_directory()?,
        ..short_form::RunArgs::default()
    };
    let name = args.container.unwrap_or_else(|| manifest::generated_name("debugger-", random()));
    let typed = Typed { name, target: args.target, profile: args.profile.map(Into::into), run };
    short_form::to_debugger(&typed, pod).map_err(|error| {
        let failure = Failure::of(&error);
        error.hint().into_iter().fold(failure, Failure::with_hint)
    })
}

fn tell(Debugger { container, mounted, left_out }: &Debugger) {
    let seen: Vec<_> = mounted.iter().map(|(volume, place)| format!("{volume} at {place}")).collect();
    let volumes = if seen.is_empty() { String::new() } else { format!(", with volume {}", seen.join(", ")) };
    complain(format_args!("{}", printable(&format!("added container {}{volumes}", container.name))));
    for place in left_out {
        complain(format_args!("{}", printable(&format!("warning: {place} is part of a volume, and left out"))));
    }
}

struct Following<'a> {
    layout: &'a Layout,
    pod: &'a Pod,
    name: &'a str,
    interrupts: Interrupts,
    /// The Pod as it was last.
    last: Pod,
    /// Whether a signal asked us to end that the container was not told of, and how many there were.
    signalled: bool,
    signals: u32,
}

/// Our own ends of its streams.
struct Ours {
    output: PodOutput,
    attachment: Option<Attachment>,
    progress: Progress,
}

impl Ours {
    fn copy(&mut self, finish: bool) -> Result<(), Failure> {
        let Self { output, progress, .. } = self;
        output.copy(finish, || progress.erase())
    }
}

impl Following<'_> {
    async fn follow(mut self) -> Outcome {
        let (layout, pod) = (self.layout, self.pod);
        let mut changes = Changes::of(layout, pod);
        let mut ours = Ours {
            output: PodOutput::of_one(layout, pod, self.name),
            attachment: Attachment::to(pod, self.name),
            progress: Progress::new(),
        };
        while self.end().is_none() && !is_finished(&self.last) {
            ours.copy(false)?;
            ours.progress.waiting_for(self.waits());
            match self.turn(&mut changes, &mut ours).await? {
                Some(Change::To(now)) => self.last = *now,
                Some(Change::Gone) => return Err(self.gone()),
                Some(Change::Closed) | None => {}
            }
            self.stop().await?;
            if let (Some(attachment), Some(client)) = (&mut ours.attachment, changes.client()) {
                attachment.pod_changed(client, &self.last).await;
            }
        }
        ours.progress.waiting_for(None);
        ours.copy(true)?;
        // The terminal first, else the sentences are written in raw mode.
        drop(ours);
        self.judge()
    }

    /// Waits until something happens; what became of the Pod, if it was that.
    async fn turn(&mut self, changes: &mut Changes<'_>, ours: &mut Ours) -> Result<Option<Change>, Failure> {
        if changes.client().is_none() {
            return changes.look().await.map(Some);
        }
        tokio::select! {
            change = changes.changed() => return change.map(Some),
            changed = ours.output.changed() => changed?,
            () = ended(&mut ours.attachment) => {}
            () = ours.progress.tick() => ours.progress.draw(),
            _ = self.interrupts.next() => (self.signalled, self.signals) = (true, self.signals + 1),
        }
        Ok(None)
    }

    fn end(&self) -> Option<outcome::Outcome> {
        status_of(&self.last, self.name).and_then(outcome::of_container)
    }

    fn waits(&self) -> Option<String> {
        let waiting = status_of(&self.last, self.name)?.state.as_ref()?.waiting.as_ref()?;
        Some(waiting.message.clone().unwrap_or_else(|| format!("starting {}", self.name)))
    }

    fn gone(&self) -> Failure {
        Failure::new(format!("{} was removed before {} ended", shown(self.pod), self.name))
    }

    /// Nobody would look after it: the first signal asks it to end, or gives it up if it has not begun; the second ends it.
    async fn stop(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.signalled) {
            return Ok(());
        }
        let (namespace, name) = key(self.pod);
        let word = if self.signals > 1 { "KILL" } else { "TERM" };
        let client = Client::connect_or_start(self.layout).await?;
        match client.kill_pod(namespace, name, word, Some(self.name)).await {
            // It is being born: soon it can be told. Or it has ended.
            Err(e) if e.kind() == Kind::Conflict => {
                self.signalled = true;
                Ok(())
            }
            Err(e) if e.kind() == Kind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }

    fn judge(&self) -> Outcome {
        let Some(end) = self.end() else {
            return Err(Failure::new(format!("{} ended before {} began", shown(self.pod), self.name)));
        };
        end.sentences.iter().for_each(|sentence| complain(format_args!("dwell: {sentence}")));
        Ok(end.status)
    }
}
