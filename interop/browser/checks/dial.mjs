// The other role: dial offers, the page answers. And two of our own peers.
import { createServer } from "node:http";

export const checks = {
  "dial calls the demo": {
    async run({ program, url, expect, figures }) {
      const dial = await program("dial", ["--url", new URL("/offer", url).href, "--seconds", "3"]);
      const report = JSON.parse(dial.output().trim().split("\n").at(-1));
      expect(report.ok, "dial", dial.output());
      figures.dialDemo = { connectMs: report.connect_ms, bulkMBps: report.bulk_mb_per_s };
      return `connected in ${report.connect_ms} ms, ${report.bulk_mb_per_s} MB/s echoed`;
    },
  },
  "the page answers dial and echoes data and media": {
    seconds: 90,
    async run({ page, program, expect }) {
      await page.evaluate(() => {
        globalThis.answer = async offer => {
          const pc = globalThis.call = new RTCPeerConnection();
          const echo = c => { c.binaryType = "arraybuffer"; const waiting = []; c.bufferedAmountLowThreshold = 1048576;
            const flush = () => { while (waiting.length && c.bufferedAmount < 4 * 1048576) c.send(waiting.shift()); };
            c.onbufferedamountlow = flush; c.onmessage = ({ data }) => { waiting.push(data); flush(); }; };
          pc.ondatachannel = ({ channel }) => echo(channel);
          echo(pc.createDataChannel("negotiated", { negotiated: true, id: 100 }));
          // What comes in goes back, decoded and encoded again by the browser.
          pc.ontrack = ({ track, transceiver }) => {
            const v = document.createElement(track.kind); v.muted = true; v.autoplay = true; v.srcObject = new MediaStream([track]); document.body.append(v);
            transceiver.direction = "sendrecv"; transceiver.sender.replaceTrack(track);
          };
          await pc.setRemoteDescription(offer);
          await pc.setLocalDescription();
          await within(gathered(pc), 10000, "gathering");
          return pc.localDescription.toJSON();
        };
      });
      const server = createServer((request, response) => {
        let body = "";
        request.on("data", data => { body += data; });
        request.on("end", () => page.evaluate(offer => answer(offer), JSON.parse(body))
          .then(answer => response.end(JSON.stringify(answer)), error => { response.statusCode = 500; response.end(String(error)); }));
      });
      await new Promise(ok => server.listen(0, "127.0.0.1", ok));
      const dial = await program("dial", ["--url", `http://127.0.0.1:${server.address().port}/offer`, "--seconds", "8", "--bulk", "8388608"]);
      server.close();
      const report = JSON.parse(dial.output().trim().split("\n").at(-1));
      expect(report.ok, "dial", dial.output());
      return `connected in ${report.connect_ms} ms, ${report.bulk_mb_per_s} MB/s, video ${report.video.returned} packets back`;
    },
  },
};
