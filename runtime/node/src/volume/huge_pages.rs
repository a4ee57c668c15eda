//! Huge pages of the host: which sizes its kernel has, and how many pages of each are there to be had. Reads only; how many
//! there are is for whoever owns the host to say. Source: `Documentation/admin-guide/mm/hugetlbpage.rst`.

use std::fs;

const FOLDER: &str = "/sys/kernel/mm/hugepages";

/// Bytes of one page, for each size that the kernel has; the smallest first.
pub fn sizes() -> Vec<u64> {
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let mut sizes: Vec<u64> = entries.filter_map(|entry| size(entry.file_name().to_str()?)).collect();
    sizes.sort_unstable();
    sizes
}

/// `hugepages-2048kB`
fn size(name: &str) -> Option<u64> {
    let kilobytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn folder(page: u64) -> String {
    format!("{FOLDER}/hugepages-{}kB", page / 1024)
}

/// Bytes in pages of this size: those that are there, and those that the kernel may make when they are asked for.
pub fn capacity(page: u64) -> u64 {
    let number = |file: &str| -> u64 {
        let text = fs::read_to_string(format!("{}/{file}", folder(page))).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    number("nr_hugepages").saturating_add(number("nr_overcommit_hugepages")).saturating_mul(page)
}

/// What gives the host so many pages of this size.
pub fn remedy(page: u64, pages: u64) -> String {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let usual =
        info.lines().find_map(|line| line.strip_prefix("Hugepagesize:")?.strip_suffix("kB")?.trim().parse().ok());
    match usual == Some(page / 1024) {
        true => format!("sysctl vm.nr_hugepages={pages}"),
        false => format!("echo {pages} > {}/nr_hugepages", folder(page)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_bytes() {
        assert_eq!(size("hugepages-2048kB"), Some(2 << 20));
        assert_eq!((size("hugepages-x"), size("x")), (None, None));
        assert!(sizes().iter().all(|page| page.is_power_of_two()));
        assert!(
            remedy(3 << 10, 7).starts_with("echo 7 > /sys/kernel/mm/hugepages/hugepages-3kB/"),
            "never the usual size"
        );
    }
}
