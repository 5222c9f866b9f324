//! coturn on loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::free_address;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

/// Its only user.
pub const USER: &str = "alice";

/// The user's password.
pub const PASSWORD: &str = "wonderland";

/// How long it may take to start: it needs about a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one question waits for an answer before the next.
const MOMENT: Duration = Duration::from_millis(100);

/// A running `turnserver`; ends, and leaves nothing behind, when it is dropped.
pub struct Coturn {
    child: Child,
    folder: PathBuf,
    /// Where it listens for UDP and TCP.
    pub addr: SocketAddr,
    /// Where it listens for TLS.
    pub tls: SocketAddr,
    /// Its certificate, for `localhost`, self-signed.
    pub certificate: CertifiedKey<KeyPair>,
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Coturn {
    /// Starts it with these arguments besides its own, and waits until it answers. `None`, with a line that says why,
    /// where it is not installed; an error where it is and does not come to work.
    pub fn start(extra: &[&str]) -> io::Result<Option<Coturn>> {
        // Somebody else may take its ports before it does: it ends then.
        let mut tries = 3;
        loop {
            let Some(mut coturn) = Self::spawn(extra)? else {
                return Ok(None);
            };
            tries -= 1;
            match coturn.wait() {
                Err(_) if tries > 0 && coturn.child.try_wait()?.is_some() => {}
                result => return result.map(|()| Some(coturn)),
            }
        }
    }

    fn spawn(extra: &[&str]) -> io::Result<Option<Coturn>> {
        let (addr, tls) = (free_address()?, free_address()?);
        let certificate =
            generate_simple_self_signed(["localhost".to_owned()]).map_err(io::Error::other)?;
        let folder = std::env::temp_dir().join(format!("tincan-coturn-{}", addr.port()));
        std::fs::create_dir_all(&folder)?;
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, certificate.cert.pem())?;
        std::fs::write(&key, certificate.signing_key.serialize_pem())?;
        let child = Command::new("turnserver")
            .args([
                "-n",
                "--no-cli",
                "--no-dtls",
                "--log-file=stdout",
                "--simple-log",
            ])
            .args([
                "--listening-ip=127.0.0.1",
                "--relay-ip=127.0.0.1",
                "--allow-loopback-peers",
            ])
            .args(["--lt-cred-mech", "--realm=tincan.test"])
            .arg(format!("--user={USER}:{PASSWORD}"))
            .arg(format!("--listening-port={}", addr.port()))
            .arg(format!("--tls-listening-port={}", tls.port()))
            .arg(format!("--cert={}", cert.display()))
            .arg(format!("--pkey={}", key.display()))
            .arg(format!("--pidfile={}", folder.join("pid").display()))
            .args(extra)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                println!("skipped: turnserver can't be started: {error}");
                std::fs::remove_dir_all(&folder)?;
                return Ok(None);
            }
        };
        Ok(Some(Coturn {
            child,
            folder,
            addr,
            tls,
            certificate,
        }))
    }

    /// Until it answers by UDP and listens for TCP and TLS.
    fn wait(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        let (child, addr) = (&mut self.child, self.addr);
        let mut late = || match child.try_wait()? {
            Some(status) => Err(io::Error::other(format!("coturn ended: {status}"))),
            None if begin.elapsed() < PATIENCE => Ok(()),
            None => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "coturn does not answer",
            )),
        };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(MOMENT))?;
        // A Binding request (RFC 8489 §5), whose answer is of no interest.
        let mut request = vec![0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xA4, 0x42];
        request.extend_from_slice(&[7; 12]);
        loop {
            late()?;
            let _ = socket.send_to(&request, addr);
            if socket.recv(&mut [0; 500]).is_ok() {
                break;
            }
        }
        for addr in [addr, self.tls] {
            while TcpStream::connect_timeout(&addr, MOMENT).is_err() {
                late()?;
                std::thread::yield_now();
            }
        }
        Ok(())
    }
}
