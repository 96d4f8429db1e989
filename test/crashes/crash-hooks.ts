import { subscribe } from 'node:diagnostics_channel'
import { readFileSync, renameSync } from 'node:fs'
import fs, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import pg from 'pg'
import { CRASH_FILE_VARIABLE, CRASHED_SUFFIX, type Moment, type Site, STATEMENTS } from './crash-points.ts'

/*
 * Loaded before a server (`--import`): it kills its own process where a file tells it to, at a step towards the database, the file
 * system or the object store. The server's own code knows nothing of it.
 */
const file = process.env[CRASH_FILE_VARIABLE] ?? ''

function isArmed(moment: Moment, site: Site): boolean {
  try {
    return readFileSync(file, 'utf8') === `${moment} ${site}`
  } catch {
    return false
  }
}

function reach(moment: Moment, site: Site): void {
  if (isArmed(moment, site) && takeFile()) crash()
}

/** It may be disarmed at this very moment: whoever has the file decides. */
function takeFile(): boolean {
  try {
    renameSync(file, file + CRASHED_SUFFIX)
    return true
  } catch {
    return false
  }
}

function crash(): never {
  process.kill(process.pid, 'SIGKILL')
  // The signal is on its way: nothing more is to happen meanwhile.
  for (;;);
}

hookStatements()
hookFiles()
hookStore()

function hookStatements(): void {
  const prototype = pg.Client.prototype as unknown as { query: (...args: unknown[]) => unknown }
  const { query } = prototype
  prototype.query = function (this: unknown, ...args: unknown[]) {
    const site = siteOf(args[0])
    if (!site) return query.apply(this, args)
    reach('before', site)
    const answered = answeredBy(args[0], () => reach('after', site))
    const result = query.apply(this, args)
    reach('during', site)
    if (!answered && result instanceof Promise) result.then(() => reach('after', site)).catch(() => {})
    return result
  }
}

function siteOf(asked: unknown): Site | undefined {
  const text = typeof asked === 'string' ? asked : (asked as { readonly text?: unknown } | undefined)?.text
  if (typeof text !== 'string') return undefined
  return (Object.keys(STATEMENTS) as (keyof typeof STATEMENTS)[]).find((name) => STATEMENTS[name].test(text))
}

/** @returns false for what gives a promise instead. */
function answeredBy(asked: unknown, then: () => void): boolean {
  const submitted = asked as { callback?: (...args: unknown[]) => void }
  const { callback } = submitted
  if (typeof callback !== 'function') return false
  submitted.callback = (...args) => {
    then()
    callback.apply(submitted, args)
  }
  return true
}

function hookFiles(): void {
  for (const [name, site] of [
    ['link', 'file link'],
    ['rm', 'file remove'],
    ['unlink', 'file unlink'],
  ] as const) {
    const call = fs[name] as (...args: unknown[]) => Promise<void>
    Object.assign(fs, { [name]: hooked(site, call) })
  }
  const { open } = fs
  fs.open = async (path, flags, mode) => {
    const isWritten = flags === 'wx'
    if (isWritten) reach('before', 'file open')
    const handle = await open(path, flags, mode)
    if (!isWritten) return handle
    reach('after', 'file open')
    return hookHandle(handle)
  }
  syncBuiltinESMExports()
}

function hookHandle(handle: FileHandle): FileHandle {
  const { writeFile, sync } = handle
  handle.writeFile = async (bytes, ...rest) => {
    reach('before', 'file write')
    if (isArmed('during', 'file write') && bytes instanceof Uint8Array && takeFile()) {
      await handle.write(bytes.subarray(0, bytes.length >> 1))
      crash()
    }
    await writeFile.call(handle, bytes, ...rest)
    reach('after', 'file write')
  }
  handle.sync = hooked('file sync', () => sync.call(handle))
  return handle
}

/** Of a call that is one step of the system, the middle is when it was begun. */
function hooked<Args extends unknown[]>(site: Site, call: (...args: Args) => Promise<void>) {
  return async (...args: Args): Promise<void> => {
    reach('before', site)
    const done = call(...args)
    reach('during', site)
    await done
    reach('after', site)
  }
}

/** The store is asked by undici, which tells of each step of a request. */
function hookStore(): void {
  for (const [channel, moment] of [
    ['undici:request:create', 'before'],
    ['undici:request:bodySent', 'during'],
    ['undici:request:headers', 'after'],
  ] as const) {
    subscribe(channel, (message) => {
      const site = storeSiteOf((message as { readonly request: unknown }).request)
      if (site) reach(moment, site)
    })
  }
}

function storeSiteOf(options: unknown): Site | undefined {
  const { method, path } = options as { readonly method?: string; readonly path?: string }
  if (path === undefined || method === undefined) return undefined
  const query = path.split('?')[1] ?? ''
  if (method === 'PUT') return /\buploadId=/.test(query) ? 'store part' : 'store put'
  if (method === 'DELETE') return 'store delete'
  if (method !== 'POST') return undefined
  if (/(?:^|&)delete\b/.test(query)) return 'store delete'
  if (/\buploadId=/.test(query)) return 'store complete'
  return /(?:^|&)uploads\b/.test(query) ? 'store begin parts' : undefined
}
