//! The ConfigMaps and Secrets of a node: kept as they were given, one file each in a root-only folder, written whole and
//! synced before anybody is told; and in memory for the Pods that name them. They outlive Pods, nodes and boots, until
//! somebody removes them.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use dwell_spec::pod::SettingsName;
use dwell_spec::settings::{Settings, SettingsKind, SettingsObject};
use dwell_sys::complain::complain;

/// Kind, namespace, name.
type Key = (SettingsKind, String, String);

/// All of them.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    kept: Mutex<BTreeMap<Key, Settings>>,
}

impl Store {
    /// Reads what is kept in a folder, which need not exist. What cannot be read is named in the node's log.
    ///
    /// # Errors
    /// The folder is there and cannot be listed.
    pub fn open(folder: PathBuf) -> io::Result<Store> {
        let mut kept = BTreeMap::new();
        for kind in [SettingsKind::ConfigMap, SettingsKind::Secret] {
            for path in files_below(&folder.join(kind.word()))? {
                match read(kind, &path) {
                    Ok(settings) => drop(kept.insert(key_of(&settings), settings)),
                    Err(error) => complain(format_args!("read {}: {error}", path.display())),
                }
            }
        }
        Ok(Store { folder, kept: Mutex::new(kept) })
    }

    /// Keeps one, in place of the one of its name. `settings` is what `object` was checked to be.
    ///
    /// # Errors
    /// What the file system said; nothing has changed then.
    pub fn put(&self, object: &SettingsObject, settings: Settings) -> io::Result<()> {
        let path = self.path(settings.kind, &settings.namespace, &settings.name);
        write(&path, &serde_json::to_vec(object)?)?;
        self.all().insert(key_of(&settings), settings);
        Ok(())
    }

    /// Whether this one may take the place of the one of its name. Source: ValidateConfigMapUpdate, ValidateSecretUpdate.
    pub fn may_become(&self, object: &SettingsObject, settings: &Settings) -> bool {
        let path = self.path(settings.kind, &settings.namespace, &settings.name);
        let old = std::fs::read(path).ok().and_then(|json| SettingsObject::from_json(settings.kind, &json).ok());
        let same = || self.all().get(&key_of(settings)).is_none_or(|kept| kept.data == settings.data);
        !old.is_some_and(|old| old.is_immutable()) || (object.is_immutable() && same())
    }

    /// Forgets one; `false` if there is none.
    ///
    /// # Errors
    /// What the file system said.
    pub fn remove(&self, kind: SettingsKind, namespace: &str, name: &str) -> io::Result<bool> {
        let key = (kind, namespace.to_owned(), name.to_owned());
        if !self.all().contains_key(&key) {
            return Ok(false);
        }
        match std::fs::remove_file(self.path(kind, namespace, name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.all().remove(&key);
        Ok(true)
    }

    /// Those of a namespace that are named, as far as there are any, each once.
    pub fn named<'a>(&self, namespace: &str, names: impl Iterator<Item = &'a SettingsName>) -> Vec<Settings> {
        let kept = self.all();
        let key = |name: &SettingsName| (name.kind(), namespace.to_owned(), name.name.clone());
        let mut keys: Vec<Key> = names.map(key).collect();
        keys.sort();
        keys.dedup();
        keys.iter().filter_map(|key| kept.get(key)).cloned().collect()
    }

    fn path(&self, kind: SettingsKind, namespace: &str, name: &str) -> PathBuf {
        self.folder.join(kind.word()).join(namespace).join(format!("{name}.json"))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Key, Settings>> {
        self.kept.lock().expect("no holder panics")
    }
}

fn key_of(settings: &Settings) -> Key {
    (settings.kind, settings.namespace.clone(), settings.name.clone())
}

/// The files two levels below a folder: one folder for each namespace.
fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for namespace in entries(folder)? {
        found.extend(entries(&namespace)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "json")));
    }
    Ok(found)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed?.map(|entry| entry.map(|entry| entry.path())).collect(),
    }
}

fn read(kind: SettingsKind, path: &Path) -> Result<Settings, String> {
    let json = std::fs::read(path).map_err(|error| error.to_string())?;
    let object = SettingsObject::from_json(kind, &json).map_err(|error| error.to_string())?;
    Settings::try_from(&object)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// Whole or not at all, also after a power cut.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    // The names: the file's, and those of the folders above it that may be new.
    folder.ancestors().take(3).try_for_each(|folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn secret(value: &str) -> (SettingsObject, Settings) {
        let json = format!(r#"{{"metadata":{{"name":"s","namespace":"n"}},"stringData":{{"k":"{value}"}}}}"#);
        let object = SettingsObject::from_json(SettingsKind::Secret, json.as_bytes()).unwrap();
        let settings = Settings::try_from(&object).unwrap();
        (object, settings)
    }

    #[test]
    fn what_is_put_is_there_after_a_new_start_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("settings")).unwrap();
        for value in ["one", "two"] {
            let (object, settings) = secret(value);
            store.put(&object, settings).unwrap();
        }
        let path = dir.path().join("settings/secret/n/s.json");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Store::open(dir.path().join("settings")).unwrap();
        let key = (SettingsKind::Secret, "n".to_owned(), "s".to_owned());
        assert_eq!(again.all()[&key].data["k"], b"two");
        std::fs::write(path.with_file_name("broken.json"), "{").unwrap();
        assert_eq!(Store::open(dir.path().join("settings")).unwrap().all().len(), 1);
        assert!(again.remove(SettingsKind::Secret, "n", "s").unwrap() && !path.exists());
        assert!(!again.remove(SettingsKind::Secret, "n", "s").unwrap());
    }
}
