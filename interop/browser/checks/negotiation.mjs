// Two ends that both renegotiate whenever they please: perfect negotiation (W3C §10.7) under glare, simulcast, tones, and
// whether the statistics of both ends tell the same story. The far end is the puppet example, on strings.
import { puppet } from "../puppet.mjs";

/** A seeded source of numbers below `n` (xorshift32). */
const seeded = seed => n => {
  seed ^= seed << 13; seed ^= seed >>> 17; seed ^= seed << 5;
  return (seed >>> 0) % n;
};

const DIRECTIONS = ["sendrecv", "sendonly", "recvonly", "inactive"];

/** The page's half: what it says goes into `outbox`, and nothing is delivered by itself. */
const pageEnd = () => {
  const pc = globalThis.call = new RTCPeerConnection();
  const outbox = [];
  const end = globalThis.end = { pc, outbox, making: false, ignored: 0, needed: 0, errors: [], stopping: new WeakSet() };
  pc.onicecandidate = ({ candidate }) => outbox.push({ type: "candidate", candidate });
  pc.onnegotiationneeded = async () => {
    end.needed++;
    try {
      end.making = true;
      await pc.setLocalDescription();
      outbox.push(pc.localDescription.toJSON());
    } catch (e) { end.errors.push(String(e)); } finally { end.making = false; }
  };
  // The page is the impolite end: it ignores an offer that meets its own.
  end.take = async m => {
    if (m.type === "candidate") {
      // Candidates of an offer that was ignored may come behind the answer that follows it: Firefox minds.
      if (m.candidate) await pc.addIceCandidate(m.candidate).catch(e => { if (!end.ignoring && !/Unknown ufrag/.test(e)) end.errors.push(String(e)); });
      return;
    }
    end.ignoring = m.type === "offer" && (end.making || pc.signalingState !== "stable");
    if (end.ignoring) { end.ignored++; return; }
    try {
      await pc.setRemoteDescription(m);
      if (m.type === "offer") { await pc.setLocalDescription(); outbox.push(pc.localDescription.toJSON()); }
    } catch (e) { end.errors.push(`${m.type}: ${e}`); }
  };
  end.act = (what, n, direction, kind) => {
    const t = pc.getTransceivers().filter(t => !t.stopped && !end.stopping.has(t));
    if (what === "add" && t.length < 8) pc.addTransceiver(kind, { direction });
    else if (what === "direct" && t.length) t[n % t.length].direction = direction;
    else if (what === "stop" && t.length > 2) { const n0 = t.filter(t => t.mid !== null); const gone = n0[n % n0.length]; gone?.stop(); if (gone) end.stopping.add(gone); }
    else if (what === "restart") pc.restartIce();
    else if (what === "channel") pc.createDataChannel(`c${n}`);
  };
  end.view = () => ({
    signaling: pc.signalingState, making: end.making, errors: end.errors, ignored: end.ignored, waiting: outbox.length,
    transceivers: pc.getTransceivers().map(t => ({ mid: t.mid, kind: t.receiver.track.kind, current: t.currentDirection, stopped: t.stopped })),
  });
};

/** The puppet's half: the polite end. */
class FarEnd {
  constructor(far) { this.far = far; this.outbox = []; this.rolledBack = 0; }
  async offerIfNeeded() {
    for (const n of await this.far.do("news")) {
      if (n.type === "candidate") this.outbox.push(n);
      else if (n.type === "negotiationneeded" && (await this.far.do("view")).signaling === "stable") this.outbox.push(await this.far.do("set_local"));
    }
  }
  async take(m) {
    if (m.type === "candidate") { await this.far.do("candidate", m).catch(() => {}); return; }
    const before = (await this.far.do("view")).signaling;
    // The answer to an offer of ours that theirs rolled back.
    if (m.type === "answer" && before !== "have-local-offer") return;
    if (m.type === "offer" && before === "have-local-offer") this.rolledBack++;
    await this.far.do("set_remote", { type: m.type, sdp: m.sdp });
    if (m.type === "offer") this.outbox.push(await this.far.do("set_local"));
  }
  async act(what, n, direction, kind) {
    const t = (await this.far.do("view")).transceivers.map((t, at) => ({ ...t, at })).filter(t => !t.stopped);
    if (what === "add" && t.length < 8) await this.far.do("add_transceiver", { kind, direction });
    else if (what === "direct" && t.length) await this.far.do("set_direction", { n: t[n % t.length].at, direction });
    else if (what === "stop" && t.length > 2) await this.far.do("stop", { n: t[n % t.length].at });
    else if (what === "restart") await this.far.do("restart");
    else if (what === "channel") await this.far.do("add_channel", { label: `c${n}` });
  }
}

const REVERSED = { sendrecv: "sendrecv", sendonly: "recvonly", recvonly: "sendonly", inactive: "inactive" };

/** One interleaving: some calls on both ends with messages delivered in between, then everything until both rest. */
async function interleave(page, far, number) {
  for (let step = 3 + number(6); step > 0; step--) {
    const what = ["add", "direct", "direct", "direct", "stop", "restart", "channel"][number(7)];
    const choice = [what, number(16), DIRECTIONS[number(4)], ["audio", "video"][number(2)]];
    if (what === "channel" && number(4)) continue;
    switch (number(4)) {
      case 0: await page.evaluate(c => end.act(...c), choice); break;
      case 1: await far.act(...choice); break;
      case 2: { const m = far.outbox.shift(); if (m) await page.evaluate(m => end.take(m), m); break; }
      default: { const m = await page.evaluate(() => end.outbox.shift()); if (m) await far.take(m); }
    }
    await far.offerIfNeeded();
  }
  const end = Date.now() + 60000;
  for (let quiet = 0, rounds = 0; quiet < 3; rounds++) {
    if (rounds > 200 && Date.now() > end) throw new Error(`signalling: the exchange never ends; page ${JSON.stringify(await page.evaluate(() => end.view()))}, we ${JSON.stringify(await far.far.do("view"))}`);
    await far.offerIfNeeded();
    const theirs = far.outbox.splice(0);
    // All messages of one direction in order, then those of the other: each end has its turn.
    const ours = await page.evaluate(async list => {
      for (const m of list) await end.take(m);
      await new Promise(ok => setTimeout(ok, 5));
      // What was stopped, or never negotiated, has an offer still to come.
      // Firefox keeps those that are stopped and gone, without a mid.
      const open = end.making || end.pc.signalingState !== "stable" || end.pc.getTransceivers().some(t => t.mid === null ? !t.stopped : t.stopped || end.stopping.has(t));
      return { list: end.outbox.splice(0), open };
    }, theirs);
    for (const m of ours.list) await far.take(m);
    // The far end's wish to negotiate comes a little after what made it.
    const view = await far.far.do("view");
    const open = ours.open || view.signaling !== "stable" || view.transceivers.some(t => t.mid === null && !t.stopped);
    quiet = theirs.length + ours.list.length || open ? 0 : quiet + 1;
  }
}

export const checks = {
  "perfect negotiation under glare: random interleavings from both ends": {
    seconds: 600,
    async run({ page, expect, examples }) {
      // 1000 take three to four minutes on two busy cores, and pass as well.
      const rounds = Number(process.env.TINCAN_INTERLEAVINGS ?? 100);
      const seed = Number(process.env.TINCAN_SEED ?? 20261121);
      const number = seeded(seed);
      let done = 0, glares = 0, ignored = 0, sections = 0;
      const remote = await puppet(examples);
      // A fresh connection every 50: sections are never removed, only used again.
      for (; done < rounds; done++) {
        if (done % 50 === 0) {
          if (done) { glares += far.rolledBack; ignored += (await page.evaluate(() => end.view())).ignored; await page.evaluate(() => end.pc.close()); }
          await remote.do("new");
          var far = new FarEnd(remote);
          await page.evaluate(pageEnd);
          await page.evaluate(() => end.act("channel", 0));
        }
        await interleave(page, far, number);
        const at = `seed ${seed}, interleaving ${done}`;
        const ours = await remote.do("view"), theirs = await page.evaluate(() => end.view());
        expect(!theirs.errors.length, "signalling", `${at}: ${theirs.errors}`);
        expect(ours.signaling === "stable" && theirs.signaling === "stable", "signalling", `${at}: ${ours.signaling}, ${theirs.signaling}`);
        const list = (all, turn) => JSON.stringify(all.filter(t => t.mid !== null && !t.stopped).map(t => [t.mid, t.kind, turn ? REVERSED[t.current] : t.current]).sort());
        const a = list(ours.transceivers, true), b = list(theirs.transceivers, false);
        expect(a === b, "signalling", `${at}: the ends differ:\n${a}\n${b}`);
        expect(ours.transceivers.every(t => t.mid !== null), "signalling", `${at}: a transceiver was never negotiated`);
        sections = Math.max(sections, JSON.parse(b).length);
      }
      glares += far.rolledBack;
      ignored += (await page.evaluate(() => end.view())).ignored;
      const state = await page.evaluate(() => within(state(end.pc, "connected"), 30000, "connection").then(() => end.pc.connectionState));
      await remote.end();
      expect(glares > 0, "check", "no glare among the interleavings");
      return `${done} interleavings (seed ${seed}), ${glares} rollbacks of ours, ${ignored} offers ignored by the page, up to ${sections} sections; still ${state}`;
    },
  },
  "simulcast: three rids are received": {
    async run({ page, expect, examples }) {
      const far = await puppet(examples);
      await far.do("new");
      const offer = await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const stream = await media({ video: { width: 1280, height: 720 } });
        pc.addTransceiver(stream.getVideoTracks()[0], {
          direction: "sendonly",
          sendEncodings: [{ rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000 }, { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000 }, { rid: "f", maxBitrate: 1_500_000 }],
        });
        await pc.setLocalDescription(); await within(gathered(pc), 10000, "gathering");
        return pc.localDescription.toJSON();
      });
      await far.do("set_remote", offer);
      const answer = await far.answer();
      await page.evaluate(async a => { await call.setRemoteDescription(a); await within(state(call, "connected"), 10000, "connection"); }, answer);
      const end = Date.now() + 20000;
      for (;;) {
        const { packets } = await far.do("received");
        const by = Object.fromEntries(packets.map(p => [p.encoding, p.packets]));
        if ([0, 1, 2].every(e => (by[e] ?? 0) > 20)) {
          await far.end();
          return `packets by rid: q ${by[0]}, h ${by[1]}, f ${by[2]}`;
        }
        expect(Date.now() < end, "media", `packets by encoding: ${JSON.stringify(by)}`);
        await new Promise(ok => setTimeout(ok, 200));
      }
    },
  },
  "tones are received from the page, and the page hears ours": {
    async run({ page, expect, examples }) {
      const far = await puppet(examples);
      await far.do("new");
      const offer = await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const stream = await media({ audio: true });
        pc.addTrack(stream.getAudioTracks()[0], stream);
        await pc.setLocalDescription(); await within(gathered(pc), 10000, "gathering");
        return pc.localDescription.toJSON();
      });
      await far.do("set_remote", offer);
      await far.do("set_direction", { n: 0, direction: "sendrecv" });
      const answer = await far.answer();
      await page.evaluate(async a => {
        await call.setRemoteDescription(a); await within(state(call, "connected"), 10000, "connection");
        const { dtmf } = call.getSenders()[0];
        // The browser's media threads learn of the connection a little after the page.
        await comesTrue(() => dtmf.canInsertDTMF, 10000, "canInsertDTMF");
        dtmf.insertDTMF("1234*#D", 100, 70);
      }, answer);
      const until = async (what, ready) => {
        const end = Date.now() + 15000;
        for (;;) {
          const value = await ready();
          if (value !== undefined) return value;
          expect(Date.now() < end, "media", `${what}: not in 15 s`);
          await new Promise(ok => setTimeout(ok, 100));
        }
      };
      const heard = await until("tones of the page", async () => { const { tones } = await far.do("received"); return tones.length >= 7 ? tones : undefined; });
      expect(heard === "1234*#D", "media", `heard ${heard}`);
      // Chromium has no event for tones that arrive: what it counts are the packets of the stream.
      const before = await page.evaluate(() => sum(call, "inbound-rtp", "audio", "packetsReceived"));
      await far.do("tones", { n: 0, tones: "159" });
      const told = [];
      await until("tone events of ours", async () => { told.push(...(await far.do("news")).filter(n => n.type === "tone").map(n => n.tone)); return told.includes(null) ? true : undefined; });
      expect(told.join("") === "159", "media", `told ${told}`);
      const got = await until("packets at the page", async () => { const n = await page.evaluate(() => sum(call, "inbound-rtp", "audio", "packetsReceived")); return n - before >= 6 ? n - before : undefined; });
      await far.end();
      return `heard ${heard}; 159 went out in ${got} packets`;
    },
  },
  "getStats of both ends tell the same story": {
    async run({ page, expect, examples }) {
      const far = await puppet(examples);
      await far.do("new", { echo: true });
      const offer = await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const stream = await media();
        for (const t of stream.getTracks()) pc.addTrack(t, stream);
        await pc.setLocalDescription(); await within(gathered(pc), 10000, "gathering");
        return pc.localDescription.toJSON();
      });
      await far.do("set_remote", offer);
      for (const n of [0, 1]) await far.do("set_direction", { n, direction: "sendrecv" });
      const answer = await far.answer();
      await page.evaluate(async a => {
        await call.setRemoteDescription(a); await within(state(call, "connected"), 10000, "connection");
        await grows(call, "inbound-rtp", "video", "framesDecoded", 60, 20000);
        // Nothing more is sent; what is under way arrives, and one more round of reports.
        for (const s of call.getSenders()) await s.replaceTrack(null);
        await new Promise(ok => setTimeout(ok, 3000));
      }, answer);
      const firefox = await page.evaluate(() => /Firefox/.test(navigator.userAgent));
      const told = async () => {
        const theirs = await page.evaluate(async () => { const list = []; (await call.getStats()).forEach(s => list.push(s)); return list; });
        const ours = await far.do("stats");
        const said = [];
        const one = (list, type, ssrc) => list.find(s => s.type === type && s.ssrc === ssrc);
        for (const inbound of ours.filter(s => s.type === "inbound-rtp" && s.packetsReceived)) {
          const sent = one(theirs, "outbound-rtp", inbound.ssrc);
          expect(sent, "statistics", `the page sends no ${inbound.ssrc}`);
          // Both count retransmissions, and what is sent as one to measure the path.
          // Firefox leaves some of the latter out.
          const unlike = Math.abs(inbound.packetsReceived + inbound.packetsLost - sent.packetsSent);
          expect(unlike <= (firefox ? 0.1 * sent.packetsSent : 0), "statistics", `${inbound.kind}: ${inbound.packetsReceived} received and ${inbound.packetsLost} lost of ${sent.packetsSent}`);
          // A retransmission has two octets more, and what is left out takes up to a datagram of octets with it.
          const again = inbound.retransmittedPacketsReceived ?? 0;
          expect(Math.abs(inbound.bytesReceived - sent.bytesSent) <= 2 * again + 1500 * unlike, "statistics", `${inbound.kind}: ${inbound.bytesReceived} octets received of ${sent.bytesSent}, ${again} packets again, ${unlike} not told`);
          const report = one(theirs, "remote-inbound-rtp", inbound.ssrc);
          expect(report && report.packetsLost === inbound.packetsLost, "statistics", `${inbound.kind}: the page was told ${report?.packetsLost} lost, we know ${inbound.packetsLost}`);
          expect(report.roundTripTime >= 0 && report.roundTripTime < 1, "statistics", `${inbound.kind}: round trip ${report.roundTripTime}`);
          said.push(`${inbound.kind} in ${inbound.packetsReceived} packets, ${inbound.bytesReceived} octets, ${inbound.packetsLost} lost`);
        }
        for (const outbound of ours.filter(s => s.type === "outbound-rtp" && s.packetsSent)) {
          const received = one(theirs, "inbound-rtp", outbound.ssrc);
          expect(received, "statistics", `the page receives no ${outbound.ssrc}`);
          const original = outbound.packetsSent - outbound.retransmittedPacketsSent;
          // Video also comes to us as retransmissions that measure the path: none of them is delivered, nor goes back.
          // Firefox drops what comes before its receiver runs, and counts it nowhere.
          const early = original - received.packetsReceived - received.packetsLost;
          expect(early >= 0 && early <= (firefox ? 0.1 * original : 0), "statistics", `${outbound.kind}: the page has ${received.packetsReceived} and lost ${received.packetsLost} of ${original}`);
          expect(received.nackCount === undefined || received.nackCount === outbound.nackCount, "statistics", `${outbound.kind}: NACKs ${received.nackCount} sent, ${outbound.nackCount} received`);
          const report = one(ours, "remote-inbound-rtp", outbound.ssrc);
          expect(report && report.packetsLost === received.packetsLost, "statistics", `${outbound.kind}: we were told ${report?.packetsLost} lost, the page knows ${received.packetsLost}`);
          expect(report.roundTripTime >= 0 && report.roundTripTime < 1, "statistics", `${outbound.kind}: round trip ${report.roundTripTime}`);
          said.push(`${outbound.kind} out ${original} packets, ${received.packetsLost} lost, RTT ${(report.roundTripTime * 1e3).toFixed(1)} ms`);
        }
        expect(said.length === 4, "statistics", `only ${said}`);
        const rtt = [theirs, ours].map(list => list.find(s => s.type === "candidate-pair" && s.nominated && s.state === "succeeded")?.currentRoundTripTime);
        expect(rtt.every(t => t >= 0 && t < 0.5), "statistics", `round trips by ICE: ${rtt}`);
        return said;
      };
      // Counters that are right come to agree when nothing more is sent; those that are wrong never do.
      const end = Date.now() + 15000;
      let said;
      while (!said) said = await told().catch(async e => { if (Date.now() > end) throw e; await new Promise(ok => setTimeout(ok, 500)); });
      await far.end();
      return said.join("; ");
    },
  },
};
