//! The guest's standard streams, on the worker's own descriptors and without a thread.
//!
//! Output is written through with blocking writes: the keeper always drains its pipes, and a guest that dies has lost
//! nothing. Input waits in epoll and is read only when there is something; files and `/dev/null`, which epoll refuses,
//! are always ready. No descriptor is made non-blocking, since its description may be shared with others.

use crate::trusted;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// Bytes of one read or write at most.
const CHUNK: usize = 64 << 10;
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Standard input.
#[derive(Clone)]
pub struct Input(Option<Arc<Source>>);

struct Source {
    fd: BorrowedFd<'static>,
    /// `None`: always ready.
    watch: Option<AsyncFd<BorrowedFd<'static>>>,
    terminal: bool,
}

impl Input {
    /// Ends at once.
    pub fn closed() -> Self {
        Self(None)
    }

    /// Descriptor 0. Must be called inside the runtime.
    pub fn open(terminal: bool) -> Self {
        let fd = rustix::stdio::stdin();
        let watch = trusted::watch_input(fd);
        Self(Some(Arc::new(Source { fd, watch, terminal: terminal && rustix::termios::isatty(fd) })))
    }

    fn take(&self, size: usize) -> StreamResult<Vec<u8>> {
        let source = self.0.as_ref().ok_or(StreamError::Closed)?;
        if size == 0 || !source.has_input() {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; size.min(CHUNK)];
        match rustix::io::read(source.fd, &mut bytes) {
            Ok(0) => Err(StreamError::Closed),
            Ok(n) => {
                bytes.truncate(n);
                Ok(bytes)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Vec::new()),
            // What a terminal says once its other side is gone.
            Err(Errno::IO) if source.terminal => Err(StreamError::Closed),
            Err(cause) => Err(StreamError::LastOperationFailed(io::Error::from(cause).into())),
        }
    }
}

impl Source {
    fn has_input(&self) -> bool {
        let mut waiting = [PollFd::new(&self.fd, PollFlags::IN)];
        poll(&mut waiting, Some(&AT_ONCE)).is_ok_and(|n| n > 0)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(watch) = &self.watch else {
            return Poll::Ready(());
        };
        loop {
            let Ok(mut guard) = ready!(watch.poll_read_ready(cx)) else {
                return Poll::Ready(());
            };
            if self.has_input() {
                return Poll::Ready(());
            }
            guard.clear_ready();
        }
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        self.0.as_ref().is_some_and(|source| source.terminal)
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        if let Some(source) = &self.0 {
            std::future::poll_fn(|cx| source.poll_ready(cx)).await;
        }
    }
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<bytes::Bytes> {
        self.take(size).map(Into::into)
    }
}

impl AsyncRead for Input {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(source) = &self.0 {
            ready!(source.poll_ready(cx));
        }
        match self.take(buf.remaining()) {
            Ok(bytes) => buf.put_slice(&bytes),
            Err(StreamError::Closed) => {}
            Err(other) => return Poll::Ready(Err(io::Error::other(other.to_string()))),
        }
        Poll::Ready(Ok(()))
    }
}

/// Standard output or standard error.
#[derive(Clone, Copy)]
pub struct Output {
    fd: BorrowedFd<'static>,
    terminal: bool,
}

impl Output {
    /// Descriptor 1.
    pub fn stdout(terminal: bool) -> Self {
        Self::on(rustix::stdio::stdout(), terminal)
    }

    /// Descriptor 2.
    pub fn stderr(terminal: bool) -> Self {
        Self::on(rustix::stdio::stderr(), terminal)
    }

    fn on(fd: BorrowedFd<'static>, terminal: bool) -> Self {
        Self { fd, terminal: terminal && rustix::termios::isatty(fd) }
    }

    fn put(&self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            match rustix::io::write(self.fd, bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => drop(poll(&mut [PollFd::new(&self.fd, PollFlags::OUT)], None)),
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        self.terminal
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(*self)
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(*self)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        match self.put(&bytes) {
            Ok(()) => Ok(()),
            Err(Errno::PIPE) => Err(StreamError::Closed),
            Err(cause) => Err(StreamError::LastOperationFailed(io::Error::from(cause).into())),
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.put(buf).map(|()| buf.len()).map_err(Into::into))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
