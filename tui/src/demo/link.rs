//! A link in user space: copies bytes between a client and a server until it is unplugged.
//!
//! Unplugged, it copies nothing and tells nobody: sockets stay open, the client's kernel goes on acknowledging what this
//! process does not read, and connections that are opened meanwhile hang as well. Plugged in again, it copies what was
//! waiting: the connections recover by themselves, as after a route change that was undone.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes copied at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// Copies between everybody who connects to `listener` and `server`, while `plugged` is true.
pub(super) async fn run(listener: TcpListener, server: SocketAddr, plugged: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        let plugged = plugged.clone();
        tokio::spawn(async move {
            // Either side closed: so is the other, by dropping it.
            let _ = join(client, server, plugged).await;
        });
    }
}

async fn join(client: TcpStream, server: SocketAddr, plugged: watch::Receiver<bool>) -> io::Result<()> {
    until(&mut plugged.clone(), true).await?;
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(copy(from_client, to_server, plugged.clone()), copy(from_server, to_client, plugged))?;
    Ok(())
}

/// Waits until the link is plugged in (`true`) or unplugged. An error: the demo is over.
async fn until(plugged: &mut watch::Receiver<bool>, state: bool) -> io::Result<()> {
    plugged.wait_for(|&now| now == state).await.map(drop).map_err(io::Error::other)
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut plugged: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        until(&mut plugged, true).await?;
        let n = tokio::select! {
            biased;
            cut = until(&mut plugged, false) => { cut?; continue }
            n = from.read(&mut piece) => n?,
        };
        if n == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..n]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Long enough for loopback, short enough for a test: the proof that nothing came is that the same bytes come later.
    const QUIET: Duration = Duration::from_millis(100);
    const DEADLINE: Duration = Duration::from_secs(5);

    async fn linked() -> (TcpListener, SocketAddr, watch::Sender<bool>) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (plug, plugged) = watch::channel(true);
        tokio::spawn(run(listener, server.local_addr().unwrap(), plugged));
        (server, address, plug)
    }

    async fn read(from: &mut TcpStream, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        tokio::time::timeout(DEADLINE, from.read_exact(&mut bytes)).await.unwrap().unwrap();
        bytes
    }

    #[tokio::test]
    async fn copies_both_ways_and_passes_the_end_on() {
        let (server, address, _plug) = linked().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut far, _) = server.accept().await.unwrap();
        client.write_all(b"there").await.unwrap();
        assert_eq!(read(&mut far, 5).await, b"there");
        far.write_all(b"back").await.unwrap();
        drop(far);
        assert_eq!(read(&mut client, 4).await, b"back");
        assert_eq!(tokio::time::timeout(DEADLINE, client.read(&mut [0])).await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn unplugged_nothing_moves_nothing_closes_and_nothing_is_lost() {
        let (server, address, plug) = linked().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut far, _) = server.accept().await.unwrap();
        client.write_all(b"1").await.unwrap();
        assert_eq!(read(&mut far, 1).await, b"1");

        plug.send_replace(false);
        client.write_all(b"23").await.unwrap();
        far.write_all(b"ab").await.unwrap();
        assert!(tokio::time::timeout(QUIET, far.read(&mut [0])).await.is_err());
        assert!(tokio::time::timeout(QUIET, client.read(&mut [0])).await.is_err());

        plug.send_replace(true);
        assert_eq!(read(&mut far, 2).await, b"23");
        assert_eq!(read(&mut client, 2).await, b"ab");
    }

    #[tokio::test]
    async fn a_connection_opened_while_unplugged_hangs_until_plugged_in() {
        let (server, address, plug) = linked().await;
        plug.send_replace(false);
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"1").await.unwrap();
        assert!(tokio::time::timeout(QUIET, server.accept()).await.is_err());
        plug.send_replace(true);
        let (mut far, _) = tokio::time::timeout(DEADLINE, server.accept()).await.unwrap().unwrap();
        assert_eq!(read(&mut far, 1).await, b"1");
    }
}
