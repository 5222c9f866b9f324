// Media over a path that loses 5 % of the RTP packets in both directions.
import { candidate, lossyPath, retransmissions, through } from "../lossy.mjs";

const SEED = Number(process.env.TINCAN_SEED ?? 1);
const LOSS = 0.05;
const SECONDS = Number(process.env.TINCAN_LOSS_SECONDS ?? 8);

/** Sends the camera in one codec to the demo, which sends it back, and reads what became of it. */
async function call({ page, url, loss, mime, seconds }) {
  let path;
  await page.exposeFunction("answerFor", async offer => {
    // Without candidates of its own: the demo must not find a way around the path.
    const sdp = offer.sdp.replace(/^a=candidate:.*\r\n/gm, "");
    const response = await fetch(new URL("/offer", url), {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ type: "offer", sdp }),
    });
    const answer = JSON.parse(await response.text());
    const far = candidate(answer.sdp);
    if (!far) throw new Error(`signalling: no candidate in ${answer.sdp}`);
    path = await lossyPath({ far, loss, seed: SEED, rtx: retransmissions(answer.sdp) });
    return { type: "answer", sdp: through(answer.sdp, path) };
  });
  try {
    const stats = await page.evaluate(async ({ mime, seconds }) => {
      const pc = globalThis.call = new RTCPeerConnection();
      const stream = await media({ video: { width: 640, height: 360, frameRate: 30 } });
      const tx = pc.addTransceiver(stream.getVideoTracks()[0], { direction: "sendrecv" });
      const codecs = RTCRtpReceiver.getCapabilities("video").codecs;
      if (!codecs.some(c => c.mimeType === mime)) return undefined;
      tx.setCodecPreferences(codecs.filter(c => c.mimeType === mime || /rtx/i.test(c.mimeType)));
      // Freezes are counted where a picture is shown.
      const video = document.createElement("video"); video.autoplay = true; video.muted = true; document.body.append(video);
      pc.ontrack = e => { video.srcObject = new MediaStream([e.track]); };
      await pc.setLocalDescription();
      await within(gathered(pc), 10000, "gathering");
      await pc.setRemoteDescription(await answerFor(pc.localDescription.toJSON()));
      await within(state(pc, "connected"), 10000, "connection");
      await grows(pc, "inbound-rtp", "video", "framesDecoded", 10, 15000);
      const read = async () => {
        const all = { at: performance.now() };
        (await pc.getStats()).forEach(s => { if (s.kind === "video" && /^(in|out)bound-rtp$/.test(s.type)) all[s.type] = s; });
        return all;
      };
      const before = await read();
      await new Promise(ok => setTimeout(ok, seconds * 1000));
      const after = await read();
      pc.close();
      for (const t of stream.getTracks()) t.stop();
      const grown = {};
      for (const type of ["inbound-rtp", "outbound-rtp"]) {
        grown[type] = {};
        for (const [k, v] of Object.entries(after[type])) if (typeof v === "number") grown[type][k] = v - (before[type][k] ?? 0);
      }
      return { in: grown["inbound-rtp"], out: grown["outbound-rtp"], codec: mime };
    }, { mime, seconds });
    return stats && { ...stats, path: { fromBrowser: path.fromBrowser, fromUs: path.fromUs } };
  } finally {
    path?.close();
  }
}

function judge({ in: i, out: o, path }, expect) {
  const { fromBrowser, fromUs } = path;
  expect(fromBrowser.lost > 0 && fromUs.lost > 0, "path", "nothing was lost");
  // What the browser sent and lost, we asked for, and it sent again.
  expect(o.nackCount > 0, "media", "we asked for nothing");
  expect(o.retransmittedPacketsSent > 0 && fromBrowser.rtx > 0, "media", "the browser sent nothing again");
  // What we sent and lost, the browser asked for, and we sent again.
  expect(i.nackCount > 0, "media", "the browser asked for nothing");
  // (Firefox does not count what comes again.)
  expect((i.retransmittedPacketsReceived ?? 1) > 0 && fromUs.rtx > 0, "media", "we sent nothing again");
  expect(i.framesDecoded >= 0.75 * o.framesEncoded, "media", `${i.framesDecoded} of ${o.framesEncoded} frames`);
}

function say({ in: i, out: o, path: { fromBrowser, fromUs } }) {
  return `${i.framesDecoded} of ${o.framesEncoded} frames; lost ${fromBrowser.lost}/${fromBrowser.rtp} to us, ${fromUs.lost}/${fromUs.rtp} from us; ` +
    `we: ${o.nackCount} NACKs, ${fromUs.rtx} RTX; browser: ${i.nackCount} NACKs, ${fromBrowser.rtx} RTX (${i.retransmittedPacketsReceived ?? 0} of ours received); ` +
    `freezes ${i.freezeCount} (${(i.totalFreezesDuration ?? 0).toFixed(2)} s), PLI ${i.pliCount} to us, ${o.pliCount} from us, packetsLost ${i.packetsLost}, dropped ${i.framesDropped}`;
}

export const checks = {};
for (const mime of ["video/VP8", "video/VP9", "video/H264", "video/AV1"]) {
  checks[`${mime} at 5 % loss both ways`] = {
    seconds: 40 + SECONDS,
    async run({ page, url, expect, figures }) {
      const result = await call({ page, url, loss: LOSS, mime, seconds: SECONDS });
      if (!result) return "this browser has none";
      judge(result, (condition, layer, message) => expect(condition, layer, `${message}; ${say(result)}`));
      figures[`freezesAt5PercentLoss ${mime}`] = result.in.freezeCount;
      return say(result);
    },
  };
}
checks["without loss, for comparison"] = {
  seconds: 40 + SECONDS,
  async run({ page, url, expect }) {
    const result = await call({ page, url, loss: 0, mime: "video/VP8", seconds: SECONDS });
    expect(result.path.fromUs.lost === 0 && result.path.fromBrowser.lost === 0, "path", "something was lost");
    expect(result.in.framesDecoded >= 0.75 * result.out.framesEncoded, "media", `${result.in.framesDecoded} of ${result.out.framesEncoded} frames`);
    return say(result);
  },
};
