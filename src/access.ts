import { createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { JwtConfig } from './access-settings.ts'
import { type Authenticate, type Check, createAuthenticate } from './auth/authenticate.ts'
import { createFailurePace } from './auth/failures.ts'
import { createKeySet } from './auth/jwks.ts'
import { createJwtCheck, type JwtKey } from './auth/jwt.ts'
import { createTokenCheck, formatTokenEntry, parseTokenFile, type TokenCheck } from './auth/tokens.ts'
import { openChangingFile, type Reading } from './changing-file.ts'
import { type Config, ConfigError } from './config.ts'
import type { Logger } from './log.ts'
import { parseTrustedDocuments, type TrustedDocuments } from './server/trusted-documents.ts'
import { type Policies, parsePolicies } from './snapshots/policies.ts'

/** Who comes in, and what is masked: by the files and keys that the settings name. */
export interface Access {
  /** Undefined: nobody is asked. */
  readonly authenticate: Authenticate | undefined
  readonly policies: () => Policies
  /** Undefined: any operation may run. */
  readonly documents: (() => TrustedDocuments) | undefined
  /** Looks whether the files have changed, although nobody has asked. */
  look(): void
}

/** So many wrong tokens from one address may come at once, and afterwards so many a minute. */
const FAILURES = { burst: 30, perMinute: 30 }

/** Of this process: connections are dealt out evenly, so nobody fails more often by connecting again. */
function shareOfFailures({ workers }: Config): typeof FAILURES {
  const { burst, perMinute } = FAILURES
  return { burst: Math.max(1, Math.floor(burst / workers)), perMinute: perMinute / workers }
}

export interface AccessOptions {
  readonly config: Config
  readonly log: Logger
  /** Milliseconds since 1970; the clock of the process when left out. */
  readonly now?: (() => number) | undefined
  /** Whether the log is told by this process that a file has changed; always, when left out. */
  readonly tells?: (() => boolean) | undefined
}

/** @throws ConfigError with everything that is wrong with the files. Later the log is told, and what is good of a file counts. */
export function openAccess({ config, log, now, tells = () => true }: AccessOptions): Access {
  const problems: string[] = []
  let hasStarted = false
  const files: (() => unknown)[] = []
  const open = <T>(path: string, name: string, read: (text: string | undefined) => Reading<T>) => {
    const file = openChangingFile({
      path,
      read,
      onProblems(found) {
        if (!hasStarted) problems.push(...found.map((problem) => `${name} ${problem}`))
        else if (tells()) log.warn({ name, problems: found }, 'a file of settings was changed, and has problems')
      },
    })
    files.push(file)
    return file
  }
  const { redactionPoliciesFile, trustedDocumentsFile } = config
  const policies = redactionPoliciesFile
    ? open(redactionPoliciesFile, 'REDACTION_POLICIES_FILE', parsePolicies)
    : () => NO_POLICIES
  const documents = trustedDocumentsFile
    ? open(trustedDocumentsFile, 'TRUSTED_DOCUMENTS_FILE', parseTrustedDocuments)
    : undefined
  if (config.authMode === 'jwt' && config.jwt?.audience === undefined) {
    log.warn('JWT_AUDIENCE is not set: tokens that the issuer made for other services are good here as well')
  }
  const check = openCheck({ config, log, now, tells, open, problems })
  if (problems.length > 0) throw new ConfigError(problems)
  hasStarted = true
  return {
    authenticate: check && createAuthenticate({ check, failures: createFailurePace(shareOfFailures(config)) }),
    policies,
    documents,
    look() {
      for (const file of files) file()
    },
  }
}

const NO_POLICIES: Policies = new Map()

interface CheckOptions extends AccessOptions {
  readonly open: (
    path: string,
    name: string,
    read: (text: string | undefined) => Reading<TokenCheck>,
  ) => () => TokenCheck
  readonly problems: string[]
}

function openCheck({ config, log, now, tells, open, problems }: CheckOptions): Check | undefined {
  const { authMode, authTokensFile, jwt } = config
  if (authMode === 'token' && authTokensFile !== undefined) {
    const check = open(authTokensFile, 'AUTH_TOKENS_FILE', createTokenReader(log, tells))
    return (token) => check()(token)
  }
  if (authMode !== 'jwt' || !jwt) return undefined
  const key = openKey(jwt, log)
  if (key) return createJwtCheck({ key, now, ...jwt })
  problems.push('JWT_PUBLIC_KEY_FILE is no public key in PEM')
  return undefined
}

/** Reads the tokens, and tells the log of those that came and went since it was read before. */
function createTokenReader(
  log: Logger,
  tells: () => boolean = () => true,
): (text: string | undefined) => Reading<TokenCheck> {
  let before: ReadonlyMap<string, string> | undefined
  return (text) => {
    const { entries, problems } =
      text === undefined
        ? { entries: [], problems: ['cannot be read: "statelens token add" makes it'] }
        : parseTokenFile(text)
    const now = new Map(entries.map((entry) => [formatTokenEntry(entry), entry.name]))
    if (before) {
      const added = [...now].filter(([line]) => !before?.has(line)).map(([, name]) => name)
      const ended = [...before].filter(([line]) => !now.has(line)).map(([, name]) => name)
      if (added.length + ended.length > 0 && tells()) log.info({ audit: 'tokens', added, ended }, 'audit')
    }
    before = now
    return { value: createTokenCheck(entries), problems }
  }
}

function openKey({ keySource: key }: JwtConfig, log: Logger): JwtKey | undefined {
  if ('secret' in key) return { secret: Buffer.from(key.secret) }
  if ('jwksUrl' in key) {
    const onProblem = (error: unknown) => log.warn({ err: error }, 'the keys of the issuer of tokens cannot be had')
    return { keySet: createKeySet({ url: key.jwksUrl, onProblem }) }
  }
  const publicKey = readPublicKey(key.publicKeyFile)
  return publicKey && { publicKey }
}

function readPublicKey(path: string): KeyObject | undefined {
  try {
    const pem = readFileSync(path, 'utf8')
    // A private key would do as well, and has no business here.
    return pem.includes('PRIVATE KEY') ? undefined : createPublicKey(pem)
  } catch {
    return undefined
  }
}
