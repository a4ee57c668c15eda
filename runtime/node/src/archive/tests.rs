use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        std::fs::write(folder.path().join("outside"), "outside").unwrap();
        Self(folder)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join("root").join(path)
    }

    fn tree(&self, scope: Scope) -> Tree {
        let dir = dwell_sys::fs::open_path(self.at("").to_str().unwrap()).unwrap();
        Tree { dir, scope, users: None }
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::fs::write(self.at(path), text).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.at(path)).ok()
    }

    fn packed(&self, scope: Scope, path: &str, name: &str) -> (Vec<u8>, u64) {
        let mut bytes = Vec::new();
        let left_out = pack(&self.tree(scope), path.as_bytes(), Path::new(name), &mut bytes).unwrap();
        (bytes, left_out)
    }

    fn unpacked(&self, into: &str, naming: &Naming, bytes: &[u8]) -> Result<u64, String> {
        let done = unpack(&self.tree(Scope::Root), into.as_bytes(), naming, Ownership::Own, bytes);
        done.map_err(|error| error.to_string())
    }
}

/// An archive of these entries: kind, name as it stands there, target or contents.
fn archive(entries: &[(tar::EntryType, &str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o6755);
        let contents = if kind.is_file() { text.as_bytes() } else { b"" };
        if matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link) {
            header.set_link_name_literal(text).unwrap();
        }
        header.set_size(contents.len() as u64);
        header.set_cksum();
        builder.append(&header, contents).unwrap();
    }
    builder.into_inner().unwrap()
}

const FILE: tar::EntryType = tar::EntryType::Regular;
const LINK: tar::EntryType = tar::EntryType::Symlink;

#[test]
fn a_tree_arrives_as_it_was() {
    let (from, to) = (Folder::new(), Folder::new());
    from.write("data/a/deep.txt", "deep");
    from.write("data/empty", "");
    from.write(&format!("data/{}", "long".repeat(60)), "long");
    symlink("a/deep.txt", from.at("data/link")).unwrap();
    std::fs::set_permissions(from.at("data/a"), PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::set_permissions(from.at("data/empty"), PermissionsExt::from_mode(0o4711)).unwrap();
    let (bytes, left_out) = from.packed(Scope::Root, "/data", "data");
    assert_eq!(left_out, 0);
    to.unpacked("/", &Naming::Renamed("new".into()), &bytes).unwrap();
    assert_eq!(to.read("new/a/deep.txt").as_deref(), Some("deep"));
    assert_eq!(std::fs::read_link(to.at("new/link")).unwrap(), Path::new("a/deep.txt"));
    assert_eq!(to.read(&format!("new/{}", "long".repeat(60))).as_deref(), Some("long"));
    let meta = |path: &str| std::fs::metadata(to.at(path)).unwrap();
    assert_eq!(meta("new/a").mode() & 0o7777, 0o700);
    assert_eq!(meta("new/empty").mode() & 0o7777, 0o711, "nobody becomes root by a copy");
    assert_eq!(meta("new/a/deep.txt").mtime(), std::fs::metadata(from.at("data/a/deep.txt")).unwrap().mtime());
    to.unpacked("/", &Naming::Dropped, &bytes).unwrap();
    assert_eq!(to.read("a/deep.txt").as_deref(), Some("deep"));
    let names: Vec<_> = std::fs::read_dir(to.at("new")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "nothing half is left: {names:?}");
}

#[test]
fn a_link_that_is_named_is_followed_inside_its_root_only() {
    let from = Folder::new();
    from.write("etc/real", "inside");
    symlink("/etc/real", from.at("absolute")).unwrap();
    symlink("../../../../etc/real", from.at("climbing")).unwrap();
    for name in ["/absolute", "/climbing"] {
        let (bytes, _) = from.packed(Scope::Root, name, "x");
        assert!(bytes.windows(6).any(|part| part == b"inside"), "{name}");
    }
    let beneath = |path: &str| pack(&from.tree(Scope::Beneath), path.as_bytes(), Path::new("x"), Vec::new());
    assert!(beneath("absolute").is_err() && beneath("climbing").is_err());
    assert!(beneath("etc/real").is_ok() && beneath("/etc/real").is_ok(), "control");
    symlink("/proc/self/root", from.at("magic")).unwrap();
    assert!(pack(&from.tree(Scope::Root), b"/magic/etc", Path::new("x"), Vec::new()).is_err());
}

#[test]
fn nothing_waits_and_devices_and_sockets_stay() {
    let from = Folder::new();
    let to = Folder::new();
    let fifo =
        |path: PathBuf| rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0);
    std::fs::create_dir(from.at("d")).unwrap();
    fifo(from.at("d/fifo")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.at("d/socket")).unwrap();
    let (bytes, left_out) = from.packed(Scope::Root, "d", "d");
    assert_eq!(left_out, 1);
    to.unpacked("/", &Naming::AsIs, &bytes).unwrap();
    assert!(std::fs::metadata(to.at("d/fifo")).unwrap().file_type().is_fifo());
    assert!(!to.at("d/socket").exists());
    let device = archive(&[(tar::EntryType::Char, "null", ""), (FILE, "after", "here")]);
    assert_eq!(to.unpacked("/", &Naming::AsIs, &device), Ok(1));
    assert!(pack(&from.tree(Scope::Root), b"d/socket", Path::new("s"), Vec::new()).is_err(), "nothing else was meant");
    fifo(to.at("ours")).unwrap();
    for kind in [FILE, LINK] {
        let said = to.unpacked("/", &Naming::AsIs, &archive(&[(kind, "ours", "x")])).unwrap_err();
        assert!(said.contains("is not replaced"), "{said}");
    }
    assert_eq!((to.at("null").exists(), to.read("after").as_deref()), (false, Some("here")));
}

#[test]
fn no_entry_leads_out_of_the_tree() {
    let to = Folder::new();
    let outside = to.0.path().join("outside");
    for hostile in [
        archive(&[(FILE, "../outside", "evil")]),
        archive(&[(FILE, "a/../../outside", "evil")]),
        archive(&[(tar::EntryType::Link, "x", "../outside")]),
        archive(&[(LINK, "up", outside.to_str().unwrap()), (tar::EntryType::Link, "y", "up")]),
    ] {
        assert!(to.unpacked("/", &Naming::AsIs, &hostile).is_err());
    }
    // What begins with a slash, or goes through a link, lands in the root; a link in the place of a file is replaced.
    let absolute = outside.parent().unwrap().to_str().unwrap().to_owned();
    let through = archive(&[(LINK, "out", &absolute), (FILE, "out/outside", "evil")]);
    assert!(to.unpacked("/", &Naming::AsIs, &through).is_err(), "it leads nowhere, inside");
    let replaced = archive(&[(LINK, "f", outside.to_str().unwrap()), (FILE, "/f", "mine")]);
    to.unpacked("/", &Naming::AsIs, &replaced).unwrap();
    assert_eq!(to.read("f").as_deref(), Some("mine"));
    assert!(std::fs::symlink_metadata(to.at("f")).unwrap().is_file());
    assert_eq!(std::fs::metadata(to.at("f")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "outside");
    let linked = archive(&[(FILE, "one", "same"), (tar::EntryType::Link, "two", "one")]);
    to.unpacked("/", &Naming::AsIs, &linked).unwrap();
    assert_eq!(std::fs::metadata(to.at("one")).unwrap().nlink(), 2, "control: a link to what it brings itself");
}

#[test]
fn what_breaks_off_leaves_nothing_half() {
    let (from, to) = (Folder::new(), Folder::new());
    from.write("big", &"x".repeat(100_000));
    let (bytes, _) = from.packed(Scope::Root, "big", "big");
    to.write("big", "before");
    let said = to.unpacked("/", &Naming::AsIs, &bytes[..50_000]).unwrap_err();
    assert!(said.contains("unpack big"), "{said}");
    assert_eq!(to.read("big").as_deref(), Some("before"));
    assert_eq!(std::fs::read_dir(to.at("")).unwrap().count(), 1);
    let said = to.unpacked("/nowhere", &Naming::AsIs, &bytes).unwrap_err();
    assert!(said.contains("open the folder /nowhere"), "{said}");
    to.write("noise", "y");
    assert!(to.unpacked("/", &Naming::AsIs, &b"no archive at all".repeat(100)).is_err());
}

/// A deep tree ended a node by its stack once.
#[test]
fn a_deep_tree_is_refused_and_not_run_into() {
    let from = Folder::new();
    std::fs::create_dir_all(from.at(&"d/".repeat(DEEPEST - 1))).unwrap();
    assert!(pack(&from.tree(Scope::Root), b"d", Path::new("d"), Vec::new()).is_ok(), "control");
    std::fs::create_dir_all(from.at(&"d/".repeat(DEEPEST + 2))).unwrap();
    let said = pack(&from.tree(Scope::Root), b"d", Path::new("d"), Vec::new()).unwrap_err().to_string();
    assert!(said.contains("more folders within folders"), "{said}");
}

#[test]
fn a_tree_says_what_a_path_leads_to() {
    let tree = Folder::new();
    tree.write("etc/file", "");
    symlink("/etc", tree.at("link")).unwrap();
    let looked = |path: &str| tree.tree(Scope::Root).look(path.as_bytes()).unwrap();
    assert_eq!(looked("/link"), Some(Kind::Folder));
    assert_eq!(looked("/link/file"), Some(Kind::File));
    assert_eq!((looked("/"), looked("/none")), (Some(Kind::Folder), None));
}

/// An archive brought a link, and the next one wrote through it.
#[test]
fn no_link_on_the_way_is_followed_where_that_is_not_wanted() {
    let to = Folder::new();
    to.write("secret/keys", "ours");
    symlink("secret", to.at("x")).unwrap();
    let bytes = archive(&[(tar::EntryType::Directory, "x", ""), (FILE, "x/keys", "theirs")]);
    let tree = to.tree(Scope::Plain);
    let said = unpack(&tree, b".", &Naming::AsIs, Ownership::Own, bytes.as_slice()).unwrap_err().to_string();
    assert!(said.starts_with("unpack x: "), "{said}");
    let said = unpack(&tree, b".", &Naming::AsIs, Ownership::Own, archive(&[(FILE, "x/keys", "z")]).as_slice());
    assert!(said.is_err());
    assert_eq!(to.read("secret/keys").as_deref(), Some("ours"));
    to.unpacked("/", &Naming::AsIs, &bytes).unwrap();
    assert_eq!(to.read("secret/keys").as_deref(), Some("theirs"), "control: where links are followed");
}

#[test]
fn what_is_there_keeps_its_rights_and_hard_links_to_themselves_stay() {
    let to = Folder::new();
    to.write("d/f", "old");
    std::fs::set_permissions(to.at("d"), PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::set_permissions(to.at("d/f"), PermissionsExt::from_mode(0o640)).unwrap();
    let bytes =
        archive(&[(tar::EntryType::Directory, "d", ""), (FILE, "d/f", "new"), (tar::EntryType::Link, "d/f", "d/f")]);
    to.unpacked("/", &Naming::AsIs, &bytes).unwrap();
    let mode = |path: &str| std::fs::metadata(to.at(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode("d"), mode("d/f"), to.read("d/f").as_deref()), (0o700, 0o640, Some("new")));
    assert_eq!(std::fs::read_dir(to.at("d")).unwrap().count(), 1);
}

#[test]
fn names_have_an_end_and_archives_too() {
    let to = Folder::new();
    let mut bytes = archive(&[(tar::EntryType::GNULongName, "././@LongLink", "")]);
    bytes.truncate(512);
    let mut header = tar::Header::from_byte_slice(&bytes).clone();
    header.set_size(64 << 20);
    header.set_cksum();
    bytes = header.as_bytes().to_vec();
    bytes.resize((64 << 20) + 512, b'a');
    let said = to.unpacked("/", &Naming::AsIs, &bytes).unwrap_err();
    assert!(said.contains("larger than 1 MiB") && said.len() < 4096, "{said}");
    for cut in [&b""[..], &archive(&[(FILE, "f", "x")])[..1024]] {
        let said = to.unpacked("/", &Naming::AsIs, cut).unwrap_err();
        assert!(said.contains("cut off"), "{said}");
    }
    let mut sparse = tar::Builder::new(Vec::new());
    sparse.append_pax_extensions([("GNU.sparse.major", &b"1"[..])]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    sparse.append_data(&mut header, "f", io::empty()).unwrap();
    let said = to.unpacked("/", &Naming::AsIs, &sparse.into_inner().unwrap()).unwrap_err();
    assert!(said.contains("sparse files of this format"), "{said}");
}

/// The end of an archive was written all the same, and what broke off looked whole.
#[test]
fn what_could_not_be_packed_has_no_end() {
    let from = Folder::new();
    from.write("d/a", "text");
    std::fs::create_dir_all(from.at("d").join("d/".repeat(DEEPEST + 1))).unwrap();
    let mut bytes = Vec::new();
    assert!(pack(&from.tree(Scope::Root), b"d", Path::new("d"), &mut bytes).is_err());
    let to = Folder::new();
    assert!(to.unpacked("/", &Naming::AsIs, &bytes).unwrap_err().contains("cut off"));
}

#[test]
fn links_arrive_as_they_are() {
    let (from, to) = (Folder::new(), Folder::new());
    std::fs::create_dir(from.at("d")).unwrap();
    let targets = ["/", "a//b", "./x/.", &"long/".repeat(40)];
    for (number, target) in targets.iter().enumerate() {
        symlink(target, from.at(&format!("d/{number}"))).unwrap();
    }
    to.unpacked("/", &Naming::AsIs, &from.packed(Scope::Root, "d", "d").0).unwrap();
    for (number, target) in targets.iter().enumerate().take(3) {
        assert_eq!(std::fs::read_link(to.at(&format!("d/{number}"))).unwrap().to_str(), Some(*target));
    }
    assert!(std::fs::read_link(to.at("d/3")).unwrap().starts_with("long/long"));
}
