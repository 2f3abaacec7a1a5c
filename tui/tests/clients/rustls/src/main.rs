//! A client with rustls, stripped: nothing in it can be probed. One HTTP/2 connection.
//!
//! `calls ADDRESS INTERVAL-MS TIMEOUT-MS`: a request per interval, cancelled after the timeout. Says CONNECTED.
//! `patient ADDRESS WORKERS PAUSE-MS PATH`: each worker requests the path, takes the whole answer, pauses, and begins again. Says
//! CONNECTED.
//! `fallback ADDRESS REQUESTS`: over HTTP/1.1, where the server has no HTTP/2.
//! `marked ADDRESS`: POST /echo with the header and the body of H2WATCH_MARK_HEADER and H2WATCH_MARK_BODY, every ten
//! milliseconds until its standard input ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["calls", address, interval, timeout] => calls(address, ms(interval)?, ms(timeout)?).await,
        ["patient", address, workers, pause, path] => {
            patient(address, workers.parse()?, ms(pause)?, path).await
        }
        ["fallback", address, requests] => fallback(address, requests.parse()?).await,
        ["marked", address] => marked(address).await,
        _ => Err("calls ADDRESS INTERVAL-MS TIMEOUT-MS, patient ADDRESS WORKERS PAUSE-MS PATH, \
                  fallback ADDRESS REQUESTS, or marked ADDRESS"
            .into()),
    }
}

fn ms(word: &str) -> Result<Duration, Failure> {
    Ok(Duration::from_millis(word.parse()?))
}

async fn calls(address: &str, interval: Duration, timeout: Duration) -> Result<(), Failure> {
    let client = connect(address).await?;
    println!("CONNECTED");
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        let request = Request::builder().uri("https://localhost/bytes/100").body(())?;
        tokio::spawn(tokio::time::timeout(timeout, exchange(client.clone(), request, Bytes::new())));
    }
}

async fn patient(address: &str, workers: usize, pause: Duration, path: &str) -> Result<(), Failure> {
    let client = connect(address).await?;
    println!("CONNECTED");
    let uri = format!("https://localhost{path}");
    let mut working = tokio::task::JoinSet::new();
    for _ in 0..workers {
        working.spawn(work(client.clone(), pause, uri.clone()));
    }
    // A worker ends with its connection only.
    working.join_next().await.ok_or("no workers")??
}

async fn work(client: SendRequest<Bytes>, pause: Duration, uri: String) -> Result<(), Failure> {
    loop {
        let request = Request::builder().uri(&uri).body(())?;
        exchange(client.clone(), request, Bytes::new()).await?;
        tokio::time::sleep(pause).await;
    }
}

async fn fallback(address: &str, requests: usize) -> Result<(), Failure> {
    let mut socket = handshake(address).await?;
    if socket.get_ref().1.alpn_protocol() != Some(b"http/1.1") {
        return Err("the server has HTTP/2".into());
    }
    for _ in 0..requests {
        socket.write_all(b"GET /bytes/100 HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        let mut answer = Vec::new();
        // The head ends with an empty line, and 100 bytes follow.
        while !answer.windows(4).position(|end| end == b"\r\n\r\n").is_some_and(|at| answer.len() == at + 104)
        {
            if socket.read_buf(&mut answer).await? == 0 {
                return Err("the server has closed".into());
            }
        }
    }
    Ok(())
}

async fn marked(address: &str) -> Result<(), Failure> {
    let header = std::env::var("H2WATCH_MARK_HEADER")?;
    let body = Bytes::from(std::env::var("H2WATCH_MARK_BODY")?);
    let client = connect(address).await?;
    let calls = async {
        loop {
            let request = Request::post("https://localhost/echo").header("x-mark", &header).body(())?;
            exchange(client.clone(), request, body.clone()).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (mut input, mut nothing) = (tokio::io::stdin(), Vec::new());
    tokio::select! {
        failed = calls => failed,
        _ = input.read_to_end(&mut nothing) => Ok(()),
    }
}

async fn connect(address: &str) -> Result<SendRequest<Bytes>, Failure> {
    let mut builder = h2::client::Builder::new();
    builder.max_concurrent_reset_streams(10_000);
    let (client, connection) = builder.handshake(handshake(address).await?).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn handshake(address: &str) -> Result<TlsStream<TcpStream>, Failure> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let server = ServerName::try_from("localhost")?;
    Ok(TlsConnector::from(Arc::new(config)).connect(server, socket).await?)
}

async fn exchange(client: SendRequest<Bytes>, request: Request<()>, body: Bytes) -> Result<(), h2::Error> {
    let mut client = client.ready().await?;
    let (response, mut sending) = client.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        sending.send_data(body, true)?;
    }
    let mut body = response.await?.into_body();
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    Ok(())
}

/// The servers of these tests sign their own certificates.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
