import { writeFile } from 'node:fs/promises'
import { SCOPES, type Scope } from '../../src/auth/scopes.ts'
import { createToken, formatTokenEntry } from '../../src/auth/tokens.ts'
import { temporaryFolder } from './tmp.ts'

export interface TestTokens extends AsyncDisposable {
  /** Settings of a server that takes them. */
  readonly env: Readonly<Record<string, string>>
  readonly folder: string
  /** One that holds just these scopes. */
  token(...scopes: readonly Scope[]): string
}

/** A file with a token for each scope alone, and for each of these sets of them. */
export async function tokensFor(...sets: readonly (readonly Scope[])[]): Promise<TestTokens> {
  const folder = await temporaryFolder()
  const all = [...SCOPES.map((scope) => [scope]), ...sets]
  const made = new Map(all.map((scopes) => [scopes.join(), createToken(scopes.join('+'), scopes)]))
  const path = `${folder.path}/tokens`
  await writeFile(path, [...made.values()].map(({ entry }) => `${formatTokenEntry(entry)}\n`).join(''), { mode: 0o600 })
  return {
    env: { AUTH_MODE: 'token', AUTH_TOKENS_FILE: path },
    folder: folder.path,
    token(...scopes) {
      const found = made.get(scopes.join())
      if (!found) throw new Error(`no token was made for ${scopes.join()}`)
      return found.token
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}
