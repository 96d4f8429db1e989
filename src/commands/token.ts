import { chmod, chown, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { isScope, SCOPES, type Scope } from '../auth/scopes.ts'
import { createToken, formatTokenEntry, parseTokenFile } from '../auth/tokens.ts'
import { StartError } from './start-error.ts'

export interface TokenCommand {
  /** The file of tokens. */
  readonly path: string
  /** What was written after `token`. */
  readonly words: readonly string[]
  /** Separated by commas. */
  readonly scopes: string | undefined
  readonly print: (line: string) => void
}

/**
 * The command `token`: makes a token and shows it once, lists those that there are, or ends one. A server that runs hears of it within
 * a second. @throws StartError for what cannot be done.
 */
export async function runToken({ path, words: [verb, name], scopes, print }: TokenCommand): Promise<void> {
  if (verb === 'list' && name === undefined) return await list(path, print)
  if (verb === 'add' && name !== undefined) return await add({ path, name, scopes: readScopes(scopes), print })
  if (verb === 'end' && name !== undefined) return await end(path, name)
  throw new StartError('Say one of: token add NAME --scopes read,write; token list; token end NAME')
}

function readScopes(text: string | undefined): readonly Scope[] {
  const scopes = (text ?? 'read').split(',').map((scope) => scope.trim())
  const known = scopes.filter(isScope)
  if (known.length < scopes.length) throw new StartError(`--scopes has one other than ${SCOPES.join(', ')}`)
  return known
}

async function list(path: string, print: TokenCommand['print']): Promise<void> {
  const { entries, problems } = parseTokenFile((await textOf(path)) ?? '')
  for (const problem of problems) print(`! ${problem}`)
  for (const { name, scopes } of entries) print(`${name}  ${scopes.join(',')}`)
}

async function add({
  path,
  name,
  scopes,
  print,
}: Required<Pick<TokenCommand, 'path' | 'print'>> & { name: string; scopes: readonly Scope[] }): Promise<void> {
  const made = tryCreate(name, scopes)
  await change(path, (lines) => {
    if (lines.some((line) => nameOf(line) === name)) throw new StartError('There is a token of that name: end it first')
    return [...lines, formatTokenEntry(made.entry)]
  })
  print(made.token)
}

async function end(path: string, name: string): Promise<void> {
  await change(path, (lines) => {
    const left = lines.filter((line) => nameOf(line) !== name)
    if (left.length === lines.length) throw new StartError('There is no token of that name')
    return left
  })
}

function tryCreate(name: string, scopes: readonly Scope[]) {
  try {
    return createToken(name, scopes)
  } catch (error) {
    throw error instanceof RangeError ? new StartError(error.message) : error
  }
}

/** Undefined for a line that says nothing. */
function nameOf(line: string): string | undefined {
  return line.trim().startsWith('#') ? undefined : line.trim().split(/\s+/)[0]
}

/** Writes the file anew beside it, and puts that in its place: whoever reads meanwhile reads the one or the other. */
async function change(path: string, edit: (lines: readonly string[]) => readonly string[]): Promise<void> {
  const next = `${path}.next`
  // Also keeps two such commands from losing what the other one did.
  const file = await open(next, 'wx', 0o600).catch((error: unknown) => {
    throw new StartError(
      codeOf(error) === 'EEXIST'
        ? `Another command changes the file now; if none does, remove what it left: the same name with .next`
        : `The file of tokens cannot be written (${codeOf(error)})`,
    )
  })
  try {
    const text = (await textOf(path)) ?? ''
    const lines = edit(text.split('\n').filter((line) => line.trim() !== ''))
    await file.writeFile(lines.map((line) => `${line}\n`).join(''))
    await file.sync()
    await keepOwner(path, next)
    await rename(next, path)
  } catch (error) {
    await rm(next, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

/** The server reads it as whom it runs, and this may be somebody else. */
async function keepOwner(path: string, next: string): Promise<void> {
  const before = await stat(path).catch(() => undefined)
  if (before) await chown(next, before.uid, before.gid).catch(() => {})
  await chmod(next, 0o600)
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw new StartError(`The file of tokens cannot be read (${codeOf(error)})`)
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
