// Node over TLS: exact.mjs ORIGIN CONNECTIONS STREAMS. Connection i opens STREAMS + i streams, four at a time, and cancels some
// of them after their response headers (RST_STREAM). Prints, by its own port, how many it opened and cancelled.
import http2 from 'node:http2';

const [origin, connections, streams] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const counts = {};

function exchange(session, count, cancel) {
  return new Promise((done) => {
    const stream = session.request({ ':path': cancel ? '/headers' : '/bytes/300' });
    count.opened++;
    stream.on('response', () => {
      if (!cancel) return;
      count.cancelled++;
      stream.close(http2.constants.NGHTTP2_CANCEL);
    });
    stream.on('error', (error) => fail(error));
    stream.on('close', done);
    stream.resume();
  });
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

async function connection(i) {
  const session = http2.connect(origin, { rejectUnauthorized: false });
  session.on('error', fail);
  const count = { opened: 0, cancelled: 0 };
  await exchange(session, count, false);
  counts[session.socket.localPort] = count;
  let next = 1;
  const worker = async () => {
    while (next < streams + i - 1) {
      const k = next++;
      await exchange(session, count, k % (4 + (i % 3)) === 0);
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  // Alone: with its end, everything has arrived.
  await exchange(session, count, false);
  await new Promise((closed) => session.close(closed));
}

await Promise.all(Array.from({ length: connections }, (_, i) => connection(i)));
console.log('CLIENT ' + JSON.stringify(counts));
