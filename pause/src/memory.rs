//! The memory routines that the compiler calls and that no architecture file has a special instruction for.
//!
//! Their writes and reads are volatile, or the compiler would recognise the loops and turn them into calls of
//! themselves.

/// # Safety
/// As memmove(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    let backwards = (from as usize) < (to as usize);
    for i in 0..n {
        let i = if backwards { n - 1 - i } else { i };
        // SAFETY: the caller promises n bytes behind both pointers; the direction never reads what it has written.
        unsafe { to.add(i).write_volatile(*from.add(i)) };
    }
    to
}

/// # Safety
/// As memcmp(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    for i in 0..n {
        // SAFETY: the caller promises n bytes behind both pointers.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// # Safety
/// As bcmp(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { memcmp(a, b, n) }
}
