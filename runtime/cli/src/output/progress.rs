//! One line on the terminal for whatever takes longer than half a second; erased before anything else is written.
//! On anything but a terminal it is silent.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::sanitise::one_line;

/// Nothing is shown before this.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the line is drawn.
const TICK: Duration = Duration::from_millis(100);
const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// The progress line.
#[derive(Debug)]
pub struct Progress {
    enabled: bool,
    since: Instant,
    waiting_for: Option<String>,
    visible: bool,
    frame: usize,
}

impl Progress {
    /// Nothing is waited for yet.
    pub fn new() -> Self {
        let enabled = io::stderr().is_terminal();
        Self { enabled, since: Instant::now(), waiting_for: None, visible: false, frame: 0 }
    }

    /// Says what is waited for; `None` for nothing, which erases the line.
    pub fn waiting_for(&mut self, what: Option<String>) {
        if what.is_none() {
            self.erase();
        } else if self.waiting_for.is_none() {
            self.since = Instant::now();
        }
        self.waiting_for = what;
    }

    /// Returns when the line is to be drawn again; never, if there is none. Dropping the future loses nothing.
    pub async fn tick(&self) {
        match self.enabled && self.waiting_for.is_some() {
            true => tokio::time::sleep(TICK.max(PATIENCE.saturating_sub(self.since.elapsed()))).await,
            false => std::future::pending().await,
        }
    }

    /// Draws the line, if it is time.
    pub fn draw(&mut self) {
        let Some(what) = self.waiting_for.as_ref().filter(|_| self.enabled && self.since.elapsed() >= PATIENCE) else {
            return;
        };
        let what: String = one_line(what).chars().take(100).collect();
        self.frame = (self.frame + 1) % FRAMES.len();
        self.visible = true;
        _ = write!(io::stderr().lock(), "\r\x1b[K{} {what}…", FRAMES[self.frame]);
    }

    /// Takes the line away, before something else is written.
    pub fn erase(&mut self) {
        if std::mem::take(&mut self.visible) {
            _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }

    /// Waits for the future, with the line.
    pub async fn during<T>(&mut self, what: impl Into<String>, future: impl Future<Output = T>) -> T {
        self.waiting_for(Some(what.into()));
        let mut future = std::pin::pin!(future);
        let result = loop {
            tokio::select! {
                result = &mut future => break result,
                () = self.tick() => self.draw(),
            }
        };
        self.waiting_for(None);
        result
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.erase();
    }
}
