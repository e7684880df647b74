// Package kafka lays out the records of the send, decision and dead-letter
// topics. They are published by the processor, in the transaction that commits
// the input offsets.
package kafka

import (
	"strconv"

	"github.com/nudged/nudged/sinks"
)

// Layout names the topics and how many partitions each has.
type Layout struct {
	Sends, Decisions, DeadLetters                            string
	SendPartitions, DecisionPartitions, DeadLetterPartitions int32
}

// Send makes the record of a send command decided in the input partition. The
// evidence of an input partition lies in one partition, whatever the key.
func (l Layout) Send(input int32, user, value []byte) sinks.Record {
	return sinks.Record{Topic: l.Sends, Partition: input % l.SendPartitions, Key: user, Value: value}
}

// Decision makes the record of a decision.
func (l Layout) Decision(input int32, user, value []byte) sinks.Record {
	return sinks.Record{Topic: l.Decisions, Partition: input % l.DecisionPartitions, Key: user, Value: value}
}

// IsSend tells the records of Send from the others.
func (l Layout) IsSend(r sinks.Record) bool { return r.Topic == l.Sends }

// Headers of a dead letter.
const (
	ErrorHeader     = "nudged-error"
	TopicHeader     = "nudged-topic"
	PartitionHeader = "nudged-partition"
	OffsetHeader    = "nudged-offset"
	// TruncatedHeader gives the original size in bytes of a value that was too
	// large to be kept whole.
	TruncatedHeader = "nudged-truncated"
)

// MaxDeadLetter is how many bytes of a value a dead letter keeps: less than
// every broker takes by default.
const MaxDeadLetter = 512 << 10

// DeadLetter makes the record for an input record that could not be taken in:
// the original with the reason and where it was.
func (l Layout) DeadLetter(topic string, partition int32, offset int64, reason string, key, value []byte, headers []sinks.Header) sinks.Record {
	h := make([]sinks.Header, 0, len(headers)+5)
	h = append(h, headers...)
	h = append(h,
		sinks.Header{Key: ErrorHeader, Value: []byte(reason)},
		sinks.Header{Key: TopicHeader, Value: []byte(topic)},
		sinks.Header{Key: PartitionHeader, Value: strconv.AppendInt(nil, int64(partition), 10)},
		sinks.Header{Key: OffsetHeader, Value: strconv.AppendInt(nil, offset, 10)},
	)
	if len(value) > MaxDeadLetter {
		h = append(h, sinks.Header{Key: TruncatedHeader, Value: strconv.AppendInt(nil, int64(len(value)), 10)})
		value = value[:MaxDeadLetter]
	}
	return sinks.Record{Topic: l.DeadLetters, Partition: partition % l.DeadLetterPartitions, Key: key, Value: value, Headers: h}
}
