import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { createExplorerRoutes } from '../../src/server/explorer-route.ts'
import { serveRoutes, type TestFront } from '../support/front.ts'
import { send } from '../support/http.ts'
import { startServer } from '../support/server.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/tmp.ts'

const PAGE = '<!doctype html><script type="module" src="./assets/index-1a.js"></script><p>explorer</p>'
const SCRIPT = `console.log(${'1 + '.repeat(500)}1)`
const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'

describe('the route of the explorer', () => {
  let folder: TemporaryFolder
  let front: TestFront

  before(async () => {
    folder = await temporaryFolder()
    await mkdir(`${folder.path}/assets`)
    await mkdir(`${folder.path}/.vite`)
    await writeFile(`${folder.path}/index.html`, PAGE)
    await writeFile(`${folder.path}/.vite/manifest.json`, '{}')
    await writeFile(`${folder.path}/assets/index-1a.js`, SCRIPT)
    front = await serveRoutes(createExplorerRoutes({ built: pathToFileURL(`${folder.path}/`) }))
  })
  after(async () => {
    await front[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${front.url}${path}`, { headers, redirect: 'manual' })

  it('gives the page at each of its places, with assets that are found from there', async () => {
    for (const path of ['', 'runs/a%2Fb', 'runs/a/snapshots/b', 'compare/a/b']) {
      const response = await get(`/explorer/${path}`)
      assert.equal(response.status, 200, path)
      const [, source = ''] = /src="([^"]+)"/.exec(await response.text()) ?? []
      assert.equal(new URL(source, response.url).pathname, '/explorer/assets/index-1a.js')
      assert.equal(response.headers.get('cache-control'), 'no-cache')
      assert.match(
        response.headers.get('content-security-policy') ?? '',
        /^default-src 'none'; script-src 'self'; .*trusted-types 'none'$/,
      )
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
      assert.equal(response.headers.get('referrer-policy'), 'no-referrer')
      assert.equal(response.headers.get('cross-origin-opener-policy'), 'same-origin')
    }
  })

  it('keeps assets for ever, and never gives the page in place of one', async () => {
    const response = await get('/explorer/assets/index-1a.js')
    assert.equal(response.headers.get('cache-control'), 'public, max-age=31536000, immutable')
    assert.equal(response.headers.get('content-type'), 'text/javascript; charset=utf-8')
    assert.equal(await response.text(), SCRIPT)
    for (const path of [
      'assets/index-0.js',
      'assets/',
      'index.html',
      '.vite/manifest.json',
      'assets/..%2Findex.html',
      'runs',
      'x/y',
    ]) {
      const { status, headers } = await get(`/explorer/${path}`)
      assert.deepEqual([status, headers.get('content-type')], [404, 'application/json; charset=utf-8'], path)
    }
  })

  it('sends the best coding that is taken, each under a tag of its own', async () => {
    const tags = new Set<string | undefined>()
    for (const [coding, decode] of [
      ['br', brotliDecompressSync],
      ['gzip', gunzipSync],
      ['identity', (bytes: Buffer) => bytes],
    ] as const) {
      const { headers, body } = await send(front.url, {
        target: '/explorer/assets/index-1a.js',
        headers: { 'accept-encoding': coding === 'br' ? 'gzip, br' : coding },
      })
      assert.equal(headers['content-encoding'] ?? 'identity', coding)
      assert.equal(decode(body).toString(), SCRIPT)
      assert.equal(headers.vary, 'accept-encoding')
      tags.add(headers.etag)
      const again = await get('/explorer/assets/index-1a.js', {
        'accept-encoding': coding === 'br' ? 'gzip, br' : coding,
        'if-none-match': headers.etag ?? '',
      })
      assert.equal(again.status, 304)
    }
    assert.equal(tags.size, 3)
  })

  it('leads a browser from the root and from the name without its slash, below any path', async () => {
    const root = await get('/', { accept: BROWSER })
    assert.deepEqual([root.status, root.headers.get('location')], [302, 'explorer/'])
    const bare = await get('/explorer')
    assert.deepEqual([bare.status, bare.headers.get('location')], [302, 'explorer/'])
    for (const accept of ['*/*', 'application/json']) assert.equal((await get('/', { accept })).status, 404)
  })

  it('goes on with the files that it has read when others are put in their place', async () => {
    await get('/explorer/')
    await rm(`${folder.path}/assets`, { recursive: true })
    assert.equal((await get('/explorer/assets/index-1a.js')).status, 200)
  })
})

it('says how the explorer is built where it is not', async () => {
  await using folder = await temporaryFolder()
  await using front = await serveRoutes(createExplorerRoutes({ built: pathToFileURL(`${folder.path}/`) }))
  const response = await fetch(`${front.url}/explorer/`)
  const { code, message } = (await response.json()) as { code: string; message: string }
  assert.deepEqual([response.status, code], [404, 'NOT_FOUND'])
  assert.match(message, /npm run build:explorer/)
})

it('is not there with EXPLORER=false', async () => {
  await using server = await startServer({ env: { EXPLORER: 'false' } })
  for (const path of ['/', '/explorer/']) {
    assert.equal((await fetch(`${server.url}${path}`, { headers: { accept: BROWSER } })).status, 404)
  }
})
