//! Names of servers, resolved as the system does it: off the loop, bounded, one question for all peers that ask the same.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::links::News;
use super::slot::PeerId;
use crate::limits::{LOOKUP_CACHE_TIME, LOOKUP_TIME, MAX_LOOKUP_THREADS, MAX_NAMES};

/// Addresses in the system's order, or in words why there are none.
pub(super) type Answer = Result<Vec<IpAddr>, String>;

/// Questions under way and answers that are fresh.
#[derive(Debug)]
pub(super) struct Resolver {
    news: mpsc::Sender<News>,
    asked: HashMap<String, Vec<PeerId>>,
    known: HashMap<String, (Instant, Answer)>,
    threads: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new(news: mpsc::Sender<News>) -> Self {
        Self {
            news,
            asked: HashMap::new(),
            known: HashMap::new(),
            threads: Arc::new(Semaphore::new(MAX_LOOKUP_THREADS)),
        }
    }

    /// Asks for a name. The answer, or [`News::Resolved`] follows.
    pub(super) fn ask(&mut self, now: Instant, host: &str, peer: PeerId) -> Option<Answer> {
        if let Some((at, answer)) = self.known.get(host)
            && now.saturating_duration_since(*at) < LOOKUP_CACHE_TIME
        {
            return Some(answer.clone());
        }
        if let Some(waiting) = self.asked.get_mut(host) {
            waiting.push(peer);
            return None;
        }
        if self.asked.len() >= MAX_NAMES {
            return Some(Err("too many names are being resolved".to_owned()));
        }
        self.asked.insert(host.to_owned(), vec![peer]);
        tokio::spawn(resolve(
            host.to_owned(),
            self.threads.clone(),
            self.news.clone(),
        ));
        None
    }

    /// An answer came: who waits for it.
    pub(super) fn answered(&mut self, now: Instant, host: &str, answer: &Answer) -> Vec<PeerId> {
        if self.known.len() >= MAX_NAMES {
            self.known
                .retain(|_, (at, _)| now.saturating_duration_since(*at) < LOOKUP_CACHE_TIME);
        }
        // A failure is asked again by the next one: the network may just have come back.
        if self.known.len() < MAX_NAMES && answer.is_ok() {
            self.known.insert(host.to_owned(), (now, answer.clone()));
        }
        self.asked.remove(host).unwrap_or_default()
    }
}

/// Runs what can't be interrupted on a thread of its own, which nobody waits for: a runtime that ends waits for its own
/// blocking threads, and the system's resolver takes a minute where nothing answers.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<T> {
    let (answer, result) = oneshot::channel();
    std::thread::Builder::new()
        .name("tincan-resolver".to_owned())
        .spawn(move || answer.send(work()))?;
    result.await.map_err(std::io::Error::other)
}

async fn resolve(host: String, threads: Arc<Semaphore>, news: mpsc::Sender<News>) {
    let name = host.clone();
    let looked_up = async move {
        let place = threads.acquire_owned().await.ok();
        off_the_runtime(move || {
            let addresses = (name.as_str(), 0).to_socket_addrs();
            drop(place);
            addresses.map(|all| all.map(|addr| addr.ip().to_canonical()).collect::<Vec<_>>())
        })
        .await?
    };
    let answer = match timeout(LOOKUP_TIME, looked_up).await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {} s", LOOKUP_TIME.as_secs())),
    };
    // The loop has ended: nobody waits.
    let _ = news.send(News::Resolved(host, answer)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::run::runtime;

    #[test]
    fn a_runtime_ends_while_the_system_is_still_asked() {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (begun, began) = std::sync::mpsc::channel();
        let runtime = runtime().unwrap();
        runtime.block_on(async {
            let waits = off_the_runtime(move || {
                begun.send(()).unwrap();
                released.recv()
            });
            let waits = tokio::spawn(waits);
            tokio::task::yield_now().await;
            assert!(!waits.is_finished());
        });
        began.recv().unwrap();
        // Would wait for ever.
        drop(runtime);
        drop(release);
    }
}
