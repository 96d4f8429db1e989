import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type Reach, reachOf } from '../../../src/commands/doctor/addresses.ts'

const HOSTS: Readonly<Record<Reach, readonly string[]>> = {
  PUBLIC: [
    'storage.example.com',
    'storage.example.com.',
    '8.8.8.8',
    '[2606:4700::1111]',
    'local.example.org',
    '172.32.0.1',
  ],
  PRIVATE_NETWORK: ['10.1.2.3', '172.16.0.1', '192.168.0.9', '169.254.1.1', '100.64.0.1', '[fd00::1]', '[fe80::1]'],
  LOCAL_NAME: [
    'minio',
    'RGW',
    'nas.local',
    'host.docker.internal',
    'minio.default.svc',
    'minio.default.svc.cluster.local',
    'metadata.google.internal',
  ],
  LOOPBACK: ['localhost', 'LOCALHOST', 'app.localhost', '127.0.0.1', '127.8.8.8', '::1', '[::1]'],
  NO_ADDRESS: ['0.0.0.0', '::', '[::]'],
}

it('tells from a host alone who cannot reach it', () => {
  for (const [reach, hosts] of Object.entries(HOSTS)) {
    for (const host of hosts) assert.equal(reachOf(host), reach, host)
  }
})
