// A worker on @grpc/grpc-js, whose payload says what it should do (tests/polyglot/README.md).
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const { loadFileDescriptorSetFromBuffer } = require('@grpc/proto-loader');

const LARGE = 63 * 1024 * 1024;
const options = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true };
const descriptors = fs.readFileSync(path.join(__dirname, 'armonik.pb'));
const api = grpc.loadPackageDefinition(loadFileDescriptorSetFromBuffer(descriptors, options)).armonik.api.grpc.v1;
const agent = new api.agent.Agent(
  `unix:${process.env.ComputePlane__AgentChannel__Address}`,
  grpc.credentials.createInsecure(),
  { 'grpc.max_send_message_length': -1 },
);

function ask(method, request) {
  return new Promise((resolve, reject) => {
    agent[method](request, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

class Task {
  constructor(request) {
    this.request = request;
    this.token = { communication_token: request.communication_token };
  }

  read(name) {
    return fs.readFileSync(path.join(this.request.data_folder, name));
  }

  async create(results) {
    const answer = await ask('CreateResults', { ...this.token, session_id: this.request.session_id, results });
    return answer.results.map((made) => made.result_id);
  }

  async write(data) {
    const ids = this.request.expected_output_keys;
    for (const name of ids) fs.writeFileSync(path.join(this.request.data_folder, name), data);
    await ask('NotifyResultData', {
      ...this.token,
      ids: ids.map((result_id) => ({ session_id: this.request.session_id, result_id })),
    });
  }

  async execute() {
    const payload = this.read(this.request.payload_id);
    const [what, argument] = payload.toString().split(' ', 2);
    switch (what) {
      case 'error':
        return { error: { details: 'refused: 100 % Ünheard of' } };
      case 'throw':
        throw new Error('thrown');
      case 'exit':
        return process.exit(3);
      case 'sleep':
        return new Promise(() => {});
      case 'large':
        await this.create([{ name: 'large', data: Buffer.alloc(LARGE, 7) }]);
        await this.write('large');
        break;
      case 'create': {
        const results = Array.from({ length: Number(argument) }, (_, i) => ({ name: `r${i}`, data: Buffer.from(`${i}`) }));
        await this.write((await this.create(results)).join(' '));
        break;
      }
      case 'submit': {
        const [child] = await this.create([{ name: 'payload', data: Buffer.from('child') }]);
        await ask('SubmitTasks', {
          ...this.token,
          session_id: this.request.session_id,
          task_creations: [{ payload_id: child, expected_output_keys: this.request.expected_output_keys }],
        });
        break;
      }
      default: {
        const inputs = [...this.request.data_dependencies].sort().map((name) => this.read(name));
        await this.write(Buffer.concat([payload, Buffer.from('|'), ...inputs]));
      }
    }
    return { ok: {} };
  }
}

const server = new grpc.Server();
server.addService(api.worker.Worker.service, {
  HealthCheck: (call, callback) => callback(null, { status: 'SERVING' }),
  Process: (call, callback) => {
    new Task(call.request)
      .execute()
      .then((output) => callback(null, { output }))
      .catch((error) => callback({ code: grpc.status.INTERNAL, details: `${error.message}` }));
  },
});
const address = process.env.ComputePlane__WorkerChannel__Address;
fs.rmSync(address, { force: true });
server.bindAsync(`unix:${address}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
process.on('SIGTERM', () => process.exit(0));
