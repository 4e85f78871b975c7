// A service and a caller on sofa-bolt-node (Hessian bodies), driven by lines on stdin, each answered by one on stdout:
// "echo JSON-ARRAY", "fail TEXT", "many COUNT", "beat". Arguments: "serve PORT", or "call HOST:PORT SERVICE".
'use strict';

const net = require('net');
const readline = require('readline');
const { decoder, encoder } = require('sofa-bolt-node');

const WAIT_MS = 20_000;

function talk(socket) {
  const sentReqs = new Map();
  const ends = { sentReqs, out: encoder({ sentReqs }), into: decoder({ sentReqs }) };
  ends.out.pipe(socket);
  socket.pipe(ends.into);
  socket.on('error', () => socket.destroy());
  return ends;
}

function serve(port) {
  const server = net.createServer(socket => {
    const { out, into } = talk(socket);
    into.on('heartbeat', heartbeat => out.writeHeartbeatAck(heartbeat));
    into.on('request', request => {
      const { methodName, args } = request.data;
      const isError = methodName === 'fail';
      out.writeResponse(request, { isError, errorMsg: args[0], appResponse: isError ? new Error(args[0]) : args });
    });
  });
  server.listen(port, '127.0.0.1', () => console.log('READY'));
}

function call(address, service) {
  const [host, port] = address.split(':');
  const socket = net.connect(Number(port), host, () => console.log('READY'));
  const { sentReqs, out, into } = talk(socket);
  const waiting = new Map();
  let last = 0;
  const done = answer => {
    waiting.get(answer.packetId)?.(answer.data);
    waiting.delete(answer.packetId);
  };
  into.on('response', done);
  into.on('heartbeat_ack', done);

  const send = write => new Promise((resolve, reject) => {
    const id = ++last;
    waiting.set(id, resolve);
    write(id, error => error && reject(error));
  });
  const invoke = (methodName, args) => send((id, failed) => {
    const req = { serverSignature: service, methodName, args, timeout: WAIT_MS };
    sentReqs.set(id, { req });
    out.writeRequest(id, req, failed);
  });
  const many = async count => {
    const answers = await Promise.all(Array.from({ length: count }, (_, number) => invoke('echo', [`n${number}`])));
    return answers.filter((answer, number) => answer.appResponse?.[0] === `n${number}`).length;
  };

  const answer = async (word, rest) => {
    switch (word) {
      case 'echo':
        return `OK ${JSON.stringify((await invoke('echo', JSON.parse(rest))).appResponse)}`;
      case 'fail':
        return `ERROR ${(await invoke('fail', [rest])).error.message.split('\n')[0]}`;
      case 'many':
        return `OK ${await many(Number(rest))}/${rest}`;
      case 'beat':
        await send((id, failed) => out.writeHeartbeat(id, { clientUrl: address }, failed));
        return 'OK';
      default:
        return `ERROR unknown command ${word}`;
    }
  };
  readline.createInterface({ input: process.stdin }).on('line', async line => {
    const [word] = line.split(' ', 1);
    console.log(await answer(word, line.slice(word.length + 1)));
  });
}

const [, , role, ...rest] = process.argv;
if (role === 'serve') serve(Number(rest[0]));
else call(...rest);
