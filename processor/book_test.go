package processor

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// smallBook is one whose segments are small enough to fill up in a test.
func smallBook(segment, limit int) *book {
	return &book{size: segment, limit: limit}
}

// bookModel is what a book must know, without a bound.
type bookModel struct {
	t      *rapid.T
	book   *book
	states map[string][]byte // as put last, of everybody
	// changed and armed are what the open batch has changed and armed.
	changed, armed map[string]bool
	puts           int
}

// state makes bytes that no other put has written.
func (m *bookModel) state(size int) []byte {
	m.puts++
	s := bytes.Repeat([]byte{byte(m.puts)}, size)
	copy(s, fmt.Sprint(m.puts, " "))
	return s
}

func (m *bookModel) put(user string, size int, changed, armed bool) {
	s := m.state(size)
	m.states[user] = s
	if changed {
		m.changed[user] = true
	}
	if armed {
		m.armed[user] = true
	}
	m.book.put(keyOf(user), user, s, changed, armed)
	if got, ok := m.book.get(keyOf(user)); !ok || !bytes.Equal(got, s) {
		m.t.Fatalf("put of %s (%d bytes) and get: %q, %v", user, size, got, ok)
	}
}

func (m *bookModel) settle() {
	m.book.settle()
	clear(m.changed)
	clear(m.armed)
}

// check compares the whole book with the model.
func (m *bookModel) check() {
	for user, want := range m.states {
		k := keyOf(user)
		n, has := m.book.find(k)
		if has != m.book.has(k) {
			m.t.Fatalf("has %s: %v", user, !has)
		}
		if !has {
			if m.changed[user] {
				m.t.Fatalf("the state of %s, which the store does not have, is lost", user)
			}
			if !m.book.evicted {
				m.t.Fatalf("%s is not in the book any more, and evicted is not set", user)
			}
			continue
		}
		at := m.book.places[n]
		name, got, _ := m.book.read(at)
		if string(name) != user || !bytes.Equal(got, want) {
			m.t.Fatalf("entry of %s: user %q, state %.20q of %d bytes, want %.20q of %d", user, name, got, len(got), want, len(want))
		}
		if at.changed != m.changed[user] {
			m.t.Fatalf("%s: changed is %v, want %v", user, at.changed, m.changed[user])
		}
		if at.armed != m.armed[user] {
			m.t.Fatalf("%s: armed is %v, want %v", user, at.armed, m.armed[user])
		}
	}
	if m.book.count() > len(m.states) {
		m.t.Fatalf("the book knows %d users, %d were put", m.book.count(), len(m.states))
	}
	listed := map[string]bool{}
	m.book.eachChanged(func(user string, state []byte) {
		if listed[user] || !bytes.Equal(state, m.states[user]) {
			m.t.Fatalf("changed state of %s: %.20q, listed before: %v, want %.20q", user, state, listed[user], m.states[user])
		}
		listed[user] = true
	})
	if !maps.Equal(listed, m.changed) {
		m.t.Fatalf("changed are %v, want %v", listed, m.changed)
	}
}

func TestBookAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segment := rapid.IntRange(40, 400).Draw(t, "segment")
		m := &bookModel{
			t: t, book: smallBook(segment, rapid.IntRange(1, 4).Draw(t, "limit")),
			states: map[string][]byte{}, changed: map[string]bool{}, armed: map[string]bool{},
		}
		user := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("user-%d", rapid.IntRange(0, 30).Draw(t, "user")) })
		size := rapid.Custom(func(t *rapid.T) int {
			if rapid.IntRange(0, 9).Draw(t, "large") == 0 {
				return rapid.IntRange(0, 2*segment).Draw(t, "size") // beyond a segment
			}
			return rapid.IntRange(0, 30).Draw(t, "size")
		})
		change := func(t *rapid.T) {
			m.put(user.Draw(t, "who"), size.Draw(t, "bytes"), true, rapid.Bool().Draw(t, "armed"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": change, "change too": change, "change again": change,
			"load": func(t *rapid.T) {
				// Only what is not in the book is loaded: the store has what was put last.
				who := user.Draw(t, "who")
				if m.book.has(keyOf(who)) {
					t.Skip("known")
				}
				s := m.states[who]
				m.states[who] = s
				m.book.put(keyOf(who), who, s, false, false)
			},
			"read": func(t *rapid.T) {
				who := user.Draw(t, "who")
				if got, ok := m.book.get(keyOf(who)); ok && !bytes.Equal(got, m.states[who]) {
					t.Fatalf("get %s: %.20q, want %.20q", who, got, m.states[who])
				}
			},
			"disarm": func(t *rapid.T) {
				who := user.Draw(t, "who")
				if !m.book.has(keyOf(who)) {
					t.Skip("unknown")
				}
				if got := m.book.disarm(keyOf(who)); got != m.armed[who] {
					t.Fatalf("disarm %s: %v, want %v", who, got, m.armed[who])
				}
				delete(m.armed, who)
			},
			"settle": func(*rapid.T) { m.settle() },
			"":       func(*rapid.T) { m.check() },
		})
	})
}

// Within its room an entry is overwritten where it lies: a user who is written
// again and again does not push the others out.
func TestBookGrowsInPlace(t *testing.T) {
	b := smallBook(1000, 3)
	b.put(keyOf("other"), "other", []byte("stays"), false, false)
	k := keyOf("busy")
	b.put(k, "busy", make([]byte, 100), true, false)
	n, _ := b.find(k)
	at, filled := b.places[n], len(b.segments[0])
	for size := range 134 { // 100 bytes, a quarter and 8 more
		b.put(k, "busy", bytes.Repeat([]byte{1}, size), true, false)
		if b.places[n].offset != at.offset || len(b.segments[0]) != filled {
			t.Fatalf("with %d bytes the entry has moved", size)
		}
	}
	b.put(k, "busy", bytes.Repeat([]byte{2}, 134), true, true)
	if b.places[n].offset == at.offset {
		t.Fatal("134 bytes lie in room for 133")
	}
	if got, _ := b.get(k); !bytes.Equal(got, bytes.Repeat([]byte{2}, 134)) {
		t.Fatalf("after the move: %v", got)
	}
	if got, ok := b.get(keyOf("other")); !ok || string(got) != "stays" {
		t.Fatalf("the neighbour: %q, %v", got, ok)
	}
	if n := len(b.changed); n != 1 {
		t.Errorf("%d changed entries, want 1: %v", n, b.changed)
	}
}

// Memory stays within the bound once batches are closed, whatever passes
// through, and what is used stays before what is not.
func TestBookStaysInItsBounds(t *testing.T) {
	b := smallBook(1<<10, 4)
	favourite := keyOf("favourite")
	b.put(favourite, "favourite", []byte("f"), false, false)
	for i := range 5000 {
		user := fmt.Sprintf("user-%d", i)
		b.put(keyOf(user), user, make([]byte, 20), true, false)
		if i%10 == 9 {
			b.settle()
		}
		if _, ok := b.get(favourite); !ok {
			t.Fatalf("after %d others a user who is looked at all the time is gone", i+1)
		}
	}
	total := 0
	for _, s := range b.segments {
		total += cap(s)
	}
	if total > 5<<10 {
		t.Errorf("%d bytes in %d segments, want at most 5 KiB", total, len(b.segments))
	}
	if b.count() < 20 || b.count() > 100 {
		t.Errorf("%d users in 4 KiB, want about 60", b.count())
	}
}

// A batch may change more than the ring holds: nothing of it is lost, and the
// ring grows.
func TestBookHoldsABatchLargerThanItself(t *testing.T) {
	b := smallBook(256, 3)
	var want []string
	for i := range 300 {
		user := fmt.Sprintf("user-%03d", i)
		want = append(want, user)
		b.put(keyOf(user), user, []byte(user), true, false)
	}
	var got []string
	b.eachChanged(func(user string, state []byte) {
		if user != string(state) {
			t.Errorf("state of %s: %s", user, state)
		}
		got = append(got, user)
	})
	if !slices.Equal(got, want) {
		t.Errorf("%d states changed, want %d, in the order of their first change", len(got), len(want))
	}
	if b.evicted {
		t.Error("evicted is set though nothing had to go")
	}
}

// A large state finds its place though every segment holds something that must
// stay.
func TestBookPlacesLargeStates(t *testing.T) {
	for _, size := range []int{700, 1000, 5000} {
		b := smallBook(1000, 3)
		pin := func(i int) {
			user := fmt.Sprintf("changed-%d", i)
			b.put(keyOf(user), user, make([]byte, 60), true, false)
			for j := range 10 { // unchanged ones fill the segment
				other := fmt.Sprintf("other-%d-%d", i, j)
				b.put(keyOf(other), other, make([]byte, 60), false, false)
			}
		}
		for i := range 3 {
			pin(i)
		}
		large := bytes.Repeat([]byte("x"), size)
		b.put(keyOf("large"), "large", large, true, false)
		if got, ok := b.get(keyOf("large")); !ok || !bytes.Equal(got, large) {
			t.Errorf("%d bytes: found %v, %d bytes", size, ok, len(got))
		}
		for i := range 3 {
			if !b.has(keyOf(fmt.Sprintf("changed-%d", i))) {
				t.Errorf("%d bytes: changed-%d is lost", size, i)
			}
		}
	}
}

// Whoever is erased is nowhere in the memory any more, earlier copies included; who
// came again keeps what is new, others keep everything.
func TestBookErases(t *testing.T) {
	b := smallBook(4<<10, 8)
	state := func(user string, size int) []byte { return bytes.Repeat([]byte(user[:1]), size) }
	users := []string{"erased", "returned", "kept"}
	for size := 10; size <= 320; size *= 2 { // each time it has to move
		for _, u := range users {
			b.put(keyOf(u), u, state(u, size), true, true)
		}
	}
	for _, u := range users[:2] {
		n, _ := b.find(keyOf(u))
		b.empty(n)
		if b.disarm(keyOf(u)) {
			t.Errorf("%s is armed still", u)
		}
	}
	b.put(keyOf("returned"), "returned", []byte("new"), true, false)
	changed := map[string]string{}
	b.eachChanged(func(user string, state []byte) { changed[user] = string(state) })
	if changed["erased"] != "" || changed["returned"] != "new" || len(changed) != 3 {
		t.Errorf("changed are %q", changed)
	}
	b.settle()
	b.erase(map[string]bool{"erased": true, "returned": true})
	for text, want := range map[string]int{"erased": 0, "eeeee": 0, "returned": 1, "rrrrr": 0} {
		n := 0
		for _, segment := range b.segments {
			n += bytes.Count(segment, []byte(text))
		}
		if n != want {
			t.Errorf("%q is there %d times, want %d", text, n, want)
		}
	}
	if b.has(keyOf("erased")) {
		t.Error("who was erased is there")
	}
	if s, _ := b.get(keyOf("returned")); string(s) != "new" {
		t.Errorf("who came again has %q", s)
	}
	// The ring goes round past what was erased.
	for i := range 1000 {
		u := fmt.Sprint("other", i)
		b.put(keyOf(u), u, state(u, 50), false, false)
		if s, ok := b.get(keyOf("kept")); !ok || !bytes.Equal(s, state("kept", 320)) {
			t.Fatalf("after %d others the one who stays has %q", i, s)
		}
	}
}
