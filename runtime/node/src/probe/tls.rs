//! TLS towards a server that a probe or a hook asks. Whoever answers is believed, as with a kubelet: the question goes to
//! an address that dwell itself gave out, and servers of Pods have certificates of their own making. Must never be used
//! for anything whose answer, or whose secret, matters.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, InvalidMessage, SignatureScheme, SupportedProtocolVersion, version,
};

/// What HTTP is spoken within, as TLS names it, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// Made at the first question by TLS: most nodes are never asked one.
static CLIENT: LazyLock<Result<Arc<ClientConfig>, Error>> = LazyLock::new(client);

/// Why there is no TLS on a connection.
pub(super) enum Failure {
    /// The server answered, and not in TLS.
    NotTls(String),
    /// Any other.
    Other(String),
}

impl Failure {
    /// For people.
    pub fn text(self) -> String {
        match self {
            Self::NotTls(text) | Self::Other(text) => text,
        }
    }
}

/// Shakes hands with a server by its name or address.
pub(super) async fn over(stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, Failure> {
    let client = CLIENT.clone().map_err(|error| Failure::Other(error.to_string()))?;
    let bare = host.trim_matches(['[', ']']);
    let name = match bare.parse::<IpAddr>() {
        Ok(address) => ServerName::from(address),
        Err(_) => ServerName::try_from(bare.to_owned()).map_err(|error| Failure::Other(format!("{host}: {error}")))?,
    };
    TlsConnector::from(client).connect(name, stream).await.map_err(failure)
}

/// Whether the two sides agreed on HTTP/2.
pub(super) fn is_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(PROTOCOLS[0])
}

fn failure(error: io::Error) -> Failure {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            Failure::NotTls("the server answered, and not in TLS".to_owned())
        }
        _ => Failure::Other(error.to_string()),
    }
}

fn client() -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&VERSIONS)?;
    let mut client =
        client.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth();
    client.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    client.resumption = Resumption::disabled();
    Ok(Arc::new(client))
}

/// Believes every server, also one whose certificate is no good at all.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
