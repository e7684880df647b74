package rules

import (
	"encoding/binary"
	"errors"
	"unsafe"
)

// reader takes the stored form apart. After the first error it returns zeros.
type reader struct {
	b       []byte
	err     error
	version byte
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

// number reads what shortest wrote.
func (r *reader) number() float64 {
	v := r.value()
	if v.Kind != Int && v.Kind != Float {
		r.fail()
		return 0
	}
	return v.Float()
}
