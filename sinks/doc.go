// Package sinks holds what leaves nudged: send commands and decisions, their
// JSON, and the Sink interface by which commands reach something other than the
// send topic.
package sinks
