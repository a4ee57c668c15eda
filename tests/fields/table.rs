//! The table: groups of rows, as they stand in `rows/*.txt`. Reading only; nothing here starts anything.
//!
//! ```text
//! group NAME                        a Pod: it has a container `native` for what is looked at by a shell, one `guest-N` for
//!                                   each look of a guest, and its members
//! base|set|else WHERE JSON          what is merged into `spec`, `meta`, `each` container, every `guest`, or one by its name:
//!                                   always, with the fields, or only in the run without them
//! member NAME native|GUEST JSON     one more container; nobody waits for the end of one called `lives…`
//! also JSON                         a document in the same file
//! row PATH                          the fields that the next lines are about; {a,b} is one row for each
//! native|wasm COMMAND => TEXT       what is seen: exactly TEXT; with =~ instead, something that has it inside; \r\n is
//!                                   the end of a line on a terminal
//! native|wasm proof NAME            a test of its own shows it
//! native|wasm why TEXT              why no look from inside can tell
//! native|wasm|both refused|warns JSON => SENTENCE      what `dwell run` says of it
//! native|wasm|both ignored JSON     nothing is said of it
//! ```
//!
//! A COMMAND of `native` is a script; of `wasm` a guest and its arguments, or `beside SCRIPT`, a shell's look at the guest
//! that lives beside it. Of both: `of MEMBER` is what a member has written, `pod /POINTER` is in the Pod's object, and
//! `… ; /POINTER` is in the status of that container instead of what it has written.

use crate::FILES;

/// A Pod, and the rows that it answers; rows of verdicts alone need none.
#[derive(Debug, Default)]
pub struct Group {
    /// The file that it is in, without its ending.
    pub file: &'static str,
    /// Unique among all.
    pub name: String,
    /// What is merged into the Pod, in this order.
    pub parts: Vec<Part>,
    /// Further documents.
    pub also: Vec<&'static str>,
    /// Further containers: name, `native` or a guest, what is merged into it.
    pub members: Vec<[&'static str; 3]>,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// When a part is merged into the Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In both runs.
    Always,
    /// In the run with the fields.
    With,
    /// In the run without them.
    Without,
}

/// What is merged into a Pod.
#[derive(Debug)]
pub struct Part {
    /// In which runs.
    pub when: When,
    /// `spec`, `meta`, `each`, `guest` or a container's name.
    pub place: &'static str,
    /// JSON, with placeholders.
    pub json: &'static str,
}

/// Fields and what is said of them.
#[derive(Debug)]
pub struct Row {
    /// As in the table of fields.
    pub paths: Vec<String>,
    /// For one kind or both.
    pub answers: Vec<(Kinds, Answer)>,
}

/// Which kinds of member an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// Native members.
    Native,
    /// Wasm members.
    Wasm,
    /// Either.
    Both,
}

/// How a row is answered.
#[derive(Debug)]
pub enum Answer {
    /// By a look.
    Look(Look),
    /// By a test of this name.
    Proof(&'static str),
    /// By nothing, for this reason.
    Why(&'static str),
    /// By what `dwell run` says.
    Verdict {
        /// What follows from it.
        word: Word,
        /// JSON that is merged into the spec, or into the container if the field is one of its; `spec` in it, into the spec.
        json: &'static str,
        /// What is said behind the path.
        sentence: &'static str,
    },
}

/// What `dwell run` makes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// An error.
    Refused,
    /// A warning, and the Pod runs.
    Warns,
    /// Not a word, and the Pod runs.
    Ignored,
}

/// A look, and what must be seen.
#[derive(Debug)]
pub struct Look {
    /// Where.
    pub at: At,
    /// All of it, or something inside.
    pub exact: bool,
    /// What.
    pub want: String,
}

/// Where a look goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// What a script of the native container prints.
    Script(&'static str),
    /// What a guest with these words prints, or what its status has there.
    Guest(&'static str, Option<&'static str>),
    /// The same of a member.
    Member(&'static str, Option<&'static str>),
    /// The Pod's object.
    Pod(&'static str),
}

impl Look {
    /// Whether this is what must be seen.
    #[must_use]
    pub fn holds(&self, seen: &str) -> bool {
        let want = self.want.trim();
        if self.exact { seen.trim() == want } else { seen.contains(want) }
    }
}

/// All groups of all files, in their order.
#[must_use]
pub fn all() -> Vec<Group> {
    FILES.iter().flat_map(|(file, text)| read(file, text)).collect()
}

fn read(file: &'static str, text: &'static str) -> Vec<Group> {
    let mut groups = vec![Group { file, ..Group::default() }];
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let read = groups.last_mut().and_then(|group| {
            let (word, rest) = line.split_once(' ')?;
            if word != "group" {
                return group.line(word, rest).map(|()| None);
            }
            Some(Some(Group { file, name: rest.to_owned(), ..Group::default() }))
        });
        groups.extend(read.unwrap_or_else(|| panic!("rows/{file}.txt:{}: what is that? {line}", number + 1)));
    }
    groups
}

impl Group {
    fn line(&mut self, word: &str, rest: &'static str) -> Option<()> {
        match word {
            "base" => self.part(When::Always, rest)?,
            "set" => self.part(When::With, rest)?,
            "else" => self.part(When::Without, rest)?,
            "also" => self.also.push(rest),
            "member" => {
                let mut words = rest.splitn(3, ' ');
                self.members.push([words.next()?, words.next()?, words.next()?]);
            }
            "row" => self.rows.push(Row { paths: expanded(rest), answers: Vec::new() }),
            "native" => self.rows.last_mut()?.answers.push((Kinds::Native, answer(true, rest)?)),
            "wasm" => self.rows.last_mut()?.answers.push((Kinds::Wasm, answer(false, rest)?)),
            "both" => self.rows.last_mut()?.answers.push((Kinds::Both, answer(true, rest)?)),
            _ => return None,
        }
        Some(())
    }

    fn part(&mut self, when: When, rest: &'static str) -> Option<()> {
        let (place, json) = rest.split_once(' ')?;
        self.parts.push(Part { when, place, json });
        Some(())
    }
}

/// `a.{b,c}` is `a.b` and `a.c`.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, (inside, after))) =
        path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return vec![path.to_owned()];
    };
    inside.split(',').flat_map(|one| expanded(&format!("{before}{one}{after}"))).collect()
}

fn answer(native: bool, rest: &'static str) -> Option<Answer> {
    let (word, behind) = rest.split_once(' ')?;
    match word {
        "proof" => return Some(Answer::Proof(behind)),
        "why" => return Some(Answer::Why(behind)),
        "ignored" => return Some(Answer::Verdict { word: Word::Ignored, json: behind, sentence: "" }),
        _ => {}
    }
    if let Some(word) = verdict(word) {
        let (json, sentence) = behind.rsplit_once(" => ")?;
        return Some(Answer::Verdict { word, json, sentence });
    }
    let exactly = rest.split_once(" => ").map(|(ask, want)| (ask, want, true));
    let (ask, want, exact) = exactly.or_else(|| rest.split_once(" =~ ").map(|(ask, want)| (ask, want, false)))?;
    Some(Answer::Look(Look { at: at(native, ask), exact, want: want.replace("\\r\\n", "\r\n") }))
}

fn verdict(word: &str) -> Option<Word> {
    match word {
        "refused" => Some(Word::Refused),
        "warns" => Some(Word::Warns),
        _ => None,
    }
}

fn at(native: bool, ask: &'static str) -> At {
    let (words, pointer) = match ask.split_once(" ; /") {
        Some((words, _)) => (words, Some(&ask[words.len() + 3..])),
        None => (ask, None),
    };
    match words.split_once(' ') {
        Some(("of", member)) => At::Member(member, pointer),
        Some(("pod", pointer)) => At::Pod(pointer),
        Some(("beside", _)) => At::Script(&ask["beside ".len()..]),
        _ if native => At::Script(ask),
        _ => At::Guest(words, pointer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_is_described() {
        let text =
            "group g\nset spec {}\nrow a.{b,c}\nnative of m ; /x => y\nwasm beside id -u =~ 1\nboth refused {} => no\n";
        let group = &read("test", text)[1];
        assert_eq!(group.rows[0].paths, ["a.b", "a.c"]);
        let looks = group.rows[0].answers.iter().filter_map(|(_, answer)| match answer {
            Answer::Look(look) => Some((look.at.clone(), look.exact)),
            _ => None,
        });
        let looks: Vec<_> = looks.collect();
        assert_eq!(looks, [(At::Member("m", Some("/x")), true), (At::Script("id -u"), false)]);
        assert!(matches!(group.rows[0].answers[2], (Kinds::Both, Answer::Verdict { word: Word::Refused, .. })));
    }
}
