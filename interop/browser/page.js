// What runs inside the page. `call` holds the connection that the current check is about.
"use strict";
globalThis.call = undefined;

/** The layer at which a connection stopped, in words. */
globalThis.diagnose = () => {
  const pc = globalThis.call;
  if (!pc) return "nothing begun";
  const dtls = pc.sctp?.transport?.state ?? pc.getSenders()[0]?.transport?.state;
  const all = `signalling ${pc.signalingState}, gathering ${pc.iceGatheringState}, ICE ${pc.iceConnectionState}, DTLS ${dtls}, SCTP ${pc.sctp?.state}`;
  if (pc.signalingState !== "stable" || !pc.remoteDescription) return `signalling (${all})`;
  if (!["connected", "completed"].includes(pc.iceConnectionState)) return `ICE (${all})`;
  if (dtls !== "connected") return `DTLS (${all})`;
  if (pc.sctp && pc.sctp.state !== "connected") return `SCTP (${all})`;
  return `after the connection stood (${all})`;
};

globalThis.within = (promise, ms, what) => Promise.race([
  promise,
  new Promise((_, no) => setTimeout(() => no(new Error(`${what}: nothing in ${ms} ms; stopped at ${diagnose()}`)), ms)),
]);

/** Waits until something that has no event of its own holds: a condition, or a promise of one. */
globalThis.comesTrue = (holds, ms, what) => within((async () => {
  while (!await holds()) await new Promise(ok => setTimeout(ok, 20));
})(), ms, what);

globalThis.gathered = pc => pc.iceGatheringState === "complete" ? Promise.resolve()
  : new Promise(ok => pc.addEventListener("icegatheringstatechange", () => pc.iceGatheringState === "complete" && ok()));

globalThis.opened = channel => channel.readyState === "open" ? Promise.resolve() : new Promise(ok => { channel.onopen = () => ok(); });

globalThis.state = (pc, wanted) => new Promise(ok => {
  const look = () => pc.connectionState === wanted && ok();
  pc.addEventListener("connectionstatechange", look); look();
});

/** Offers over POST /offer and sets the answer. Returns when setRemoteDescription began. */
globalThis.offerTo = async (pc, path = "/offer") => {
  await pc.setLocalDescription();
  await within(gathered(pc), 10000, "gathering");
  const response = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(pc.localDescription) });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`signalling: ${response.status} ${text}`);
  const begun = performance.now();
  await pc.setRemoteDescription(JSON.parse(text));
  return begun;
};

/** Sends a message and waits for the next one. */
globalThis.roundTrip = (channel, message, ms = 10000) => within(new Promise(ok => { channel.onmessage = e => ok(e.data); channel.send(message); }), ms, `echo on ${channel.label}`);

globalThis.same = (a, b) => {
  if (typeof a === "string" || typeof b === "string") return a === b;
  const x = new Uint8Array(a), y = new Uint8Array(b);
  return x.length === y.length && x.every((v, i) => v === y[i]);
};

globalThis.random = n => { const b = new Uint8Array(n); for (let i = 0; i < n; i += 65536) crypto.getRandomValues(b.subarray(i, Math.min(n, i + 65536))); return b; };

/** A signalling WebSocket with perfect negotiation; the page is the impolite end. */
globalThis.signalled = async pc => {
  const ws = new WebSocket(`ws://${location.host}/ws`);
  await new Promise((ok, no) => { ws.onopen = ok; ws.onerror = () => no(new Error("signalling: the socket failed")); });
  const errors = [];
  let making = false;
  pc.onicecandidate = ({ candidate }) => ws.readyState === 1 && ws.send(JSON.stringify({ type: "candidate", candidate }));
  pc.onnegotiationneeded = async () => {
    try { making = true; await pc.setLocalDescription(); ws.send(JSON.stringify(pc.localDescription)); } finally { making = false; }
  };
  let chain = Promise.resolve(), ignoring = false;
  ws.onmessage = ({ data }) => { chain = chain.then(() => take(JSON.parse(data))).catch(e => errors.push(String(e))); };
  const take = async m => {
    if (m.type === "offer" || m.type === "answer") {
      ignoring = m.type === "offer" && (making || pc.signalingState !== "stable");
      if (ignoring) return;
      await pc.setRemoteDescription(m);
      if (m.type === "offer") { await pc.setLocalDescription(); ws.send(JSON.stringify(pc.localDescription)); }
    } else if (m.type === "candidate") {
      if (m.candidate) await pc.addIceCandidate(m.candidate).catch(e => { if (!ignoring) throw e; });
    } else if (m.type === "error") errors.push(m.message);
    else if (m.type === "bye") ws.bye = true;
  };
  return { ws, errors, send: m => ws.send(JSON.stringify(m)) };
};

/** Camera and microphone, or what the browser makes up for them. */
globalThis.media = (constraints = { audio: true, video: { width: 640, height: 360 } }) => navigator.mediaDevices.getUserMedia(constraints);

/** Statistics of one type and kind, added up over all streams. */
globalThis.sum = async (pc, type, kind, member) => {
  let total = 0;
  (await pc.getStats()).forEach(s => { if (s.type === type && s.kind === kind) total += s[member] ?? 0; });
  return total;
};

/** Waits until a statistic has grown by `by`. */
globalThis.grows = async (pc, type, kind, member, by, ms) => {
  const start = await sum(pc, type, kind, member), end = performance.now() + ms;
  for (;;) {
    const now = await sum(pc, type, kind, member);
    if (now - start >= by) return now - start;
    if (performance.now() > end) throw new Error(`media: ${kind} ${member} grew by ${now - start} in ${ms} ms, not by ${by}; stopped at ${diagnose()}`);
    await new Promise(ok => setTimeout(ok, 100));
  }
};
