/** Topics and the patterns that match them. */

/** Whether this is a pattern and not the name of one topic. */
export function isWildcard(pattern: string): boolean {
  return pattern.endsWith("*");
}

/** Whether a topic matches a pattern: its own name, `*`, or what `prefix:*` begins with. */
export function matches(pattern: string, topic: string): boolean {
  return pattern === topic || (isWildcard(pattern) && topic.startsWith(pattern.slice(0, -1)));
}
