import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { after, before, it } from 'node:test'
import { SignJWT } from 'jose'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { describeWith } from '../support/describe-with.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { chromium } from '../support/services.ts'
import { type TestTokens, tokensFor } from '../support/tokens.ts'
import { violations } from './axe.ts'
import { takePicture } from './picture.ts'

await describeWith('the explorer of a server that asks who one is', chromium, ({ executablePath }) => {
  const cleanup = new AsyncDisposableStack()
  let server: TestServer
  let browser: TestBrowser
  let tokens: TestTokens
  const ids: Record<string, string> = {}

  before(async () => {
    tokens = cleanup.use(await tokensFor(['read', 'pii:read']))
    const policies = `${tokens.folder}/policies.json`
    await writeFile(policies, JSON.stringify({ contact: ['/customer/email'] }))
    server = cleanup.use(await startServer({ env: { ...tokens.env, REDACTION_POLICIES_FILE: policies } }))
    for (const [name, redactionPolicy] of [
      ['masked', 'contact'],
      ['refused', null],
    ] as const) {
      const payload = JSON.stringify({ customer: { email: 'ada@example.test', city: 'Zürich' } })
      const { snapshot } = await server.app.writer.capture(
        { runId: name, stepId: 'one', piiTags: ['email'], redactionPolicy },
        Buffer.from(payload),
      )
      ids[name] = snapshot.snapshotId
    }
    browser = cleanup.use(await openBrowser(executablePath))
  })
  after(() => cleanup.disposeAsync())

  const page = () => browser.page
  const fault = (code: string) => page().locator(`.fault[data-code=${code}]`)
  const row = (text: string) => page().getByRole('treeitem', { name: text })
  const open = (name: string) => page().goto(`${server.url}/explorer/runs/${name}/snapshots/${ids[name]}?at=/customer`)

  async function signIn(token: string): Promise<void> {
    await page().getByLabel('Token').fill(token)
    await page().keyboard.press('Enter')
  }

  it('UNAUTHENTICATED: takes a token, sends it in a header, and keeps it out of every address', async () => {
    const addresses: string[] = []
    page().on('request', (request) => addresses.push(request.url()))
    await page().goto(`${server.url}/explorer/`)
    await fault('UNAUTHENTICATED').waitFor()
    await takePicture(page(), 'token')
    assert.deepEqual(await violations(page()), [])
    await signIn('sl_nobodys')
    await page().getByText('The one in use was not accepted.').waitFor()
    const token = tokens.token('read')
    await signIn(token)
    await page().getByRole('link', { name: 'masked' }).waitFor()
    await page().getByRole('button', { name: 'read', exact: true }).waitFor()
    assert.ok(addresses.every((address) => !address.includes(token)))
    assert.ok(!String(await page().evaluate('JSON.stringify(localStorage)')).includes(token))
  })

  it('shows a masked state as it is for who may not have it whole, and says so', async () => {
    await open('masked')
    await row('email, string, "[redacted]"').waitFor()
    await row('city, string, "Zürich"').waitFor()
    await page().getByText('Masked by').waitFor()
    await takePicture(page(), 'masked')
    assert.deepEqual(await violations(page()), [])
    assert.equal(await page().getByText('ada@example.test').count(), 0)
  })

  it('FORBIDDEN: says what it takes, and takes another token', async () => {
    await open('refused')
    await fault('FORBIDDEN').getByText('pii:read').waitFor()
    await takePicture(page(), 'forbidden')
    assert.deepEqual(await violations(page()), [])
    await fault('FORBIDDEN').getByRole('button', { name: 'Use another token' }).click()
    await fault('UNAUTHENTICATED').first().waitFor()
    await signIn(tokens.token('read', 'pii:read'))
    await row('email, string, "ada@example.test"').waitFor()
  })

  it('follows and saves with the token, and forgets it', async () => {
    await page().goto(`${server.url}/explorer/runs/masked?follow=1`)
    await page().locator('[data-live=live]').waitFor()
    await open('masked')
    await row('email, string').waitFor()
    const [download] = await Promise.all([
      page().waitForEvent('download'),
      page().getByRole('button', { name: 'Download' }).click(),
    ])
    assert.equal(await download.failure(), null)
  })

  it('says who is signed in, and what he may; whoever comes next sees nothing of what he saw', async () => {
    await page().goto(`${server.url}/explorer/`)
    await page().getByRole('link', { name: 'masked' }).waitFor()
    await page().getByRole('button', { name: 'read+pii:read' }).click()
    const account = page().getByRole('dialog', { name: 'Who is signed in' })
    await account.getByText("a token of the server's file").waitFor()
    const held = (isHeld: boolean) => account.locator(`[data-held=${isHeld}] .code`).allTextContents()
    assert.deepEqual(await held(true), ['read', 'pii:read'])
    assert.deepEqual(await held(false), ['storage:read', 'write', 'delete', 'admin'])
    await takePicture(page(), 'account')
    assert.deepEqual(await violations(page()), [])
    await account.getByLabel('Another token').fill(tokens.token('write'))
    await page().keyboard.press('Enter')
    await fault('FORBIDDEN').waitFor()
    assert.equal(await page().getByRole('link', { name: 'masked' }).count(), 0)
    await page().getByRole('button', { name: 'write', exact: true }).click()
    await account.getByRole('button', { name: 'Sign out' }).click()
    await fault('UNAUTHENTICATED').waitFor()
    assert.equal(await page().evaluate('sessionStorage.length'), 0)
    await page().getByRole('button', { name: 'Sign in' }).click()
    await account.getByLabel('Token').fill(tokens.token('read'))
    await page().keyboard.press('Enter')
    await page().getByRole('link', { name: 'masked' }).waitFor()
  })

  it('knows who asks by a JWT as well, and asks nobody where the server asks nobody', async () => {
    const { databaseUrl, storagePath } = server
    const secret = '0123456789abcdef0123456789abcdef'
    const store = { databaseUrl, storagePath }
    await using byJwt = await startServer({ store, env: { AUTH_MODE: 'jwt', JWT_SECRET: secret, JWT_AUDIENCE: 'x' } })
    const jwt = new SignJWT({ sub: 'ada <b>', aud: 'x', scope: 'read' }).setProtectedHeader({ alg: 'HS256' })
    await page().goto(`${byJwt.url}/explorer/`)
    await signIn(await jwt.setExpirationTime('1m').sign(Buffer.from(secret)))
    await page().getByRole('link', { name: 'masked' }).waitFor()
    await page().getByRole('button', { name: 'ada <b>' }).click()
    await page().getByRole('dialog').getByText('a token that an issuer has signed').waitFor()
    await using open = await startServer({ store })
    await page().goto(`${open.url}/explorer/`)
    await page().getByRole('link', { name: 'masked' }).waitFor()
    assert.equal(await page().locator('.account').count(), 0)
  })
})
