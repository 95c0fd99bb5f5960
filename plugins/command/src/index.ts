// What those who run commands have in common, here or on another machine.
export { Output } from './output.ts';
export { joinWords, QuoteError, splitWords } from './words.ts';
