//! Standard input, read by a thread of its own: a file or a device cannot be waited for with epoll(7), and switching the
//! user's terminal to non-blocking would hit everybody who shares it. The thread reads ahead by a few pieces at most, ends
//! with the input, and a read that is pending when the process ends takes nothing from whoever reads next.

use std::io;

use tokio::sync::mpsc;

/// Pieces read ahead.
const AHEAD: usize = 4;
/// Bytes of a piece.
const PIECE: usize = 32 * 1024;

/// The pieces of standard input; the end of the channel is the end of the input, or of what can be read of it.
pub fn pieces() -> mpsc::Receiver<Vec<u8>> {
    all(Result::ok)
}

/// The pieces of standard input; one that cannot be read is the last.
pub fn pieces_or_why() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    all(Some)
}

fn all<T: Send + 'static>(shown: fn(io::Result<Vec<u8>>) -> Option<T>) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        loop {
            let read = match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
                Err(rustix::io::Errno::INTR) => continue,
                Ok(0) => return,
                read => read,
            };
            let why = |errno| io::Error::other(format!("read standard input: {errno}"));
            let piece = shown(read.map(|length| buffer[..length].to_vec()).map_err(why));
            let Some(piece) = piece else { return };
            if sender.blocking_send(piece).is_err() || read.is_err() {
                return;
            }
        }
    });
    receiver
}

/// What ends the input of a program on a terminal, after this last byte: Ctrl-D (VEOF, termios(3)), which in the middle
/// of a line only hands that line over, and so is pressed twice there. Closing our end would tell it nothing.
pub fn end_on_terminal(last: Option<u8>) -> &'static [u8] {
    match last {
        None | Some(b'\n' | b'\r') => b"\x04",
        Some(_) => b"\x04\x04",
    }
}
