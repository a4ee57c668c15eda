//! Guests in text form: preview 1 programs put together from pieces, and components made of a core module and the WIT
//! files of WASI.

use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const IMPORTS: &str = r#"
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $prestat_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_link" (func $link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  ;; Writes LEN bytes at AT to descriptor FD.
  (func $put (param $fd i32) (param $at i32) (param $len i32)
    (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $len))
    (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
"#;

/// A preview 1 program: `body` is what `_start` does, `data` is at 1024, scratch space from 4096.
pub fn program(data: &str, body: &str) -> String {
    format!(
        r#"(module {IMPORTS} (data (i32.const 1024) "{data}")
             (func $inner (export "inner") {body}) (func $main (export "_start") (call $inner)))"#
    )
}

/// Ends with the status.
pub fn exits(status: i32) -> String {
    program("", &format!("(call $exit (i32.const {status}))"))
}

/// Says a line for ever asleep in reading, so that it can be looked at.
pub fn waits() -> String {
    program("up\\n", "(call $put (i32.const 1) (i32.const 1024) (i32.const 3)) (i32.store (i32.const 0) (i32.const 4096))
        (i32.store (i32.const 4) (i32.const 1)) (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))")
}

/// Ends with the errno of one call on the first preopen, `call` being given in text; strings are in `data`.
pub fn errno_of(data: &str, call: &str) -> String {
    program(data, &format!("(call $exit {call})"))
}

/// The errno of opening a path of `len` bytes beneath `fd`.
pub fn open(path: &str, fd: i32, flags: i32, rights: i64) -> String {
    let call = format!(
        "(call $path_open (i32.const {fd}) (i32.const 1) (i32.const 1024) (i32.const {}) (i32.const {flags})
            (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 4096))",
        path.len()
    );
    errno_of(path, &call)
}

/// The worlds of the components here; WASI itself comes from `guests/wit`.
const WORLDS: &str = r#"
package dwell:tests;
world web {
  import wasi:io/streams@0.2.12;
  import wasi:io/poll@0.2.12;
  import wasi:clocks/monotonic-clock@0.2.12;
  import wasi:http/types@0.2.12;
  import wasi:http/outgoing-handler@0.2.12;
  export wasi:http/incoming-handler@0.2.12;
}
world tool {
  import wasi:cli/stdout@0.2.12;
  import wasi:cli/exit@0.2.12;
  import wasi:io/poll@0.2.12;
  import wasi:io/streams@0.2.12;
  import wasi:sockets/instance-network@0.2.12;
  import wasi:sockets/ip-name-lookup@0.2.12;
  import wasi:sockets/tcp-create-socket@0.2.12;
  export wasi:cli/run@0.2.12;
}
world library { export add: func(a: u32) -> u32; }
"#;

/// A component of a core module in text form, for one of the worlds above.
pub fn component(world: &str, core: &str) -> Vec<u8> {
    let mut resolve = Resolve { all_features: true, ..Resolve::default() };
    resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/wit")).unwrap();
    let package = resolve.push_str("worlds.wit", WORLDS).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(core).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// A `wasi:http` component. What it does depends on the path's first letter: `t`rap, `s`pin, `m`emory, `w`ait,
/// else `hello`.
/// A request for `/q` sets no answer.
pub fn web() -> Vec<u8> {
    component("web", WEB)
}

const WEB: &str = r#"(module
  (import "wasi:http/types@0.2.12" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.12" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
  (import "wasi:http/types@0.2.12" "[method]outgoing-response.body" (func $body (param i32 i32)))
  (import "wasi:http/types@0.2.12" "[static]response-outparam.set"
    (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.12" "[method]outgoing-body.write" (func $write (param i32 i32)))
  (import "wasi:http/types@0.2.12" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.12" "[method]incoming-request.path-with-query" (func $path (param i32 i32)))
  (import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-and-flush"
    (func $put (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.12" "[resource-drop]output-stream" (func $close (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $after (param i64) (result i32)))
  (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 1024) "hello\n")
  (global $free (mut i32) (i32.const 16384))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $free))
    (global.set $free (i32.and (i32.add (i32.add (global.get $free) (local.get 3)) (i32.const 15)) (i32.const -16)))
    (local.get $at))
  (func $boom unreachable)
  (func $letter (param $request i32) (result i32)
    (call $path (local.get $request) (i32.const 0))
    (i32.load8_u offset=1 (i32.load (i32.const 4))))
  (func (export "wasi:http/incoming-handler@0.2.12#handle") (param $request i32) (param $out i32)
    (local $letter i32) (local $answer i32) (local $to i32) (local $stream i32)
    (local.set $letter (call $letter (local.get $request)))
    (if (i32.eq (local.get $letter) (i32.const 116)) (then (call $boom)))
    (if (i32.eq (local.get $letter) (i32.const 115)) (then (loop $for_ever (br $for_ever))))
    (if (i32.eq (local.get $letter) (i32.const 109)) (then
      (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (call $boom)))
    (if (i32.eq (local.get $letter) (i32.const 113)) (then (return)))
    (if (i32.eq (local.get $letter) (i32.const 119)) (then (call $block (call $after (i64.const 800000000)))))
    (local.set $answer (call $response (call $fields)))
    (call $body (local.get $answer) (i32.const 0))
    (local.set $to (i32.load (i32.const 4)))
    (call $set (local.get $out) (i32.const 0) (local.get $answer) (i32.const 0) (i64.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0))
    (call $write (local.get $to) (i32.const 0))
    (local.set $stream (i32.load (i32.const 4)))
    (call $put (local.get $stream) (i32.const 1024) (i32.const 6) (i32.const 0))
    (call $close (local.get $stream))
    (call $finish (local.get $to) (i32.const 0) (i32.const 0) (i32.const 0))))"#;

const TOOL: &str = r#"
  (import "wasi:cli/stdout@0.2.12" "get-stdout" (func $stdout (result i32)))
  (import "wasi:cli/exit@0.2.12" "exit-with-code" (func $exit (param i32)))
  (import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-and-flush"
    (func $put (param i32 i32 i32 i32)))
  (import "wasi:sockets/instance-network@0.2.12" "instance-network" (func $network (result i32)))
  (import "wasi:sockets/ip-name-lookup@0.2.12" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))
  (import "wasi:sockets/ip-name-lookup@0.2.12" "[method]resolve-address-stream.subscribe"
    (func $subscribe (param i32) (result i32)))
  (import "wasi:sockets/ip-name-lookup@0.2.12" "[method]resolve-address-stream.resolve-next-address"
    (func $next (param i32 i32)))
  (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:sockets/tcp-create-socket@0.2.12" "create-tcp-socket" (func $tcp (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 32768))
"#;

/// A `wasi:cli/run` component; `body` gives the result, `data` is at 1024.
pub fn tool(data: &str, body: &str) -> Vec<u8> {
    let run = format!(r#"(func (export "wasi:cli/run@0.2.12#run") (result i32) (local $a i32) {body})"#);
    component("tool", &format!(r#"(module {TOOL} (data (i32.const 1024) "{data}") {run})"#))
}

/// Looks a name up and exits with the last byte of its first address, or 100 + the error.
pub fn looks_up(name: &str) -> Vec<u8> {
    let body = format!(
        "(call $resolve (call $network) (i32.const 1024) (i32.const {}) (i32.const 0))
         (if (i32.load8_u (i32.const 0)) (then (call $exit (i32.add (i32.const 100) (i32.load8_u (i32.const 4))))))
         (local.set $a (i32.load (i32.const 4)))
         (call $block (call $subscribe (local.get $a)))
         (call $next (local.get $a) (i32.const 0))
         (if (i32.load8_u (i32.const 0)) (then (call $exit (i32.add (i32.const 100) (i32.load8_u (i32.const 2))))))
         (call $exit (i32.load8_u (i32.const 9)))
         (i32.const 0)",
        name.len()
    );
    tool(name, &body)
}
