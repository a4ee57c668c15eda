//! One Pod among the many, of two members that count, and whoever follows it: what is done to it, one thing after the
//! other, and whether it became what it must.
//!
//! Nothing is done to a member before what was done to it last is to be seen, so there is no doubt about what ended a run.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dwell_tests::node::patience;
use serde_json::Value;

use super::Soak;
use super::books::{log_lines, tallies};
use super::ledger::{End, Ledger, Policy, Verdict, check_log};
use super::victims::{self, Victim, Victims};
use crate::random::Random;
use crate::{pod, shell_container, wasm_container};

/// After so many ends of its members a Pod makes room for a fresh one: its back-offs have become long, and of a
/// container's log files only the last few are kept.
const ENDS: usize = 8;
/// What the native member runs: `guests/c/tick.c` in the shell's words.
const TICK: &str = "exec 3>>/soak/native; echo begun >&3; n=0
while [ ! -e /soak/native.end ]; do
  i=0; while [ $i -lt 20 ]; do i=$((i+1)); n=$((n+1)); echo $n; echo $n >&3; done
  sleep 0.5
done
read code </soak/native.end; rm /soak/native.end; exit $code";

/// The members in order, as they are killed.
const VICTIMS: [Victim; 2] = [Victim::Native, Victim::Wasm];

struct Member {
    name: &'static str,
    ledger: Ledger,
    /// Ended runs whose logs were found to be right.
    checked: usize,
}

/// One place among the many, and the Pod in it.
pub struct Place<'a> {
    soak: &'a Soak,
    random: Random,
    number: usize,
    generation: usize,
    uid: String,
    members: [Member; 2],
    victims: Victims,
    settled: Instant,
}

impl<'a> Place<'a> {
    /// With its first Pod.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn new(soak: &'a Soak, number: usize, random: Random) -> Result<Place<'a>, String> {
        let policy = [Policy::Always, Policy::OnFailure, Policy::Never][number % 3];
        let mut place = Place {
            soak,
            random,
            number,
            generation: 0,
            uid: String::new(),
            members: members(policy),
            victims: Victims::of(""),
            settled: Instant::now(),
        };
        place.start()?;
        Ok(place)
    }

    fn name(&self) -> String {
        format!("soak-{}-{}-{}", std::process::id(), self.number, self.generation)
    }

    /// Where its members keep their tallies.
    fn folder(&self) -> PathBuf {
        self.soak.world.files().join(self.name())
    }

    fn policy(&self) -> Policy {
        self.members[0].ledger.policy
    }

    fn start(&mut self) -> Result<(), String> {
        std::fs::create_dir(self.folder()).map_err(|error| format!("make a folder: {error}"))?;
        let mount = "    volumeMounts: [{name: soak, mountPath: /soak}]\n";
        let native = shell_container(&self.soak.world, "native", TICK) + mount;
        let wasm = wasm_container("wasm", "tick.wasm", "/soak, wasm") + mount;
        let volume = format!("  volumes: [{{name: soak, hostPath: {{path: {}}}}}]\n", self.folder().display());
        let manifest = pod(&self.name(), &format!("{:?}", self.policy()), 1, &[native, wasm]) + &volume;
        let path = self.soak.world.file(&format!("{}.yaml", self.name()), &manifest);
        // The node may be killed while it is asked; whether it has taken the Pod, the next one knows.
        self.until(&["run", "-d", path.to_str().unwrap_or_default()], "exists already")?;
        let pod = self.inspect()?;
        pod["metadata"]["uid"].as_str().ok_or("it has no uid")?.clone_into(&mut self.uid);
        self.victims = Victims::of(&self.name());
        self.soak.count("Pods", 1);
        Ok(())
    }

    /// A command over and over, until it is done or says that it was.
    fn until(&self, args: &[&str], done: &str) -> Result<String, String> {
        let began = Instant::now();
        loop {
            let said = self.soak.world.dwell(args);
            if said.code == 0 || (!done.is_empty() && said.err.contains(done)) {
                return Ok(said.out);
            }
            if began.elapsed() > patience() {
                return Err(self.about(&format!("dwell {args:?}: {said:#?}")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn inspect(&self) -> Result<Value, String> {
        let text = self.until(&["inspect", "-o", "json", &self.name()], "")?;
        serde_json::from_str(&text).map_err(|error| self.about(&format!("{error}: {text}")))
    }

    fn about(&self, what: &str) -> String {
        let ends: Vec<_> = self.members.iter().map(|member| (member.name, &member.ledger.ends)).collect();
        format!("{} ({:?}, {ends:?}): {what}", self.name(), self.policy())
    }

    /// Looks at the Pod, and does something to it if it has become what it must; whether it had.
    ///
    /// # Errors
    /// What is wrong.
    pub fn turn(&mut self) -> Result<bool, String> {
        let Some(verdicts) = self.look()? else { return Ok(false) };
        if verdicts.iter().all(|verdict| *verdict == Verdict::Rests) || self.has_had_enough() {
            self.replace()?;
        } else {
            self.act(&verdicts)?;
        }
        Ok(true)
    }

    fn has_had_enough(&self) -> bool {
        self.members.iter().map(|member| member.ledger.ends.len()).sum::<usize>() >= ENDS
    }

    /// How the members stand, once all do; the logs of the runs that have ended are right then.
    fn look(&mut self) -> Result<Option<[Verdict; 2]>, String> {
        let pod = self.inspect()?;
        let verdicts = [0, 1].map(|index| self.judge(index, &pod));
        if let Some(Verdict::Wrong(why)) = verdicts.iter().find(|verdict| matches!(verdict, Verdict::Wrong(_))) {
            return Err(self.about(&format!("{why}: {:#}", pod["status"])));
        }
        let over = verdicts.iter().all(|verdict| *verdict == Verdict::Rests);
        if verdicts.contains(&Verdict::Pending) || (over && !self.phase_is_right(&pod)) {
            let late = self.settled.elapsed() > patience();
            return if late { Err(self.about(&format!("it stays so: {:#}", pod["status"]))) } else { Ok(None) };
        }
        (0..2).try_for_each(|index| self.check_ended(index))?;
        self.settled = Instant::now();
        Ok(Some(verdicts))
    }

    fn judge(&self, index: usize, pod: &Value) -> Verdict {
        let member = &self.members[index];
        let all = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        let status = all.into_iter().find(|status| status["name"] == member.name);
        let begun = tallies(&self.folder().join(member.name)).len();
        status.map_or(Verdict::Pending, |status| member.ledger.judge(status, begun))
    }

    fn phase_is_right(&self, pod: &Value) -> bool {
        let well = self.members.iter().all(|member| member.ledger.ends.last().is_some_and(|end| end.code() == 0));
        pod["status"]["phase"] == if well { "Succeeded" } else { "Failed" }
    }

    fn check_ended(&mut self, index: usize) -> Result<(), String> {
        for run in self.members[index].checked..self.members[index].ledger.ends.len() {
            let end = self.members[index].ledger.ends[run];
            let lines = self.check(index, run, Some(end))?;
            self.members[index].checked += 1;
            self.soak.count("ended runs", 1);
            self.soak.count("their lines", lines);
        }
        Ok(())
    }

    /// What was written is on its way to the log for a moment; it has its time.
    fn check(&self, index: usize, run: usize, end: Option<End>) -> Result<usize, String> {
        let (name, began) = (self.members[index].name, Instant::now());
        let folder = self.soak.world.state_dir().join("lib/pods").join(&self.uid).join("logs").join(name);
        let tally = *tallies(&self.folder().join(name)).get(run).ok_or_else(|| self.about("a run without a tally"))?;
        loop {
            let lines = log_lines(&folder, run);
            match check_log(&lines, tally, end) {
                Ok(()) => return Ok(lines.len()),
                Err(why) if began.elapsed() > patience() => {
                    return Err(self.about(&format!("the log of run {run} of {name}: {why}")));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn act(&mut self, verdicts: &[Verdict; 2]) -> Result<(), String> {
        let running: Vec<usize> = (0..2).filter(|index| verdicts[*index] == Verdict::Runs).collect();
        if running.is_empty() {
            return Ok(());
        }
        let one = self.random.one(&running);
        match self.random.below(100) {
            0..35 => self.kill(one),
            35..55 => self.tell(one),
            // One that waits for its back-off might begin at that moment, or not.
            55..80 if !verdicts.contains(&Verdict::Waits) => self.kill_pause(&running),
            _ => Ok(()),
        }
    }

    fn kill(&mut self, index: usize) -> Result<(), String> {
        self.victim(VICTIMS[index]).and_then(|process| victims::kill(&process)).map_err(|why| self.about(&why))?;
        self.members[index].ledger.ends.push(End::Killed);
        self.soak.count(if index == 0 { "killed native members" } else { "killed Wasm members" }, 1);
        Ok(())
    }

    fn tell(&mut self, index: usize) -> Result<(), String> {
        let process = self.victim(VICTIMS[index])?;
        let code = self.random.one(&[0, 0, 3, 41]);
        let end = self.folder().join(format!("{}.end", self.members[index].name));
        let part = end.with_extension("part");
        let told = std::fs::write(&part, format!("{code}\n")).and_then(|()| std::fs::rename(&part, &end));
        told.map_err(|error| self.about(&format!("tell it: {error}")))?;
        victims::end(&process).map_err(|why| self.about(&why))?;
        self.members[index].ledger.ends.push(End::Told(code));
        self.soak.count("members that ended by themselves", 1);
        Ok(())
    }

    fn kill_pause(&mut self, running: &[usize]) -> Result<(), String> {
        self.victim(Victim::Pause).and_then(|pause| victims::kill(&pause)).map_err(|why| self.about(&why))?;
        running.iter().for_each(|index| self.members[*index].ledger.ends.push(End::WithPause));
        self.soak.count(&format!("killed pauses, {:?}", self.policy()), 1);
        Ok(())
    }

    fn victim(&mut self, victim: Victim) -> Result<OwnedFd, String> {
        self.victims.get(victim).ok_or_else(|| self.about(&format!("{victim:?} runs, and has no process")))
    }

    fn replace(&mut self) -> Result<(), String> {
        self.until(&["rm", "-f", &self.name()], "no Pod")?;
        self.generation += 1;
        self.members = members(self.policy());
        self.start()?;
        self.settled = Instant::now();
        Ok(())
    }

    /// At last: waits until it has become what it must, and looks at the logs of the runs that go on, as a user does too.
    ///
    /// # Errors
    /// What is wrong.
    pub fn finish(&mut self) -> Result<(), String> {
        let verdicts = loop {
            match self.look()? {
                Some(verdicts) => break verdicts,
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        for index in (0..2).filter(|index| verdicts[*index] == Verdict::Runs) {
            let (name, run) = (self.members[index].name, self.members[index].ledger.ends.len());
            let least = self.check(index, run, None)?;
            let shown = self.until(&["logs", "-c", name, &self.name()], "")?;
            let lines: Vec<String> = shown.lines().map(str::to_owned).collect();
            check_log(&lines, least, None).map_err(|why| self.about(&format!("dwell logs of {name}: {why}")))?;
        }
        Ok(())
    }
}

fn members(policy: Policy) -> [Member; 2] {
    ["native", "wasm"].map(|name| Member { name, ledger: Ledger::new(policy), checked: 0 })
}
