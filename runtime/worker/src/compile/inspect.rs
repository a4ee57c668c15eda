//! What a module is, from its imports and exports alone: before a cycle is spent on compiling it.
//!
//! Reads section headers and two short lists, and nothing of the code. The full validation is the compiler's.

use super::provided;
use dwell_spec::plan::worker::{ModuleInfo, ModuleKind};
use sha2::{Digest, Sha256};
use std::fmt;
use wasmparser::{BinaryReaderError, Encoding, ExternalKind, Parser, Payload, TypeRef};

/// Imports and exports remembered; a module may have more.
const NAMES: usize = 512;
/// Characters of a name remembered.
const NAME: usize = 200;
/// Imports that a refusal lists.
const LISTED: usize = 12;
const MAGIC: &[u8] = b"\0asm";

/// Why a module cannot be run here.
#[derive(Debug)]
pub enum Refusal {
    /// WebAssembly's text form.
    Text,
    /// Something else, or nothing.
    NotWasm,
    /// Broken.
    Malformed(BinaryReaderError),
    /// Nothing to start; the exports it has, and what it looks like.
    NoEntry { exports: Vec<String>, component: bool },
    /// Imports nobody provides.
    Missing(Vec<String>),
}

impl Refusal {
    /// The report's word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "MissingImport",
            _ => "InvalidModule",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str(
                "this is WebAssembly text (.wat), not a binary; assemble it first: wasm-tools parse FILE -o FILE.wasm",
            ),
            Self::NotWasm => f.write_str("this is not a WebAssembly module: it does not begin with \\0asm"),
            Self::Malformed(cause) => write!(f, "the module is malformed: {cause}"),
            Self::NoEntry { exports, component } => no_entry(f, exports, *component),
            Self::Missing(imports) => missing(f, imports),
        }
    }
}

fn no_entry(f: &mut fmt::Formatter<'_>, exports: &[String], component: bool) -> fmt::Result {
    let wanted = if component {
        "wasi:cli/run@0.2 or wasi:http/incoming-handler@0.2"
    } else {
        "_start (build a command, not a library or reactor)"
    };
    let list = if exports.is_empty() { "nothing".to_owned() } else { some_of(exports) };
    write!(f, "there is nothing to run: it should export {wanted}, but exports {list}")?;
    if exports.iter().any(|name| name.contains("@0.3.")) {
        f.write_str("; WASI 0.3 is not offered yet")?;
    }
    Ok(())
}

fn missing(f: &mut fmt::Formatter<'_>, imports: &[String]) -> fmt::Result {
    f.write_str("nobody here provides what the module imports:")?;
    for import in imports.iter().take(LISTED) {
        write!(f, "\n{import}")?;
        if let Some(hint) = provided::hint(import) {
            write!(f, " ({hint})")?;
        }
    }
    match imports.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => write!(f, "\nand {more} more"),
    }
}

fn some_of(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let list = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}

/// What is known of a module so far.
#[derive(Default)]
struct Found {
    component: bool,
    imports: Vec<String>,
    missing: Vec<String>,
    exports: Vec<String>,
    start: bool,
    run: bool,
    http: bool,
}

/// Finds out what a module is, and that everything it imports is provided.
///
/// # Errors
/// See `Refusal`.
pub fn inspect(source: &[u8]) -> Result<ModuleInfo, Refusal> {
    if !source.starts_with(MAGIC) {
        return Err(if is_text(source) { Refusal::Text } else { Refusal::NotWasm });
    }
    let found = scan(source).map_err(Refusal::Malformed)?;
    if !found.missing.is_empty() {
        return Err(Refusal::Missing(found.missing));
    }
    let kind = match (found.component, found.start, found.run, found.http) {
        (false, true, ..) => ModuleKind::Preview1Command,
        (true, _, _, true) => ModuleKind::HttpHandler,
        (true, _, true, _) => ModuleKind::Preview2Command,
        _ => {
            return Err(Refusal::NoEntry { exports: found.exports, component: found.component });
        }
    };
    let (source_bytes, source_digest) = (source.len() as u64, digest(source));
    Ok(ModuleInfo { kind, source_bytes, source_digest, imports: found.imports, exports: found.exports })
}

fn digest(source: &[u8]) -> String {
    let bytes = Sha256::digest(source);
    bytes.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn is_text(source: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&source[..source.len().min(4096)]);
    let code = head.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with(";;"));
    code.is_some_and(|line| line.starts_with("(module") || line.starts_with("(component"))
}

/// Only the outermost module's lists count: what is nested is the component's own business.
fn scan(source: &[u8]) -> Result<Found, BinaryReaderError> {
    let mut found = Found::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(source) {
        match payload? {
            Payload::Version { encoding, .. } if depth == 0 => found.component = encoding == Encoding::Component,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ImportSection(imports) if depth == 0 => {
                for import in imports.into_imports() {
                    let import = import?;
                    found.core_import(import.module, import.name, import.ty);
                }
            }
            Payload::ExportSection(exports) if depth == 0 => {
                for export in exports {
                    let export = export?;
                    found.core_export(export.name, export.kind);
                }
            }
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    found.import(import?.name.name);
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    found.export(export?.name.name);
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

impl Found {
    fn core_import(&mut self, module: &str, name: &str, ty: TypeRef) {
        let both = format!("{module}.{name}");
        if !(matches!(ty, TypeRef::Func(_)) && provided::core(module, name)) {
            remember(&mut self.missing, &both);
        }
        remember(&mut self.imports, &both);
    }

    fn core_export(&mut self, name: &str, kind: ExternalKind) {
        self.start |= name == "_start" && kind == ExternalKind::Func;
        remember(&mut self.exports, name);
    }

    fn import(&mut self, name: &str) {
        if !provided::interface(name) {
            remember(&mut self.missing, name);
        }
        remember(&mut self.imports, name);
    }

    fn export(&mut self, name: &str) {
        let is = |wanted: &str| name.strip_prefix(wanted).is_some_and(provided::is_preview2);
        self.run |= is("wasi:cli/run@");
        self.http |= is("wasi:http/incoming-handler@");
        remember(&mut self.exports, name);
    }
}

fn remember(list: &mut Vec<String>, name: &str) {
    if list.len() < NAMES {
        list.push(name.chars().take(NAME).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Result<ModuleInfo, Refusal> {
        inspect(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn command_is_a_command() {
        let info = look(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (func (export "_start")))"#,
        )
        .unwrap();
        assert_eq!(info.kind, ModuleKind::Preview1Command);
        assert_eq!(info.imports, ["wasi_snapshot_preview1.proc_exit"]);
    }

    #[test]
    fn missing_imports_are_named_with_who_has_them() {
        let why = look(
            r#"(module (import "wasi_snapshot_preview1" "fd_write" (memory 1)) (import "env" "emscripten_resize_heap" (func))
                (func (export "_start")))"#,
        )
        .unwrap_err();
        let text = why.to_string();
        assert_eq!(why.reason(), "MissingImport");
        assert!(text.contains("env.emscripten_resize_heap (emscripten's JavaScript)"), "{text}");
        assert!(text.contains("wasi_snapshot_preview1.fd_write"), "{text}");
    }

    #[test]
    fn library_is_refused_with_its_exports() {
        let text = look(r#"(module (func (export "add")))"#).unwrap_err().to_string();
        assert!(text.contains("exports add"), "{text}");
    }

    #[test]
    fn text_and_nonsense_are_told_apart() {
        assert!(matches!(inspect(b";; x\n  (module)"), Err(Refusal::Text)));
        assert!(matches!(inspect(b"\x7fELF"), Err(Refusal::NotWasm)));
        assert!(matches!(inspect(b"\0asm\x01\0\0\0\x02\xff"), Err(Refusal::Malformed(_))));
    }
}
