// Node: steady.mjs URL INTERVAL_MS; a stream each time on one connection, none is given up.
import http2 from 'node:http2';

const url = new URL(process.argv[2]);
const session = http2.connect(url.origin, { rejectUnauthorized: false });
session.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
session.on('connect', () => {
  setInterval(() => {
    const stream = session.request({ ':path': url.pathname });
    stream.resume();
    stream.end();
  }, Number(process.argv[3]));
});
