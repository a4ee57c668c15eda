//! `dwell exec`: a program in a running member, a module beside a running Wasm one, its streams ours, its exit status ours.

use std::io::{self, IsTerminal, Write};

use dwell::layout::Layout;
use dwell_serve::client::{ClientFailure, Output, StreamReceiver, StreamRequest, StreamSender};

use super::Outcome;
use crate::args::ContainerName;
use crate::failure::Failure;
use crate::pods::records::key;
use crate::pods::{node, select};
use crate::terminal::{input, interrupt, raw};

/// Arguments of `dwell exec`.
#[derive(Debug, clap::Args)]
pub struct ExecArgs {
    #[command(flatten)]
    of: ContainerName,
    /// Connect standard input
    #[arg(short = 'i', long = "stdin", visible_alias = "interactive")]
    stdin: bool,
    /// Give the program a terminal
    #[arg(short = 't', long)]
    tty: bool,
    /// Run it as this user: UID, UID:GID, or a name that the image knows
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Program and arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the program; 128 + signal when a signal ends us first.
pub async fn run(args: ExecArgs, layout: &Layout) -> Outcome {
    let pods = node::supervised_pods(layout).await?;
    let (pod, container) = select::container_of(&pods, &args.of)?;
    let client = node::connect(layout).await?;
    let tty = args.tty && io::stdin().is_terminal();
    let request = StreamRequest {
        namespace: key(pod).0.into(),
        name: key(pod).1.into(),
        container: Some(container),
        command: args.command,
        user: args.user,
        stdin: args.stdin,
        stdout: true,
        stderr: !args.tty,
        tty: args.tty,
    };
    let (sender, receiver) = client.exec(&request).await?;
    let raw = enter_raw(tty && args.stdin)?;
    let result = converse(sender, receiver, args.stdin, args.tty).await;
    drop(raw);
    result
}

fn enter_raw(wanted: bool) -> Result<Option<raw::RawMode>, Failure> {
    match wanted {
        true => raw::RawMode::enter().map_err(|e| Failure::new("switch the terminal to raw mode").caused_by(&e)),
        false => Ok(None),
    }
}

async fn converse(sender: StreamSender, mut receiver: StreamReceiver, stdin: bool, tty: bool) -> Outcome {
    let mut interrupts = interrupt::Interrupts::catch()?;
    let mut sending = tokio::spawn(send_all(sender, stdin, tty));
    let mut sent = false;
    loop {
        tokio::select! {
            output = receiver.next() => match output? {
                Output::End(status) => return Ok(status),
                piece => write(&piece)?,
            },
            signal = interrupts.next() => return Ok(128 + signal),
            result = &mut sending, if !sent => {
                sent = true;
                // A connection that breaks is noticed, and told, by the receiving half.
                drop(result);
            }
        }
    }
}

fn write(piece: &Output) -> io::Result<()> {
    match piece {
        Output::Stdout(bytes) => write_all(io::stdout().lock(), bytes),
        Output::Stderr(bytes) => write_all(io::stderr().lock(), bytes),
        Output::End(_) => Ok(()),
    }
}

fn write_all(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

/// Standard input until its end, and the terminal's size as often as it changes.
pub async fn send_all(mut sender: StreamSender, stdin: bool, tty: bool) -> Result<(), ClientFailure> {
    let mut resizes = if tty { interrupt::resizes().ok() } else { None };
    let (mut pieces, mut last) = (stdin.then(input::pieces), None);
    if let Some((columns, rows)) = raw::size().filter(|_| tty) {
        sender.resize(columns, rows).await?;
    }
    loop {
        tokio::select! {
            piece = next(&mut pieces) => match piece {
                Some(piece) => {
                    last = piece.last().copied();
                    sender.stdin(&piece).await?;
                }
                None => {
                    pieces = None;
                    if tty {
                        sender.stdin(input::end_on_terminal(last)).await?;
                    }
                    sender.close_stdin().await?;
                }
            },
            Some(()) = changed(&mut resizes) => {
                if let Some((columns, rows)) = raw::size() {
                    sender.resize(columns, rows).await?;
                }
            }
        }
    }
}

async fn next(pieces: &mut Option<tokio::sync::mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match pieces {
        Some(pieces) => pieces.recv().await,
        None => std::future::pending().await,
    }
}

async fn changed(resizes: &mut Option<tokio::signal::unix::Signal>) -> Option<()> {
    match resizes {
        Some(resizes) => resizes.recv().await,
        None => std::future::pending().await,
    }
}
