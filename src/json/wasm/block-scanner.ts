import { SCANNER_WASM } from './scanner-wasm.ts'

/** An instance of `scanner.as.ts`. It keeps nothing between two calls, so that one is enough for all scans. */
export interface BlockScanner {
  /** Where the bytes are put. */
  readonly input: Uint8Array
  /** So many bytes must lie behind the last block. */
  readonly lookAhead: number
  /** A byte for each open container, the outermost first: 1 where it stands in an object. */
  readonly stack: Uint8Array
  readonly maxDepth: number
  /**
   * Scans so many blocks of 64 bytes.
   * @param carries where the document stands, in the bits of `carries.ts`; not inside of a literal
   * @returns where it stands then; -1 where the bytes may be no JSON, or nest deeper than `maxDepth`
   */
  scan(blocks: number, carries: number, depth: number, maxDepth: number): number
  /** After the last call. */
  depth(): number
  /** In the last call. */
  deepest(): number
}

interface Exports extends Pick<BlockScanner, 'scan' | 'depth' | 'deepest'> {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly STACK: { readonly value: number }
  readonly STACK_SIZE: { readonly value: number }
  readonly INPUT: { readonly value: number }
  readonly LOOK_AHEAD: { readonly value: number }
}

/** The part of it that is used: its types belong to the DOM's. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
}

/** Null where there is no WebAssembly (`--jitless`), none with SIMD, or no room for its memory in the address space. */
export function openBlockScanner(): BlockScanner | null {
  const { WebAssembly } = globalThis as { readonly WebAssembly?: WebAssemblyApi }
  if (!WebAssembly) return null
  try {
    const module = new WebAssembly.Module(Buffer.from(SCANNER_WASM, 'base64'))
    const { memory, STACK, STACK_SIZE, INPUT, LOOK_AHEAD, ...functions } = new WebAssembly.Instance(module)
      .exports as Exports
    return {
      ...functions,
      input: new Uint8Array(memory.buffer, INPUT.value),
      lookAhead: LOOK_AHEAD.value,
      stack: new Uint8Array(memory.buffer, STACK.value, STACK_SIZE.value),
      maxDepth: STACK_SIZE.value,
    }
  } catch {
    return null
  }
}
