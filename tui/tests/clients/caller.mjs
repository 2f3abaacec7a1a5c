// A client that calls and hangs up, with Node's OpenSSL: caller.mjs ORIGIN INTERVAL-MS TIMEOUT-MS PATH UPLOAD-BYTES PING-MS.
// A request per interval over one connection, cancelled after the timeout. Says CONNECTED. With TLS it says WAITING first,
// and connects after a line on its standard input.
import http2 from 'node:http2';

const [origin, interval, timeout, path, upload, ping] = process.argv.slice(2);
const body = Buffer.alloc(Number(upload));
let session;

function call() {
  if (session.destroyed) return;
  const method = body.length > 0 ? 'POST' : 'GET';
  const stream = session.request({ ':path': path, ':method': method }, { endStream: body.length === 0 });
  stream.on('error', () => {});
  if (body.length > 0) stream.end(body);
  stream.resume();
  const timer = setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), Number(timeout));
  stream.on('close', () => clearTimeout(timer));
}

function begin() {
  session = http2.connect(origin, { rejectUnauthorized: false });
  session.on('error', (error) => console.log(`BROKEN ${error.message}`));
  session.on('connect', () => {
    console.log('CONNECTED');
    setInterval(call, Number(interval));
    if (Number(ping) > 0) setInterval(() => session.destroyed || session.ping(() => {}), Number(ping));
  });
}

if (origin.startsWith('https:')) {
  console.log('WAITING');
  process.stdin.once('data', begin);
} else {
  begin();
}
