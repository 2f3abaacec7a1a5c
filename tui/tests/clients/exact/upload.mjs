// Node over TLS: upload.mjs ORIGIN CONNECTIONS. All at the same time; connection i sends a megabyte and i kilobytes, between
// small requests. Prints, by its own port, how many streams it opened.
import http2 from 'node:http2';

const [origin, connections] = [process.argv[2], Number(process.argv[3])];
const counts = {};

function fail(error) {
  console.error(error);
  process.exit(1);
}

function exchange(session, count, bytes) {
  return new Promise((done) => {
    const stream = session.request({ ':path': '/bytes/100', ':method': bytes ? 'POST' : 'GET' }, { endStream: !bytes });
    count.opened++;
    stream.on('error', fail);
    stream.on('close', done);
    stream.resume();
    if (bytes) stream.end(Buffer.alloc(bytes));
  });
}

async function connection(i) {
  const session = http2.connect(origin, { rejectUnauthorized: false });
  session.on('error', fail);
  const count = { opened: 0, cancelled: 0 };
  for (let n = 0; n <= i % 5; n++) await exchange(session, count, 0);
  counts[session.socket.localPort] = count;
  await exchange(session, count, 1000000 + 1000 * i);
  // Alone: with its end, everything has arrived.
  await exchange(session, count, 0);
  await new Promise((closed) => session.close(closed));
}

await Promise.all(Array.from({ length: connections }, (_, i) => connection(i)));
console.log('CLIENT ' + JSON.stringify(counts));
