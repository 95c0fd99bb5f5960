// What plugins that run commands share, on this machine or on another.
export { CommandInput, CommandOutput, mostSeconds, OUTPUT, Seconds } from './contract.ts';
export { heldOpen, Output, readFor } from './output.ts';
export { joinWords, QuoteError, splitWords } from './words.ts';
