//! Standard input, read by a thread of its own: a file or a device cannot be waited for with epoll(7), and switching the
//! user's terminal to non-blocking would hit everybody who shares it. The thread reads ahead by a few pieces at most, ends
//! with the input, and a read that is pending when the process ends takes nothing from whoever reads next.

use tokio::sync::mpsc;

/// Pieces read ahead.
const AHEAD: usize = 4;
/// Bytes of a piece.
const PIECE: usize = 32 * 1024;

/// The pieces of standard input; the end of the channel is the end of the input.
pub fn pieces() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || read_all(&sender));
    receiver
}

fn read_all(sender: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; PIECE];
    loop {
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) | Ok(0) => return,
            Ok(length) => {
                if sender.blocking_send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        }
    }
}

/// What ends the input of a program on a terminal, after this last byte: Ctrl-D (VEOF, termios(3)), which in the middle
/// of a line only hands that line over, and so is pressed twice there. Closing our end would tell it nothing.
pub fn end_on_terminal(last: Option<u8>) -> &'static [u8] {
    match last {
        None | Some(b'\n' | b'\r') => b"\x04",
        Some(_) => b"\x04\x04",
    }
}
