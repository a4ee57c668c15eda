//! A bound for the headers of an archive: the reader of archives keeps names in memory, however long they say they are. And
//! its end: a stream that was cut between two entries looks like an archive that is whole.

use std::cell::Cell;
use std::io::{self, Read};

/// Bytes of one entry's headers, with all that extends them: names are short, and kept in memory.
const HEADERS_MAX: u64 = 1 << 20;
/// What an archive is made of; a block of zeros is its end.
const BLOCK: u64 = 512;

/// What is read besides the contents of entries.
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes that headers may still take; nothing while contents are read.
    left: Cell<Option<u64>>,
    /// Zeros at the end of what was read so far of the headers.
    zeros: Cell<u64>,
}

impl Meter {
    /// What is read from now on is headers.
    pub fn begin_headers(&self) {
        self.left.set(Some(HEADERS_MAX));
        self.zeros.set(0);
    }

    /// What is read from now on is contents.
    pub fn end_headers(&self) {
        self.left.set(None);
    }

    /// Whether what was read last is the end of an archive.
    pub fn saw_the_end(&self) -> bool {
        self.zeros.get() >= BLOCK
    }
}

/// A stream, and what counts it.
pub struct Metered<'a, R> {
    /// The archive.
    pub input: R,
    /// Shared with whoever knows what is being read.
    pub meter: &'a Meter,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.meter.left.get() else { return self.input.read(buffer) };
        if left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the headers of an entry are larger than 1 MiB"));
        }
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.input.read(&mut buffer[..wanted])?;
        self.meter.left.set(Some(left - read as u64));
        let zeros = buffer[..read].iter().rev().take_while(|byte| **byte == 0).count();
        let before = if zeros == read { self.meter.zeros.get() } else { 0 };
        self.meter.zeros.set(before + zeros as u64);
        Ok(read)
    }
}
