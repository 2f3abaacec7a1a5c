// A client that waits for its answers, with Node's OpenSSL: patient.mjs ORIGIN WORKERS PAUSE-MS PATH, one connection for all
// workers. Each worker requests the path, takes the whole answer, pauses, and begins again. Says CONNECTED.
import http2 from 'node:http2';

const [origin, workers, pause, path] = process.argv.slice(2);
const session = http2.connect(origin, { rejectUnauthorized: false });
session.on('error', (error) => {
  console.log(`BROKEN ${error.message}`);
  process.exit(1);
});

function work() {
  const stream = session.request({ ':path': path });
  stream.resume();
  stream.on('end', () => setTimeout(work, Number(pause)));
}

session.on('connect', () => {
  console.log('CONNECTED');
  for (let n = 0; n < Number(workers); n += 1) work();
});
