import { type BrowserContext, chromium as browserType, type Page } from 'playwright-core'
import { temporaryFolder } from './tmp.ts'

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'].concat([
  '--disable-background-networking',
  '--disable-component-update',
  '--js-flags=--expose-gc',
  '--enable-precise-memory-info',
])

export interface TestBrowser extends AsyncDisposable {
  readonly context: BrowserContext
  /** The one page of it. */
  readonly page: Page
  /** What pages said on their console, and what they threw; empty it before what is to be looked at. */
  readonly complaints: string[]
  /** Hosts that were asked for anything: all but loopback are refused. */
  readonly hosts: ReadonlySet<string>
}

/** Real Chromium with a profile of its own and one page, which reaches loopback alone. */
export async function openBrowser(
  executablePath: string,
  options: { readonly width?: number; readonly height?: number } = {},
): Promise<TestBrowser> {
  await using cleanup = new AsyncDisposableStack()
  const profile = cleanup.use(await temporaryFolder())
  const { width = 1280, height = 800 } = options
  const context = await browserType.launchPersistentContext(profile.path, {
    executablePath,
    args: FLAGS,
    viewport: { width, height },
    colorScheme: 'light',
    permissions: ['clipboard-read', 'clipboard-write'],
    timezoneId: 'UTC',
    locale: 'en-US',
  })
  cleanup.defer(() => context.close())
  const complaints: string[] = []
  const hosts = new Set<string>()
  context.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url())
    if (protocol.startsWith('http')) hosts.add(hostname)
  })
  await context.route(
    ({ hostname }) => hostname !== '127.0.0.1' && hostname !== 'localhost',
    (route) => route.abort(),
  )
  const page = context.pages()[0] ?? (await context.newPage())
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()} ${message.location().url}`))
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.setDefaultTimeout(15_000)
  const owned = cleanup.move()
  return { context, page, complaints, hosts, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
