//! `wasi:sockets/ip-name-lookup` served by `names` instead of the C library.

use crate::link::P2State;
use crate::names::{LookupError, Names};
use std::net::IpAddr;
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{
    self, Host, HostResolveAddressStream, ResolveAddressStream,
};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress};
use wasmtime_wasi::p2::{DynPollable, Network, Pollable, SocketError, subscribe};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

/// Look-ups that one instance may have under way; each holds a task.
const MAX_PENDING: usize = 256;

/// Puts our look-up in the place of wasmtime's.
///
/// # Errors
/// The linker does not allow shadowing.
pub fn add_to_linker(linker: &mut Linker<P2State>) -> Result<()> {
    ip_name_lookup::add_to_linker::<P2State, View<'static>>(linker, |state| {
        let names = state.names.clone();
        View { names, table: state.table() }
    })
}

struct View<'a> {
    names: Names,
    table: &'a mut ResourceTable,
}

impl HasData for View<'static> {
    type Data<'a> = View<'a>;
}

/// A look-up under way or done. It lives in the table under the type that the bindings name.
enum Answer {
    Pending(AbortOnDropJoinHandle<Result<Vec<IpAddr>, LookupError>>),
    Done(Result<std::vec::IntoIter<IpAddr>, LookupError>),
}

#[wasmtime_wasi::async_trait]
impl Pollable for Answer {
    async fn ready(&mut self) {
        if let Self::Pending(task) = self {
            let found = task.await;
            *self = Self::Done(found.map(Vec::into_iter));
        }
    }
}

impl Host for View<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        self.table.get(&network)?;
        let names = self.names.clone();
        if names.pending() >= MAX_PENDING {
            return Err(ErrorCode::TemporaryResolverFailure.into());
        }
        let answer = match names.at_once(&name) {
            Some(found) => Answer::Done(found.map(Vec::into_iter)),
            None => Answer::Pending(spawn(async move { names.lookup(&name).await })),
        };
        if let Answer::Done(Err(cause)) = &answer {
            return Err(code(*cause).into());
        }
        Ok(Resource::new_own(self.table.push(answer)?.rep()))
    }
}

impl HostResolveAddressStream for View<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let ours = Resource::<Answer>::new_borrow(stream.rep());
        match self.table.get_mut(&ours)? {
            Answer::Pending(_) => Err(ErrorCode::WouldBlock.into()),
            Answer::Done(Ok(addresses)) => Ok(addresses.next().map(Into::into)),
            Answer::Done(Err(cause)) => Err(code(*cause).into()),
        }
    }

    fn subscribe(&mut self, stream: Resource<ResolveAddressStream>) -> Result<Resource<DynPollable>> {
        subscribe(self.table, Resource::<Answer>::new_borrow(stream.rep()))
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> Result<()> {
        self.table.delete(Resource::<Answer>::new_own(stream.rep()))?;
        Ok(())
    }
}

/// The bindings demand it of whoever serves look-ups; `network` itself stays wasmtime's.
impl network::Host for View<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> Result<Option<ErrorCode>> {
        Ok(self.table.get(&error)?.downcast_ref::<std::io::Error>().map(ErrorCode::from))
    }
}

impl network::HostNetwork for View<'_> {
    fn drop(&mut self, network: Resource<Network>) -> Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

fn code(cause: LookupError) -> ErrorCode {
    match cause {
        LookupError::Denied => ErrorCode::AccessDenied,
        LookupError::NotAName => ErrorCode::InvalidArgument,
        LookupError::NotFound => ErrorCode::NameUnresolvable,
        LookupError::NoAnswer => ErrorCode::TemporaryResolverFailure,
    }
}
