import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { it } from 'node:test'
import { gzipSync } from 'node:zlib'

const BUILT = 'dist/explorer'
const SCRIPT_MOST_BYTES = 40_000
const STYLE_MOST_BYTES = 10_000

it('fits into 40 KB of script and 10 KB of style, compressed', async () => {
  const sizes: Record<string, number> = { js: 0, css: 0 }
  for (const name of await readdir(`${BUILT}/assets`)) {
    const kind = name.split('.').at(-1) ?? ''
    const { length } = gzipSync(await readFile(`${BUILT}/assets/${name}`), { level: 9 })
    sizes[kind] = (sizes[kind] ?? 0) + length
  }
  assert.ok((sizes['js'] ?? 0) > 0 && (sizes['js'] ?? 0) <= SCRIPT_MOST_BYTES, JSON.stringify(sizes))
  assert.ok((sizes['css'] ?? 0) > 0 && (sizes['css'] ?? 0) <= STYLE_MOST_BYTES, JSON.stringify(sizes))
})

it('has no style, script or handler in its markup, and nothing of another origin', async () => {
  const page = await readFile(`${BUILT}/index.html`, 'utf8')
  assert.doesNotMatch(page, /\sstyle=|\son\w+=|<style|https?:\/\/|<script(?![^>]* src="\.\/assets\/)/)
})

/** What is written in each colour, on what. */
const PAIRS: readonly (readonly [ink: string, grounds: readonly string[]])[] = [
  [
    'ink',
    ['ground', 'raised', 'sunken', 'accent-ground', 'bad-ground', 'added-ground', 'removed-ground', 'mark-ground'],
  ],
  [
    'faint',
    ['ground', 'raised', 'sunken', 'accent-ground', 'bad-ground', 'added-ground', 'removed-ground', 'mark-ground'],
  ],
  ['accent', ['ground', 'raised', 'accent-ground', 'bad-ground', 'mark-ground']],
  ['good', ['ground', 'raised', 'added-ground', 'mark-ground']],
  ['bad', ['ground', 'raised', 'bad-ground', 'removed-ground', 'mark-ground']],
  ['warn', ['ground', 'raised']],
  ['busy', ['ground', 'raised']],
  ['on-accent', ['accent']],
  ['json-key', ['ground', 'raised', 'accent-ground']],
  ['json-string', ['ground', 'raised', 'accent-ground']],
  ['json-number', ['ground', 'raised', 'accent-ground']],
  ['json-word', ['ground', 'raised', 'accent-ground']],
  ['ground', ['ink', 'bad']],
]

it('has a contrast of 4.5 to 1 for all text in both themes', async () => {
  const css = await readFile('src/explorer/styles/base.css', 'utf8')
  const colours = new Map(
    [...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map(([, name = '', light = '', dark = '']) => [
      name,
      { light, dark },
    ]),
  )
  const poor: string[] = []
  for (const theme of ['light', 'dark'] as const) {
    const colourOf = (name: string) => colours.get(name)?.[theme] ?? assert.fail(name)
    for (const [ink, grounds] of PAIRS) {
      for (const ground of grounds) {
        const ratio = contrast(colourOf(ink), colourOf(ground))
        if (ratio < 4.5) poor.push(`${theme}: ${ink} on ${ground} is ${ratio.toFixed(2)}`)
      }
    }
  }
  assert.deepEqual(poor, [])
})

/** @see WCAG 2.2, "relative luminance" and "contrast ratio". */
function contrast(one: string, other: string): number {
  const [lighter = 0, darker = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (lighter + 0.05) / (darker + 0.05)
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5]
    .map((start) => Number.parseInt(colour.slice(start, start + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
