// Node: load.mjs URL CONNECTIONS STREAMS REQUESTS; keeps so many streams busy, prints how many requests it made in a second.
import http2 from 'node:http2';

const url = new URL(process.argv[2]);
const [connections, streams, requests] = process.argv.slice(3).map(Number);
let started = 0;
let ended = 0;
const begun = process.hrtime.bigint();
const sessions = [];

function next(session) {
  if (started === requests) return;
  started++;
  const stream = session.request({ ':path': url.pathname });
  stream.resume();
  stream.on('end', () => {
    if (++ended === requests) {
      console.log('RATE', requests / (Number(process.hrtime.bigint() - begun) / 1e9));
      sessions.forEach((each) => each.close());
    }
    next(session);
  });
  stream.end();
}

for (let i = 0; i < connections; i++) {
  const session = http2.connect(url.origin, { rejectUnauthorized: false });
  session.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
  sessions.push(session);
  for (let j = 0; j < streams; j++) next(session);
}
