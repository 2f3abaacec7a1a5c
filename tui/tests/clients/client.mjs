// Node's client without TLS: client.mjs ORIGIN REQUESTS PARALLEL. Every seventh stream is cancelled, every fifth uploads.
// Prints how many ended by themselves and how many it cancelled.
import http2 from 'node:http2';

const [origin, requests, parallel] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const session = http2.connect(origin);
session.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
let next = 0;
let ended = 0;
let cancelled = 0;

function startOne() {
  if (next === requests) return;
  const i = next++;
  const upload = i % 5 === 0;
  const cancel = i % 7 === 0;
  const path = cancel ? '/hang' : `/bytes/${(i * 131) % 30000}`;
  const stream = session.request({ ':path': path, ':method': upload ? 'POST' : 'GET' }, { endStream: !upload });
  if (upload) stream.end(Buffer.alloc((i * 97) % 40000));
  if (cancel) setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), 5);
  stream.on('error', () => {});
  stream.resume();
  stream.on('close', () => {
    if (cancel) cancelled++;
    else ended++;
    if (ended + cancelled === requests) finish();
    else startOne();
  });
}

function finish() {
  session.ping((error) => {
    if (error) throw error;
    session.close(() => console.log('CLIENT ' + JSON.stringify({ ended, cancelled })));
  });
}

session.on('connect', () => {
  for (let i = 0; i < parallel; i++) startOne();
});
