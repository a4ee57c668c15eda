//! The compile role: what it accepts, and what it says of what it does not.

use crate::guest::{component, exits, tool, web};
use crate::member::compile;
use dwell_spec::plan::worker::ModuleKind;

fn refusal(source: &[u8]) -> (String, String) {
    let compiled = compile(source);
    assert_eq!(compiled.status.code(), Some(126));
    let report = compiled.report.as_ref().expect("a report");
    (report.reason.clone(), report.message.clone())
}

#[test]
fn kinds_are_recognised() {
    let kind = |source: &[u8]| compile(source).info.as_ref().map(|info| info.kind);
    assert_eq!(kind(&wat::parse_str(exits(0)).unwrap()), Some(ModuleKind::Preview1Command));
    assert_eq!(kind(&tool("", "(i32.const 0)")), Some(ModuleKind::Preview2Command));
    assert_eq!(kind(&web()), Some(ModuleKind::HttpHandler));
}

#[test]
fn missing_imports_are_named_each() {
    let source = r#"(module (import "env" "frobnicate" (func)) (import "gojs" "runtime.wasmExit" (func (param i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (func (export "_start")))"#;
    let (reason, message) = refusal(&wat::parse_str(source).unwrap());
    assert_eq!(reason, "MissingImport");
    assert!(message.contains("env.frobnicate") && message.contains("gojs.runtime.wasmExit"), "{message}");
    assert!(message.contains("GOOS=wasip1") && !message.contains("proc_exit"), "{message}");
}

#[test]
fn imports_of_the_wrong_type_are_missing_too() {
    let source =
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i64))) (func (export "_start")))"#;
    let (reason, message) = refusal(&wat::parse_str(source).unwrap());
    assert_eq!(reason, "MissingImport");
    assert!(message.contains("proc_exit"), "{message}");
}

#[test]
fn what_cannot_be_run_is_said_plainly() {
    let (reason, message) = refusal(b"(module (func (export \"_start\")))");
    assert_eq!(reason, "InvalidModule");
    assert!(message.contains("wasm-tools parse"), "{message}");
    assert!(refusal(b"\x7fELF").1.contains("not a WebAssembly module"));
    assert!(refusal(b"").1.contains("not a WebAssembly module"));
    assert!(refusal(&wat::parse_str("(module (func (export \"add\")))").unwrap()).1.contains("exports add"));
    let library = r#"(module (func (export "add") (param i32) (result i32) (local.get 0)))"#;
    assert!(refusal(&component("library", library)).1.contains("wasi:cli/run@0.2"));
}

#[test]
fn broken_code_is_invalid_and_names_the_place() {
    let mut source = wat::parse_str(exits(0)).unwrap();
    let end = source.len() - 40;
    source.truncate(end);
    assert_eq!(refusal(&source).0, "InvalidModule");
    let ill_typed = r#"(module (func (export "_start") (result i32)))"#;
    let (reason, message) = refusal(&wat::parse_str(ill_typed).unwrap());
    assert_eq!(reason, "InvalidModule");
    assert!(message.contains("type mismatch"), "{message}");
}

#[test]
fn hostile_names_do_not_reach_a_terminal() {
    let source = "(module (import \"env\" \"\\1b[2J\\0aforged: line\" (func)) (func (export \"_start\")))";
    let message = refusal(&wat::parse_str(source).unwrap()).1;
    assert!(!message.contains('\u{1b}') && message.contains("\\u{1b}[2J"), "{message}");
}

/// Enough work for the allocator to shrink its heaps, which asks for a file that the walls refuse.
#[test]
fn a_large_module_is_compiled_within_the_walls() {
    let arithmetic = "(i32.mul (i32.add (local.get 0) (i32.const 7)) (i32.xor (local.get 0) (i32.const 99)))";
    let one = |n: u32| {
        format!(
            "(func $f{n} (param i32) (result i32) (i32.add {arithmetic} (i32.rotl {arithmetic} (i32.const {})))) ",
            n % 31
        )
    };
    let functions: String = (0..4000).map(one).collect();
    let source = format!(r#"(module {functions} (func (export "_start") (drop (call $f0 (i32.const 1)))))"#);
    let compiled = compile(&wat::parse_str(source).unwrap());
    assert!(compiled.status.success(), "{:?} {:?}", compiled.status, compiled.report);
}
