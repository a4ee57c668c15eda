//! A channel between what waits for the node and the thread that packs or unpacks, which reads and writes as with a file.

use std::io::{self, Read, Write};

use tokio::sync::mpsc;

/// What comes, to be read; its end is that of the channel.
pub struct Incoming {
    pieces: mpsc::Receiver<Vec<u8>>,
    piece: Vec<u8>,
    read: usize,
}

impl Incoming {
    /// Nothing has been read yet.
    pub fn new(pieces: mpsc::Receiver<Vec<u8>>) -> Incoming {
        Incoming { pieces, piece: Vec::new(), read: 0 }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() {
            match self.pieces.blocking_recv() {
                Some(piece) => (self.piece, self.read) = (piece, 0),
                None => return Ok(0),
            }
        }
        let count = (&self.piece[self.read..]).read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

/// What is written, on its way.
pub struct Outgoing(mpsc::Sender<io::Result<Vec<u8>>>);

impl Outgoing {
    /// Everything goes there.
    pub fn new(pieces: mpsc::Sender<io::Result<Vec<u8>>>) -> Outgoing {
        Outgoing(pieces)
    }
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(bytes.to_vec()));
        sent.map(|()| bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
