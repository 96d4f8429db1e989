/**
 * Builds the page into `dist/explorer/`. `npm ci` runs it as well where the packages for development are left out: there it says so and
 * is done. Plain JavaScript, as what runs it then may be an older Node.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('.', import.meta.url))
const TARGET = fileURLToPath(new URL('../../dist/explorer', import.meta.url))

/** Undefined where it is not installed. */
const vite = await import('vite').catch((error) => {
  if (error.code === 'ERR_MODULE_NOT_FOUND') return undefined
  throw error
})

if (vite === undefined) {
  const kept = existsSync(`${TARGET}/index.html`) ? 'is left as it was' : 'is not there'
  process.stdout.write(
    `Vite is not installed, so the explorer ${kept}: "npm ci" with development packages builds it.\n`,
  )
} else {
  await vite.build({
    root: ROOT,
    base: './',
    configFile: false,
    envDir: false,
    publicDir: false,
    logLevel: 'warn',
    oxc: {
      jsx: { runtime: 'classic', pragma: 'h', pragmaFrag: 'Fragment' },
      // Shorter than what the automatic runtime makes of it.
      jsxInject: "import { Fragment, h } from 'preact'",
    },
    build: {
      outDir: TARGET,
      emptyOutDir: true,
      manifest: true,
      assetsInlineLimit: 0,
      modulePreload: false,
      reportCompressedSize: false,
      target: ['chrome123', 'firefox120', 'safari17.5'],
    },
  })
}
