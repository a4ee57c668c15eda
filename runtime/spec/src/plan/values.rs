//! The values that a container is started with: variables from ConfigMaps, Secrets, the Pod, the host and what the
//! container may use, and `$(VAR)` in variables, command and arguments, as the kubelet resolves them
//! (makeEnvironmentVariables).
//!
//! A variable sees those above it; command and arguments see all. Written twice, the last one counts.

use super::origin::Origin;
use super::refusal::{PlanError, Problem};
use crate::env_file::{self, VALUE_MAX};
use crate::expand::{MAX_TOGETHER, Variables, expand as expand_text};
use crate::facts::{ContainerFacts, EnvFiles, HostFacts, PodIp};
use crate::pod::sub_path_fault;
use crate::pod::{
    Container, EnvFrom, EnvValue, FileKey, Pod, ResourceField, SettingsKey, SettingsName, SubPath, VolumeMount,
};
use crate::settings::Settings;

/// The same container with nothing left to resolve: its variables are texts, its words are final.
///
/// # Errors
/// A field of a container that the Pod does not have; a ConfigMap, Secret or file that is missing or lacks a key; strings
/// that expand to more than a program can be given.
pub fn resolved(
    pod: &Pod,
    container: &Container,
    host: &HostFacts,
    facts: &ContainerFacts,
    ip: PodIp,
) -> Result<Container, PlanError> {
    let origin = Origin { pod, host, settings: &facts.settings, ip };
    let known = Known { origin, container };
    let mut variables = Variables::default();
    for source in &container.env_from {
        known.all_of(source, &mut variables)?;
    }
    let mut size = 0;
    for (name, value) in &container.env {
        let value = match value {
            EnvValue::Text(text) => expand(container, "env", &variables, text, &mut size)?,
            EnvValue::Field(field) => known.origin.field(field),
            EnvValue::Resource(resource) => known.resource(resource)?,
            EnvValue::Key(key) => match known.key(key)? {
                Some(value) => value,
                None => continue,
            },
            EnvValue::File(key) => match in_file(&facts.env_files, key).map_err(|problem| known.refuse(problem))? {
                Some(value) => value.to_owned(),
                None => continue,
            },
        };
        variables.set(name, value);
    }
    let mut words = |field, words: &[String]| -> Result<Vec<String>, PlanError> {
        words.iter().map(|word| expand(container, field, &variables, word, &mut size)).collect()
    };
    let (command, args) = (words("command", &container.command)?, words("args", &container.args)?);
    let mounts = container.mounts.iter().map(|mount| placed(container, mount, &variables)).collect::<Result<_, _>>()?;
    let env = variables.into_list().into_iter().map(|(name, value)| (name, EnvValue::Text(value))).collect();
    Ok(Container { command, args, env, mounts, ..container.clone() })
}

/// A mount whose part of the volume is known. Other than in words, a variable that is not there is an error.
fn placed(container: &Container, mount: &VolumeMount, variables: &Variables) -> Result<VolumeMount, PlanError> {
    let Some(SubPath::Expanded(text)) = &mount.sub_path else { return Ok(mount.clone()) };
    let refuse = |problem| PlanError::of(&container.name, "volumeMounts.subPathExpr", problem);
    let missing = std::cell::RefCell::new(None);
    let expanded = expand_text(text, |name| {
        let value = variables.get(name);
        if value.is_none() {
            missing.replace(Some(name.to_owned()));
        }
        value
    });
    if let Some(name) = missing.into_inner() {
        return Err(refuse(Problem::NoVariable(name)));
    }
    let path = expanded.map_err(|_| refuse(Problem::TooLong))?;
    let sub_path = match sub_path_fault(&path) {
        Some(fault) => return Err(refuse(Problem::SubPath(path, fault))),
        None => Some(SubPath::Plain(path)),
    };
    Ok(VolumeMount { sub_path, ..mount.clone() })
}

fn expand(
    container: &Container,
    field: &'static str,
    variables: &Variables,
    text: &str,
    size: &mut usize,
) -> Result<String, PlanError> {
    let too_long = || PlanError::of(&container.name, field, Problem::TooLong);
    let expanded = variables.expand(text).map_err(|_| too_long())?;
    *size += expanded.len();
    if *size > MAX_TOGETHER { Err(too_long()) } else { Ok(expanded) }
}

/// The value of a name in a file; `None` where there is to be no variable.
///
/// # Errors
/// File or name are missing and may not be, or the file cannot be read.
pub fn in_file<'a>(files: &'a EnvFiles, asked: &FileKey) -> Result<Option<&'a str>, Problem> {
    let (volume, path) = asked.place();
    let Some(file) = files.get(&(volume.clone(), path.clone())) else { return Ok(None) };
    let unread = |why: String| Problem::VariableFile(volume.clone(), path.clone(), why);
    let text = file.as_ref().map_err(|why| unread(why.clone()))?.as_deref();
    let value = env_file::value(text.unwrap_or_default(), &asked.key).map_err(|fault| unread(fault.to_string()))?;
    match value {
        None if asked.optional => Ok(None),
        None => Err(Problem::NoVariableInFile(volume, path, asked.key.clone())),
        Some(value) if value.len() > VALUE_MAX => {
            Err(unread(format!("the value of {:?} is larger than {} KiB", asked.key, VALUE_MAX >> 10)))
        }
        value => Ok(value),
    }
}

/// What values can come from, and for whom.
struct Known<'a> {
    origin: Origin<'a>,
    container: &'a Container,
}

impl Known<'_> {
    fn key(&self, asked: &SettingsKey) -> Result<Option<String>, PlanError> {
        let Some(settings) = self.settings_of(&asked.from)? else { return Ok(None) };
        let missing = || Problem::NoKey(settings.kind.word(), settings.name.clone(), asked.key.clone());
        match settings.variable(&asked.key) {
            None if !asked.from.optional => Err(self.refuse(missing())),
            bytes => bytes.map(|bytes| self.text(settings, &asked.key, bytes)).transpose(),
        }
    }

    fn all_of(&self, source: &EnvFrom, variables: &mut Variables) -> Result<(), PlanError> {
        let Some(settings) = self.settings_of(&source.from)? else { return Ok(()) };
        for key in settings.data.keys() {
            let Some(bytes) = settings.variable(key) else { continue };
            variables.set(&format!("{}{key}", source.prefix), self.text(settings, key, bytes)?);
        }
        Ok(())
    }

    fn settings_of(&self, from: &SettingsName) -> Result<Option<&Settings>, PlanError> {
        self.origin.settings_of(from).map_err(|problem| self.refuse(problem))
    }

    fn text(&self, settings: &Settings, key: &str, bytes: &[u8]) -> Result<String, PlanError> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        let refused = || self.refuse(Problem::NotText(settings.kind.word(), settings.name.clone(), key.to_owned()));
        text.map(str::to_owned).ok_or_else(refused)
    }

    fn resource(&self, asked: &ResourceField) -> Result<String, PlanError> {
        self.origin.resource(asked, Some(self.container)).map_err(|problem| self.refuse(problem))
    }

    fn refuse(&self, problem: Problem) -> PlanError {
        PlanError::of(&self.container.name, "env", problem)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::pod::{PodField, ResourceAmount};
    use crate::settings::SettingsKind;

    const IP: PodIp =
        PodIp { v4: Some(std::net::Ipv4Addr::new(10, 1, 2, 3)), v6: Some(std::net::Ipv6Addr::LOCALHOST), host: None };

    fn text(value: &str) -> EnvValue {
        EnvValue::Text(value.to_owned())
    }

    fn env(pairs: Vec<(&str, EnvValue)>) -> Container {
        let env = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Container { env, ..samples::container("a") }
    }

    fn resolve(container: &Container) -> Result<Vec<String>, PlanError> {
        let mut pod = samples::pod();
        pod.labels.insert("app".to_owned(), "web".to_owned());
        pod.containers.push(samples::container("b"));
        pod.containers[1].resources.memory_limit = Some(10 << 20);
        let mut facts = ContainerFacts { settings: settings(), ..ContainerFacts::default() };
        facts.env_files = [
            ("good", Ok(Some("A='$(ONE)'\nBIG='".to_owned() + &"x".repeat(VALUE_MAX + 1) + "'"))),
            ("bad", Ok(Some("A=1".to_owned()))),
            ("missing", Ok(None)),
            ("unread", Err("it is no text".to_owned())),
        ]
        .into_iter()
        .map(|(path, text)| (("v".to_owned(), path.to_owned()), text))
        .collect();
        let resolved = resolved(&pod, container, &samples::host(), &facts, IP)?;
        let shown = |(name, value): &(String, EnvValue)| match value {
            EnvValue::Text(value) => format!("{name}={value}"),
            other => panic!("{other:?}"),
        };
        Ok(resolved.env.iter().map(shown).chain(resolved.command).chain(resolved.args).collect())
    }

    #[test]
    fn texts_see_what_is_above_them_and_words_see_all() {
        let mut container = env(vec![
            ("A", text("$(B)")),
            ("IP", EnvValue::Field(PodField::PodIp)),
            ("URL", text("http://$(IP)/$$(IP)")),
            ("B", text("b")),
        ]);
        container.command = vec!["$(B)".to_owned()];
        container.args = vec!["$(URL) $(NONE)".to_owned()];
        let expected =
            ["A=$(B)", "IP=10.1.2.3", "URL=http://10.1.2.3/$(IP)", "B=b", "b", "http://10.1.2.3/$(IP) $(NONE)"];
        assert_eq!(resolve(&container).expect("resolves"), expected);
    }

    fn settings() -> Vec<Settings> {
        let one = |kind, pairs: &[(&str, &[u8])]| Settings {
            kind,
            namespace: "default".to_owned(),
            name: "s".to_owned(),
            data: pairs.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect(),
            binary: pairs.iter().filter(|(key, _)| *key == "picture").map(|(key, _)| (*key).to_owned()).collect(),
        };
        vec![
            one(SettingsKind::ConfigMap, &[("A.b", b"1"), ("picture", &[0xff]), ("url", b"x$(A)")]),
            one(SettingsKind::Secret, &[("bytes", &[0xff]), ("A.b", b"2")]),
        ]
    }

    fn named(secret: bool, name: &str, optional: bool) -> SettingsName {
        SettingsName { secret, name: name.to_owned(), optional }
    }

    #[test]
    fn settings_become_variables_whole_or_by_key() {
        let key = |secret, name: &str, key: &str, optional| {
            EnvValue::Key(SettingsKey { from: named(secret, name, optional), key: key.to_owned() })
        };
        let mut container = env(vec![
            ("ONE", key(true, "s", "A.b", false)),
            ("NONE", key(false, "nobody", "x", true)),
            ("ALSO", key(false, "s", "x", true)),
            ("P_url", text("mine")),
        ]);
        container.env_from = vec![EnvFrom { from: named(false, "s", false), prefix: "P_".to_owned() }];
        container.command = vec!["$(P_A.b)$(P_url)".to_owned()];
        assert_eq!(resolve(&container).expect("resolves"), ["P_A.b=1", "P_url=mine", "ONE=2", "1mine"]);
        let refused = |value| resolve(&env(vec![("X", value)])).expect_err("refused").to_string();
        assert!(refused(key(false, "nobody", "x", false)).contains("configmap \"nobody\" not found"));
        assert!(refused(key(true, "s", "x", false)).contains("couldn't find key \"x\" in secret \"s\""));
        assert!(refused(key(true, "s", "bytes", false)).contains("is no text"));
        // One such key kept a Pod with `envFrom` from starting.
        assert!(refused(key(false, "s", "picture", false)).contains("couldn't find key \"picture\""));
    }

    #[test]
    fn files_of_variables_are_read_by_name() {
        let file = |path: &str, key: &str, optional| {
            EnvValue::File(FileKey { volume: "v".to_owned(), path: path.to_owned(), key: key.to_owned(), optional })
        };
        let container = env(vec![
            ("ONE", text("1")),
            ("A", file("good", "A", false)),
            ("B", file("good", "B", true)),
            ("C", file("missing", "C", true)),
            ("D", file("not looked at", "D", false)),
            ("SEEN", text("$(A)")),
        ]);
        let values = resolve(&container).expect("resolves");
        assert_eq!(values, ["ONE=1", "A=$(ONE)", "SEEN=$(ONE)", "/bin/app"], "a value is taken as it is");
        let refused = |path, key| resolve(&env(vec![("X", file(path, key, false))])).expect_err("refused").to_string();
        assert!(refused("good", "B").contains("key \"B\" not found in file \"good\" of volume \"v\""));
        assert!(refused("missing", "B").contains("not found in file \"missing\""));
        assert!(refused("bad", "A").contains("file \"bad\" of volume \"v\": line 1"));
        assert!(refused("unread", "A").contains("it is no text"));
        assert!(refused("good", "BIG").contains("larger than 32 KiB"));
        let optional = resolve(&env(vec![("X", file("bad", "A", true))]));
        assert!(optional.is_err(), "what is there must be readable");
    }

    #[test]
    fn fields_are_the_pods_and_the_hosts() {
        let field = EnvValue::Field;
        let values = resolve(&env(vec![
            ("LABEL", field(PodField::Label("app".to_owned()))),
            ("NONE", field(PodField::Annotation("x".to_owned()))),
            ("NODE", field(PodField::NodeName)),
            ("HOST", field(PodField::HostIps)),
            ("PODS", field(PodField::PodIps)),
        ]));
        let expected =
            ["LABEL=web", "NONE=", "NODE=machine", "HOST=192.0.2.7,2001:db8::7", "PODS=10.1.2.3,::1", "/bin/app"];
        assert_eq!(values.expect("resolves"), expected);
    }

    #[test]
    fn amounts_are_rounded_up_and_without_a_limit_they_are_the_hosts() {
        let resource = |container: Option<&str>, amount, divisor| {
            EnvValue::Resource(ResourceField { container: container.map(str::to_owned), amount, divisor })
        };
        let mut container = env(vec![
            ("CPU", resource(None, ResourceAmount::CpuLimit, 1000)),
            ("MILLIS", resource(None, ResourceAmount::CpuRequest, 1)),
            ("B", resource(Some("b"), ResourceAmount::MemoryLimit, 1 << 20)),
            ("FREE", resource(None, ResourceAmount::MemoryLimit, 1 << 30)),
            ("DISK", resource(None, ResourceAmount::StorageLimit, 1 << 30)),
            ("ASKED", resource(None, ResourceAmount::StorageRequest, 1)),
        ]);
        container.resources.cpu_limit_millis = Some(1500);
        container.resources.cpu_request_millis = Some(1500);
        container.resources.storage_request = Some(7);
        let expected = ["CPU=2", "MILLIS=1500", "B=10", "FREE=4", "DISK=64", "ASKED=7", "/bin/app"];
        assert_eq!(resolve(&container).expect("resolves"), expected);
        let unknown = env(vec![("X", resource(Some("nobody"), ResourceAmount::CpuLimit, 1))]);
        assert!(resolve(&unknown).expect_err("refused").to_string().contains("no container \"nobody\""));
    }
}
