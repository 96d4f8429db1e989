/** By what names an object store is set up: what `MINIO_…` leaves out comes from `S3_…`. */
export interface SettingNames {
  /** The name that is in force; where none is set, the first one that would be. */
  of(name: string): string
  /** The same for the first of several settings that is there. */
  firstOf(names: readonly string[]): string
  /** The name that comes before all others. */
  own(name: string): string
}

export function settingNames(
  env: Readonly<Record<string, string | undefined>>,
  prefixes: readonly [string, ...string[]],
): SettingNames {
  const own = (name: string) => `${prefixes[0]}_${name}`
  const firstOf = (names: readonly string[]) => {
    const all = prefixes.flatMap((prefix) => names.map((name) => `${prefix}_${name}`))
    return all.find((name) => env[name]?.trim()) ?? own(names[0] ?? '')
  }
  return { own, firstOf, of: (name) => firstOf([name]) }
}
