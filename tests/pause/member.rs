//! What the tests run as a member: one static program with many verbs, which needs neither files nor a shell, since a
//! member that no `init` set up stands in pause's empty root. Compiled by the harness, with nothing but `std`.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::io::{Read, Write};
use std::time::Duration;

unsafe extern "C" {
    fn fork() -> c_int;
    fn _exit(status: c_int) -> !;
    fn getpid() -> c_int;
    fn getppid() -> c_int;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn isatty(fd: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn fdopendir(fd: c_int) -> *mut c_void;
    fn readdir(dir: *mut c_void) -> *mut c_void;
    fn readlinkat(dir: c_int, path: *const c_char, out: *mut c_char, size: usize) -> isize;
    fn openat(dir: c_int, path: *const c_char, flags: c_int, ...) -> c_int;
    fn read(fd: c_int, out: *mut c_void, size: usize) -> isize;
    fn prctl(option: c_int, ...) -> c_int;
    fn gethostname(out: *mut c_char, size: usize) -> c_int;
    fn ptrace(request: c_int, ...) -> c_long;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |at: usize| {
        args.get(at)
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
    };
    match args.get(1).map(String::as_str) {
        Some("exit") => std::process::exit(number(2) as i32),
        Some("abort") => std::process::abort(),
        Some("sleep") => sleep_for_ever(),
        Some("lines") => lines(number(2), Duration::from_micros(number(3))),
        Some("mix") => mix(number(2)),
        Some("long") => long(number(2) as usize),
        Some("pieces") => pieces(),
        Some("cat") => cat(),
        Some("orphans") => orphans(number(2)),
        Some("inheritor") => inheritor(),
        Some("state") => state(),
        Some("spy") => spy(number(2) != 0),
        other => {
            eprintln!("no such verb: {other:?}");
            std::process::exit(99)
        }
    }
}

fn sleep_for_ever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1000));
    }
}

/// Numbered lines of 80 bytes.
fn lines(count: u64, pause: Duration) {
    let mut out = std::io::LineWriter::with_capacity(1 << 16, std::io::stdout());
    let mut block = String::new();
    for n in 1..=count {
        block.push_str(&format!("{n:<79}\n"));
        if block.len() > 8000 || !pause.is_zero() || n == count {
            if out.write_all(block.as_bytes()).is_err() {
                return;
            }
            block.clear();
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
}

/// Every kind of line on both streams.
fn mix(count: u64) {
    for n in 0..count {
        let text = vec![b'a' + (n % 26) as u8; (n * 37 % 40_000) as usize];
        std::io::stdout().write_all(&text).unwrap();
        std::io::stdout().write_all(b"\n").unwrap();
        std::io::stderr()
            .write_all(format!("error {n}\n\n").as_bytes())
            .unwrap();
    }
    std::io::stdout().write_all(b"no newline").unwrap();
    std::io::stdout().flush().unwrap();
}

fn long(bytes: usize) {
    let mut text = vec![b'x'; bytes];
    text.push(b'\n');
    std::io::stdout().write_all(&text).unwrap();
}

fn pieces() {
    for piece in ["abc", "def\nghi", "\n", "end"] {
        print!("{piece}");
        std::io::stdout().flush().unwrap();
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn cat() {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = std::io::stdin().read(&mut buffer) {
        std::io::stdout().write_all(&buffer[..n]).unwrap();
        std::io::stdout().flush().unwrap();
    }
    println!("end of input");
}

/// Children that end after their parent: each is given to the namespace's PID 1.
fn orphans(count: u64) {
    for _ in 0..count {
        // SAFETY: a single-threaded program; the children call async-signal-safe functions only.
        unsafe {
            let child = fork();
            if child == 0 {
                if fork() == 0 {
                    _exit(7);
                }
                _exit(0);
            }
            waitpid(child, std::ptr::null_mut(), 0);
        }
    }
    println!("made {count}");
    sleep_for_ever()
}

/// Ends and leaves a child that holds the output.
fn inheritor() {
    // SAFETY: a single-threaded program.
    if unsafe { fork() } == 0 {
        std::thread::sleep(Duration::from_secs(1000));
    }
    println!("leaving");
}

fn hostname() -> String {
    let mut name = [0u8; 65];
    // SAFETY: the buffer is as long as said, with a NUL at its end.
    unsafe { gethostname(name.as_mut_ptr().cast(), 64) };
    CStr::from_bytes_until_nul(&name)
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

/// What a newborn finds: descriptors, environment, process numbers, signals.
fn state() {
    // SAFETY: F_GETFD (1) has no argument.
    let open: Vec<i32> = (0..1000)
        .filter(|fd| unsafe { fcntl(*fd, 1) } >= 0)
        .collect();
    // SAFETY: no arguments; isatty takes a number.
    let (pid, parent, tty) = unsafe { (getpid(), getppid(), isatty(0)) };
    let mut mask = 0u64;
    // SAFETY: rt_sigprocmask (x86-64: 14, else 135) with a null set writes the old mask, 8 bytes.
    unsafe {
        syscall(
            SIGPROCMASK,
            0,
            std::ptr::null::<u64>(),
            &raw mut mask,
            8usize,
        )
    };
    let ignored: Vec<i32> = (1..32).filter(|signal| is_ignored(*signal)).collect();
    println!("open {open:?}");
    println!(
        "pid {pid} parent {parent} tty {tty} env {}",
        std::env::vars().count()
    );
    println!("blocked {mask:x} ignored {ignored:?}");
    println!("hostname {}", hostname());
    let args: Vec<String> = std::env::args().collect();
    println!("args {args:?}");
}

#[cfg(target_arch = "x86_64")]
const SIGPROCMASK: c_long = 14;
#[cfg(target_arch = "x86_64")]
const SIGACTION: c_long = 13;
#[cfg(target_arch = "aarch64")]
const SIGPROCMASK: c_long = 135;
#[cfg(target_arch = "aarch64")]
const SIGACTION: c_long = 134;

/// Rust's own start ignores SIGPIPE (13), so that one says nothing.
fn is_ignored(signal: i32) -> bool {
    let mut action = [0usize; 4];
    // SAFETY: a null new action; the old one is written.
    unsafe {
        syscall(
            SIGACTION,
            signal,
            std::ptr::null::<usize>(),
            action.as_mut_ptr(),
            8usize,
        )
    };
    action[0] == 1 && signal != 13
}

/// What can be seen of pause from inside its pid namespace, with and without CAP_SYS_PTRACE (19).
fn spy(with_ptrace: bool) {
    // What came with the birth is closed when pause has answered the node.
    std::thread::sleep(Duration::from_millis(200));
    // SAFETY: fsopen, fsconfig(CMD_CREATE) and fsmount as documented; the string is NUL-terminated.
    let proc = unsafe {
        let context = syscall(430, c"proc".as_ptr(), 0);
        syscall(431, context, 6, 0, 0, 0);
        syscall(432, context, 0, 0) as c_int
    };
    if !with_ptrace {
        drop_capability(19);
    }
    println!("root {}", list(proc, c"1/root"));
    println!("fds {}", links(proc, c"1/fd"));
    for path in [
        c"1/root/etc/passwd",
        c"1/root/proc",
        c"1/cwd/..",
        c"1/root/..",
    ] {
        // SAFETY: the path is NUL-terminated.
        let fd = unsafe { openat(proc, path.as_ptr(), 0) };
        let what = if fd < 0 {
            "refused".to_string()
        } else {
            list(proc, path)
        };
        println!("path {} {what}", path.to_str().unwrap());
    }
    // SAFETY: PTRACE_SEIZE (0x4206) of PID 1.
    println!("ptrace {}", unsafe { ptrace(0x4206, 1, 0, 0) });
    print!("{}", text(proc, c"1/status"));
    println!("mounts {:?}", text(proc, c"1/mountinfo"));
}

fn drop_capability(capability: c_int) {
    let header = [0x2008_0522u32, 0];
    let mut sets = [0u32; 6];
    #[cfg(target_arch = "x86_64")]
    const GET_SET: (c_long, c_long) = (125, 126);
    #[cfg(target_arch = "aarch64")]
    const GET_SET: (c_long, c_long) = (90, 91);
    // SAFETY: version 3 header and data.
    unsafe {
        syscall(GET_SET.0, header.as_ptr(), sets.as_mut_ptr());
        sets[0] &= !(1 << capability);
        sets[1] &= !(1 << capability);
        prctl(24, capability);
        syscall(GET_SET.1, header.as_ptr(), sets.as_ptr());
    }
}

fn text(dir: c_int, path: &CStr) -> String {
    let mut buffer = vec![0u8; 65536];
    // SAFETY: the path is NUL-terminated, the buffer as long as said.
    let n = unsafe {
        let fd = openat(dir, path.as_ptr(), 0);
        read(fd, buffer.as_mut_ptr().cast(), buffer.len())
    };
    buffer.truncate(n.max(0) as usize);
    String::from_utf8_lossy(&buffer).into_owned()
}

/// The names in a directory.
fn names(dir: c_int, path: &CStr) -> Option<Vec<String>> {
    const O_DIRECTORY: c_int = if cfg!(target_arch = "aarch64") {
        0o40000
    } else {
        0o200000
    };
    let mut names = Vec::new();
    // SAFETY: the path is NUL-terminated; a dirent64's name begins at byte 19 and ends with a NUL.
    unsafe {
        let fd = openat(dir, path.as_ptr(), O_DIRECTORY);
        if fd < 0 {
            return None;
        }
        let stream = fdopendir(fd);
        loop {
            let entry = readdir(stream).cast::<c_char>();
            if entry.is_null() {
                break;
            }
            names.push(CStr::from_ptr(entry.add(19)).to_string_lossy().into_owned());
        }
    }
    names.retain(|name| name != "." && name != "..");
    Some(names)
}

fn list(dir: c_int, path: &CStr) -> String {
    names(dir, path).map_or("refused".into(), |names| format!("{names:?}"))
}

fn links(dir: c_int, path: &CStr) -> String {
    let Some(names) = names(dir, path) else {
        return "refused".into();
    };
    let link = |name: &String| {
        let full = std::ffi::CString::new(format!("{}/{name}", path.to_str().unwrap())).unwrap();
        let mut out = [0u8; 256];
        // SAFETY: the path is NUL-terminated, the buffer as long as said.
        let n = unsafe { readlinkat(dir, full.as_ptr(), out.as_mut_ptr().cast(), out.len()) };
        String::from_utf8_lossy(&out[..n.max(0) as usize]).into_owned()
    };
    format!("{:?}", names.iter().map(link).collect::<Vec<_>>())
}
