//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use tincan_peer::driver::{DriverConfig, Mdns};
use tincan_peer::{Configuration, DtlsVersions};

const USAGE: &str = "\
demo [options]
  --listen ADDR:PORT  where the page and the signalling are served (127.0.0.1:8080)
  --udp ADDR:PORT     a UDP address for media and data; may be repeated (all interfaces, any port)
  --tcp ADDR:PORT     a TCP address for ICE over TCP, for browsers that can't use UDP; may be repeated
  --no-udp            no UDP at all; needs --tcp
  --ports FIRST-LAST  take ports from this range where any will do
  --turn [ADDR:PORT]  run a TURN server on UDP and TCP there (the page's address, any port), and give it to pages
  --record FOLDER     write a recording for Wireshark (secrets inside) and a log of events of each connection there
  --mdns              resolve the .local names of candidates by multicast
  --ice-lite          be an ICE-lite agent
  --dtls 1.2|1.3      only this version of DTLS
  --no-post-quantum   without X25519MLKEM768
";

/// What was asked for.
pub(crate) struct Arguments {
    pub(crate) listen: SocketAddr,
    pub(crate) driver: DriverConfig,
    pub(crate) peers: Configuration,
    /// Where the TURN server listens, if there is one.
    pub(crate) turn: Option<SocketAddr>,
    pub(crate) record: Option<PathBuf>,
}

impl Arguments {
    /// `None`: only help was asked for.
    pub(crate) fn read() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};
        let mut out = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            driver: DriverConfig::everywhere(0),
            peers: Configuration::default(),
            turn: None,
            record: None,
        };
        let (mut udp, mut no_udp, mut turn) = (Vec::new(), false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("listen") => out.listen = parser.value()?.parse()?,
                Long("udp") => udp.push(parser.value()?.parse()?),
                Long("tcp") => out.driver.tcp.push(parser.value()?.parse()?),
                Long("no-udp") => no_udp = true,
                Long("ports") => {
                    let text = parser.value()?.string()?;
                    let (first, last) = text.split_once('-').ok_or("--ports wants FIRST-LAST")?;
                    let number = |text: &str| text.parse().map_err(|_| "not a port");
                    out.driver.ports = Some(number(first)?..=number(last)?);
                }
                Long("turn") => {
                    turn = true;
                    if let Some(value) = parser.optional_value() {
                        out.turn = Some(value.parse()?);
                    } else if let Some(addr) = next_address(&mut parser)? {
                        out.turn = Some(addr);
                    }
                }
                Long("record") => out.record = Some(parser.value()?.into()),
                Long("mdns") => out.driver.mdns = Mdns::Resolve,
                Long("ice-lite") => out.peers.ice_lite = true,
                Long("dtls") => {
                    out.peers.dtls_versions = match parser.value()?.string()?.as_str() {
                        "1.2" => DtlsVersions::V12,
                        "1.3" => DtlsVersions::V13,
                        _ => return Err("--dtls wants 1.2 or 1.3".into()),
                    };
                }
                Long("no-post-quantum") => out.peers.post_quantum = false,
                Short('h') | Long("help") => {
                    print!("{USAGE}");
                    return Ok(None);
                }
                _ => return Err(argument.unexpected()),
            }
        }
        if !udp.is_empty() || no_udp {
            out.driver.udp = udp;
        }
        if turn && out.turn.is_none() {
            out.turn = Some(SocketAddr::new(out.listen.ip(), 0));
        }
        Ok(Some(out))
    }
}

/// The next word, if it is an address and no option.
fn next_address(parser: &mut lexopt::Parser) -> Result<Option<SocketAddr>, lexopt::Error> {
    let mut words = parser.raw_args()?;
    let addr = words.peek().and_then(|word| word.to_str()?.parse().ok());
    if addr.is_some() {
        words.next();
    }
    Ok(addr)
}
