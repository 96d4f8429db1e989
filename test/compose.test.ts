import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import { parse } from 'yaml'
import { readConfig } from '../src/config.ts'

interface Service {
  readonly image?: string
  readonly environment?: Record<string, string>
  readonly ports?: string[]
  readonly volumes?: string[]
  readonly restart?: string
  readonly depends_on?: Record<string, { readonly condition: string }>
  readonly healthcheck?: { readonly test?: string[]; readonly disable?: boolean }
  readonly mem_limit?: string
  readonly read_only?: boolean
  readonly tmpfs?: string[]
  readonly secrets?: string[]
}

interface Compose {
  readonly version?: string
  readonly services: Record<string, Service>
  readonly volumes: Record<string, unknown>
  readonly secrets: Record<string, { readonly file: string }>
}

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')
const compose: Compose = parse(read('../docker-compose.yml'), { merge: true })
const services = Object.entries(compose.services)

describe('docker-compose.yml', () => {
  it('follows the Compose Specification', () => {
    // The schema names its draft by an https address, which ajv does not know; the draft is the one that ajv takes by default.
    const { $schema: _, ...schema } = JSON.parse(read('support/compose-spec.json'))
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema)
    assert.ok(validate(compose), JSON.stringify(validate.errors))
    assert.equal(compose.version, undefined)
  })

  it('publishes no port beyond loopback', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? [])
    assert.ok(ports.length > 0)
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/)
  })

  it('checks the health of every service that stays', () => {
    for (const [name, { healthcheck, restart }] of services) {
      assert.equal(healthcheck?.test === undefined, restart === 'no', name)
    }
    assert.match(compose.services['statelens']?.healthcheck?.test?.join(' ') ?? '', /\/health\/ready/)
  })

  it('starts statelens after the migration, and after what it needs is healthy', () => {
    const { migrate, ...others } = compose.services['statelens']?.depends_on ?? {}
    assert.equal(migrate?.condition, 'service_completed_successfully')
    assert.deepEqual(Object.keys(others).sort(), ['postgres', 's3', 'valkey'])
    for (const { condition } of Object.values(others)) assert.equal(condition, 'service_healthy')
  })

  it('waits for a health that is checked', () => {
    for (const { depends_on } of Object.values(compose.services)) {
      for (const [name, { condition }] of Object.entries(depends_on ?? {})) {
        const target = compose.services[name]
        assert.ok(target, name)
        if (condition === 'service_healthy') assert.ok(target.healthcheck?.test, name)
      }
    }
  })

  it('keeps data in volumes that it declares', () => {
    const mounted = services.flatMap(([, service]) => service.volumes ?? []).map((mount) => mount.split(':')[0])
    assert.deepEqual(mounted.sort(), Object.keys(compose.volumes).sort())
  })

  it('names a minor version of every image that it pulls, or its digest', () => {
    const pulled = services.filter(([, { image }]) => image !== 'statelens:local')
    assert.ok(pulled.length > 0)
    for (const [name, { image }] of pulled) assert.match(image ?? '', /:v?\d+\.\d+[\w.-]*$|@sha256:[0-9a-f]{64}$/, name)
  })

  it('bounds the memory of every service, and lets statelens write nowhere but in memory', () => {
    for (const [name, { mem_limit: limit }] of services) assert.match(limit ?? '', /^\d+[mg]$/, name)
    for (const name of ['statelens', 'migrate']) {
      const { read_only: isReadOnly, tmpfs = [] } = compose.services[name] ?? {}
      assert.equal(isReadOnly, true)
      assert.deepEqual(
        tmpfs.map((mount) => mount.split(':')[0]),
        ['/var/lib/statelens'],
      )
    }
  })

  it('has every secret in a file, and no password in an environment', () => {
    const secrets = Object.entries(compose.secrets)
    assert.deepEqual(
      new Set(services.flatMap(([, { secrets: used = [] }]) => used)),
      new Set(Object.keys(compose.secrets)),
    )
    for (const [name, { file }] of secrets) {
      assert.equal(file, `\${SECRETS_DIR:-./examples/compose/secrets}/${name}`)
      assert.ok(read(`../examples/compose/secrets/${name}`).trim())
    }
    for (const [name, { environment = {} }] of services) {
      const plain = Object.keys(environment).filter((key) => /PASSWORD|SECRET|_KEY/.test(key) && !key.endsWith('_FILE'))
      assert.deepEqual(plain, [], name)
      for (const [key, value] of Object.entries(environment))
        if (key.endsWith('_FILE'))
          assert.ok(compose.services[name]?.secrets?.includes(value.replace('/run/secrets/', '')))
    }
    const password = read('../examples/compose/secrets/postgres-password').trim()
    assert.equal(new URL(read('../examples/compose/secrets/database-url').trim()).password, password)
  })

  it('gives statelens only settings that it has', () => {
    const known = new Set([...read('../.env.example').matchAll(/^# ([A-Z][A-Z0-9_]*)=/gm)].map((match) => match[1]))
    for (const name of ['statelens', 'migrate']) {
      const given = Object.keys(compose.services[name]?.environment ?? {})
      assert.ok(given.length > 0)
      assert.deepEqual(
        given.filter((setting) => !known.has(setting)),
        [],
      )
    }
  })

  it('gives statelens settings that it accepts, with no .env at all', () => {
    const { environment = {} } = compose.services['statelens'] ?? {}
    const here = fileURLToPath(new URL('../examples/compose/secrets', import.meta.url))
    const moved = Object.entries(environment).map(([name, value]) => [name, value.replace('/run/secrets', here)])
    const config = readConfig(Object.fromEntries(moved))
    assert.equal(config.storageBackend, 's3')
    assert.equal(config.s3?.publicEndpointUrl, 'http://localhost:7070')
  })
})

describe('.env.example', () => {
  it('changes nothing when it is copied as it is', () => {
    for (const line of read('../.env.example').split('\n')) assert.match(line, /^(#.*)?$/)
  })
})
