package processor

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"

	"github.com/nudged/nudged/sinks"
)

// An outbox entry holds the records of one batch, to be published as they stand:
//
//	format   1 byte
//	head     its length, then group, input topic and partition, epoch, seq, seq of
//	         the previous batch with records, number of records, and of marked ones,
//	         topic and partition of sends, topic and partition of decisions
//	blocks   each its length, then records, compressed (S2)
//
// A record is a byte that says what it is, then of a send or decision cause,
// position, clock, which with the head make up its mark, traceparent, key and value;
// of a dead letter topic, partition, key, value and headers. Messages are alike: what waits
// to be published takes a tenth of its bytes, in the store and in memory.
const outboxFormat = 2

const (
	sendRecord = iota
	decisionRecord
	wholeRecord
)

// maxOutbox bounds what a block may hold, bytes: more than any record has.
const maxOutbox = 256 << 20

// outboxBlock is how many bytes are compressed together.
const outboxBlock = 64 << 10

// outboxHead is what the records of a batch share.
type outboxHead struct {
	mark              Mark // but for index, cause, position and clock
	records           int
	sends, decisions  string
	sendPart, decPart int32
}

// outboxWriter collects the records of the open batch.
type outboxWriter struct {
	block   []byte // not compressed yet
	packed  []byte // blocks
	scratch []byte
	marked  int // sends and decisions
	records int
	plain   int // bytes in packed before they were compressed
}

// size is how many bytes the records have.
func (w *outboxWriter) size() int { return w.plain + len(w.block) }

// message begins a send or decision; the value is appended to the result, and end
// called with all of it.
func (w *outboxWriter) message(send bool, cause Cause, position, clock int64, trace, key string) []byte {
	kind := byte(decisionRecord)
	if send {
		kind = sendRecord
	}
	b := append(w.block, kind, byte(cause))
	b = binary.AppendVarint(b, position)
	b = binary.AppendVarint(b, clock)
	b = binary.AppendUvarint(b, uint64(len(trace)))
	b = append(b, trace...)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	return append(b, 0, 0, 0, 0) // the value's length
}

// end ends a record whose value begins at from.
func (w *outboxWriter) end(b []byte, from int) {
	binary.LittleEndian.PutUint32(b[from-4:], uint32(len(b)-from))
	w.block = b
	w.marked++
	w.added()
}

// whole adds a record as it is. A missing key or value is told from an empty one.
func (w *outboxWriter) whole(r *sinks.Record) {
	b := append(w.block, wholeRecord)
	b = appendText(b, []byte(r.Topic))
	b = binary.AppendUvarint(b, uint64(r.Partition))
	b = appendText(b, r.Key)
	b = appendText(b, r.Value)
	b = binary.AppendUvarint(b, uint64(len(r.Headers)))
	for _, h := range r.Headers {
		b = appendText(b, []byte(h.Key))
		b = appendText(b, h.Value)
	}
	w.block = b
	w.added()
}

func (w *outboxWriter) added() {
	w.records++
	if len(w.block) >= outboxBlock {
		w.seal()
	}
}

// seal compresses the block.
func (w *outboxWriter) seal() {
	if len(w.block) == 0 {
		return
	}
	if need := s2.MaxEncodedLen(len(w.block)); cap(w.scratch) < need {
		w.scratch = make([]byte, need)
	}
	packed := s2.Encode(w.scratch[:cap(w.scratch)], w.block)
	w.packed = binary.AppendUvarint(w.packed, uint64(len(packed)))
	w.packed = append(w.packed, packed...)
	w.plain += len(w.block)
	w.block = w.block[:0]
}

// take returns the entry and starts anew; nil if there are no records.
func (w *outboxWriter) take(h *outboxHead) []byte {
	if w.records == 0 {
		return nil
	}
	w.seal()
	m := &h.mark
	var head []byte
	head = appendText(head, []byte(m.Group))
	head = appendText(head, []byte(m.Input.Topic))
	head = binary.AppendUvarint(head, uint64(m.Input.Partition))
	head = binary.AppendUvarint(head, uint64(m.Epoch))
	head = binary.AppendUvarint(head, uint64(m.Seq))
	head = binary.AppendUvarint(head, uint64(m.Previous))
	head = binary.AppendUvarint(head, uint64(w.records))
	head = binary.AppendUvarint(head, uint64(w.marked))
	head = appendText(head, []byte(h.sends))
	head = binary.AppendUvarint(head, uint64(h.sendPart))
	head = appendText(head, []byte(h.decisions))
	head = binary.AppendUvarint(head, uint64(h.decPart))
	entry := make([]byte, 1, 1+binary.MaxVarintLen32+len(head)+len(w.packed))
	entry[0] = outboxFormat
	entry = binary.AppendUvarint(entry, uint64(len(head)))
	entry = append(append(entry, head...), w.packed...)
	w.packed, w.marked, w.records, w.plain = w.packed[:0], 0, 0, 0
	return entry
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

// EachRecord calls f for each record of an outbox entry, in their order. The
// records are f's to keep. It ends at f's first error and returns it, or says that
// the entry cannot be read.
func EachRecord(entry []byte, f func(*sinks.Record) error) error {
	if len(entry) == 0 || entry[0] != outboxFormat {
		return errOutbox
	}
	r := outboxReader{b: entry[1:]}
	head := r.head()
	records, index := 0, 0
	for !r.bad && len(r.b) > 0 {
		packed := r.take(r.uvarint())
		if n, err := s2.DecodedLen(packed); r.bad || err != nil || n > maxOutbox {
			return errOutbox
		}
		plain, err := s2.Decode(nil, packed)
		if err != nil {
			return fmt.Errorf("%w: %w", errOutbox, err)
		}
		block := blockReader{outboxReader: outboxReader{b: plain}, head: &head}
		for len(block.b) > 0 {
			rec := block.record(&index)
			records++
			if block.bad || records > head.records || index > head.mark.Count {
				return errOutbox
			}
			if err := f(rec); err != nil {
				return err
			}
		}
	}
	if r.bad || records != head.records || index != head.mark.Count {
		return errOutbox
	}
	return nil
}

// blockReader reads the records of one block. Marks and headers of many records
// share memory.
type blockReader struct {
	outboxReader
	head    *outboxHead
	marks   []byte
	headers []sinks.Header
}

var contentType = []byte(sinks.ContentType)

func (r *blockReader) record(index *int) *sinks.Record {
	kind := r.byte()
	if kind == wholeRecord {
		rec := &sinks.Record{Topic: string(r.text()), Partition: r.partition(), Key: r.text(), Value: r.text()}
		for range r.count() {
			rec.Headers = append(rec.Headers, sinks.Header{Key: string(r.text()), Value: r.text()})
		}
		return rec
	}
	m := r.head.mark
	m.Index, m.Cause, m.Position, m.Clock = *index, Cause(r.byte()), r.varint(), r.varint()
	*index++
	trace := r.take(r.uvarint())
	rec := &sinks.Record{Topic: r.head.decisions, Partition: r.head.decPart}
	switch kind {
	case sendRecord:
		rec.Topic, rec.Partition = r.head.sends, r.head.sendPart
	case decisionRecord:
	default:
		r.fail()
	}
	rec.Key = r.take(r.uvarint())
	if n := r.take(4); n != nil {
		rec.Value = r.take(uint64(binary.LittleEndian.Uint32(n)))
	}
	const some = 32
	if cap(r.headers)-len(r.headers) < 3 {
		r.headers = make([]sinks.Header, 0, 3*some)
	}
	start := len(r.marks)
	r.marks = m.Append(r.marks)
	at := len(r.headers)
	r.headers = append(r.headers,
		sinks.Header{Key: MarkHeader, Value: r.marks[start:len(r.marks):len(r.marks)]},
		sinks.Header{Key: sinks.ContentTypeHeader, Value: contentType})
	if len(trace) > 0 {
		r.headers = append(r.headers, sinks.Header{Key: TraceparentHeader, Value: trace})
	}
	rec.Headers = r.headers[at:len(r.headers):len(r.headers)]
	return rec
}

type outboxReader struct {
	b   []byte
	bad bool
}

func (r *outboxReader) head() outboxHead {
	inner := outboxReader{b: r.take(r.uvarint())}
	var h outboxHead
	m := &h.mark
	m.Group = string(inner.text())
	m.Input.Topic = string(inner.text())
	m.Input.Partition = inner.partition()
	m.Epoch, m.Seq, m.Previous = int64(inner.uvarint()), int64(inner.uvarint()), int64(inner.uvarint())
	h.records = int(inner.uvarint() & 0x7fffffff)
	m.Count = int(inner.uvarint() & 0x7fffffff)
	h.sends, h.sendPart = string(inner.text()), inner.partition()
	h.decisions, h.decPart = string(inner.text()), inner.partition()
	r.bad = r.bad || inner.bad || len(inner.b) > 0
	return h
}

func (r *outboxReader) fail() { r.bad, r.b = true, nil }

func (r *outboxReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *outboxReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *outboxReader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *outboxReader) partition() int32 { return int32(r.uvarint() & 0x7fffffff) }

// count reads a number of elements, of which each takes a byte at least.
func (r *outboxReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *outboxReader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	t := r.b[:n:n]
	r.b = r.b[n:]
	return t
}

func (r *outboxReader) text() []byte {
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	return r.take(n - 1)
}
