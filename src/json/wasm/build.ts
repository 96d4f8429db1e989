import { readFile, writeFile } from 'node:fs/promises'
import { main } from 'assemblyscript/asc'

/*
 * `npm run build:wasm` compiles `src/json/wasm/scanner.as.ts` into the module beside it, which is committed: whoever installs or
 * builds statelens needs no compiler for it.
 */
const SOURCE = 'src/json/wasm/scanner.as.ts'
const OUTPUT = 'src/json/wasm/scanner-wasm.ts'
/** Memory for the stack, the notes, 90 KiB of input and what is masked of it; no runtime, no imports. */
const FLAGS = '-O3 --noAssert --runtime stub --enable simd --initialMemory 10 --maximumMemory 10'.split(' ')

/** The text of the module, as the source gives it now. */
export async function compileScanner(): Promise<string> {
  let wasm: Uint8Array = new Uint8Array()
  const { error, stderr } = await main([SOURCE, '--outFile', 'scanner.wasm', ...FLAGS], {
    writeFile: (_, contents) => {
      wasm = Buffer.from(contents)
    },
  })
  if (error) throw new Error(stderr.toString(), { cause: error })
  const base64 = Buffer.from(wasm).toString('base64')
  return `// Written by "npm run build:wasm".\nexport const SCANNER_WASM =\n  '${base64}'\n`
}

/** The same as it is committed. */
export function committedScanner(): Promise<string> {
  return readFile(OUTPUT, 'utf8')
}

if (import.meta.main) await writeFile(OUTPUT, await compileScanner())
