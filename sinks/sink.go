package sinks

import "context"

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record to be published.
type Record struct {
	Topic     string
	Partition int32
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Sink takes send commands once they are published. It stands outside of the
// transaction: after a crash it may miss or repeat the last ones. Whoever needs
// every command exactly once reads the send topic.
type Sink interface {
	// Deliver takes the commands of one or more batches, in their order.
	Deliver(ctx context.Context, commands []Record) error
}
