//! The values of `run`'s flags, each by itself.

use k8s_openapi::api::core::v1;

use super::{RunArgs, ShortFormError, literal};
use crate::manifest;
use crate::quantity::Quantity;

fn wrong(flag: &'static str, value: &str, why: &'static str) -> ShortFormError {
    ShortFormError::Flag { flag, value: value.to_owned(), why }
}

/// `-e` and `--env-file`, files first, so that a flag wins.
pub fn env(run: &RunArgs) -> Result<Vec<v1::EnvVar>, ShortFormError> {
    let mut vars = Vec::new();
    for (file, text) in &run.env_files {
        env_file(file, text, run, &mut vars)?;
    }
    for flag in &run.env {
        match env_var(flag, run) {
            Some(var) => vars.extend(var),
            None => return Err(wrong("-e", flag, "expected NAME=VALUE or NAME")),
        }
    }
    Ok(vars)
}

/// Lines of `NAME=VALUE` or `NAME`; empty ones and those with `#` in front are left out. No quotes, as in docker.
fn env_file(file: &str, text: &str, run: &RunArgs, vars: &mut Vec<v1::EnvVar>) -> Result<(), ShortFormError> {
    for (n, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match env_var(line, run) {
            Some(var) => vars.extend(var),
            None => {
                return Err(ShortFormError::EnvFile { file: file.to_owned(), line: n + 1 });
            }
        }
    }
    Ok(())
}

/// The variable; nothing (but no mistake) for a `NAME` that the command's environment does not have.
fn env_var(text: &str, run: &RunArgs) -> Option<Option<v1::EnvVar>> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, run.host_env.get(text).map(String::as_str)),
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    let var = |value: &str| v1::EnvVar { name: name.to_owned(), value: Some(literal(value)), value_from: None };
    Some(value.map(var))
}

/// `-v` and `--device`: a volume each, and its mount.
pub fn volumes(run: &RunArgs) -> Result<(Vec<v1::Volume>, Vec<v1::VolumeMount>), ShortFormError> {
    let volumes = run.volumes.iter().enumerate().map(|(n, flag)| volume(flag, &format!("v{n}"), &run.base_dir));
    let devices = run.devices.iter().enumerate().map(|(n, (flag, block))| device(flag, *block, &format!("d{n}")));
    volumes.chain(devices).collect::<Result<Vec<_>, _>>().map(|pairs| pairs.into_iter().unzip())
}

fn volume(flag: &str, name: &str, base: &str) -> Result<(v1::Volume, v1::VolumeMount), ShortFormError> {
    let parts: Vec<_> = flag.split(':').collect();
    let (host, path, read_only) = match parts[..] {
        [host, path] => (host, path, false),
        [host, path, "rw"] => (host, path, false),
        [host, path, "ro"] => (host, path, true),
        _ => return Err(wrong("-v", flag, "expected HOST:PATH or HOST:PATH:ro")),
    };
    let mut volume = v1::Volume { name: name.to_owned(), ..v1::Volume::default() };
    if host.starts_with(['/', '.']) {
        volume.host_path = Some(v1::HostPathVolumeSource { path: joined(base, host), type_: None });
    } else if manifest::is_claim_name(host) {
        let claim = v1::PersistentVolumeClaimVolumeSource { claim_name: host.to_owned(), read_only: None };
        volume.persistent_volume_claim = Some(claim);
    } else {
        return Err(wrong(
            "-v",
            flag,
            "expected a path, or the name of a claim in lower-case letters, digits, - and .",
        ));
    }
    Ok((volume, mount(name, path, read_only)))
}

fn mount(name: &str, path: &str, read_only: bool) -> v1::VolumeMount {
    v1::VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..v1::VolumeMount::default()
    }
}

/// `--device`: where it is in the container, if not said, is where it is on the host.
fn device(flag: &str, block: bool, name: &str) -> Result<(v1::Volume, v1::VolumeMount), ShortFormError> {
    let parts: Vec<_> = flag.split(':').collect();
    let (host, path, read_only) = match parts[..] {
        [host] => (host, host, false),
        [host, path] | [host, path, "rw" | "rwm"] => (host, path, false),
        [host, path, "r"] => (host, path, true),
        _ => return Err(wrong("--device", flag, "expected HOST, HOST:PATH or HOST:PATH:r")),
    };
    let kind = if block { "BlockDevice" } else { "CharDevice" };
    let source = v1::HostPathVolumeSource { path: host.to_owned(), type_: Some(kind.to_owned()) };
    let volume = v1::Volume { name: name.to_owned(), host_path: Some(source), ..v1::Volume::default() };
    Ok((volume, mount(name, path, read_only)))
}

/// Absolute, and without `..`, which a hostPath may not hold: what was typed is the caller's own folder, so parts are
/// taken off by name, as a shell's `cd` does.
fn joined(base: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    let mut parts = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `-p [IP:]HOST:PORT[/tcp|/udp|/sctp]`; an IPv6 address stands in brackets.
pub fn port(flag: &str) -> Result<v1::ContainerPort, ShortFormError> {
    let wrong = |why| wrong("-p", flag, why);
    let (ports, protocol) = match flag.split_once('/') {
        Some((ports, "tcp")) => (ports, None),
        Some((ports, "udp")) => (ports, Some("UDP".to_owned())),
        Some((ports, "sctp")) => (ports, Some("SCTP".to_owned())),
        Some(_) => return Err(wrong("the protocol is tcp, udp or sctp")),
        None => (flag, None),
    };
    let (rest, container) = ports.rsplit_once(':').ok_or_else(|| wrong("expected HOST:PORT"))?;
    let (ip, host) = match rest.rsplit_once(':') {
        Some((ip, host)) => {
            (Some(address(ip).ok_or_else(|| wrong("expected an IP address before the host port"))?), host)
        }
        None => (None, rest),
    };
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).map(i32::from);
    let range = || wrong("a port is a number from 1 to 65535");
    Ok(v1::ContainerPort {
        container_port: number(container).ok_or_else(range)?,
        host_port: Some(number(host).ok_or_else(range)?),
        host_ip: ip,
        protocol,
        name: None,
    })
}

fn address(text: &str) -> Option<String> {
    let inner = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if text.contains(':') => return None,
        None => text,
    };
    inner.parse::<std::net::IpAddr>().ok().map(|ip| ip.to_string())
}

/// `-u`: numbers, or a name for the annotation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct User {
    pub uid: Option<i64>,
    pub gid: Option<i64>,
    pub name: Option<String>,
}

pub fn user(flag: &str) -> Result<User, ShortFormError> {
    let (user, group) = match flag.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (flag, None),
    };
    if user.is_empty() || group == Some("") || flag.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(wrong("-u", flag, "expected USER or USER:GROUP"));
    }
    let (uid, gid) = (user.parse::<u32>().ok(), group.map(|group| group.parse::<u32>().ok()));
    Ok(match (uid, gid) {
        (Some(uid), None) => User { uid: Some(uid.into()), ..User::default() },
        (Some(uid), Some(Some(gid))) => User { uid: Some(uid.into()), gid: Some(gid.into()), name: None },
        _ => User { name: Some(flag.to_owned()), ..User::default() },
    })
}

/// `-m`: to a Kubernetes quantity.
pub fn memory(flag: &str) -> Result<String, ShortFormError> {
    let end = flag.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(flag.len());
    let (number, suffix) = flag.split_at(end);
    let suffix = match suffix {
        "" | "b" | "B" => "",
        "k" | "K" | "kb" | "KB" | "Ki" | "KiB" => "Ki",
        "m" | "M" | "mb" | "MB" | "Mi" | "MiB" => "Mi",
        "g" | "G" | "gb" | "GB" | "Gi" | "GiB" => "Gi",
        "t" | "T" | "tb" | "TB" | "Ti" | "TiB" => "Ti",
        _ => return Err(wrong("-m", flag, "expected a number with b, k, m, g or t")),
    };
    let quantity = format!("{number}{suffix}");
    match Quantity::parse(&quantity) {
        Ok(parsed) if parsed.units() > 0 => Ok(if parsed.is_whole() { quantity } else { parsed.units().to_string() }),
        _ => Err(wrong("-m", flag, "expected a number above 0 with b, k, m, g or t")),
    }
}
