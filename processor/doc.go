// Package processor turns the records of input partitions into published
// decisions, exactly once. A Partition is the synchronous heart of it: batches,
// clock, timers and the commit protocol of one input partition, driven by calls
// and without a goroutine of its own. A Processor runs the partitions that a
// process owns: a worker goroutine for each, and one publisher for them all.
//
// The protocol is described in docs/guarantees.md; the names K (what Kafka holds
// committed of a partition), R (what the store holds of it), batch, seq and
// epoch are used here as they are there.
package processor
