// Node: steady.mjs URL INTERVAL_MS [CONNECTIONS]; a stream each time on one connection, none is given up; of several connections
// each has an interval half as long again as that of the one before.
import http2 from 'node:http2';

const url = new URL(process.argv[2]);
for (let i = 0; i < Number(process.argv[4] ?? 1); i++) {
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
    }, Number(process.argv[3]) * 1.5 ** i);
  });
}
