// POST /echo with marks, every ten milliseconds until standard input ends: marked.mjs ORIGIN. The marks are in
// H2WATCH_MARK_HEADER and H2WATCH_MARK_BODY.
import http2 from 'node:http2';

const session = http2.connect(process.argv[2], { rejectUnauthorized: false });
session.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
const headers = { ':path': '/echo', ':method': 'POST', 'x-mark': process.env.H2WATCH_MARK_HEADER };
const timer = setInterval(() => {
  const stream = session.request(headers);
  stream.on('error', () => {});
  stream.end(process.env.H2WATCH_MARK_BODY);
  stream.resume();
}, 10);
process.stdin.on('end', () => {
  clearInterval(timer);
  session.close();
});
process.stdin.resume();
