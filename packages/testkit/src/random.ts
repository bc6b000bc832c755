/** Numbers that are the same on every machine, for whoever must not know the builder. */
export { mulberry32 } from '@kstitch/build/verify-kernel';
