package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/nudged/nudged/processor"
)

var claimTests = map[string]func(*testing.T, processor.Store){
	"ClaimMakesAHeader":              testClaimNew,
	"ClaimRepeated":                  testClaimRepeated,
	"ClaimHigherKeepsWhatIsStored":   testClaimHigher,
	"ClaimRefused":                   testClaimRefused,
	"ClaimEpochsOf64Bits":            testClaimLargeEpochs,
	"ClaimWhileBeingEmptied":         testClaimWiping,
	"ClaimNames":                     testClaimNames,
	"ClaimsAtTheSameTime":            testClaimRace,
	"PartitionsKnowNothingOfAnother": testPartitionsApart,
	"NothingStored":                  testNothingStored,
	"ClaimTakesOver":                 testClaimTakesOver,
	"PeekTellsOfTheOutbox":           testPeekOldest,
}

func testNothingStored(t *testing.T, s processor.Store) {
	o := &owner{t: t, store: s, tp: input}
	if h := o.peek(); h != nil {
		t.Errorf("Peek = %+v, want nil", h)
	}
	if _, _, err := s.Fence(t.Context(), input); !errors.Is(err, processor.ErrLost) {
		t.Errorf("Fence = %v, want ErrLost", err)
	}
	if got := o.states("ann"); got[0] != nil {
		t.Errorf("States = %q, want nil", got)
	}
	if got := o.timers(processor.Bucket{Width: processor.FarBucket}); len(got) != 0 {
		t.Errorf("Timers = %v, want none", got)
	}
	if err := s.Write(t.Context(), input, &processor.Batch{Epoch: epoch}); !errors.Is(err, processor.ErrLost) {
		t.Errorf("Write = %v, want ErrLost", err)
	}
	if err := s.Wipe(t.Context(), input, epoch); !errors.Is(err, processor.ErrLost) {
		t.Errorf("Wipe = %v, want ErrLost", err)
	}
	if h := o.peek(); h != nil {
		t.Errorf("Peek = %+v after calls that were refused, want nil", h)
	}
}

func testClaimNew(t *testing.T, s processor.Store) {
	got, err := s.Claim(t.Context(), input, processor.Claim{
		ID: id, Epoch: epoch, Claimer: mine, Base: 4711, Names: map[uint32]string{7: "cart"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := processor.Header{ID: id, Epoch: epoch, Offset: 4711, Base: 4711, Wiping: true}
	equal(t, "Claim", got, &processor.Claimed{Header: want, Names: map[uint32]string{7: "cart"}})
	h, err := s.Peek(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "Peek", h, &want)
	e, v, err := s.Fence(t.Context(), input)
	if e != epoch || v != 0 || err != nil {
		t.Errorf("Fence = %d, %d, %v, want %d, 0", e, v, err, int64(epoch))
	}
}

// full is a batch of everything.
func full(o *owner) *processor.Batch {
	o.t.Helper()
	far := processor.Bucket{Start: 3 * processor.FarBucket, Width: processor.FarBucket}
	return o.write(func(b *processor.Batch) {
		b.States = []processor.StateWrite{{User: "ann", State: []byte("1")}, {User: "a:b", State: []byte{0, 255}}}
		b.Timers = []processor.TimerWrite{{Bucket: far, New: true, Entries: []processor.TimerEntry{{At: far.Start + 5000, User: "ann"}}}}
		b.Outbox = &processor.OutboxEntry{Seq: b.Next.Seq, Records: []byte("records")}
		b.Next.Last = b.Next.Seq
		b.Next.Evidence = processor.Evidence{SendPartition: 1, SendOffset: 2, DecisionPartition: 3, DecisionOffset: 4}
		b.Next.Sweep = processor.Sweep{Done: 5, At: 6, Next: 1, Of: 3, Rules: "v"}
	})
}

func testClaimRepeated(t *testing.T, s processor.Store) {
	c := processor.Claim{ID: id, Epoch: epoch, Claimer: mine, Base: 100, Names: map[uint32]string{1: "one"}}
	first, err := s.Claim(t.Context(), input, c)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Claim(t.Context(), input, c)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "Claim repeated", second, first)

	// One that comes late, when the owner has gone on, takes nothing back.
	o := &owner{t: t, store: s, tp: input, claimer: mine, head: first.Header}
	o.wipe()
	full(o)
	want := o.look()
	late, err := s.Claim(t.Context(), input, c)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "header after a late claim", late.Header, o.head)
	equal(t, "content after a late claim", o.look(), want)
	full(o)
}

func testClaimHigher(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	full(o)
	full(o)
	before := o.look()

	got, err := s.Claim(t.Context(), input, processor.Claim{ID: id, Epoch: epoch + 5, Claimer: another, Base: 999})
	if err != nil {
		t.Fatal(err)
	}
	want := before.Claimed
	want.Header.Epoch, want.Header.Version = epoch+5, 0
	equal(t, "Claim under a higher epoch", got, want)
	equal(t, "what is stored", (&owner{t: t, store: s, tp: input, claimer: another, head: got.Header}).look(), before)

	// The same process, too, begins anew under a higher epoch.
	got, err = s.Claim(t.Context(), input, processor.Claim{ID: id, Epoch: epoch + 6, Claimer: another})
	if err != nil {
		t.Fatal(err)
	}
	want.Header.Epoch = epoch + 6
	equal(t, "Claim under a still higher epoch", got, want)
}

func testClaimRefused(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	full(o)
	for _, tc := range []struct {
		name string
		c    processor.Claim
		want error
	}{
		{"lower", processor.Claim{ID: id, Epoch: epoch - 1, Claimer: mine}, processor.ErrFenced},
		{"lower by digits", processor.Claim{ID: id, Epoch: 999, Claimer: mine}, processor.ErrFenced},
		{"same of another", processor.Claim{ID: id, Epoch: epoch, Claimer: another}, processor.ErrFenced},
		{"other id", processor.Claim{ID: id + "0", Epoch: epoch, Claimer: mine}, processor.ErrIdentity},
		{"other id, higher", processor.Claim{ID: "", Epoch: epoch + 1, Claimer: another}, processor.ErrIdentity},
	} {
		tc.c.Names = map[uint32]string{99: "must not be kept"}
		unchanged(t, s, func() {
			if got, err := s.Claim(t.Context(), input, tc.c); !errors.Is(err, tc.want) || got != nil {
				t.Errorf("%s: Claim = %+v, %v, want %v", tc.name, got, err, tc.want)
			}
		})
	}
	full(o)
}

// What is stored under one identity goes over to another, and to another offset,
// with all that it holds; and to no other identity than the one named.
func testClaimTakesOver(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	full(o)
	before := o.look()
	const anew = "cluster group topic-anew 12"
	for _, c := range []processor.Claim{
		{ID: anew, Epoch: epoch + 1, Claimer: another},
		{ID: anew, Epoch: epoch + 1, Claimer: another, Takeover: &processor.Takeover{ID: "a third", Offset: 7}},
	} {
		unchanged(t, s, func() {
			if _, err := s.Claim(t.Context(), input, c); !errors.Is(err, processor.ErrIdentity) {
				t.Errorf("Claim with %+v = %v, want ErrIdentity", c.Takeover, err)
			}
		})
	}
	c := processor.Claim{ID: anew, Epoch: epoch + 1, Claimer: another, Takeover: &processor.Takeover{ID: id, Offset: 7}}
	for range 2 { // the repeated call finds its own
		got, err := s.Claim(t.Context(), input, c)
		if err != nil {
			t.Fatal(err)
		}
		want := *before.Claimed
		want.Header.ID, want.Header.Offset, want.Header.Epoch, want.Header.Version = anew, 7, epoch+1, 0
		equal(t, "Claim", got, &want)
	}
	if _, err := s.Claim(t.Context(), input, processor.Claim{ID: id, Epoch: epoch + 2, Claimer: mine}); !errors.Is(err, processor.ErrIdentity) {
		t.Errorf("Claim under the former identity = %v, want ErrIdentity", err)
	}
}

// A look at a header tells which of the batches with records is the oldest that
// has not been dropped.
func testPeekOldest(t *testing.T, s processor.Store) {
	o, _ := claim(t, s, epoch, mine)
	oldest := func() int64 {
		h, err := s.Peek(t.Context(), input)
		if err != nil {
			t.Fatal(err)
		}
		return h.Oldest
	}
	if got := oldest(); got != 0 {
		t.Errorf("the oldest entry of an empty outbox is %d, want 0", got)
	}
	o.write(nil)
	for range 3 {
		full(o)
	}
	if got := oldest(); got != 2 {
		t.Errorf("the oldest entry is %d, want 2", got)
	}
	o.write(func(b *processor.Batch) { b.Published = 3 })
	if got := oldest(); got != 4 {
		t.Errorf("the oldest entry is %d after those up to 3 were published, want 4", got)
	}
}

// Epochs that a floating-point number cannot tell apart.
func testClaimLargeEpochs(t *testing.T, s processor.Store) {
	const big = 1<<53 + 1
	claim(t, s, big, mine)
	for _, e := range []int64{big - 1, big} {
		if _, err := s.Claim(t.Context(), input, processor.Claim{ID: id, Epoch: e, Claimer: another}); !errors.Is(err, processor.ErrFenced) {
			t.Errorf("Claim under %d after %d = %v, want ErrFenced", e, int64(big), err)
		}
	}
	for _, e := range []int64{big + 1, math.MaxInt64 - 1, math.MaxInt64} {
		o, c := claim(t, s, e, another)
		if c.Header.Epoch != e {
			t.Errorf("Claim under %d: the header has %d", e, c.Header.Epoch)
		}
		full(o)
	}
}

func testClaimWiping(t *testing.T, s processor.Store) {
	// The first owner dies before it has emptied the partition: the next one
	// must be told to.
	if _, err := s.Claim(t.Context(), input, processor.Claim{ID: id, Epoch: epoch, Claimer: mine, Base: 5}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Claim(t.Context(), input, processor.Claim{ID: id, Epoch: epoch + 1, Claimer: another, Base: 6})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "Claim", got.Header, processor.Header{ID: id, Epoch: epoch + 1, Offset: 5, Base: 5, Wiping: true})
}

func testClaimNames(t *testing.T, s processor.Store) {
	want := map[uint32]string{}
	for i, names := range []map[uint32]string{
		{1: "one", math.MaxUint32: "last: {é}\n"},
		{2: "two", 1: "one"},
		nil,
		{3: "", 2: "second"}, // the newest name counts
	} {
		c, err := s.Claim(t.Context(), input, processor.Claim{ID: id, Epoch: epoch + int64(i), Claimer: mine, Names: names})
		if err != nil {
			t.Fatal(err)
		}
		for id, name := range names {
			want[id] = name
		}
		equal(t, fmt.Sprintf("names after claim %d", i), c.Names, want)
	}
	many := map[uint32]string{}
	for i := range uint32(5000) {
		many[i+10] = fmt.Sprint("rule ", i)
		want[i+10] = many[i+10]
	}
	if _, err := s.Claim(t.Context(), input, processor.Claim{ID: id, Epoch: epoch + 10, Claimer: mine, Names: many}); err != nil {
		t.Fatal(err)
	}
	_, c := claim(t, s, epoch+11, another)
	equal(t, "many names", c.Names, want)
}

// Of claims at the same time the highest epoch has the partition in the end, and
// of those under one epoch exactly one is answered.
func testClaimRace(t *testing.T, s processor.Store) {
	claim(t, s, epoch, mine)
	const claimers, rounds = 6, 20
	for round := range rounds {
		base := int64(epoch + 1 + round*claimers)
		won := make([][]bool, 2)
		var wg sync.WaitGroup
		for kind := range won {
			won[kind] = make([]bool, claimers)
			for i := range claimers {
				e := base
				if kind == 1 {
					e += int64(i)
				}
				wg.Go(func() {
					_, err := s.Claim(context.Background(), input, processor.Claim{ID: id, Epoch: e, Claimer: fmt.Sprint(i)})
					won[kind][i] = err == nil
					if err != nil && !errors.Is(err, processor.ErrFenced) {
						t.Errorf("Claim = %v", err)
					}
				})
			}
			wg.Wait()
		}
		same := 0
		for _, ok := range won[0] {
			if ok {
				same++
			}
		}
		if same != 1 {
			t.Fatalf("%d of %d claimers of one epoch were answered, want 1", same, claimers)
		}
		if !won[1][claimers-1] {
			t.Fatal("the claim under the highest epoch was refused")
		}
		if e, _, err := s.Fence(t.Context(), input); e != base+claimers-1 || err != nil {
			t.Fatalf("Fence = %d, %v, want epoch %d", e, err, base+claimers-1)
		}
	}
}

func testPartitionsApart(t *testing.T, s processor.Store) {
	tps := []processor.TopicPartition{input, {Topic: "clicks", Partition: 31}, {Topic: "clicks.3", Partition: 3}, {Topic: "click", Partition: 3}}
	owners := make([]*owner, len(tps))
	for i, tp := range tps {
		c, err := s.Claim(t.Context(), tp, processor.Claim{ID: id, Epoch: epoch + int64(i), Claimer: mine, Base: int64(i)})
		if err != nil {
			t.Fatal(err)
		}
		o := &owner{t: t, store: s, tp: tp, claimer: mine, head: c.Header}
		o.wipe()
		full(o)
		o.write(func(b *processor.Batch) {
			b.States = []processor.StateWrite{{User: "bob", State: []byte(tp.String())}}
		})
		owners[i] = o
	}
	owners[0].wipe()
	for i, o := range owners {
		got := o.states("bob", "ann")
		if i == 0 {
			equal(t, "states of the partition that was emptied", got, [][]byte{nil, nil})
			continue
		}
		equal(t, "states of "+o.tp.String(), got, [][]byte{[]byte(o.tp.String()), []byte("1")})
		equal(t, "header of "+o.tp.String(), *o.peek(), o.head)
	}
}
