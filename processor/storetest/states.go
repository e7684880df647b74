package storetest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/nudged/nudged/processor"
)

var stateTests = map[string]func(*testing.T, processor.Store){
	"StatesUnknownAndEmpty":  testStatesUnknown,
	"StatesOfManyUsers":      testStatesMany,
	"StatesReplaced":         testStatesReplaced,
	"StatesLarge":            testStatesLarge,
	"StatesOutliveTheClaims": testStatesOutlive,
	"UsersBySlices":          testUsers,
	"StatesDeleted":          testStatesDeleted,
}

// oddUsers are ids that a store might trip over.
var oddUsers = []string{
	"", " ", "a", "a ", ":", "a:b", "{a}", "}{", "*", "?[x]", `\`, "\x00", "\x00\x00", "\xff\xfe", "\r\n", "$5\r\nhello",
	"1", "01", "-1", "1e3", "9223372036854775808", "nil", "ü", string(bytes.Repeat([]byte("long"), 300)),
}

func testStatesUnknown(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	o.write(func(b *processor.Batch) {
		b.States = []processor.StateWrite{{User: "ann", State: []byte("x")}, {User: "empty", State: []byte{}}, {User: "none"}}
	})
	got := o.states("bob", "ann", "an", "annn", "empty", "none", "ann")
	for i, want := range []string{"nil", "x", "nil", "nil", "", "", "x"} {
		switch {
		case want == "nil" && got[i] != nil:
			t.Errorf("state %d = %q, want nil: the user has none", i, got[i])
		case want != "nil" && (got[i] == nil || string(got[i]) != want):
			t.Errorf("state %d = %q (nil: %t), want %q", i, got[i], got[i] == nil, want)
		}
	}
	if got := o.states(); len(got) != 0 {
		t.Errorf("States of nobody = %q", got)
	}
}

func testStatesMany(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	const n = 10_000
	users := append([]string(nil), oddUsers...)
	for i := len(users); i < n; i++ {
		users = append(users, fmt.Sprintf("user-%d\x00%c", i*7919, rune(i)))
	}
	state := func(i int, u string) []byte { return fmt.Appendf(nil, "%d\x00%s", i, u) }
	o.write(func(b *processor.Batch) {
		for i, u := range users {
			b.States = append(b.States, processor.StateWrite{User: u, State: state(i, u)})
		}
	})
	// Asked in another order, some twice, with strangers in between.
	var ask []string
	var want [][]byte
	for i := range users {
		j := (i*617 + 5) % n
		ask = append(ask, users[j])
		want = append(want, state(j, users[j]))
		if i%1000 == 0 {
			ask = append(ask, users[j], fmt.Sprint("stranger ", i))
			want = append(want, state(j, users[j]), nil)
		}
	}
	for i, got := range o.states(ask...) {
		if !bytes.Equal(got, want[i]) || (got == nil) != (want[i] == nil) {
			t.Fatalf("state of %q = %q, want %q", ask[i], got, want[i])
		}
	}
}

func testStatesDeleted(t *testing.T, s processor.Store) {
	for _, others := range []int{0, 2000} { // a small batch and a large one
		o, _ := claim(t, s, epoch+int64(others), mine)
		o.write(func(b *processor.Batch) {
			for _, u := range oddUsers {
				b.States = append(b.States, processor.StateWrite{User: u, State: []byte("x")})
			}
		})
		gone := oddUsers[:len(oddUsers)/2]
		o.write(func(b *processor.Batch) {
			b.Gone = append([]string{"was never there"}, gone...)
			for i := range others {
				b.States = append(b.States, processor.StateWrite{User: fmt.Sprint("other ", i), State: []byte("y")})
			}
		})
		for i, state := range o.states(oddUsers...) {
			if deleted := i < len(gone); deleted != (state == nil) {
				t.Errorf("state of %q is %q, deleted: %v", oddUsers[i], state, deleted)
			}
		}
		if others > 0 {
			equal(t, "another state of the batch", o.states("other 7"), [][]byte{[]byte("y")})
		}
		o.write(func(b *processor.Batch) { b.States = []processor.StateWrite{{User: gone[0], State: []byte("again")}} })
		equal(t, "a state written after it was deleted", o.states(gone[0]), [][]byte{[]byte("again")})
	}
}

// Every user is in one slice, with the state written last.
func testUsers(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	all := func() map[string]string {
		t.Helper()
		found := map[string]string{}
		for n, of := 0, 1; n < of; n++ {
			users, slices, err := s.Users(t.Context(), input, o.head.Fence(), n)
			if err != nil || slices < 1 || n > 0 && slices != of {
				t.Fatalf("slice %d of %d: %d users, %d slices, %v", n, of, len(users), slices, err)
			}
			of = slices
			for _, u := range users {
				if old, twice := found[u.User]; twice {
					t.Fatalf("%q is in two slices, with %q and %q", u.User, old, u.State)
				}
				found[u.User] = string(u.State)
			}
		}
		return found
	}
	equal(t, "users at first", all(), map[string]string{})
	want := map[string]string{}
	for round := range 2 {
		o.write(func(b *processor.Batch) {
			for i, u := range oddUsers {
				if round == 1 && i%3 > 0 {
					continue
				}
				want[u] = fmt.Sprint(round, " ", i)
				b.States = append(b.States, processor.StateWrite{User: u, State: []byte(want[u])})
			}
		})
		equal(t, "users", all(), want)
	}
	if users, _, err := s.Users(t.Context(), processor.TopicPartition{Topic: "unknown"}, processor.Fence{}, 0); len(users) != 0 || err != nil {
		t.Errorf("%d users of a partition that is not there, error %v", len(users), err)
	}
}

func testStatesReplaced(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	for i := range 3 {
		o.write(func(b *processor.Batch) {
			for _, u := range oddUsers[i:] {
				b.States = append(b.States, processor.StateWrite{User: u, State: fmt.Appendf(nil, "%d %s", i, u)})
			}
		})
	}
	got := o.states(oddUsers...)
	for i, u := range oddUsers {
		if want := fmt.Sprintf("%d %s", min(i, 2), u); string(got[i]) != want {
			t.Errorf("state of %q = %q, want %q", u, got[i], want)
		}
	}
	// Named twice in one batch, the later state counts.
	o.write(func(b *processor.Batch) {
		b.States = []processor.StateWrite{{User: "a", State: []byte("first")}, {User: "b", State: []byte("b")}, {User: "a", State: []byte("second")}}
	})
	equal(t, "states", o.states("a", "b"), [][]byte{[]byte("second"), []byte("b")})
}

func testStatesLarge(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	sizes := []int{0, 1, 63, 64, 511, 512, 513, 65_535, 65_536, 1 << 20}
	var users []string
	o.write(func(b *processor.Batch) {
		for i, n := range sizes {
			users = append(users, fmt.Sprint(n))
			b.States = append(b.States, processor.StateWrite{User: users[i], State: bytes.Repeat([]byte{byte(i), '\n', 0}, n/3+1)[:n]})
		}
	})
	for i, got := range o.states(users...) {
		if want := bytes.Repeat([]byte{byte(i), '\n', 0}, sizes[i]/3+1)[:sizes[i]]; !bytes.Equal(got, want) {
			t.Errorf("state of %d bytes came back with %d, or changed", sizes[i], len(got))
		}
	}
}

func testStatesOutlive(t *testing.T, s processor.Store) {
	old, _ := claim(t, s, epoch, mine)
	full(old)
	o, _ := claim(t, s, epoch+1, another)
	equal(t, "states for the next owner", o.states("ann", "a:b"), [][]byte{[]byte("1"), {0, 255}})
	old.blind(processor.ErrFenced)
	// Whoever owns nothing reads what is there.
	got, err := s.States(t.Context(), input, processor.Fence{}, []string{"ann"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "states for anybody", got, [][]byte{[]byte("1")})
}
