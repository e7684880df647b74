package processor

import "encoding/binary"

// book holds the stored forms of states of one partition, bounded in bytes:
// those that the open batch has changed, and as many others as there is room
// for. It has no pointers in it, so that the garbage collector has nothing to
// look at: a ring of segments, and a directory. A state that grows is written
// anew at the head; when the ring is full, the oldest segment is given up, save
// for what is changed or was used since it was written.
type book struct {
	directory
	segments [][]byte
	head     int // segment written to
	limit    int // segments
	size     int // of a segment
	changed  []uint32
	bytes    int  // of changed states
	evicted  bool // something that the store has is not here
}

// entryHead is the fixed part of an entry: lengths of user and state, and how
// many bytes the state may grow to.
const entryHead = 2 + 4 + 4

// newBook returns a book of about size bytes, in at least three segments of 64
// KiB to 1 MiB.
func newBook(size int) *book {
	segment := min(max(size/8, 64<<10), 1<<20)
	return &book{size: segment, limit: max(3, size/segment)}
}

// get returns the state's bytes, valid until the next put, and whether the user
// is in the book.
func (b *book) get(k userKey) (state []byte, ok bool) {
	n, ok := b.find(k)
	if !ok {
		return nil, false
	}
	return b.use(n), true
}

// use returns the state's bytes, valid until the next put.
func (b *book) use(n uint32) []byte {
	at := &b.places[n]
	at.used = true
	_, state, _ := b.read(*at)
	return state
}

// stateSize is how many bytes the state has.
func (b *book) stateSize(n uint32) int {
	at := b.places[n]
	return int(binary.LittleEndian.Uint32(b.segments[at.segment][at.offset+2:]))
}

func (b *book) has(k userKey) bool {
	_, ok := b.find(k)
	return ok
}

func (b *book) read(at place) (user, state []byte, size int) {
	e := b.segments[at.segment][at.offset:]
	n := int(binary.LittleEndian.Uint16(e))
	s := int(binary.LittleEndian.Uint32(e[2:]))
	room := int(binary.LittleEndian.Uint32(e[6:]))
	user = e[entryHead : entryHead+n]
	return user, e[entryHead+n : entryHead+n+s : entryHead+n+s], entryHead + n + room
}

// put enters a state. changed says that the store does not have it yet, armed
// that the timer index may need an entry for it.
func (b *book) put(k userKey, user string, state []byte, changed, armed bool) {
	if n, ok := b.find(k); ok {
		b.replace(n, user, state, changed, armed)
		return
	}
	b.write(b.add(k), user, state, changed, armed)
}

// replace enters a new state of a user who is in the book.
func (b *book) replace(n uint32, user string, state []byte, changed, armed bool) {
	at := &b.places[n]
	e := b.segments[at.segment][at.offset:]
	if room := int(binary.LittleEndian.Uint32(e[6:])); len(state) > room {
		b.write(n, user, state, changed, armed)
		return
	}
	binary.LittleEndian.PutUint32(e[2:], uint32(len(state)))
	copy(e[entryHead+int(binary.LittleEndian.Uint16(e)):], state)
	at.used = true
	b.note(n, len(user)+len(state), changed, armed)
}

// empty takes an entry's state away, its bytes too.
func (b *book) empty(n uint32) {
	at := &b.places[n]
	user, _, size := b.read(*at)
	e := b.segments[at.segment][at.offset:]
	binary.LittleEndian.PutUint32(e[2:], 0)
	clear(e[entryHead+len(user) : size])
	at.armed = false
	b.note(n, len(user), true, false)
}

// erase drops the users who have no state, and overwrites what was held of all of
// them earlier. The store has everything.
func (b *book) erase(users map[string]bool) {
	for i, segment := range b.segments {
		for offset := 0; offset < len(segment); {
			at := place{segment: uint32(i), offset: uint32(offset)}
			user, state, size := b.read(at)
			if users[string(user)] {
				n, ok := b.find(keyOf(string(user)))
				current := ok && b.places[n].segment == at.segment && b.places[n].offset == at.offset
				if !current || len(state) == 0 {
					if current {
						b.drop(n)
					}
					clear(segment[offset+entryHead : offset+size])
				}
			}
			offset += size
		}
	}
}

// note marks a place as changed and armed.
func (b *book) note(n uint32, size int, changed, armed bool) {
	at := &b.places[n]
	if changed && !at.changed {
		at.changed = true
		b.changed = append(b.changed, n)
		b.bytes += size
	}
	at.armed = at.armed || armed
}

// write writes an entry anew at the head.
func (b *book) write(n uint32, user string, state []byte, changed, armed bool) {
	b.places[n].segment = nowhere // what was there is not current any more
	room := len(state) + len(state)/4 + 8
	segment, offset := b.allocate(entryHead + len(user) + room)
	at := &b.places[n]
	at.segment, at.offset, at.used = segment, offset, false
	e := b.segments[segment][offset:]
	binary.LittleEndian.PutUint16(e, uint16(len(user)))
	binary.LittleEndian.PutUint32(e[2:], uint32(len(state)))
	binary.LittleEndian.PutUint32(e[6:], uint32(room))
	copy(e[entryHead:], user)
	copy(e[entryHead+len(user):], state)
	b.note(n, len(user)+len(state), changed, armed)
}

// allocate makes room for an entry at the head. A state larger than a segment
// gets a segment of its own size.
func (b *book) allocate(size int) (segment, offset uint32) {
	for turned := 0; len(b.segments) == 0 || len(b.segments[b.head]) > 0 && len(b.segments[b.head])+size > cap(b.segments[b.head]); turned++ {
		if turned > len(b.segments) {
			b.extend() // something that must stay is in every segment
			break
		}
		b.advance()
	}
	seg := b.segments[b.head]
	if cap(seg) < size {
		seg = make([]byte, 0, size)
	}
	segment, offset = uint32(b.head), uint32(len(seg))
	b.segments[b.head] = seg[:len(seg)+size]
	return segment, offset
}

// advance moves the head to a segment with room. What was in it goes, but for
// current entries that are changed, or were used and fit in half of it.
func (b *book) advance() {
	if len(b.segments) < b.limit {
		b.extend()
		return
	}
	b.head = (b.head + 1) % len(b.segments)
	old := b.segments[b.head]
	kept := make([]byte, 0, b.size)
	for offset := 0; offset < len(old); {
		user, _, size := b.read(place{segment: uint32(b.head), offset: uint32(offset)})
		n, ok := b.find(keyOf(string(user)))
		if ok && b.places[n].segment == uint32(b.head) && b.places[n].offset == uint32(offset) {
			at := &b.places[n]
			if at.changed || at.used && len(kept)+size <= b.size/2 {
				at.offset, at.used = uint32(len(kept)), false
				kept = append(kept, old[offset:offset+size]...)
			} else {
				b.drop(n)
				b.evicted = true
			}
		}
		offset += size
	}
	b.segments[b.head] = kept
	if len(kept) > b.size/2 {
		// Full of what must stay: the ring grows for as long as the batch is open.
		b.extend()
	}
}

// extend adds an empty segment and moves the head to it.
func (b *book) extend() {
	b.segments = append(b.segments, make([]byte, 0, b.size))
	b.head = len(b.segments) - 1
}

// eachChanged calls f for every state that the open batch has changed. state is
// valid until the next put.
func (b *book) eachChanged(f func(user string, state []byte)) {
	for _, n := range b.changed {
		user, state, _ := b.read(b.places[n])
		f(string(user), state)
	}
}

// disarm reports whether the entry is armed, and takes that back.
func (b *book) disarm(k userKey) bool {
	n, ok := b.find(k)
	if !ok || !b.places[n].armed {
		return false
	}
	b.places[n].armed = false
	return true
}

// settle notes that the store has everything.
func (b *book) settle() {
	for _, n := range b.changed {
		b.places[n].changed, b.places[n].armed = false, false
	}
	b.changed, b.bytes = b.changed[:0], 0
}
