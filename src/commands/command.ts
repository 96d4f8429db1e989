import type { ParseArgsConfig } from 'node:util'

/** What can be typed behind `statelens`. */
export interface Command {
  /** Shown by --help. */
  readonly about: string
  readonly options?: NonNullable<ParseArgsConfig['options']>
  /** Whether it takes words beside its options; default false. */
  readonly takesWords?: boolean
  /** Exit code of a failure; default 1. */
  readonly failureCode?: number
  /** @returns the exit code. */
  run(env: NodeJS.ProcessEnv, values: OptionValues, words: readonly string[]): Promise<number>
}

/** Of the options that a command names. */
export type OptionValues = Readonly<Record<string, string | boolean | undefined>>

/** A line of what the command has to tell. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
