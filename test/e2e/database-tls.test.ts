import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { startEmbeddedPostgres } from '../../src/db/embedded/embedded.ts'
import { startProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/tmp.ts'

const execute = promisify(execFile)

/** A server with a certificate of its own making, for `localhost`. */
async function startWithTls() {
  await using cleanup = new AsyncDisposableStack()
  const { path } = cleanup.use(await temporaryFolder())
  const [certificate, key] = [`${path}/server.pem`, `${path}/server.key`]
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  await execute('openssl', ['req', '-x509', ...kind, ...names, '-keyout', key, '-out', certificate])
  const settings = { fsync: 'off', ssl: 'on', ssl_cert_file: certificate, ssl_key_file: key }
  const server = await startEmbeddedPostgres({ dataDir: `${path}/data`, settings })
  cleanup.defer(() => server.stop())
  const owned = cleanup.move()
  return { url: server.url, certificate, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

describe('a database with TLS', () => {
  it('is used as the URL says, without a word on standard error, or says what is wrong with its certificate', async () => {
    await using server = await startWithTls()
    const at = (host: string, parameters: string) => {
      const url = new URL(server.url)
      url.hostname = host
      url.search = parameters
      return url.href
    }
    const trusted = `sslrootcert=${encodeURIComponent(server.certificate)}`
    for (const [url, refusal] of [
      [at('localhost', 'sslmode=require'), /certificate is of an authority that is not known here.*sslrootcert/],
      [at('127.0.0.1', `sslmode=verify-full&${trusted}`), /certificate is for another name/],
      [at('localhost', `sslmode=require&${trusted}`), null],
      [at('127.0.0.1', 'sslmode=no-verify'), null],
      [at('127.0.0.1', 'uselibpqcompat=true&sslmode=require'), null],
    ] as const) {
      await using child = startProcess({ args: ['migrate'], env: { DATABASE_URL: url } })
      const { code } = await child.exited
      if (refusal === null) assert.deepEqual([code, child.stderr()], [0, ''])
      else {
        assert.equal(code, 1)
        assert.match(child.stderr(), refusal)
        assert.match(child.stderr(), /^DATABASE_URL: [^\n]+\n$/)
      }
    }
    await using doctor = startProcess({ args: ['doctor'], env: { DATABASE_URL: at('localhost', 'sslmode=require') } })
    await doctor.exited
    assert.equal(doctor.stderr(), '')
    assert.match(doctor.stdout(), /wrong +DATABASE_URL: the server's certificate is of an authority/)
  })
})
