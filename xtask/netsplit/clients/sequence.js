// Requests one after the other on one http2 session, as an application does it: a new session when the old one has ended, and
// so many more tries for a request that failed. Prints the counts as JSON.
const http2 = require('node:http2');
const fs = require('node:fs');

const [url, authority, requests, timeoutMs, retries] = process.argv.slice(2);
const ca = fs.readFileSync(authority);
const errors = {};
let session;

function connected() {
  if (!session || session.closed || session.destroyed) {
    session = http2.connect(url, { ca });
    session.on('error', () => {});
  }
  return session;
}

function attempt() {
  return new Promise((resolve) => {
    let status;
    let request;
    try {
      request = connected().request({ ':path': '/' });
    } catch (error) {
      return resolve(error.code);
    }
    const timer = setTimeout(() => {
      status = 'timeout';
      request.close(http2.constants.NGHTTP2_CANCEL);
    }, Number(timeoutMs));
    request.on('response', (headers) => (status = status ?? headers[':status']));
    request.on('error', (error) => (status = status === 'timeout' ? status : error.code));
    request.on('close', () => {
      clearTimeout(timer);
      resolve(status === 200 ? null : status ?? 'closed');
    });
    request.resume();
    request.end();
  });
}

async function run() {
  const result = { client: `Node ${process.version} http2`, requests: Number(requests), failed: 0, lost: 0, errors };
  await new Promise((resolve) => connected().once('connect', resolve));
  for (let i = 0; i < result.requests; i++) {
    let error = await attempt();
    if (error !== null) {
      result.failed++;
      errors[error] = (errors[error] ?? 0) + 1;
    }
    for (let retry = 0; error !== null && retry < Number(retries); retry++) error = await attempt();
    if (error !== null) result.lost++;
  }
  console.log(JSON.stringify(result));
  process.exit(0);
}

run();
