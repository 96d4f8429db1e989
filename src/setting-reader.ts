import { readFileSync } from 'node:fs'

export type Env = Readonly<Record<string, string | undefined>>

export type SettingReader = ReturnType<typeof createSettingReader>

/** Each of them may lie in a file instead, which the setting of the same name with `_FILE` names. */
const SECRETS: ReadonlySet<string> = new Set([
  'DATABASE_URL',
  'DATABASE_READ_URL',
  'VALKEY_URL',
  'S3_ACCESS_KEY',
  'S3_SECRET_KEY',
  'MINIO_ACCESS_KEY',
  'MINIO_SECRET_KEY',
  'SIGNED_URL_SECRET',
  'JWT_SECRET',
])

/** Reads one setting each; what is wrong is added to `problems`, so that all of it is told at once. */
export function createSettingReader(env: Env, problems: string[]) {
  const text = (name: string) => {
    const path = SECRETS.has(name) ? env[`${name}_FILE`]?.trim() : undefined
    const value = env[name]?.trim() || undefined
    if (!path) return value
    if (value !== undefined) problems.push(`${name} and ${name}_FILE are both set: leave one out`)
    return readSecret(path) ?? void problems.push(`${name}_FILE cannot be read, or is empty`)
  }
  return {
    text,
    integer(
      name: string,
      { fallback, min, max }: { readonly fallback: number; readonly min: number; readonly max: number },
    ) {
      const value = text(name)
      if (value === undefined) return fallback
      const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN
      if (!(number >= min && number <= max)) problems.push(`${name} must be a whole number from ${min} to ${max}`)
      return number
    },
    flag(name: string) {
      const value = text(name)
      if (value !== undefined && value !== 'true' && value !== 'false') problems.push(`${name} must be true or false`)
      return value === undefined ? undefined : value === 'true'
    },
    choice<T extends string>(name: string, [first, ...others]: readonly [T, ...T[]]): T {
      const value = text(name) ?? first
      const known = [first, ...others].find((choice) => choice === value)
      if (!known) problems.push(`${name} must be one of ${[first, ...others].join(', ')}`)
      return known ?? first
    },
    url(name: string, schemes: readonly string[]) {
      const value = text(name)
      if (value === undefined) return undefined
      const [, scheme = ''] = /^([a-z]+):\/\//i.exec(value) ?? []
      if (!URL.canParse(value) || !schemes.includes(scheme.toLowerCase())) {
        problems.push(`${name} must be a URL that begins with ${schemes.map((known) => `${known}://`).join(' or ')}`)
      }
      return value
    },
  }
}

function readSecret(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}
