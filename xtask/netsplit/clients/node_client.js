// Two requests, one after the other, on one http2 session: what does it see when the session's connection is reset?
const http2 = require('node:http2');
const fs = require('node:fs');

const [url, authority] = process.argv.slice(2);
const say = (text) => console.log(`node ${process.version}, ${text}`);
const session = http2.connect(url, { ca: fs.readFileSync(authority) });
session.on('error', (error) => say(`session: ${error.code}, destroyed: ${session.destroyed}`));

function get(number, done) {
  let request;
  try {
    request = session.request({ ':path': '/' });
  } catch (error) {
    say(`request ${number}: throws ${error.code}`);
    return done();
  }
  request.on('response', (headers) => say(`request ${number}: ${headers[':status']}`));
  request.on('error', (error) => say(`request ${number}: ${error.code}`));
  request.on('close', done);
  request.resume();
  request.end();
}

get(1, () => setImmediate(() => get(2, () => session.close())));
