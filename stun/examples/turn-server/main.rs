//! A STUN and TURN server on UDP, TCP and TLS.
//!
//! ```text
//! cargo run --release --example turn-server -- --user alice:secret
//! cargo run --release --example turn-server -- --rest-secret s3cret --public-ip 203.0.113.5 \
//!     --tls 0.0.0.0:5349 --cert chain.pem --key key.pem
//! ```
#![forbid(unsafe_code)]

mod relay;

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use relay::{Accounts, Listeners, RelayAddresses, Relaying};
use tincan_stun::credentials::RestSecret;
use tincan_stun::turn::server::{Config, Network, PeerPolicy, RestUsers, Users};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const USAGE: &str = "\
usage: turn-server [options]
  --realm NAME            realm of the credentials (tincan)
  --user NAME:PASSWORD    a user; may be repeated
  --rest-secret SECRET    time-limited users instead: name expiry:user, password
                          base64(HMAC-SHA1(SECRET, name))
  --anonymous             ask for no credentials
  --udp ADDR              listen on UDP; may be repeated (0.0.0.0:3478)
  --tcp ADDR              listen on TCP; may be repeated (0.0.0.0:3478)
  --tls ADDR              listen on TLS; may be repeated; needs --cert and --key
  --cert FILE --key FILE  certificate chain and private key, PEM
  --relay-ip IP           address to bind relays to; may be repeated, one a family (127.0.0.1)
  --public-ip IP          address to tell clients instead, behind a one-to-one NAT
  --allow-loopback        let relays reach this host (for tests)
  --deny-private          keep relays from reaching private addresses
  --deny IP/PREFIX        keep relays from reaching a range; may be repeated
  --max-allocations N     in all (10000)
  --per-user N            of one user (100)
  --bandwidth N           octets a second of one allocation
  --nonce-lifetime SECS   (3600)
  --stats SECS            print counters that often
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("turn-server: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    config: Config,
    accounts: Accounts,
    listeners: Listeners,
    addresses: RelayAddresses,
    stats: Option<Duration>,
}

fn network(text: &str) -> Option<Network> {
    let (ip, prefix) = text.split_once('/')?;
    Network::new(ip.parse().ok()?, prefix.parse().ok()?)
}

fn options() -> Result<Option<Options>, Box<dyn Error>> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_env();
    let mut realm = String::from("tincan");
    let (mut users, mut secret, mut anonymous) = (Vec::new(), None, false);
    let (mut udp, mut tcp, mut tls) = (Vec::new(), Vec::new(), Vec::<SocketAddr>::new());
    let (mut cert, mut key) = (None::<String>, None::<String>);
    let mut addresses = RelayAddresses::default();
    let mut policy = PeerPolicy::new();
    let (mut all, mut per_user, mut bandwidth) = (10_000, 100, None);
    let (mut nonce_lifetime, mut stats) = (3600, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("realm") => realm = parser.value()?.parse()?,
            Long("user") => {
                let text: String = parser.value()?.parse()?;
                let (name, password) = text.split_once(':').ok_or("--user wants NAME:PASSWORD")?;
                users.push((name.to_owned(), password.to_owned()));
            }
            Long("rest-secret") => secret = Some(parser.value()?.parse::<String>()?),
            Long("anonymous") => anonymous = true,
            Long("udp") => udp.push(parser.value()?.parse()?),
            Long("tcp") => tcp.push(parser.value()?.parse()?),
            Long("tls") => tls.push(parser.value()?.parse()?),
            Long("cert") => cert = Some(parser.value()?.parse()?),
            Long("key") => key = Some(parser.value()?.parse()?),
            Long("relay-ip") => addresses.bind(parser.value()?.parse::<IpAddr>()?),
            Long("public-ip") => addresses.announce(parser.value()?.parse::<IpAddr>()?),
            Long("allow-loopback") => policy = policy.allow_loopback(),
            Long("deny-private") => policy = policy.deny_private(),
            Long("deny") => {
                let text: String = parser.value()?.parse()?;
                policy = policy.deny(network(&text).ok_or("--deny wants IP/PREFIX")?);
            }
            Long("max-allocations") => all = parser.value()?.parse()?,
            Long("per-user") => per_user = parser.value()?.parse()?,
            Long("bandwidth") => bandwidth = Some(parser.value()?.parse()?),
            Long("nonce-lifetime") => nonce_lifetime = parser.value()?.parse()?,
            Long("stats") => stats = Some(Duration::from_secs(parser.value()?.parse()?)),
            Long("help") | Short('h') => {
                print!("{USAGE}");
                return Ok(None);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if udp.is_empty() && tcp.is_empty() && tls.is_empty() {
        udp.push("0.0.0.0:3478".parse()?);
        tcp.push("0.0.0.0:3478".parse()?);
    }
    let accounts = if let Some(secret) = secret {
        Accounts::Rest(RestUsers::new(
            RestSecret::new(secret.as_bytes()),
            SystemTime::now(),
        ))
    } else {
        let mut list = Users::new(&realm);
        users
            .iter()
            .for_each(|(name, password)| list.add(name, password));
        Accounts::Fixed(list)
    };
    if users.is_empty() && matches!(accounts, Accounts::Fixed(_)) && !anonymous {
        return Err("nobody could use it: give --user, --rest-secret or --anonymous".into());
    }
    addresses.default_to_loopback();
    let mut config = Config::new(&realm)
        .software("tincan")
        .peers(policy)
        .quotas(all, per_user)
        .bandwidth(bandwidth, None)
        .nonce_lifetime(Duration::from_secs(nonce_lifetime))
        .families(addresses.has_ipv4(), addresses.has_ipv6())
        .tcp_relay(true)
        .user_hashes(matches!(accounts, Accounts::Fixed(_)))
        .mobility(true);
    if anonymous {
        config = config.anonymous();
    }
    let tls = match (cert, key) {
        _ if tls.is_empty() => None,
        (Some(cert), Some(key)) => {
            let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
            let config = ServerConfig::builder()
                .with_no_client_auth()
                .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
            Some((tls, Arc::new(config)))
        }
        _ => return Err("--tls needs --cert and --key".into()),
    };
    Ok(Some(Options {
        config,
        accounts,
        listeners: Listeners { udp, tcp, tls },
        addresses,
        stats,
    }))
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(options) = options()? else {
        return Ok(());
    };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async move {
            let Options {
                config,
                accounts,
                listeners,
                addresses,
                stats,
            } = options;
            let relaying = Relaying::start(config, accounts, listeners, addresses).await?;
            for (kind, addr) in relaying.listening() {
                println!("listening {kind} {addr}");
            }
            let mut ticks = stats.map(tokio::time::interval);
            loop {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => break,
                    () = async {
                        match &mut ticks {
                            Some(ticks) => drop(ticks.tick().await),
                            None => std::future::pending().await,
                        }
                    } => println!("{:?}", relaying.stats()),
                }
            }
            println!("{:?}", relaying.stats());
            Ok(())
        })
}
