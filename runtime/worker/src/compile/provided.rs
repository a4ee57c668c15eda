//! Which imports this runtime provides, and for one that it does not, who would.

use crate::link::{PREVIEW1, PREVIEW1_MODULE, PREVIEW2};

/// Whether a core module's import is linked.
pub fn core(module: &str, name: &str) -> bool {
    module == PREVIEW1_MODULE && PREVIEW1.binary_search(&name).is_ok()
}

/// Whether a component's import is linked: by interface, in any version 0.2.x, as semver has it.
pub fn interface(import: &str) -> bool {
    let Some((name, version)) = import.split_once('@') else {
        return false;
    };
    PREVIEW2.contains(&name) && is_preview2(version)
}

/// 0.2.x without a pre-release.
pub fn is_preview2(version: &str) -> bool {
    version.strip_prefix("0.2.").is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit()))
}

/// Who provides what we do not, in a few words.
pub fn hint(import: &str) -> Option<&'static str> {
    let module = import.split(['.', '@', '/']).next().unwrap_or(import);
    Some(match module {
        "wasi_unstable" => "WASI before preview 1; rebuild with a newer SDK",
        "wasix_32v1" | "wasix_64v1" => "WASIX, which only Wasmer provides",
        "env" if import.contains("emscripten") || import.contains("invoke_") => "emscripten's JavaScript",
        "env" => "a host of its own (emscripten, or an undefined symbol at link time)",
        "go" | "gojs" => "Go's JavaScript glue; build with GOOS=wasip1",
        "wbg" | "__wbindgen_placeholder__" => "wasm-bindgen, for browsers; build for wasm32-wasip1 or wasm32-wasip2",
        "rb-js-abi-host" | "canonical_abi" => "ruby.wasm's JavaScript",
        "wasi_nn" | "wasi_ephemeral_nn" => "wasi-nn, which is not offered",
        "wasi:nn" | "wasi:keyvalue" | "wasi:config" | "wasi:tls" | "wasi:blobstore" | "wasi:messaging" => {
            "a WASI proposal that is not offered"
        }
        _ if import.starts_with("wasi:") && import.contains("@0.3.") => "WASI 0.3, which is not offered yet",
        _ if import.starts_with("wasi:") && import.contains("@0.2.0-") => {
            "a draft of WASI 0.2; rebuild with a newer SDK"
        }
        _ if import.starts_with("wasi:") => "a part of WASI that is not offered",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_for_the_search() {
        assert!(PREVIEW1.is_sorted());
        assert_eq!(PREVIEW1.len(), 46);
    }

    #[test]
    fn versions_follow_semver() {
        assert!(interface("wasi:cli/environment@0.2.0") && interface("wasi:cli/environment@0.2.99"));
        for no in [
            "wasi:cli/environment@0.3.0",
            "wasi:cli/environment@0.2.0-rc-2023",
            "wasi:cli/environment",
            "wasi:nn/x@0.2.0",
        ] {
            assert!(!interface(no), "{no}");
        }
    }

    #[test]
    fn linked_and_listed_are_the_same() {
        let engine = crate::engine::compiling(dwell_spec::plan::worker::ModuleKind::Preview1Command).unwrap();
        let linker = crate::link::preview1(&engine).unwrap();
        let mut store = wasmtime::Store::new(&engine, state());
        for name in PREVIEW1 {
            assert!(linker.get(&mut store, PREVIEW1_MODULE, name).is_ok(), "{name}");
        }
        let linked = linker.iter(&mut store).count();
        assert_eq!(linked, PREVIEW1.len());
    }

    fn state() -> crate::link::P1State {
        let wasi = wasmtime_wasi::WasiCtxBuilder::new().build_p1();
        crate::link::P1State { wasi, limiter: crate::limits::Budget::new(None).limiter() }
    }
}
