package processor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/klauspost/compress/s2"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// output collects the outgoing records of the open batch. Their bytes lie in one
// arena, which belongs to the batch until it is published.
type output struct {
	cfg      *Settings
	input    TopicPartition
	origin   sinks.Origin
	arena    []byte
	marked   []markedRecord
	dead     []sinks.Record
	deadSize int
}

// markedRecord is a send or decision whose mark is not complete yet.
type markedRecord struct {
	send             bool
	user, value, end int // offsets in the arena: user from user, value from value, up to end
	cause            Cause
	position, clock  int64
	trace            string // traceparent, "" for none
}

func (o *output) init(cfg *Settings, input TopicPartition) {
	o.cfg, o.input = cfg, input
	o.origin = sinks.Origin{Topic: strings.Clone(input.Topic), RulesVersion: cfg.Set.Version}
}

// size is how many bytes have been collected.
func (o *output) size() int { return len(o.arena) + o.deadSize }

// decision adds the records of a decision: itself, and the command if it is one.
func (o *output) decision(d *rules.Decision, cause Cause, position, clock int64, trace string) {
	if d.Outcome == rules.Sent {
		o.add(true, d, cause, position, clock, trace)
	}
	if o.cfg.Decisions == DecisionsNone || d.Verbose && o.cfg.Decisions != DecisionsAll {
		return
	}
	o.add(false, d, cause, position, clock, trace)
}

func (o *output) add(send bool, d *rules.Decision, cause Cause, position, clock int64, trace string) {
	r := markedRecord{send: send, user: len(o.arena), cause: cause, position: position, clock: clock, trace: trace}
	o.arena = append(o.arena, d.User...)
	r.value = len(o.arena)
	if send {
		o.arena = sinks.AppendCommand(o.arena, d, o.origin)
	} else {
		o.arena = sinks.AppendDecision(o.arena, d, o.origin)
	}
	r.end = len(o.arena)
	o.marked = append(o.marked, r)
}

func (o *output) deadLetter(rec *Record, reason error) {
	r := o.cfg.Layout.DeadLetter(o.input.Topic, o.input.Partition, rec.Offset, reason.Error(), rec.Key, rec.Value, rec.Headers)
	o.dead = append(o.dead, r)
	o.deadSize += len(r.Key) + len(r.Value)
}

// close turns what was collected into the records of batch (epoch, seq) and
// starts anew. evidence says whether any of them is a send or a decision.
func (o *output) close(epoch, seq, previous int64) (records []sinks.Record, evidence bool) {
	if len(o.marked) == 0 && len(o.dead) == 0 {
		return nil, false
	}
	records = make([]sinks.Record, 0, len(o.marked)+len(o.dead))
	mark := Mark{Group: o.cfg.Group, Input: o.input, Epoch: epoch, Seq: seq, Count: len(o.marked), Previous: previous}
	headers := make([]sinks.Header, 0, 2*len(o.marked))
	marks := make([]byte, 0, 128*len(o.marked))
	for i, m := range o.marked {
		mark.Index, mark.Cause, mark.Position, mark.Clock = i, m.cause, m.position, m.clock
		start := len(marks)
		marks = mark.Append(marks)
		h := len(headers)
		headers = append(headers,
			sinks.Header{Key: MarkHeader, Value: marks[start:len(marks):len(marks)]},
			sinks.Header{Key: sinks.ContentTypeHeader, Value: contentType})
		if m.trace != "" {
			headers = append(headers, sinks.Header{Key: TraceparentHeader, Value: []byte(m.trace)})
		}
		user, value := o.arena[m.user:m.value:m.value], o.arena[m.value:m.end:m.end]
		r := o.cfg.Layout.Decision(o.input.Partition, user, value)
		if m.send {
			r = o.cfg.Layout.Send(o.input.Partition, user, value)
		}
		r.Headers = headers[h:len(headers):len(headers)]
		records = append(records, r)
	}
	records = append(records, o.dead...)
	evidence = len(o.marked) > 0
	// The next batch will need about as much.
	o.arena = make([]byte, 0, len(o.arena)+len(o.arena)/8)
	o.marked, o.dead, o.deadSize = o.marked[:0], nil, 0
	return records, evidence
}

var contentType = []byte(sinks.ContentType)

// EncodeOutbox writes records as an outbox entry holds them: a format byte, then
// compressed (S2) the number of records, then of each topic, partition, key, value
// and headers, every text preceded by its length. A missing key or value is told
// from an empty one. Messages are alike: a tenth of the bytes goes through Redis.
func EncodeOutbox(records []sinks.Record) []byte {
	plain := appendRecords(records)
	b := make([]byte, 1, 1+s2.MaxEncodedLen(len(plain)))
	b[0] = outboxFormat
	return b[:1+len(s2.Encode(b[1:cap(b)], plain))]
}

// outboxFormat is the format byte.
const outboxFormat = 1

// maxOutbox bounds what an entry may hold, bytes: more than any batch writes.
const maxOutbox = 256 << 20

func appendRecords(records []sinks.Record) []byte {
	size := 8
	for i := range records {
		r := &records[i]
		size += len(r.Topic) + len(r.Key) + len(r.Value) + 24
		for _, h := range r.Headers {
			size += len(h.Key) + len(h.Value) + 6
		}
	}
	b := make([]byte, 0, size)
	b = binary.AppendUvarint(b, uint64(len(records)))
	for i := range records {
		r := &records[i]
		b = appendText(b, []byte(r.Topic))
		b = binary.AppendUvarint(b, uint64(r.Partition))
		b = appendText(b, r.Key)
		b = appendText(b, r.Value)
		b = binary.AppendUvarint(b, uint64(len(r.Headers)))
		for _, h := range r.Headers {
			b = appendText(b, []byte(h.Key))
			b = appendText(b, h.Value)
		}
	}
	return b
}

// appendText writes nil as 0 and a text as its length + 1, so that nil stays nil.
func appendText(b, text []byte) []byte {
	if text == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(text))+1)
	return append(b, text...)
}

var errOutbox = errors.New("the outbox entry is cut short or damaged")

// DecodeOutbox reads what EncodeOutbox wrote.
func DecodeOutbox(b []byte) ([]sinks.Record, error) {
	if len(b) == 0 || b[0] != outboxFormat {
		return nil, errOutbox
	}
	if n, err := s2.DecodedLen(b[1:]); err != nil || n > maxOutbox {
		return nil, errOutbox
	}
	plain, err := s2.Decode(nil, b[1:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOutbox, err)
	}
	r := outboxReader{b: plain}
	n := r.count()
	records := make([]sinks.Record, 0, n)
	for range n {
		rec := sinks.Record{Topic: string(r.text()), Partition: int32(r.uvarint() & 0x7fffffff), Key: r.text(), Value: r.text()}
		for range r.count() {
			rec.Headers = append(rec.Headers, sinks.Header{Key: string(r.text()), Value: r.text()})
		}
		records = append(records, rec)
	}
	if r.bad || len(r.b) > 0 {
		return nil, errOutbox
	}
	return records, nil
}

type outboxReader struct {
	b   []byte
	bad bool
}

func (r *outboxReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of elements, of which each takes a byte at least.
func (r *outboxReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *outboxReader) text() []byte {
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	n--
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	t := r.b[:n:n]
	r.b = r.b[n:]
	return t
}
