package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// The stored form of a State, version 1. Integers are varints (zigzag where
// they may be negative), times are distances from the newest event, which keeps
// them short. Sections that are empty are absent.
//
//	version  1 byte
//	newest   zigzag
//	sections uvarint, bits below
//	hint     zigzag, due - newest
//	recent   count, 6 bytes each
//	attrs    count, each: id (4 bytes), value
//	metrics  count, each: id, kind | 0x80 if keyed, points from the newest
//	         back: uvarint (distance << 1 | n > 1) [n] [6 bytes of key]
//	sent     count, each: id, zigzag newest - t
//	pending  count, each: id, flags, due - newest, [key], [step], type,
//	         trigger id, newest - time, partition, offset, [fields]
const stateVersion = 1

const (
	hasHint = 1 << iota
	hasRecent
	hasAttrs
	hasMetrics
	hasSent
	hasPending
	knownSections = 1<<iota - 1
)

const (
	instanceKey = 1 << iota
	instanceStep
	instanceTypeText
	instanceFields
)

const keyedMetric = 0x80

// Append appends the stored form of the state to dst. What the set does not
// read any more, and what has left its window, is dropped on the way; that
// changes no later decision.
func (st *State) Append(dst []byte, s *Set) []byte {
	st.drop(s)
	sections := uint64(0)
	if st.hint != 0 {
		sections |= hasHint
	}
	if len(st.recent) > 0 {
		sections |= hasRecent
	}
	if len(st.attrs) > 0 {
		sections |= hasAttrs
	}
	if len(st.metrics) > 0 {
		sections |= hasMetrics
	}
	if len(st.sent) > 0 {
		sections |= hasSent
	}
	if len(st.instances) > 0 {
		sections |= hasPending
	}
	dst = append(dst, stateVersion)
	dst = binary.AppendVarint(dst, st.newest)
	dst = binary.AppendUvarint(dst, sections)
	if st.hint != 0 {
		dst = binary.AppendVarint(dst, st.hint-st.newest)
	}
	if len(st.recent) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(st.recent)/idBytes))
		dst = append(dst, st.recent...)
	}
	if len(st.attrs) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(st.attrs)))
		for i := range st.attrs {
			dst = appendID(dst, st.attrs[i].ID)
			dst = appendValue(dst, st.attrs[i].Value)
		}
	}
	if len(st.metrics) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(st.metrics)))
		for i := range st.metrics {
			dst = st.appendMetric(dst, &st.metrics[i])
		}
	}
	if len(st.sent) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(st.sent)))
		for _, l := range st.sent {
			dst = appendID(dst, l.rule)
			dst = binary.AppendVarint(dst, st.newest-l.t)
		}
	}
	if len(st.instances) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(st.instances)))
		for i := range st.instances {
			dst = st.appendInstance(dst, &st.instances[i])
		}
	}
	return dst
}

// drop removes what nothing can need any more.
func (st *State) drop(s *Set) {
	keptAttrs := st.attrs[:0]
	for _, a := range st.attrs {
		if _, ok := s.attrs[a.ID]; ok {
			keptAttrs = append(keptAttrs, a)
		}
	}
	st.attrs = keptAttrs
	n := 0
	for i := range st.metrics {
		m := s.metrics[st.metrics[i].id]
		if m == nil || !st.metrics[i].is(m) {
			continue
		}
		st.metrics[i].prune(m, st.newest)
		if len(st.metrics[i].points) == 0 {
			continue
		}
		// Swapped, not copied: each element keeps points of its own for reuse.
		st.metrics[n], st.metrics[i] = st.metrics[i], st.metrics[n]
		n++
	}
	st.metrics = st.metrics[:n]
	keptSent := st.sent[:0]
	for _, l := range st.sent {
		if r := s.rules[l.rule]; r != nil && st.newest-l.t < r.Cooldown {
			keptSent = append(keptSent, l)
		}
	}
	st.sent = keptSent
}

func (st *State) appendMetric(dst []byte, ms *metricState) []byte {
	dst = appendID(dst, ms.id)
	kind := byte(ms.kind)
	if ms.keyed {
		kind |= keyedMetric
	}
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(ms.points)))
	at := st.newest
	for i := len(ms.points) - 1; i >= 0; i-- {
		p := ms.points[i]
		// A point is never newer than the newest event, nor than its successor.
		head := uint64(at-p.t) << 1
		if p.n != 1 {
			dst = binary.AppendUvarint(dst, head|1)
			dst = binary.AppendUvarint(dst, uint64(p.n))
		} else {
			dst = binary.AppendUvarint(dst, head)
		}
		if ms.keyed {
			dst = appendUint48(dst, p.key)
		}
		at = p.t
	}
	return dst
}

func (st *State) appendInstance(dst []byte, in *Instance) []byte {
	flags := byte(0)
	if in.Key != "" {
		flags |= instanceKey
	}
	if in.Step != 0 {
		flags |= instanceStep
	}
	if in.Trigger.typeID == 0 {
		flags |= instanceTypeText
	}
	if len(in.Trigger.Fields) > 0 {
		flags |= instanceFields
	}
	dst = appendID(dst, in.rule)
	dst = append(dst, flags)
	dst = binary.AppendVarint(dst, in.Due-st.newest)
	if in.Key != "" {
		dst = appendString(dst, in.Key)
	}
	if in.Step != 0 {
		dst = binary.AppendUvarint(dst, uint64(in.Step))
	}
	t := &in.Trigger
	if t.typeID == 0 {
		dst = appendString(dst, t.typ)
	} else {
		dst = appendID(dst, t.typeID)
	}
	dst = appendString(dst, t.ID)
	dst = binary.AppendVarint(dst, st.newest-t.Time)
	dst = binary.AppendUvarint(dst, uint64(t.Partition))
	dst = binary.AppendUvarint(dst, uint64(t.Offset))
	if len(t.Fields) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(t.Fields)))
		for i := range t.Fields {
			dst = appendID(dst, t.Fields[i].ID)
			dst = appendValue(dst, t.Fields[i].Value)
		}
	}
	return dst
}

func uint48(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
}

func appendUint48(dst []byte, h uint64) []byte {
	return append(dst, byte(h), byte(h>>8), byte(h>>16), byte(h>>24), byte(h>>32), byte(h>>40))
}

func appendID(dst []byte, id ID) []byte { return binary.LittleEndian.AppendUint32(dst, uint32(id)) }

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendValue(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case Absent:
	case Bool:
		dst = append(dst, byte(v.num))
	case Int, Time:
		dst = binary.AppendVarint(dst, int64(v.num))
	case Float:
		dst = binary.LittleEndian.AppendUint64(dst, v.num)
	case String, JSON:
		dst = appendString(dst, v.str)
	}
	return dst
}

// Decode replaces the state with the one stored in blob, of which it keeps a
// copy. The error says why the bytes are not a state; the state is then empty.
func (st *State) Decode(blob []byte) error {
	st.Reset()
	st.buf = append(st.buf, blob...)
	r := reader{b: st.buf}
	if err := st.decode(&r); err != nil {
		st.Reset()
		return err
	}
	return nil
}

func (st *State) decode(r *reader) error {
	if v := r.byte(); r.err == nil && v != stateVersion {
		return fmt.Errorf("stored state has version %d, this program reads version %d: it was written by another version of nudged", v, stateVersion)
	}
	st.newest = r.varint()
	sections := r.uvarint()
	if sections&^uint64(knownSections) != 0 {
		return fmt.Errorf("stored state has unknown sections %#x: it was written by a newer version of nudged", sections)
	}
	if sections&hasHint != 0 {
		st.hint = st.newest + r.varint()
	}
	if sections&hasRecent != 0 {
		st.recent = append(st.recent, r.take(r.count(idBytes)*idBytes)...)
	}
	if sections&hasAttrs != 0 {
		for range r.count(5) {
			st.attrs = append(st.attrs, attrState{r.id(), r.value()})
		}
	}
	if sections&hasMetrics != 0 {
		for range r.count(6) {
			st.decodeMetric(r)
		}
	}
	if sections&hasSent != 0 {
		for range r.count(5) {
			st.sent = append(st.sent, lastSend{r.id(), st.newest - r.varint()})
		}
	}
	if sections&hasPending != 0 {
		for range r.count(10) {
			st.decodeInstance(r)
		}
	}
	if r.err == nil && len(r.b) != 0 {
		return fmt.Errorf("stored state has %d bytes after its end", len(r.b))
	}
	return r.err
}

func (st *State) decodeMetric(r *reader) {
	id, kind := r.id(), r.byte()
	ms := st.metricFor(&Metric{ID: id, Kind: MetricKind(kind &^ keyedMetric), Keyed: kind&keyedMetric != 0})
	n := r.count(1)
	base := len(ms.points)
	at := st.newest
	for range n {
		head := r.uvarint()
		p := point{t: at - int64(head>>1), n: 1}
		if head&1 != 0 {
			p.n = int64(r.uvarint() & math.MaxInt64)
		}
		if ms.keyed {
			p.key = r.uint48()
		}
		at = p.t
		ms.points = append(ms.points, p)
	}
	// They come newest first.
	for i, j := base, len(ms.points)-1; i < j; i, j = i+1, j-1 {
		ms.points[i], ms.points[j] = ms.points[j], ms.points[i]
	}
}

func (st *State) decodeInstance(r *reader) {
	in := st.addInstance()
	in.rule = r.id()
	flags := r.byte()
	in.Due = st.newest + r.varint()
	if flags&instanceKey != 0 {
		in.Key = r.string()
	}
	if flags&instanceStep != 0 {
		in.Step = int(r.uvarint() & math.MaxInt32)
	}
	t := &in.Trigger
	if flags&instanceTypeText != 0 {
		t.typ = r.string()
	} else {
		t.typeID = r.id()
	}
	t.ID = r.string()
	t.Time = st.newest - r.varint()
	t.Partition = int32(r.uvarint() & math.MaxInt32)
	t.Offset = int64(r.uvarint() & math.MaxInt64)
	if flags&instanceFields != 0 {
		for range r.count(5) {
			t.Fields = append(t.Fields, TriggerField{r.id(), r.value()})
		}
	}
}

// addInstance appends an empty instance, reusing the memory of an earlier one.
func (st *State) addInstance() *Instance {
	n := len(st.instances)
	if n == cap(st.instances) {
		st.instances = append(st.instances, Instance{})
	} else {
		st.instances = st.instances[:n+1]
	}
	in := &st.instances[n]
	*in = Instance{Trigger: Trigger{Fields: in.Trigger.Fields[:0]}}
	return in
}

// reader takes the stored form apart. After the first error it returns zeros.
type reader struct {
	b   []byte
	err error
}

var errShort = errors.New("stored state is cut short or damaged")

func (r *reader) fail() {
	r.err = errShort
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads a number of elements of at least size bytes each, so that damaged
// bytes cannot ask for more than there is.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) id() ID {
	b := r.take(4)
	if b == nil {
		return 0
	}
	return ID(binary.LittleEndian.Uint32(b))
}

func (r *reader) uint48() uint64 {
	b := r.take(idBytes)
	if b == nil {
		return 0
	}
	return uint48(b)
}

func (r *reader) string() string {
	b := r.take(r.count(1))
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

func (r *reader) value() Value {
	v := Value{Kind: ValueKind(r.byte())}
	switch v.Kind {
	case Absent:
	case Bool:
		v.num = uint64(r.byte() & 1)
	case Int, Time:
		v.num = uint64(r.varint())
	case Float:
		if b := r.take(8); b != nil {
			v.num = binary.LittleEndian.Uint64(b)
		}
	case String, JSON:
		v.str = r.string()
	default:
		r.fail()
	}
	return v
}
