//! What is installed: this program, its completions and man pages, the service unit, the folder of manifests.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Failure;

/// Where systemd looks for units of the machine's own.
pub const UNIT: &str = "/etc/systemd/system/dwell.service";
/// What the unit runs beside the Pods that were there.
const MANIFESTS: &str = "/etc/dwell/pods";

/// One thing, by its path in the installed system.
#[derive(Debug)]
pub struct Item {
    pub path: PathBuf,
    what: What,
}

#[derive(Debug)]
enum What {
    /// The program that runs now.
    Ourselves,
    Text(Vec<u8>),
    Folder,
}

/// Everything, for programs in `prefix`.
pub fn all(prefix: &Path, with_unit: bool) -> Result<Vec<Item>, Failure> {
    let mut items = vec![Item { path: prefix.join("bin/dwell"), what: What::Ourselves }];
    for (shell, path) in [
        (Shell::Bash, "share/bash-completion/completions/dwell"),
        (Shell::Zsh, "share/zsh/site-functions/_dwell"),
        (Shell::Fish, "share/fish/vendor_completions.d/dwell.fish"),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "dwell", &mut script);
        items.push(Item { path: prefix.join(path), what: What::Text(script) });
    }
    items.extend(pages(prefix)?);
    if with_unit {
        let bin = prefix.join("bin");
        items.push(Item::text(UNIT.into(), include_str!("dwell.service").replace("@BIN@", &bin.to_string_lossy())));
        items.push(Item { path: MANIFESTS.into(), what: What::Folder });
    }
    Ok(items)
}

/// The man pages: dwell's own, and one for each verb.
fn pages(prefix: &Path) -> Result<Vec<Item>, Failure> {
    let mut whole = Cli::command();
    whole.build();
    let verbs: Vec<_> = whole.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let mut items = Vec::new();
    for page in std::iter::once(whole).chain(verbs).map(clap_mangen::Man::new) {
        let path = prefix.join("share/man/man1").join(page.get_filename());
        let mut text = Vec::new();
        page.render(&mut text).map_err(|e| Failure::new(format!("make {}", path.display())).caused_by(&e))?;
        items.push(Item { path, what: What::Text(text) });
    }
    Ok(items)
}

impl Item {
    /// A text.
    pub fn text(path: PathBuf, text: String) -> Self {
        Self { path, what: What::Text(text.into_bytes()) }
    }

    /// Whether something else is at this path.
    pub fn is_another(&self, path: &Path) -> bool {
        match (&self.what, path.symlink_metadata()) {
            (_, Err(_)) => false,
            (What::Folder, Ok(meta)) => !meta.is_dir(),
            (_, Ok(meta)) if !meta.is_file() => true,
            (What::Text(text), Ok(_)) => std::fs::read(path).map_or(true, |there| there != *text),
            (What::Ourselves, Ok(_)) => !is_ourselves(path).unwrap_or(false),
        }
    }

    /// Makes it, with the folders above it; whoever reads finds the old one or the new one, never half of either.
    pub fn put(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        match &self.what {
            What::Folder => std::fs::create_dir_all(path),
            What::Text(text) => replace(path, 0o644, &mut &text[..]),
            What::Ourselves if is_ourselves(path).unwrap_or(false) => Ok(()),
            What::Ourselves => replace(path, 0o755, &mut File::open("/proc/self/exe")?),
        }
    }
}

fn is_ourselves(path: &Path) -> io::Result<bool> {
    let (there, here) = (std::fs::metadata(path)?, std::fs::metadata("/proc/self/exe")?);
    Ok(there.len() == here.len() && std::fs::read(path)? == std::fs::read("/proc/self/exe")?)
}

fn replace(path: &Path, mode: u32, content: &mut dyn Read) -> io::Result<()> {
    let fresh = path.with_extension("dwell-new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
    let written = (|| {
        io::copy(content, &mut file)?;
        // Whatever the umask says.
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.flush()?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written
}
