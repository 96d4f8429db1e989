/**
 * Advisories on packages that are, or easily come to be, among what is installed here: what a release must have to be free of each. It
 * is what can be known without a network; `npm audit` in CI knows the rest.
 */
export interface Advisory {
  readonly name: string
  /** Of each line of releases the first that is good; lines that are not named are good above the last. */
  readonly fixedIn: readonly string[]
  readonly what: string
}

export const ADVISORIES: readonly Advisory[] = [
  { name: 'ws', fixedIn: ['7.5.10', '8.17.1'], what: 'CVE-2024-37890: a request with many headers ends the server' },
  { name: 'graphql', fixedIn: ['15.9.0', '16.8.1'], what: 'CVE-2023-26144: overlapping fields cost without bound' },
  { name: 'graphql-yoga', fixedIn: ['5.21.3'], what: 'a multipart body changes prototypes' },
  {
    name: 'undici',
    fixedIn: ['5.29.0', '6.21.2', '7.5.0'],
    what: 'CVE-2025-22150, CVE-2025-47279: guessable boundaries, certificates that leak',
  },
  { name: 'jose', fixedIn: ['2.0.7', '4.15.5'], what: 'CVE-2024-28176: a compressed JWE unpacks without bound' },
  { name: 'protobufjs', fixedIn: ['6.11.4', '7.2.5'], what: 'CVE-2023-36665: prototypes are changed' },
  { name: 'fast-xml-parser', fixedIn: ['4.4.1', '5.0.0'], what: 'CVE-2024-41818: a currency takes for ever' },
  { name: 'semver', fixedIn: ['5.7.2', '6.3.1', '7.5.2'], what: 'CVE-2022-25883: a range takes for ever' },
  { name: 'cross-spawn', fixedIn: ['6.0.6', '7.0.5'], what: 'CVE-2024-21538: an argument takes for ever' },
  { name: 'braces', fixedIn: ['3.0.3'], what: 'CVE-2024-4068: a pattern takes all memory' },
  { name: 'micromatch', fixedIn: ['4.0.8'], what: 'CVE-2024-4067: a pattern takes for ever' },
  {
    name: 'brace-expansion',
    fixedIn: ['1.1.12', '2.0.2', '3.0.1', '4.0.1'],
    what: 'CVE-2025-5889: a pattern takes for ever',
  },
  { name: 'json5', fixedIn: ['1.0.2', '2.2.2'], what: 'CVE-2022-46175: prototypes are changed' },
  { name: 'minimist', fixedIn: ['0.2.4', '1.2.6'], what: 'CVE-2021-44906: prototypes are changed' },
  { name: 'lodash', fixedIn: ['4.17.21'], what: 'CVE-2021-23337: a template runs commands' },
  { name: 'nanoid', fixedIn: ['3.3.8', '5.0.9'], what: 'CVE-2024-55565: ids that can be foreseen' },
  { name: 'esbuild', fixedIn: ['0.25.0'], what: 'GHSA-67mh-4wv8-2f99: any page reads the development server' },
  { name: 'tar', fixedIn: ['6.2.1'], what: 'CVE-2024-28863: folders without bound' },
  { name: 'form-data', fixedIn: ['2.5.4', '3.0.4', '4.0.4'], what: 'CVE-2025-7783: guessable boundaries' },
]

/** Releases that somebody else put there, each by itself. */
export const TAMPERED: Readonly<Record<string, readonly string[]>> = {
  'ansi-regex': ['6.2.1'],
  'ansi-styles': ['6.2.2'],
  backslash: ['0.2.1'],
  chalk: ['5.6.1'],
  'chalk-template': ['1.1.1'],
  'color-convert': ['3.1.1'],
  'color-name': ['2.0.1'],
  'color-string': ['2.1.1'],
  debug: ['4.4.2'],
  'error-ex': ['1.3.3'],
  'event-stream': ['3.3.6'],
  'has-ansi': ['6.0.1'],
  'is-arrayish': ['0.3.3'],
  'simple-swizzle': ['0.2.3'],
  'slice-ansi': ['7.1.1'],
  'strip-ansi': ['7.1.1'],
  'supports-color': ['10.2.1'],
  'supports-hyperlinks': ['4.1.1'],
  'wrap-ansi': ['9.0.1'],
}
