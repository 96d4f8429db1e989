import { buildProgram } from './program.ts'
import { PROGRAM_VARIABLE } from './program-variable.ts'
import { startServices, stopServices } from './start-services.ts'

/** What all test files share: the services, and a program that starts soon. What is measured starts as users start it. */
export async function globalSetup(): Promise<void> {
  await startServices()
  process.env[PROGRAM_VARIABLE] = await buildProgram()
}

export async function globalTeardown(): Promise<void> {
  await stopServices()
}
