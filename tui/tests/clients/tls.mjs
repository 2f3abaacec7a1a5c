// Node over TLS: tls.mjs URL CONNECTIONS; 1, 2, 3 .. requests on them.
import http2 from 'node:http2';

const url = new URL(process.argv[2]);

function ask(requests) {
  const session = http2.connect(url.origin, { rejectUnauthorized: false });
  session.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
  const next = (left) => {
    if (left === 0) return session.close();
    const stream = session.request({ ':path': url.pathname });
    stream.resume();
    stream.on('end', () => next(left - 1));
    stream.end();
  };
  next(requests);
}

for (let i = 1; i <= Number(process.argv[3]); i++) ask(i);
