import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { AppError } from '../errors.ts'
import { addVary, type Handler, type Route } from './http.ts'
import { prefersPage } from './negotiation.ts'
import { createStaticFile, type StaticFile, sendStatic } from './static-file.ts'

/** From `src/server/` and from `dist/server/` alike. */
const BUILT = new URL('../../dist/explorer/', import.meta.url)

/** The places of the page, below `/explorer/`: ids hold no bare slash there. */
const PLACES = [/^$/, /^runs\/[^/]+$/, /^runs\/[^/]+\/snapshots\/[^/]+$/, /^compare\/[^/]+\/[^/]+$/]
const MOST_SLASHES = 3

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** No nonce: nothing in the page's markup is a script or a style, and nothing of a state ever becomes markup. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const PAGE_HEADERS = {
  'cache-control': 'no-cache',
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': POLICY,
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
}

interface BuiltPage {
  /** By how many slashes stand in the path below `/explorer/`. */
  readonly pages: readonly StaticFile[]
  /** By their exact names below `/explorer/`. */
  readonly assets: ReadonlyMap<string, StaticFile>
}

export interface ExplorerOptions {
  /** Where the built page lies; a URL of a folder. Default: where the build puts it. */
  readonly built?: URL
}

/**
 * The explorer below `/explorer/`, and the way there for a browser that opens `/`. Its files are read once, at the first visit: an
 * installation that changes under a running server does not mix two versions. What leads from one to another is relative, so
 * that a proxy may put a path in front.
 */
export function createExplorerRoutes({ built = BUILT }: ExplorerOptions = {}): readonly Route[] {
  let read: Promise<BuiltPage> | undefined
  const files = () => {
    read ??= readBuilt(built).catch((cause: unknown) => {
      // Whoever builds it now need not start the server again.
      read = undefined
      throw new AppError('NOT_FOUND', 'The explorer is not built here: "npm run build:explorer" does it', { cause })
    })
    return read
  }

  const serve: Handler = async (context) => {
    const [path = ''] = context.params
    const { pages, assets } = await files()
    const asset = assets.get(path)
    const page = PLACES.some((place) => place.test(path)) ? pages[path.split('/').length - 1] : undefined
    if (asset) return sendStatic(context, asset, headersOf(path))
    if (!page) throw new AppError('NOT_FOUND', 'The explorer has nothing at that path')
    sendStatic(context, page, PAGE_HEADERS)
  }

  return [
    // The page holds no data, and asks with the token that its reader puts in.
    { name: '/explorer/', path: /^\/explorer\/(.*)$/, methods: { GET: serve, HEAD: serve }, needs: 'nothing' },
    { name: '/explorer', path: /^\/explorer$/, methods: { GET: lead, HEAD: lead }, needs: 'nothing' },
    { name: '/', path: /^\/$/, methods: { GET: leadBrowser, HEAD: leadBrowser }, needs: 'nothing' },
  ]
}

const lead: Handler = async ({ response }) => {
  response.writeHead(302, { location: 'explorer/', 'cache-control': 'no-cache', 'content-length': 0 }).end()
}

const leadBrowser: Handler = async (context) => {
  addVary(context.response, 'accept')
  if (!prefersPage(context.request.headers)) throw new AppError('NOT_FOUND', 'Nothing is served at that path')
  await lead(context)
}

function headersOf(name: string) {
  return {
    'cache-control': 'public, max-age=31536000, immutable',
    'content-type': TYPES[extname(name)],
    'cross-origin-resource-policy': 'same-origin',
  }
}

async function readBuilt(folder: URL): Promise<BuiltPage> {
  const page = await readFile(new URL('index.html', folder), 'utf8')
  const names = (await readdir(new URL('assets/', folder))).filter((name) => extname(name) in TYPES)
  const pages = Array.from({ length: MOST_SLASHES + 1 }, (_, depth) =>
    createStaticFile(Buffer.from(page.replaceAll('="./', `="${'../'.repeat(depth) || './'}`))),
  )
  const assets = names.map(async (name) => {
    const file = await createStaticFile(await readFile(new URL(`assets/${name}`, folder)))
    return [`assets/${name}`, file] as const
  })
  return { pages: await Promise.all(pages), assets: new Map(await Promise.all(assets)) }
}
