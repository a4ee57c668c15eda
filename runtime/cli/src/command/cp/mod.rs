//! `dwell cp`: files and folders into a running member, native or Wasm, and out of one.
//!
//! As with any `cp`: what is named is followed, links within a folder stay links; a folder that is there takes the copy in,
//! a name that is not becomes it. `-` is a tar stream. The member's side is the node's (`Client::read_archive`,
//! `write_archive`), this machine's side is done here, with the same care: an archive comes from a member.

mod channel;
mod end;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use dwell::archive::{self, Kind, Naming, Ownership, Scope, Tree};
use dwell::layout::Layout;
use dwell_serve::client::{ArchiveReader, Client, ClientFailure, PathOf};
use dwell_sys::complain::complain;
use dwell_sys::fs::open_path;
use tokio::sync::{mpsc, oneshot};

use super::Outcome;
use crate::args::{ContainerName, PodName};
use crate::failure::Failure;
use crate::output::sanitise::printable;
use crate::pods::records::key;
use crate::pods::{node, select};
use crate::terminal::input;
use crate::terminal::interrupt::Interrupts;
use channel::{Incoming, Outgoing};
use end::{End, Path as Named};

/// Pieces of an archive on their way.
const PIECES: usize = 4;
const PIECE: usize = 64 << 10;

/// Arguments of `dwell cp`.
#[derive(Debug, clap::Args)]
#[command(after_help = "POD:PATH or NAMESPACE/POD:PATH is a member's; anything else is of this machine.\n\
                        A folder whose name ends in /. is copied without itself, only what is in it.")]
pub struct CpArgs {
    /// POD:PATH, a file or folder here, or - for a tar stream
    #[arg(value_name = "SOURCE")]
    source: OsString,
    /// POD:PATH, a file or folder here, or - for a tar stream
    #[arg(value_name = "DESTINATION")]
    destination: OsString,
    /// The container, if there are several
    #[arg(short, long, value_name = "CONTAINER")]
    container: Option<String>,
    /// Look in this namespace only
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Keep owners, and the set-user and set-group bits
    #[arg(short, long)]
    archive: bool,
}

/// Copies; 128 + signal when a signal ends it first.
pub async fn run(args: CpArgs, layout: &Layout) -> Outcome {
    let ends = (end::parse(&args.source)?, end::parse(&args.destination)?);
    let ownership = if args.archive { Ownership::Kept } else { Ownership::Own };
    let asked = Asked { container: args.container, namespace: args.namespace };
    let mut interrupts = Interrupts::catch()?;
    // What packs or unpacks hears that nobody is there any more, and is waited for: it leaves nothing half.
    tokio::select! {
        copied = copy(ends, asked, ownership, layout) => copied,
        signal = interrupts.next() => Ok(128 + signal),
    }
}

async fn copy(ends: (End, End), asked: Asked, ownership: Ownership, layout: &Layout) -> Outcome {
    match ends {
        (End::Member(pod, path), to @ (End::Here(_) | End::Stream)) => {
            let (client, from) = asked.member(&pod, path.text(), layout).await?;
            download(&client, &from, &path, to, ownership).await
        }
        (from @ (End::Here(_) | End::Stream), End::Member(pod, path)) => {
            let (client, to) = asked.member(&pod, path.text(), layout).await?;
            upload(&client, from, &to, &path, ownership).await
        }
        (End::Member(..), End::Member(..)) => Err(Failure::new("both are in Pods")
            .with_hint("copy through this machine: dwell cp FROM:PATH - | dwell cp - TO:FOLDER")),
        _ => Err(Failure::new("neither is in a Pod").with_hint("a path in a Pod is POD:PATH")),
    }
}

struct Asked {
    container: Option<String>,
    namespace: Option<String>,
}

impl Asked {
    async fn member(self, pod: &str, path: &str, layout: &Layout) -> Result<(Client, PathOf), Failure> {
        let pods = node::supervised_pods(layout).await?;
        let name = PodName { pod: pod.to_owned(), namespace: self.namespace };
        let (pod, container) = select::container_of(&pods, &ContainerName { name, container: self.container })?;
        let (namespace, name) = key(pod);
        let path = PathOf { namespace: namespace.to_owned(), pod: name.to_owned(), container, path: path.to_owned() };
        Ok((node::connect(layout).await?, path))
    }
}

/// Out of a member.
async fn download(client: &Client, from: &PathOf, named: &Named, to: End, ownership: Ownership) -> Outcome {
    let Some(kind) = client.look(from).await? else {
        return Err(Failure::new(format!("{}: there is no {}", from.pod, printable(&from.path))));
    };
    let name = named.name().unwrap_or(&from.pod);
    let mut reader = client.read_archive(from, name).await?;
    let End::Here(place) = to else {
        return to_stdout(reader).await;
    };
    let (folder, naming) = landing(&place, kind, OsString::from(name), named.is_contents())?;
    let tree = tree(&folder)?;
    let (sender, receiver) = mpsc::channel(PIECES);
    let unpacking = tokio::task::spawn_blocking(move || {
        archive::unpack(&tree, b".", &naming, ownership, Incoming::new(receiver)).map_err(|error| error.to_string())
    });
    let passed = pass(&mut reader, sender).await;
    // It ends now: it has all, or hears of no more, and leaves nothing half.
    let unpacked = unpacking.await.map_err(|e| Failure::new("unpack").caused_by(&e))?;
    passed?;
    told(reader.left_out() + unpacked.map_err(|why| failed(&folder, &why))?)
}

/// Hands pieces on until the archive ends, or nobody takes them any more (who then says why).
async fn pass(reader: &mut ArchiveReader, sender: mpsc::Sender<Vec<u8>>) -> Result<(), ClientFailure> {
    while let Some(piece) = reader.next().await? {
        if sender.send(piece.to_vec()).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn to_stdout(mut reader: ArchiveReader) -> Outcome {
    if io::stdout().is_terminal() {
        return Err(Failure::new("a tar stream is nothing for a terminal").with_hint("lead it into a file: > FILE.tar"));
    }
    let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(PIECES);
    let (tell, written) = oneshot::channel();
    // A thread that nobody waits for: whoever reads may never read on.
    std::thread::spawn(move || {
        let mut out = io::stdout().lock();
        let mut write = || -> io::Result<()> {
            while let Some(piece) = receiver.blocking_recv() {
                out.write_all(&piece)?;
            }
            out.flush()
        };
        let _ = tell.send(write());
    });
    let passed = pass(&mut reader, sender).await;
    let written = written.await.map_err(|e| Failure::new("write to standard output").caused_by(&e))?;
    written?;
    passed?;
    told(reader.left_out())
}

/// Into a member.
async fn upload(client: &Client, from: End, to: &PathOf, named: &Named, ownership: Ownership) -> Outcome {
    let (pieces, packing, to, naming) = match from {
        End::Here(place) => {
            let source = Source::of(&place)?;
            let (folder, name) = remote_landing(client, to, named, &source).await?;
            let naming = if source.contents && name.is_none() { Naming::Dropped } else { Naming::AsIs };
            let (pieces, packing) = packed(source.path, PathBuf::from(name.unwrap_or(source.name)))?;
            (pieces, Some(packing), PathOf { path: folder, ..to.clone() }, naming)
        }
        _ => {
            // Before somebody is asked to write it.
            let there = client.look(to).await?;
            if there != Some(Kind::Folder) {
                return Err(Failure::new(format!("{}: there is no folder {}", to.pod, printable(&to.path))));
            }
            (input::pieces_or_why(), None, to.clone(), Naming::AsIs)
        }
    };
    let written = client.write_archive(&to, &naming, ownership, pieces).await;
    let packed = match packing {
        Some(packing) => packing.await.map_err(|e| Failure::new("pack").caused_by(&e))?,
        None => Ok(0),
    };
    match (written, packed) {
        (Ok(there), Ok(here)) => told(there + here),
        // What went wrong here is why the node saw it break off.
        (_, Err(Some(why))) => Err(Failure::new(why)),
        (Err(failure), _) => Err(failure.into()),
        (Ok(_), Err(None)) => Err(Failure::new("the node took less than there is")),
    }
}

type Pieces = mpsc::Receiver<io::Result<Vec<u8>>>;
type Packing = tokio::task::JoinHandle<Result<u64, Option<String>>>;

/// An archive that is being made; its maker fails with nothing to say when nobody takes it any more.
fn packed(path: PathBuf, entry: PathBuf) -> Result<(Pieces, Packing), Failure> {
    let tree = Tree {
        dir: open_path("/").map_err(|e| failed(Path::new("/"), &e.to_string()))?,
        scope: Scope::Root,
        users: None,
    };
    let (sender, receiver) = mpsc::channel(PIECES);
    let packing = tokio::task::spawn_blocking(move || {
        let out = BufWriter::with_capacity(PIECE, Outgoing::new(sender.clone()));
        archive::pack(&tree, path.as_os_str().as_bytes(), &entry, out).map_err(|error| {
            let why = error.to_string();
            let heard = sender.blocking_send(Err(io::Error::other(why.clone())));
            heard.is_ok().then_some(why)
        })
    });
    Ok((receiver, packing))
}

/// What is to be copied, on this machine.
struct Source {
    /// Followed to its end.
    path: PathBuf,
    name: OsString,
    kind: Kind,
    contents: bool,
}

impl Source {
    fn of(place: &Path) -> Result<Source, Failure> {
        let path = std::fs::canonicalize(place).map_err(|e| failed(place, &e.to_string()))?;
        let kind = if path.is_dir() { Kind::Folder } else { Kind::File };
        let contents =
            kind == Kind::Folder && (place.as_os_str().as_bytes().ends_with(b"/.") || place == Path::new("."));
        let name = place.file_name().or(path.file_name()).map_or_else(|| OsString::from("root"), OsString::from);
        Ok(Source { path, name, kind, contents })
    }
}

/// The folder of this machine that takes the copy in, and what the copy is called there.
fn landing(place: &Path, kind: Kind, name: OsString, contents: bool) -> Result<(PathBuf, Naming), Failure> {
    match std::fs::metadata(place) {
        Ok(there) if there.is_dir() => {
            Ok((place.to_owned(), if contents { Naming::Dropped } else { Naming::Renamed(name) }))
        }
        Ok(_) if kind == Kind::Folder => Err(failed(place, "a file, which cannot take a folder in")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(place, &error.to_string())),
        Err(_) if kind == Kind::File && place.as_os_str().as_bytes().ends_with(b"/") => {
            Err(failed(place, "there is no such folder"))
        }
        _ => {
            // Through a link to a file, as with any `cp`.
            let place = &std::fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
            let name = place.file_name().ok_or_else(|| failed(place, "no name for a copy"))?;
            let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok((folder.to_owned(), Naming::Renamed(name.to_owned())))
        }
    }
}

/// The folder of the member that takes the copy in, and what the copy is called there if not by its own name.
async fn remote_landing(
    client: &Client,
    to: &PathOf,
    named: &Named,
    source: &Source,
) -> Result<(String, Option<OsString>), Failure> {
    let wrong = |why: &str| Err(Failure::new(format!("{}:{}: {why}", to.pod, printable(&to.path))));
    match client.look(to).await? {
        Some(Kind::Folder) => return Ok((to.path.clone(), None)),
        Some(Kind::File) if source.kind == Kind::Folder => return wrong("a file, which cannot take a folder in"),
        None if source.kind == Kind::File && to.path.ends_with('/') => return wrong("there is no such folder"),
        _ => {}
    }
    let Some(name) = named.name() else { return wrong("no name for a copy") };
    let folder = named.folder();
    let above = PathOf { path: folder.clone(), ..to.clone() };
    match client.look(&above).await? {
        Some(Kind::Folder) => Ok((folder, Some(OsString::from(name)))),
        _ => wrong(&format!("there is no folder {}", printable(&folder))),
    }
}

fn tree(folder: &Path) -> Result<Tree, Failure> {
    let path = folder.to_str().ok_or_else(|| failed(folder, "a name that is no text"))?;
    let dir = open_path(path).map_err(|error| failed(folder, &error.to_string()))?;
    Ok(Tree { dir, scope: Scope::Plain, users: None })
}

fn failed(path: &Path, why: &str) -> Failure {
    Failure::new(format!("{}: {why}", printable(&path.to_string_lossy())))
}

fn told(left_out: u64) -> Outcome {
    if left_out > 0 {
        complain(format_args!("left out, since they are neither files nor folders nor links: {left_out}"));
    }
    Ok(0)
}
