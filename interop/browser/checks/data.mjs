// Data channels.
export const checks = {
  "three channels echo 100 text and 100 binary messages of 0 to 16 KiB": {
    async run({ page, expect }) {
      const result = await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const channels = [
          pc.createDataChannel("ordered"),
          pc.createDataChannel("loose", { ordered: false, maxRetransmits: 0 }),
          pc.createDataChannel("negotiated", { negotiated: true, id: 100 }),
        ];
        for (const c of channels) c.binaryType = "arraybuffer";
        await offerTo(pc);
        await Promise.all(channels.map(c => within(opened(c), 10000, `channel ${c.label}`)));
        const counts = {};
        for (const c of channels) {
          // What is never sent again may be given up by a sender that waited long for its turn: then it is missed.
          const reliable = c.maxRetransmits === null, missed = [];
          let count = 0;
          for (let i = 0; i < 100; i++) {
            const n = i === 0 ? 0 : Math.floor(Math.random() * 16385);
            for (const message of ["é".repeat(n >> 1), random(n).buffer]) {
              let back = await roundTrip(c, message, reliable ? 10000 : 2000).catch(e => { if (reliable) throw e; });
              // Those given up that come after all.
              while (back !== undefined && !same(message, back) && missed.some(m => same(m, back))) {
                back = await within(new Promise(ok => { c.onmessage = e => ok(e.data); }), 2000, "echo").catch(() => {});
              }
              if (back === undefined) { missed.push(message); continue; }
              if (!same(message, back)) throw new Error(`data: message ${i} of ${c.label} came back changed`);
              count++;
            }
          }
          counts[c.label] = count;
        }
        pc.close();
        return counts;
      });
      for (const [label, count] of Object.entries(result)) expect(label === "loose" ? count >= 190 : count === 200, "data", `${label}: ${count}`);
    },
  },
  "messages in flight together come back in order": {
    async run({ page }) {
      await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const c = pc.createDataChannel("many"); c.binaryType = "arraybuffer";
        await offerTo(pc);
        await within(opened(c), 10000, "channel");
        const sent = Array.from({ length: 500 }, (_, i) => i % 2 ? `text ${i}` : random(i * 20).buffer);
        const back = [];
        const all = new Promise(ok => { c.onmessage = e => { back.push(e.data); if (back.length === sent.length) ok(); }; });
        for (const m of sent) c.send(m);
        await within(all, 20000, `${sent.length} messages`);
        sent.forEach((m, i) => { if (!same(m, back[i])) throw new Error(`data: message ${i} is another one`); });
        pc.close();
      });
    },
  },
  "a message of the largest allowed size": {
    async run({ page, expect }) {
      const size = await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const c = pc.createDataChannel("large"); c.binaryType = "arraybuffer";
        await offerTo(pc);
        await within(opened(c), 10000, "channel");
        const n = Math.min(pc.sctp.maxMessageSize, 262144), m = random(n).buffer;
        const back = await roundTrip(c, m, 20000);
        if (!same(m, back)) throw new Error("data: came back changed");
        pc.close();
        return n;
      });
      expect(size === 262144, "SCTP", `maxMessageSize is ${size}`);
    },
  },
  "64 MiB of bulk data": {
    seconds: 120,
    async run({ page, figures }) {
      const rate = await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const c = pc.createDataChannel("bulk"); c.binaryType = "arraybuffer";
        await offerTo(pc);
        await within(opened(c), 10000, "channel");
        const total = 64 * 1048576, piece = random(65536).buffer, begun = performance.now();
        let back = 0, sent = 0, wrong = 0;
        const done = new Promise(ok => { c.onmessage = ({ data }) => { const v = new Uint8Array(data), p = new Uint8Array(piece); if (v.length !== p.length || v[0] !== p[0] || v[40000] !== p[40000] || v[65535] !== p[65535]) wrong++; back += v.length; if (back >= total) ok(); }; });
        c.bufferedAmountLowThreshold = 512 * 1024;
        const feed = (async () => {
          while (sent < total) {
            if (c.bufferedAmount > 2 * 1048576) await new Promise(ok => { c.onbufferedamountlow = ok; });
            c.send(piece); sent += piece.byteLength;
          }
        })();
        await within(Promise.all([feed, done]), 110000, "bulk echo").catch(e => { throw new Error(`${e.message}; sent ${sent}, back ${back}`); });
        if (wrong) throw new Error(`data: ${wrong} pieces came back changed`);
        pc.close();
        return total / 1e6 / ((performance.now() - begun) / 1000);
      });
      figures.bulkEchoMBps = +rate.toFixed(1);
      return `${rate.toFixed(1)} MB/s each way`;
    },
  },
  "the far side closes a channel, and the page closes one": {
    async run({ page }) {
      await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const one = pc.createDataChannel("one"), two = pc.createDataChannel("two");
        await offerTo(pc);
        await within(Promise.all([opened(one), opened(two)]), 10000, "channels");
        const closed = new Promise(ok => { one.onclose = ok; });
        one.close();
        await within(closed, 15000, "close of a channel");
        if (await roundTrip(two, "still here") !== "still here") throw new Error("data: the other channel died");
        // The stream ids are free again.
        const three = pc.createDataChannel("three");
        await within(opened(three), 15000, "a channel after a close");
        if (await roundTrip(three, "again") !== "again") throw new Error("data: the new channel is deaf");
        pc.close();
      });
    },
  },
};
