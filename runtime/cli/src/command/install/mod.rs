//! `dwell install` puts this one file in its place, with completions, man pages and a service unit beside it, and
//! `dwell uninstall` takes away exactly that. Pods and their state are nobody's business here.
//!
//! What was put is written down in `PREFIX/share/dwell/installed`, before it is put: an installation that broke off can be
//! undone as well. A file that somebody else put there is never replaced, nor removed.

mod items;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::{Outcome, print};
use crate::failure::Failure;
use items::Item;

/// Where things go.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// Folder of programs and what belongs to them
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,
    /// Put all of it below DIR, to make a package
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Arguments of `dwell install`.
#[derive(Debug, clap::Args)]
pub struct InstallArgs {
    #[command(flatten)]
    place: Place,
    /// Leave the service unit out; without it, there is one where there is systemd
    #[arg(long)]
    no_unit: bool,
    /// Replace files that somebody else put there
    #[arg(long)]
    force: bool,
}

/// Arguments of `dwell uninstall`.
#[derive(Debug, clap::Args)]
pub struct UninstallArgs {
    #[command(flatten)]
    place: Place,
}

impl Place {
    /// Where a path of the installed system is now.
    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn record(&self) -> PathBuf {
        self.prefix.join("share/dwell/installed")
    }

    /// What was put there before, files and folders; nothing without a record.
    fn installed(&self) -> Result<BTreeSet<PathBuf>, Failure> {
        let path = self.at(&self.record());
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().map(PathBuf::from).collect()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(e) => Err(Failure::new(format!("read {}", path.display())).caused_by(&e)),
        }
    }
}

/// Installs, over an earlier installation too.
pub fn install(args: InstallArgs) -> Outcome {
    let place = &args.place;
    if !place.prefix.is_absolute() {
        return Err(Failure::new(format!("--prefix {} is not absolute", place.prefix.display())));
    }
    let with_unit = !args.no_unit && has_systemd(place);
    let items = items::all(&place.prefix, with_unit)?;
    let mut installed = place.installed()?;
    if !args.force {
        refuse_foreign(place, &items, &installed)?;
    }
    let paths = || items.iter().map(|item| item.path.clone()).chain([place.record()]);
    let folders: Vec<PathBuf> = paths().flat_map(|path| missing_folders(place, &path)).collect();
    installed.extend(paths().chain(folders));
    write_record(place, &installed)?;
    for item in &items {
        item.put(&place.at(&item.path))
            .map_err(|e| Failure::new(format!("write {}", place.at(&item.path).display())).caused_by(&e))?;
    }
    let paths: String = items.iter().map(|item| format!("{}\n", place.at(&item.path).display())).collect();
    print(&paths)?;
    if with_unit && place.root == Path::new("/") {
        dwell_sys::complain::complain(
            "start it with the machine: systemctl daemon-reload && systemctl enable --now dwell",
        );
    }
    Ok(0)
}

fn has_systemd(place: &Place) -> bool {
    let programs = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd"];
    programs.iter().any(|program| place.at(Path::new(program)).exists())
}

/// Before anything is written.
fn refuse_foreign(place: &Place, items: &[Item], installed: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    for item in items.iter().filter(|item| !installed.contains(&item.path)) {
        if item.is_another(&place.at(&item.path)) {
            let path = place.at(&item.path);
            return Err(Failure::new(format!("{} is there already, and is not this dwell's", path.display()))
                .with_hint("--force replaces it"));
        }
    }
    Ok(())
}

/// The folders above it that will have to be made.
fn missing_folders(place: &Place, path: &Path) -> Vec<PathBuf> {
    let above = path.ancestors().skip(1).filter(|folder| *folder != Path::new("/"));
    above.take_while(|folder| !place.at(folder).exists()).map(Path::to_path_buf).collect()
}

fn write_record(place: &Place, installed: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    let path = place.at(&place.record());
    let text: String = installed.iter().map(|path| format!("{}\n", path.display())).collect();
    let item = Item::text(place.record(), text);
    item.put(&path).map_err(|e| Failure::new(format!("write {}", path.display())).caused_by(&e))
}

/// Takes away what was put.
pub fn uninstall(args: UninstallArgs) -> Outcome {
    let place = &args.place;
    let installed = place.installed()?;
    if installed.is_empty() {
        let record = place.at(&place.record());
        return Err(Failure::new(format!("nothing was installed below {}", place.at(&place.prefix).display()))
            .with_cause(format!("there is no {}", record.display()))
            .with_hint("name the --prefix that `dwell install` was given"));
    }
    let enabled = place.at(Path::new("/etc/systemd/system/multi-user.target.wants/dwell.service"));
    if enabled.symlink_metadata().is_ok() && installed.contains(Path::new(items::UNIT)) {
        return Err(Failure::new("the service is enabled").with_hint("first: systemctl disable --now dwell"));
    }
    // What lies deeper comes first; the record goes last, so that whoever is interrupted can go on.
    for path in installed.iter().rev().filter(|path| **path != place.record() && !place.record().starts_with(path)) {
        remove(&place.at(path))?;
    }
    for path in std::iter::once(&place.record()).chain(installed.iter().rev().filter(|p| place.record().starts_with(p)))
    {
        remove(&place.at(path))?;
    }
    Ok(0)
}

/// A file, or a folder that nobody put anything into.
fn remove(path: &Path) -> Result<(), Failure> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => std::fs::remove_dir(path),
        _ => std::fs::remove_file(path),
    };
    match removed {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => Ok(()),
        other => other.map_err(|e| Failure::new(format!("remove {}", path.display())).caused_by(&e)),
    }
}
