/*
 * Loaded before every test file: what Node only warns of, because it would show in a server much later, fails the file at once.
 */
export const FORBIDDEN_WARNINGS =
  /MaxListenersExceededWarning|DEP0137|PromiseRejectionHandledWarning|UnhandledPromiseRejection/

process.on('warning', ({ name, message, code, stack }: Error & { readonly code?: string }) => {
  if (!FORBIDDEN_WARNINGS.test(`${name} ${code}`)) return
  setImmediate(() => {
    throw new Error(`Node warns: ${code ?? name} ${message}`, { cause: stack })
  })
})
