import { request } from 'node:http'
import { text } from 'node:stream/consumers'

/** Environment variable with the socket of this run's broker; set by `start-services.ts`. */
export const BROKER_VARIABLE = 'STATELENS_TEST_BROKER'

/** Why a service cannot be had on this machine, and how to get it. */
export interface Unavailable {
  readonly unavailable: string
}

export interface Service {
  /** Holds the user and the password. */
  readonly url: string
}

/** An S3 server that checks signatures. Tests share the bucket: each keeps to a key prefix of its own. */
export interface S3Service {
  readonly endpoint: string
  readonly region: string
  readonly accessKey: string
  readonly secretKey: string
  readonly bucket: string
}

export interface ChromiumService {
  readonly executablePath: string
}

/** A database to copy by `CREATE DATABASE … TEMPLATE`; nobody is connected to it. */
export interface TemplateDatabase {
  /** Of the server, as a user who may create databases. */
  readonly url: string
  readonly template: string
  /** Ends the statement that copies it. */
  readonly strategy: string
  /** What the names of the copies start with: those left over are dropped when the run ends. */
  readonly prefix: string
}

/** A program that tests start themselves. */
export interface Program {
  readonly path: string
  /** Where it finds its libraries, beside the system's own. */
  readonly libraries: string
}

/** A folder with PostgreSQL's own programs, of one version: `initdb`, `postgres`, `pg_dump`, `pg_restore`. */
export interface PostgresTools {
  readonly folder: string
  /** As of a program. */
  readonly libraries: string
}

/** All that the broker gives, by the name it is asked for. */
export interface Services {
  readonly postgres: Service
  readonly 'empty-template': TemplateDatabase
  readonly 'migrated-template': TemplateDatabase
  readonly valkey: Service | Unavailable
  readonly redis: Service | Unavailable
  /** Three nodes that share the slots; the URL is of one of them. */
  readonly 'valkey-cluster': Service | Unavailable
  readonly s3: S3Service | Unavailable
  /** Another program than that of `s3`. */
  readonly swift: S3Service | Unavailable
  readonly chromium: ChromiumService | Unavailable
  readonly pgbouncer: Program | Unavailable
  /** Its `promtool` lies beside it. */
  readonly prometheus: Program | Unavailable
  readonly 'postgres-tools': PostgresTools | Unavailable
}

/** Each service starts when it is first asked for, once per run, and ends with the run. */
export const postgres = () => ask('postgres')
export const valkey = () => ask('valkey')
export const redis = () => ask('redis')
export const valkeyCluster = () => ask('valkey-cluster')
export const s3 = () => ask('s3')
export const swift = () => ask('swift')
export const chromium = () => ask('chromium')
export const pgbouncer = () => ask('pgbouncer')
export const prometheus = () => ask('prometheus')
export const postgresTools = () => ask('postgres-tools')

/**
 * Asks the broker of this run.
 * @throws Error when the test was started without the global setup, or when a service that is there does not start.
 */
export async function ask<Name extends keyof Services>(name: Name): Promise<Services[Name]> {
  const socketPath = process.env[BROKER_VARIABLE]
  if (!socketPath) {
    throw new Error('No test services. Run: node --test --test-global-setup=test/support/global-setup.ts <file>')
  }
  const { status, body } = await fetchFrom(socketPath, `/${name}`)
  if (status !== 200) throw new Error(`The test service ${name} did not start: ${body}`)
  return JSON.parse(body)
}

function fetchFrom(socketPath: string, path: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    // No agent: a socket kept open would keep the test process alive.
    request({ socketPath, path, agent: false }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject)
    })
      .once('error', reject)
      .end()
  })
}
